//! What is watched here at present: one entry for each source, put there when it begins and taken off when it ends. Where
//! it is known what is to be watched, whatever of that is not watched at present is found here as missing.

use std::collections::BTreeMap;
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
            lock(&tally).count(event.payload());
            lock(&ring).push(Told {
                source: Arc::clone(&source),
                text: event.payload().into(),
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

/// A source that is to be watched here and is not.
#[derive(Debug, Clone)]
pub(super) struct Missing {
    pub(super) source: SourceId,
    /// Why it came to nothing last time, if it was tried.
    pub(super) why: Option<Arc<str>>,
    /// Whether it is tried at present.
    pub(super) tried: bool,
}

/// What is found on the board for one source.
#[derive(Debug, Clone)]
pub(super) enum Listed {
    Watched(Arc<Entry>),
    Missing(Missing),
}

impl Listed {
    pub(super) fn source(&self) -> &str {
        match self {
            Self::Watched(entry) => entry.source(),
            Self::Missing(missing) => missing.source.as_str(),
        }
    }
}

/// What is watched here; clones are the same board.
#[derive(Clone)]
pub struct Board(Arc<Inner>);

struct Inner {
    clock: Clock,
    ring: Arc<Mutex<Ring>>,
    lists: Mutex<Lists>,
    numbers: AtomicU64,
}

/// Behind one lock, so that nobody finds a source in neither.
#[derive(Default)]
struct Lists {
    entries: Vec<Arc<Entry>>,
    /// What is to be watched, watched or not.
    wanted: BTreeMap<SourceId, Missing>,
    /// Where something is to be watched whose name is not known yet.
    nameless: Vec<String>,
}

impl Lists {
    fn is_watched(&self, source: &SourceId) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|entry| entry.account.source == *source)
    }
}

impl Board {
    /// An empty board of a run of the program that has this random name.
    pub fn new(run: String, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            clock,
            ring: Arc::new(Mutex::new(Ring::new(run))),
            lists: Mutex::default(),
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
        let mut lists = lock(&self.0.lists);
        let (begun, entries) = (entry.account.source.clone(), &mut lists.entries);
        entries.push(Arc::new(entry));
        entries.sort_by(|a, b| a.source().cmp(b.source()).then(a.number.cmp(&b.number)));
        if let Some(wish) = lists.wanted.get_mut(&begun) {
            (wish.why, wish.tried) = (None, false);
        }
        Seat {
            board: self.clone(),
            number,
        }
    }

    /// These are to be watched from now on, and no others: each of them that has no seat is shown as missing.
    pub fn wants(&self, sources: impl IntoIterator<Item = SourceId>) {
        let mut lists = lock(&self.0.lists);
        let mut former = std::mem::take(&mut lists.wanted);
        let wishes = sources.into_iter().map(|source| {
            let wish = former.remove(&source).unwrap_or_else(|| Missing {
                source: source.clone(),
                why: None,
                tried: false,
            });
            (source, wish)
        });
        lists.wanted = wishes.collect();
    }

    /// At these places something is to be watched whose name is not known, because it was never reached.
    pub fn awaits(&self, places: Vec<String>) {
        lock(&self.0.lists).nameless = places;
    }

    pub(super) fn nameless(&self) -> Vec<String> {
        lock(&self.0.lists).nameless.clone()
    }

    /// It is tried to watch a source that is wanted.
    pub fn tries(&self, source: &SourceId) {
        if let Some(wish) = lock(&self.0.lists).wanted.get_mut(source) {
            wish.tried = true;
        }
    }

    /// A source that is wanted is not watched any more, or never was, and why that is, in words for people.
    pub fn lacks(&self, source: &SourceId, why: Option<&str>) {
        if let Some(wish) = lock(&self.0.lists).wanted.get_mut(source) {
            (wish.why, wish.tried) = (why.map(Into::into), false);
        }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        (self.0.clock)()
    }

    /// What is watched or is to be, by name, or of it what is called so.
    pub(super) fn listed(&self, source: Option<&str>) -> Vec<Listed> {
        let lists = lock(&self.0.lists);
        let watched = lists.entries.iter().cloned().map(Listed::Watched);
        let missing = lists.wanted.values();
        let missing = missing.filter(|wish| !lists.is_watched(&wish.source));
        let all = watched.chain(missing.cloned().map(Listed::Missing));
        let mut all: Vec<Listed> = all
            .filter(|listed| source.is_none_or(|source| listed.source() == source))
            .collect();
        all.sort_by(|a, b| a.source().cmp(b.source()));
        all
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
        let mut lists = lock(&self.board.0.lists);
        lists.entries.retain(|entry| entry.number != self.number);
    }
}

/// Nothing behind these locks can be half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
