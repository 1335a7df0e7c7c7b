//! Single messages of a stream, asked of its leader.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{ApiError, code};
use super::batch::{HEADER_BATCH, HEADER_MESSAGES};
use super::connect::Bus;
use super::error::BusError;
use super::intact::Batch;
use super::stream;

/// The server takes no batch of more messages.
const MOST_OF_BATCH: u64 = 1000;

/// One stored message, as the leader has it.
pub(super) struct Stored {
    pub(super) subject: String,
    pub(super) sequence: u64,
    pub(super) payload: Vec<u8>,
    pub(super) time: Option<DateTime<Utc>>,
    headers: String,
}

impl Stored {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.lines().filter_map(|line| line.split_once(':'));
        lines.find_map(|(key, value)| (key == name).then(|| value.trim()))
    }

    /// The batch it came in, where it is the first of one. A number that no batch can have says nothing.
    pub(super) fn batch(&self) -> Option<Batch> {
        let messages = self.header(HEADER_MESSAGES)?.parse().ok()?;
        Some(Batch {
            id: self.header(HEADER_BATCH)?.to_owned(),
            messages: Some(messages).filter(|count| (2..=MOST_OF_BATCH).contains(count))?,
        })
    }
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
    #[serde(default)]
    hdrs: String,
    time: Option<DateTime<Utc>>,
}

/// When what stands at this sequence was stored; nothing where nothing stands there.
pub(super) async fn stored_at(
    bus: &Bus,
    stream: &str,
    sequence: u64,
) -> Result<Option<DateTime<Utc>>, BusError> {
    let stored = get(bus, stream, &json!({ "seq": sequence })).await?;
    Ok(stored.and_then(|stored| stored.time))
}

pub(super) async fn last(
    bus: &Bus,
    stream: &str,
    subject: &str,
) -> Result<Option<Stored>, BusError> {
    get(bus, stream, &json!({ "last_by_subj": subject })).await
}

pub(super) async fn get(
    bus: &Bus,
    stream: &str,
    which: &Value,
) -> Result<Option<Stored>, BusError> {
    match bus
        .ask::<Answer>(&format!("STREAM.MSG.GET.{stream}"), which)
        .await
    {
        Ok(Answer { message }) => {
            let payload = BASE64_STANDARD
                .decode(&message.data)
                .map_err(|_| BusError::Unknown("an answer that cannot be read".to_owned()))?;
            let headers = BASE64_STANDARD.decode(&message.hdrs).unwrap_or_default();
            Ok(Some(Stored {
                subject: message.subject,
                sequence: message.seq,
                payload,
                time: message.time,
                headers: String::from_utf8_lossy(&headers).into_owned(),
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

#[cfg(test)]
mod tests;
