//! The stream folded back: how each process stood by its last event, and by what is left where events expired.

use serde_json::{Value, json};

use super::*;
use crate::event::tell::{Restored, Rows as _};
use crate::process::rows::ProcessRows;

mod unseen;
mod veiled;

fn at(text: &str) -> DateTime<Utc> {
    format!("2026-08-20T{text}Z").parse().unwrap()
}

/// One event of `shop`; the rest of its keys by these.
fn event(seq: u64, time: &str, kind: &str, process: &str, more: &Value) -> Envelope {
    let mut event = json!({
        "type": kind, "timestamp": at(time), "subject": "s", "severity": "info", "schema": 1, "id": "i",
        "source": "shop", "journal": "a", "seq": seq, "origin": "change", "reason": "r",
        "certainty": "certain", "occurred": {"after": null, "before": at(time)}, "count": 1,
    });
    if !process.is_empty() {
        event["process"] = json!(process);
        event["namespace"] = json!("default");
        event["state"] = state(process, kind);
    }
    for (key, value) in more.as_object().unwrap() {
        event[key] = value.clone();
    }
    serde_json::from_value(event).unwrap()
}

fn state(process: &str, kind: &str) -> Value {
    let up = !matches!(kind, "crashed" | "stopped");
    json!({
        "name": process, "namespace": "default", "status": if up { "Running" } else { "Completed" },
        "is_ready": "-", "has_ready_probe": false, "restarts": 0, "exit_code": if up { 0 } else { 3 },
        "is_running": up, "replicas": 1, "pid": 7, "age_ms": 60_000, "mem_bytes": 1000, "cpu_percent": 1.5,
    })
}

fn previous(status: &str, restarts: i64) -> Value {
    json!({"previous": {"status": status, "is_ready": "-", "restarts": restarts, "pid": 7}})
}

fn first() -> Envelope {
    event(
        1,
        "10:00:00",
        "connected",
        "",
        &json!({"origin": "initial"}),
    )
}

fn table(names: &[&str]) -> Table {
    let lines: Vec<String> = names
        .iter()
        .map(|name| {
            let row = json!({"n": name, "ns": ["default"], "s": "Running", "p": "u", "e": 1, "pid": 9, "m": {"q": 1}});
            row.to_string()
        })
        .collect();
    let restored = Restored {
        epoch: "e",
        resync: false,
        first: false,
        looked_at: at("12:00:00"),
    };
    let mut rows = lines.iter().map(String::as_bytes);
    ProcessRows.decode(&mut rows, restored).unwrap()
}

struct Case<'a> {
    events: &'a [Envelope],
    head: Option<(&'a str, Sighted, &'a Table)>,
    kept_since: Option<&'a str>,
    left_out: Option<LeftOut>,
}

impl Case<'_> {
    fn at(&self, time: &str) -> Moment {
        let mut fold = Fold::up_to(at(time));
        for event in self.events {
            fold.see(event);
        }
        let head = self.head.map(|(journal, sighted, table)| Told {
            source: "shop",
            journal,
            sighted,
            left_out: self.left_out.as_ref(),
            table: Some(table),
        });
        let heads: Vec<_> = head.into_iter().collect();
        let mut moments = fold.close(&heads, self.kept_since.map(at));
        assert_eq!(moments.len(), 1);
        moments.pop().unwrap()
    }

    /// Each process in words.
    fn told(&self, time: &str) -> Vec<String> {
        let moment = self.at(time);
        moment.processes.iter().map(words).collect()
    }
}

fn words(found: &Found) -> String {
    let status = found.state.as_ref().map_or("?", |state| &*state.status);
    let known = match found.known {
        Known::Now => "is",
        Known::Was => "was",
        Known::Nothing => "?",
    };
    let exit = found
        .exit
        .map_or_else(String::new, |code| format!(" {code}"));
    let crashed = if found.crashed { " crashed" } else { "" };
    format!("{} {known} {status}{exit}{crashed}", found.name)
}

const FRESH: Sighted = Sighted::Seen(None);

#[test]
fn the_last_event_up_to_the_moment_says_how_a_process_stood() {
    let rows = table(&["api"]);
    let events = [
        first(),
        event(
            2,
            "10:00:00",
            "started",
            "api",
            &json!({"origin": "initial"}),
        ),
        event(3, "10:05:00", "crashed", "api", &previous("Running", 0)),
        event(
            4,
            "10:05:02",
            "restarted",
            "api",
            &previous("Restarting", 0),
        ),
    ];
    let case = Case {
        events: &events,
        head: Some(("a", FRESH, &rows)),
        kept_since: None,
        left_out: None,
    };
    assert_eq!(case.told("10:00:00"), ["api is Running"]);
    assert_eq!(case.told("10:04:59.999"), ["api is Running"]);
    assert_eq!(case.told("10:05:00"), ["api is Completed 3 crashed"]);
    assert_eq!(case.told("10:05:01.999"), ["api is Completed 3 crashed"]);
    assert_eq!(case.told("11:00:00"), ["api is Running"]);
    let api = &case.at("11:00:00").processes[0];
    assert_eq!(api.begun_at, Some(at("10:04:02")), "its age was a minute");
    assert_eq!(api.usage_at, Some(at("10:05:02")));
    assert_eq!(case.at("10:05:01").processes[0].begun_at, None);
    // Nobody had looked before the first look.
    let before = case.at("09:59:59");
    assert_eq!(before.sighted, Sighted::NotYet(at("10:00:00")));
    assert!(before.processes.is_empty());
}

