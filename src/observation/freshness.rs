//! How old a value is. Pure: it is told the time, and nothing of it is ever stored.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// An error that several readers look at.
pub type SharedError = Arc<dyn std::error::Error + Send + Sync>;

/// What a value is worth at the moment it is read.
#[derive(Debug, Clone)]
pub enum Freshness {
    /// No look has succeeded yet, and none has failed.
    Unseen,
    /// Seen a moment ago.
    Fresh,
    /// Seen, but longer ago than two intervals and the time limit of a look; the outlet may be
    /// holding the looks back.
    Stale(Duration),
    /// The last look failed.
    Failing {
        /// How many in a row.
        count: u32,
        /// When the first of them ended.
        since: DateTime<Utc>,
        /// Why the last one failed.
        error: SharedError,
    },
    /// There is nothing to look at: the provider gives no source, or has never answered.
    NoSource {
        /// Since when.
        since: DateTime<Utc>,
    },
    /// Somebody holds the looks back since then: a reader of ours, or the outlet, because another one
    /// looks.
    Held(DateTime<Utc>),
    /// The run is over; nothing will ever be seen again.
    Ended,
}

impl Freshness {
    /// Whether the value may be taken for the present.
    pub fn is_fresh(&self) -> bool {
        matches!(self, Self::Fresh)
    }

    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unseen => "unseen",
            Self::Fresh => "fresh",
            Self::Stale(_) => "stale",
            Self::Failing { .. } => "failing",
            Self::NoSource { .. } => "no source",
            Self::Held(_) => "held",
            Self::Ended => "ended",
        }
    }

    /// The one that counts most of what is known.
    pub(super) fn judge(facts: &Facts<'_>, now: Instant) -> Self {
        if facts.ended {
            return Self::Ended;
        }
        if let Some(since) = facts.held {
            return Self::Held(since);
        }
        if let Some(since) = facts.no_source {
            return Self::NoSource { since };
        }
        if let Some(Failing {
            count,
            since,
            error,
        }) = facts.failing
        {
            return Self::Failing {
                count: *count,
                since: *since,
                error: Arc::clone(error),
            };
        }
        match facts.seen.map(|seen| now.saturating_duration_since(seen)) {
            None => Self::Unseen,
            Some(age) if age > facts.stale_after => Self::Stale(age),
            Some(_) => Self::Fresh,
        }
    }
}

/// A stretch of failed looks.
#[derive(Debug, Clone)]
pub(super) struct Failing {
    pub(super) count: u32,
    pub(super) since: DateTime<Utc>,
    pub(super) error: SharedError,
}

/// What freshness is judged from.
pub(super) struct Facts<'a> {
    pub(super) ended: bool,
    pub(super) held: Option<DateTime<Utc>>,
    pub(super) no_source: Option<DateTime<Utc>>,
    pub(super) failing: Option<&'a Failing>,
    pub(super) seen: Option<Instant>,
    pub(super) stale_after: Duration,
}

/// A value, when it was seen, and what it is worth; never the one without the others.
#[derive(Debug, Clone)]
pub struct Observed<T> {
    value: Option<T>,
    seen_at: Option<DateTime<Utc>>,
    freshness: Freshness,
}

impl<T> Observed<T> {
    pub(super) fn new(
        value: Option<T>,
        seen_at: Option<DateTime<Utc>>,
        freshness: Freshness,
    ) -> Self {
        Self {
            value,
            seen_at,
            freshness,
        }
    }

    /// What the value is worth.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// When the last successful look ended.
    pub fn seen_at(&self) -> Option<DateTime<Utc>> {
        self.seen_at
    }

    /// The value, if there ever was one, and what it is worth.
    pub fn parts(&self) -> (Option<&T>, &Freshness) {
        (self.value.as_ref(), &self.freshness)
    }

    /// The value, if there ever was one, and what it is worth.
    pub fn into_parts(self) -> (Option<T>, Freshness) {
        (self.value, self.freshness)
    }

    /// Another view of the value, worth the same.
    pub fn map<U>(self, view: impl FnOnce(T) -> U) -> Observed<U> {
        Observed {
            value: self.value.map(view),
            seen_at: self.seen_at,
            freshness: self.freshness,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn of_several_facts_the_one_that_counts_most_is_told() {
        let now = Instant::now();
        let failing = Failing {
            count: 2,
            since: DateTime::UNIX_EPOCH,
            error: Arc::new(std::io::Error::other("away")),
        };
        let mut facts = Facts {
            ended: false,
            held: None,
            no_source: None,
            failing: None,
            seen: None,
            stale_after: Duration::from_secs(9),
        };
        let word = |facts: &Facts<'_>, later: u64| {
            Freshness::judge(facts, now + Duration::from_secs(later)).as_str()
        };
        assert_eq!(word(&facts, 99), "unseen");
        facts.seen = Some(now);
        assert_eq!(word(&facts, 9), "fresh");
        assert_eq!(word(&facts, 10), "stale");
        facts.failing = Some(&failing);
        assert_eq!(word(&facts, 0), "failing");
        facts.no_source = Some(DateTime::UNIX_EPOCH);
        assert_eq!(word(&facts, 0), "no source");
        facts.held = Some(DateTime::UNIX_EPOCH);
        assert_eq!(word(&facts, 0), "held");
        facts.ended = true;
        assert_eq!(word(&facts, 0), "ended");
    }
}
