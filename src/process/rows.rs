//! Rows of the head: the table as compact JSON lines, and back.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::event::json;
use crate::event::tell::{Restored, RowError, Rows};

use super::names::Names;
use super::phase::{Health, Phase};
use super::reading::{Configuration, Probe, Vitals};
use super::table::{Beginning, Inner, LastEnd, Memory, Row, Table, epoch_tag};

pub mod census;

/// Carries tables through the head.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessRows;

/// The head says when its look began. What arrived while it lasted, its table tells; for so long a look usually lasts.
const LOOK: chrono::TimeDelta = chrono::TimeDelta::milliseconds(300);

impl Rows for ProcessRows {
    type State = Table;

    fn visit(&self, state: &Table, each: &mut dyn FnMut(&str, u64)) {
        for row in state.rows() {
            each(&row.name, row.revision);
        }
    }

    fn encode(&self, state: &Table, key: &str, out: &mut Vec<u8>) {
        if let Some(row) = state.row(key) {
            // Writing a struct of strings and numbers to memory cannot fail; a row that did would be left out whole.
            let _written = json::write(out, &Line::from(row));
        }
    }

    fn decode(
        &self,
        rows: &mut dyn Iterator<Item = &[u8]>,
        restored: Restored<'_>,
    ) -> Result<Table, RowError> {
        if restored.first {
            return Ok(Table::lost());
        }
        let lines = rows
            .map(serde_json::from_slice::<Line<'_>>)
            .collect::<Result<Vec<_>, _>>()
            .map_err(RowError)?;
        let mut rows: Vec<Arc<Row>> = lines
            .into_iter()
            .map(|line| Arc::new(line.into()))
            .collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        rows.dedup_by(|a, b| a.name == b.name);
        Ok(Table::from_inner(Inner {
            vitals: vec![Vitals::default(); rows.len()],
            names: Names::default(),
            rows,
            epoch: restored.epoch.into(),
            looked_at: Some(restored.looked_at),
            looked_from: None,
            beginning: if restored.resync {
                Beginning::Resync
            } else {
                Beginning::Followed
            },
            revision: 0,
            told_until: restored.looked_at.checked_add_signed(LOOK),
            unclear: Vec::new(),
        }))
    }

    fn covers(&self, theirs: &[u8], ours: &[u8]) -> bool {
        let read = serde_json::from_slice::<Line<'_>>;
        let (Ok(theirs), Ok(ours)) = (read(theirs), read(ours)) else {
            return false;
        };
        let same_run = theirs.e == ours.e && theirs.pid == ours.pid && theirs.r == ours.r;
        same_run && theirs.m.q >= ours.m.q
    }

    fn looked_from(&self, state: &Table) -> Option<chrono::DateTime<chrono::Utc>> {
        state.inner().looked_from
    }
}

/// One row on the wire; keys of one or two letters, because a head holds thousands.
#[derive(Debug, Serialize, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    n: Cow<'a, str>,
    ns: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    s: Cow<'a, str>,
    p: char,
    e: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    r: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    x: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pid: Option<i64>,
    #[serde(default, skip_serializing_if = "is_dash")]
    h: Sign,
    #[serde(default, skip_serializing_if = "Flags::is_none")]
    f: Flags,
    #[serde(default, skip_serializing_if = "<[i64]>::is_empty")]
    a: Cow<'a, [i64]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<Times>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    c: Option<Config<'a>>,
    m: Mem,
}

type Millis = i64;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Times {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    s: Option<Nanos>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<Nanos>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    e: Option<Nanos>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<Nanos>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    w: Option<Nanos>,
}

/// Times of the source are kept to the nanosecond, because they are compared with what it says next.
type Nanos = i64;

#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
struct Flags(u8);

impl Flags {
    const DAEMON: u8 = 1;
    const PROBE: u8 = 2;
    const UNMET: u8 = 4;

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "the signature serde asks for"
    )]
    fn is_none(&self) -> bool {
        self.0 == 0
    }

    fn of(row: &Row) -> Self {
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        Self(
            bit(row.daemon, Self::DAEMON)
                | bit(row.has_probe, Self::PROBE)
                | bit(row.unmet, Self::UNMET),
        )
    }

    fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

/// Health in one byte.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Sign(u8);

impl From<Health> for Sign {
    fn from(health: Health) -> Self {
        Self(match health {
            Health::Unknown => 0,
            Health::Ready => 1,
            Health::NotReady => 2,
        })
    }
}

