//! The seam between a domain and the adapter: how its events are told, and how its state becomes rows of a head.

use std::borrow::Cow;

use super::payload::Payload;

/// Turns one domain event into what is told of it.
pub trait Tell: Send + Sync + 'static {
    /// The domain's event.
    type Event: Send + Sync + 'static;

    /// The row the event belongs to: all events of one row are told in one piece.
    fn key<'e>(&self, event: &'e Self::Event) -> &'e str;

    /// What is told.
    fn tell<'e>(&self, event: &'e Self::Event) -> Cow<'e, Payload>;
}

/// What is known about a head besides its rows, when a state is made from it.
#[derive(Debug, Clone, Copy)]
pub struct Restored<'a> {
    /// The epoch the head was written in.
    pub epoch: &'a str,
    /// True where a stretch passed unwatched, so that whatever differs now is a `resync`.
    pub resync: bool,
    /// True where the table starts empty although the source is not new: what the first look finds is a description, not
    /// news, so that nothing is told as added.
    pub first: bool,
    /// When the last look at the source began, as the head says.
    pub looked_at: chrono::DateTime<chrono::Utc>,
}

/// A row of a head that this build cannot read.
#[derive(Debug, thiserror::Error)]
#[error("a row of the head cannot be read")]
pub struct RowError(#[source] pub serde_json::Error);

/// Turns a domain's state into the rows of a head and back. A row is opaque to the adapter: one line of JSON.
pub trait Rows: Send + Sync + 'static {
    /// The domain's state.
    type State: Send + Sync + 'static;

    /// Names every row in key order with its revision: a number that grows whenever something of the row changes that
    /// must survive a restart.
    fn visit(&self, state: &Self::State, each: &mut dyn FnMut(&str, u64));

    /// Appends one row as JSON without a line break; nothing where there is no such row.
    fn encode(&self, state: &Self::State, key: &str, out: &mut Vec<u8>);

    /// Makes a state from rows; the order does not matter.
    ///
    /// # Errors
    ///
    /// A row this build cannot read; the head counts as missing then.
    fn decode(
        &self,
        rows: &mut dyn Iterator<Item = &[u8]>,
        restored: Restored<'_>,
    ) -> Result<Self::State, RowError>;

    /// Whether one row of a head, of the same journal, tells at least as much as another one of ours that was never
    /// committed, so that nothing is missed where ours is dropped. Where that cannot be said, it does not.
    fn covers(&self, theirs: &[u8], ours: &[u8]) -> bool {
        let _ = (theirs, ours);
        false
    }

    /// When the look began that a state is of, where that is known: nothing that the state does not show is older.
    fn looked_from(&self, state: &Self::State) -> Option<chrono::DateTime<chrono::Utc>> {
        let _ = state;
        None
    }
}
