//! The events of the process domain, and how they are told.

use std::borrow::Cow;

use chrono::{DateTime, TimeDelta, Utc};

use crate::event::payload::{Kind, Payload, Severity};
use crate::event::tell::Tell;

/// One thing that happened to one process.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessEvent {
    /// What is told of it.
    pub payload: Payload,
}

impl ProcessEvent {
    /// The process it happened to.
    pub fn process(&self) -> &str {
        &self.payload.state.name
    }
}

/// Tells process events; has nothing to know besides them.
#[derive(Debug, Clone, Copy, Default)]
pub struct TellProcess;

impl Tell for TellProcess {
    type Event = ProcessEvent;

    fn key<'e>(&self, event: &'e ProcessEvent) -> &'e str {
        &event.payload.state.name
    }

    fn tell<'e>(&self, event: &'e ProcessEvent) -> Cow<'e, Payload> {
        Cow::Borrowed(&event.payload)
    }
}

/// How many crashes within [`CRITICAL_WITHIN`] make the last of them critical.
const CRITICAL_AT: usize = 5;
/// The stretch in which crashes are counted.
const CRITICAL_WITHIN: TimeDelta = TimeDelta::minutes(10);

/// The severity of an event; `crashes` are the times of the crashes told before, newest last.
pub(super) fn severity(
    kind: &Kind,
    reason: &str,
    crashes: &[DateTime<Utc>],
    count: u32,
    at: DateTime<Utc>,
) -> Severity {
    match (kind, reason) {
        (Kind::Crashed, _) => {
            let recent = crashes
                .iter()
                .filter(|&&crash| at - crash <= CRITICAL_WITHIN)
                .count();
            if recent + usize::try_from(count).unwrap_or(CRITICAL_AT) >= CRITICAL_AT {
                Severity::Critical
            } else {
                Severity::Error
            }
        }
        (Kind::Unhealthy, "starting") => Severity::Info,
        (Kind::Unhealthy, _)
        | (Kind::Restarted, "policy" | "unknown")
        | (Kind::StatusChanged, "dependency_failed") => Severity::Warning,
        _ => Severity::Info,
    }
}

/// Remembers crashes for [`severity`]: one less than make the next one critical.
pub(super) fn remember_crashes(crashes: &mut Vec<DateTime<Utc>>, count: u32, at: DateTime<Utc>) {
    let new = usize::try_from(count)
        .unwrap_or(CRITICAL_AT)
        .min(CRITICAL_AT - 1);
    crashes.extend(std::iter::repeat_n(at, new));
    let surplus = crashes.len().saturating_sub(CRITICAL_AT - 1);
    crashes.drain(..surplus);
}
