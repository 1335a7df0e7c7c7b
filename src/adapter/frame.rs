//! What a report tells: gaps first, then the source itself, then the events of the domain, each row in one piece.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::event::payload::{Origin, Word};
use crate::event::sieve::{LeftOut, Sieve};
use crate::event::store::{EventStore, MAX_MESSAGES};
use crate::event::tell::{Rows, Tell};

use super::commit::Committer;
use super::dress::{Pen, disconnected, outgoing, own_words, turned};
use super::error::AdapterError;
use super::gap::{self, Owed};
use super::pending::{Frame, Piece, Standing};
use super::table::{Changes, changes, place};

/// What a step rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    /// A successful look.
    Look,
    /// What had been heard before the source left; nobody has seen it since.
    Salvage,
}

/// One step: a successful look, or what is left of a source that is not seen any more.
#[derive(Debug)]
pub(super) struct Look<'a, S, E> {
    pub(super) at: DateTime<Utc>,
    pub(super) epoch: &'a str,
    pub(super) origin: Origin,
    pub(super) events: &'a [E],
    pub(super) state: &'a S,
    /// True for a delta, which is told at once; false where it may wait for the next refresh.
    pub(super) is_news: bool,
    pub(super) basis: Basis,
}

/// Where the next frame goes on: behind what waits, or behind the base.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    pub(super) seq: u64,
    pub(super) standing: Standing,
}

impl<St: EventStore, T: Tell, R: Rows> Committer<St, T, R> {
    pub(super) fn tail(&self) -> Tail {
        match self.pending.last() {
            Some((seq, standing)) => Tail {
                seq,
                standing: standing.clone(),
            },
            None => Tail {
                seq: self.base.seq,
                standing: self.base.standing.clone(),
            },
        }
    }

    /// True where the next successful look tells something even if it found no difference.
    pub(super) fn owes(&self) -> bool {
        let tail = self.tail();
        !self.owed.is_empty() || !tail.standing.connected || tail.seq == 0 || self.turns(&tail)
    }

    /// Everything that happened until then has been compared: a look may have been answered long before its end.
    pub(super) fn seen_until(&self, look: &Look<'_, R::State, T::Event>) -> DateTime<Utc> {
        let from = self.rows.looked_from(look.state);
        from.map_or(look.at, |from| from.min(look.at))
    }

    /// Makes a frame of a step.
    pub(super) fn frame(
        &mut self,
        look: &Look<'_, R::State, T::Event>,
    ) -> Result<Frame, AdapterError> {
        let tail = self.tail();
        let gaps = match look.basis {
            Basis::Look => self.gaps(&tail),
            Basis::Salvage => Vec::new(),
        };
        let resync = gaps.iter().any(|gap| gap.why != gap::SUPERSEDED);
        let left_out = self.left_out(look, &tail);
        let is_first = tail.seq == 0 && !tail.standing.connected && self.base.root_sequence == 0;
        let found = self.find(look.state);
        let mut pen = Pen {
            prefix: &self.settings.prefix,
            source: &self.settings.source,
            journal: &self.base.journal,
            epoch: look.epoch,
            origin: match look.origin {
                Origin::Change if is_first && gaps.is_empty() => Origin::Initial,
                Origin::Change if resync => Origin::Resync,
                origin => origin,
            },
            at: look.at,
            seq: tail.seq,
        };
        let mut own = Piece::default();
        if look.basis == Basis::Look {
            let turned = turned(&tail.standing, left_out.as_deref(), look.at);
            let words = own_words(&tail.standing, is_first, &gaps, (look.epoch, look.at));
            for notice in words.into_iter().chain(turned) {
                own.events.push(outgoing(pen.notice(notice))?);
            }
            own.owed = gaps;
            self.owed.clear();
        }
        let events = in_shard_order(&self.tell, look.events);
        let sieve = left_out.as_deref().map(|left_out| &left_out.sieve);
        let told = domain_pieces(&self.tell, (&mut pen, sieve), &events, found)?;
        self.hooks.pulse.leaves_out(told.left_out);
        let mut pieces = VecDeque::from(told.pieces);
        if !own.events.is_empty() {
            pieces.push_front(own);
        }
        if pieces.is_empty() {
            pieces.push_back(Piece::default());
        }
        let last_seq = pen.seq;
        let before = tail.standing.looked_at;
        let standing = match look.basis {
            Basis::Look => Standing {
                epoch: look.epoch.into(),
                connected: true,
                looked_at: self.seen_until(look),
                left_out,
            },
            Basis::Salvage => tail.standing,
        };
        Ok(Frame {
            pieces,
            last_seq,
            standing,
            before,
        })
    }

