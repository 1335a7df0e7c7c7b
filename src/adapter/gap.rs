//! When a stretch is told in which nobody looked, or nobody could tell, and what is said of it. Pure.

use chrono::{DateTime, Utc};

use crate::event::envelope::SourceNotice;
use crate::event::payload::{Gap, Kind, Occurred, Severity, Word};
use crate::event::store::Root;

use super::settings::Acknowledged;

/// Nobody looked: the root stood still.
pub const ADAPTER_DOWN: &str = "adapter_down";
/// We looked and the source could not be seen.
pub const SOURCE_UNREACHABLE: &str = "source_unreachable";
/// What waited for the broker grew too large; the net difference is told instead.
pub const SPOOL_FULL: &str = "spool_full";
/// What waited for the broker could not be read back from the disk; the net difference is told instead.
pub const SPOOL_CORRUPT: &str = "spool_corrupt";
/// What waited for the broker was dropped, because another adapter told more.
pub const SUPERSEDED: &str = "superseded";
/// The head found is older than what had been told: a backup was restored.
pub const ROLLED_BACK: &str = "rolled_back";
/// The stream, or a part of the head, was gone.
pub const STREAM_LOST: &str = "stream_lost";

/// The word of ours that is written like this.
pub(super) fn known(why: &str) -> Option<&'static str> {
    [
        ADAPTER_DOWN,
        SOURCE_UNREACHABLE,
        SPOOL_FULL,
        SPOOL_CORRUPT,
        SUPERSEDED,
        ROLLED_BACK,
        STREAM_LOST,
    ]
    .into_iter()
    .find(|known| *known == why)
}

/// A gap that has not been told yet: its end is the next successful look, unless it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    /// Where it begins; none where that is not known.
    pub from: Option<DateTime<Utc>>,
    /// Where it ends, if not at the look that tells it.
    pub to: Option<DateTime<Utc>>,
    /// Why.
    pub why: &'static str,
    /// Events that were dropped with it, where somebody counted them.
    pub events: Option<u64>,
}

impl Owed {
    /// A stretch from a time, if known, to the look that will tell it.
    pub fn since(from: Option<DateTime<Utc>>, why: &'static str) -> Self {
        Self {
            from,
            to: None,
            why,
            events: None,
        }
    }

    /// What is told at the end of a look.
    pub fn notice(&self, at: DateTime<Utc>) -> SourceNotice {
        let why = Word::Borrowed(self.why);
        let to = self.to.unwrap_or(at);
        SourceNotice {
            kind: Kind::Gap,
            severity: Severity::Warning,
            reason: why.clone(),
            occurred: Occurred {
                after: self.from,
                before: to,
                at: None,
            },
            gap: Some(Gap {
                from: self.from,
                to,
                why,
                events: self.events,
                sieve: None,
                next_sieve: None,
            }),
        }
    }
}

/// Adds a gap to those owed; two of one cause become one, because a reader gains nothing from both.
pub fn owe(owed: &mut Vec<Owed>, gap: Owed) {
    let Some(same) = owed.iter_mut().find(|known| known.why == gap.why) else {
        owed.push(gap);
        return;
    };
    same.from = same.from.zip(gap.from).map(|(a, b)| a.min(b));
    same.to = same.to.zip(gap.to).map(|(a, b)| a.max(b));
    same.events = match (same.events, gap.events) {
        (None, None) => None,
        (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
    };
}

/// Whether the head found lies before what we had acknowledged, so that going on would give a number twice. Within one
/// journal the numbers tell; between two journals the looks do, with room for clocks that differ.
pub fn is_rolled_back(root: &Root, remembered: Option<&Acknowledged>) -> bool {
    remembered.is_some_and(|known| {
        if known.journal == root.journal {
            root.seq < known.seq
        } else {
            let passed = (known.looked_at - root.looked_at).to_std();
            passed.is_ok_and(|passed| passed > root.stale_after())
        }
    })
}
