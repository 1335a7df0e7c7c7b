//! Forgetting a source: its head is taken out of the stream; its events stay until they expire.

use serde::Deserialize;
use serde_json::json;

use super::connect::Bus;
use super::error::BusError;

#[derive(Deserialize)]
struct Purged {
    #[serde(default)]
    purged: u64,
}

/// Takes out the head whose root has this subject, as [`super::head::heads`] gives it: the shards first, so that what is
/// interrupted leaves a root behind that can be found again. How many messages that were.
///
/// # Errors
///
/// [`BusError`]; a stream whose owner forbids it, or rights that do, are refused.
///
/// # Cancel safety
///
/// What was taken out stays out; the same may be done again.
pub async fn forget(bus: &Bus, stream: &str, root_subject: &str) -> Result<u64, BusError> {
    let mut all = 0;
    for filter in [format!("{root_subject}.*"), root_subject.to_owned()] {
        let purged: Purged = bus
            .ask(
                &format!("STREAM.PURGE.{stream}"),
                &json!({ "filter": filter }),
            )
            .await
            .map_err(|error| error.into_bus(bus, &format!("take a head out of stream {stream}")))?;
        all += purged.purged;
    }
    Ok(all)
}
