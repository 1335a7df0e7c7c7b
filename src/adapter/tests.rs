//! The adapter against a scripted broker in memory: every sentence of its contract, then two of them at random.

mod answers;
mod crashes;
mod heads;
mod house;
mod race;
mod sights;
mod starts;
mod store;
pub(super) mod toy;
mod waiting;
