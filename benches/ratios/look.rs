//! P1, P2: a body becomes a table, a comparison, events and their bytes; against a plain parse of the same body.

use std::time::Duration;

use chrono::{DateTime, Utc};
use observe::event::envelope::{Envelope, Stamp};
use observe::event::payload::Origin;
use observe::event::subject::Prefix;
use observe::event::tell::Tell as _;
use observe::process::diff::{Circumstances, Comparison, Unread, compare};
use observe::process::event::{ProcessEvent, TellProcess};
use observe::process::evidence::NoEvidence;
use observe::process::table::Table;
use observe::process_compose::{translate, wire};
use serde::Deserialize;

use super::Size;
use super::body::{Change, NOW, body};
use super::measure::{Figure, cost, in_turn, median, ratio};

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
pub fn look(before: &Table, body: &[u8]) -> (Table, usize) {
    let comparison = compared(before, body, NOW.parse().expect("a time"));
    let bytes = dressed(&comparison.events);
    (comparison.table, bytes)
}

/// One look, from its bytes to its events.
pub fn compared(before: &Table, body: &[u8], now: DateTime<Utc>) -> Comparison {
    let reading = wire::decode(body).expect("a body of ours");
    let readings = translate::readings(reading.rows);
    let circumstances = Circumstances {
        epoch: "2026-08-20T07:15:02.707Z",
        started: now,
        ended: now,
        interval: Duration::from_secs(2),
        sticky_health: false,
        unread: Unread::default(),
    };
    compare(before, &readings, &NoEvidence, &circumstances)
}

fn dressed(events: &[ProcessEvent]) -> usize {
    let prefix = Prefix::default();
    let mut bytes = 0;
    let mut out = Vec::with_capacity(1024);
    for (number, event) in (1..).zip(events) {
        let stamp = Stamp {
            prefix: &prefix,
            source: "shop",
            journal: "3f9a1c22",
            seq: number,
            epoch: "2026-08-20T07:15:02.707Z",
            origin: Origin::Change,
            timestamp: NOW.parse().expect("a time"),
        };
        out.clear();
        Envelope::dress(TellProcess.tell(event), &stamp)
            .write_json(&mut out)
            .expect("an event of ours");
        bytes += out.len();
    }
    bytes
}

/// P1 and P2 at 10,000 processes.
pub fn figures(size: Size) -> Vec<Figure> {
    let processes = 10_000;
    let first = body(processes, 0, Change::Vitals);
    let (table, _) = look(&Table::default(), &first);
    [
        ("P1", Change::TwoPercent, 1.25, "two in a hundred changed"),
        ("P2", Change::Vitals, 1.10, "nothing changed"),
    ]
    .into_iter()
    .map(|(name, change, goal, words)| {
        let next = body(processes, 1, change);
        let pairs = in_turn(
            size.pairs(),
            || cost(|| look(&table, &next)),
            || {
                cost(|| {
                    serde_json::from_slice::<Plain>(&next)
                        .expect("a body of ours")
                        .data
                        .len()
                })
            },
        );
        let (ratio, spread) = ratio(&pairs);
        Figure {
            name: name.to_owned(),
            subject: format!("a look at {processes} processes, {words}: body to event bytes, CPU"),
            reference: "serde_json into a vector of plain structs".to_owned(),
            ratio,
            spread,
            goal: Some(goal),
            absolute: format!("{:.2} ms", median(&pairs).as_secs_f64() * 1e3),
        }
    })
    .collect()
}
