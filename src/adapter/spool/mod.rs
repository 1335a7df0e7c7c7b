//! The spool: what was taken and the broker has not acknowledged, in a file, so that our own crash does not lose it.
//!
//! One file for each adapter, written from front to back. Its first entry says what the queue builds on: the journal,
//! the root that was last acknowledged and the whole table as it was told there. Each later entry is one frame of the
//! queue, or a note: a further run of the program that goes on with this file, or how far the broker has acknowledged.
//! It is made when the first frame has to wait and removed when nothing waits any more; as long as the broker answers,
//! no disk is touched.
//!
//! | file | what it answers |
//! |---|---|
//! | `bytes` | how are numbers, texts and times written, and read back without trust? |
//! | `entry` | what does an entry hold? |
//! | `file` | how does an entry get onto the disk and back, and what is torn, what is corrupt? |
//! | `keeper` | when is a file made, appended to, removed? |
//! | `open` | what lies there at the start? |
//!
//! What it must not do: read a clock, decide what is told, or believe what it reads. Everything foreign is an error: it
//! is never a panic, and never memory for more than the file holds.
//!
//! *Torn* is the end of a file to which a crash did not let the last entry be written whole: it was answered to nobody,
//! so it is cut off and nothing is said. Everything else that does not agree with its checksum is *corrupt*: the entries
//! before it are good, it and all behind it are given up for the net difference, and a gap says so. The numbers of the
//! events that were given up are given again, to what is told instead: nobody has seen them, since a head that knows more
//! of them than the good entries do is somebody else's to us, and then the whole file is dropped.

mod bytes;
mod open;

pub(super) mod entry;
pub(super) mod file;
pub(super) mod keeper;

pub(super) use open::{Found, Opened, open};
