//! Conditions a process can be waited for, and what a row says about one: met, not yet, or never. Pure.
//!
//! A row tells how a process stands; [`News`] tells what happened since the waiting began. Both are needed: a crash that
//! was followed by a restart is gone from the row before anybody looks at it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::event::envelope::Envelope;
use crate::event::payload::{Kind, Origin, Severity};
use crate::event::sieve::{Sieve, Whom};

use super::phase::{Health, Phase};
use super::table::Row;

/// Words that a phase does not tell apart; a head keeps them as the supervisor said them.
const DISABLED: &str = "Disabled";
const FOREGROUND: &str = "Foreground";
const LAUNCHING: &str = "Launching";

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Ready where there is a probe, running without one, ended well for a job.
    Ready,
    /// A run goes on.
    Running,
    /// A run goes on and its readiness probe says ready.
    Healthy,
    /// No run goes on and none follows by itself.
    Stopped,
    /// The last run ended with a code of success.
    Completed,
    /// A run ended with this code.
    Exited(i64),
    /// A run ended badly and nobody had asked for it, or could not begin.
    Crashed,
    /// A run began again since the waiting began.
    Restarted,
    /// There is no such process any more.
    Gone,
}

/// A word that is no condition; the message has those there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no condition; there are ready, running, healthy, stopped, completed, exited=CODE, crashed, restarted, gone"
)]
pub struct UnknownCondition(String);

impl FromStr for Condition {
    type Err = UnknownCondition;

    fn from_str(text: &str) -> Result<Self, UnknownCondition> {
        let unknown = || UnknownCondition(text.to_owned());
        Ok(match text {
            "ready" => Self::Ready,
            "running" => Self::Running,
            "healthy" => Self::Healthy,
            "stopped" => Self::Stopped,
            "completed" => Self::Completed,
            "crashed" => Self::Crashed,
            "restarted" => Self::Restarted,
            "gone" => Self::Gone,
            other => {
                let code = other.strip_prefix("exited=").ok_or_else(unknown)?;
                Self::Exited(code.parse().map_err(|_| unknown())?)
            }
        })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.pad("ready"),
            Self::Running => f.pad("running"),
            Self::Healthy => f.pad("healthy"),
            Self::Stopped => f.pad("stopped"),
            Self::Completed => f.pad("completed"),
            Self::Exited(code) => write!(f, "exited={code}"),
            Self::Crashed => f.pad("crashed"),
            Self::Restarted => f.pad("restarted"),
            Self::Gone => f.pad("gone"),
        }
    }
}

/// What is to end the waiting early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ill {
    /// A process crashed.
    Crashed,
    /// A process that was ready is not any more.
    Unhealthy,
    /// A process was restarted.
    Restarted,
}

impl Ill {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crashed => "crashed",
            Self::Unhealthy => "unhealthy",
            Self::Restarted => "restarted",
        }
    }
}

impl Ill {
    /// The events that tell of it.
    fn told_by(self) -> Telling {
        match self {
            Self::Crashed => (Kind::Crashed, Severity::Error),
            Self::Unhealthy => (Kind::Unhealthy, Severity::Warning),
            Self::Restarted => (Kind::Restarted, Severity::Info),
        }
    }

    /// Whether it may happen to a process and be left out on purpose.
    pub fn may_be_left_out(self, row: &Row, sieve: &Sieve) -> bool {
        may_leave_out(sieve, row, &[self.told_by()])
    }
}

/// A type of event, and the least severity it has where it is news.
type Telling = (Kind, Severity);

fn may_leave_out(sieve: &Sieve, row: &Row, tellings: &[Telling]) -> bool {
    let configuration = row.configuration.as_deref();
    let whom = Whom {
        name: &row.name,
        group: configuration.and_then(|known| known.group.as_deref()),
        namespaces: row.namespaces.iter().map(AsRef::as_ref).collect(),
    };
    let mut tellings = tellings.iter();
    tellings.any(|(kind, severity)| sieve.may_leave_out(&whom, kind, *severity))
}

/// A word that is nothing to fail on; the message has those there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is nothing to fail on; there are crashed, unhealthy, restarted")]
pub struct UnknownIll(String);

impl FromStr for Ill {
    type Err = UnknownIll;

    fn from_str(text: &str) -> Result<Self, UnknownIll> {
        [Self::Crashed, Self::Unhealthy, Self::Restarted]
            .into_iter()
            .find(|ill| ill.as_str() == text)
            .ok_or_else(|| UnknownIll(text.to_owned()))
    }
}

