//! Holds a stream against the truth. Pure, and strict; this is all that it accepts.
//!
//! **The stream by itself.** One journal. `seq` is 1, 2, 3 … in the stream's order; `process_seq` likewise for each
//! process; each `id` is `source.journal.seq`. Timestamps never step back. For each process, ends and beginnings (each as
//! often as its `count` says) take turns within an epoch; only the first look ever may tell an end that never began. The
//! state in the last event of a look is up exactly where the telling leaves a run open. `disconnected` and `connected`
//! take turns; an epoch is entered once, by the source's `restarted`, before anything is told of a process in it.
//!
//! **Each told run** is one run of the truth: of the same process and epoch, in the same order, each at most once. Its
//! pid, where the telling names one, is the true one; the true beginning and the true end lie within the windows
//! (`occurred`) of the events that tell them. A run that is told as ended has ended, and one that is left open goes on. A
//! new epoch ends what was open without a word. What fits no true run was made up, or told twice: nothing excuses that,
//! no mark of certainty either.
//!
//! **Each true run** is told, unless the stream itself says that it could not be seen:
//! - it lies whole before the first look ever, or whole within the window of a source's `restarted` (per process at most
//!   one thing is told of what lies between two runs of the server), or
//! - it was not begun by the restart policy, which the server counts, and lies whole within the window of an `inferred`
//!   event of the same process, or within a `gap`.
//!
//! **Details** of what is told as `certain`: the exit code is the true one; an end by its own exit with 0 or by request is
//! `stopped`, any other `crashed`; the reason `policy` stands where the policy began it. Of an `ambiguous` end the code is
//! true as well. An `inferred` one may know no code; if it names one, it is true.
//!
//! **Health.** Each `healthy` and `unhealthy` is a true change of that run, in order, within its window. One that is not
//! told was followed by the next change, or the end, of that run within the window of a later event of the process or of a
//! source's `restarted`, so that no look can have seen it.
//!
//! **The end.** The last state told of each process (up or not, pid, restarts, and what else the source shows for good) is
//! what the source itself shows when everything has settled.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::truth::{Death, Life, Time, Truth, time};

/// Clocks of two programs on one machine, both cut to milliseconds, and a played server that begins a moment after it
/// noted the time.
const SLACK: Time = 20;

/// What is wrong, and what was counted.
#[derive(Debug, Default)]
pub(super) struct Score {
    pub(super) wrong: Vec<String>,
    pub(super) events: usize,
    pub(super) gaps: usize,
    /// Events of processes that are not certain.
    pub(super) unsure: usize,
    /// True runs that the stream says could not be seen.
    pub(super) unseen: usize,
}

