//! The stack file: which processes there are, how each one lives, and what is done to them when.
//!
//! An unknown key is an error that names its line; a word nobody reads would be a life nobody gets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use super::span::{length, maybe_length};

mod parts;

pub use self::parts::{
    CannotStart, Chatter, Condition, Life, Liveness, Names, Policy, Probe, ReadyLine, Schedule,
    Stop, Watch, Window,
};

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
    /// `exit`: the code, 1 when left out; `kill`: the code a shell answers the end of its child with.
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
    /// The most processes of a stack, all replicas counted.
    pub const MOST: u64 = 100_000;

    /// Reads a stack file.
    ///
    /// # Errors
    ///
    /// Bad YAML or an unknown key, with the line; dependencies, steps and replicas that make no sense.
    pub fn parse(text: &str) -> Result<Self, StackError> {
        // Without it a namespace named y would be a truth value.
        let options = serde_saphyr::options! { strict_booleans: true };
        let stack: Self =
            serde_saphyr::from_str_with_options(text, options).map_err(|e| syntax(&e))?;
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
        let counts = self.processes.values().map(|spec| u64::from(spec.count()));
        let count: u64 = counts.sum();
        if count > Self::MOST {
            return sense(format!(
                "these are {count} processes, {} are the most",
                Self::MOST
            ));
        }
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
    // The line stands in front already.
    let first = first
        .rsplit_once(" at line ")
        .map_or(first, |(message, _)| message);
    StackError::Syntax {
        line,
        message: first.to_owned(),
    }
}

#[cfg(test)]
#[path = "script/tests.rs"]
mod tests;