    /// What this step leaves out. The root says it, so what we were told to leave out counts from the step on that says so:
    /// one with something to tell, or any where nobody else looks. Two adapters that were told different things would else
    /// contradict each other at every refresh.
    fn left_out(&self, look: &Look<'_, R::State, T::Event>, tail: &Tail) -> Option<Arc<LeftOut>> {
        let has_to_tell = !look.events.is_empty() || tail.seq == 0;
        let may_turn = look.basis == Basis::Look && (has_to_tell || self.stands_still());
        let ours = self.settings.sieve.as_deref();
        if !may_turn || ours == tail.standing.sieve() {
            return tail.standing.left_out.clone();
        }
        let left_out = |sieve: &Sieve| LeftOut {
            // What happened since the last look is sifted already.
            since: if tail.seq == 0 {
                look.at
            } else {
                tail.standing.looked_at
            },
            sieve: sieve.clone(),
        };
        ours.map(left_out).map(Arc::new)
    }

    /// True where something else is to be left out than the head says, and nobody else looks.
    fn turns(&self, tail: &Tail) -> bool {
        self.settings.sieve.as_deref() != tail.standing.sieve() && self.stands_still()
    }

    /// The rows that differ from what was told; from now on they count as told.
    fn find(&mut self, state: &R::State) -> Changes {
        let found = changes(&self.rows, state, &self.told);
        for (key, row) in &found {
            match row {
                Some(row) => self.told.insert(Arc::clone(key), row.revision),
                None => self.told.remove(key),
            };
        }
        found
    }

    /// The gaps to be told now: those owed, and the stretch out of sight that a successful look ends.
    fn gaps(&self, tail: &Tail) -> Vec<Owed> {
        let mut gaps = self.owed.clone();
        let looked_before = tail.seq > 0 && !tail.standing.connected;
        if looked_before && !gaps.iter().any(|gap| gap.why == gap::ADAPTER_DOWN) {
            let from = Some(tail.standing.looked_at);
            gaps.insert(0, Owed::since(from, gap::SOURCE_UNREACHABLE));
        }
        gaps
    }

    /// The source is out of sight.
    pub(super) fn farewell(
        &mut self,
        why: Word,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Frame, AdapterError> {
        let tail = self.tail();
        let mut pen = Pen {
            prefix: &self.settings.prefix,
            source: &self.settings.source,
            journal: &self.base.journal,
            epoch: &tail.standing.epoch,
            origin: Origin::Change,
            at: now,
            seq: tail.seq,
        };
        let notice = disconnected(why, Some(tail.standing.looked_at), since);
        let mut piece = Piece::default();
        piece.events.push(outgoing(pen.notice(notice))?);
        let mut frame = self.silent_frame();
        frame.last_seq += 1;
        frame.standing.connected = false;
        frame.pieces = VecDeque::from([piece]);
        Ok(frame)
    }

    /// A frame that tells nothing and changes nothing: the root alone is written again.
    pub(super) fn silent_frame(&self) -> Frame {
        let tail = self.tail();
        Frame {
            pieces: VecDeque::from([Piece::default()]),
            last_seq: tail.seq,
            before: tail.standing.looked_at,
            standing: tail.standing,
        }
    }
}

/// The events as they came; but where they are more than one commit takes, those whose rows lie in one shard stand together,
/// so that each commit writes few shards and not all of them. What happened to one row stays in its order.
fn in_shard_order<'a, T: Tell>(tell: &T, events: &'a [T::Event]) -> Vec<&'a T::Event> {
    let mut events: Vec<_> = events.iter().collect();
    if events.len() > MAX_MESSAGES {
        events.sort_by_cached_key(|event| place(tell.key(event)));
    }
    events
}

