//! What must hold for whatever root is found; held by the property tests and by the fuzz targets.

use chrono::{DateTime, Utc};

use crate::event::store::{Head, Identity, Root};

use super::identity::{Us, age_at_start};
use super::settings::{Acknowledged, Claim};
use super::start::{Beginning, decide};

/// A root and what was remembered: an adapter knows how to begin, and says in one line why it may not.
pub(crate) fn beginning(root: &Root, remembered: Option<&Acknowledged>) {
    let now: DateTime<Utc> = DateTime::from_timestamp_millis(1_787_000_000_000).unwrap_or_default();
    let _age = age_at_start(root, now);
    let identity = Identity {
        project: "shop".into(),
        host: "web1".into(),
        endpoint: "http://localhost:8080".into(),
    };
    for claim in [Claim::Derived, Claim::Given, Claim::Adopt] {
        for shards in [None, Some(Vec::new())] {
            let head = Head {
                root: Ok(root.clone()),
                root_sequence: 7,
                shards,
            };
            for epoch in [Some("2026-08-20T07:00:00.000Z"), None] {
                let us = Us {
                    adapter: "us",
                    identity: &identity,
                    epoch,
                    claim,
                };
                said(decide(Some(&head), us, remembered, now));
            }
        }
    }
}

fn said(beginning: Beginning) {
    let line = match beginning {
        Beginning::Refuse { line, .. } => line,
        Beginning::Resume { takes_over, .. } => takes_over.unwrap_or_default(),
        Beginning::First | Beginning::Invalid { .. } => return,
    };
    assert!(!line.chars().any(char::is_control), "{line:?}");
    assert!(line.chars().count() < 4096, "{} characters", line.len());
}

/// What the memory of an adapter holds.
pub(crate) fn remembered(bytes: &[u8]) -> Option<Acknowledged> {
    serde_json::from_slice(bytes).ok()
}
