//! The doctor: looks at everything an adapter and a reader depend on, and says of each thing how it is and what to do.
//!
//! [`examine::examine`] takes a [`examine::Case`] (where to look, as the command line chose it) and gives a
//! [`finding::Report`]: plain values, one [`finding::Finding`] for each thing that was looked at. One file for each area:
//!
//! | file | asks |
//! |---|---|
//! | `setup.rs` | which variables are in effect, and do they contradict each other? |
//! | `source.rs` | does a process-compose answer, and how well can it be seen? |
//! | `broker.rs` | does a broker answer, can it do what we need, is there room? |
//! | `stream.rs` | is the stream as it must be? |
//! | `rights.rs` | may we send and hear what an adapter and a reader need? |
//! | `adapters.rs` | who tells what, and when did they look last? |
//! | `memory.rs` | what lies in the state folder, and is there room? |
//! | `page.rs` | the report as lines for a person |
//! | `schema.rs` | the report as JSON Schema |
//! | `owner.rs` | what the owner of a broker must set, as text to copy |
//!
//! What it must not do: change anything (no stream is created, no broker started, no message stored, no file written or
//! locked), fail (what is away is a finding), take longer than a person waits (each area has its limit, and they run side
//! by side), or show a secret. What cannot be found out without side effects is said to be unknown.

pub mod adapters;
pub mod broker;
pub mod examine;
pub mod finding;
pub mod memory;
pub mod owner;
pub mod page;
pub mod rights;
pub mod schema;
pub mod setup;
pub mod source;
pub mod stream;
