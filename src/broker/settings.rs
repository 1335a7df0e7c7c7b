//! What a caller decides about the managed broker.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::places::Places;

/// How the managed broker is found, started and ended.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to look and where to write.
    pub places: Places,
    /// The nats-server a person named; nothing means looking for one.
    pub binary: Option<PathBuf>,
    /// How long the server stays after its last user has gone.
    pub linger: Duration,
    /// How often the warden looks whether anybody is left.
    pub look: Duration,
}

impl Settings {
    /// Thirty seconds of linger, one look a second, and the nats-server that is found.
    pub fn new(places: Places) -> Self {
        Self {
            places,
            binary: None,
            linger: Duration::from_secs(30),
            look: Duration::from_secs(1),
        }
    }
}

/// How to run a warden: a program and the arguments that lead it to [`super::warden::run`].
///
/// The arguments of [`super::warden::Orders`] are put behind these.
#[derive(Clone, Debug)]
pub struct WardenCommand {
    /// Usually the path of the running executable, absolute.
    pub program: PathBuf,
    /// Usually the names of a hidden subcommand.
    pub args: Vec<OsString>,
}
