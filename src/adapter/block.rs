//! Where the texts of events are written: side by side, because thousands of them may wait, are told in their order, and are then
//! given back together.

use bytes::{Bytes, BytesMut};

/// Room for some texts; large enough that the allocator asks the system for it and gives it back there.
const BLOCK: usize = 256 * 1024;
/// About the length of one text.
const TEXT: usize = 1024;

/// Texts, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// How many more texts are to come, about.
    left: usize,
    draft: Vec<u8>,
    room: BytesMut,
}

impl Block {
    /// A block for about so many texts.
    pub(super) fn of(texts: usize) -> Self {
        Self {
            left: texts,
            ..Self::default()
        }
    }

    /// Writes one text down. It lives as long as somebody holds it, and so does the room around it.
    ///
    /// # Errors
    ///
    /// What `text` gives; nothing is written then.
    pub(super) fn write<E>(
        &mut self,
        text: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Bytes, E> {
        self.draft.clear();
        text(&mut self.draft)?;
        let length = self.draft.len();
        if self.room.capacity() < length {
            let wanted = self.left.saturating_mul(TEXT).min(BLOCK);
            self.room = BytesMut::with_capacity(wanted.max(length));
        }
        self.left = self.left.saturating_sub(1);
        self.room.extend_from_slice(&self.draft);
        Ok(self.room.split().freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(block: &mut Block, text: &str) -> Bytes {
        let written = block.write(|out| {
            out.extend_from_slice(text.as_bytes());
            Ok::<_, ()>(())
        });
        written.unwrap()
    }

    #[test]
    fn texts_stand_side_by_side_and_stay_what_they_are() {
        let mut block = Block::of(3);
        let texts = ["one", "two", &"three".repeat(1000), "four", ""];
        let written: Vec<_> = texts.iter().map(|text| put(&mut block, text)).collect();
        for (text, written) in texts.iter().zip(&written) {
            assert_eq!(text.as_bytes(), written);
        }
        let ends = written[0].as_ptr().wrapping_add(written[0].len());
        assert_eq!(ends, written[1].as_ptr());
    }

    #[test]
    fn a_text_alone_takes_no_more_room_than_it_needs() {
        let mut block = Block::default();
        put(&mut block, "alone");
        assert_eq!(block.room.capacity(), 0);
    }

    #[test]
    fn a_text_that_fails_leaves_nothing_behind() {
        let mut block = Block::of(2);
        let failed = block.write(|out| {
            out.extend_from_slice(b"half");
            Err("no")
        });
        assert_eq!(failed, Err("no"));
        assert_eq!(put(&mut block, "whole"), "whole");
    }
}
