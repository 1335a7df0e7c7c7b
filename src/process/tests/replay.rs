//! Plays recordings of a real server through the comparison, as a poller of 2 s would have seen them, with the state
//! stream and without.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::event::envelope::{Envelope, SourceNotice, Stamp};
use crate::event::payload::{Kind, Occurred, Origin, Severity};
use crate::event::subject::Prefix;
use crate::process::diff::{Circumstances, Comparison, Unread, compare, compare_frames};
use crate::process::evidence::{Evidence, Frame, Trail};
use crate::process::reading::{Configuration, Reading};
use crate::process::table::Table;

use super::recording::{Recording, all};
use super::score::{Facts, Mode};
use super::stage::restored;

/// What the stream has told by a moment.
struct Heard<'a> {
    recording: &'a Recording,
    frames: &'a HashMap<&'a str, Vec<&'a Frame>>,
    now: DateTime<Utc>,
    covered_since: DateTime<Utc>,
}

impl Evidence for Heard<'_> {
    fn trail(&self, name: &str, mark: u64) -> Trail {
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

    fn was_requested(&self, _name: &str, _pid: Option<i64>, _since: Option<DateTime<Utc>>) -> bool {
        false
    }

    fn configuration(&self, name: &str) -> Option<Arc<Configuration>> {
        self.recording.configuration(name)
    }

    fn has_news(&self, name: &str, mark: u64) -> bool {
        let known = self.frames.get(name).map(Vec::as_slice).unwrap_or_default();
        known.iter().any(|f| f.index > mark && f.at <= self.now)
    }
}

/// Nothing but configurations.
struct Deaf<'a>(&'a Recording);

impl Evidence for Deaf<'_> {
    fn trail(&self, _name: &str, _mark: u64) -> Trail {
        Trail::default()
    }

    fn was_requested(&self, _name: &str, _pid: Option<i64>, _since: Option<DateTime<Utc>>) -> bool {
        false
    }

    fn configuration(&self, name: &str) -> Option<Arc<Configuration>> {
        self.0.configuration(name)
    }

    fn has_news(&self, _name: &str, _mark: u64) -> bool {
        false
    }
}

const INTERVAL: i64 = 2000;
const FLOOR: i64 = 250;

/// The moments at which a poller of 2 s looks: on its ticks, and where it hears frames also behind each of them.
fn moments(phase: i64, recording: &Recording, mode: Mode) -> Vec<i64> {
    let ticks = (recording.end_ms + INTERVAL - phase) / INTERVAL;
    let mut wanted: Vec<i64> = std::iter::once(0)
        .chain((0..=ticks).map(|n| phase + n * INTERVAL))
        .collect();
    if mode == Mode::Stream {
        let heard = recording.frames().iter();
        wanted.extend(heard.map(|(_, f)| (f.at - recording.zero).num_milliseconds() + 2));
    }
    wanted.sort_unstable();
    let mut out: Vec<i64> = Vec::new();
    for t in wanted {
        let earliest = out.last().map_or(t, |last| last + FLOOR);
        if t >= earliest {
            out.push(t);
        } else if out.last().is_some_and(|last| t > *last) {
            out.push(earliest);
        }
    }
    out
}

/// Whether the observer keeps its table, or is handed one that another wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    Kept,
    /// After every look the table goes through the head.
    Rebased,
}

/// What an observer of a recording remembers from look to look.
struct Player<'a> {
    recording: &'a Recording,
    by_name: HashMap<&'a str, Vec<&'a Frame>>,
    mode: Mode,
    memory: Memory,
    table: Table,
    epoch: Option<String>,
    covered_since: DateTime<Utc>,
    failures: u32,
    failing_since: Option<DateTime<Utc>>,
    /// Whether frames behind the last look were used, since the source left.
    salvaged: bool,
    disconnected: bool,
    out: Vec<Envelope>,
}

impl<'a> Player<'a> {
    fn new(recording: &'a Recording, mode: Mode, memory: Memory) -> Self {
        let mut by_name: HashMap<&str, Vec<&Frame>> = HashMap::new();
        for (name, frame) in recording.frames() {
            by_name.entry(name).or_default().push(frame);
        }
        Self {
            recording,
            by_name,
            mode,
            memory,
            table: Table::default(),
            epoch: None,
            covered_since: recording.at(-1),
            failures: 0,
            failing_since: None,
            salvaged: false,
            disconnected: false,
            out: Vec::new(),
        }
    }

    fn look(&mut self, t: i64) {
        let at = self.recording.at(t);
        match self.recording.look(t) {
            None => self.failed(at),
            Some(readings) => self.saw(t, at, &readings),
        }
    }

    fn failed(&mut self, at: DateTime<Utc>) {
        self.failures += 1;
        let since = *self.failing_since.get_or_insert(at);
        if self.failures >= 2 && !self.salvaged && self.mode == Mode::Stream {
            let heard = self.heard(at);
            let step = compare_frames(&self.table, &heard, at, Duration::from_secs(2));
            if let Some(step) = step {
                self.salvaged = true;
                self.take(step, at);
            }
        }
        if self.failures >= 3 && at - since >= TimeDelta::seconds(5) && !self.disconnected {
            self.disconnected = true;
            self.notice(Kind::Disconnected, "refused", at);
        }
    }

