//! The table: what was last told of every process of a source, and what must be remembered to tell the next thing.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::event::payload::{Previous, State};

use super::names::Names;
use super::phase::{Health, Phase};
use super::reading::{Configuration, Reading, Vitals};

/// What is remembered of a process beyond its last reading. It lives in the head and survives a restart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Memory {
    /// True while a run goes on whose end has not been told.
    pub open: bool,
    /// The end that was told last.
    pub last_end: Option<LastEnd>,
    /// Whether the newest run was ever told ready.
    pub was_ready: bool,
    /// The health of the newest run that was told last.
    pub told_health: Health,
    /// The last word of the run before; some servers repeat it for the next run.
    pub former_health: Health,
    /// Since when the newest run has been not ready: not before the first, not after the second.
    pub not_ready: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// The window in which the newest run was seen told to end: not before the first, not after the second.
    pub stopping: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// The beginning of the last look that saw the newest run up, where a later one saw it otherwise. Means nothing to
    /// another program run.
    pub seen_up_at: Option<DateTime<Utc>>,
    /// When the last crashes were told, newest last; four at the most.
    pub crashes: Vec<DateTime<Utc>>,
    /// The restart counter that has been accounted for; ahead of the reading where a counter was seen too early.
    pub counted: i64,
    /// Index of the last frame that needs no further thought. Means nothing to another program run.
    pub mark: u64,
    /// How many looks in a row were doubtful; they change nothing until they insist.
    pub doubts: u8,
    /// Counts the events of this process.
    pub process_seq: u64,
}

/// The end that was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastEnd {
    /// When, at the latest.
    pub at: DateTime<Utc>,
    /// Whether somebody asked for it.
    pub requested: bool,
}

/// One process: its last believed reading and the memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The name of the replica.
    pub name: Arc<str>,
    /// Every namespace, the first one first; never empty.
    pub namespaces: Vec<Arc<str>>,
    /// The supervisor's own word.
    pub status: Arc<str>,
    /// What it means.
    pub phase: Phase,
    /// Whether the run is a daemon's.
    pub daemon: bool,
    /// What the probe says.
    pub health: Health,
    /// Whether there is a probe.
    pub has_probe: bool,
    /// Restarts made by the supervisor's policy.
    pub restarts: i64,
    /// Exit code of the run that ended last.
    pub exit_code: i64,
    /// The process id of the newest run.
    pub pid: Option<i64>,
    /// When the run began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it became ready.
    pub ready_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// When a schedule begins it next.
    pub schedule_at: Option<DateTime<Utc>>,
    /// When a changed file last began it.
    pub watch_at: Option<DateTime<Utc>>,
    /// True where it ended without a run, because something it depends on failed.
    pub unmet: bool,
    /// Codes beside 0 that count as success.
    pub allowed_codes: Vec<i64>,
    /// What is known of its configuration.
    pub configuration: Option<Arc<Configuration>>,
    /// Identity of the supervisor's run this row belongs to.
    pub epoch: u32,
    /// What is remembered.
    pub memory: Memory,
    /// The table's revision at which something of this row changed that must survive a restart.
    pub revision: u64,
}

impl Row {
    /// The row a reading makes, without any memory.
    pub(super) fn new(reading: &Reading<'_>, epoch: u32) -> Self {
        Self {
            name: reading.name.as_ref().into(),
            namespaces: namespaces(reading),
            status: reading.status.as_ref().into(),
            phase: reading.phase,
            daemon: reading.daemon,
            health: reading.health,
            has_probe: reading.has_probe,
            restarts: reading.restarts,
            exit_code: reading.exit_code,
            pid: reading.pid,
            started_at: reading.started_at.and_then(kept),
            ready_at: reading.ready_at.and_then(kept),
            ended_at: reading.ended_at.and_then(kept),
            schedule_at: reading.schedule_at.and_then(kept),
            watch_at: reading.watch_at.and_then(kept),
            unmet: reading.unmet,
            allowed_codes: reading.allowed_codes.clone(),
            configuration: None,
            epoch,
            memory: Memory::default(),
            revision: 0,
        }
    }

    /// Whether a reading says the same in everything that is kept of it.
    pub(super) fn says(&self, reading: &Reading<'_>) -> bool {
        self.pid == reading.pid
            && self.restarts == reading.restarts
            && self.exit_code == reading.exit_code
            && self.health == reading.health
            && self.phase == reading.phase
            && *self.status == *reading.status
            && self.has_probe == reading.has_probe
            && self.ended_at == reading.ended_at
            && self.started_at == reading.started_at
            && self.ready_at == reading.ready_at
            && self.schedule_at == reading.schedule_at
            && self.watch_at == reading.watch_at
            && self.unmet == reading.unmet
            && self.daemon == reading.daemon
            && self.allowed_codes == reading.allowed_codes
            && *self.namespaces[0] == *reading.namespace
            && self.namespaces.len() == 1 + reading.more_namespaces.len()
            && self.namespaces[1..]
                .iter()
                .zip(&reading.more_namespaces)
                .all(|(a, b)| **a == **b)
    }