impl Score {
    pub(super) fn is_clean(&self) -> bool {
        self.wrong.is_empty()
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            events,
            gaps,
            unsure,
            unseen,
            ..
        } = self;
        write!(
            f,
            "{events} events, {gaps} gaps, {unsure} inferred or ambiguous, {unseen} runs unseen and marked so"
        )?;
        for line in &self.wrong {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

/// One event of the stream, as far as it matters here.
#[derive(Debug, Clone)]
pub(super) struct Event {
    seq: u64,
    kind: String,
    process: Option<String>,
    at: Time,
    /// The window; it begins nowhere where nobody looked before.
    after: Option<Time>,
    before: Time,
    certainty: String,
    count: u64,
    epoch: String,
    raw: Value,
}

impl Event {
    fn of(raw: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            seq: raw["seq"].as_u64().unwrap_or_default(),
            kind: text(&raw["type"]),
            process: raw["process"].as_str().map(str::to_owned),
            at: time(raw["timestamp"].as_str().unwrap()),
            after: raw["occurred"]["after"].as_str().map(time),
            before: time(raw["occurred"]["before"].as_str().unwrap()),
            certainty: text(&raw["certainty"]),
            count: raw["count"].as_u64().unwrap_or(1).max(1),
            epoch: text(&raw["epoch"]),
            raw: raw.clone(),
        }
    }

    fn is_begin(&self) -> bool {
        self.kind == "started" || self.kind == "restarted"
    }

    fn is_end(&self) -> bool {
        self.kind == "stopped" || self.kind == "crashed"
    }

    fn is_health(&self) -> bool {
        self.kind == "healthy" || self.kind == "unhealthy"
    }

    fn reason(&self) -> &str {
        self.raw["reason"].as_str().unwrap_or_default()
    }

    fn origin(&self) -> &str {
        self.raw["origin"].as_str().unwrap_or_default()
    }

    fn holds(&self, at: Time) -> bool {
        self.after.is_none_or(|after| after - SLACK <= at) && at <= self.before + SLACK
    }

    /// Whether a stretch lies whole within its window.
    fn spans(&self, from: Time, to: Time) -> bool {
        self.holds(from) && self.holds(to)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.process.as_deref().unwrap_or("(source)");
        write!(
            f,
            "seq {} {name} {} {} {} count {} of {:?}..{} told {} pid {} (before {})",
            self.seq,
            self.kind,
            self.reason(),
            self.certainty,
            self.count,
            self.after,
            self.before,
            self.at,
            self.raw["state"]["pid"],
            self.raw["previous"]["pid"],
        )
    }
}

/// Holds a stream (raw events in its order) against the truth, and the last states told against what the source shows.
pub(super) fn score(truth: &Truth, stream: &[Value], shown: &[Value]) -> Score {
    let events: Vec<Event> = stream.iter().map(Event::of).collect();
    let mut score = Score {
        events: events.len(),
        gaps: events.iter().filter(|event| event.kind == "gap").count(),
        unsure: events
            .iter()
            .filter(|e| e.process.is_some() && e.certainty != "certain")
            .count(),
        ..Score::default()
    };
    numbers(&events, &mut score.wrong);
    sights(&events, &mut score.wrong);
    let sources: Vec<&Event> = events
        .iter()
        .filter(|event| event.process.is_none())
        .collect();
    let epochs = epochs(truth, &events, &mut score.wrong);
    let mut all: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for name in truth.lives.keys() {
        all.entry(name).or_default();
    }
    for event in &events {
        if let Some(name) = &event.process {
            all.entry(name).or_default().push(event);
        }
    }
    for (name, events) in &all {
        let lives = truth
            .lives
            .get(*name)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let process = Process {
            name,
            events,
            sources: &sources,
            epochs: &epochs,
            lives,
        };
        process.score(&mut score);
        let shown = shown.iter().find(|state| state["name"] == *name);
        last_state(name, events.last().copied(), shown, &mut score.wrong);
    }
    score
}

/// Numbers without holes, ids that say them, times that go on.
fn numbers(events: &[Event], wrong: &mut Vec<String>) {
    let mut by_process: BTreeMap<&str, u64> = BTreeMap::new();
    let mut latest = Time::MIN;
    for (index, event) in events.iter().enumerate() {
        let wanted = index as u64 + 1;
        if event.seq != wanted {
            wrong.push(format!(
                "number {} where {wanted} is due: {event}",
                event.seq
            ));
        }
        let (source, journal) = (&event.raw["source"], &event.raw["journal"]);
        if *journal != events[0].raw["journal"] {
            wrong.push(format!("another journal, {journal}: {event}"));
        }
        let id = format!(
            "{}.{}.{}",
            source.as_str().unwrap(),
            journal.as_str().unwrap(),
            event.seq
        );
        if event.raw["id"] != id.as_str() {
            wrong.push(format!("id {} of {event}", event.raw["id"]));
        }
        if event.at < latest {
            wrong.push(format!(
                "told {} ms before its predecessor: {event}",
                latest - event.at
            ));
        }
        latest = latest.max(event.at);
        let Some(name) = event.process.as_deref() else {
            continue;
        };
        let last = by_process.entry(name).or_default();
        let number = event.raw["process_seq"].as_u64().unwrap_or_default();
        if number != *last + 1 {
            wrong.push(format!(
                "process_seq {number} where {} is due: {event}",
                *last + 1
            ));
        }
        *last = number;
    }
}

/// The source is first seen, then out of sight and in sight in turn; each epoch is entered once, before anything is told of
/// it; a gap ends no earlier than it begins.
fn sights(events: &[Event], wrong: &mut Vec<String>) {
    let (mut sight, mut entered) = (None, "");
    for event in events {
        let is_new = event.epoch != entered;
        if event.kind == "restarted" && event.process.is_none() || entered.is_empty() {
            entered = &event.epoch;
            if !is_new {
                wrong.push(format!("the source is told to begin twice: {event}"));
            }
        } else if is_new && !matches!(event.kind.as_str(), "gap" | "connected") {
            wrong.push(format!("an epoch that was not entered: {event}"));
        }
        if event.process.is_some() {
            continue;
        }
        match (event.kind.as_str(), sight) {
            ("connected", None | Some(false)) => sight = Some(true),
            ("disconnected", Some(true)) => sight = Some(false),
            ("restarted", Some(true)) => {}
            ("gap", Some(_)) => {
                let end = |key: &str| event.raw["gap"][key].as_str().map(time);
                if end("from") > end("to") || end("to").is_none_or(|to| to > event.at) {
                    wrong.push(format!("a gap that is none: {}", event.raw));
                }
            }
            _ => wrong.push(format!("out of turn: {event}")),
        }
    }
}

/// The number of each epoch the stream names.
fn epochs(truth: &Truth, events: &[Event], wrong: &mut Vec<String>) -> BTreeMap<String, usize> {
    let mut known = BTreeMap::new();
    for event in events {
        if known.contains_key(&event.epoch) {
            continue;
        }
        let begun = time(&event.epoch);
        match truth
            .epochs
            .iter()
            .position(|epoch| (epoch.begun - begun).abs() <= SLACK)
        {
            Some(number) => drop(known.insert(event.epoch.clone(), number)),
            None => wrong.push(format!("an epoch that never was, {}: {event}", event.epoch)),
        }
    }
    known
}

/// One telling of a beginning or an end.
#[derive(Debug, Clone, Copy)]
struct Act<'a> {
    event: &'a Event,
    /// True where the event speaks of the newest run of its look.
    newest: bool,
    is_begin: bool,
}

