//! An event by its bare text, for whoever needs nothing else of it.

use async_nats::Message;
use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::consumer::Place;
use crate::event::filter::Filter;
use crate::event::glance::Glance;

/// The text of an event that was not read whole.
#[derive(Debug, Clone)]
pub struct Text {
    payload: Bytes,
    /// The sequence in the stream.
    pub sequence: u64,
    /// When it was observed.
    pub timestamp: DateTime<Utc>,
}

impl Text {
    /// The text of an event that suits `filter` by a glance; nothing where more than a glance has to be taken: where the
    /// filter searches in it, or it tells of sight, which is added up.
    pub(super) fn enough(
        filter: &Filter,
        glance: &Glance<'_>,
        place: Place,
        message: &Message,
    ) -> Option<Self> {
        (!filter.searches() && !filter.is_blindness_of(glance)).then(|| Self {
            payload: message.payload.clone(),
            sequence: place.sequence,
            timestamp: glance.timestamp,
        })
    }

    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        Self {
            payload: Bytes::copy_from_slice(text.as_bytes()),
            sequence: 1,
            timestamp: DateTime::UNIX_EPOCH,
        }
    }

    /// The JSON text exactly as it was stored.
    pub fn bytes(&self) -> &[u8] {
        &self.payload
    }

    /// What a glance at it says once more.
    pub fn glance(&self) -> Option<Glance<'_>> {
        Glance::of(&self.payload)
    }
}
