//! One integration binary: what needs a network, a file system or a second program.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking; helpers of tests too"
)]

mod process_compose;
mod process_compose_stream;
mod support;