impl From<Sign> for Health {
    fn from(sign: Sign) -> Self {
        match sign.0 {
            1 => Self::Ready,
            2 => Self::NotReady,
            _ => Self::Unknown,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Config<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    g: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    i: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    b: Option<u64>,
    /// Absent: not known; empty: no probe; else threshold, period and initial delay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    p: Option<Vec<u64>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Mem {
    q: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    k: i64,
    /// Open, was ready.
    #[serde(default, skip_serializing_if = "is_zero_u8")]
    o: u8,
    #[serde(default, skip_serializing_if = "is_dash")]
    h: Sign,
    #[serde(default, skip_serializing_if = "is_dash")]
    f: Sign,
    /// The last end: when, and whether it was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    e: Option<(Millis, bool)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nr: Option<(Millis, Millis)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    st: Option<(Millis, Millis)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cr: Vec<Millis>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
fn is_zero(n: &i64) -> bool {
    *n == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
fn is_zero_u8(n: &u8) -> bool {
    *n == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
fn is_dash(sign: &Sign) -> bool {
    sign.0 == 0
}

fn time(millis: Millis) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

fn nanos(time: Option<DateTime<Utc>>) -> Option<Nanos> {
    time.and_then(|time| time.timestamp_nanos_opt())
}

fn window(window: (DateTime<Utc>, DateTime<Utc>)) -> (Millis, Millis) {
    (window.0.timestamp_millis(), window.1.timestamp_millis())
}

impl<'a> From<&'a Row> for Line<'a> {
    fn from(row: &'a Row) -> Self {
        let times = [
            row.started_at,
            row.ready_at,
            row.ended_at,
            row.schedule_at,
            row.watch_at,
        ]
        .map(nanos);
        Self {
            n: (&*row.name).into(),
            ns: row.namespaces.iter().map(|name| (&**name).into()).collect(),
            s: (&*row.status).into(),
            p: row.phase.code(),
            e: row.epoch,
            r: row.restarts,
            x: row.exit_code,
            pid: row.pid,
            h: row.health.into(),
            f: Flags::of(row),
            a: row.allowed_codes.as_slice().into(),
            t: times.iter().any(Option::is_some).then_some(Times {
                s: times[0],
                r: times[1],
                e: times[2],
                n: times[3],
                w: times[4],
            }),
            c: row.configuration.as_deref().map(Config::from),
            m: Mem::from(&row.memory),
        }
    }
}

impl<'a> From<&'a Configuration> for Config<'a> {
    fn from(configuration: &'a Configuration) -> Self {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let probe = |probe: Probe| {
            vec![
                probe.threshold.into(),
                millis(probe.period),
                millis(probe.initial_delay),
            ]
        };
        Self {
            g: configuration.group.as_deref().map(Cow::Borrowed),
            i: configuration.replica,
            r: configuration.replicas,
            b: configuration.backoff.map(millis),
            p: configuration
                .readiness
                .map(|readiness| readiness.map(probe).unwrap_or_default()),
        }
    }
}

impl From<Config<'_>> for Configuration {
    fn from(config: Config<'_>) -> Self {
        let probe = |parts: Vec<u64>| match parts.as_slice() {
            [threshold, period, delay] => Some(Probe {
                threshold: u32::try_from(*threshold).unwrap_or(u32::MAX),
                period: Duration::from_millis(*period),
                initial_delay: Duration::from_millis(*delay),
            }),
            _ => None,
        };
        Self {
            group: config.g.map(Into::into),
            replica: config.i,
            replicas: config.r,
            backoff: config.b.map(Duration::from_millis),
            readiness: config.p.map(probe),
        }
    }
}

impl From<&Memory> for Mem {
    fn from(memory: &Memory) -> Self {
        Self {
            q: memory.process_seq,
            k: memory.counted,
            o: u8::from(memory.open) | u8::from(memory.was_ready) << 1,
            h: memory.told_health.into(),
            f: memory.former_health.into(),
            e: memory
                .last_end
                .map(|end| (end.at.timestamp_millis(), end.requested)),
            nr: memory.not_ready.map(window),
            st: memory.stopping.map(window),
            cr: memory
                .crashes
                .iter()
                .map(DateTime::timestamp_millis)
                .collect(),
        }
    }
}

impl From<Mem> for Memory {
    fn from(mem: Mem) -> Self {
        let window = |(from, to)| (time(from), time(to));
        Self {
            open: mem.o & 1 != 0,
            last_end: mem.e.map(|(at, requested)| LastEnd {
                at: time(at),
                requested,
            }),
            was_ready: mem.o & 2 != 0,
            told_health: mem.h.into(),
            former_health: mem.f.into(),
            not_ready: mem.nr.map(window),
            stopping: mem.st.map(window),
            seen_up_at: None,
            crashes: mem.cr.into_iter().map(time).collect(),
            counted: mem.k,
            mark: 0,
            doubts: 0,
            process_seq: mem.q,
        }
    }
}

impl From<Line<'_>> for Row {
    fn from(line: Line<'_>) -> Self {
        let times = line.t.unwrap_or_default();
        let at = |nanos: Option<Nanos>| nanos.map(DateTime::from_timestamp_nanos);
        let mut namespaces: Vec<Arc<str>> = line.ns.into_iter().map(Into::into).collect();
        if namespaces.is_empty() {
            namespaces.push("default".into());
        }
        Self {
            name: line.n.as_ref().into(),
            namespaces,
            status: line.s.as_ref().into(),
            phase: Phase::from_code(line.p),
            daemon: line.f.has(Flags::DAEMON),
            health: line.h.into(),
            has_probe: line.f.has(Flags::PROBE),
            restarts: line.r,
            exit_code: line.x,
            pid: line.pid,
            started_at: at(times.s),
            ready_at: at(times.r),
            ended_at: at(times.e),
            schedule_at: at(times.n),
            watch_at: at(times.w),
            unmet: line.f.has(Flags::UNMET),
            allowed_codes: line.a.into_owned(),
            configuration: line.c.map(|config| Arc::new(config.into())),
            epoch: line.e,
            memory: line.m.into(),
            revision: 0,
        }
    }
}

/// The tag of an epoch as rows carry it; for tests and tools that read heads.
pub fn tag(epoch: &str) -> u32 {
    epoch_tag(epoch)
}

#[cfg(test)]
mod tests;
