//! What was taken and not acknowledged: deltas whose outcome is unknown, or that wait for the broker.
//!
//! Everything goes through here, also the delta that is committed at once; so there is one way to the broker. It lives
//! in memory and is bounded; a spool on disk takes frames in and gives them back at the same places.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::event::store::Outgoing;

use super::gap::{Owed, owe};
use super::table::{Changes, Row};

/// Bytes that a row or an event costs besides its text.
const OVERHEAD: usize = 128;

/// What the root says besides its number and its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) epoch: Arc<str>,
    pub(super) connected: bool,
    pub(super) looked_at: DateTime<Utc>,
}

/// Events that are told in one piece, because they belong to one row, and the rows that are true once they are told.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) events: Vec<Outgoing>,
    pub(super) rows: Changes,
    /// Events of the domain among them, counting what one stands for once.
    pub(super) told: u64,
    /// Gaps told by it: owed again if it is dropped.
    pub(super) owed: Vec<Owed>,
}

impl Piece {
    fn bytes(&self) -> usize {
        let events = self
            .events
            .iter()
            .map(|event| event.payload.len() + event.subject.len());
        let rows = self
            .rows
            .values()
            .flatten()
            .map(|row: &Row| row.bytes.len());
        events.chain(rows).map(|bytes| bytes + OVERHEAD).sum()
    }
}

/// What one report makes of it: pieces, and what holds once all are told.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) pieces: VecDeque<Piece>,
    /// The number of its last event, or of the last one before it.
    pub(super) last_seq: u64,
    pub(super) standing: Standing,
    /// The look before it.
    pub(super) before: DateTime<Utc>,
}

impl Frame {
    /// True where it tells nothing and only keeps the head up to date.
    pub(super) fn is_silent(&self) -> bool {
        self.pieces.iter().all(|piece| piece.events.is_empty())
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

/// The queue of frames.
#[derive(Debug)]
pub(super) struct Pending {
    frames: VecDeque<Frame>,
    /// The first so many frames were answered with `Taken`: others have seen them.
    taken: usize,
    bytes: usize,
    limit: usize,
}

impl Pending {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            frames: VecDeque::new(),
            taken: 0,
            bytes: 0,
            limit,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// True where another frame must not be kept, because memory is bounded and there is something to give up: more than
    /// the frames that have to stay.
    pub(super) fn is_full(&self, stay: usize) -> bool {
        self.taken > stay && self.bytes >= self.limit
    }

    /// True where nothing of what waits tells anything.
    pub(super) fn is_silent(&self) -> bool {
        self.frames.iter().all(Frame::is_silent)
    }

    /// The frames that others have seen.
    pub(super) fn taken(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().take(self.taken)
    }

    pub(super) fn last(&self) -> Option<&Frame> {
        self.frames.back()
    }

    pub(super) fn push(&mut self, frame: Frame) {
        self.bytes += frame.pieces.iter().map(Piece::bytes).sum::<usize>();
        self.frames.push_back(frame);
    }

    /// Everything here was answered with `Taken`.
    pub(super) fn take_all(&mut self) {
        self.taken = self.frames.len();
    }

    /// Events of the domain that wait since an earlier report.
    pub(super) fn waiting(&self) -> u64 {
        self.told(self.taken)
    }

    fn told(&self, frames: usize) -> u64 {
        let pieces = self
            .frames
            .iter()
            .take(frames)
            .flat_map(|frame| &frame.pieces);
        pieces.map(|piece| piece.told).sum()
    }

    /// Gives up the last frame where it tells nothing; what it would have written is found again at the next look.
    /// True where there was one.
    pub(super) fn drop_silent(&mut self) -> bool {
        let is_silent = self.frames.back().is_some_and(Frame::is_silent);
        if !is_silent {
            return false;
        }
        if let Some(frame) = self.frames.pop_back() {
            self.bytes -= frame.pieces.iter().map(Piece::bytes).sum::<usize>();
            self.taken = self.taken.min(self.frames.len());
        }
        true
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
            is_all: true,
        };
        let mut touched = BTreeSet::new();
        for frame in &self.frames {
            for (index, piece) in frame.pieces.iter().enumerate() {
                let shards: Vec<_> = piece.rows.keys().map(|key| shard_of(key)).collect();
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
                if index + 1 < frame.pieces.len() {
                    // Rows that are not told yet were last compared at the look before.
                    cut.standing.looked_at = frame.before;
                }
            }
        }
        cut
    }

    /// Lets go of so many pieces from the front: they are acknowledged. Gives the gaps that were told with them.
    pub(super) fn release(&mut self, pieces: usize) -> Vec<Owed> {
        let mut told = Vec::new();
        for _ in 0..pieces {
            let Some(frame) = self.frames.front_mut() else {
                break;
            };
            if let Some(piece) = frame.pieces.pop_front() {
                self.bytes -= piece.bytes();
                told.extend(piece.owed);
            }
            if frame.pieces.is_empty() {
                self.frames.pop_front();
                self.taken = self.taken.saturating_sub(1);
            }
        }
        told
    }

    /// Gives everything up but so many frames at the front, and says what that was.
    pub(super) fn drop_behind(&mut self, keep: usize) -> Dropped {
        let rest = self.frames.split_off(keep.min(self.frames.len()));
        let seen = self.taken.saturating_sub(self.frames.len());
        self.taken = self.taken.min(self.frames.len());
        let mut dropped = Dropped::default();
        for (index, frame) in rest.into_iter().enumerate() {
            if index < seen {
                dropped.from.get_or_insert(frame.before);
                dropped.to = Some(frame.standing.looked_at);
            }
            for piece in frame.pieces {
                self.bytes -= piece.bytes();
                dropped.events += if index < seen { piece.told } else { 0 };
                for gap in piece.owed {
                    owe(&mut dropped.owed, gap);
                }
            }
        }
        dropped
    }

    /// Gives everything up and says what that was.
    pub(super) fn drop_all(&mut self) -> Dropped {
        self.drop_behind(0)
    }

    /// The rows of these frames, the later ones last.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Arc<str>, &Option<Row>)> {
        let pieces = self.frames.iter().flat_map(|frame| &frame.pieces);
        pieces.flat_map(|piece| &piece.rows)
    }

    /// The rows these frames will have told, over those committed.
    pub(super) fn retell(&self, told: &mut BTreeMap<Arc<str>, u64>) {
        for (key, row) in self.rows() {
            match row {
                Some(row) => told.insert(Arc::clone(key), row.revision),
                None => told.remove(key),
            };
        }
    }
}
