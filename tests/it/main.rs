//! One integration binary: what needs a network, a file system or a second program.

mod process_compose;
mod support;
