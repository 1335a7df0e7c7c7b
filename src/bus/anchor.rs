//! What a reader was handed last: proves that a stream is the one it was, and says what is new where it is not.

use chrono::{DateTime, TimeDelta, Utc};

use super::connect::Bus;
use super::consumer::{Place, Start};
use super::error::BusError;
use super::stored::stored_at;
use super::stream::StreamInfo;

/// The shortest time between two messages.
const NEXT: TimeDelta = TimeDelta::nanoseconds(1);

/// Where the last message stood that a reader knows of, and when it was stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anchor {
    sequence: u64,
    stored_at: DateTime<Utc>,
    /// False where a newer head may have taken its place since.
    lasts: bool,
}

/// What a reader knows of the stream it read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) stream: &'a str,
    /// When the stream was created, as the server writes it; empty where nothing was read yet.
    pub(super) created: &'a str,
    /// The last sequence that was read; 0 where none was.
    pub(super) floor: u64,
    pub(super) anchor: Option<Anchor>,
}

impl Known<'_> {
    /// Whether the stream is another than the one that was read, or does not hold any more what was read last.
    pub(super) async fn is_another(self, bus: &Bus, info: &StreamInfo) -> Result<bool, BusError> {
        if self.created != info.created {
            return Ok(!self.created.is_empty());
        }
        if self.floor > info.last {
            return Ok(true);
        }
        match self.anchor {
            Some(anchor) => anchor.is_gone(bus, self.stream, info).await,
            None => Ok(false),
        }
    }
}

impl Anchor {
    /// At an event that was handed to us.
    pub(super) fn event(place: Place) -> Self {
        Self {
            sequence: place.sequence,
            stored_at: place.stored_at,
            lasts: true,
        }
    }

    /// At the end of the stream; nothing where nobody knows when that was stored.
    pub(super) fn end(info: &StreamInfo) -> Option<Self> {
        info.last_at.map(|stored_at| Self {
            sequence: info.last,
            stored_at,
            lasts: false,
        })
    }

    /// Nowhere any more: only its moment still counts.
    pub(super) fn moment(self) -> Self {
        Self {
            sequence: 0,
            ..self
        }
    }

    /// A broker that came back with an older store may have gone on from there, beyond our place too: then something else
    /// stands there now, or nothing yet. Asked only of a stream that was created when ours was.
    pub(super) async fn is_gone(
        self,
        bus: &Bus,
        stream: &str,
        info: &StreamInfo,
    ) -> Result<bool, BusError> {
        if self.sequence > info.last {
            return Ok(true);
        }
        // It left in its turn, or stands nowhere.
        if self.sequence < info.first.max(1) {
            return Ok(false);
        }
        match stored_at(bus, stream, self.sequence).await {
            Ok(Some(found)) => Ok(found != self.stored_at),
            // Deleted by hand, perhaps: whatever was stored later is new in any case.
            Ok(None) => Ok(self.lasts),
            Err(error) if error.retry_helps() => Err(error),
            // Who may not ask goes by the sequences.
            Err(_) => Ok(false),
        }
    }

    /// Where a consumer begins in such a stream that gives it again, should it be left there.
    pub(super) fn again(self) -> Start {
        Start::Since(self.stored_at)
    }

    /// Where a consumer begins that reads on behind it in a stream that went on from an older store: what is left there of
    /// what we read was stored before, and all that is new after. A broker whose clock was set back meanwhile breaks that.
    pub(super) fn behind(self) -> Start {
        Start::Since(self.stored_at + NEXT)
    }
}
