//! Scores a list of events against what really happened in a recording.
//!
//! Facts and events of one process are aligned in order, as cheaply as possible: a false event costs 1, a missing fact
//! costs 1, so a wrong type costs both. Depends on nothing of the crate, so that other test binaries can include it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde_json::Value;

/// What the observer had to go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Looks only.
    Poll,
    /// Looks and the state stream.
    Stream,
}

/// One thing that really happened, as the recording derives it.
struct Fact {
    process: Option<String>,
    kind: String,
    at_ms: i64,
    need: String,
    raw: Value,
}

impl Fact {
    fn is_knowable(&self, mode: Mode) -> bool {
        self.need == "always" || (self.need == "stream" && mode == Mode::Stream)
    }

    fn cost_to_miss(&self, mode: Mode) -> f64 {
        let preferred = if self.need == "maybe" { 0.0 } else { 0.001 };
        preferred + if self.is_knowable(mode) { 1.0 } else { 0.0 }
    }

    fn words(&self, key: &str) -> Vec<&str> {
        let words = self.raw[key].as_array().map(Vec::as_slice);
        words
            .unwrap_or_default()
            .iter()
            .filter_map(Value::as_str)
            .collect()
    }

    fn alternatives(&self) -> &[Value] {
        self.raw["or"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
}

/// What really happened in one recording.
pub(crate) struct Facts {
    all: Vec<Fact>,
    /// Every status that the recording shows, by process.
    shown: BTreeMap<String, BTreeSet<String>>,
}

/// How truthful a list of events is.
#[derive(Debug, Default)]
pub(crate) struct Score {
    /// Events that tell a fact.
    pub(crate) hits: usize,
    /// Facts that could be known.
    pub(crate) knowable: usize,
    /// Those of them that were told.
    pub(crate) told: usize,
    /// Events that tell no fact.
    pub(crate) made_up: Vec<String>,
    /// Facts that could be known and were not told.
    pub(crate) missing: Vec<String>,
    /// Wrong details of events that tell a fact.
    pub(crate) details: Vec<String>,
}

impl Score {
    /// Whether precision and recall are both 1 and no detail is wrong.
    pub(crate) fn is_perfect(&self) -> bool {
        self.made_up.is_empty() && self.missing.is_empty() && self.details.is_empty()
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} true, {}/{} told",
            self.hits, self.told, self.knowable
        )?;
        let lists = [
            ("made up", &self.made_up),
            ("missing", &self.missing),
            ("detail", &self.details),
        ];
        for (what, list) in lists {
            for line in list {
                write!(f, "\n    {what}: {line}")?;
            }
        }
        Ok(())
    }
}

fn rows(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value[key].as_str().filter(|text| !text.is_empty())
}

impl Facts {
    /// Reads the facts of a recording.
    pub(crate) fn open(folder: &Path) -> Self {
        let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut show = |state: &Value| {
            if let (Some(name), Some(status)) = (text(state, "name"), text(state, "status")) {
                shown.entry(name.into()).or_default().insert(status.into());
            }
        };
        for look in rows(&folder.join("looks.jsonl")) {
            look["body"]["data"]
                .as_array()
                .into_iter()
                .flatten()
                .for_each(&mut show);
        }
        for frame in rows(&folder.join("states.jsonl")) {
            show(&frame["frame"]["state"]);
        }
        let all = rows(&folder.join("expected.jsonl"))
            .into_iter()
            .map(|raw| Fact {
                process: text(&raw, "process").map(str::to_owned),
                kind: raw["type"].as_str().unwrap().to_owned(),
                at_ms: raw["t_ms"].as_i64().unwrap(),
                need: raw["need"].as_str().unwrap().to_owned(),
                raw,
            })
            .collect();
        Self { all, shown }
    }

    /// Scores events in the order in which they were told.
    pub(crate) fn score(&self, events: &[Value], mode: Mode) -> Score {
        let mut names: BTreeSet<Option<&str>> = self
            .all
            .iter()
            .map(|fact| fact.process.as_deref())
            .collect();
        names.extend(events.iter().map(|event| text(event, "process")));
        let mut score = Score::default();
        for name in names {
            let mut facts: Vec<&Fact> = self
                .all
                .iter()
                .filter(|fact| fact.process.as_deref() == name)
                .collect();
            if name.is_none() {
                facts.sort_by_key(|fact| fact.at_ms);
            }
            let told: Vec<&Value> = events
                .iter()
                .filter(|event| text(event, "process") == name)
                .collect();
            let told = expanded(&told);
            self.align(&facts, &told, mode, &mut score);
        }
        score
    }

