//! The seam between the adapter and the broker: reading the head of a source, and committing events behind it.
//!
//! The rows of a head are opaque here; its root is not, because whoever reads a head must judge its age and owner.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::{self, Future};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::payload::millis;
use super::sieve::LeftOut;

/// The format of heads this build writes.
pub const HEAD_FORMAT: u32 = 1;

/// Where a shard stands in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShardPlace {
    /// At this sequence.
    At(u64),
    /// So many messages behind the root that names it: both went in one batch, whose sequences nobody knew before.
    Behind(u64),
}

impl ShardPlace {
    /// The sequence, for a root at `root`.
    pub fn resolve(self, root: u64) -> u64 {
        match self {
            Self::At(sequence) => sequence,
            // A root that somebody made up names places that do not exist.
            Self::Behind(offset) => root.saturating_add(offset),
        }
    }
}

/// Who is watched: what tells one server from another of the same name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The project's name without its host part, as the server says it; empty where it says none.
    pub project: String,
    /// The host, as the server says it; empty where it says none.
    pub host: String,
    /// The address it was asked at; shown, never compared.
    pub endpoint: String,
}

/// The root of a head: everything but the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// [`HEAD_FORMAT`].
    pub format: u32,
    /// What is watched.
    pub source: String,
    /// The journal that `seq` counts in.
    pub journal: String,
    /// The number of the last event told.
    pub seq: u64,
    /// Identity of the supervisor's run.
    pub epoch: String,
    /// Whether the source was in sight.
    pub connected: bool,
    /// The adapter that wrote this root.
    pub adapter: String,
    /// The commit that wrote it.
    pub commit: String,
    /// The end of the last successful look.
    #[serde(with = "millis")]
    pub looked_at: DateTime<Utc>,
    /// `looked_at` of the root before: what this root's commit told lies behind it. None in the first root of all, and in
    /// those of builds that did not write it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "millis::option"
    )]
    pub since: Option<DateTime<Utc>>,
    /// The interval of the looks, in milliseconds.
    pub interval_ms: u64,
    /// Where each shard stands, in the order of their numbers.
    pub shards: Vec<ShardPlace>,
    /// Who is watched.
    pub identity: Identity,
    /// Which events are not told, and since when. None where all are, and in roots of builds that left nothing out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
}

impl Root {
    /// How often a root is refreshed while nothing changes: the larger of 10 s and two intervals.
    pub fn refresh_every(&self) -> Duration {
        refresh_every(Duration::from_millis(self.interval_ms))
    }

    /// How long a root may stand still before it counts as stale: a refresh and two intervals.
    pub fn stale_after(&self) -> Duration {
        self.refresh_every() + 2 * Duration::from_millis(self.interval_ms)
    }
}

/// How often a root is refreshed while nothing changes: the larger of 10 s and two intervals.
pub fn refresh_every(interval: Duration) -> Duration {
    Duration::from_secs(10).max(2 * interval)
}

/// A head as it stands in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The root; `Err` holds what is wrong with the one that was found.
    pub root: Result<Root, String>,
    /// The root's sequence: what the next commit expects.
    pub root_sequence: u64,
    /// The payload of each shard the root names, in order, each found at the sequence the root gives; `None` where the
    /// head is invalid, because one is missing or stands elsewhere.
    pub shards: Option<Vec<Vec<u8>>>,
    /// True where the stream does not hold all the events that were committed with this root: a full broker may take a
    /// part of a commit, whatever it says of batches.
    pub is_torn: bool,
}

impl Head {
    /// What lies behind this moment may be missing in the stream: its root's look, or the one before where its commit is
    /// torn.
    pub fn told_until(&self) -> Option<DateTime<Utc>> {
        let root = self.root.as_ref().ok()?;
        let torn = self.is_torn.then_some(root.since).flatten();
        Some(torn.unwrap_or(root.looked_at))
    }

