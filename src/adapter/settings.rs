//! What the adapter is told at its start, what it calls back, and what it says about itself.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::event::payload::{Word, millis};
use crate::event::sieve::Sieve;
use crate::event::store::{Identity, Outgoing};
use crate::event::subject::Prefix;

use super::pulse::Pulse;

/// How much an adapter keeps in memory of what the broker has not taken, in bytes, unless told otherwise.
pub const PENDING_BYTES: usize = 8 * 1024 * 1024;

/// How firmly the name of the source is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It was derived from the project's name.
    Derived,
    /// A person gave it by `--source`.
    Given,
    /// A person said `--adopt`.
    Adopt,
}

/// What does not change while an adapter runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of the source.
    pub source: String,
    /// The name of this adapter: the same after a restart, another one for each other adapter.
    pub adapter: String,
    /// The interval of the looks.
    pub interval: Duration,
    /// Who is watched.
    pub identity: Identity,
    /// Prefix of the subjects.
    pub prefix: Prefix,
    /// How firmly the source's name is ours.
    pub claim: Claim,
    /// The most that is kept in memory of what the broker has not taken, in bytes ([`PENDING_BYTES`]).
    pub pending_bytes: usize,
    /// Where what the broker has not taken waits on the disk; without it, memory alone keeps it.
    pub spool: Option<SpoolPlace>,
    /// Which events are not told.
    pub sieve: Option<Arc<Sieve>>,
}

/// How much the spool may hold, in bytes, unless told otherwise.
pub const SPOOL_BYTES: u64 = 64 * 1024 * 1024;

/// Where the spool lies, and how much it may hold. Nobody else may use the same file at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolPlace {
    /// The file; its folder is made when it is needed.
    pub path: PathBuf,
    /// The most that its frames may take up, in bytes, before they are given up for the net difference.
    pub limit: u64,
}

/// The highest event of ours that the broker acknowledged; belongs, synced, into the state folder, one file for each
/// stream and source, so that a restored backup does not give a number twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The journal the number counts in.
    pub journal: String,
    /// The number.
    pub seq: u64,
    /// The end of the look it came from: what orders two journals.
    #[serde(with = "millis")]
    pub looked_at: DateTime<Utc>,
}

/// Why a state was replaced by that of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RebaseCause {
    /// Another adapter told more than we knew.
    Overtaken,
    /// The head went back in time: a backup was restored.
    RolledBack,
    /// The stream, or a part of the head, is gone.
    StreamLost,
    /// What waited for the broker grew too large and was given up for the net difference.
    PendingFull,
    /// What waited for the broker could not be read back from the disk and was given up for the net difference.
    SpoolCorrupt,
    /// Our reading has an older epoch than the head: looked at again before anything is concluded.
    OlderEpoch,
    /// The adapter that looked in our place stands still.
    TookOver,
}

/// What the adapter has to say about itself; whoever prints makes one line of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The broker took a commit.
    Committed {
        /// Events in it.
        events: usize,
        /// The number of the last of them.
        seq: u64,
        /// How long the broker took.
        took: Duration,
        /// Messages in the batch: the root, the shards and the events.
        messages: usize,
    },
    /// The root was refreshed.
    Refreshed,
    /// The broker takes nothing at present; what is told meanwhile waits.
    BrokerAway {
        /// What the last attempt said.
        why: String,
    },
    /// The broker takes commits again.
    BrokerBack {
        /// Events that had waited and were told now.
        replayed: u64,
    },
    /// Our state was replaced by that of the head.
    Rebased(RebaseCause),
    /// The source cannot be seen.
    SourceAway {
        /// Why, in one word.
        why: Word,
        /// Since when.
        since: DateTime<Utc>,
    },
    /// The source is seen again.
    SourceBack,
    /// What the broker has not taken cannot be written to the disk; it is kept in memory. Said once.
    SpoolFails {
        /// Where, and what the system said.
        why: String,
    },
    /// The name was taken over from another server, as one line says.
    TakenOver {
        /// The line.
        line: String,
    },
    /// The adapter ends, and these events wait on the disk for its next start.
    Spooled {
        /// How many.
        events: u64,
        /// Where.
        path: PathBuf,
    },
    /// The adapter ends, and these events still waited for the broker; the next start tells the difference instead.
    GivenUp {
        /// How many.
        events: u64,
    },
    /// Another adapter looks and tells; we stand by and read its root instead.
    StandingBy {
        /// Its name.
        owner: String,
    },
    /// The adapter that looked in our place stands still: we look and tell from now on.
    TookOver {
        /// Its name.
        from: String,
        /// For how long its root has not moved, by our clock.
        still: Duration,
    },
    /// We stood by, and look again beside the others: the head is gone, or describes another run of the source.
    LooksAgain,
    /// A gap was told.
    GapTold {
        /// Why nobody looked or told.
        why: Word,
        /// Events that were dropped with the stretch, where they were counted.
        events: Option<u64>,
    },
}

/// Gives the current time; injected, so that tests have their own.
pub type Clock = Box<dyn Fn() -> DateTime<Utc> + Send + Sync>;
/// Gives a random name of eight lower-case hexadecimal digits, another one at each call.
pub type Names = Box<dyn Fn() -> String + Send + Sync>;
/// Gives the one word for an error of the source (`refused`, `timeout`).
pub type ErrorWord = Box<dyn Fn(&(dyn Error + Send + Sync + 'static)) -> Word + Send + Sync>;

/// Hears of each event that the broker has, in its order.
pub type Told = Box<dyn FnMut(&Outgoing) + Send + Sync>;

/// What the adapter calls; nothing here may block for longer than a synced write takes.
pub struct Hooks {
    /// The wall clock.
    pub now: Clock,
    /// Names for journals and commits.
    pub names: Names,
    /// The word for an error of the source.
    pub word: ErrorWord,
    /// Called after each acknowledged commit that held an event.
    pub acknowledged: Box<dyn FnMut(&Acknowledged) + Send + Sync>,
    /// Called with everything worth a line.
    pub notice: Box<dyn FnMut(Notice) + Send + Sync>,
    /// Called with each event once it is acknowledged, where somebody wants to hear of it.
    pub told: Option<Told>,
    /// Where the adapter's numbers are kept.
    pub pulse: Arc<Pulse>,
}

impl Hooks {
    /// The real clock and random names; nothing is remembered, nothing is said, every error is `unreachable`.
    pub fn quiet() -> Self {
        Self {
            now: Box::new(Utc::now),
            names: Box::new(random_name),
            word: Box::new(|_| "unreachable".into()),
            acknowledged: Box::new(|_| {}),
            notice: Box::new(|_| {}),
            told: None,
            pulse: Arc::default(),
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// Eight random lower-case hexadecimal digits.
pub fn random_name() -> String {
    format!("{:08x}", fastrand::u32(..))
}
