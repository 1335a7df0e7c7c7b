//! Plays recordings of a real server through the comparison, as a poller of 2 s would have seen them, with the state
//! stream and without.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::event::envelope::{Envelope, SourceNotice, Stamp};
use crate::event::payload::{Kind, Occurred, Origin, Severity};
use crate::event::subject::Prefix;
use crate::process::diff::{Circumstances, compare, compare_frames};
use crate::process::evidence::{Evidence, Frame, Trail};
use crate::process::reading::Configuration;
use crate::process::table::Table;

use super::recording::{Recording, all};

/// What the stream has told by a moment.
struct Heard<'a> {
    recording: &'a Recording,
    frames: HashMap<&'a str, Vec<&'a Frame>>,
    stream: bool,
    now: DateTime<Utc>,
    covered_since: DateTime<Utc>,
}

impl Evidence for Heard<'_> {
    fn trail(&self, name: &str, mark: u64) -> Trail {
        if !self.stream {
            return Trail::default();
        }
        let known = self.frames.get(name).map(Vec::as_slice).unwrap_or_default();
        let frames = known
            .iter()
            .filter(|f| f.index > mark && f.at <= self.now)
            .map(|&f| f.clone())
            .collect();
        Trail {
            frames,
            covered_since: Some(self.covered_since),
        }
    }

    fn was_requested(&self, _name: &str, _since: Option<DateTime<Utc>>) -> bool {
        false
    }

    fn configuration(&self, name: &str) -> Option<Arc<Configuration>> {
        self.recording.configuration(name)
    }

    fn has_news(&self, name: &str, mark: u64) -> bool {
        !self.trail(name, mark).frames.is_empty()
    }
}

const INTERVAL: i64 = 2000;
const FLOOR: i64 = 250;

/// The moments at which a poller of 2 s looks: on its ticks, and where it hears frames also behind each of them.
fn moments(
    phase: i64,
    end: i64,
    frames: &[(String, Frame)],
    recording: &Recording,
    stream: bool,
) -> Vec<i64> {
    let mut wanted: Vec<i64> = std::iter::once(0)
        .chain((0..).map(|n| phase + n * INTERVAL))
        .take_while(|t| *t <= end + INTERVAL)
        .collect();
    if stream {
        wanted.extend(
            frames
                .iter()
                .map(|(_, f)| (f.at - recording.zero).num_milliseconds() + 2),
        );
    }
    wanted.sort_unstable();
    let mut out: Vec<i64> = Vec::new();
    for t in wanted {
        let earliest = out.last().map_or(t, |last| last + FLOOR);
        if t >= earliest {
            out.push(t);
        } else if out.last().is_none_or(|last| *last < earliest) && t > *out.last().unwrap() {
            out.push(earliest);
        }
    }
    out.dedup();
    out
}

fn play(recording: &Recording, phase: i64, stream: bool) -> Vec<Envelope> {
    let frames = recording.frames();
    let mut by_name: HashMap<&str, Vec<&Frame>> = HashMap::new();
    for (name, frame) in &frames {
        by_name.entry(name).or_default().push(frame);
    }
    let mut out = Vec::new();
    let mut table = Table::default();
    let (mut failures, mut epoch, mut salvaged) = (0, None::<String>, false);
    let mut covered_since = recording.at(-1);
    for t in moments(phase, recording.end_ms, &frames, recording, stream) {
        let at = recording.at(t);
        let Some(readings) = recording.look(t) else {
            failures += 1;
            let heard = Heard {
                recording,
                frames: by_name.clone(),
                stream,
                now: at,
                covered_since,
            };
            if failures >= 2
                && !salvaged
                && let Some(step) = compare_frames(&table, &heard, at, Duration::from_millis(2000))
            {
                salvaged = true;
                table = step.table;
                tell(
                    &mut out,
                    step.events.into_iter().map(|e| e.payload),
                    step.origin,
                    at,
                );
            }
            continue;
        };
        if failures > 0 || epoch.is_none() {
            epoch = Some(recording.epoch(t));
            covered_since = at;
            salvaged = false;
        }
        failures = 0;
        let now = epoch.clone().unwrap();
        let circumstances = Circumstances {
            epoch: &now,
            started: at,
            ended: at,
            interval: Duration::from_millis(2000),
            sticky_health: recording.sticky,
        };
        let heard = Heard {
            recording,
            frames: by_name.clone(),
            stream,
            now: at,
            covered_since,
        };
        if !table.epoch().is_empty() && **table.epoch() != *now {
            let notice = SourceNotice {
                kind: Kind::Restarted,
                severity: Severity::Warning,
                reason: "source_restarted".into(),
                occurred: Occurred {
                    after: None,
                    before: at,
                    at: None,
                },
                gap: None,
            };
            out.push(Envelope::notice(notice, &stamp(Origin::Resync, at)));
        }
        let late = Heard {
            now: at + Duration::from_millis(250),
            ..heard
        };
        let step = compare(&table, readings, &late, &circumstances);
        table = step.table;
        tell(
            &mut out,
            step.events.into_iter().map(|e| e.payload),
            step.origin,
            at,
        );
    }
    out
}

fn stamp(origin: Origin, at: DateTime<Utc>) -> Stamp<'static> {
    static PREFIX: std::sync::LazyLock<Prefix> = std::sync::LazyLock::new(Prefix::default);
    Stamp {
        prefix: &PREFIX,
        source: "s",
        journal: "j",
        seq: 0,
        epoch: "e",
        origin,
        timestamp: at,
    }
}

fn tell(
    out: &mut Vec<Envelope>,
    events: impl Iterator<Item = crate::event::payload::Payload>,
    origin: Origin,
    at: DateTime<Utc>,
) {
    out.extend(events.map(|payload| Envelope::dress(payload, &stamp(origin, at))));
}

#[test]
fn write_out() {
    let Ok(folder) = std::env::var("OBSERVE_REPLAY_OUT") else {
        return;
    };
    for recording in all() {
        let name = recording
            .folder
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        for phase in (250..2250).step_by(90) {
            for stream in [true, false] {
                if stream && !recording.has_stream {
                    continue;
                }
                let mode = if stream { "stream" } else { "poll" };
                let mut text = Vec::new();
                for event in play(&recording, phase, stream) {
                    event.write_json(&mut text).unwrap();
                    text.push(b'\n');
                }
                std::fs::write(format!("{folder}/{name}.{mode}.{phase}.jsonl"), text).unwrap();
            }
        }
    }
}
