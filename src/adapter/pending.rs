//! What was taken and not acknowledged: deltas whose outcome is unknown, or that wait for the broker.
//!
//! Everything goes through here, also the delta that is committed at once; so there is one way to the broker. Its front
//! lives in memory, as much of it as one commit takes; with a spool the rest lies on the disk only, without one it is
//! bounded by memory.
//!
//! ```text
//!   window                beyond                 fresh
//!   [frame frame frame]   frame frame frame …    [frame]
//!   in memory             on the disk only       in memory, not on the disk yet
//! ```
//!
//! A frame that is being told may be partly unwritten (`script`); what waits never is.

mod kept;
pub(super) mod release;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::event::sieve::{LeftOut, Sieve};
use crate::event::store::Outgoing;

use super::gap::{Owed, owe};
use super::script::Unwritten;
use super::settings::SpoolPlace;
use super::spool::keeper::Keeper;
use super::table::{Change, Changes, Row};

/// Bytes that a row or an event costs besides its text.
const OVERHEAD: usize = 128;

/// What the root says besides its number and its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) epoch: Arc<str>,
    pub(super) connected: bool,
    pub(super) looked_at: DateTime<Utc>,
    /// Which events are not told, and since when.
    pub(super) left_out: Option<Arc<LeftOut>>,
}

impl Standing {
    /// What is left out.
    pub(super) fn sieve(&self) -> Option<&Sieve> {
        self.left_out.as_deref().map(|left_out| &left_out.sieve)
    }
}

/// Events that are told in one piece, because they belong to one row, and the rows that are true once they are told.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) events: Vec<Outgoing>,
    /// Each row once; a list, because most pieces have one and there may be as many pieces as processes.
    pub(super) rows: Vec<Change>,
    /// Events of the domain among them, counting what one stands for once.
    pub(super) told: u64,
    /// Gaps told by it: owed again if it is dropped.
    pub(super) owed: Vec<Owed>,
}

impl Piece {
    fn bytes(&self) -> usize {
        let events = self.events.iter().map(Outgoing::size);
        let rows = self
            .rows
            .iter()
            .filter_map(|(_, row)| Some(row.as_ref()?.bytes.len()));
        events.chain(rows).map(|bytes| bytes + OVERHEAD).sum()
    }
}

/// What one report makes of it: pieces, and what holds once all are told.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) pieces: VecDeque<Piece>,
    /// What comes behind them.
    pub(super) unwritten: Option<Box<dyn Unwritten>>,
    /// The number of its last event, or of the last one before it.
    pub(super) last_seq: u64,
    pub(super) standing: Standing,
    /// The look before it.
    pub(super) before: DateTime<Utc>,
}

impl Frame {
    /// True where it tells nothing and only keeps the head up to date.
    pub(super) fn is_silent(&self) -> bool {
        self.unwritten.is_none() && self.pieces.iter().all(|piece| piece.events.is_empty())
    }

    /// Writes pieces of so many more events, or a few more, and adds up their bytes, also where one cannot be written.
    fn write(&mut self, events: usize, bytes: &mut usize) -> serde_json::Result<()> {
        let Some(rest) = &mut self.unwritten else {
            return Ok(());
        };
        let before = self.pieces.len();
        let written = rest.write(events, &mut self.pieces);
        if rest.is_done() {
            self.unwritten = None;
        }
        *bytes += self.pieces.range(before..).map(Piece::bytes).sum::<usize>();
        written
    }
}

/// What was given up.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    /// Gaps that were to be told with it.
    pub(super) owed: Vec<Owed>,
    /// Events of the domain that others had been shown as taken.
    pub(super) events: u64,
    /// The look before the first of them.
    pub(super) from: Option<DateTime<Utc>>,
    /// The look that saw the last of them.
    pub(super) to: Option<DateTime<Utc>>,
}

/// The beginning of what waits, as much as fits one commit.
#[derive(Debug)]
pub(super) struct Cut {
    /// Pieces in it, from the front.
    pub(super) pieces: usize,
    pub(super) changes: Changes,
    pub(super) events: Vec<Outgoing>,
    /// What the root says after it.
    pub(super) standing: Standing,
    /// The number of its last event.
    pub(super) seq: u64,
    /// True where nothing is left behind it.
    pub(super) is_all: bool,
}

/// A frame that was kept cannot be read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

/// The frames that lie on the disk only.
#[derive(Debug, Default)]
struct Beyond {
    frames: usize,
    /// Events of the domain in them.
    told: u64,
    /// Where the first of them stands.
    at: u64,
    /// What the last of them leaves behind.
    last: Option<(u64, Standing)>,
}

/// The queue of frames.
#[derive(Debug)]
pub(super) struct Pending {
    window: VecDeque<Frame>,
    /// So many frames at the front of the window lie on the disk too.
    kept: usize,
    beyond: Beyond,
    fresh: VecDeque<Frame>,
    /// The first so many frames of all were answered with `Taken`: others have seen them.
    taken: usize,
    /// Bytes that lie in memory only.
    bytes: usize,
    limit: usize,
    spool: Option<Keeper>,
    #[cfg(test)]
    most: usize,
}

