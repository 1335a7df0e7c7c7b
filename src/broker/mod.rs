//! A nats-server of one's own, for those who have none: started when somebody needs it, shared by every
//! command of one user, ended a while after the last of them has gone.
//!
//! It belongs to no command. A small detached process, the *warden*, is its parent: the same executable run
//! again with a hidden argument. Who uses the broker holds a *lease*, which is a locked file; the kernel lets
//! go of the lock when its holder dies, however it dies, so a user killed with `kill -9` is noticed like any
//! other. When nobody held a lease for the linger time the warden ends the server and itself.
//!
//! Everything lies in one folder (`$XDG_STATE_HOME/observe/broker`, mode 0700):
//!
//! | name | what |
//! |---|---|
//! | `store/` | the JetStream data; survives every start and stop |
//! | `server.conf` | the configuration, written anew for each start, holds the token |
//! | `server.json` | the card: pid, address, token, start time of what runs now |
//! | `lock` | held for moments by whoever starts, stops, or decides to end |
//! | `warden.lock` | held by the warden for its life |
//! | `server.lock` | held by the server itself for its life: it is handed the locked file as its standard input |
//! | `leases/` | one locked file per user |
//! | `ports/` | where the server says on which port it listens |
//! | `log`, `warden.log` | for people; no program reads them |
//! | `fault.json` | why the last start failed, for the one who asked for it |
//!
//! nats-server takes no lock on its store, and two of them on one store destroy it. `server.lock` makes that
//! impossible: it is free exactly when no server of ours lives, whatever happened to the warden or to
//! `server.json`. The pid in the card is only used to send signals, and only after its command line was seen to
//! name our `server.conf`.
//!
//! A warden killed with `kill -9` leaves a server without a warden. The next one who needs the broker gives it
//! a new warden if the server answers (so that those who are connected stay connected), and otherwise ends it
//! and starts another. Until somebody comes such a server stays: no portable way was found to make a server
//! notice its parent's death.
//!
//! A server that dies leaves its card behind; one that is ended in order does not. The next one starts with the
//! port and the token of the card that was left, so that those who were connected are again, without a word to
//! them. Only where that port is taken it has others.
//!
//! This module must not read the environment, print, or know what the broker is used for. It restarts
//! nothing: a server that dies is gone until somebody calls [`ensure`] again.

mod alive;
mod binary;
mod card;
mod conf;
mod ensure;
mod error;
mod folder;
#[cfg(any(test, fuzzing))]
pub(crate) mod laws;
mod lease;
mod lock;
mod places;
mod ready;
#[cfg(test)]
mod scratch;
mod server;
mod settings;
mod stop;
pub mod warden;

pub(crate) use alive::is_ours;
pub use card::Token;
pub use ensure::{Lease, Running, ensure, find, has_died, has_store};
pub use error::{BrokerError, Kind};
pub use places::Places;
pub use settings::{Settings, WardenCommand};
pub use stop::{Stopped, stop};