/// A run as it was told.
#[derive(Debug, Default)]
struct Run<'a> {
    begin: Option<Act<'a>>,
    end: Option<Act<'a>>,
    health: Vec<&'a Event>,
    pid: Option<i64>,
    epoch: Option<usize>,
}

impl fmt::Display for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for act in [self.begin, self.end].into_iter().flatten() {
            write!(f, "[{}] ", act.event)?;
        }
        write!(f, "pid {:?} epoch {:?}", self.pid, self.epoch)
    }
}

struct Process<'a> {
    name: &'a str,
    events: &'a [&'a Event],
    sources: &'a [&'a Event],
    epochs: &'a BTreeMap<String, usize>,
    lives: &'a [Life],
}

impl<'a> Process<'a> {
    fn score(&self, score: &mut Score) {
        let runs = self.runs(&mut score.wrong);
        let last = self.lives.len();
        let steps = cheapest(
            (last, runs.len()),
            |i| {
                if self.is_unseen(&self.lives[i]) {
                    1
                } else {
                    100
                }
            },
            |i, j| {
                self.fits(&self.lives[i], &runs[j])
                    .then(|| self.details(&self.lives[i], &runs[j]).len())
            },
        );
        for step in steps {
            match step {
                Step::Miss(i) if self.is_unseen(&self.lives[i]) => score.unseen += 1,
                Step::Miss(i) => {
                    score
                        .wrong
                        .push(format!("lost: {} {:?}", self.name, self.lives[i]));
                }
                Step::Extra(j) => score.wrong.push(format!("made up or twice: {}", runs[j])),
                Step::Match(i, j) => {
                    let (life, run) = (&self.lives[i], &runs[j]);
                    score.wrong.extend(self.details(life, run));
                    self.health(life, run, &mut score.wrong);
                }
            }
        }
    }

    /// Beginnings and ends, each as often as it counts, look by look.
    fn acts(&self) -> Vec<(Option<Act<'a>>, &'a Event, bool)> {
        let mut out = Vec::new();
        for look in self.events.chunk_by(|a, b| a.at == b.at) {
            let last_begin = look.iter().rposition(|event| event.is_begin());
            let mut rest = 0..look.len();
            while let Some(index) = rest.next() {
                let event = look[index];
                if !event.is_begin() && !event.is_end() {
                    out.push((None, event, false));
                    continue;
                }
                let pair = look.get(index + 1).copied().filter(|second| {
                    event.count > 1
                        && second.count == event.count
                        && ((event.is_begin() && second.is_end())
                            || (event.is_end() && second.is_begin()))
                });
                if pair.is_some() {
                    rest.next();
                }
                let indices = [Some(index), pair.map(|_| index + 1)];
                for nth in 0..event.count {
                    for index in indices.into_iter().flatten() {
                        let event = look[index];
                        let ultimate = nth + 1 == event.count;
                        let act = Act {
                            event,
                            newest: ultimate && last_begin.is_none_or(|last| last <= index),
                            is_begin: event.is_begin(),
                        };
                        out.push((Some(act), event, false));
                    }
                }
            }
            if let Some(last) = out.last_mut() {
                last.2 = true;
            }
        }
        out
    }

