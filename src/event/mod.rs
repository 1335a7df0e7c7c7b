//! The words of the wire: what is told, under which subject, and how it is read back.
//!
//! This floor is pure. It opens no connection, reads no clock and knows no supervisor; it holds the contract that
//! consumers in any language build on (`docs/events.md`), and the two seams through which the adapter works without
//! knowing the broker ([`store`]) or the domain ([`tell`]).
//!
//! One event takes this way: a domain describes what happened as a [`payload::Payload`]; the adapter stamps it into an
//! [`envelope::Envelope`] (or, where only its text is wanted, a [`draft::Draft`]), which `json` writes; the bus stores it under its
//! [`subject`]; a reader gets it back as a [`record::Record`] and picks with a [`filter::Filter`]. Where its text is all that is
//! wanted, a [`glance::Glance`] is enough for that. What an adapter leaves out on purpose it leaves out by a [`sieve::Sieve`], which
//! readers find in the head.

pub mod draft;
pub mod envelope;
pub mod filter;
pub mod glance;
pub mod grep;
pub(crate) mod json;
#[cfg(any(test, fuzzing))]
pub(crate) mod laws;
pub mod payload;
pub mod plain;
pub mod record;
pub(crate) mod room;
#[cfg(test)]
mod samples;
pub mod schema;
pub mod sieve;
pub mod store;
pub mod subject;
pub mod tell;
