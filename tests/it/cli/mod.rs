//! The binary as a user runs it: arguments in, lines and an exit code out.
//!
//! Each test has a home of its own, ports of its own and an environment in which nothing but what it says is set. Every
//! program that is started ends with the test, and every wait has a limit and a condition. Nothing here reaches into the
//! library, except to play the stack that is watched and to read back what stands in the stream.

mod adapter;
mod background;
mod bounds;
mod broker_input;
mod command;
mod completions;
mod config;
mod consumers;
mod contexts;
mod direct;
mod doctor;
mod doctor_harmless;
mod doctor_stream;
mod examples;
mod flags;
mod guide;
mod history;
mod history_shown;
mod house;
mod hub;
mod leaf;
mod left_out;
mod listen;
mod listen_away;
mod listen_doors;
mod listen_many;
mod managed;
mod many;
mod many_up;
mod names;
mod outages;
mod packaging;
mod pipes;
mod process;
mod process_live;
mod process_logs;
mod process_told;
mod readers;
mod restarts;
mod rights;
mod rights_readers;
mod run;
mod screens;
mod service;
mod source;
mod source_away;
mod source_input;
mod stack;
mod state;
mod state_past;
mod stats;
mod storage;
mod terminal;
mod two_adapters;
mod wait;
mod weapons;
