//! A stage for one comparison after another: rows in a line each, and what is told of them in a line each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::event::payload::{Kind, Origin, Payload};
use crate::process::diff::{Circumstances, Comparison, Unread, compare, compare_frames};
use crate::process::evidence::{Evidence, Frame, Trail};
use crate::process::phase::{Health, Phase};
use crate::process::reading::{Configuration, Probe, Reading, Vitals};
use crate::process::rows::ProcessRows;
use crate::process::rows::census::Census;
use crate::process::table::Table;

/// The moment so many milliseconds after the first look.
pub(super) fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_787_000_000_000 + ms).unwrap()
}

/// What a status word means.
pub(super) fn phase(status: &str) -> Phase {
    match status {
        "Pending" => Phase::Waiting,
        "Running" | "Launching" | "Launched" => Phase::Up,
        "Terminating" => Phase::Stopping,
        "Restarting" => Phase::BackingOff,
        "Scheduled" | "Watching" | "Disabled" | "Foreground" => Phase::Idle,
        "Completed" | "Skipped" | "Terminated" => Phase::Ended,
        "Error" => Phase::Failed,
        _ => Phase::Unknown,
    }
}

/// One reading in the making.
#[derive(Debug, Clone)]
pub(super) struct Seen(pub(super) Reading<'static>);

/// A process `a` with this word.
pub(super) fn a(status: &'static str) -> Seen {
    named("a", status)
}

/// A process with this word.
pub(super) fn named(name: &str, status: &str) -> Seen {
    Seen(Reading {
        name: name.to_owned().into(),
        namespace: "default".into(),
        more_namespaces: Vec::new(),
        status: status.to_owned().into(),
        phase: phase(status),
        daemon: matches!(status, "Launching" | "Launched"),
        health: Health::Unknown,
        has_probe: false,
        restarts: 0,
        exit_code: 0,
        allowed_codes: Vec::new(),
        pid: None,
        vitals: Vitals::default(),
        started_at: None,
        ready_at: None,
        ended_at: None,
        schedule_at: None,
        watch_at: None,
        unmet: status == "Skipped",
        torn: false,
    })
}

impl Seen {
    fn with(mut self, change: impl FnOnce(&mut Reading<'static>)) -> Self {
        change(&mut self.0);
        self
    }

    pub(super) fn pid(self, pid: i64) -> Self {
        self.with(|r| r.pid = Some(pid))
    }

    pub(super) fn code(self, code: i64) -> Self {
        self.with(|r| r.exit_code = code)
    }

    pub(super) fn restarts(self, restarts: i64) -> Self {
        self.with(|r| r.restarts = restarts)
    }

    pub(super) fn ready(self) -> Self {
        self.with(|r| r.health = Health::Ready)
    }

    pub(super) fn not_ready(self) -> Self {
        self.with(|r| r.health = Health::NotReady)
    }

    pub(super) fn torn(self) -> Self {
        self.with(|r| r.torn = true)
    }

    pub(super) fn allows(self, code: i64) -> Self {
        self.with(|r| r.allowed_codes = vec![code])
    }

    pub(super) fn due(self, ms: i64) -> Self {
        self.with(|r| r.schedule_at = Some(at(ms)))
    }

    pub(super) fn triggered(self, ms: i64) -> Self {
        self.with(|r| r.watch_at = Some(at(ms)))
    }

    pub(super) fn started_at(self, ms: i64) -> Self {
        self.with(|r| r.started_at = Some(at(ms)))
    }

    pub(super) fn ended_at(self, ms: i64) -> Self {
        self.with(|r| r.ended_at = Some(at(ms)))
    }

    pub(super) fn aged(self, ms: i64) -> Self {
        self.with(|r| r.vitals.age_ms = Some(ms))
    }
}

/// What is known beside the looks.
#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    pub(super) frames: HashMap<String, Vec<Frame>>,
    pub(super) covered_since: Option<DateTime<Utc>>,
    pub(super) asked: bool,
    /// The run one of our own commands asked to end.
    pub(super) asked_of: Option<i64>,
    pub(super) known: Option<Arc<Configuration>>,
    pub(super) released: Option<DateTime<Utc>>,
}

impl Book {
    /// The stream is connected from before the first look on.
    pub(super) fn covered(mut self) -> Self {
        self.covered_since = Some(at(-60_000));
        self
    }
}

impl Evidence for Book {
    fn trail(&self, name: &str, mark: u64) -> Trail {
        let frames = self.frames.get(name).into_iter().flatten();
        Trail {
            frames: frames.filter(|f| f.index > mark).cloned().collect(),
            covered_since: self.covered_since,
        }
    }

    fn was_requested(&self, _name: &str, pid: Option<i64>, _since: Option<DateTime<Utc>>) -> bool {
        self.asked || (pid.is_some() && pid == self.asked_of)
    }

    fn configuration(&self, _name: &str) -> Option<Arc<Configuration>> {
        self.known.clone()
    }

    fn has_news(&self, name: &str, mark: u64) -> bool {
        !self.trail(name, mark).frames.is_empty()
    }

    fn released(&self) -> Option<DateTime<Utc>> {
        self.released
    }
}

/// An observer on the stage; its looks come every two seconds.
pub(super) struct Stage {
    pub(super) table: Table,
    pub(super) book: Book,
    now_ms: i64,
    epoch: &'static str,
    sticky: bool,
    told: Vec<Payload>,
    pub(super) origin: Origin,
}

/// An observer that has looked at these processes once.
pub(super) fn before(rows: impl IntoIterator<Item = Seen>) -> Stage {
    nothing().after(rows)
}

/// An observer that has never looked.
pub(super) fn nothing() -> Stage {
    Stage {
        table: Table::default(),
        book: Book::default(),
        now_ms: -2000,
        epoch: "one",
        sticky: false,
        told: Vec::new(),
        origin: Origin::Initial,
    }
}

impl Stage {
    /// The next look, two seconds later.
    pub(super) fn after(self, rows: impl IntoIterator<Item = Seen>) -> Self {
        self.after_ms(2000, rows)
    }

    /// The next look, so much later.
    pub(super) fn after_ms(self, ms: i64, rows: impl IntoIterator<Item = Seen>) -> Self {
        self.after_unread(ms, rows, Unread::default())
    }

    /// The next look, which could not be read whole.
    pub(super) fn after_unread(
        mut self,
        ms: i64,
        rows: impl IntoIterator<Item = Seen>,
        unread: Unread<'_>,
    ) -> Self {
        self.now_ms += ms;
        let circumstances = Circumstances {
            epoch: self.epoch,
            started: at(self.now_ms),
            ended: at(self.now_ms),
            interval: Duration::from_secs(2),
            sticky_health: self.sticky,
            unread,
        };
        let readings: Vec<_> = rows.into_iter().map(|seen| seen.0).collect();
        let step = compare(&self.table, &readings, &self.book, &circumstances);
        self.take(step)
    }

    /// Two looks have failed; what frames say is all there is.
    pub(super) fn source_leaves(mut self) -> Self {
        self.now_ms += 4000;
        let interval = Duration::from_secs(2);
        self.told.clear();
        match compare_frames(&self.table, &self.book, at(self.now_ms), interval) {
            None => self,
            Some(step) => self.take(step),
        }
    }

    fn take(mut self, step: Comparison) -> Self {
        self.table = step.table;
        self.origin = step.origin;
        self.told = step.events.into_iter().map(|event| event.payload).collect();
        self
    }

    /// The adapter ends here and another one goes on from the head, at once or after a stretch that nobody watched.
    pub(super) fn restored(mut self, resync: bool) -> Self {
        self.table = restored(&self.table, resync);
        self
    }

    /// The frames so far are no longer kept.
    pub(super) fn released(mut self) -> Self {
        let frames = self.book.frames.drain().flat_map(|(_, frames)| frames);
        self.book.released = frames.map(|frame| frame.at).max();
        self
    }

    pub(super) fn new_epoch(mut self) -> Self {
        self.epoch = "two";
        self
    }

    /// A server that shows a new run with the health of the former one.
    pub(super) fn sticky(mut self) -> Self {
        self.sticky = true;
        self
    }

    pub(super) fn asked(mut self) -> Self {
        self.book.asked = true;
        self
    }

    /// One of our own commands asked for the end of this run.
    pub(super) fn asked_of(mut self, pid: i64) -> Self {
        self.book.asked_of = Some(pid);
        self
    }

    /// The stream is connected from before the first look on.
    pub(super) fn covered(mut self) -> Self {
        self.book = self.book.covered();
        self
    }

    pub(super) fn probed(self, threshold: u32, period_s: u64) -> Self {
        self.probed_late(threshold, period_s, 0)
    }

    pub(super) fn probed_late(mut self, threshold: u32, period_s: u64, delay_s: u64) -> Self {
        self.book.known = Some(Arc::new(Configuration {
            readiness: Some(Some(Probe {
                threshold,
                period: Duration::from_secs(period_s),
                initial_delay: Duration::from_secs(delay_s),
            })),
            ..Configuration::default()
        }));
        self
    }

    pub(super) fn backoff(mut self, backoff: Duration) -> Self {
        self.book.known = Some(Arc::new(Configuration {
            backoff: Some(backoff),
            readiness: Some(None),
            ..Configuration::default()
        }));
        self
    }

    /// A frame of `a`, so long after the last look.
    pub(super) fn frame(mut self, ms: i64, seen: &Seen) -> Self {
        let reading = &seen.0;
        let index = 1 + self.book.frames.values().map(Vec::len).sum::<usize>() as u64;
        let frame = Frame {
            index,
            at: at(self.now_ms + ms),
            status: (*reading.status).into(),
            phase: reading.phase,
            health: reading.health,
            restarts: reading.restarts,
            exit_code: reading.exit_code,
            ended_at: reading.ended_at,
        };
        let name = reading.name.clone().into_owned();
        self.book.frames.entry(name).or_default().push(frame);
        self
    }

    /// What the last look told, a line each.
    pub(super) fn lines(&self) -> Vec<String> {
        self.told.iter().map(line).collect()
    }

    #[track_caller]
    pub(super) fn tells<const N: usize>(self, wanted: [&str; N]) -> Self {
        assert_eq!(self.lines(), wanted);
        for event in &self.told {
            let after = event.occurred.after;
            assert!(after.is_none_or(|after| after <= event.occurred.before));
        }
        self
    }

    #[track_caller]
    pub(super) fn from(self, origin: Origin) -> Self {
        assert_eq!(self.origin, origin);
        self
    }

    pub(super) fn told(&self) -> &[Payload] {
        &self.told
    }

    /// A clock that steps.
    pub(super) fn clock_steps(mut self, by: TimeDelta) -> Self {
        self.now_ms += by.num_milliseconds();
        self
    }
}

/// The table as another adapter reads it from the head; whoever only counts its rows counts the same.
pub(super) fn restored(table: &Table, resync: bool) -> Table {
    use crate::event::tell::{Restored, Rows};
    let mut lines = Vec::new();
    ProcessRows.visit(table, &mut |name, _| {
        let mut line = Vec::new();
        ProcessRows.encode(table, name, &mut line);
        lines.push(line);
    });
    let known = Restored {
        epoch: table.epoch(),
        resync,
        first: false,
        looked_at: table.looked_at().unwrap(),
    };
    let rows = || lines.iter().map(Vec::as_slice);
    assert_eq!(Census::read(rows()).unwrap(), Census::of(table));
    ProcessRows.decode(&mut rows(), known).unwrap()
}

/// `[name: ]type reason[ certainty][ code n | signal n][ xN][ from name]`; what is certain does not say so.
fn line(event: &Payload) -> String {
    let mut words = vec![event.kind.to_string(), event.reason.to_string()];
    if event.state.name != "a" {
        words.insert(0, format!("{}:", event.state.name));
    }
    if event.certainty != "certain" {
        words.push(event.certainty.to_string());
    }
    if let Some(exit) = &event.exit {
        assert!(event.kind.is_end());
        assert!(exit.expected == (event.kind == Kind::Stopped) || event.reason == "replaced");
        match (exit.code, exit.signal) {
            (_, Some(signal)) => words.push(format!("signal {signal}")),
            (Some(code), None) => words.push(format!("code {code}")),
            (None, None) => {}
        }
    }
    if event.count > 1 {
        words.push(format!("x{}", event.count));
    }
    if let Some(former) = event.previous.as_ref().and_then(|p| p.name.as_deref()) {
        words.push(format!("from {former}"));
    }
    words.join(" ")
}
