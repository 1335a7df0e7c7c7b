//! How a head stands in a stream that drops its oldest messages: what of it is in danger, and what is gone.

use std::collections::HashMap;

use serde::Deserialize;

use super::connect::Bus;
use super::error::BusError;
use super::head::describe;
use crate::event::store::Ground;
use crate::event::subject::Prefix;

/// What of a stream's description is asked for.
#[derive(Deserialize)]
struct Found {
    config: Limits,
    state: State,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Limits {
    discard: String,
    max_bytes: i64,
    max_msgs: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct State {
    last_seq: u64,
    messages: u64,
    bytes: u64,
    /// And how many messages each has.
    subjects: HashMap<String, u64>,
}

/// How a head with so many shards stands in its stream.
pub(super) async fn ground(
    bus: &Bus,
    stream: &str,
    prefix: &Prefix,
    (source, shards): (&str, u32),
) -> Result<Ground, BusError> {
    let root = prefix.head_root(source);
    let found: Found = describe(bus, stream, &format!("{root}.*")).await?;
    let kept = &found.state.subjects;
    let is_lost = |number: &u32| !kept.contains_key(&format!("{root}.{number}"));
    Ok(Ground {
        safe_from: safe_from(&found.config, &found.state),
        lost: (0..shards).filter(is_lost).collect(),
    })
}

/// The first sequence that is not dropped before the stream has been written half anew. Messages that are gone count as
/// if they were there, and each as large as the others: that errs on the safe side.
fn safe_from(config: &Limits, state: &State) -> u64 {
    if config.discard == "new" {
        return 0;
    }
    let (last, messages) = (state.last_seq, state.messages);
    let limits = [(config.max_bytes, state.bytes), (config.max_msgs, messages)];
    let behind = |(limit, used): (i64, u64)| {
        // Less than none: without a limit.
        let limit = u64::try_from(limit).unwrap_or(0);
        let half = limit / 2;
        // Messages of average size that fill half of what is allowed.
        let newest = u128::from(half) * u128::from(messages) / u128::from(used.max(1));
        let newest = u64::try_from(newest).unwrap_or(u64::MAX);
        (limit > 0 && used > half).then(|| last.saturating_sub(newest))
    };
    limits.into_iter().filter_map(behind).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn from(config: &Value, state: [u64; 4]) -> u64 {
        let [first, last, messages, bytes] = state;
        let state =
            json!({ "first_seq": first, "last_seq": last, "messages": messages, "bytes": bytes });
        let found: Found =
            serde_json::from_value(json!({ "config": config, "state": state })).unwrap();
        safe_from(&found.config, &found.state)
    }

    #[test]
    fn the_older_half_of_a_full_stream_is_not_safe() {
        let config = json!({ "discard": "old", "max_bytes": 1000, "max_msgs": -1 });
        assert_eq!(from(&config, [1, 50, 50, 500]), 0, "half full");
        assert_eq!(from(&config, [1, 75, 75, 750]), 25);
        assert_eq!(from(&config, [1, 100, 100, 1000]), 50, "full");
        assert_eq!(from(&config, [901, 1000, 100, 1000]), 950);
        // One that stands alone far behind all others is the next to go.
        assert_eq!(from(&config, [1, 1000, 100, 1000]), 950);
        let by_count = json!({ "discard": "old", "max_bytes": -1, "max_msgs": 100 });
        assert_eq!(from(&by_count, [1, 100, 100, 9999]), 50);
        let unlimited = json!({ "discard": "old", "max_bytes": -1, "max_msgs": -1 });
        assert_eq!(from(&unlimited, [1, 100, 100, 9999]), 0);
        let new = json!({ "discard": "new", "max_bytes": 1000, "max_msgs": -1 });
        assert_eq!(from(&new, [1, 100, 100, 1000]), 0);
    }
}
