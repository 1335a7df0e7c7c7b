//! What a simulation is told before it begins: the plain form of the command line's flags.

use std::net::IpAddr;
use std::path::PathBuf;

use super::profile::Profile;
use super::random::Dice;
use super::script::Stack;

/// Where the processes come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// A stack file, read at the start and again at each reload.
    File(PathBuf),
    /// Dice.
    Random(Dice),
    /// A stack made in memory; a reload changes nothing.
    Stack(Stack),
}

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On this address and port; port 0 takes a free one.
    Tcp(IpAddr, u16),
    /// On a unix socket at this path; a stale one is replaced.
    Unix(PathBuf),
}

/// What `/project/name` and every header check go by; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Everything a simulation is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where the processes come from.
    pub origin: Origin,
    /// Where the server listens.
    pub place: Place,
    /// The release that is played.
    pub profile: Profile,
    /// Dice for everything that is drawn.
    pub seed: u64,
    /// Times faster than the stack says; clocks and ages stay true.
    pub speed: f64,
    /// Chance between 0 and 1 that a look at a process is torn.
    pub torn: f64,
    /// The project's name; the stack's name, or the file's, when left out.
    pub project: Option<String>,
    /// The token every request must carry.
    pub token: Option<Token>,
    /// The file for the truth.
    pub truth: Option<PathBuf>,
}

impl Settings {
    /// The newest release on a free loopback port, playing `origin`.
    pub fn new(origin: Origin) -> Self {
        Self {
            origin,
            place: Place::Tcp(IpAddr::from([127, 0, 0, 1]), 0),
            profile: Profile::NEWEST,
            seed: 1,
            speed: 1.0,
            torn: 0.0,
            project: None,
            token: None,
            truth: None,
        }
    }
}
