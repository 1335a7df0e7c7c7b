//! Faces: how an event, a snapshot or a state of affairs is shown to a person or handed to a program.
//!
//! Everything here is a function of what the caller hands in: no clock (`now` is an argument), no environment (its
//! words are arguments), no terminal and no stream but the `impl Write` of the caller. One event is one line and one
//! `write`, so that two programs on one terminal never tear each other's lines.
//!
//! All text that comes from outside passes one [`door`]: a process may be called anything, and no name may forge a
//! line, a colour or a direction. Colour is never the only bearer of a meaning: each line has a symbol and a word.
//!
//! What must not happen here: classifying (that was done when the event was told), counting (that is what `stats` is
//! for), and printing (only the command line prints).

mod cloudevents;
pub mod deeds;
mod detail;
pub mod difference;
pub mod door;
pub mod format;
pub mod json;
pub mod junit;
pub mod line;
pub mod log;
pub mod moment;
pub mod notice;
pub mod outcome;
mod outlay;
pub mod settings;
pub mod sources;
pub mod standings;
pub mod stats;
pub mod stats_json;
pub mod style;
pub mod template;
pub mod time;
pub mod version;
pub mod words;

#[cfg(test)]
mod tests;
