//! What the state stream said, kept until somebody has used it, and how completely it was heard.
//!
//! A frame is evidence only together with its coverage: a name is *covered* from an index on if every frame of it from
//! there on has come to us. A broken connection, a frame that could not be kept or read, ends the coverage; the frames
//! heard so far stay, for what they say remains true: of the run of the server that sent them, and of no other.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use super::wire::WireFrame;

mod frame;

pub use frame::Frame;

/// Live frames kept in all.
pub const MAX_FRAMES: usize = 4096;

/// Bytes of kept frames in all, as estimated.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Names kept in all; a server that invents more of them than this is no longer listened to for the old ones.
pub const MAX_NAMES: usize = 65_536;

/// Bytes of kept names in all.
const MAX_NAME_BYTES: usize = 16 * 1024 * 1024;

/// What one kept frame costs beside its words, in bytes.
const FRAME_COST: usize = 160;

/// A moment in the stream, to be compared with later ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// Grows whenever coverage ends.
    pub generation: u64,
    /// The next frame's index.
    pub index: u64,
}

/// How the stream stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum StreamStatus {
    /// Not connected yet.
    #[default]
    Waiting,
    /// Connected, by so many connections.
    Connected(usize),
    /// The server has no state stream.
    Absent,
    /// Not connected; why, safe to show.
    Away(String),
}

/// The shared store of frames.
#[derive(Debug, Default)]
pub struct Frames {
    store: Mutex<Store>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Store {
    lanes: BTreeMap<Box<str>, Lane>,
    next: u64,
    generation: u64,
    /// From here on every name is covered, whether it was heard of or not.
    all_since: Option<u64>,
    live: usize,
    bytes: usize,
    name_bytes: usize,
    overflows: u64,
    status: StreamStatus,
    /// The run of the server that the connections of this time lead to.
    epoch: Option<Arc<str>>,
    /// When the latest live frame arrived that is no longer kept.
    released: Option<DateTime<Utc>>,
}

#[derive(Debug, Default)]
struct Lane {
    since: Option<u64>,
    frames: VecDeque<Frame>,
}

/// How much a store keeps.
#[cfg(any(test, fuzzing))]
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) frames: usize,
    pub(super) bytes: usize,
    pub(super) names: usize,
    pub(super) name_bytes: usize,
}

impl Frames {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The moment reached; take it before a look begins.
    pub fn mark(&self) -> Mark {
        let store = self.lock();
        Mark {
            generation: store.generation,
            index: store.next,
        }
    }

    /// The frames of a name, oldest first.
    pub fn view(&self, name: &str) -> Vec<Frame> {
        let store = self.lock();
        (store.lanes.get(name)).map_or_else(Vec::new, |lane| lane.frames.iter().cloned().collect())
    }

    /// The names with a frame of this index or a later one, in order.
    pub fn names_since(&self, index: u64) -> Vec<String> {
        let store = self.lock();
        let news = |lane: &Lane| lane.frames.back().is_some_and(|frame| frame.index >= index);
        (store.lanes.iter())
            .filter(|(_, lane)| news(lane))
            .map(|(name, _)| name.to_string())
            .collect()
    }

    /// The names of which a live frame of this run of the server is kept, each with those frames, oldest first, and where
    /// its coverage begins.
    pub fn heard(&self, epoch: &str) -> Vec<(String, Vec<Frame>, Option<u64>)> {
        let store = self.lock();
        // Whoever was frozen reads the last words of a former run long after the next one began.
        let covers = store.epoch.as_deref().is_none_or(|own| own == epoch);
        // Also behind the snapshot of a later connection: what is hidden now would come up with the next live frame.
        let spoken = |frame: &&Frame| !frame.snapshot && frame.is_of(epoch);
        (store.lanes.iter())
            .filter(|(_, lane)| lane.frames.iter().any(|frame| spoken(&frame)))
            .map(|(name, lane)| {
                let live = lane.frames.iter().filter(spoken).cloned().collect();
                let since = lane.since.or(store.all_since).filter(|_| covers);
                (name.to_string(), live, since)
            })
            .collect()
    }

