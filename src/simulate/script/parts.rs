//! The parts of a process: its lives, probes, answers and habits.

use std::time::Duration;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::simulate::span::{Span, length, maybe_length};
use crate::simulate::truth::{Because, Exit};

/// One or several namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OneOrMany)
    }
}

/// Reads a name or a list of names; the elements are asked for as text, so that `y` is a name and no truth value.
struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Names;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a namespace or a list of namespaces")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Names, E> {
        Ok(Names::one(name))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = list.next_element()? {
            names.push(name);
        }
        Ok(if names.is_empty() {
            Names::default()
        } else {
            Names(names)
        })
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::one("default")
    }
}

impl Names {
    /// A single namespace.
    pub fn one(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// All of them; at least one.
    pub fn all(&self) -> &[String] {
        &self.0
    }

    /// The first.
    pub fn first(&self) -> &str {
        self.0.first().map_or("default", String::as_str)
    }
}

/// One life: how long, and how it ends.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Life {
    /// How long it runs.
    pub run: Span,
    /// It ends with this code; with `killed`, it answers the signal with this code.
    pub exit: Option<i32>,
    /// It ends itself by this signal, as a segmentation fault does.
    pub signal: Option<i32>,
    /// Somebody outside ends it by this signal.
    pub killed: Option<i32>,
}

impl Default for Life {
    fn default() -> Self {
        Self {
            run: Span::FOREVER,
            exit: None,
            signal: None,
            killed: None,
        }
    }
}

impl Life {
    /// How this life ends, and why.
    pub fn end(&self) -> (Exit, Because) {
        match (self.killed, self.signal) {
            // A shell survives the signal that meets its child, and answers with a code.
            (Some(signal), _) => {
                let exit = self.exit.map_or(Exit::Signal(signal), Exit::Code);
                (exit, Because::OutsideSignal)
            }
            (None, Some(signal)) => (Exit::Signal(signal), Because::OwnExit),
            (None, None) => (Exit::Code(self.exit.unwrap_or(0)), Because::OwnExit),
        }
    }
}

/// When a life that ended is followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Never.
    #[default]
    No,
    /// Whatever the exit code.
    Always,
    /// After an exit code that is no success.
    OnFailure,
}

/// A readiness probe: what it would find, and how often it looks.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Probe {
    /// The program answers from this age on.
    #[serde(deserialize_with = "length")]
    pub after: Duration,
    /// Stretches of its life in which it does not answer.
    pub fails: Vec<Window>,
    /// Before the first probe.
    #[serde(deserialize_with = "length")]
    pub delay: Duration,
    /// Between two probes.
    #[serde(deserialize_with = "length")]
    pub period: Duration,
    /// After so many failures in a row the server ends the program.
    pub threshold: u32,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            after: Duration::ZERO,
            fails: Vec::new(),
            delay: Duration::ZERO,
            period: Duration::from_secs(1),
            threshold: 3,
        }
    }
}

impl Probe {
    /// What the probe finds at this age of the program.
    pub fn finds(&self, age: Duration) -> bool {
        age >= self.after
            && !self
                .fails
                .iter()
                .any(|w| w.at <= age && age < w.at.saturating_add(w.lasts))
    }
}

/// A stretch of a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Age at which it begins.
    #[serde(deserialize_with = "length")]
    pub at: Duration,
    /// How long it lasts; left out, to the end.
    #[serde(rename = "for", default = "endless", deserialize_with = "length")]
    pub lasts: Duration,
}

const fn endless() -> Duration {
    Duration::MAX
}

/// A line in the log that makes a process ready.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadyLine {
    /// Age at which it is written.
    #[serde(deserialize_with = "length")]
    pub after: Duration,
    /// The line.
    #[serde(default = "ready_line")]
    pub line: String,
}

fn ready_line() -> String {
    "ready".to_owned()
}

/// A liveness probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Liveness {
    /// Between two probes.
    #[serde(deserialize_with = "length")]
    pub period: Duration,
    /// After so many failures in a row it gives up.
    pub threshold: u32,
}

impl Default for Liveness {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(1),
            threshold: 3,
        }
    }
}

/// What a dependency must have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It runs.
    #[serde(alias = "process_started")]
    Started,
    /// Its readiness probe succeeded.
    #[serde(alias = "process_healthy")]
    Healthy,
    /// It ended, however.
    #[serde(alias = "process_completed")]
    Completed,
    /// It ended with success.
    #[serde(alias = "process_completed_successfully")]
    CompletedSuccessfully,
    /// Its ready line was written.
    #[serde(alias = "process_log_ready")]
    LogReady,
}

/// A schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Between two runs.
    #[serde(deserialize_with = "length")]
    pub interval: Duration,
    /// One run right away.
    #[serde(default)]
    pub run_on_start: bool,
}

/// A file watch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Watch {
    /// The folder, shown by `/process/info`.
    pub path: String,
    /// Quiet time after the last change.
    #[serde(deserialize_with = "length")]
    pub debounce: Duration,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            path: "src".to_owned(),
            debounce: Duration::from_millis(300),
        }
    }
}

/// How a process answers a request to end; left out, it dies of the signal at once.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stop {
    /// How long it takes.
    pub takes: Span,
    /// It ends with this code instead of dying of the signal.
    pub exit: Option<i32>,
    /// It dies of this signal; left out, 15.
    pub signal: Option<i32>,
    /// It does not care.
    pub ignores: bool,
    /// The server waits so long, then ends it by signal 9; the call blocks meanwhile.
    #[serde(deserialize_with = "maybe_length")]
    pub timeout: Option<Duration>,
    /// Whether a daemon has a command that ends it; without one it cannot be stopped.
    pub command: bool,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            takes: Span::exactly(Duration::from_millis(2)),
            exit: None,
            signal: None,
            ignores: false,
            timeout: None,
            command: true,
        }
    }
}

impl Stop {
    /// How a program ends that was asked to.
    pub fn end(&self) -> Exit {
        self.exit
            .map_or_else(|| Exit::Signal(self.signal.unwrap_or(15)), Exit::Code)
    }
}

/// Why a program cannot be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CannotStart {
    /// The program is not there; a phantom `Running` is published first.
    NoProgram,
    /// Its working directory is not there.
    NoDirectory,
}

/// What a process writes to its log.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Chatter {
    /// Between two lines.
    pub every: Span,
    /// The lines, in turn; `{n}` is the number of the line.
    pub lines: Vec<String>,
}

impl Default for Chatter {
    fn default() -> Self {
        Self {
            every: Span::exactly(Duration::from_secs(1)),
            lines: vec!["line {n}".to_owned()],
        }
    }
}
