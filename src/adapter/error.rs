//! Why an adapter ends, or could not begin yet.

use crate::event::store::StoreError;
use crate::event::tell::RowError;

/// Which way out an error leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdapterErrorKind {
    /// The broker cannot now; trying again later helps.
    Transient,
    /// Rights, stream or identity do not allow it; waiting does not help, a person must do something.
    Refused,
    /// What should be told cannot be stored; waiting does not help.
    Invalid,
}

/// Why an adapter ends, or could not begin yet. Each text is one line; what of it came from outside is escaped.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// The broker cannot now.
    #[error("the broker cannot be used yet")]
    Broker(#[source] StoreError),
    /// The broker, the stream or our rights do not allow it.
    #[error("{0}")]
    Refused(String),
    /// The head of this name belongs to another server.
    #[error("{line}")]
    OtherServer {
        /// What was found, naming both, and what to do.
        line: String,
        /// True where our own server should be asked for its epoch once more, and the head read again, before this is
        /// taken for the truth.
        ask_again: bool,
    },
    /// What should be told cannot be stored.
    #[error("{0}")]
    Invalid(String),
    /// The rows in our own memory could not be read back.
    #[error("our own rows cannot be read back")]
    Rows(#[from] RowError),
    /// An event could not be written as JSON.
    #[error("an event cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

impl AdapterError {
    /// Which way out it leaves.
    pub fn kind(&self) -> AdapterErrorKind {
        match self {
            Self::Broker(_) => AdapterErrorKind::Transient,
            Self::Refused(_) | Self::OtherServer { .. } => AdapterErrorKind::Refused,
            Self::Invalid(_) | Self::Rows(_) | Self::Json(_) => AdapterErrorKind::Invalid,
        }
    }
}

impl From<StoreError> for AdapterError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(line) => Self::Refused(line),
            StoreError::Invalid(line) => Self::Invalid(line),
            transient => Self::Broker(transient),
        }
    }
}
