//! Heads: read from the stream's leader only, because a follower may answer with what was true a moment ago.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::{StreamExt, TryStreamExt, stream as futures};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{ApiError, code};
use super::connect::Bus;
use super::error::{BusError, clean};
use super::stream;
use crate::event::envelope::Envelope;
use crate::event::store::{HEAD_FORMAT, Head, Root};
use crate::event::subject::Prefix;

/// How often a head that moves while it is read is read again.
const READS: usize = 8;
/// Shards asked for at once.
const AT_ONCE: usize = 8;

/// The highest number of an event that is believed: what every language reads exactly out of JSON.
const MOST: u64 = 1 << 53;

/// One stored message, as the leader has it.
struct Stored {
    subject: String,
    sequence: u64,
    payload: Vec<u8>,
}

#[derive(Deserialize)]
struct Answer {
    message: Raw,
}

#[derive(Deserialize)]
struct Raw {
    subject: String,
    seq: u64,
    #[serde(default)]
    data: String,
}

/// Reads the head of a source, whole and of one moment; `None` where there is none.
///
/// # Errors
///
/// [`BusError`]; its `retry_helps` says whether the same may work later. A head that moves all the time is busy.
///
/// # Cancel safety
///
/// Reads only.
pub async fn read_head(
    bus: &Bus,
    stream: &str,
    prefix: &Prefix,
    source: &str,
) -> Result<Option<Head>, BusError> {
    read_head_at(bus, stream, &prefix.head_root(source)).await
}

/// Reads the head whose root has this subject, as [`heads`] gives it.
///
/// # Errors
///
/// As [`read_head`].
///
/// # Cancel safety
///
/// Reads only.
pub async fn read_head_at(
    bus: &Bus,
    stream: &str,
    subject: &str,
) -> Result<Option<Head>, BusError> {
    let mut found = last(bus, stream, subject).await?;
    for _ in 0..READS {
        let Some(stored) = found else {
            return Ok(None);
        };
        let root = parse(&stored.payload);
        let shards = match &root {
            Ok(root) => shards(bus, stream, places(subject, root, stored.sequence)).await?,
            Err(_) => None,
        };
        let again = last(bus, stream, subject).await?;
        if again
            .as_ref()
            .is_some_and(|again| again.sequence == stored.sequence)
        {
            return Ok(Some(Head {
                root,
                root_sequence: stored.sequence,
                shards,
            }));
        }
        found = again;
    }
    Err(BusError::Busy(format!(
        "the head {} moves while it is read",
        clean(subject)
    )))
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
    let filter = json!({ "subjects_filter": prefix.all_head_roots() });
    let answer = match bus
        .ask::<Value>(&format!("STREAM.INFO.{stream}"), &filter)
        .await
    {
        Ok(answer) => answer,
        Err(error) if error.err_code() == code::STREAM_NOT_FOUND => {
            return Err(BusError::NoStream(stream.to_owned()));
        }
        Err(error) => return Err(error.into_bus(bus, &format!("describe stream {stream}"))),
    };
    let mut subjects: Vec<String> = answer["state"]["subjects"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(subject, _)| subject.clone())
        .collect();
    subjects.sort_unstable();
    let one = |subject: String| async move {
        let stored = last(bus, stream, &subject).await?;
        Ok::<_, BusError>(stored.map(|stored| RootAt {
            subject,
            sequence: stored.sequence,
            root: parse(&stored.payload),
        }))
    };
    let found: Vec<Option<RootAt>> = futures::iter(subjects)
        .map(one)
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

pub(super) fn parse(payload: &[u8]) -> Result<Root, String> {
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

async fn last(bus: &Bus, stream: &str, subject: &str) -> Result<Option<Stored>, BusError> {
    get(bus, stream, &json!({ "last_by_subj": subject })).await
}

async fn get(bus: &Bus, stream: &str, which: &Value) -> Result<Option<Stored>, BusError> {
    match bus
        .ask::<Answer>(&format!("STREAM.MSG.GET.{stream}"), which)
        .await
    {
        Ok(Answer { message }) => {
            let payload = BASE64_STANDARD
                .decode(&message.data)
                .map_err(|_| BusError::Unknown("an answer that cannot be read".to_owned()))?;
            Ok(Some(Stored {
                subject: message.subject,
                sequence: message.seq,
                payload,
            }))
        }
        Err(error) => match error.err_code() {
            code::NO_MESSAGE => Ok(None),
            code::STREAM_NOT_FOUND => Err(BusError::NoStream(stream.to_owned())),
            // A leader is being elected, or there is no JetStream at all.
            _ if matches!(error, ApiError::NobodyListens) => {
                Err(stream::absence(bus, stream, None).await)
            }
            _ => Err(error.into_bus(bus, &format!("read a head in stream {stream}"))),
        },
    }
}
