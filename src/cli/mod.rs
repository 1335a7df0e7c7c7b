//! The roof: one door for each subcommand.
//!
//! Only here something is printed, read from the environment, or decided for good. A subcommand is a file with its
//! arguments and a `run`; the thinking lives on the floors below.

mod adapter;
mod awaited;
mod begin;
mod broker;
mod broker_args;
mod child;
mod choose;
mod completions;
mod contact;
mod cursor;
mod desk;
mod diff;
mod direct;
mod doctor;
mod durable;
mod durable_watch;
mod exit;
mod face_args;
mod fold;
mod follow;
mod heads;
mod history;
mod kept;
mod lines;
mod live_names;
mod logs;
mod man;
mod memory;
mod named;
mod open;
mod opening;
mod process;
mod program;
mod progress;
mod recall;
mod redraw;
mod run;
mod scale;
mod schema;
mod service;
mod sheet;
mod signals;
mod simulate;
mod source;
mod source_args;
mod sources;
mod spool_args;
mod standing;
mod standing_args;
mod state;
mod stats;
mod tail;
mod target;
mod terminal;
mod up;
mod version;
mod view;
mod wait;
mod wait_args;
mod walk;
mod watch;

pub use program::main;
