//! The examples in the documents are events of recordings: generated here, and compared with what the documents show.
//! `UPDATE_DOCS=1 cargo test --lib documented` writes them anew.

use std::fmt::Write as _;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};

use crate::event::envelope::{Envelope, SourceNotice, Stamp};
use crate::event::payload::{Gap, Kind, Occurred, Origin, Severity};
use crate::event::subject::Prefix;

use super::recording::all;
use super::replay::{Memory, play};
use super::score::Mode;

const SOURCE: &str = "shop";
const JOURNAL: &str = "3f9a1c22";
/// Columns of a line in a document.
const WIDTH: usize = 110;

/// Where an example comes from: its name in the documents, the recording, with or without its stream, and what is looked
/// for in it.
const EXAMPLES: [(&str, &str, Mode, Kind, &str); 7] = [
    (
        "crashed",
        "policy-loops",
        Mode::Stream,
        Kind::Crashed,
        "exit",
    ),
    (
        "restarted",
        "policy-loops",
        Mode::Stream,
        Kind::Restarted,
        "policy",
    ),
    ("healthy", "readiness", Mode::Stream, Kind::Healthy, "probe"),
    (
        "stopped",
        "user-stops",
        Mode::Stream,
        Kind::Stopped,
        "requested",
    ),
    (
        "initial",
        "readiness",
        Mode::Stream,
        Kind::Started,
        "present",
    ),
    (
        "inferred",
        "fast-restarts",
        Mode::Poll,
        Kind::Crashed,
        "missed",
    ),
    (
        "ambiguous",
        "outside-kills",
        Mode::Poll,
        Kind::Crashed,
        "signal",
    ),
];

/// The first such event of a recording, numbered as an adapter would have numbered it.
fn event(recording: &str, mode: Mode, kind: &Kind, reason: &str) -> Envelope {
    let recordings = all();
    let recording = recordings.iter().find(|r| r.name() == recording).unwrap();
    let started: DateTime<Utc> = recording.epoch(0).parse().unwrap();
    let told = play(recording, 970, mode, Memory::Kept);
    let fits = |event: &Envelope| event.kind == *kind && event.reason == reason;
    let at = told.iter().position(fits).unwrap();
    let mut event = told[at].clone();
    // The first number belongs to `connected`, which comes before everything a look tells.
    event.seq = at as u64 + 2;
    event.source = SOURCE.to_owned();
    event.journal = JOURNAL.to_owned();
    event.id = format!("{SOURCE}.{JOURNAL}.{}", event.seq);
    event.epoch = started.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    event
}

/// What is told after an adapter was away for a while.
fn gap() -> Envelope {
    let to: DateTime<Utc> = "2026-08-20T07:31:40.250Z".parse().unwrap();
    let from = to - TimeDelta::seconds(134);
    let notice = SourceNotice {
        kind: Kind::Gap,
        severity: Severity::Warning,
        reason: "adapter_down".into(),
        occurred: Occurred {
            after: Some(from),
            before: to,
            at: None,
        },
        gap: Some(Gap {
            from: Some(from),
            to,
            why: "adapter_down".into(),
            events: None,
            sieve: None,
            next_sieve: None,
        }),
    };
    let stamp = Stamp {
        prefix: &Prefix::default(),
        source: SOURCE,
        journal: JOURNAL,
        seq: 43,
        epoch: "2026-08-20T07:15:02.707Z",
        origin: Origin::Resync,
        timestamp: to,
    };
    Envelope::notice(notice, &stamp)
}

/// The event as one object over several lines, broken behind commas.
fn laid_out(event: &Envelope) -> String {
    let mut json = Vec::new();
    event.write_json(&mut json).unwrap();
    let json = String::from_utf8(json).unwrap();
    assert!(!json.contains('\\'), "the splitting below knows no escapes");
    let (mut lines, mut line, mut quoted) = (vec![String::new()], String::new(), false);
    for c in json.chars() {
        quoted ^= c == '"';
        line.push(c);
        if (c == ',' && !quoted) || line.len() == json.len() {
            place(&mut lines, &mut line);
        }
    }
    place(&mut lines, &mut line);
    lines.join("\n ")
}

fn place(lines: &mut Vec<String>, part: &mut String) {
    let last = lines.last_mut().unwrap();
    if last.len() + part.len() > WIDTH {
        lines.push(std::mem::take(part));
    } else {
        last.push_str(part);
        part.clear();
    }
}

/// The document with each marked example replaced by the generated one.
fn renewed(document: &str, examples: &[(&str, String)]) -> (String, usize) {
    let mut text = String::new();
    let mut found = 0;
    let mut rest = document;
    while let Some((before, marked)) = rest.split_once("<!-- example: ") {
        let (name, after) = marked.split_once(" -->").unwrap();
        let (_, after) = after.split_once("```json\n").unwrap();
        let (_, after) = after.split_once("\n```").unwrap();
        let (_, example) = examples.iter().find(|(n, _)| *n == name).unwrap();
        write!(
            text,
            "{before}<!-- example: {name} -->\n```json\n{example}\n```"
        )
        .unwrap();
        found += 1;
        rest = after;
    }
    text.push_str(rest);
    (text, found)
}

#[test]
fn the_documents_show_events_as_they_are_told() {
    let mut examples: Vec<(&str, String)> = EXAMPLES
        .iter()
        .map(|(name, recording, mode, kind, reason)| {
            (*name, laid_out(&event(recording, *mode, kind, reason)))
        })
        .collect();
    examples.push(("gap", laid_out(&gap())));
    for (file, wanted) in [("README.md", 1), ("docs/events.md", examples.len())] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let document = std::fs::read_to_string(&path).unwrap();
        let (renewed, found) = renewed(&document, &examples);
        assert_eq!(found, wanted, "examples in {file}");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, renewed).unwrap();
        } else {
            assert!(
                document == renewed,
                "{file} shows other events than are told; UPDATE_DOCS=1 cargo test --lib documented writes them anew"
            );
        }
    }
}
