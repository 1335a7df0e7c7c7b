//! What one look changed.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

/// What the events of a delta were compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// With nothing: the first look ever.
    Initial,
    /// With the look before.
    Change,
    /// With what was last told, across a stretch in which nobody looked or a new epoch.
    Resync,
}

impl Origin {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Change => "change",
            Self::Resync => "resync",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

/// The identity of one run of the source, as opaque text; another text is another run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// The epoch of this text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Epoch {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Epoch {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

/// The number of a delta within one run of a runtime: 1, 2, 3 … without holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(u64);

impl Seq {
    /// The number of the first delta.
    pub const FIRST: Self = Self(1);

    /// The delta of this number.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The number after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// The events of one look, as they were told.
#[derive(Debug)]
pub struct Delta<E> {
    /// Which run of the source was seen.
    pub epoch: Epoch,
    /// Its number.
    pub seq: Seq,
    /// What the events were compared with.
    pub origin: Origin,
    /// When the look ended.
    pub at: DateTime<Utc>,
    /// When the last successful look before it ended; none if this run had none before.
    pub after: Option<DateTime<Utc>>,
    /// What changed, in order; empty where only the epoch is new.
    pub events: Arc<Vec<E>>,
}

impl<E> Clone for Delta<E> {
    fn clone(&self) -> Self {
        Self {
            epoch: self.epoch.clone(),
            seq: self.seq,
            origin: self.origin,
            at: self.at,
            after: self.after,
            events: Arc::clone(&self.events),
        }
    }
}