    /// From which index on every frame of this name has come to us; nothing while it is not covered.
    pub fn covered_since(&self, name: &str) -> Option<u64> {
        let store = self.lock();
        store
            .lanes
            .get(name)
            .and_then(|lane| lane.since)
            .or(store.all_since)
    }

    /// Whether every frame of this name since the mark has come to us.
    pub fn covers(&self, name: &str, mark: Mark) -> bool {
        self.mark().generation == mark.generation
            && self
                .covered_since(name)
                .is_some_and(|since| since <= mark.index)
    }

    /// Drops the frames of a name up to and with an index.
    pub fn prune_upto(&self, name: &str, index: u64) {
        self.lock().prune(name, index);
    }

    /// How many names something is kept of.
    pub fn names(&self) -> usize {
        self.lock().lanes.len()
    }

    /// Drops all that is kept of the names that are not known, their coverage too, unless they were heard from this index
    /// on: they no longer exist.
    pub fn forget_strangers(&self, from: u64, known: impl Fn(&str) -> bool) {
        let mut store = self.lock();
        let heard = |lane: &Lane| lane.frames.back().is_some_and(|frame| frame.index >= from);
        let lanes = store.lanes.iter();
        let gone: Vec<_> = lanes
            .filter(|(name, lane)| !heard(lane) && !known(name))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            store.prune(&name, u64::MAX);
            store.lanes.remove(&name);
            store.name_bytes -= name.len();
        }
    }

    /// How the stream stands.
    pub fn status(&self) -> StreamStatus {
        self.lock().status.clone()
    }

    /// How often frames had to be dropped because nobody used them in time.
    pub fn overflows(&self) -> u64 {
        self.lock().overflows
    }

    /// How much is kept.
    #[cfg(any(test, fuzzing))]
    pub(super) fn kept(&self) -> Kept {
        let store = self.lock();
        Kept {
            frames: store.live,
            bytes: store.bytes,
            names: store.lanes.len(),
            name_bytes: store.name_bytes,
        }
    }

    /// When the latest live frame arrived that is no longer kept.
    pub fn released(&self) -> Option<DateTime<Utc>> {
        self.lock().released
    }

    /// Waits until `holds` is true of this store, or the limit is over; says whether it held. It is asked again after
    /// each change.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn wait_until(&self, limit: Duration, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let end = tokio::time::Instant::now() + limit;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if holds(self) {
                return true;
            }
            if tokio::time::timeout_at(end, changed).await.is_err() {
                return holds(self);
            }
        }
    }

    /// Keeps a frame. `hears_all` says whether its connection carries every name. Says whether a thing changed, which
    /// a snapshot does not.
    pub(super) fn push(
        &self,
        frame: &WireFrame<'_>,
        arrival: DateTime<Utc>,
        hears_all: bool,
    ) -> bool {
        let mut store = self.lock();
        let index = store.next;
        store.next += 1;
        if hears_all && !frame.snapshot && store.all_since.is_none() {
            // the snapshot goes first, so it is over
            store.all_since = Some(index);
        }
        let state = &frame.state;
        let kept = Frame {
            arrival,
            index,
            snapshot: frame.snapshot,
            status: (*state.status).into(),
            is_ready: (*state.is_ready).into(),
            restarts: state.restarts,
            exit_code: state.exit_code,
            process_end_time: state.process_end_time.utc(),
            pid: frame.snapshot.then_some(state.pid),
            epoch: store.epoch.clone(),
        };
        store.keep(&state.name, kept);
        drop(store);
        self.changed.notify_waiters();
        !frame.snapshot
    }

    /// What is kept from here on was sent in this run of the server, where it says which.
    pub(super) fn begin(&self, epoch: Option<Arc<str>>) {
        self.lock().epoch = epoch;
    }

    /// The connection carries every name and its snapshot is over.
    pub(super) fn hears_all(&self) {
        let mut store = self.lock();
        let next = store.next;
        store.all_since.get_or_insert(next);
        drop(store);
        self.changed.notify_waiters();
    }

    /// A frame could not be read, of this name or of nobody knows whom: only what comes later is whole again.
    pub(super) fn lost(&self, name: Option<&str>) {
        let mut store = self.lock();
        store.next += 1;
        let after = store.next;
        if let Some(name) = name {
            store.lane(name, after).since = Some(after);
        } else {
            store.generation += 1;
            store.restart_coverage(after);
        }
        drop(store);
        self.changed.notify_waiters();
    }

    /// All connections are gone: nothing is covered any more.
    pub(super) fn broke(&self, status: StreamStatus) {
        let mut store = self.lock();
        store.end_coverage();
        store.status = status;
        drop(store);
        self.changed.notify_waiters();
    }

    /// Drops all that is kept and ends all coverage: nobody looks any more who could use it.
    pub fn clear(&self) {
        let mut store = self.lock();
        store.lanes.clear();
        (store.live, store.bytes) = (0, 0);
        store.end_coverage();
        drop(store);
        self.changed.notify_waiters();
    }

    /// A connection stands, or one that stood is gone.
    pub(super) fn count_connection(&self, stands: bool) {
        let mut store = self.lock();
        let before = match store.status {
            StreamStatus::Connected(count) => count,
            _ => 0,
        };
        store.status = StreamStatus::Connected(if stands {
            before + 1
        } else {
            before.saturating_sub(1)
        });
        drop(store);
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    fn keep(&mut self, name: &str, frame: Frame) {
        if !frame.snapshot && self.live >= MAX_FRAMES || self.bytes + cost(name, &frame) > MAX_BYTES
        {
            self.overflow(frame.index);
        }
        let (is_live, bytes, all_since) = (!frame.snapshot, cost(name, &frame), self.all_since);
        let lane = self.lane(name, frame.index);
        // What a first frame tells came after the mark before it, but nobody heard what else happened in between.
        let since = all_since.unwrap_or(frame.index + u64::from(frame.snapshot));
        lane.since.get_or_insert(since);
        if lane.frames.is_empty() {
            // Most lanes never hold a second one, and there are as many lanes as processes.
            lane.frames.reserve_exact(1);
        }
        lane.frames.push_back(frame);
        self.live += usize::from(is_live);
        self.bytes += bytes;
    }

    /// The lane of a name. One name too many, and all the others are forgotten.
    fn lane(&mut self, name: &str, index: u64) -> &mut Lane {
        let is_new = !self.lanes.contains_key(name);
        if is_new
            && (self.lanes.len() >= MAX_NAMES || self.name_bytes + name.len() > MAX_NAME_BYTES)
        {
            self.overflow(index);
            self.lanes.clear();
            self.name_bytes = 0;
        }
        if is_new {
            self.name_bytes += name.len();
        }
        self.lanes.entry(name.into()).or_default()
    }

    fn prune(&mut self, name: &str, index: u64) {
        let Some(lane) = self.lanes.get_mut(name) else {
            return;
        };
        while lane
            .frames
            .front()
            .is_some_and(|frame| frame.index <= index)
            && let Some(frame) = lane.frames.pop_front()
        {
            self.live -= usize::from(!frame.snapshot);
            self.bytes -= cost(name, &frame);
            if !frame.snapshot {
                self.released = self.released.max(Some(frame.arrival));
            }
        }
    }

    /// Nobody used the frames in time. What comes from here on is whole again, for the connections still stand.
    fn overflow(&mut self, index: u64) {
        for lane in self.lanes.values_mut() {
            let live = lane.frames.drain(..).filter(|frame| !frame.snapshot);
            self.released = self.released.max(live.map(|frame| frame.arrival).max());
        }
        (self.live, self.bytes) = (0, 0);
        self.overflows += 1;
        self.generation += 1;
        self.restart_coverage(index);
    }

    fn restart_coverage(&mut self, index: u64) {
        self.all_since = self.all_since.map(|_| index);
        for lane in self.lanes.values_mut() {
            lane.since = lane.since.map(|_| index);
        }
    }

    fn end_coverage(&mut self) {
        self.generation += 1;
        self.all_since = None;
        for lane in self.lanes.values_mut() {
            lane.since = None;
        }
        self.lanes.retain(|_, lane| !lane.frames.is_empty());
        self.name_bytes = self.lanes.keys().map(|name| name.len()).sum();
    }
}

fn cost(name: &str, frame: &Frame) -> usize {
    FRAME_COST + name.len() + frame.status.len() + frame.is_ready.len()
}

#[cfg(test)]
mod tests;
