//! The judgement of one end: was it a crash or a stop, why, and how sure is that? Design §7.2, one rule after the other.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::event::payload::{AMBIGUOUS, CERTAIN, Exit, INFERRED, Kind, Word};

use super::reading::Configuration;

/// A time that is known to lie between two others.
pub(super) type Window = (DateTime<Utc>, DateTime<Utc>);

/// How the end came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// The stream told everything from a look of this run on to its end.
    Covered,
    /// A look found the process ended, or a frame told the end.
    Witnessed,
    /// Only what came after proves it.
    Missed,
}

/// The exit code, as the source says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// The source no longer has it.
    Gone,
    /// One of success.
    Good(i64),
    /// Any other.
    Bad(i64),
}

impl Code {
    fn number(self) -> Option<i64> {
        match self {
            Self::Gone => None,
            Self::Good(code) | Self::Bad(code) => Some(code),
        }
    }
}

/// Whose exit code it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The process's own.
    Own,
    /// That of the launcher of a daemon, which ended long before.
    Launcher,
}

/// What begins the process again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Followed {
    /// The supervisor's restart policy.
    ByPolicy,
    /// Nothing by itself.
    ByNothing,
}

/// Everything that is known of one end.
#[derive(Debug, Clone)]
pub(super) struct End {
    /// The exit code.
    pub(super) code: Code,
    /// Whose that is.
    pub(super) whose: Whose,
    /// How it came to be known.
    pub(super) seen: Seen,
    /// What begins the process again.
    pub(super) followed: Followed,
    /// When it was told to end, if that was seen.
    pub(super) stopping: Option<Window>,
    /// Since when it was not ready, if it was so to the last.
    pub(super) not_ready: Option<Window>,
    /// What is known of the configuration.
    pub(super) configuration: Option<Arc<Configuration>>,
    /// Whether one of our own commands asked for it.
    pub(super) intent: bool,
}

/// What is told of an end.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    pub(super) kind: Kind,
    pub(super) reason: Word,
    pub(super) certainty: Word,
    pub(super) exit: Exit,
    /// Whether somebody asked for it.
    pub(super) requested: bool,
}

/// Judges one end.
pub(super) fn judge(end: &End) -> Verdict {
    let asked = end.intent || end.stopping.is_some();
    let by_policy = end.followed == Followed::ByPolicy;
    let mut verdict = if by_policy {
        after_policy(end)
    } else {
        match end.code {
            Code::Gone if asked => stopped("requested", end, true),
            Code::Gone => stopped("replaced", end, false),
            Code::Good(_) => stopped(if asked { "requested" } else { "exited" }, end, asked),
            Code::Bad(_) if end.intent => stopped("requested", end, true),
            Code::Bad(_) => match end.stopping {
                Some(stopping) => told_to_end(end, stopping),
                None if end.seen == Seen::Covered => crashed(by_code(end), end, CERTAIN),
                None => crashed(by_code(end), end, AMBIGUOUS),
            },
        }
    };
    // A missed crash that no policy proves may as well have been a stop: the doubt says more than that nobody saw it.
    let doubtful = verdict.kind == Kind::Crashed && !by_policy;
    if end.code == Code::Gone || (end.seen == Seen::Missed && !doubtful) {
        verdict.certainty = INFERRED;
    } else if end.whose == Whose::Launcher && verdict.certainty == CERTAIN {
        verdict.certainty = AMBIGUOUS;
    }
    verdict
}

/// A requested stop is never followed by the policy: whoever told this process to end was the supervisor itself.
fn after_policy(end: &End) -> Verdict {
    if end.stopping.is_some() {
        crashed("unhealthy", end, CERTAIN)
    } else if matches!(end.code, Code::Good(_)) {
        stopped("exited", end, false)
    } else {
        crashed(by_code(end), end, CERTAIN)
    }
}

/// Told to end, and ended with a bad code: by a person, or by a probe that gave up? The time it was not ready tells.
fn told_to_end(end: &End, stopping: Window) -> Verdict {
    let Some(since) = end.not_ready else {
        return stopped("requested", end, true);
    };
    let probe = match end.configuration.as_ref().and_then(|known| known.readiness) {
        None => return crashed("unhealthy", end, AMBIGUOUS),
        Some(None) => return stopped("requested", end, true),
        Some(Some(probe)) => probe,
    };
    let patience = chrono::TimeDelta::from_std(probe.patience()).unwrap_or(chrono::TimeDelta::MAX);
    if stopping.0 - since.1 >= patience {
        crashed("unhealthy", end, CERTAIN)
    } else if stopping.1 - since.0 < patience {
        stopped("requested", end, true)
    } else {
        crashed("unhealthy", end, AMBIGUOUS)
    }
}

fn by_code(end: &End) -> &'static str {
    match (end.seen, end.code.number()) {
        (Seen::Missed, _) => "missed",
        (_, Some(code)) if is_signal(code) => "signal",
        _ => "exit",
    }
}

fn stopped(reason: &'static str, end: &End, requested: bool) -> Verdict {
    let exit = Exit {
        code: end.code.number(),
        signal: end.code.number().and_then(signal),
        expected: requested || matches!(end.code, Code::Good(_)),
    };
    Verdict {
        kind: Kind::Stopped,
        reason: reason.into(),
        certainty: CERTAIN,
        exit,
        requested,
    }
}

fn crashed(reason: &'static str, end: &End, certainty: Word) -> Verdict {
    let exit = Exit {
        code: end.code.number(),
        signal: end.code.number().and_then(signal),
        expected: false,
    };
    Verdict {
        kind: Kind::Crashed,
        reason: reason.into(),
        certainty,
        exit,
        requested: false,
    }
}

/// Whether an exit code speaks of a signal: −1 from the kernel's wait status, 128 + n from a shell.
fn is_signal(code: i64) -> bool {
    code == -1 || signal(code).is_some()
}

/// The signal a shell reports as 128 + n; Linux has 64 of them.
fn signal(code: i64) -> Option<i64> {
    (129..=192).contains(&code).then(|| code - 128)
}
