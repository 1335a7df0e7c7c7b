//! What a report tells: gaps first, then the source itself, then the events of the domain, each row in one piece.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::event::payload::{Origin, Word};
use crate::event::sieve::{LeftOut, Sieve};
use crate::event::store::{EventStore, MAX_MESSAGES};
use crate::event::tell::{Rows, Tell};

use super::block::Block;
use super::commit::Committer;
use super::dress::{Pen, disconnected, own_words, turned};
use super::error::AdapterError;
use super::gap::{self, Owed};
use super::pending::{Frame, Piece, Standing};
use super::script::{Byline, Script, Unwritten};
use super::table::{Changes, changes};

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
    pub(super) events: &'a Arc<Vec<E>>,
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
        let byline = Byline {
            prefix: self.settings.prefix.clone(),
            source: self.settings.source.clone(),
            journal: self.base.journal.clone(),
            epoch: look.epoch.to_owned(),
            origin: match look.origin {
                Origin::Change if is_first && gaps.is_empty() => Origin::Initial,
                Origin::Change if resync => Origin::Resync,
                origin => origin,
            },
            at: look.at,
        };
        let mut pen = byline.pen(tail.seq, Block::default());
        let mut own = Piece::default();
        if look.basis == Basis::Look {
            let turned = turned(&tail.standing, left_out.as_deref(), look.at);
            let words = own_words(&tail.standing, is_first, &gaps, (look.epoch, look.at));
            for notice in words.into_iter().chain(turned) {
                let notice = pen.notice(notice);
                own.events.push(pen.encode(&notice.draft())?);
            }
            own.owed = gaps;
            self.owed.clear();
        }
        let behind = (pen.seq, left_out.clone());
        let script = Script::new(&self.tell, look.events, found, (byline, behind));
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
        self.written(own, script, (before, standing))
    }

    /// A frame of what is told. What fits one commit is written down at once; of more, each part when its turn comes. What is
    /// left out takes no number, so that the last number is known only afterwards.
    fn written(
        &self,
        own: Piece,
        mut script: Script<T>,
        (before, standing): (DateTime<Utc>, Standing),
    ) -> Result<Frame, AdapterError> {
        let mut pieces = VecDeque::new();
        if !own.events.is_empty() {
            pieces.push_back(own);
        }
        let is_long = script.len() > MAX_MESSAGES && standing.left_out.is_none();
        if !is_long {
            script.write(usize::MAX, &mut pieces)?;
        }
        self.hooks.pulse.leaves_out(script.left_out());
        if pieces.is_empty() && !is_long {
            pieces.push_back(Piece::default());
        }
        Ok(Frame {
            pieces,
            last_seq: script.last_seq(),
            unwritten: is_long.then(|| Box::new(script) as Box<dyn Unwritten>),
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
            block: Block::default(),
        };
        let notice = disconnected(why, Some(tail.standing.looked_at), since);
        let mut piece = Piece::default();
        let notice = pen.notice(notice);
        piece.events.push(pen.encode(&notice.draft())?);
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
            unwritten: None,
            last_seq: tail.seq,
            before: tail.standing.looked_at,
            standing: tail.standing,
        }
    }
}
