//! Tells what your processes did, exactly once, and never lies about what it did not see.

pub mod adapter;
pub mod event;
pub mod observation;
