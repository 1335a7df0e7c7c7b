//! The bus: the one place that knows NATS.
//!
//! It connects, sees to it that the stream can hold what is told, commits a source's events behind its head in one
//! piece, and reads them back without a hole and without a repeat. It does not know what a look or a process is: it
//! stores what [`crate::event::store`] describes and gives back [`crate::event::record::Record`]s.
//!
//! What it must not do: hand a byte to a client that is not connected (such bytes are sent after the reconnect, long
//! after their sender was told that they failed), resend anything whose outcome is unknown, wait without a limit, or
//! print.
//!
//! The way in is [`connect::connect`], which gives a [`connect::Bus`]; [`stream::ensure`] makes the stream;
//! [`publish::JetStreamStore`] is the adapter's [`crate::event::store::EventStore`]; [`read::Reader`] follows the
//! stream live, [`past::Past`] reads a stretch of it once, [`durable_reader::DurableReader`] does so from where the broker remembers it, and
//! [`subscribe::subscribe`] is the short way for programs of others. Beside the stream stands [`control`]: plain requests to
//! the adapters of a source.

mod anchor;
mod api;
mod batch;
pub mod connect;
mod consumer;
pub mod context;
pub mod control;
mod durable;
pub mod durable_reader;
pub mod error;
pub mod forget;
mod ground;
pub mod head;
pub mod heads;
mod intact;
#[cfg(any(test, fuzzing))]
pub(crate) mod laws;
pub mod link;
mod opening;
mod origin;
pub mod past;
pub mod publish;
mod pull;
pub mod read;
mod retry;
pub mod rights;
pub mod settings;
pub mod shape;
mod stored;
pub mod stream;
pub mod subscribe;
pub mod survey;
pub mod text;
mod torn;