/// What becomes of the events of one look.
struct Dressed {
    pieces: Vec<Piece>,
    /// Events that are not told.
    left_out: u64,
}

/// The events of the domain in pieces that end where no row is half told; rows without an event come last. What is left out
/// takes no number, and its row changes all the same.
fn domain_pieces<T: Tell>(
    tell: &T,
    (pen, sieve): (&mut Pen<'_>, Option<&Sieve>),
    events: &[&T::Event],
    mut rows: Changes,
) -> Result<Dressed, AdapterError> {
    let last: HashMap<&str, usize> = events
        .iter()
        .enumerate()
        .map(|(index, &event)| (tell.key(event), index))
        .collect();
    let (mut pieces, mut end, mut left_out) = (Vec::new(), 0, 0);
    let mut piece = Piece::default();
    for (index, &event) in events.iter().enumerate() {
        let key = tell.key(event);
        end = end.max(last.get(key).copied().unwrap_or(index));
        match pen.process(tell.tell(event), sieve) {
            Some(told) => {
                if index == end {
                    // Most pieces are one event, and a first look is one piece for each process.
                    piece.events.reserve_exact(1);
                }
                piece.events.push(outgoing(told)?);
                piece.told += 1;
            }
            None => left_out += 1,
        }
        if let Some(row) = rows.remove_entry(key) {
            if piece.rows.is_empty() {
                piece.rows.reserve_exact(1);
            }
            piece.rows.push(row);
        }
        if index == end {
            pieces.push(std::mem::take(&mut piece));
        }
    }
    if !rows.is_empty() {
        piece.rows = rows.into_iter().collect();
        pieces.push(piece);
    }
    Ok(Dressed { pieces, left_out })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::tests::toy::{EPOCH, Grown, Toy};
    use crate::event::subject::Prefix;

    #[test]
    fn a_piece_ends_where_no_row_is_half_told() {
        let at = DateTime::UNIX_EPOCH;
        let events: Vec<_> = ["a", "b", "b", "c", "d", "c", "e", "d", "f"]
            .map(|key| Grown {
                key: key.into(),
                from: 0,
                to: 1,
                number: 1,
                at,
            })
            .into();
        let rows = ["c", "f", "silent"]
            .map(|key| (Arc::from(key), None))
            .into();
        let prefix = Prefix::default();
        let mut pen = Pen {
            prefix: &prefix,
            source: "shop",
            journal: "j",
            epoch: EPOCH,
            origin: Origin::Change,
            at,
            seq: 0,
        };
        let events = Vec::from_iter(&events);
        let Dressed { pieces, .. } = domain_pieces(&Toy, (&mut pen, None), &events, rows).unwrap();
        let shape = |piece: &Piece| (piece.events.len(), piece.told, piece.rows.len());
        let shapes: Vec<_> = pieces.iter().map(shape).collect();
        assert_eq!(
            shapes,
            [(1, 1, 0), (2, 2, 0), (5, 5, 1), (1, 1, 1), (0, 0, 1)]
        );
        assert_eq!(pen.seq, 9);
    }

    #[test]
    fn a_look_of_more_than_one_commit_is_told_shard_by_shard_and_a_smaller_one_as_it_came() {
        let at = DateTime::UNIX_EPOCH;
        let event = |number: usize| Grown {
            key: format!("p{:04}", number / 2),
            from: 0,
            to: 1,
            number: number as u64 % 2,
            at,
        };
        let few: Vec<_> = (0..MAX_MESSAGES).map(event).collect();
        let kept = in_shard_order(&Toy, &few);
        assert!(
            kept.iter()
                .zip(&few)
                .all(|(one, other)| std::ptr::eq(*one, other))
        );
        let many: Vec<_> = (0..4 * MAX_MESSAGES).map(event).collect();
        let told = in_shard_order(&Toy, &many);
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
