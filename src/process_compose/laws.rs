//! What must hold for whatever bytes a server sends; held by the property tests and by the fuzz targets.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::value::RawValue;
use tokio::io::AsyncWriteExt as _;

use crate::event::envelope::{Envelope, Stamp};
use crate::event::subject::Prefix;
use crate::event::tell::{Restored, Rows as _, Tell as _};
use crate::process::diff::{Circumstances, Comparison, Unread, compare, compare_frames};
use crate::process::event::TellProcess;
use crate::process::rows::ProcessRows;
use crate::process::table::Table;

use super::client::percent_encoded;
use super::control::IntentBook;
use super::error::clean;
use super::evidence::{Heard, Looks};
use super::exchange::Kept;
use super::frames::{Frames, MAX_BYTES, MAX_FRAMES, MAX_NAMES};
use super::info::{ProcessInfo, ProjectState, decode_project_name};
use super::learner::Lessons;
use super::server::Server;
use super::translate;
use super::wire::{self, WireFrame};

/// What marks a command line or an environment in the samples: nothing that is kept may hold it.
const SECRET: &str = "hunter2";

/// A text that we made for people: one line, nothing that moves a cursor.
fn is_fit(text: &str) -> bool {
    clean(text, usize::MAX) == text
}

/// The body of `GET /processes`.
pub(crate) fn table(bytes: &[u8]) {
    match wire::decode(bytes) {
        Ok(reading) => {
            // An element has a comma or a bracket behind it.
            assert!(reading.rows.len() + reading.odd.len() <= bytes.len());
            for odd in &reading.odd {
                assert!(is_fit(&odd.why), "{:?}", odd.why);
            }
            for row in reading.rows {
                let torn = row.is_torn();
                let name = row.name.clone().into_owned();
                let owned = row.clone().into_owned();
                assert_eq!(torn, owned.is_torn());
                let _path = percent_encoded(&name);
                let _reading = translate::reading(row);
            }
        }
        Err(error) => assert!(is_fit(&error.to_string()), "{error}"),
    }
    among_neighbours(bytes);
}

/// Whatever stands between two good rows, it hides neither of them.
fn among_neighbours(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(element) = serde_json::from_str::<&RawValue>(&text) else {
        return;
    };
    let element = element.get();
    let row = |name: &str| format!(r#"{{"name":"{name}","status":"Running","pid":7}}"#);
    let body = format!(
        r#"{{"data":[{},{element},{}]}}"#,
        row("first neighbour"),
        row("last neighbour")
    );
    let reading = wire::decode(body.as_bytes());
    assert!(reading.is_ok(), "{:?}: {body}", reading.err());
    for name in ["first neighbour", "last neighbour"] {
        let known = reading.as_ref().is_ok_and(|reading| {
            reading.rows.iter().any(|row| row.name == name)
                || reading
                    .odd
                    .iter()
                    .any(|odd| odd.name.as_deref() == Some(name))
        });
        assert!(known, "{name} is hidden by {element}");
    }
}

/// The answers to `GET /project/state`, `/project/name`, `/process/info/{name}` and `/process/{name}`.
pub(crate) fn answers(bytes: &[u8]) {
    match ProjectState::decode(bytes) {
        Ok(state) => {
            let server = Server::from_state(state);
            let _epoch = server.epoch();
            let _old = server.has_sticky_health();
        }
        Err(error) => assert!(is_fit(&error.to_string()), "{error}"),
    }
    if let Some(name) = decode_project_name(bytes) {
        assert!(!name.is_empty());
    }
    match ProcessInfo::decode(bytes) {
        Ok(info) => {
            let _configuration = translate::configuration(&info);
            let said = format!("{:?}{:?}", info.group, info.namespace);
            assert!(said.contains(SECRET) || !format!("{info:?}").contains(SECRET));
            assert!(info.replicas >= 1);
        }
        Err(error) => assert!(is_fit(&error.to_string()), "{error}"),
    }
}

/// The frames of the state stream, one a line; an empty line is a connection that broke.
pub(crate) fn frames(bytes: &[u8]) {
    let frames = Frames::new();
    hear(&frames, &String::from_utf8_lossy(bytes));
    assert!(frames.kept().frames <= MAX_FRAMES);
    assert!(frames.kept().bytes <= MAX_BYTES);
    assert!(frames.kept().names <= MAX_NAMES);
    let before = frames.heard("e").len();
    frames.forget_strangers(u64::MAX, |_| false);
    assert!(
        frames.heard("e").is_empty(),
        "{before} names, not forgotten"
    );
    assert_eq!(frames.kept().bytes, 0, "what is forgotten costs nothing");
    assert!(frames.kept().name_bytes <= MAX_BYTES);
}

fn hear(frames: &Frames, text: &str) {
    for (number, line) in (0..).zip(text.split('\n')) {
        let arrival = moment(number);
        match WireFrame::decode(line) {
            Ok(frame) => _ = frames.push(&frame, arrival, number % 3 == 0),
            Err(odd) => {
                assert!(is_fit(&odd.why), "{:?}", odd.why);
                if line.is_empty() {
                    frames.broke(super::frames::StreamStatus::Waiting);
                } else {
                    frames.lost(odd.name.as_deref());
                }
            }
        }
    }
}

/// Frames that cannot be read, each of a name of its own with so many bytes.
#[cfg(test)]
pub(crate) fn invented(frames: &Frames, count: usize, length: usize) {
    for number in 0..count {
        frames.lost(Some(&format!("{number:0length$}")));
    }
}

/// How many names are kept, and in how many bytes.
#[cfg(test)]
pub(crate) fn names_kept(frames: &Frames) -> (usize, usize) {
    let kept = frames.kept();
    (kept.names, kept.name_bytes)
}

/// The moment so many milliseconds into a summer's day.
fn moment(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_787_000_000_000 + ms).unwrap_or_default()
}

