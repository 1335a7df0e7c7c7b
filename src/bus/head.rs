//! Heads: read from the stream's leader only, because a follower may answer with what was true a moment ago.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream as futures};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::api::code;
use super::connect::Bus;
use super::error::{BusError, Refusal, clean};
use super::intact::{Batch, is_torn};
use super::origin::{self, Sourced};
use super::stored::{Stored, get, last};
use super::stream;
use crate::event::envelope::Envelope;
use crate::event::store::{FoundRoot, HEAD_FORMAT, Head, Root};
use crate::event::subject::Prefix;

/// How often a head that moves while it is read is read again.
const READS: usize = 8;
/// How long what was sourced in part is given to come whole, between two readings.
const ARRIVING: Duration = Duration::from_millis(25);
/// Shards asked for at once.
pub(super) const AT_ONCE: usize = 8;

/// The highest number of an event that is believed: what every language reads exactly out of JSON.
const MOST: u64 = 1 << 53;

/// A root, or what is wrong with it.
type Parsed = Result<Root, String>;

/// A head as it stands, and the batch of its root.
pub(super) type Whole = (Head, Option<Batch>);

/// Reads the head of a source, whole and of one moment, for those who will write it; `None` where there is none.
///
/// # Errors
///
/// [`BusError`]; its `retry_helps` says whether the same may work later. A head that moves all the time is busy. One that
/// a newer build wrote is refused, because whoever reads it here is about to write it.
///
/// # Cancel safety
///
/// Reads only.
pub(super) async fn read_head(
    bus: &Bus,
    stream: &str,
    prefix: &Prefix,
    source: &str,
) -> Result<Option<Whole>, BusError> {
    let found = whole(bus, stream, &prefix.head_root(source), Who::Writer).await?;
    let Some((mut head, Some(batch), stored)) = found else {
        return Ok(found.map(|(head, batch, _)| (head, batch)));
    };
    if let Ok(root) = &head.root {
        head.is_torn = is_torn(bus, stream, &batch, (root, head.root_sequence, stored)).await?;
    }
    Ok(Some((head, Some(batch))))
}

/// Reads the head whose root has this subject, as [`heads`] gives it, also where it was sourced from another stream.
/// Whether its commit is torn is not asked.
///
/// # Errors
///
/// [`BusError`]; its `retry_helps` says whether the same may work later. A head that moves all the time is busy.
///
/// # Cancel safety
///
/// Reads only.
pub async fn read_head_at(
    bus: &Bus,
    stream: &str,
    subject: &str,
) -> Result<Option<Head>, BusError> {
    let found = whole(bus, stream, subject, Who::Reader).await?;
    Ok(found.map(|(head, _, _)| head))
}

/// Who reads a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// One who will write the next: what it finds must stand exactly where the root says.
    Writer,
    /// One who only reads, perhaps in a stream that sources others.
    Reader,
}

/// A head, the batch of its root, and when that was stored.
type Found = (Head, Option<Batch>, Option<DateTime<Utc>>);

/// What comes of reading one.
pub(super) type Read = Result<Option<Found>, BusError>;

async fn whole(bus: &Bus, stream: &str, subject: &str, who: Who) -> Read {
    let found = last(bus, stream, subject).await?;
    whole_of(bus, stream, (subject, who), found).await
}