    /// The runs told.
    fn runs(&self, wrong: &mut Vec<String>) -> Vec<Run<'a>> {
        let mut runs: Vec<Run<'a>> = Vec::new();
        let mut open = false;
        for (act, event, ends_look) in self.acts() {
            let epoch = self.epochs.get(&event.epoch).copied();
            match act {
                Some(act) if act.is_begin => {
                    let goes_on = runs.last().is_some_and(|run| run.epoch == epoch);
                    if open && goes_on {
                        wrong.push(format!("begins twice: {event}"));
                    }
                    let pid = act
                        .newest
                        .then(|| event.raw["state"]["pid"].as_i64())
                        .flatten();
                    runs.push(Run {
                        begin: Some(act),
                        pid,
                        epoch,
                        ..Run::default()
                    });
                    open = true;
                }
                Some(act) => {
                    if !open {
                        if event.origin() != "initial" {
                            wrong.push(format!("ends what never began: {event}"));
                        }
                        let pid = event.raw["state"]["pid"].as_i64();
                        runs.push(Run {
                            pid,
                            epoch,
                            ..Run::default()
                        });
                    }
                    if let Some(run) = runs.last_mut() {
                        run.end = Some(act);
                        if act.newest && run.begin.is_some_and(|begin| begin.event.at == event.at) {
                            run.pid = event.raw["state"]["pid"].as_i64();
                        }
                    }
                    open = false;
                }
                None if event.is_health() && !open => {
                    wrong.push(format!("health of what is not up: {event}"))
                }
                None if event.is_health() => runs.last_mut().unwrap().health.push(event),
                None => {}
            }
            if ends_look && event.raw["state"]["is_running"] != open {
                wrong.push(format!(
                    "told as {}, shown otherwise: {event} {}",
                    if open { "up" } else { "not up" },
                    event.raw["state"]
                ));
            }
        }
        runs
    }

    /// Whether a told run may be this one.
    fn fits(&self, life: &Life, run: &Run<'_>) -> bool {
        let pid = run.pid.is_none_or(|pid| pid == life.pid);
        let begins = run
            .begin
            .is_none_or(|begin| begin.event.holds(life.begun) || is_described(begin.event));
        // A new epoch may end it: then the window of whoever says so goes over both.
        let ends = match (&run.end, &life.end) {
            (None, None) => true,
            (None, Some(end)) => self.ends_with_its_epoch(life, end),
            (Some(_), None) => false,
            (Some(told), Some(end)) => told.event.holds(end.at) || is_described(told.event),
        };
        pid && begins && ends && run.epoch == Some(life.epoch)
    }

    /// Whether the end of a run is told by the new epoch alone: nobody looked between the end and the new one.
    fn ends_with_its_epoch(&self, life: &Life, end: &Death) -> bool {
        self.entries()
            .any(|(epoch, event)| epoch > life.epoch && event.holds(end.at))
    }

    /// The `restarted` of the source, with the epoch each of them enters.
    fn entries(&self) -> impl Iterator<Item = (usize, &'a Event)> {
        let restarted = self
            .sources
            .iter()
            .filter(|event| event.kind == "restarted");
        restarted.filter_map(|event| Some((*self.epochs.get(&event.epoch)?, *event)))
    }

    /// Whether the stream itself says that this run could not be seen.
    fn is_unseen(&self, life: &Life) -> bool {
        let Some(end) = &life.end else { return false };
        let (from, to) = (life.begun, end.at);
        let first = self
            .sources
            .first()
            .is_some_and(|first| to <= first.at + SLACK);
        let between = self
            .entries()
            .any(|(epoch, event)| epoch >= life.epoch && event.spans(from, to));
        let counted = life.because == "policy";
        let inferred = self
            .events
            .iter()
            .any(|event| event.certainty == "inferred" && event.spans(from, to));
        let gap = self
            .sources
            .iter()
            .any(|event| event.kind == "gap" && event.spans(from, to));
        first || between || (!counted && (inferred || gap))
    }

    fn details(&self, life: &Life, run: &Run<'_>) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some(begin) = run.begin
            && begin.newest
            && begin.event.certainty == "certain"
            && (begin.event.reason() == "policy") != (life.because == "policy")
            && !matches!(begin.event.reason(), "source_restarted" | "present")
        {
            wrong.push(format!("begun by {}: {}", life.because, begin.event));
        }
        let (Some(told), Some(end)) = (run.end, &life.end) else {
            return wrong;
        };
        if end.is_unwritten() {
            if told.event.reason() != "source_restarted" {
                wrong.push(format!("it ended with its server: {}", told.event));
            }
            return wrong;
        }
        let code = told.event.raw["exit"]["code"].as_i64();
        if told.event.count == 1 && code.is_some_and(|code| code != end.code) {
            wrong.push(format!(
                "exit {} of {life:?}: {}",
                told.event.raw["exit"], told.event
            ));
        }
        let well = end.code == 0 || matches!(end.because.as_str(), "user_stop" | "user_restart");
        if told.event.certainty == "certain" && (told.event.kind == "stopped") != well {
            wrong.push(format!("{} of {life:?}: {}", told.event.kind, told.event));
        }
        wrong
    }

    fn health(&self, life: &Life, run: &Run<'_>, wrong: &mut Vec<String>) {
        let mut facts = life.health.iter().enumerate();
        let mut missed = Vec::new();
        for told in &run.health {
            let value = told.kind == "healthy";
            loop {
                match facts.next() {
                    Some((_, (at, is))) if *is == value && told.holds(*at) => break,
                    Some((index, _)) => missed.push(index),
                    None => {
                        wrong.push(format!("health made up or twice: {told} of {life:?}"));
                        return;
                    }
                }
            }
        }
        missed.extend(facts.map(|(index, _)| index));
        for index in missed {
            let (from, value) = life.health[index];
            let next = life.health.get(index + 1).map(|(at, _)| *at);
            let until = next.or(life.end.as_ref().map(|end| end.at));
            let unseen = until.is_some_and(|until| {
                let events = self
                    .events
                    .iter()
                    .copied()
                    .chain(self.entries().map(|(_, event)| event));
                let mut later = events.filter(|event| event.at >= from);
                later.any(|event| event.spans(from, until))
            });
            if !unseen {
                let word = if value { "healthy" } else { "unhealthy" };
                wrong.push(format!(
                    "lost: {} {word} at {from} until {until:?} of {life:?}",
                    self.name
                ));
            }
        }
    }
}

