//! The events of one look in the order in which they are told, and how far they are written down.
//!
//! A look of many thousands of events is told in parts, and each part is written while the broker is at the one before: so the
//! memory of two parts is enough for all, and neither side waits for the other. Whoever cannot tell the rest now lets all of it be
//! written (`Pending::complete`).

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::event::payload::Origin;
use crate::event::sieve::LeftOut;
use crate::event::store::MAX_MESSAGES;
use crate::event::subject::Prefix;
use crate::event::tell::Tell;

use super::block::Block;
use super::dress::Pen;
use super::pending::Piece;
use super::table::{Changes, place};

/// What is still to be written of a look.
pub(super) trait Unwritten: fmt::Debug + Send + Sync {
    /// Writes the next pieces, of so many events or a few more.
    ///
    /// # Errors
    ///
    /// Where an event cannot be written; trying again does not help.
    fn write(&mut self, events: usize, pieces: &mut VecDeque<Piece>) -> serde_json::Result<()>;

    /// True where nothing is left.
    fn is_done(&self) -> bool;
}

/// What all events of one look say alike.
#[derive(Debug)]
pub(super) struct Byline {
    pub(super) prefix: Prefix,
    pub(super) source: String,
    pub(super) journal: String,
    pub(super) epoch: String,
    pub(super) origin: Origin,
    pub(super) at: DateTime<Utc>,
}

impl Byline {
    /// A pen that goes on behind this number.
    pub(super) fn pen(&self, seq: u64, block: Block) -> Pen<'_> {
        Pen {
            prefix: &self.prefix,
            source: &self.source,
            journal: &self.journal,
            epoch: &self.epoch,
            origin: self.origin,
            at: self.at,
            seq,
            block,
        }
    }
}

/// The events of one look.
pub(super) struct Script<T: Tell> {
    tell: Arc<T>,
    events: Arc<Vec<T::Event>>,
    /// The places of the events, in the order in which they are told.
    order: Vec<usize>,
    /// Where in that order the pieces end that are not written yet.
    ends: VecDeque<usize>,
    /// How many events are written.
    written: usize,
    /// The rows that are true afterwards and belong to no written piece.
    rows: Changes,
    byline: Byline,
    seq: u64,
    block: Block,
    /// What is not told. It takes no number, and its row changes all the same.
    sieve: Option<Arc<LeftOut>>,
    /// Events that were not told.
    left_out: u64,
}

impl<T: Tell> fmt::Debug for Script<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("events", &self.events.len())
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl<T: Tell> Script<T> {
    /// A script whose events are numbered behind `seq`, but for those that are left out.
    pub(super) fn new(
        tell: &Arc<T>,
        events: &Arc<Vec<T::Event>>,
        rows: Changes,
        (byline, (seq, sieve)): (Byline, (u64, Option<Arc<LeftOut>>)),
    ) -> Self {
        let (order, ends) = if events.len() > MAX_MESSAGES {
            shard_by_shard(&**tell, events)
        } else {
            as_they_came(&**tell, events)
        };
        Self {
            ends,
            tell: Arc::clone(tell),
            events: Arc::clone(events),
            block: Block::of(order.len()),
            order,
            written: 0,
            rows,
            byline,
            seq,
            sieve,
            left_out: 0,
        }
    }

    /// How many events it has.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// How many of those written were left out.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The number of its last event, as long as none is left out or when all are written.
    pub(super) fn last_seq(&self) -> u64 {
        self.seq + (self.order.len() - self.written) as u64
    }
}

