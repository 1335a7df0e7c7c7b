//! The stack file: which processes there are, how each one lives, and what is done to them when.
//!
//! An unknown key is an error that names its line; a word nobody reads would be a life nobody gets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use super::span::{Span, length, maybe_length};
use super::truth::{Because, Exit};

/// Why a stack cannot be played; mend the file, trying again does not help.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StackError {
    /// The text is no stack: bad YAML, an unknown key, a value of the wrong kind.
    #[error("line {line}: {message}")]
    Syntax {
        /// Line in the file, from 1.
        line: u64,
        /// What is wrong there.
        message: String,
    },
    /// The text is a stack that makes no sense.
    #[error("{0}")]
    Sense(String),
}

/// A stack: processes by name, and what is done to them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stack {
    /// The project's name; the part after the slash of `projectName`.
    pub name: Option<String>,
    /// Whether the server stays when the last process has ended.
    pub keep: bool,
    /// The processes (groups of replicas) by name.
    pub processes: BTreeMap<String, Spec>,
    /// What is done, and when.
    pub script: Vec<Step>,
}

impl Default for Stack {
    fn default() -> Self {
        Self {
            name: None,
            keep: true,
            processes: BTreeMap::new(),
            script: Vec::new(),
        }
    }
}

/// One process of a stack.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// Its namespaces; `default` when none is given.
    pub namespace: Names,
    /// Shown by `/process/info`; nothing is ever run.
    pub command: Option<String>,
    /// The lives it leads, one after the other, then from the first again; none means one that never ends by itself.
    pub life: Vec<Life>,
    /// When a life that ended is followed by another.
    pub restart: Policy,
    /// How long the policy waits before the next life; never less than a second.
    #[serde(deserialize_with = "length")]
    pub backoff: Duration,
    /// How often the policy may restart it; 0 is without a limit.
    pub max_restarts: u32,
    /// Exit codes that count as success besides 0.
    pub success_exit_codes: Vec<i32>,
    /// The readiness probe.
    pub ready: Option<Probe>,
    /// A line in the log that makes it ready.
    pub ready_log_line: Option<ReadyLine>,
    /// The liveness probe; it notices the end of a daemon and means nothing to any other process.
    pub liveness: Option<Liveness>,
    /// What it waits for.
    pub depends_on: BTreeMap<String, Condition>,
    /// Never started by the server itself.
    pub disabled: bool,
    /// Belongs to the terminal of the server; its status never changes.
    pub foreground: bool,
    /// The program starts another one in the background and ends.
    pub daemon: bool,
    /// Runs at intervals.
    pub schedule: Option<Schedule>,
    /// Runs again when a file changes.
    pub watch: Option<Watch>,
    /// How many of it there are; 0 means 1.
    pub replicas: u32,
    /// How it answers a request to end.
    pub stop: Stop,
    /// It cannot be started at all.
    pub cannot_start: Option<CannotStart>,
    /// What it writes to its log.
    pub log: Option<Chatter>,
}

impl Spec {
    /// Whether the API shows `has_ready_probe`.
    pub const fn has_probe(&self) -> bool {
        self.ready.is_some() || self.liveness.is_some()
    }

    /// Whether this exit code counts as a success.
    pub fn is_success(&self, code: i32) -> bool {
        code == 0 || self.success_exit_codes.contains(&code)
    }

    /// The number of replicas, at least one.
    pub const fn count(&self) -> u32 {
        if self.replicas == 0 { 1 } else { self.replicas }
    }
}

