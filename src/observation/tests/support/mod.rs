//! A dial that shows a number, a roster, a ledger that keeps what it is told, and a stage for them.

mod dial;
mod directory;
mod ledger;
mod roster;
mod stage;

pub(super) use dial::{Dial, DialReader, Mood, Moved};
pub(super) use directory::Directory;
pub(super) use ledger::{Deed, Entry, Ledger};
pub(super) use roster::{Attendance, Roster};
pub(super) use stage::{
    DialLedger, MS, Stage, change, clock, dial_builder, every_second, first, id, pass,
};