impl Pending {
    pub(super) fn new(limit: usize, place: Option<SpoolPlace>) -> Self {
        Self {
            window: VecDeque::new(),
            kept: 0,
            beyond: Beyond::default(),
            fresh: VecDeque::new(),
            taken: 0,
            bytes: 0,
            limit,
            spool: place.map(Keeper::new),
            #[cfg(test)]
            most: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.window.len() + self.beyond.frames + self.fresh.len()
    }

    /// True where another frame must not be kept, because room is bounded and there is something to give up: more than
    /// the frames that have to stay.
    pub(super) fn is_full(&self, stay: usize) -> bool {
        let on_disk = self.spool.as_ref().is_some_and(Keeper::is_full);
        self.taken > stay && (self.bytes >= self.limit || on_disk)
    }

    /// True where nothing of what waits tells anything.
    pub(super) fn is_silent(&self) -> bool {
        let mut in_memory = self.window.iter().chain(&self.fresh);
        self.beyond.frames == 0 && in_memory.all(Frame::is_silent)
    }

    /// Shows every frame that others have seen, in order, as far as they can be read.
    pub(super) fn each_seen(&self, mut each: impl FnMut(&Frame)) {
        let window = self.window.iter().take(self.taken);
        window.for_each(&mut each);
        self.stored().for_each(|frame| each(&frame));
        let behind = self.window.len() + self.beyond.frames;
        let fresh = self.fresh.iter().take(self.taken.saturating_sub(behind));
        fresh.for_each(each);
    }

    /// The number of the last event of what waits, and what the root says then.
    pub(super) fn last(&self) -> Option<(u64, &Standing)> {
        let of = |frame: &'_ Frame| -> u64 { frame.last_seq };
        if let Some(frame) = self.fresh.back() {
            return Some((of(frame), &frame.standing));
        }
        if let (1.., Some((seq, standing))) = (self.beyond.frames, &self.beyond.last) {
            return Some((*seq, standing));
        }
        let frame = self.window.back()?;
        Some((of(frame), &frame.standing))
    }

    /// What lies on the disk of it, in bytes.
    pub(super) fn spool_bytes(&self) -> u64 {
        self.spool.as_ref().map_or(0, Keeper::bytes)
    }

    pub(super) fn push(&mut self, frame: Frame) {
        self.bytes += frame.pieces.iter().map(Piece::bytes).sum::<usize>();
        let alone = self.window.is_empty() && self.beyond.frames == 0;
        if alone || self.spool.is_none() {
            self.window.push_back(frame);
        } else {
            self.fresh.push_back(frame);
        }
    }

    /// Writes down what is not yet: it cannot all be told now, so it may have to be kept, counted or given up.
    ///
    /// # Errors
    ///
    /// As [`Unwritten::write`].
    pub(super) fn complete(&mut self) -> serde_json::Result<()> {
        for frame in self.window.iter_mut().chain(&mut self.fresh) {
            frame.write(usize::MAX, &mut self.bytes)?;
        }
        Ok(())
    }

    /// Everything here was answered with `Taken`.
    pub(super) fn take_all(&mut self) {
        self.taken = self.len();
    }

    /// Events of the domain that wait since an earlier report.
    pub(super) fn waiting(&self) -> u64 {
        let (front, frames) = (self.window.len(), self.beyond.frames);
        let window = told(self.window.iter().take(self.taken));
        let behind = self.taken.saturating_sub(front + frames);
        window + self.beyond.told + told(self.fresh.iter().take(behind))
    }

    /// Gives up the last frame where it tells nothing; what it would have written is found again at the next look.
    pub(super) fn drop_silent(&mut self) -> Option<Frame> {
        let queue = match (self.fresh.is_empty(), self.beyond.frames) {
            (false, _) => &mut self.fresh,
            (true, 0) if self.kept < self.window.len() => &mut self.window,
            _ => return None,
        };
        if !queue.back().is_some_and(Frame::is_silent) {
            return None;
        }
        let frame = queue.pop_back()?;
        self.bytes -= frame.pieces.iter().map(Piece::bytes).sum::<usize>();
        self.taken = self.taken.min(self.len());
        Some(frame)
    }

    /// The beginning, with at most so many events (but at least one piece), behind a root that has this number.
    /// `budget` counts messages without the root: events and touched shards, as `shard_of` numbers them.
    pub(super) fn cut(
        &self,
        seq: u64,
        budget: usize,
        standing: &Standing,
        shard_of: impl Fn(&str) -> usize,
    ) -> Cut {
        let mut cut = Cut {
            pieces: 0,
            changes: Changes::new(),
            events: Vec::new(),
            standing: standing.clone(),
            seq,
            is_all: self.beyond.frames == 0 && self.fresh.is_empty(),
        };
        let mut touched = BTreeSet::new();
        for frame in &self.window {
            for (index, piece) in frame.pieces.iter().enumerate() {
                let shards: Vec<_> = piece.rows.iter().map(|(key, _)| shard_of(key)).collect();
                let fresh = shards
                    .iter()
                    .filter(|shard| !touched.contains(*shard))
                    .count();
                let messages = cut.events.len() + piece.events.len() + touched.len() + fresh;
                if cut.pieces > 0 && messages > budget {
                    cut.is_all = false;
                    return cut;
                }
                touched.extend(shards);
                cut.pieces += 1;
                cut.events.extend(piece.events.iter().cloned());
                cut.seq += u64::try_from(piece.events.len()).unwrap_or(0);
                cut.changes.extend(
                    piece
                        .rows
                        .iter()
                        .map(|(k, row)| (Arc::clone(k), row.clone())),
                );
                cut.standing = frame.standing.clone();
                if index + 1 < frame.pieces.len() || frame.unwritten.is_some() {
                    // Rows that are not told yet were last compared at the look before.
                    cut.standing.looked_at = frame.before;
                }
            }
            if frame.unwritten.is_some() {
                cut.is_all = false;
                break;
            }
        }
        cut
    }

    /// How many frames at the front hold these pieces.
    pub(super) fn frames_of(&self, pieces: usize) -> usize {
        let mut left = pieces;
        self.window
            .iter()
            .take_while(|frame| {
                let touched = left > 0;
                left = left.saturating_sub(frame.pieces.len());
                touched
            })
            .count()
    }

    /// Gives everything up but so many frames at the front, and says what that was.
    pub(super) fn drop_behind(&mut self, keep: usize) -> Dropped {
        let keep = keep.min(self.window.len());
        let stored: Vec<Dropped> = self.stored().map(|frame| dropped(&frame)).collect();
        let fresh_seen = self
            .taken
            .saturating_sub(self.window.len() + self.beyond.frames);
        let window_seen = self.taken.saturating_sub(keep);
        let mut all = Dropped::default();
        let rest = self.window.split_off(keep);
        for (index, frame) in rest.iter().enumerate() {
            all.add(dropped(frame), index < window_seen);
        }
        let told = all.events + self.beyond.told;
        for one in stored {
            all.add(one, true);
        }
        if let (1.., Some((_, standing))) = (self.beyond.frames, &self.beyond.last) {
            // Also where not all of them could be read.
            all.events = told;
            all.to = Some(standing.looked_at);
        }
        for (index, frame) in self.fresh.iter().enumerate() {
            all.add(dropped(frame), index < fresh_seen);
        }
        self.fresh.clear();
        self.beyond = Beyond::default();
        self.kept = 0;
        self.taken = self.taken.min(keep);
        let left = self.window.iter().flat_map(|frame| &frame.pieces);
        self.bytes = left.map(Piece::bytes).sum();
        if let Some(spool) = &mut self.spool {
            spool.retire();
        }
        all
    }

    /// Gives up what is not in memory, and all behind it.
    pub(super) fn drop_unread(&mut self) -> Dropped {
        self.drop_behind(self.window.len())
    }

    /// Gives everything up and says what that was.
    pub(super) fn drop_all(&mut self) -> Dropped {
        self.drop_behind(0)
    }

    /// The rows of the frames in the window, the later ones last.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Arc<str>, &Option<Row>)> {
        let pieces = self.window.iter().flat_map(|frame| &frame.pieces);
        pieces.flat_map(|piece| piece.rows.iter().map(|(key, row)| (key, row)))
    }
}

