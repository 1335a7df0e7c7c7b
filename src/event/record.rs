//! The record: an envelope read back, together with its place in the stream.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::envelope::Envelope;

/// Where a record stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The stream's name; empty in direct mode, where nothing is kept.
    pub stream: Arc<str>,
    /// The sequence in the stream; 0 in direct mode.
    pub sequence: u64,
    /// When the broker stored it.
    pub stored_at: DateTime<Utc>,
}

/// One event read back. The raw text is kept, because what a machine reads must be what was stored.
#[derive(Debug, Clone)]
pub struct Record {
    /// The event, as far as this build knows its keys.
    pub envelope: Envelope,
    /// The JSON text exactly as it was stored, without a line break.
    pub raw: Arc<[u8]>,
    /// Its place in the stream.
    pub position: Position,
}
