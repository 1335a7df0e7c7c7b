//! Why nobody can be served at a place.

use std::io;

/// Why a place cannot be listened at.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// It is no place; write another one.
    #[error("{0}")]
    Place(String),
    /// Somebody answers there already; another place helps.
    #[error("{0} is in use: another program answers there")]
    Live(String),
    /// Something else lies there, or the folder belongs to somebody else; another place helps.
    #[error("{place} cannot be listened at: {why}")]
    Taken {
        /// The place.
        place: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The system did not let us; trying again may help.
    #[error("{place} cannot be listened at")]
    System {
        /// The place.
        place: String,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

/// What a caller has to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenErrorKind {
    /// The request itself cannot be met.
    Usage,
    /// It cannot be met at present.
    Refused,
}

impl ListenError {
    /// Which kind of error this is.
    pub const fn kind(&self) -> ListenErrorKind {
        match self {
            Self::Place(_) => ListenErrorKind::Usage,
            Self::Live(_) | Self::Taken { .. } | Self::System { .. } => ListenErrorKind::Refused,
        }
    }
}
