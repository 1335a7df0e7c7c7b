//! Whether all of a commit is in the stream: its root says how many messages came with it.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::batch::HEADER_BATCH;
use super::connect::Bus;
use super::error::BusError;
use super::head::describe;
use super::stored::{get, last};
use crate::event::store::{Root, ShardPlace};

/// The batch of a root, as the root that is stored says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) id: String,
    /// How many messages it has, the root among them.
    pub(super) messages: u64,
}

fn events_of(root: &Root, batch: &Batch) -> u64 {
    let behind = |place: &&ShardPlace| matches!(place, ShardPlace::Behind(_));
    let shards = root.shards.iter().filter(behind).count() as u64;
    batch.messages.saturating_sub(1 + shards)
}

/// Whether the events of a root's batch are not all there, and not because their time was over; a root by itself, its
/// sequence, and when it was stored.
pub(super) async fn is_torn(
    bus: &Bus,
    stream: &str,
    batch: &Batch,
    (root, sequence, stored): (&Root, u64, Option<DateTime<Utc>>),
) -> Result<bool, BusError> {
    let last = sequence.saturating_add(batch.messages - 1);
    if events_of(root, batch) == 0 || is_of(bus, stream, batch, last).await? {
        return Ok(false);
    }
    let found: Value = describe(bus, stream, "").await?;
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    let age = stored.and_then(|stored| {
        let now: DateTime<Utc> = found["ts"].as_str()?.parse().ok()?;
        (now - stored).num_nanoseconds()
    });
    let limit = number(&found["config"]["max_age"]);
    let is_over = limit > 0 && age.is_some_and(|age| age >= limit);
    // Where only so many are kept of each subject, others may have taken the place of the last.
    Ok(!is_over && number(&found["config"]["max_msgs_per_subject"]) <= 0)
}

async fn is_of(bus: &Bus, stream: &str, batch: &Batch, sequence: u64) -> Result<bool, BusError> {
    let stored = get(bus, stream, &json!({ "seq": sequence })).await?;
    Ok(stored.is_some_and(|stored| stored.header(HEADER_BATCH) == Some(&*batch.id)))
}

/// How many messages of a torn batch stand behind its root.
pub(super) async fn stored_behind(
    bus: &Bus,
    stream: &str,
    batch: &Batch,
    root: u64,
) -> Result<u64, BusError> {
    let (mut there, mut missing) = (0, batch.messages);
    while there + 1 < missing {
        let middle = there + (missing - there) / 2;
        if is_of(bus, stream, batch, root.saturating_add(middle)).await? {
            there = middle;
        } else {
            missing = middle;
        }
    }
    Ok(there)
}

/// The batch in which the last root of a source came; `None` where there is no root, or it came alone.
pub(super) async fn batch_of_root(
    bus: &Bus,
    stream: &str,
    subject: &str,
) -> Result<Option<String>, BusError> {
    let stored = last(bus, stream, subject).await?;
    Ok(stored.and_then(|stored| Some(stored.batch()?.id)))
}
