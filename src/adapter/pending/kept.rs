//! What concerns the file: frames that go there, frames that come back.

use std::io;
use std::path::Path;

use crate::event::store::MAX_MESSAGES;

use super::{Beyond, Frame, Pending, Unreadable, messages, told};
use crate::adapter::spool::Opened;
use crate::adapter::spool::entry;

/// So many events are written at a time while the broker is at work, so that nobody waits long for his turn.
const A_LITTLE: usize = 64;

impl Pending {
    /// Goes on with what was found.
    pub(in crate::adapter) fn adopt(&mut self, opened: Opened) {
        let Some(spool) = &mut self.spool else {
            return;
        };
        self.taken = opened.frames;
        self.beyond = Beyond {
            frames: opened.frames,
            told: opened.events,
            at: opened.start,
            last: Some((opened.seq, opened.standing)),
        };
        spool.adopt(opened.file, opened.start);
    }

    /// A file lies there that cannot be used; it goes when nothing is owed any more.
    pub(in crate::adapter) fn mark_stale(&mut self) {
        if let Some(spool) = &mut self.spool {
            spool.mark_stale();
        }
    }

    /// Writes down what one commit takes of a frame that is not written yet.
    ///
    /// # Errors
    ///
    /// As for [`complete`](Self::complete).
    pub(in crate::adapter) fn write_on(&mut self) -> serde_json::Result<()> {
        if messages(&self.window) < MAX_MESSAGES {
            self.write_some(MAX_MESSAGES)?;
        }
        Ok(())
    }

    fn write_some(&mut self, events: usize) -> serde_json::Result<()> {
        if let Some(frame) = self.window.back_mut() {
            frame.write(events, &mut self.bytes)?;
        }
        #[cfg(test)]
        {
            self.most = self.most.max(messages(&self.window));
        }
        Ok(())
    }

    /// Writes down, or reads back, a little of what the commit after the next takes; false where that is all there. What goes
    /// wrong goes wrong again when its turn comes.
    pub(in crate::adapter) fn prepare(&mut self) -> bool {
        if messages(&self.window) >= 2 * MAX_MESSAGES {
            return false;
        }
        let last = self.window.back();
        if last.is_some_and(|frame| frame.unwritten.is_some()) {
            return self.write_some(A_LITTLE).is_ok();
        }
        (0..A_LITTLE / 8).all(|_| self.beyond.frames > 0 && self.read_back().is_ok())
    }

    /// Reads frames back until the window holds as much as one commit takes.
    pub(in crate::adapter) fn refill(&mut self) -> Result<(), Unreadable> {
        while self.beyond.frames > 0 && messages(&self.window) < MAX_MESSAGES {
            self.read_back()?;
        }
        if self.beyond.frames == 0 {
            self.window.append(&mut self.fresh);
        }
        Ok(())
    }

    /// Reads the next frame back.
    fn read_back(&mut self) -> Result<(), Unreadable> {
        let spool = self.spool.as_ref().ok_or(Unreadable)?;
        let (frame, next) = spool.frame(self.beyond.at).ok_or(Unreadable)?;
        self.beyond.at = next;
        self.beyond.frames -= 1;
        self.beyond.told = self.beyond.told.saturating_sub(told([&frame]));
        self.window.push_back(frame);
        self.kept += 1;
        #[cfg(test)]
        {
            self.most = self.most.max(messages(&self.window));
        }
        Ok(())
    }

    /// Whether a piece ends at this number, where the first event of all has the number behind `base`.
    pub(in crate::adapter) fn ends_a_piece(&self, base: u64, seq: u64) -> bool {
        let mut last = base;
        let mut reached = |frame: &Frame| {
            frame.pieces.iter().any(|piece| {
                last += piece.events.len() as u64;
                last >= seq
            }) && last >= seq
        };
        let found = self.window.iter().any(&mut reached)
            || self.stored().any(|frame| reached(&frame))
            || self.fresh.iter().any(&mut reached);
        found && last == seq
    }

    /// The frames that lie on the disk only, as far as they can be read.
    pub(super) fn stored(&self) -> impl Iterator<Item = Frame> {
        let (mut at, mut left) = (self.beyond.at, self.beyond.frames);
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let (frame, next) = self.spool.as_ref()?.frame(at)?;
            at = next;
            Some(frame)
        })
    }

    /// Writes down what is not on the disk yet. `first` gives the first entry, should a file have to be made.
    ///
    /// # Errors
    ///
    /// The disk's. What could not be written stays in memory, and the next call tries again.
    pub(in crate::adapter) fn keep(&mut self, first: impl FnOnce() -> Vec<u8>) -> io::Result<()> {
        self.complete()?;
        let Some(spool) = &mut self.spool else {
            return Ok(());
        };
        let window = self.window.iter().skip(self.kept);
        let mut payloads: Vec<_> = window.map(entry::frame).collect();
        payloads.extend(self.fresh.iter().map(entry::frame));
        if payloads.is_empty() {
            return Ok(());
        }
        let at = spool.write(&payloads, self.fresh.len(), first)?;
        self.kept = self.window.len();
        self.bytes = 0;
        if self.beyond.frames == 0 {
            self.beyond.at = at;
        }
        for frame in self.fresh.drain(..) {
            self.beyond.frames += 1;
            self.beyond.told += told([&frame]);
            self.beyond.last = Some((frame.last_seq, frame.standing));
        }
        Ok(())
    }

    /// Where all that waits lies on the disk; nothing where it does not.
    pub(in crate::adapter) fn kept_at(&self) -> Option<&Path> {
        let spool = self.spool.as_ref()?;
        let all = self.kept == self.window.len() && self.fresh.is_empty();
        (all && spool.is_live()).then(|| spool.path())
    }

    /// Nothing is left to be told of what was given up: its file goes, or the next start would take it for lost.
    pub(in crate::adapter) fn discard(&mut self) {
        if let Some(spool) = &mut self.spool {
            spool.remove();
        }
    }

    /// Writes down how far the broker has acknowledged; with nothing of the queue left in it, the file goes as soon as
    /// nothing is owed.
    pub(in crate::adapter) fn acknowledged(&mut self, note: impl FnOnce() -> Vec<u8>, owes: bool) {
        let (is_empty, is_kept) = (self.is_empty(), self.kept + self.beyond.frames > 0);
        if let Some(spool) = &mut self.spool {
            if is_kept {
                spool.note(note);
            } else {
                spool.retire();
            }
            if is_empty && !owes {
                spool.remove();
            }
        }
    }
}

#[cfg(test)]
impl Pending {
    /// Messages whose frames are in memory.
    pub(in crate::adapter) fn in_memory(&self) -> usize {
        messages(&self.window) + messages(&self.fresh)
    }

    /// The most that ever were.
    pub(in crate::adapter) fn most_in_memory(&self) -> usize {
        self.most
    }
}
