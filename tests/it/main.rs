//! What runs against real parts, in one binary.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking; helpers of tests too"
)]

mod broker;
mod bus;
mod chaos;
mod cli;
mod live;
mod process_compose;
mod process_compose_stream;
mod recordings;
mod simulate;
mod support;
