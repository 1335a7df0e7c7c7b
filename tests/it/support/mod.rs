//! What several capabilities need to be tested.

pub(crate) mod fake_server;
