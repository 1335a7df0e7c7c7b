//! What a waiting came to: a line for each process that is not there yet, and one object for machines.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::json::shown;
use super::style::Style;
use super::words::{count, span};
use crate::event::payload::State;
use crate::process::condition::Verdict;
use crate::process::waiting::{Entry, Wish};

/// The most columns a name takes here.
const NAME: usize = 60;
/// The most columns a reason takes here.
const REASON: usize = 200;

/// How a waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The condition held.
    Met,
    /// It failed, or could not come true any more.
    Failed,
    /// The time was up.
    Timeout,
}

impl Ending {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
        }
    }
}

/// How a waiting ended, and what is known of each process then.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// How it ended.
    pub ending: Ending,
    /// What was waited for.
    pub wish: &'a Wish,
    /// How long it was waited.
    pub waited: Duration,
    /// Each process.
    pub entries: &'a [Entry],
}

impl Ended<'_> {
    /// The line that sums it up.
    pub fn line(&self) -> String {
        let (all, met) = (self.entries.len(), self.met());
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let processes = count(number(all), "process", "processes");
        let (condition, waited) = (self.wish.condition, span(self.waited));
        match self.ending {
            Ending::Met => format!("{condition}: {met} of {processes}, after {waited}"),
            Ending::Failed => format!("not {condition}: {met} of {processes}, after {waited}"),
            Ending::Timeout => {
                format!("not {condition} in time: {met} of {processes}, after {waited}")
            }
        }
    }

    /// One line for each process that is not there, without line breaks.
    pub fn unmet(&self, style: Style) -> Vec<String> {
        let unmet = self.entries.iter().filter(|entry| !entry.is_met());
        unmet.map(|entry| line(entry, style)).collect()
    }

    /// One JSON object in one line.
    ///
    /// # Errors
    ///
    /// Only where a number of a state is not finite; trying again does not help.
    pub fn json(&self) -> serde_json::Result<Vec<u8>> {
        let object = Object {
            kind: "wait",
            schema: 1,
            outcome: self.ending.as_str(),
            condition: self.wish.condition.to_string(),
            waited_ms: u64::try_from(self.waited.as_millis()).unwrap_or(u64::MAX),
            processes: self.entries.iter().map(One::of).collect(),
        };
        Ok(shown(&serde_json::to_vec(&object)?))
    }

    fn met(&self) -> usize {
        self.entries.iter().filter(|entry| entry.is_met()).count()
    }
}

/// What is said of a process, in words.
pub fn reason(entry: &Entry) -> String {
    match (&entry.ill, &entry.verdict) {
        (Some(ill), _) => ill.as_str().to_owned(),
        (None, Verdict::Met) => String::new(),
        (None, Verdict::Pending(why) | Verdict::Impossible(why)) => why.clone(),
    }
}

fn line(entry: &Entry, style: Style) -> String {
    let name = if entry.name.is_empty() {
        &entry.source
    } else {
        &entry.name
    };
    let name = style.clean(name, NAME);
    let mut out = String::new();
    if !name.is_empty() {
        out.push_str(&name);
        out.push_str(": ");
    }
    if let Some(state) = &entry.state {
        out.push_str(&style.clean(&state.status, NAME));
        out.push_str(", ");
    }
    out.push_str(&style.clean(&reason(entry), REASON));
    if let Some(state) = &entry.state {
        let restarts = state.restarts;
        let exit = exit(state).map_or_else(|| "-".to_owned(), |code| code.to_string());
        // Writing to a string cannot fail.
        let _infallible = write!(out, "; restarts {restarts}, exit {exit}");
    }
    out
}

/// The code of the run that ended last, where one did.
fn exit(state: &State) -> Option<i64> {
    let ended = !state.is_running && state.pid.is_some();
    (ended || state.restarts > 0).then_some(state.exit_code)
}

#[derive(Serialize)]
struct Object<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    schema: u32,
    outcome: &'static str,
    condition: String,
    waited_ms: u64,
    processes: Vec<One<'a>>,
}

#[derive(Serialize)]
struct One<'a> {
    process: &'a str,
    source: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    restarts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a State>,
}

impl<'a> One<'a> {
    fn of(entry: &'a Entry) -> Self {
        let outcome = match (&entry.ill, &entry.verdict) {
            (Some(_), _) => "failed",
            (None, Verdict::Met) => "met",
            (None, Verdict::Pending(_)) => "pending",
            (None, Verdict::Impossible(_)) => "impossible",
        };
        Self {
            process: &entry.name,
            source: &entry.source,
            outcome,
            reason: reason(entry),
            restarts: entry.state.as_ref().map(|state| state.restarts),
            exit_code: entry.state.as_ref().and_then(exit),
            state: entry.state.as_ref(),
        }
    }
}
