//! Tells what your processes did, exactly once, and never lies about what it did not see.
//!
//! **Look, compare, tell.** An observer looks at a process supervisor again and again; what it sees is compared with what was last
//! told; the difference goes, in one piece with the memory of having told it, into a NATS JetStream stream, and from there to whoever
//! reads. The program `observe` does this from a command line. This library is the same house, for programs of others.
//!
//! To read events, [`connect`], choose with a [`Filter`], and [`subscribe`]:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use observe::{BusSettings, Filter, connect, subscribe};
//!
//! let bus = connect(&BusSettings::default().at("nats://127.0.0.1:4222")).await?;
//! let mut events = subscribe(&bus, Filter::all().process("web-*")?).open().await?;
//! loop {
//!     let event = events.next().await?.record.envelope;
//!     println!("{} {}: {}", event.timestamp, event.kind, event.reason);
//! }
//! # }
//! ```
//!
//! To look at something else than processes, implement [`Observer`](observation::Observer) and hand it to an
//! [`ObservationRuntime`](observation::ObservationRuntime); the ground floor knows no domain. To test what reads a process-compose,
//! start a [`simulate::server::Simulation`].
//!
//! What an event says, key by key, stands in `docs/events.md`; how the floors fit together in `docs/architecture.md`. The
//! modules, from ground to roof; each may use those before it, as far as `tests/floors.rs` allows:

// Ground: looking at anything.
pub mod observation;

// Words.
pub mod event;
pub mod process;

// Foreign tongues and the broker.
pub mod bus;
pub mod process_compose;

// Jobs.
pub mod adapter;
pub mod broker;
pub mod config;
pub mod doctor;
pub mod listen;
pub mod simulate;
pub mod stats;

// Faces.
pub mod render;

// Roof.
pub mod cli;

// What is held against everything that reads foreign bytes.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;

// For outsiders only: inside, things are imported from where they live.
pub use bus::connect::{Bus, connect};
pub use bus::error::BusError;
pub use bus::read::Begin;
pub use bus::settings::BusSettings;
pub use bus::subscribe::{Deliveries, Delivery, subscribe};
pub use event::envelope::Envelope;
pub use event::filter::Filter;
pub use event::payload::{Kind, Severity};
pub use event::record::Record;

/// The programs in the guide are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide.md")]
mod guide {}
