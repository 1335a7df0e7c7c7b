//! What is told of one run, before it has its number, and how equal neighbours are told in one breath.

use chrono::{DateTime, Utc};

use crate::event::payload::{Exit, Kind, Word};

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