    /// The rows of a valid head.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.shards
            .iter()
            .flatten()
            .flat_map(|shard| shard.split(|&b| b == b'\n'))
            .filter(|row| !row.is_empty())
    }
}

/// A root by itself and its sequence; `Err` holds what is wrong with the one that was found.
pub type FoundRoot = (Result<Root, String>, u64);

/// One event ready to be stored. A copy of it is a copy of a handle, and not of its texts, which stand side by side.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Subject, id and payload.
    texts: Bytes,
    /// Where the id begins.
    id: usize,
    /// Where the payload begins.
    payload: usize,
    origin: &'static str,
}

impl Outgoing {
    /// An event from its texts: its subject, its id and its origin's word for the headers, and its JSON.
    pub fn new(subject: &str, id: &str, origin: &'static str, payload: &[u8]) -> Self {
        let texts = [subject.as_bytes(), id.as_bytes(), payload].concat();
        Self::of(texts.into(), (subject, id), origin)
    }

    /// An event whose texts stand side by side already: this subject, this id, and its JSON.
    pub(crate) fn of(texts: Bytes, (subject, id): (&str, &str), origin: &'static str) -> Self {
        debug_assert!(texts.starts_with(subject.as_bytes()));
        debug_assert!(texts[subject.len()..].starts_with(id.as_bytes()));
        Self {
            texts,
            id: subject.len(),
            payload: subject.len() + id.len(),
            origin,
        }
    }

    /// The subject.
    pub fn subject(&self) -> &str {
        str::from_utf8(&self.texts[..self.id]).unwrap_or_default()
    }

    /// The same, to be handed on.
    pub fn shared_subject(&self) -> Bytes {
        self.texts.slice(..self.id)
    }

    /// The event's id, for its header.
    pub fn id(&self) -> &str {
        str::from_utf8(&self.texts[self.id..self.payload]).unwrap_or_default()
    }

    /// The origin's word, for its header.
    pub fn origin(&self) -> &'static str {
        self.origin
    }

    /// The JSON text.
    pub fn payload(&self) -> &[u8] {
        &self.texts[self.payload..]
    }

    /// The same, to be handed on.
    pub fn shared_payload(&self) -> Bytes {
        self.texts.slice(self.payload..)
    }

    /// The bytes of all its texts.
    pub fn size(&self) -> usize {
        self.texts.len()
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("subject", &self.subject())
            .field("id", &self.id())
            .field("origin", &self.origin)
            .field("payload", &String::from_utf8_lossy(self.payload()))
            .finish_non_exhaustive()
    }
}

/// One commit: a root, the shards that changed, and the events behind it, all or nothing.
#[derive(Debug, Clone)]
pub struct Commit<'a> {
    /// What is watched.
    pub source: &'a str,
    /// The new root.
    pub root: &'a Root,
    /// The sequence the stream's root must have for the commit to be taken; 0 = there must be none.
    pub expected: u64,
    /// The shards that changed, by number.
    pub shards: &'a BTreeMap<u32, Bytes>,
    /// The events, in order.
    pub events: &'a [Outgoing],
}

/// The most messages of one commit: the server takes 1,000, a few stay in reserve.
pub const MAX_MESSAGES: usize = 990;

/// Why the broker did not take something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else moved the root; read the head and compare again.
    #[error("the head was moved by somebody else")]
    Fenced,
    /// Nothing was stored; the same content may go again in a new batch, after a pause.
    #[error("the broker is busy: {0}")]
    Busy(String),
    /// Whether it was stored is not known; read the head before anything else.
    #[error("the broker did not answer: {0}")]
    Unknown(String),
    /// No connection; nothing was handed to the client.
    #[error("the broker is not connected")]
    Away,
    /// The stream does not exist.
    #[error("the stream does not exist")]
    NoStream,
    /// The rights or the stream's subjects do not allow it: waiting does not help.
    #[error("{0}")]
    Refused(String),
    /// The content itself cannot be stored (too large): waiting does not help.
    #[error("{0}")]
    Invalid(String),
}

