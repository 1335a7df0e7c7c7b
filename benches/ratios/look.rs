//! P1, P2: a body becomes a table, a comparison, events and their bytes; against a plain parse of the same body.

use std::time::Duration;

use chrono::{DateTime, Utc};
use observe::event::draft::Draft;
use observe::event::envelope::Stamp;
use observe::event::payload::Origin;
use observe::event::subject::Prefix;
use observe::event::tell::Tell as _;
use observe::process::diff::{Circumstances, Comparison, Unread, compare};
use observe::process::event::{ProcessEvent, TellProcess};
use observe::process::evidence::NoEvidence;
use observe::process::reading::Reading;
use observe::process::table::Table;
use observe::process_compose::wire;
use serde::Deserialize;

use super::Size;
use super::body::{Change, NOW, body};
use super::figure::{Figure, Goal, Unit};
use super::measure::{Spread, cost, in_turn, medians};

/// What anybody would write who wants to read such a body.
#[derive(Debug, Deserialize)]
pub struct Plain {
    pub data: Vec<PlainProcess>,
}

#[derive(Debug, Deserialize)]
#[expect(
    dead_code,
    clippy::struct_excessive_bools,
    reason = "it is only parsed"
)]
pub struct PlainProcess {
    name: String,
    namespace: String,
    status: String,
    system_time: String,
    age: i64,
    is_ready: String,
    has_ready_probe: bool,
    restarts: i64,
    exit_code: i64,
    pid: i64,
    is_elevated: bool,
    password_provided: bool,
    mem: i64,
    cpu: f64,
    is_running: bool,
    process_start_time: Option<String>,
    process_ready_time: Option<String>,
    process_end_time: Option<String>,
}

/// One look, from its bytes to the bytes of its events: the table after it, and how many bytes it tells.
///
/// Readings have the room of the look before, as they have in an adapter.
pub fn look(before: &Table, body: &[u8], room: &mut Vec<Reading<'static>>) -> (Table, usize) {
    let now = NOW.parse().expect("a time");
    let readings = wire::decode_into(body, std::mem::take(room));
    let readings = readings.expect("a body of ours").rows;
    let comparison = step(before, &readings, now);
    *room = Reading::room(readings);
    let bytes = dressed(&comparison.events);
    (comparison.table, bytes)
}

/// One look, from its bytes to its events.
pub fn compared(before: &Table, body: &[u8], now: DateTime<Utc>) -> Comparison {
    let readings = wire::decode_as(body).expect("a body of ours").rows;
    step(before, &readings, now)
}

fn step(before: &Table, readings: &[Reading<'_>], now: DateTime<Utc>) -> Comparison {
    let circumstances = Circumstances {
        epoch: "2026-08-20T07:15:02.707Z",
        started: now,
        ended: now,
        interval: Duration::from_secs(2),
        sticky_health: false,
        unread: Unread::default(),
    };
    compare(before, readings, &NoEvidence, &circumstances)
}

fn dressed(events: &[ProcessEvent]) -> usize {
    let prefix = Prefix::default();
    let mut bytes = 0;
    let mut out = Vec::with_capacity(1024);
    for (number, event) in (1..).zip(events) {
        out.clear();
        let payload = TellProcess.tell(event);
        Draft::dress(&payload, &stamp("shop", &prefix, number))
            .write_json(&mut out)
            .expect("an event of ours");
        bytes += out.len();
    }
    bytes
}

/// What the adapter adds to an event of this number.
pub fn stamp<'a>(source: &'a str, prefix: &'a Prefix, number: u64) -> Stamp<'a> {
    Stamp {
        prefix,
        source,
        journal: "3f9a1c22",
        seq: number,
        epoch: "2026-08-20T07:15:02.707Z",
        origin: Origin::Change,
        timestamp: NOW.parse().expect("a time"),
    }
}

/// P1 and P2 at 10,000 processes.
pub fn figures(size: Size) -> Vec<Figure> {
    [
        ("P1", Change::TwoPercent, 1.25, "two in a hundred changed"),
        ("P2", Change::Vitals, 1.10, "nothing changed"),
    ]
    .into_iter()
    .map(|(name, change, goal, words)| {
        let pairs = pairs(10_000, change, size.pairs());
        let (ours, theirs) = medians(&pairs);
        Figure {
            name,
            subject: format!("a look at 10,000 processes, {words}: body to event bytes, CPU"),
            reference: "serde_json into a vector of plain structs".to_owned(),
            unit: Unit::Times,
            found: Ok(Spread::of_ratios(&pairs)),
            goal: Goal::AtMost(goal),
            absolute: format!("{:.2} ms against {:.2} ms", ours * 1e3, theirs * 1e3),
        }
    })
    .collect()
}

/// What a look costs, and what a plain parse costs, in seconds.
pub fn pairs(processes: usize, change: Change, pairs: usize) -> Vec<(f64, f64)> {
    let first = body(processes, 0, Change::Vitals);
    let mut room = Vec::new();
    let (table, _) = look(&Table::default(), &first, &mut room);
    let next = body(processes, 1, change);
    in_turn(
        pairs,
        || cost(|| look(&table, &next, &mut room)),
        || cost(|| parsed(&next)),
    )
}

/// The plain parse.
pub fn parsed(body: &[u8]) -> usize {
    serde_json::from_slice::<Plain>(body)
        .expect("a body of ours")
        .data
        .len()
}