    /// What it costs to take an event for one that tells no fact.
    fn cost_to_doubt(&self, event: &Value) -> f64 {
        let neutral = match text(event, "process") {
            Some(name) => {
                event["type"] == "status_changed"
                    && status(event).is_none_or(|status| {
                        self.shown.get(name).is_some_and(|all| all.contains(status))
                    })
            }
            None => ["connected", "disconnected", "gap"]
                .iter()
                .any(|kind| event["type"] == *kind),
        };
        if neutral { 0.05 } else { 1.0 }
    }

    fn align(&self, facts: &[&Fact], events: &[&Value], mode: Mode, score: &mut Score) {
        let steps = cheapest(
            (facts.len(), events.len()),
            |i| facts[i].cost_to_miss(mode),
            |j| self.cost_to_doubt(events[j]),
            |i, j| cost_to_match(facts[i], events[j], mode),
        );
        for fact in facts {
            score.knowable += usize::from(fact.is_knowable(mode));
        }
        for step in steps {
            match step {
                Step::Miss(i) if facts[i].is_knowable(mode) => {
                    let fact = facts[i];
                    score.missing.push(format!(
                        "{} {} at {} ms, because {}",
                        name(&fact.raw),
                        fact.kind,
                        fact.at_ms,
                        fact.raw["because"]
                    ));
                }
                Step::Miss(_) => {}
                Step::Extra(j) if self.cost_to_doubt(events[j]) < 1.0 => {}
                Step::Extra(j) => score.made_up.push(line(events[j])),
                Step::Match(i, j) => {
                    score.hits += 1;
                    score.told += usize::from(facts[i].is_knowable(mode));
                    let wrong = wrong_details(facts[i], events[j], mode);
                    score.details.extend(wrong.into_iter().map(|wrong| {
                        format!("{} ({} ms): {wrong}", line(events[j]), facts[i].at_ms)
                    }));
                }
            }
        }
    }
}

fn name(value: &Value) -> &str {
    text(value, "process").unwrap_or("(source)")
}

fn line(event: &Value) -> String {
    format!(
        "{} {} reason={} certainty={} status={:?} exit={} at {}",
        name(event),
        event["type"],
        event["reason"],
        event["certainty"],
        status(event),
        event["exit"],
        event["timestamp"]
    )
}

fn status(event: &Value) -> Option<&str> {
    text(event, "status").or_else(|| text(&event["state"], "status"))
}

fn certainty(event: &Value) -> &str {
    let inferred = event["inferred"].as_bool().unwrap_or(false);
    text(event, "certainty").unwrap_or(if inferred { "inferred" } else { "certain" })
}

/// Each event as often as it counts; a pair of equal counts in turn.
fn expanded<'v>(events: &[&'v Value]) -> Vec<&'v Value> {
    let count = |event: &Value| event["count"].as_u64().unwrap_or(1).max(1);
    let is_end = |event: &Value| event["type"] == "crashed" || event["type"] == "stopped";
    let begins = |event: &Value| event["type"] == "restarted" || event["type"] == "started";
    let mut out = Vec::new();
    let mut rest = events;
    while let [first, tail @ ..] = rest {
        let times = count(first);
        let pair = tail.first().filter(|second| {
            times > 1
                && count(second) == times
                && ((is_end(first) && begins(second)) || (begins(first) && is_end(second)))
        });
        for _ in 0..times {
            out.push(*first);
            out.extend(pair);
        }
        rest = &tail[usize::from(pair.is_some())..];
    }
    out
}

/// What it costs to let an event stand for a fact; nothing where it cannot.
fn cost_to_match(fact: &Fact, event: &Value, mode: Mode) -> Option<f64> {
    let penalty = fit(fact, event, mode)?;
    let wrong = wrong_details(fact, event, mode).len();
    let preferred = if fact.need == "maybe" { 0.0 } else { 0.0005 };
    Some(penalty + 0.002 * f64::from(u8::try_from(wrong).unwrap()) - preferred)
}

fn fit(fact: &Fact, event: &Value, mode: Mode) -> Option<f64> {
    if event["type"] == fact.kind.as_str() {
        if fact.kind == "status_changed" && fact.process.is_some() {
            let renamed = text(event, "reason").is_none_or(|reason| reason == "renamed");
            let wanted = text(&fact.raw, "status");
            let other = wanted.is_some() && status(event).is_some() && status(event) != wanted;
            if other || (!fact.raw["previous"].is_null() && !renamed) {
                return None;
            }
        }
        return Some(0.0);
    }
    let accepted = fact.alternatives().iter().any(|other| {
        let sure_enough = other["certainty"]
            .as_array()
            .is_none_or(|words| words.iter().any(|word| word == certainty(event)));
        other["type"] == event["type"]
            && (other["when"] != "poll" || mode == Mode::Poll)
            && sure_enough
    });
    accepted.then_some(0.01)
}