/// How a head stands in a stream that drops its oldest messages, whatever they are, when it is full.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ground {
    /// Messages at sequences below this one are dropped before the stream has been written half anew; 0 where nothing
    /// is in danger.
    pub safe_from: u64,
    /// The numbers of the shards that the stream does not hold any more.
    pub lost: BTreeSet<u32>,
}

/// What the adapter needs of a broker.
pub trait EventStore: Send + Sync + 'static {
    /// Reads the head of a source from the stream's leader, whole and of one moment; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; `Busy`, `Unknown` and `Away` may be tried again. `Refused` also where a newer build wrote it, in a
    /// format of its own: a head that cannot be read is overwritten, that one must not be.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    fn read_head(
        &self,
        source: &str,
    ) -> impl Future<Output = Result<Option<Head>, StoreError>> + Send;

    /// Reads the root of a head alone, from the stream's leader: one question, where the head takes several. `None` where
    /// there is none.
    ///
    /// # Errors
    ///
    /// As [`read_head`](Self::read_head).
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    fn read_root(
        &self,
        source: &str,
    ) -> impl Future<Output = Result<Option<FoundRoot>, StoreError>> + Send;

    /// Stores a commit whole or not at all and gives the new root's sequence.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; each says what may be done next.
    ///
    /// # Cancel safety
    ///
    /// Dropped after it was polled, the outcome is unknown: read the head.
    fn commit(&self, commit: Commit<'_>) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Makes the stream again after it was found gone.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; `Refused` where the stream is not ours to make.
    ///
    /// # Cancel safety
    ///
    /// May be called again at any time.
    fn recreate(&self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// How the head of a source stands that has so many shards. A store that drops nothing by itself need not say.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; `Refused` where nobody may know.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    fn ground(
        &self,
        source: &str,
        shards: u32,
    ) -> impl Future<Output = Result<Ground, StoreError>> + Send {
        let _ = (source, shards);
        future::ready(Ok(Ground::default()))
    }

    /// Whether the broker can be reached right now; bytes are handed to no client that is not.
    fn is_connected(&self) -> bool;

    /// When the broker was last reached again after it had been away, or first reached after it had to be waited for; none
    /// where it was there all the time.
    fn returned_at(&self) -> Option<Instant>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Root {
        Root {
            format: HEAD_FORMAT,
            source: "shop".into(),
            journal: "3f9a1c22".into(),
            seq: 42,
            epoch: "e".into(),
            connected: true,
            adapter: "a".into(),
            commit: "c".into(),
            looked_at: "2026-08-20T07:18:04Z".parse().unwrap(),
            since: None,
            interval_ms: 2000,
            shards: vec![ShardPlace::At(7), ShardPlace::Behind(1)],
            identity: Identity::default(),
            left_out: None,
        }
    }

    #[test]
    fn a_root_reads_back_as_it_was_written() {
        let text = serde_json::to_string(&root()).unwrap();
        assert!(
            text.contains(r#""shards":[{"at":7},{"behind":1}]"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Root>(&text).unwrap(), root());
    }

    #[test]
    fn a_root_is_refreshed_every_ten_seconds_or_two_intervals() {
        let mut root = root();
        assert_eq!(root.refresh_every(), Duration::from_secs(10));
        assert_eq!(root.stale_after(), Duration::from_secs(14));
        root.interval_ms = 30_000;
        assert_eq!(root.stale_after(), Duration::from_secs(120));
    }

    #[test]
    fn rows_are_the_lines_of_all_shards() {
        let head = Head {
            root: Ok(root()),
            root_sequence: 9,
            shards: Some(vec![
                b"{\"a\":1}\n{\"b\":2}".to_vec(),
                Vec::new(),
                b"{\"c\":3}\n".to_vec(),
            ]),
            is_torn: false,
        };
        assert_eq!(
            head.rows().collect::<Vec<_>>(),
            [&b"{\"a\":1}"[..], b"{\"b\":2}", b"{\"c\":3}"]
        );
    }
}