/// What happened to one process since the waiting began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    ills: BTreeSet<Ill>,
    exits: BTreeSet<i64>,
    completed: bool,
}

impl News {
    /// Takes an event of this process. What the first look ever describes is no news.
    pub fn see(&mut self, event: &Envelope) {
        if event.origin == Origin::Initial {
            return;
        }
        match event.kind {
            Kind::Crashed => _ = self.ills.insert(Ill::Crashed),
            Kind::Restarted => _ = self.ills.insert(Ill::Restarted),
            Kind::Unhealthy if event.reason != "starting" => _ = self.ills.insert(Ill::Unhealthy),
            Kind::Stopped if event.reason == "exited" => self.completed = true,
            _ => {}
        }
        if event.kind.is_end() {
            self.exits.extend(event.exit.and_then(|exit| exit.code));
        }
    }

    /// Whether this happened.
    pub fn has(&self, ill: Ill) -> bool {
        self.ills.contains(&ill)
    }
}

/// What is known of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Met,
    /// It does not hold yet, for this reason.
    Pending(String),
    /// It cannot come true any more unless somebody intervenes, for this reason.
    Impossible(String),
}

impl Verdict {
    fn pending(why: &str) -> Self {
        Self::Pending(why.to_owned())
    }

    fn impossible(why: &str) -> Self {
        Self::Impossible(why.to_owned())
    }
}

/// Whether a process is waited for where nobody named one: not a disabled one, which nothing starts, and not one of the
/// terminal's foreground, whose runs nobody can see.
pub fn is_waited_for(row: &Row) -> bool {
    !matches!(&*row.status, DISABLED | FOREGROUND)
}

/// Whether a process is in such a state now.
pub fn is_ill(row: &Row, ill: Ill) -> bool {
    match ill {
        Ill::Crashed => is_broken(row),
        Ill::Unhealthy => {
            row.phase == Phase::Up && row.health == Health::NotReady && row.memory.was_ready
        }
        Ill::Restarted => false,
    }
}

impl Condition {
    /// Whether what happened is enough, however the process stands now.
    pub fn is_told(self, news: &News) -> bool {
        match self {
            Self::Exited(code) => news.exits.contains(&code),
            Self::Completed => news.completed,
            Self::Crashed => news.has(Ill::Crashed),
            Self::Restarted => news.has(Ill::Restarted),
            _ => false,
        }
    }

    /// Why a process cannot be waited for whose events are left out, where the condition can only be told by one of them.
    /// What a row says by itself is no such condition, nor is the end of a run for as long as no other one follows.
    pub fn deaf(self, row: &Row, sieve: &Sieve, is_other_run: bool) -> Option<String> {
        let end = [
            (Kind::Stopped, Severity::Info),
            (Kind::Crashed, Severity::Error),
        ];
        let tellings: &[Telling] = match self {
            Self::Crashed => &end[1..],
            Self::Restarted => &[(Kind::Restarted, Severity::Info)],
            Self::Exited(_) | Self::Completed if is_other_run => &end,
            _ => return None,
        };
        may_leave_out(sieve, row, tellings).then(|| {
            format!(
                "the adapter leaves events about it out ({sieve}), so nobody may ever hear of it"
            )
        })
    }

    /// What a process says about the condition.
    pub fn judge(self, row: &Row, news: &News) -> Verdict {
        if self.is_told(news) {
            return Verdict::Met;
        }
        match (self, row.phase) {
            (Self::Gone, _) => Verdict::pending("still there"),
            (_, _) if *row.status == *FOREGROUND => {
                Verdict::impossible("runs in the foreground, where nobody sees it")
            }
            (_, Phase::Unknown) => {
                Verdict::pending("its status is a word this build does not know")
            }
            (Self::Restarted, _) => Verdict::pending("not restarted yet"),
            (Self::Ready | Self::Running | Self::Healthy, _) => self.judge_alive(row),
            (Self::Stopped, phase) => judge_stopped(phase),
            (Self::Crashed, _) if is_broken(row) => Verdict::Met,
            (_, Phase::Waiting) => Verdict::pending("waits for what it depends on"),
            (_, Phase::Up) => Verdict::pending("running"),
            (_, Phase::Stopping) => Verdict::pending("stopping"),
            _ => self.judge_end(row),
        }
    }

