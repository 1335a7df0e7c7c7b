//! A look that finds nothing new allocates a few tables, and nothing for each process.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

use std::time::Duration;

use chrono::DateTime;
use observe::process::diff::{Circumstances, Comparison, Unread, compare};
use observe::process::evidence::NoEvidence;
use observe::process::table::Table;
use observe::process_compose::wire;

/// What a comparison may allocate, its new table included, however many processes there are.
const A_FEW: u64 = 16;

/// A body with so many processes, of which the first has so many restarts behind it; ages move from look to look.
fn body(processes: usize, look: usize, restarts: usize) -> Vec<u8> {
    let rows: Vec<_> = (0..processes)
        .map(|number| {
            let restarts = if number == 0 { restarts } else { 0 };
            let (age, pid) = (1_000_000_000 * (look + 1), 100 + number + 1_000_000 * restarts);
            format!(
                r#"{{"name":"worker-{number:05}","namespace":"default","status":"Running","system_time":"1s","age":{age},"is_ready":"Ready","has_ready_probe":true,"restarts":{restarts},"exit_code":0,"pid":{pid},"mem":{look},"cpu":0.5,"is_running":true}}"#
            )
        })
        .collect();
    format!(r#"{{"data":[{}]}}"#, rows.join(",")).into_bytes()
}

/// The comparison of a table with a body, and how often it allocated.
fn compared(before: &Table, body: &[u8], seconds: i64) -> (Comparison, u64) {
    let readings = wire::decode_as(body).unwrap().rows;
    let now = DateTime::from_timestamp(1_787_000_000 + seconds, 0).unwrap();
    let circumstances = Circumstances {
        epoch: "2026-08-20T07:15:02.707Z",
        started: now,
        ended: now,
        interval: Duration::from_secs(2),
        sticky_health: false,
        unread: Unread::default(),
    };
    let mut found = None;
    let used = allocation_counter::measure(|| {
        found = Some(compare(before, &readings, &NoEvidence, &circumstances));
    });
    (found.unwrap(), used.count_total)
}

/// How often the third look at so many processes allocates.
fn allocations(processes: usize, restarts: usize) -> (u64, usize) {
    let mut table = Table::default();
    for (look, seconds) in [(0, 0), (1, 2)] {
        let (comparison, _) = compared(&table, &body(processes, look, 0), seconds);
        table = comparison.table;
    }
    let (comparison, count) = compared(&table, &body(processes, 2, restarts), 4);
    let events = comparison.events;
    assert_eq!(events.capacity(), events.len(), "deltas are remembered");
    (count, events.len())
}

#[test]
fn an_unchanged_look_allocates_as_often_for_ten_processes_as_for_ten_thousand() {
    let (few, events) = allocations(10, 0);
    assert_eq!(events, 0, "nothing changed");
    assert!(few <= A_FEW, "{few} allocations");
    assert_eq!(allocations(10_000, 0), (few, 0));
}

#[test]
fn a_change_is_seen_to_allocate() {
    let (same, _) = allocations(10, 0);
    let (changed, events) = allocations(10, 1);
    assert!(
        events > 0 && changed > same,
        "{events} events, {changed} allocations against {same}"
    );
}
