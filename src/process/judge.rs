//! The judgement of one end: was it a crash or a stop, why, and how sure is that? Design §7.2, one rule after the other.

use chrono::{DateTime, Utc};

use crate::event::payload::{AMBIGUOUS, CERTAIN, Exit, INFERRED, Kind, Word};

use super::reading::Probe;

/// A time that is known to lie between two others.
pub(super) type Window = (DateTime<Utc>, DateTime<Utc>);

/// How the end came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// A look found the process ended, or a frame told the end.
    Witnessed,
    /// Only what came after proves it.
    Missed,
}

/// Everything that is known of one end.
#[derive(Debug, Clone)]
pub(super) struct End {
    /// The exit code; `None` where the source no longer has it.
    pub(super) code: Option<i64>,
    /// Whether that code is one of success.
    pub(super) ok: bool,
    /// How it came to be known.
    pub(super) seen: Seen,
    /// Whether the supervisor's policy begins the process again.
    pub(super) policy: bool,
    /// Whether the stream told everything from a look of this run on to its end.
    pub(super) covered: bool,
    /// When it was told to end, if that was seen.
    pub(super) stopping: Option<Window>,
    /// Since when it was not ready, if it was so to the last.
    pub(super) not_ready: Option<Window>,
    /// The readiness probe: `None` = not known, `Some(None)` = there is none.
    pub(super) probe: Option<Option<Probe>>,
    /// Whether one of our own commands asked for it.
    pub(super) intent: bool,
    /// Whether it is a daemon's, whose exit code is the launcher's.
    pub(super) daemon: bool,
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
    let mut verdict = if end.policy {
        after_policy(end)
    } else {
        match end.code {
            None if asked => stopped("requested", end, true),
            None => stopped("replaced", end, false),
            Some(_) if end.ok => stopped(if asked { "requested" } else { "exited" }, end, asked),
            Some(_) if end.intent => stopped("requested", end, true),
            Some(_) => match end.stopping {
                Some(stopping) => told_to_end(end, stopping),
                None if end.covered => crashed(by_code(end), end, CERTAIN),
                None => crashed(by_code(end), end, AMBIGUOUS),
            },
        }
    };
    let doubtful = verdict.kind == Kind::Crashed && !end.policy && !end.covered;
    if end.code.is_none() || (end.seen == Seen::Missed && !doubtful) {
        verdict.certainty = INFERRED;
    } else if end.daemon && verdict.certainty == CERTAIN {
        verdict.certainty = AMBIGUOUS;
    }
    verdict
}

/// A requested stop is never followed by the policy: whoever told this process to end was the supervisor itself.
fn after_policy(end: &End) -> Verdict {
    if end.stopping.is_some() {
        crashed("unhealthy", end, CERTAIN)
    } else if end.ok {
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
    let Some(probe) = end.probe else {
        return crashed("unhealthy", end, AMBIGUOUS);
    };
    let Some(probe) = probe else {
        return stopped("requested", end, true);
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
    match (end.seen, end.code) {
        (Seen::Missed, _) => "missed",
        (_, Some(code)) if is_signal(code) => "signal",
        _ => "exit",
    }
}

fn stopped(reason: &'static str, end: &End, requested: bool) -> Verdict {
    let exit = Exit {
        code: end.code,
        signal: end.code.and_then(signal),
        expected: requested || end.ok,
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
        code: end.code,
        signal: end.code.and_then(signal),
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