impl<T: Tell> Unwritten for Script<T> {
    fn write(&mut self, events: usize, pieces: &mut VecDeque<Piece>) -> serde_json::Result<()> {
        let block = std::mem::take(&mut self.block);
        let mut pen = self.byline.pen(self.seq, block);
        let until = self.written.saturating_add(events);
        while self.written < until {
            let Some(&end) = self.ends.front() else {
                break;
            };
            let places = &self.order[self.written..=end];
            // As many as there are: a first look is one piece of one event for each process.
            let mut piece = Piece {
                events: Vec::with_capacity(places.len()),
                ..Piece::default()
            };
            let mut left_out = 0;
            for &place in places {
                let payload = self.tell.tell(&self.events[place]);
                let sieve = self.sieve.as_deref().map(|left_out| &left_out.sieve);
                match pen.process(&payload, sieve) {
                    Some(draft) => piece.events.push(pen.encode(&draft)?),
                    None => left_out += 1,
                }
            }
            // Where one could not be written nothing has changed.
            piece.told = piece.events.len() as u64;
            let keys = places
                .iter()
                .map(|&place| self.tell.key(&self.events[place]));
            for row in keys.filter_map(|key| self.rows.remove_entry(key)) {
                if piece.rows.is_empty() {
                    piece.rows.reserve_exact(1);
                }
                piece.rows.push(row);
            }
            (self.seq, self.written) = (pen.seq, end + 1);
            self.left_out += left_out;
            self.ends.pop_front();
            pieces.push_back(piece);
        }
        self.block = pen.block;
        if self.ends.is_empty() && !self.rows.is_empty() {
            // Rows without an event come last.
            pieces.push_back(Piece {
                rows: std::mem::take(&mut self.rows).into_iter().collect(),
                ..Piece::default()
            });
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.ends.is_empty() && self.rows.is_empty()
    }
}

/// The order of events, and where in it the pieces end.
type Order = (Vec<usize>, VecDeque<usize>);

/// Events that fit one commit. A piece ends where no row is half told.
fn as_they_came<T: Tell>(tell: &T, events: &[T::Event]) -> Order {
    let keys = || events.iter().map(|event| tell.key(event));
    let last: HashMap<&str, usize> = keys().zip(0..).collect();
    let mut end = 0;
    let ends = keys().enumerate().filter_map(|(index, key)| {
        end = end.max(last.get(key).copied().unwrap_or(index));
        (index == end).then_some(index)
    });
    ((0..events.len()).collect(), ends.collect())
}

/// More events than one commit takes: those whose rows lie in one shard stand together, so that each commit writes few shards and
/// not all of them. What happened to one row stays in its order, and in one piece, perhaps with rows of the same place.
fn shard_by_shard<T: Tell>(tell: &T, events: &[T::Event]) -> Order {
    let placed = events.iter().map(|event| place(tell.key(event)));
    let mut placed: Vec<(u64, usize)> = placed.zip(0..).collect();
    placed.sort_unstable();
    let is_end = |index: &usize| {
        let next = placed.get(index + 1);
        next.is_none_or(|(next, _)| *next != placed[*index].0)
    };
    let ends = (0..placed.len()).filter(is_end).collect();
    (placed.iter().map(|(_, index)| *index).collect(), ends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::tests::toy::{EPOCH, Grown, Toy};

    fn byline() -> Byline {
        Byline {
            prefix: Prefix::default(),
            source: "shop".into(),
            journal: "j".into(),
            epoch: EPOCH.into(),
            origin: Origin::Change,
            at: DateTime::UNIX_EPOCH,
        }
    }

    fn grown(key: String, number: u64) -> Grown {
        Grown {
            key,
            from: 0,
            to: 1,
            number,
            at: DateTime::UNIX_EPOCH,
        }
    }

    fn script(keys: &[&str], rows: &[&str]) -> Script<Toy> {
        let events = keys.iter().map(|key| grown((*key).into(), 1)).collect();
        let events = Arc::new(events);
        let rows = rows.iter().map(|key| (Arc::from(*key), None)).collect();
        Script::new(&Arc::new(Toy), &events, rows, (byline(), (4, None)))
    }

    const KEYS: [&str; 9] = ["a", "b", "b", "c", "d", "c", "e", "d", "f"];

    #[test]
    fn a_piece_ends_where_no_row_is_half_told() {
        let mut script = script(&KEYS, &["c", "f", "silent"]);
        assert_eq!(script.last_seq(), 13);
        let mut pieces = VecDeque::new();
        script.write(usize::MAX, &mut pieces).unwrap();
        let shape = |piece: &Piece| (piece.events.len(), piece.told, piece.rows.len());
        let shapes: Vec<_> = pieces.iter().map(shape).collect();
        assert_eq!(
            shapes,
            [(1, 1, 0), (2, 2, 0), (5, 5, 1), (1, 1, 1), (0, 0, 1)]
        );
        assert!(script.is_done());
        assert_eq!(script.last_seq(), 13);
    }

    #[test]
    fn in_parts_the_same_is_written_as_at_once() {
        let rows = ["c", "f", "silent"];
        let mut at_once = VecDeque::new();
        script(&KEYS, &rows)
            .write(usize::MAX, &mut at_once)
            .unwrap();
        for part in 1..=KEYS.len() {
            let (mut script, mut pieces) = (script(&KEYS, &rows), VecDeque::new());
            let mut times = 0;
            while !script.is_done() {
                script.write(part, &mut pieces).unwrap();
                times += 1;
            }
            assert_eq!(times, if part == 1 { 4 } else { times });
            assert_eq!(format!("{pieces:?}"), format!("{at_once:?}"));
        }
    }

    #[test]
    fn a_look_of_more_than_one_commit_is_told_shard_by_shard_and_a_smaller_one_as_it_came() {
        let event = |number: usize| grown(format!("p{:04}", number / 2), number as u64 % 2);
        let few: Vec<_> = (0..MAX_MESSAGES).map(event).collect();
        assert!(as_they_came(&Toy, &few).0.into_iter().eq(0..MAX_MESSAGES));
        let many: Vec<_> = (0..4 * MAX_MESSAGES).map(event).collect();
        let (order, ends) = shard_by_shard(&Toy, &many);
        assert!(ends.into_iter().eq((1..many.len()).step_by(2)));
        let told: Vec<_> = order.iter().map(|&index| &many[index]).collect();
        assert_eq!(told.len(), many.len());
        for pair in told.chunks(2) {
            assert_eq!(pair[0].key, pair[1].key);
            assert_eq!((pair[0].number, pair[1].number), (0, 1));
        }
        for count in [1_u64, 2, 8, 64] {
            let shards: Vec<_> = told
                .iter()
                .map(|event| place(&event.key).reverse_bits() & (count - 1))
                .collect();
            let changes = shards.windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert_eq!(
                changes as u64,
                count - 1,
                "each of {count} shards stands in one piece"
            );
        }
    }
}