/// The first look ever tells what is there, whenever it began.
fn is_described(event: &Event) -> bool {
    event.origin() == "initial"
}

/// The last state told is what the source shows.
fn last_state(name: &str, last: Option<&Event>, shown: Option<&Value>, wrong: &mut Vec<String>) {
    let (Some(last), Some(shown)) = (last, shown) else {
        if shown.is_some() {
            wrong.push(format!("nothing was ever told of {name}"));
        }
        return;
    };
    let told = &last.raw["state"];
    for key in ["status", "is_running", "restarts", "pid", "exit_code"] {
        // No pid is none.
        let known = |state: &Value| {
            state
                .get(key)
                .filter(|value| key != "pid" || **value != 0)
                .cloned()
        };
        if known(told).filter(|pid| !pid.is_null()) != known(shown).filter(|pid| !pid.is_null()) {
            wrong.push(format!(
                "at the end {name} shows {key} {}, told {}: {last}",
                shown[key], told[key]
            ));
        }
    }
}

/// One step of an alignment.
#[derive(Debug, Clone, Copy)]
enum Step {
    Miss(usize),
    Extra(usize),
    Match(usize, usize),
}

/// The cheapest way to lay true and told runs beside each other in order.
fn cheapest(
    (lives, runs): (usize, usize),
    miss: impl Fn(usize) -> usize,
    both: impl Fn(usize, usize) -> Option<usize>,
) -> Vec<Step> {
    const EXTRA: usize = 1000;
    let width = runs + 1;
    let mut best = vec![(usize::MAX / 2, None::<Step>); (lives + 1) * width];
    best[0].0 = 0;
    for i in 0..=lives {
        for j in 0..=runs {
            let cost = best[i * width + j].0;
            let mut offer = |at: usize, more: usize, step: Step| {
                if cost + more < best[at].0 {
                    best[at] = (cost + more, Some(step));
                }
            };
            if i < lives {
                offer((i + 1) * width + j, 10 * miss(i), Step::Miss(i));
            }
            if j < runs {
                offer(i * width + j + 1, 10 * EXTRA, Step::Extra(j));
            }
            if i < lives
                && j < runs
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