    /// The state as it stands in an event.
    pub fn state(&self, vitals: &Vitals) -> State {
        let configuration = self.configuration.as_deref();
        State {
            name: self.name.to_string(),
            namespace: self
                .namespaces
                .first()
                .map_or_else(|| "default".to_owned(), ToString::to_string),
            status: self.status.to_string().into(),
            is_ready: self.health.as_str().into(),
            has_ready_probe: self.has_probe,
            restarts: self.restarts,
            exit_code: self.exit_code,
            is_running: self.phase == Phase::Up,
            replicas: configuration.and_then(|c| c.replicas).unwrap_or(1),
            group: configuration
                .and_then(|c| c.group.as_deref())
                .map(str::to_owned),
            replica: configuration.and_then(|c| c.replica),
            namespaces: self.namespaces.iter().map(ToString::to_string).collect(),
            pid: self.pid,
            age_ms: vitals.age_ms,
            mem_bytes: vitals.mem_bytes,
            cpu_percent: vitals.cpu_percent.filter(|cpu| cpu.is_finite()),
            // A restart of the policy leaves the start of the first run standing.
            started_at: self.started_at.filter(|_| self.restarts == 0),
            ready_at: self.ready_at,
            ended_at: self.ended_at,
        }
    }

    /// Whether it stands still after a bad end that nobody asked for.
    pub fn is_broken(&self) -> bool {
        let code = self.pid.filter(|_| !self.unmet).map(|_| self.exit_code);
        let asked = self.memory.last_end.is_some_and(|end| end.requested);
        is_broken(self.phase, code, asked)
    }

    /// What the restart counter says of the run that goes on; nothing where none does.
    pub(super) fn counted_run(&self) -> Option<i64> {
        let memory = &self.memory;
        // A number below zero counts nothing.
        memory.open.then_some(memory.counted.max(0))
    }

    /// What is worth knowing of this row once it is the one before.
    pub(super) fn as_previous(&self) -> Previous {
        Previous {
            name: None,
            status: self.status.to_string().into(),
            is_ready: self.health.as_str().into(),
            restarts: self.restarts,
            pid: self.pid,
        }
    }
}

/// Whether a process stands still after a bad end that nobody asked for: it ended, or is between two runs, and there was a run,
/// which ended with this code.
pub(super) fn is_broken(phase: Phase, code: Option<i64>, asked: bool) -> bool {
    let ended = matches!(phase, Phase::Ended | Phase::BackingOff | Phase::Idle);
    phase == Phase::Failed || (ended && code.is_some_and(|code| code != 0) && !asked)
}

/// A time that the head can carry; none is further away than a few centuries.
fn kept(at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    at.timestamp_nanos_opt().map(|_| at)
}

fn namespaces(reading: &Reading<'_>) -> Vec<Arc<str>> {
    std::iter::once(&reading.namespace)
        .chain(&reading.more_namespaces)
        .map(|name| name.as_ref().into())
        .collect()
}

/// Everything that was last told of a source, in name order. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Table {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) rows: Vec<Arc<Row>>,
    pub(super) names: Names,
    pub(super) vitals: Vec<Vitals>,
    pub(super) epoch: Arc<str>,
    pub(super) looked_at: Option<DateTime<Utc>>,
    /// The beginning of that look, as far as this program run made it.
    pub(super) looked_from: Option<DateTime<Utc>>,
    pub(super) beginning: Beginning,
    pub(super) revision: u64,
    /// Where the table was read from a head: the look it is of. Frames that had arrived by then are told.
    pub(super) told_until: Option<DateTime<Utc>>,
    /// Names without a row that the last look showed in the middle of a change. Means nothing to another program run.
    pub(super) unclear: Vec<Arc<str>>,
}

/// What the next comparison starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Beginning {
    /// Nothing was ever told: what is found is a description.
    #[default]
    Never,
    /// Nothing is left of what was told: a description again, but of a source that was known.
    Lost,
    /// A stretch passed in which nobody looked: what differs is a resync.
    Resync,
    /// The look before was the last one.
    Followed,
}

impl Table {
    /// A table of these parts; where the names have no index yet, they get one.
    pub(super) fn from_inner(mut inner: Inner) -> Self {
        if inner.names.is_empty() {
            inner.names = Names::of(&inner.rows, &Self::default());
        }
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// An empty table of a source whose head was lost: what is found next is told as `present`, origin `resync`.
    pub fn lost() -> Self {
        Self::from_inner(Inner {
            beginning: Beginning::Lost,
            ..Inner::default()
        })
    }

    /// The rows in name order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &Row> {
        self.inner.rows.iter().map(AsRef::as_ref)
    }

    /// The rows in name order, each with the numbers of the last look.
    pub fn rows_with_vitals(&self) -> impl Iterator<Item = (&Row, &Vitals)> {
        self.rows().zip(&self.inner.vitals)
    }

    /// One row by name.
    pub fn row(&self, name: &str) -> Option<&Row> {
        let at = self.inner.names.find(&self.inner.rows, name)?;
        self.inner.rows.get(at).map(AsRef::as_ref)
    }

    /// Identity of the supervisor's run.
    pub fn epoch(&self) -> &Arc<str> {
        &self.inner.epoch
    }

    /// The end of the last successful look; `None` where there was none.
    pub fn looked_at(&self) -> Option<DateTime<Utc>> {
        self.inner.looked_at
    }

    /// Whether the last look showed every process it named, none of them in the middle of its first change.
    pub fn is_clear(&self) -> bool {
        self.inner.unclear.is_empty()
    }

    /// What the next comparison starts from.
    pub fn beginning(&self) -> Beginning {
        self.inner.beginning
    }

    /// Grows with every comparison that changed a row.
    pub fn revision(&self) -> u64 {
        self.inner.revision
    }
}

/// A short identity of an epoch, for rows.
pub(super) fn epoch_tag(epoch: &str) -> u32 {
    let hash = crate::event::subject::fnv1a(epoch.as_bytes());
    u32::try_from(hash & 0xffff_ffff).unwrap_or_default()
}