/// The same where the root was read just now.
pub(super) async fn whole_of(
    bus: &Bus,
    stream: &str,
    (subject, who): (&str, Who),
    mut found: Option<Stored>,
) -> Read {
    for reading in 1..=READS {
        let Some(stored) = found else {
            return Ok(None);
        };
        let (root, sourced) = match who {
            Who::Writer => (ours(&stored.payload)?, None),
            Who::Reader => (parse(&stored.payload), Sourced::of(&stored)),
        };
        let shards = match (&root, &sourced) {
            (Ok(root), Some(at)) => origin::shards(bus, stream, (subject, at), root).await?,
            (Ok(root), None) => shards(bus, stream, places(subject, root, stored.sequence)).await?,
            (Err(_), _) => None,
        };
        // Shards that all stand where a root says are those of its moment, whatever has been written since. Whoever writes
        // must know more: that it is the last.
        if who == Who::Reader && shards.is_some() {
            return Ok(Some(head_of(&stored, root, shards)));
        }
        let again = last(bus, stream, subject).await?;
        let stands = again
            .as_ref()
            .is_some_and(|again| again.sequence == stored.sequence);
        // What was one batch is sourced message by message.
        if stands && root.is_ok() && sourced.is_some() && shards.is_none() && reading < READS {
            sleep(ARRIVING).await;
        } else if stands {
            return Ok(Some(head_of(&stored, root, shards)));
        }
        found = again;
    }
    Err(BusError::Busy(format!(
        "the head {} moves while it is read",
        clean(subject)
    )))
}

/// The head whose root that is.
fn head_of(stored: &Stored, root: Parsed, shards: Option<Vec<Vec<u8>>>) -> Found {
    let head = Head {
        root,
        root_sequence: stored.sequence,
        shards,
        is_torn: false,
    };
    (head, stored.batch(), stored.time)
}

/// Reads the root of a source's head alone, with one question; `None` where there is none.
///
/// # Errors
///
/// As [`read_head`].
///
/// # Cancel safety
///
/// Reads only.
pub async fn read_root(
    bus: &Bus,
    stream: &str,
    prefix: &Prefix,
    source: &str,
) -> Result<Option<FoundRoot>, BusError> {
    let stored = last(bus, stream, &prefix.head_root(source)).await?;
    let Some(stored) = stored else {
        return Ok(None);
    };
    Ok(Some((ours(&stored.payload)?, stored.sequence)))
}

/// The last event about any process of a stream, by the leader's word; `None` where there is none.
///
/// # Errors
///
/// As [`read_head`]. An event this build cannot read counts as none.
///
/// # Cancel safety
///
/// Reads only.
pub async fn last_event(
    bus: &Bus,
    stream: &str,
    prefix: &Prefix,
) -> Result<Option<Envelope>, BusError> {
    let stored = last(bus, stream, &prefix.all_process_events()).await?;
    Ok(stored.and_then(|stored| Envelope::parse(&stored.payload).ok()))
}

/// The last event of each of these processes (namespace, name), by the leader's word; `None` where there is none.
///
/// Where several sources have a process of that name, it is the last of any of them.
///
/// # Errors
///
/// As [`read_head`]. An event this build cannot read counts as none.
///
/// # Cancel safety
///
/// Reads only.
pub async fn last_events(
    bus: &Bus,
    stream: &str,
    prefix: &Prefix,
    processes: Vec<(String, String)>,
) -> Result<Vec<Option<Envelope>>, BusError> {
    let one = |(namespace, name): (String, String)| async move {
        let stored = last(bus, stream, &prefix.events_of(&namespace, &name)).await?;
        Ok::<_, BusError>(stored.and_then(|stored| Envelope::parse(&stored.payload).ok()))
    };
    futures::iter(processes)
        .map(one)
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

/// How the broker describes a stream and its subjects of a kind; of that what `T` asks for.
pub(super) async fn describe<T: DeserializeOwned>(
    bus: &Bus,
    stream: &str,
    subjects: &str,
) -> Result<T, BusError> {
    let filter = json!({ "subjects_filter": subjects });
    match bus
        .ask::<T>(&format!("STREAM.INFO.{stream}"), &filter)
        .await
    {
        Ok(answer) => Ok(answer),
        Err(error) if error.err_code() == code::STREAM_NOT_FOUND => {
            Err(BusError::NoStream(stream.to_owned()))
        }
        Err(error) => Err(error.into_bus(bus, &format!("describe stream {stream}"))),
    }
}

/// One root among all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootAt {
    /// Its subject.
    pub subject: String,
    /// Its sequence.
    pub sequence: u64,
    /// The root; `Err` holds what is wrong with it.
    pub root: Result<Root, String>,
}