/// One or several namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "OneOrMany")]
pub struct Names(Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Names {
    fn from(given: OneOrMany) -> Self {
        match given {
            OneOrMany::One(name) => Self(vec![name]),
            OneOrMany::Many(names) if names.is_empty() => Self::default(),
            OneOrMany::Many(names) => Self(names),
        }
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
    /// It ends with this code.
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
            (Some(signal), _) => (Exit::Signal(signal), Because::OutsideSignal),
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

/// Something done to the stack at a moment.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When, counted from the start of the simulation.
    #[serde(deserialize_with = "length")]
    pub at: Duration,
    /// Again each time this has passed.
    #[serde(default, deserialize_with = "maybe_length")]
    pub every: Option<Duration>,
    /// What.
    #[serde(rename = "do")]
    pub deed: Deed,
    /// To which process (its replica name).
    #[serde(default)]
    pub process: Option<String>,
    /// `scale`: how many.
    #[serde(default)]
    pub to: Option<u32>,
    /// `kill`: the signal, 9 when left out.
    #[serde(default)]
    pub signal: Option<i32>,
    /// `exit`: the code, 1 when left out.
    #[serde(default)]
    pub code: Option<i32>,
    /// `server_restart`: how long nobody listens, 3 s when left out.
    #[serde(default, deserialize_with = "maybe_length")]
    pub away: Option<Duration>,
    /// `touch`: the file that changed; `reload`: the stack file to read instead.
    #[serde(default)]
    pub file: Option<String>,
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// Ask for a start.
    Start,
    /// Ask for a stop.
    Stop,
    /// Ask for a restart.
    Restart,
    /// End it by a signal from outside.
    Kill,
    /// Let it end by itself.
    Exit,
    /// Let its readiness probe succeed.
    Ready,
    /// Let its readiness probe fail.
    Unready,
    /// Change the number of replicas.
    Scale,
    /// Change a watched file.
    Touch,
    /// Read the configuration again.
    Reload,
    /// Let the server leave and come back.
    ServerRestart,
    /// Let the server leave for good.
    ServerStop,
}

impl Deed {
    const fn needs_process(self) -> bool {
        !matches!(self, Self::Reload | Self::ServerRestart | Self::ServerStop)
    }
}

impl Stack {
    /// Reads a stack file.
    ///
    /// # Errors
    ///
    /// Bad YAML or an unknown key, with the line; dependencies, steps and replicas that make no sense.
    pub fn parse(text: &str) -> Result<Self, StackError> {
        let stack: Self = serde_saphyr::from_str(text).map_err(|e| syntax(&e))?;
        stack.check()?;
        Ok(stack)
    }

    /// The names of the replicas of a group that has `count` of them.
    pub fn replica_name(group: &str, number: u32, count: u32) -> String {
        if count <= 1 {
            return group.to_owned();
        }
        let width = count.to_string().len();
        format!("{group}-{number:0width$}")
    }

    fn check(&self) -> Result<(), StackError> {
        let sense = |text: String| Err(StackError::Sense(text));
        let mut names = BTreeSet::new();
        for (group, spec) in &self.processes {
            for number in 0..spec.count() {
                let name = Self::replica_name(group, number, spec.count());
                if !names.insert(name.clone()) {
                    return sense(format!("two processes would be named {name:?}"));
                }
            }
            if spec.count() > 1 && (spec.schedule.is_some() || spec.watch.is_some()) {
                return sense(format!(
                    "process {group:?} has a schedule or a watch and therefore cannot have replicas"
                ));
            }
            if let Some(unknown) = spec
                .depends_on
                .keys()
                .find(|d| !self.processes.contains_key(*d))
            {
                return sense(format!(
                    "process {group:?} depends on {unknown:?}, which is not in this stack"
                ));
            }
        }
        for step in &self.script {
            if step.deed.needs_process() && step.process.is_none() {
                return sense(format!(
                    "the step at {:?} ({:?}) needs a process",
                    step.at, step.deed
                ));
            }
            if step.deed == Deed::Scale && step.to.is_none_or(|n| n == 0) {
                return sense(format!(
                    "the step at {:?} scales and needs 'to', at least 1",
                    step.at
                ));
            }
        }
        Ok(())
    }
}

fn syntax(error: &serde_saphyr::Error) -> StackError {
    let line = error.location().map_or(1, |l| l.line());
    let inner = error.without_snippet().to_string();
    let first = inner.lines().next().unwrap_or("not a stack");
    StackError::Syntax {
        line,
        message: first.to_owned(),
    }
}

#[cfg(test)]
#[path = "script/tests.rs"]
mod tests;
