//! What is told of one run, before it has its number, and how equal neighbours are told in one breath.

use chrono::{DateTime, Utc};

use crate::event::payload::{Exit, Kind, Occurred, Payload, Previous, Word};

use super::diff::Look;
use super::event::{ProcessEvent, remember_crashes, severity};
use super::reading::Vitals;
use super::table::{LastEnd, Row};

/// One thing to be told, before it has its number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    pub(super) kind: Kind,
    pub(super) reason: Word,
    pub(super) certainty: Word,
    pub(super) exit: Option<Exit>,
    pub(super) count: u32,
    pub(super) at: Option<DateTime<Utc>>,
    pub(super) before: DateTime<Utc>,
    pub(super) after_end: AfterEnd,
}

/// What is known of an end for the beginning behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterEnd {
    /// Nothing in particular.
    Nothing,
    /// Somebody asked for it.
    Requested,
    /// The supervisor's policy begins the process again.
    Policy,
}

impl Told {
    pub(super) fn new(
        kind: Kind,
        reason: impl Into<Word>,
        certainty: Word,
        before: DateTime<Utc>,
    ) -> Self {
        Self {
            kind,
            reason: reason.into(),
            certainty,
            exit: None,
            count: 1,
            at: None,
            before,
            after_end: AfterEnd::Nothing,
        }
    }

    /// Gives it the next number of its process, and the row what a later event must know of it.
    pub(super) fn number(
        &self,
        row: &mut Row,
        vitals: &Vitals,
        previous: Option<Previous>,
        look: &Look<'_>,
    ) -> ProcessEvent {
        let memory = &mut row.memory;
        memory.process_seq = memory.process_seq.saturating_add(1);
        let severity = severity(
            &self.kind,
            &self.reason,
            &memory.crashes,
            self.count,
            look.ended,
        );
        if self.kind == Kind::Crashed {
            remember_crashes(&mut memory.crashes, self.count, look.ended);
        }
        if self.kind.is_end() {
            memory.last_end = Some(LastEnd {
                at: self.before,
                requested: self.after_end == AfterEnd::Requested,
            });
        }
        let process_seq = memory.process_seq;
        let payload = Payload {
            kind: self.kind.clone(),
            severity,
            state: row.state(vitals),
            reason: self.reason.clone(),
            certainty: self.certainty.clone(),
            occurred: Occurred {
                // A frame may be older than the end of the look it overtook, and clocks step back.
                after: look.after.map(|after| after.min(self.before)),
                before: self.before,
                at: self.at,
            },
            exit: self.exit,
            count: self.count,
            previous,
            process_seq,
        };
        ProcessEvent { payload }
    }

    fn is_like(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.reason == other.reason
            && self.certainty == other.certainty
            && self.exit == other.exit
    }
}

/// Folds equal neighbours: a pair that repeats is told once with its count.
pub(super) fn folded(acts: &[Told]) -> Vec<Told> {
    let mut out: Vec<Told> = Vec::new();
    let mut rest = acts;
    while let [first, tail @ ..] = rest {
        let mut pairs = 1;
        if let [second, ..] = tail {
            while rest.len() >= 2 * (pairs + 1)
                && rest[2 * pairs].is_like(first)
                && rest[2 * pairs + 1].is_like(second)
            {
                pairs += 1;
            }
        }
        if pairs > 1 {
            let count = u32::try_from(pairs).unwrap_or(u32::MAX);
            let last = &rest[2 * (pairs - 1)..2 * pairs];
            out.extend(last.iter().map(|told| Told {
                count,
                ..told.clone()
            }));
            rest = &rest[2 * pairs..];
        } else {
            out.push(first.clone());
            rest = tail;
        }
    }
    out
}
