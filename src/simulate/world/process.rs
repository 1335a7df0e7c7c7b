//! One process: what the API shows of it, and what is really going on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{Key, Ticket};
use crate::simulate::script::Spec;
use crate::simulate::truth::Because;

/// The statuses a process can be in; the two overlays exist only in answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulate) enum Status {
    Disabled,
    Foreground,
    Pending,
    Launching,
    Launched,
    Running,
    Restarting,
    Terminating,
    Completed,
    Skipped,
    Error,
}

impl Status {
    pub(in crate::simulate) const fn word(self) -> &'static str {
        match self {
            Self::Disabled => "Disabled",
            Self::Foreground => "Foreground",
            Self::Pending => "Pending",
            Self::Launching => "Launching",
            Self::Launched => "Launched",
            Self::Running => "Running",
            Self::Restarting => "Restarting",
            Self::Terminating => "Terminating",
            Self::Completed => "Completed",
            Self::Skipped => "Skipped",
            Self::Error => "Error",
        }
    }

    pub(in crate::simulate) const fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Launching | Self::Launched)
    }
}

/// What a probe last found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulate) enum Health {
    Unknown,
    Ready,
    NotReady,
}

/// The word of the API for what a probe last found.
pub(in crate::simulate) const fn health_word(health: Health) -> &'static str {
    match health {
        Health::Unknown => "-",
        Health::Ready => "Ready",
        Health::NotReady => "Not Ready",
    }
}

/// The state object the API serves: much of it as of the last look.
#[derive(Debug, Clone)]
pub(in crate::simulate) struct Shown {
    pub status: Status,
    pub health: Health,
    pub restarts: u32,
    pub exit_code: i32,
    pub pid: u32,
    /// Nanoseconds, as of the last look.
    pub age: i64,
    pub mem: i64,
    pub cpu: f64,
    pub sampled: Option<Duration>,
    pub seen_running: bool,
    pub active: Option<Duration>,
    pub started: Option<Duration>,
    pub ready: Option<Duration>,
    pub ended: Option<Duration>,
}

impl Shown {
    pub(in crate::simulate) const fn new(status: Status, restarts: u32) -> Self {
        Self {
            status,
            health: Health::Unknown,
            restarts,
            exit_code: 0,
            pid: 0,
            age: 0,
            mem: 0,
            cpu: 0.0,
            sampled: None,
            seen_running: false,
            active: None,
            started: None,
            ready: None,
            ended: None,
        }
    }
}

/// How far an incarnation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulate) enum Stage {
    Waiting,
    Up,
    Backoff,
    Ending,
}

/// The background program of a daemon.
#[derive(Debug, Clone, Copy)]
pub(in crate::simulate) struct Daemon {
    pub pid: u32,
    pub alive: bool,
}

/// An incarnation.
#[derive(Debug)]
pub(in crate::simulate) struct Run {
    /// Changes with every life; alarms of an older one ring for nobody.
    pub stamp: u64,
    pub stage: Stage,
    pub because: Because,
    pub waited: bool,
    pub spawned: Option<Duration>,
    /// Why it was asked to end.
    pub ending: Option<Because>,
    pub fails: u32,
    /// It was ready at some time in this life.
    pub was_ready: bool,
    pub line_seen: bool,
    pub daemon: Option<Daemon>,
}

impl Run {
    pub(super) const fn new(stamp: u64, because: Because) -> Self {
        Self {
            stamp,
            stage: Stage::Waiting,
            because,
            waited: false,
            spawned: None,
            ending: None,
            fails: 0,
            was_ready: false,
            line_seen: false,
            daemon: None,
        }
    }
}

/// A file watch.
#[derive(Debug, Clone, Default)]
pub(in crate::simulate) struct Watching {
    pub armed: bool,
    pub trigger: Option<(String, Duration)>,
    /// Only the newest change fires.
    pub pending: u64,
}

/// A process.
#[derive(Debug)]
pub(in crate::simulate) struct Process {
    pub key: Key,
    pub group: String,
    pub number: u32,
    pub replicas: u32,
    pub name: String,
    pub spec: Arc<Spec>,
    pub shown: Shown,
    pub run: Option<Run>,
    pub next_run: Option<Duration>,
    pub schedule: u64,
    pub watch: Watching,
    /// What the probe is made to find, whatever the life says.
    pub forced: Option<bool>,
    /// A restart that others may join.
    pub restart: Option<Ticket>,
    /// Changes when the log buffer is replaced.
    pub log: u64,
    pub lines: VecDeque<String>,
    pub written: u64,
    pub(super) lives: usize,
    pub(super) dice: fastrand::Rng,
}

/// Lines a log buffer keeps.
pub(super) const LOG_LINES: usize = 1_000;

impl Process {
    pub(super) fn new(key: Key, group: &str, number: u32, spec: Arc<Spec>, seed: u64) -> Self {
        let status = match (spec.foreground, spec.disabled) {
            (true, _) => Status::Foreground,
            (false, true) => Status::Disabled,
            (false, false) => Status::Pending,
        };
        let replicas = spec.count();
        Self {
            key,
            group: group.to_owned(),
            number,
            replicas,
            name: crate::simulate::script::Stack::replica_name(group, number, replicas),
            shown: Shown::new(status, 0),
            run: None,
            next_run: None,
            schedule: 0,
            watch: Watching {
                armed: spec.watch.is_some(),
                ..Watching::default()
            },
            forced: None,
            restart: None,
            log: key,
            lines: VecDeque::new(),
            written: 0,
            lives: 0,
            dice: fastrand::Rng::with_seed(seed ^ letters(group) ^ (u64::from(number) << 40)),
            spec,
        }
    }

    /// A process that is only remembered.
    pub(in crate::simulate) fn new_ghost(name: &str, spec: Arc<Spec>) -> Self {
        Self::new(0, name, 0, spec, 0)
    }

    pub(super) fn stage(&self) -> Option<Stage> {
        self.run.as_ref().map(|run| run.stage)
    }

    /// Whether a background program stands for this process.
    pub(super) fn has_launched(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.daemon.is_some())
    }

    pub(in crate::simulate) fn is_member(&self, namespace: &str) -> bool {
        self.spec.namespace.all().iter().any(|n| n == namespace)
    }
}

/// A number out of a name, the same on every machine.
fn letters(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
