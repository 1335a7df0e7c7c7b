//! What a waiting came to: a line for each process that is not there yet, and one object for machines.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::json::shown;
use super::style::Style;
use super::words::{count, span};
use crate::event::envelope::SCHEMA;
use crate::event::payload::State;
use crate::process::condition::Verdict;
use crate::process::waiting::{Entry, Wish};

/// JSON Schema (draft 2020-12) of the object that `observe wait -o json` prints.
pub const WAIT: &str = include_str!("../../docs/schema/wait.v1.json");

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
            schema: SCHEMA,
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
        let exit = state
            .last_exit()
            .map_or_else(|| "-".to_owned(), |code| code.to_string());
        // Writing to a string cannot fail.
        let _infallible = write!(out, "; restarts {restarts}, exit {exit}");
    }
    out
}

/// What a waiting came to.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Object<'a> {
    /// Always `wait`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The number of the contract of events, which this object shares.
    schema: u32,
    /// `met`, `failed` or `timeout`.
    outcome: &'static str,
    /// What was waited for, as it was asked for.
    condition: String,
    /// How long it was waited, in milliseconds.
    waited_ms: u64,
    /// Each process, and each name that matches none.
    processes: Vec<One<'a>>,
}

/// One process, or a name that matches none.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct One<'a> {
    /// The process, or the name that was asked for; empty where it is about the whole source.
    process: &'a str,
    /// What is watched; empty for a name that matches nothing.
    source: &'a str,
    /// `met`, `pending`, `impossible`, or `failed` where it is what --fail-on names.
    outcome: &'static str,
    /// Why it is not met, in words for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[cfg_attr(test, schemars(default))]
    reason: String,
    /// Restarts made by the supervisor's policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    restarts: Option<i64>,
    /// The exit code of the run that ended last; -1 = by a signal. Absent where none has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i64>,
    /// The full state, as in an event; absent where it was never seen.
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
            exit_code: entry.state.as_ref().and_then(State::last_exit),
            state: entry.state.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::process::condition::{Condition, Ill};
    use crate::process::waiting::Quantity;
    use crate::render::door::Charset;

    fn wish() -> Wish {
        Wish {
            condition: Condition::Ready,
            names: Vec::new(),
            namespaces: Vec::new(),
            quantity: Quantity::All,
            stable: Duration::ZERO,
            grace: Duration::ZERO,
            fail_on: [Ill::Crashed].into(),
        }
    }

    fn entry(name: &str, verdict: Verdict, state: Option<Value>) -> Entry {
        Entry {
            source: "shop".to_owned(),
            name: name.to_owned(),
            verdict,
            ill: None,
            is_deaf: false,
            state: state.map(|state| serde_json::from_value(state).unwrap()),
        }
    }

    fn state(status: &str, restarts: i64, exit_code: i64) -> Value {
        json!({
            "name": "a", "namespace": "default", "status": status, "is_ready": "-", "has_ready_probe": false,
            "restarts": restarts, "exit_code": exit_code, "is_running": status == "Running", "replicas": 1, "pid": 7,
        })
    }

    fn entries() -> Vec<Entry> {
        let why = "ended with exit 3".to_owned();
        let crashed = Entry {
            ill: Some(Ill::Crashed),
            ..entry("worker", Verdict::Met, Some(state("Running", 2, 9)))
        };
        vec![
            entry("api", Verdict::Met, Some(state("Running", 0, 0))),
            entry(
                "job\u{1b}[31m",
                Verdict::Impossible(why),
                Some(state("Completed", 0, 3)),
            ),
            crashed,
            entry("nobody", Verdict::Pending("no such name".to_owned()), None),
        ]
    }

    fn ended(ending: Ending, run: impl FnOnce(&Ended<'_>)) {
        run(&Ended {
            ending,
            wish: &wish(),
            waited: Duration::from_millis(61_500),
            entries: &entries(),
        });
    }

    #[test]
    fn each_process_that_is_not_there_has_a_line() {
        let style = Style {
            colored: false,
            charset: Charset::Utf8,
        };
        ended(Ending::Timeout, |ended| {
            assert_eq!(
                ended.line(),
                "not ready in time: 1 of 4 processes, after 1 min 1 s"
            );
            let wanted = [
                "job\\x1b[31m: Completed, ended with exit 3; restarts 0, exit 3",
                "worker: Running, crashed; restarts 2, exit 9",
                "nobody: no such name",
            ];
            assert_eq!(ended.unmet(style), wanted);
        });
        ended(Ending::Met, |ended| {
            assert!(ended.line().starts_with("ready: "));
        });
        ended(Ending::Failed, |ended| {
            assert!(ended.line().starts_with("not ready: "));
        });
    }

    #[test]
    fn the_object_is_one_line_with_everything() {
        ended(Ending::Failed, |ended| {
            let bytes = ended.json().unwrap();
            assert_eq!(
                bytes.iter().position(|&byte| byte == b'\n'),
                Some(bytes.len() - 1)
            );
            insta::assert_json_snapshot!(serde_json::from_slice::<Value>(&bytes).unwrap());
        });
    }

    #[test]
    fn the_schema_that_is_shipped_is_the_one_of_the_types() {
        let mut schema = schemars::schema_for!(Object<'_>).to_value();
        schema["$id"] = json!("urn:observe:schema:wait:1");
        schema["title"] = json!("observe wait, contract number 1");
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/wait.v1.json");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(WAIT, text, "UPDATE_SCHEMA=1 cargo test writes it");
    }
}
