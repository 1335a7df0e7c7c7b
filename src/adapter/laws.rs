//! What must hold for whatever root is found; held by the property tests and by the fuzz targets.

use chrono::{DateTime, Utc};

#[cfg(test)]
use crate::event::store::Outgoing;
use crate::event::store::{Head, Identity, Root};

use super::identity::{Us, age_at_start};
use super::settings::{Acknowledged, Claim};
use super::spool::entry::{self, Entry};
use super::start::{Beginning, decide};
#[cfg(test)]
use super::{
    commit::Base,
    gap::{self, Owed},
    pending::{Frame, Piece, Standing},
    table::Row,
};

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
        for (shards, is_torn) in [
            (None, false),
            (Some(Vec::new()), false),
            (Some(Vec::new()), true),
        ] {
            let head = Head {
                root: Ok(root.clone()),
                root_sequence: 7,
                shards,
                is_torn,
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
        _ => return,
    };
    assert!(!line.chars().any(char::is_control), "{line:?}");
    assert!(line.chars().count() < 4096, "{} characters", line.len());
}

/// What the memory of an adapter holds.
pub(crate) fn remembered(bytes: &[u8]) -> Option<Acknowledged> {
    serde_json::from_slice(bytes).ok()
}

/// One entry of a spool.
pub(crate) fn entry(bytes: &[u8]) {
    if let Ok(Entry::Frame(frame)) = entry::decode(bytes) {
        let written = entry::frame(&frame);
        let again = match entry::decode(&written) {
            Ok(Entry::Frame(again)) => entry::frame(&again),
            _ => Vec::new(),
        };
        assert_eq!(again, written, "what is written reads back");
    }
}

/// Entries as an adapter writes them.
#[cfg(test)]
pub(crate) fn entries() -> Vec<Vec<u8>> {
    let standing = Standing {
        epoch: "2026-08-20T07:15:02.707Z".into(),
        connected: true,
        looked_at: DateTime::UNIX_EPOCH,
        left_out: None,
    };
    let base = Base {
        root_sequence: 7,
        journal: "3f9a1c22".into(),
        seq: 42,
        standing: standing.clone(),
        owner: "us".into(),
    };
    let row = Row {
        bytes: br#"{"n":"api"}"#.as_slice().into(),
        revision: 3,
    };
    let rows = [("api".into(), row.clone())];
    let owed = [Owed::since(Some(DateTime::UNIX_EPOCH), gap::SPOOL_FULL)];
    let subject = "core.process.default.api.crashed";
    let event = Outgoing::new(subject, "shop.3f9a1c22.43", "change", b"{}");
    let piece = Piece {
        events: vec![event],
        rows: [("api".into(), Some(row)), ("web".into(), None)].into(),
        told: 1,
        owed: owed.to_vec(),
    };
    let frame = Frame {
        unwritten: None,
        pieces: [piece].into(),
        last_seq: 43,
        standing,
        before: DateTime::UNIX_EPOCH,
    };
    vec![
        entry::first(
            ("shop", &base),
            &["us.1.".to_owned()],
            rows.iter().map(|(k, r)| (k, r)),
            &owed,
        ),
        entry::frame(&frame),
        entry::run("us.2.", &owed),
        entry::told(&base),
    ]
}
