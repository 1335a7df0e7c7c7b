//! Holds a stream against the truth. Pure, and strict; this is all that it accepts.
//!
//! **The stream by itself.** One journal, and another one for each older store that came back: it begins with a gap that
//! says so and spans from the copy to the return. `seq` is 1, 2, 3 … in the stream's order within a journal; `process_seq`
//! likewise for each process, over all journals; each `id` is `source.journal.seq`. Timestamps never step back. For each process, ends and beginnings (each as
//! often as its `count` says) take turns within an epoch; only the first look ever may tell an end that never began. The
//! state in the last event of a look is up exactly where the telling leaves a run open. `disconnected` and `connected`
//! take turns; an epoch is entered once, by the source's `restarted`, before anything is told of a process in it.
//!
//! **Each told run** is one run of the truth: of the same process and epoch, in the same order, each at most once. Its
//! pid, where the telling names one, is the true one; the true beginning and the true end lie within the windows
//! (`occurred`) of the events that tell them. A run that is told as ended has ended, and one that is left open goes on. A
//! new epoch ends what was open without a word. What fits no true run was made up, or told twice. One thing alone excuses
//! that: the server counts the restarts it decided on, and one of them was called off within the window of a beginning by
//! policy that is itself told as `ambiguous`, the last of its look; that look may tell one run too many.
//!
//! **Each true run** is told, unless the stream itself says that it could not be seen:
//! - it lies whole before the first look ever, or whole within the window of a source's `restarted` (per process at most
//!   one thing is told of what lies between two runs of the server), or
//! - it lies whole within the window of an event of the same process, or within a `gap`, and for each run that is missing
//!   another one began within the same window otherwise than by the restart policy, which the server counts. (A stretch too
//!   short for a gap shows in the windows alone.)
//!
//! **Details** of what is told as `certain`: the exit code is the true one; an end by its own exit with 0 or by request is
//! `stopped`, any other `crashed`; the reason `policy` stands where the policy began it, or
//! announced it and was called off within the window of whatever began it then. Of an `ambiguous` end the code is
//! true as well. An `inferred` one may know no code; if it names one, it is true, unless a run began otherwise than by the
//! policy within its window: then the server shows the code of another end there, or 0, and the next reason is a guess too.
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

use self::event::Event;
use self::process::Process;
use super::truth::{Time, Truth, time};

mod align;
mod event;
mod journals;
mod process;

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
    journals::score(&truth.restores, &events, &mut score.wrong);
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
            truth,
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
    let (mut journal, mut wanted) = (&Value::Null, 0);
    for event in events {
        wanted += 1;
        if *journal != event.raw["journal"] {
            (journal, wanted) = (&event.raw["journal"], 1);
        }
        if event.seq != wanted {
            wrong.push(format!(
                "number {} where {wanted} is due: {event}",
                event.seq
            ));
        }
        let source = &event.raw["source"];
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
