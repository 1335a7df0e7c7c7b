//! What is watched here at present: one entry for each source, put there when it begins and taken off when it ends.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::adapter::pulse::Pulse;
use crate::adapter::settings::Told as Hears;
use crate::observation::handle::ObservationHandle;
use crate::observation::runtime::Clock;
use crate::observation::source::SourceId;
use crate::process::event::ProcessEvent;
use crate::process::table::Table;

use super::looks::Looks;
use super::ring::{Ring, Told};
use super::tally::Tally;

/// Reads what the runtime of a source sees.
pub type Handle = ObservationHandle<Table, ProcessEvent>;

/// What is counted of one source; made before it is looked at, because the first look counts.
#[derive(Debug, Clone)]
pub struct Account {
    /// What is watched.
    pub source: SourceId,
    /// The looks, for the observer.
    pub looks: Arc<Looks>,
    /// The numbers of the adapter, for its hooks.
    pub pulse: Arc<Pulse>,
    tally: Arc<Mutex<Tally>>,
    ring: Arc<Mutex<Ring>>,
}

impl Account {
    /// What is to hear of each event that the broker has.
    pub fn hears(&self) -> Hears {
        let (tally, ring) = (Arc::clone(&self.tally), Arc::clone(&self.ring));
        let source: Arc<str> = self.source.as_str().into();
        Box::new(move |event| {
            lock(&tally).count(&event.payload);
            lock(&ring).push(Told {
                source: Arc::clone(&source),
                text: event.payload.as_slice().into(),
            });
        })
    }
}

/// One source on the board.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) account: Account,
    pub(super) handle: Handle,
    /// Looks that take longer than this to come to an end have stopped.
    pub(super) patience: Duration,
    number: u64,
}

impl Entry {
    pub(super) fn source(&self) -> &str {
        self.account.source.as_str()
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.account.tally)
    }
}

/// What is watched here; clones are the same board.
#[derive(Clone)]
pub struct Board(Arc<Inner>);

struct Inner {
    clock: Clock,
    ring: Arc<Mutex<Ring>>,
    entries: Mutex<Vec<Arc<Entry>>>,
    numbers: AtomicU64,
}

impl Board {
    /// An empty board of a run of the program that has this random name.
    pub fn new(run: String, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            clock,
            ring: Arc::new(Mutex::new(Ring::new(run))),
            entries: Mutex::default(),
            numbers: AtomicU64::new(0),
        }))
    }

    /// An account for a source that is about to begin.
    pub fn account(&self, source: SourceId) -> Account {
        Account {
            source,
            looks: Arc::default(),
            pulse: Arc::default(),
            tally: Arc::default(),
            ring: Arc::clone(&self.0.ring),
        }
    }

    /// Puts a source on the board until what is returned is dropped. One whose looks do not come to an end for longer
    /// than `patience` counts as one that stands still.
    pub fn put(&self, account: Account, handle: Handle, patience: Duration) -> Seat {
        let number = self.0.numbers.fetch_add(1, Ordering::Relaxed);
        let entry = Entry {
            account,
            handle,
            patience,
            number,
        };
        let mut entries = lock(&self.0.entries);
        entries.push(Arc::new(entry));
        entries.sort_by(|a, b| a.source().cmp(b.source()).then(a.number.cmp(&b.number)));
        Seat {
            board: self.clone(),
            number,
        }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        (self.0.clock)()
    }

    /// What is watched, by name, or of it what is called so.
    pub(super) fn entries(&self, source: Option<&str>) -> Vec<Arc<Entry>> {
        let entries = lock(&self.0.entries);
        let wanted = entries
            .iter()
            .filter(|entry| source.is_none_or(|source| entry.source() == source));
        wanted.cloned().collect()
    }

    pub(super) fn ring(&self) -> MutexGuard<'_, Ring> {
        lock(&self.0.ring)
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").finish_non_exhaustive()
    }
}

/// The place of a source on the board; dropped, it is taken off.
#[derive(Debug)]
#[must_use = "dropped, the source is taken off the board"]
pub struct Seat {
    board: Board,
    number: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.board.0.entries).retain(|entry| entry.number != self.number);
    }
}

/// Nothing behind these locks can be half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
