//! Tells what your processes did, exactly once, and never lies about what it did not see.

pub mod adapter;
pub mod broker;
pub mod bus;
pub mod cli;
pub mod event;
pub mod observation;
pub mod process;
pub mod process_compose;
pub mod render;
pub mod simulate;