/// The roots of all sources under a prefix, which may have wildcards, in the order of their subjects.
///
/// # Errors
///
/// As [`read_head`].
///
/// # Cancel safety
///
/// Reads only.
pub async fn heads(bus: &Bus, stream: &str, prefix: &Prefix) -> Result<Vec<RootAt>, BusError> {
    let found = roots(bus, stream, prefix).await?;
    let at = |(subject, stored): (String, Stored)| RootAt {
        subject,
        sequence: stored.sequence,
        root: parse(&stored.payload),
    };
    Ok(found.into_iter().map(at).collect())
}

/// The stored roots under a prefix, with their subjects and in the order of those.
pub(super) async fn roots(
    bus: &Bus,
    stream: &str,
    prefix: &Prefix,
) -> Result<Vec<(String, Stored)>, BusError> {
    let answer: Value = describe(bus, stream, &prefix.all_head_roots()).await?;
    roots_at(bus, stream, stream::subjects_in(&answer)).await
}

/// Those that stand at these subjects, in that order.
pub(super) async fn roots_at(
    bus: &Bus,
    stream: &str,
    subjects: Vec<String>,
) -> Result<Vec<(String, Stored)>, BusError> {
    let one = |subject: String| async move {
        let stored = last(bus, stream, &subject).await?;
        Ok::<_, BusError>(stored.map(|stored| (subject, stored)))
    };
    let found: Vec<Option<(String, Stored)>> = futures::iter(subjects)
        .map(one)
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

/// The root, for those who will write it: a head that cannot be read is overwritten, one of a newer build must not be.
fn ours(payload: &[u8]) -> Result<Parsed, BusError> {
    #[derive(Deserialize)]
    struct Format {
        format: u64,
        #[serde(default)]
        source: String,
    }
    match serde_json::from_slice(payload) {
        Ok(Format { format, source }) if format > u64::from(HEAD_FORMAT) => Err(Refusal::new(
            format!("the head of {} has format {format}", clean(&source)),
            format!("format {HEAD_FORMAT}, which this build writes"),
            "use the newer observe that wrote it",
        )
        .into()),
        _ => Ok(parse(payload)),
    }
}

pub(super) fn parse(payload: &[u8]) -> Parsed {
    let root: Root = serde_json::from_slice(payload).map_err(|error| clean(&error.to_string()))?;
    if root.format != HEAD_FORMAT {
        return Err(format!(
            "its format is {}, this build reads {HEAD_FORMAT}",
            root.format
        ));
    }
    if root.seq > MOST {
        return Err(format!("nobody told {} events", root.seq));
    }
    Ok(root)
}

/// The payloads of the messages at these places, each `None` where another subject or nothing stands there.
async fn shards(
    bus: &Bus,
    stream: &str,
    places: Vec<(String, u64)>,
) -> Result<Option<Vec<Vec<u8>>>, BusError> {
    let one = |(subject, sequence): (String, u64)| async move {
        let stored = get(bus, stream, &json!({ "seq": sequence })).await?;
        Ok::<_, BusError>(
            stored
                .filter(|stored| stored.subject == subject)
                .map(|stored| stored.payload),
        )
    };
    let found: Vec<Option<Vec<u8>>> = futures::iter(places)
        .map(one)
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(found.into_iter().collect())
}

/// Where the root says that its shards stand: one token behind its own subject.
pub(super) fn places(subject: &str, root: &Root, root_sequence: u64) -> Vec<(String, u64)> {
    (0..)
        .zip(&root.shards)
        .map(|(number, place): (u32, _)| {
            (format!("{subject}.{number}"), place.resolve(root_sequence))
        })
        .collect()
}
