//! The tongue of process-compose: its API spoken, its answers put into plain values.
//!
//! What happens here, from the wire upward: [`connect`] opens a TCP, TLS or unix connection; [`client`] keeps one HTTP
//! connection and asks; [`wire`] turns the answer of every version from v0.50 on into rows, [`info`] the project's
//! state and a process's configuration; [`translate`] says the rows in the words of the process floor; [`nudge`] listens to the state stream where the server has one and puts what
//! it hears into [`frames`]; [`discovery`] finds the server nobody named; [`control`] asks it to do something, and [`logs`] reads what processes wrote.
//!
//! Above them stands [`observer`]: it looks, makes sure whom it looks at ([`server`]), and lets the process floor compare.
//! Nothing below it decides what a change means, or tells anybody: it hands out what the server said,
//! marked with when and how completely it was heard. It never keeps a command line or an environment of a watched
//! process, and it never shows foreign text without [`error::clean`].

pub mod client;
mod connect;
pub mod control;
pub mod discovery;
pub mod error;
mod evidence;
mod exchange;
pub mod frames;
pub mod info;
#[cfg(any(test, fuzzing))]
pub(crate) mod laws;
mod learner;
pub mod logs;
pub mod nudge;
pub mod observer;
mod odd;
pub mod pages;
mod room;
pub mod server;
pub mod settings;
pub mod translate;
pub mod wire;