fn told<'a>(frames: impl IntoIterator<Item = &'a Frame>) -> u64 {
    let pieces = frames.into_iter().flat_map(|frame| &frame.pieces);
    pieces.fold(0, |sum, piece| sum.saturating_add(piece.told))
}

/// Messages that these frames will be, about.
fn messages(frames: &VecDeque<Frame>) -> usize {
    let pieces = frames.iter().flat_map(|frame| &frame.pieces);
    pieces.map(|piece| piece.events.len().max(1)).sum()
}

fn dropped(frame: &Frame) -> Dropped {
    let mut dropped = Dropped {
        events: told([frame]),
        from: Some(frame.before),
        to: Some(frame.standing.looked_at),
        owed: Vec::new(),
    };
    for gap in frame.pieces.iter().flat_map(|piece| &piece.owed) {
        owe(&mut dropped.owed, gap.clone());
    }
    dropped
}

impl Dropped {
    /// Adds what is behind it; what nobody was shown leaves no stretch, only the gaps it would have told.
    fn add(&mut self, next: Self, was_seen: bool) {
        for gap in next.owed {
            owe(&mut self.owed, gap);
        }
        if was_seen {
            self.events = self.events.saturating_add(next.events);
            self.from = self.from.or(next.from);
            self.to = next.to;
        }
    }
}
