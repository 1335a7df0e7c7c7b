//! What several capabilities need for their tests.

pub(crate) mod fake_server;
pub(crate) mod house;
pub(crate) mod nats;
pub(crate) mod scratch;
pub(crate) mod wait;