    fn judge_alive(self, row: &Row) -> Verdict {
        match row.phase {
            Phase::Up if row.daemon && *row.status == *LAUNCHING => Verdict::pending("launching"),
            Phase::Up if self == Self::Running => Verdict::Met,
            Phase::Up => self.judge_health(row),
            Phase::Idle if *row.status == *DISABLED => Verdict::pending("disabled"),
            Phase::Idle if self != Self::Ready => Verdict::pending("between two runs"),
            Phase::Idle if is_broken(row) => Verdict::Pending(format!("last run {}", ended(row))),
            Phase::Idle => Verdict::Met,
            Phase::Ended if self == Self::Ready && ended_well(row) && !was_requested(row) => {
                Verdict::Met
            }
            Phase::Ended | Phase::Failed => over(row),
            Phase::BackingOff => Verdict::Pending(format!("{}, about to restart", ended(row))),
            Phase::Stopping => Verdict::pending("stopping"),
            Phase::Waiting | Phase::Unknown => Verdict::pending("waits for what it depends on"),
        }
    }

    fn judge_health(self, row: &Row) -> Verdict {
        let known = row.configuration.as_deref().and_then(|c| c.readiness);
        match (row.health, known) {
            (Health::Ready, _) => Verdict::Met,
            // A line in the log can be what makes it ready, without any probe.
            (Health::NotReady, _) => Verdict::pending("not ready"),
            (_, Some(None)) if self == Self::Ready => Verdict::Met,
            (_, Some(None)) => Verdict::impossible("has no readiness probe"),
            (Health::Unknown, None) if self == Self::Ready && !row.has_probe => Verdict::Met,
            (Health::Unknown, None) if !row.has_probe => {
                Verdict::pending("no readiness probe is known")
            }
            (Health::Unknown, _) => Verdict::pending("its probe has not answered yet"),
        }
    }

    /// For conditions about the end of a run, where no run goes on.
    fn judge_end(self, row: &Row) -> Verdict {
        let met = match self {
            Self::Exited(code) => has_run(row) && row.exit_code == code,
            Self::Completed => row.phase != Phase::BackingOff && ended_well(row),
            _ => false,
        };
        match row.phase {
            _ if met => Verdict::Met,
            Phase::Idle if *row.status == *DISABLED => Verdict::pending("disabled"),
            Phase::Idle if has_run(row) => Verdict::Pending(format!("last run {}", ended(row))),
            Phase::Idle => Verdict::pending("has not run yet"),
            Phase::BackingOff => Verdict::Pending(format!("{}, about to restart", ended(row))),
            _ => over(row),
        }
    }
}

fn judge_stopped(phase: Phase) -> Verdict {
    match phase {
        Phase::Ended | Phase::Idle | Phase::Failed => Verdict::Met,
        Phase::Waiting => Verdict::pending("has not begun yet"),
        Phase::Up => Verdict::pending("running"),
        Phase::Stopping => Verdict::pending("stopping"),
        Phase::BackingOff => Verdict::pending("about to restart"),
        Phase::Unknown => Verdict::pending("its status is a word this build does not know"),
    }
}

/// Nothing begins it again by itself; whoever stopped it may.
fn over(row: &Row) -> Verdict {
    match row.phase {
        Phase::Failed => Verdict::impossible("could not be started"),
        _ if row.unmet => Verdict::impossible("skipped, because something it depends on failed"),
        _ if was_requested(row) => Verdict::pending("stopped on request"),
        _ if !has_run(row) => Verdict::pending("stopped before it ran"),
        _ => Verdict::Impossible(ended(row)),
    }
}

fn has_run(row: &Row) -> bool {
    !row.unmet && (row.pid.is_some() || row.started_at.is_some())
}

fn ended_well(row: &Row) -> bool {
    has_run(row) && (row.exit_code == 0 || row.allowed_codes.contains(&row.exit_code))
}

fn was_requested(row: &Row) -> bool {
    row.memory.last_end.is_some_and(|end| end.requested)
}

/// Whether the last run ended badly and nobody had asked for that, or could not begin.
fn is_broken(row: &Row) -> bool {
    let over = matches!(row.phase, Phase::Ended | Phase::BackingOff | Phase::Idle);
    row.phase == Phase::Failed || (over && has_run(row) && !ended_well(row) && !was_requested(row))
}

/// How the last run ended, in words.
fn ended(row: &Row) -> String {
    match row.exit_code {
        -1 => "ended by a signal".to_owned(),
        code => format!("ended with exit {code}"),
    }
}

#[cfg(test)]
pub(super) mod tests;
