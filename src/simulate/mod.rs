//! A process-compose to play with: an HTTP server that speaks its REST API and its WebSockets, with simulated processes
//! behind it.
//!
//! It is made for people who write consumers of that API. Whatever a consumer has to survive (random order, statuses that
//! last for milliseconds, counters that lie, frames that are stale, names that change, a server that is away) happens here
//! on demand, repeatably, and is written down as it *really* happened ([`truth`]), so that what a consumer said can be
//! compared with what was true.
//!
//! The floors of this room, from the ground up:
//!
//! - [`span`], [`script`], [`random`]: what shall happen, read from a file or drawn by seed;
//! - [`profile`]: which release of process-compose is played;
//! - [`truth`]: the words for what happened;
//! - [`world`]: the model. Pure: time is an argument, every step leaves frames and records behind, nothing sleeps;
//! - [`view`], [`describe`]: the JSON that release would answer;
//! - `shared`, [`control`], [`fault`]: the world behind a lock, and the hands that reach into it;
//! - `api`, `stream`, `line`, [`server`], [`builder`], [`fleet`]: the sockets, of one server or of many.
//!
//! It imports nothing else of this crate and shares no code with the adapter, so that it cannot share a mistake with it.
//! It starts no processes, reads no environment, and prints nothing.

mod api;
pub mod builder;
pub mod control;
pub mod describe;
pub mod fault;
pub mod fleet;
#[cfg(any(test, fuzzing))]
pub(crate) mod laws;
mod line;
pub mod profile;
pub mod random;
pub mod script;
pub mod server;
pub mod settings;
mod shared;
pub mod span;
mod stream;
pub mod truth;
pub mod view;
pub mod world;

/// The guide page, so that its Rust is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../docs/simulate.md")]
struct Guide;