    fn saw(&mut self, t: i64, at: DateTime<Utc>, readings: &[Reading<'a>]) {
        if self.failures > 0 || self.epoch.is_none() {
            self.epoch = Some(self.recording.epoch(t));
            self.covered_since = at;
            self.salvaged = false;
        }
        if std::mem::take(&mut self.disconnected) {
            self.notice(Kind::Connected, "seen", at);
        }
        self.failures = 0;
        self.failing_since = None;
        let epoch = self.epoch.clone().unwrap();
        if !self.table.epoch().is_empty() && **self.table.epoch() != *epoch {
            self.notice(Kind::Restarted, "source_restarted", at);
        }
        let circumstances = Circumstances {
            epoch: &epoch,
            started: at,
            ended: at,
            interval: Duration::from_secs(2),
            sticky_health: self.recording.sticky,
            unread: Unread::default(),
        };
        let step = match self.mode {
            Mode::Poll => compare(&self.table, readings, &Deaf(self.recording), &circumstances),
            Mode::Stream => {
                let heard = self.heard(at + TimeDelta::milliseconds(250));
                compare(&self.table, readings, &heard, &circumstances)
            }
        };
        self.take(step, at);
    }

    fn heard(&self, now: DateTime<Utc>) -> Heard<'_> {
        Heard {
            recording: self.recording,
            frames: &self.by_name,
            now,
            covered_since: self.covered_since,
        }
    }

    fn take(&mut self, step: Comparison, at: DateTime<Utc>) {
        self.table = match self.memory {
            Memory::Kept => step.table,
            Memory::Rebased => restored(&step.table, false),
        };
        let told = step.events.into_iter();
        self.out
            .extend(told.map(|e| Envelope::dress(e.payload, &stamp(step.origin, at))));
    }

    fn notice(&mut self, kind: Kind, reason: &'static str, at: DateTime<Utc>) {
        let notice = SourceNotice {
            kind,
            severity: Severity::Warning,
            reason: reason.into(),
            occurred: Occurred {
                after: None,
                before: at,
                at: None,
            },
            gap: None,
        };
        self.out
            .push(Envelope::notice(notice, &stamp(Origin::Resync, at)));
    }
}

pub(super) fn play(recording: &Recording, phase: i64, mode: Mode, memory: Memory) -> Vec<Envelope> {
    let mut player = Player::new(recording, mode, memory);
    for t in moments(phase, recording, mode) {
        player.look(t);
    }
    player.out
}

fn stamp(origin: Origin, at: DateTime<Utc>) -> Stamp<'static> {
    static PREFIX: LazyLock<Prefix> = LazyLock::new(Prefix::default);
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

/// Both modes, as far as the recording has them.
fn modes(recording: &Recording) -> impl Iterator<Item = Mode> {
    [Mode::Stream, Mode::Poll]
        .into_iter()
        .filter(|mode| *mode == Mode::Poll || recording.has_stream)
}

#[test]
fn every_recording_is_told_as_it_happened_at_every_phase_with_the_stream_and_without() {
    score_all(95, Memory::Kept);
}

#[test]
fn every_recording_is_told_as_it_happened_by_adapters_that_read_the_head_after_every_look() {
    score_all(500, Memory::Rebased);
}

fn score_all(step: usize, memory: Memory) {
    let recordings = all();
    assert!(recordings.len() >= 18, "recordings are missing");
    let mut wrong = Vec::new();
    for recording in &recordings {
        let facts = Facts::open(&recording.folder);
        for mode in modes(recording) {
            for phase in (250..2250).step_by(step) {
                let events: Vec<Value> = play(recording, phase, mode, memory)
                    .iter()
                    .map(|event| serde_json::to_value(event).unwrap())
                    .collect();
                let score = facts.score(&events, mode);
                if !score.is_perfect() {
                    let name = recording.name();
                    wrong.push(format!("{name} {mode:?} phase {phase}: {score}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Writes what is told of every recording into the folder named by the environment, for tools that score from outside.
#[test]
fn write_out() {
    let Ok(folder) = std::env::var("OBSERVE_REPLAY_OUT") else {
        return;
    };
    for recording in &all() {
        for phase in (250..2250).step_by(90) {
            for mode in modes(recording) {
                let word = match mode {
                    Mode::Stream => "stream",
                    Mode::Poll => "poll",
                };
                let mut text = Vec::new();
                for event in play(recording, phase, mode, Memory::Kept) {
                    event.write_json(&mut text).unwrap();
                    text.push(b'\n');
                }
                let file = format!("{folder}/{}.{word}.{phase}.jsonl", recording.name());
                std::fs::write(file, text).unwrap();
            }
        }
    }
}
