//! The adapter against a scripted broker in memory: every sentence of its contract, then two of them at random.

mod answers;
mod crashes;
mod grounds;
mod heads;
mod house;
mod late;
mod parts;
mod pulses;
mod race;
mod sieves;
mod sights;
mod spool;
mod spool_file;
mod spool_full;
mod standbys;
mod starts;
mod store;
mod torn;
pub(super) mod toy;
mod unseen;
mod waiting;
