//! The adapter against a scripted broker in memory: every sentence of its contract, then two of them at random.

mod race;
mod sentences;
mod starts;
pub(super) mod toy;