/// What is left of `shop` when earlier events expired.
fn remnant() -> [Envelope; 3] {
    let removed = json!({"reason": "removed", "previous": previous("Running", 0)["previous"]});
    [
        event(40, "10:05:00", "crashed", "api", &previous("Running", 2)),
        event(
            41,
            "10:06:00",
            "started",
            "young",
            &json!({"reason": "added"}),
        ),
        event(42, "10:07:00", "stopped", "old", &removed),
    ]
}

#[test]
fn what_no_event_is_left_of_is_told_by_the_next_one_or_by_the_head() {
    let (rows, events) = (table(&["api", "quiet", "young"]), remnant());
    let kept = Case {
        events: &events,
        head: Some(("a", FRESH, &rows)),
        kept_since: Some("09:00:00"),
        left_out: None,
    };
    let before = ["api is Running", "old is Running", "quiet is Running"];
    assert_eq!(kept.told("10:00:00"), before);
    let api = &kept.at("10:00:00").processes[0];
    assert_eq!(api.state.as_ref().unwrap().restarts, 2);
    assert_eq!(api.usage_at, None);
    let crashed = "api is Completed 3 crashed";
    assert_eq!(
        kept.told("10:06:30"),
        [
            crashed,
            "old is Running",
            "quiet is Running",
            "young is Running"
        ]
    );
    assert_eq!(
        kept.told("10:08:00"),
        [crashed, "quiet is Running", "young is Running"]
    );
}

#[test]
fn what_may_be_missing_between_the_moment_and_what_is_left_makes_it_unknown() {
    let (rows, events) = (table(&["api", "quiet", "young"]), remnant());
    let case = |kept_since| Case {
        events: &events,
        head: Some(("a", FRESH, &rows)),
        kept_since,
        left_out: None,
    };
    let (lost, unknown) = (case(Some("10:03:00")), ["api ? ?", "old ? ?", "quiet ? ?"]);
    assert_eq!(lost.told("10:00:00"), unknown);
    assert_eq!(lost.at("10:00:00").sighted, Sighted::NotKept);
    let before = ["api is Running", "old is Running", "quiet is Running"];
    assert_eq!(lost.told("10:04:00"), before);
    assert_eq!(case(None).told("10:04:00"), unknown);
    // An event up to the moment is the last one in any case: what followed it is left.
    assert_eq!(
        case(None).told("10:06:30"),
        [
            "api is Completed 3 crashed",
            "old ? ?",
            "quiet ? ?",
            "young is Running"
        ]
    );
}

#[test]
fn what_a_restart_says_of_before_is_that_it_was_not_up() {
    let rows = table(&["api"]);
    let events = [event(
        7,
        "10:05:00",
        "restarted",
        "api",
        &previous("Restarting", 1),
    )];
    let case = Case {
        events: &events,
        head: Some(("a", FRESH, &rows)),
        kept_since: Some("09:00:00"),
        left_out: None,
    };
    assert_eq!(case.told("10:00:00"), ["api is Restarting"]);
    assert!(!case.at("10:00:00").processes[0].is_up());
}

#[test]
fn a_process_has_one_name_at_a_time() {
    let rows = table(&["api-0"]);
    let renamed = json!({
        "reason": "renamed",
        "previous": {"name": "api", "status": "Running", "is_ready": "-", "restarts": 0, "pid": 7},
    });
    let known = [
        first(),
        event(
            2,
            "10:00:00",
            "started",
            "api",
            &json!({"origin": "initial"}),
        ),
        event(3, "10:05:00", "status_changed", "api-0", &renamed),
    ];
    for events in [&known[..], &known[2..]] {
        let case = Case {
            events,
            head: Some(("a", FRESH, &rows)),
            kept_since: Some("09:00:00"),
            left_out: None,
        };
        assert_eq!(case.told("10:01:00"), ["api is Running"]);
        assert_eq!(case.told("10:05:00"), ["api-0 is Running"]);
    }
}

#[test]
fn sources_with_equal_names_of_processes_are_not_mixed() {
    let mut other = event(1, "10:02:00", "crashed", "api", &json!({"journal": "z"}));
    other.source = "lab".to_owned();
    let mut fold = Fold::up_to(at("11:00:00"));
    fold.see(&first());
    fold.see(&event(2, "10:00:00", "started", "api", &json!({})));
    fold.see(&other);
    let moments = fold.close(&[], None);
    let told: Vec<_> = moments
        .iter()
        .map(|moment| (moment.source.as_str(), words(&moment.processes[0])))
        .collect();
    assert_eq!(
        told,
        [
            ("lab", "api was Completed 3 crashed".to_owned()),
            ("shop", "api was Running".to_owned())
        ]
    );
}
