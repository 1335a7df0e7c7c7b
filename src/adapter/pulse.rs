//! What an adapter shows of itself while it runs: plain numbers, written where things happen and read by whoever wants
//! to.
//!
//! Nobody waits for them and nothing is decided by them. They cost a few stores to memory for each report.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::event::store::StoreError;

/// What an adapter is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// It has reported nothing yet.
    Beginning,
    /// It looks and tells.
    Telling,
    /// It looks; what it would tell waits for the broker.
    Waiting,
    /// It looks and tells nothing: the broker was away from the start, and what was told last is not known.
    Blind,
    /// Another adapter looks and tells.
    StandingBy,
}

impl Doing {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Beginning,
        Self::Telling,
        Self::Waiting,
        Self::Blind,
        Self::StandingBy,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Beginning => "beginning",
            Self::Telling => "telling",
            Self::Waiting => "waiting",
            Self::Blind => "blind",
            Self::StandingBy => "standing_by",
        }
    }
}

/// Why a commit did not come to be, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// Another adapter had moved the head.
    Fenced,
    /// The broker was busy.
    Busy,
    /// The stream was gone.
    NoStream,
    /// The broker did not answer: what became of it is found out from the head.
    Unanswered,
    /// The broker will never take it.
    Refused,
}

impl Rejection {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Fenced,
        Self::Busy,
        Self::NoStream,
        Self::Unanswered,
        Self::Refused,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fenced => "fenced",
            Self::Busy => "busy",
            Self::NoStream => "no_stream",
            Self::Unanswered => "unanswered",
            Self::Refused => "refused",
        }
    }

    fn of(error: &StoreError) -> Self {
        match error {
            StoreError::Fenced => Self::Fenced,
            StoreError::Busy(_) => Self::Busy,
            StoreError::NoStream => Self::NoStream,
            StoreError::Unknown(_) | StoreError::Away => Self::Unanswered,
            StoreError::Refused(_) | StoreError::Invalid(_) => Self::Refused,
        }
    }
}

/// The numbers of one adapter.
#[derive(Debug)]
pub struct Pulse {
    born: Instant,
    /// When the last report was answered, in milliseconds since `born`, and one more; 0 before the first.
    beat: AtomicU64,
    doing: AtomicU8,
    has_broker: AtomicBool,
    commits: AtomicU64,
    refreshes: AtomicU64,
    rejected: [AtomicU64; Rejection::ALL.len()],
    left_out: AtomicU64,
    waiting: AtomicU64,
    spool_bytes: AtomicU64,
    /// The look that the head speaks of, in milliseconds since 1970; `i64::MIN` where there is none.
    head_at: AtomicI64,
}

/// How an adapter stands after a report.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stand {
    pub(super) doing: Doing,
    pub(super) has_broker: bool,
    pub(super) waiting: u64,
    pub(super) spool_bytes: u64,
    pub(super) head_at: Option<DateTime<Utc>>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            born: Instant::now(),
            beat: AtomicU64::new(0),
            doing: AtomicU8::new(0),
            has_broker: AtomicBool::new(false),
            commits: AtomicU64::new(0),
            refreshes: AtomicU64::new(0),
            rejected: Default::default(),
            left_out: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            spool_bytes: AtomicU64::new(0),
            head_at: AtomicI64::new(i64::MIN),
        }
    }
}

impl Pulse {
    /// How long ago the last report was answered; none before the first.
    pub fn since_beat(&self) -> Option<Duration> {
        let beat = self.beat.load(Ordering::Relaxed).checked_sub(1)?;
        Some(
            self.born
                .elapsed()
                .saturating_sub(Duration::from_millis(beat)),
        )
    }

    /// What it is doing.
    pub fn doing(&self) -> Doing {
        let at = usize::from(self.doing.load(Ordering::Relaxed));
        Doing::ALL.get(at).copied().unwrap_or(Doing::Beginning)
    }

    /// Whether the broker takes what is told.
    pub fn has_broker(&self) -> bool {
        self.has_broker.load(Ordering::Relaxed)
    }

    /// Commits that the broker acknowledged and that held an event.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Commits that only refreshed the head.
    pub fn refreshes(&self) -> u64 {
        self.refreshes.load(Ordering::Relaxed)
    }

    /// Commits that did not come to be for this reason.
    pub fn rejected(&self, why: Rejection) -> u64 {
        self.rejected[why as usize].load(Ordering::Relaxed)
    }

    /// Events that were seen and left out.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Events that wait for the broker.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// What they take up on the disk, in bytes.
    pub fn spool_bytes(&self) -> u64 {
        self.spool_bytes.load(Ordering::Relaxed)
    }

    /// The end of the look that the head in the broker speaks of, as far as we know it.
    pub fn head_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.head_at.load(Ordering::Relaxed))
    }

    pub(super) fn leaves_out(&self, events: u64) {
        self.left_out.fetch_add(events, Ordering::Relaxed);
    }

    pub(super) fn committed(&self, events: usize) {
        let counter = if events == 0 {
            &self.refreshes
        } else {
            &self.commits
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reject(&self, error: &StoreError) {
        self.rejected[Rejection::of(error) as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stands(&self, stand: Stand) {
        let beat = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        let head_at = stand.head_at.map_or(i64::MIN, |at| at.timestamp_millis());
        self.doing.store(stand.doing as u8, Ordering::Relaxed);
        self.has_broker.store(stand.has_broker, Ordering::Relaxed);
        self.waiting.store(stand.waiting, Ordering::Relaxed);
        self.spool_bytes.store(stand.spool_bytes, Ordering::Relaxed);
        self.head_at.store(head_at, Ordering::Relaxed);
        self.beat.store(beat + 1, Ordering::Relaxed);
    }
}