/// Looks one after another, a body a line, from a head written earlier or from nothing; a line that begins with `~` is a
/// frame. What is told of it all, in order.
pub(crate) fn looks(head: &[u8], bytes: &[u8]) -> Vec<Envelope> {
    let (frames, lessons) = (Frames::new(), Lessons::default());
    let intents = IntentBook::new(std::sync::Arc::new(Utc::now));
    let mut looks = Looks::default();
    let mut before = restored(head);
    let mut told = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if let Some(frame) = line.strip_prefix(b"~") {
            hear(&frames, &String::from_utf8_lossy(frame));
            continue;
        }
        let at = moment(number * 2_000);
        looks.begin(frames.mark().index, at);
        let epoch = if line.len().is_multiple_of(7) {
            "f"
        } else {
            "e"
        };
        let heard = Heard::new(&frames, (&lessons, &intents), &looks, epoch);
        let comparison = match wire::decode(line) {
            Ok(reading) => {
                let names: Vec<_> = reading
                    .odd
                    .iter()
                    .filter_map(|odd| odd.name.clone())
                    .collect();
                let readings: Vec<_> = reading.rows.into_iter().map(Into::into).collect();
                lessons.seen("e", &readings, |_| false);
                let circumstances = Circumstances {
                    epoch,
                    started: at,
                    ended: at + TimeDelta::milliseconds(5),
                    interval: Duration::from_secs(2),
                    sticky_health: number % 2 == 0,
                    unread: Unread {
                        names: &names,
                        nameless: reading.odd.iter().any(|odd| odd.name.is_none()),
                    },
                };
                Some(compare(&before, &readings, &heard, &circumstances))
            }
            Err(_) => compare_frames(&before, &heard, at, Duration::from_secs(2)),
        };
        if let Some(comparison) = comparison {
            let names: Vec<_> = comparison.table.rows().map(|row| &*row.name).collect();
            assert!(names.is_sorted_by(|a, b| a < b), "in order, each name once");
            told.extend(dressed(&comparison, at));
            carried(&comparison.table);
            before = comparison.table;
        }
    }
    told
}

fn restored(head: &[u8]) -> Table {
    let circumstances = Restored {
        epoch: "e",
        resync: head.len().is_multiple_of(2),
        first: false,
        looked_at: moment(0),
    };
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    ProcessRows
        .decode(&mut lines, circumstances)
        .unwrap_or_default()
}

fn dressed(comparison: &Comparison, timestamp: DateTime<Utc>) -> Vec<Envelope> {
    let prefix = Prefix::default();
    let stamp = Stamp {
        prefix: &prefix,
        source: "shop",
        journal: "3f9a1c22",
        seq: 1,
        epoch: comparison.table.epoch(),
        origin: comparison.origin,
        timestamp,
    };
    let events = comparison.events.iter();
    events
        .map(|event| Envelope::dress(TellProcess.tell(event).into_owned(), &stamp))
        .collect()
}

/// A table goes through the head and comes out as it was.
fn carried(table: &Table) {
    let lines = |table: &Table| -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        ProcessRows.visit(table, &mut |name, _| {
            let mut line = Vec::new();
            ProcessRows.encode(table, name, &mut line);
            lines.push(line);
        });
        lines
    };
    let written = lines(table);
    for line in &written {
        assert!(
            !line.is_empty() && !line.contains(&b'\n'),
            "a row is a line"
        );
    }
    let circumstances = Restored {
        epoch: table.epoch(),
        resync: false,
        first: false,
        looked_at: moment(0),
    };
    let back = ProcessRows.decode(&mut written.iter().map(Vec::as_slice), circumstances);
    assert!(back.is_ok(), "{:?}", back.err());
    if let Ok(back) = back {
        assert_eq!(lines(&back), written);
    }
}

/// What a server writes into a connection, from the status line on.
pub(crate) fn exchange(bytes: &[u8]) {
    const LIMIT: usize = 4096;
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else {
        return;
    };
    runtime.block_on(async {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let wrote = theirs.write_all(bytes).await;
        assert!(wrote.is_ok() || bytes.len() > 1 << 19);
        drop(theirs.shutdown().await);
        let Ok(mut kept) = Kept::new(Box::new(ours)).await else {
            return;
        };
        for _ in 0..2 {
            let question = hyper::Request::new(http_body_util::Empty::new());
            if let Ok((_, body)) = kept.exchange(question, LIMIT, 64).await {
                assert!(body.len() <= LIMIT && body.capacity() <= 2 * LIMIT + 64 * 1024);
            }
            if !kept.is_usable() {
                return;
            }
        }
    });
}
