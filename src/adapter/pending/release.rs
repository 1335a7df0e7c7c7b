//! Letting go of what is acknowledged.

use super::{Pending, Piece, Unreadable};
use crate::adapter::gap::Owed;
use crate::adapter::settings::Told;
use crate::adapter::table::{Change, Changes};

/// What was acknowledged and so waits no more.
#[derive(Debug, Default)]
pub(in crate::adapter) struct Released<R> {
    /// What its rows became: of one commit a list, in order; of what may be much more, of each row only the last.
    pub(in crate::adapter) rows: R,
    /// The gaps that were told with it.
    pub(in crate::adapter) gaps: Vec<Owed>,
    /// Events of the domain in it that had waited since an earlier report.
    pub(in crate::adapter) waited: u64,
}

impl Pending {
    /// Lets go of all pieces whose events are told up to this number, as [`release`](Self::release) does.
    pub(in crate::adapter) fn release_to(
        &mut self,
        base: u64,
        seq: u64,
        mut told: Option<&mut Told>,
    ) -> Result<Released<Changes>, Unreadable> {
        let mut released = Released::default();
        let mut last = base;
        while last < seq {
            self.refill()?;
            last += self.let_go(&mut released, &mut told).ok_or(Unreadable)?;
        }
        Ok(released)
    }

    /// Lets go of so many pieces from the front: they are acknowledged. Whoever wants to hears of their events.
    pub(in crate::adapter) fn release(
        &mut self,
        pieces: usize,
        mut told: Option<&mut Told>,
    ) -> Released<Vec<Change>> {
        let mut released = Released::default();
        for _ in 0..pieces {
            if self.let_go(&mut released, &mut told).is_none() {
                break;
            }
        }
        released
    }

    /// Lets go of the piece at the front; gives the number of its events.
    fn let_go(
        &mut self,
        released: &mut Released<impl Extend<Change>>,
        told: &mut Option<&mut Told>,
    ) -> Option<u64> {
        let has_waited = self.taken > 0;
        let piece = self.pop()?;
        if let Some(told) = told {
            piece.events.iter().for_each(told);
        }
        if has_waited {
            released.waited = released.waited.saturating_add(piece.told);
        }
        released.rows.extend(piece.rows);
        released.gaps.extend(piece.owed);
        Some(piece.events.len() as u64)
    }

    fn pop(&mut self) -> Option<Piece> {
        let frame = self.window.front_mut()?;
        let piece = frame.pieces.pop_front();
        let is_done = frame.pieces.is_empty() && frame.unwritten.is_none();
        if self.kept == 0 {
            self.bytes -= piece.as_ref().map_or(0, Piece::bytes);
        }
        if is_done {
            self.window.pop_front();
            self.kept = self.kept.saturating_sub(1);
            self.taken = self.taken.saturating_sub(1);
        }
        piece
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::adapter::pending::{Frame, Piece, Standing};
    use crate::adapter::script::Unwritten;

    /// So many pieces with nothing in them.
    #[derive(Debug)]
    struct Blank(usize);

    impl Unwritten for Blank {
        fn write(&mut self, events: usize, pieces: &mut VecDeque<Piece>) -> serde_json::Result<()> {
            let written = events.min(self.0);
            self.0 -= written;
            pieces.extend((0..written).map(|_| Piece::default()));
            Ok(())
        }

        fn is_done(&self) -> bool {
            self.0 == 0
        }
    }

    #[test]
    fn a_frame_is_over_when_all_of_it_is_written_and_told() {
        let standing = Standing {
            epoch: "e".into(),
            left_out: None,
            connected: true,
            looked_at: chrono::DateTime::UNIX_EPOCH,
        };
        let mut pending = Pending::new(1_000, None);
        pending.push(Frame {
            pieces: VecDeque::new(),
            unwritten: Some(Box::new(Blank(1_500))),
            last_seq: 0,
            before: standing.looked_at,
            standing,
        });
        for left in [true, false] {
            pending.write_on().unwrap();
            pending.release(1_000, None);
            assert_eq!(!pending.is_empty(), left);
        }
    }
}