fn wrong_details(fact: &Fact, event: &Value, mode: Mode) -> Vec<String> {
    let mut wrong = Vec::new();
    if event["type"] != fact.kind.as_str() {
        return wrong;
    }
    let mut reasons = fact.words("reason");
    if mode == Mode::Poll && !reasons.is_empty() {
        reasons.extend(fact.words("reason_poll"));
    }
    if let Some(reason) = event["reason"].as_str()
        && !reasons.is_empty()
        && !reasons.contains(&reason)
    {
        wrong.push(format!("reason {reason}, not {reasons:?}"));
    }
    if let (Some(_), Some(namespace)) = (&fact.process, event["namespace"].as_str())
        && fact.raw["namespace"] != namespace
    {
        wrong.push(format!(
            "namespace {namespace}, not {}",
            fact.raw["namespace"]
        ));
    }
    let certainties = fact.words("certainty");
    if let Some(word) = event["certainty"].as_str()
        && !certainties.is_empty()
        && !certainties.contains(&word)
    {
        wrong.push(format!("certainty {word}, not {certainties:?}"));
    }
    if fact.raw["exit"].is_object() && event["exit"].is_object() {
        wrong_exit(fact, event, mode, &mut wrong);
    }
    wrong
}

fn wrong_exit(fact: &Fact, event: &Value, mode: Mode, wrong: &mut Vec<String>) {
    let (truth, told) = (&fact.raw["exit"], &event["exit"]);
    let sure = certainty(event) == "certain";
    let (code, signal) = (told["code"].as_i64(), told["signal"].as_i64());
    if let Some(real) = truth["code"].as_i64() {
        let overwritten = mode == Mode::Poll
            && fact.alternatives().iter().any(|other| {
                other["why"]
                    .as_str()
                    .is_some_and(|why| why.contains("exit code"))
            });
        if sure && !overwritten && code.is_some_and(|code| code != real) {
            wrong.push(format!("exit code {code:?}, not {real}"));
        }
        if signal.is_some_and(|signal| signal != real - 128) {
            wrong.push(format!("signal {signal:?}, but it exited {real}"));
        }
    } else {
        let real = truth["signal"].as_i64();
        if sure && code.is_some_and(|code| code != -1) {
            wrong.push(format!("exit code {code:?}, but signal {real:?}"));
        }
        if signal.is_some() && signal != real {
            wrong.push(format!("signal {signal:?}, not {real:?}"));
        }
    }
    if sure && told["expected"].is_boolean() && told["expected"] != truth["expected"] {
        wrong.push(format!("expected {}", told["expected"]));
    }
}

/// One step of an alignment.
#[derive(Debug, Clone, Copy)]
enum Step {
    Miss(usize),
    Extra(usize),
    Match(usize, usize),
}

/// The cheapest alignment of two lists.
fn cheapest(
    (facts, events): (usize, usize),
    miss: impl Fn(usize) -> f64,
    extra: impl Fn(usize) -> f64,
    both: impl Fn(usize, usize) -> Option<f64>,
) -> Vec<Step> {
    let width = events + 1;
    let mut best = vec![(f64::INFINITY, None::<Step>); (facts + 1) * width];
    best[0].0 = 0.0;
    let extras: Vec<f64> = (0..events).map(extra).collect();
    for i in 0..=facts {
        for j in 0..=events {
            let cost = best[i * width + j].0;
            let mut offer = |at: usize, more: f64, step: Step| {
                if cost + more < best[at].0 {
                    best[at] = (cost + more, Some(step));
                }
            };
            if i < facts {
                offer((i + 1) * width + j, miss(i), Step::Miss(i));
            }
            if j < events {
                offer(i * width + j + 1, extras[j], Step::Extra(j));
            }
            if i < facts
                && j < events
                && let Some(more) = both(i, j)
            {
                offer((i + 1) * width + j + 1, more, Step::Match(i, j));
            }
        }
    }
    let mut steps = Vec::new();
    let mut at = best.len() - 1;
    while let Some(step) = best[at].1 {
        steps.push(step);
        at -= match step {
            Step::Miss(_) => width,
            Step::Extra(_) => 1,
            Step::Match(..) => width + 1,
        };
    }
    steps.reverse();
    steps
}
