//! The binary as a user runs it: arguments in, lines and an exit code out.
//!
//! Each test has a home of its own, ports of its own and an environment in which nothing but what it says is set. Every
//! program that is started ends with the test, and every wait has a limit and a condition. Nothing here reaches into the
//! library, except to play the stack that is watched and to read back what stands in the stream.

mod adapter;
mod bounds;
mod broker_input;
mod direct;
mod flags;
mod house;
mod managed;
mod names;
mod pipes;
mod restarts;
mod run;
mod source_away;
mod source_input;
mod stack;
mod terminal;
mod weapons;
