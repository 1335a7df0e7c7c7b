//! What an adapter shows to those who ask it: health, the last table, what was told, and figures, over HTTP.
//!
//! Each source of an adapter lies on one [`Board`](board::Board) for as long as it is watched. A
//! [`Server`](serve::Server) answers from the board; it knows no adapter, and no adapter waits for it. Nobody who asks
//! can change anything: there is only `GET`, no answer holds a secret, and a web page that was lured to us gets none.
//!
//! | file | what it answers |
//! |---|---|
//! | [`board`] | what is watched here at present? |
//! | [`looks`] | how often was it looked at, and how long did that take? |
//! | [`ring`] | which of what was told is still here, and where did somebody stop reading? pure |
//! | `tally` | how many events of which sort, and which process crashed how often? pure |
//! | `health`, `snapshot`, `events`, `manifest` | what is answered, as an object |
//! | `figures`, `text` | the same as figures, in the text that Prometheus reads |
//! | `route` | which question wants which answer? |
//! | [`place`], `host` | where do we listen, and whom do we answer there? pure |
//! | `door` | how is such a place taken, and given back? |
//! | [`serve`] | how is somebody served who does everything to hold us up? |
//!
//! What must not be here: anything that changes what is watched, any wait for whoever asks, any memory that grows with
//! what happens. Ages are counted when they are read, so nothing old is ever shown as new.

pub mod board;
pub mod error;
pub mod looks;
pub mod place;
pub mod ring;
pub mod serve;

mod door;
mod events;
mod figures;
mod health;
mod host;
mod manifest;
mod route;
mod snapshot;
mod tally;
mod text;

#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;

/// JSON Schema (draft 2020-12) of everything that is answered as JSON.
pub const LISTEN: &str = include_str!("../../docs/schema/listen.v1.json");
