//! Where events were left out on purpose: nothing is said that may not be so, and what the numbers prove is said.

use serde_json::Map;

use super::*;
use crate::event::sieve::{Sieve, Wording};

fn sieve(name: &str) -> Sieve {
    let exclude = Wording {
        names: vec![name.to_owned()],
        ..Wording::default()
    };
    Sieve::new(None, Some(exclude)).unwrap()
}

/// An event about `api` with this number of its own.
fn told(seq: u64, time: &str, kind: &str, number: u64) -> Envelope {
    let mut more = previous(
        if kind == "crashed" {
            "Running"
        } else {
            "Completed"
        },
        0,
    );
    more["process_seq"] = json!(number);
    event(seq, time, kind, "api", &more)
}

fn turn(seq: u64, from: &str, to: &str, sieves: (Option<&str>, Option<&str>)) -> Envelope {
    let mut gap = Map::from_iter([
        ("from".to_owned(), json!(at(from))),
        ("to".to_owned(), json!(at(to))),
        ("why".to_owned(), json!("left_out")),
    ]);
    for (key, name) in [("sieve", sieves.0), ("next_sieve", sieves.1)] {
        if let Some(name) = name {
            gap.insert(key.to_owned(), serde_json::to_value(sieve(name)).unwrap());
        }
    }
    event(seq, to, "gap", "", &json!({ "gap": gap }))
}

fn head_of(number: u64) -> Table {
    table_of(&[
        json!({"n": "api", "ns": ["default"], "s": "Running", "p": "u", "e": 1, "pid": 9, "m": {"q": number}}),
    ])
}

fn table_of(rows: &[Value]) -> Table {
    let restored = Restored {
        epoch: "e",
        resync: false,
        first: false,
        looked_at: at("12:00:00"),
    };
    let lines: Vec<_> = rows.iter().map(ToString::to_string).collect();
    let mut rows = lines.iter().map(String::as_bytes);
    ProcessRows.decode(&mut rows, restored).unwrap()
}

fn case<'a>(events: &'a [Envelope], table: &'a Table, left_out: Option<&str>) -> Case<'a> {
    Case {
        events,
        head: Some(("a", Sighted::Seen(Some(at("12:00:00"))), table)),
        kept_since: Some("09:00:00"),
        left_out: left_out.map(|name| LeftOut {
            since: at("10:30:00"),
            sieve: sieve(name),
        }),
    }
}

#[test]
fn while_events_are_left_out_what_was_told_last_is_no_more_than_that() {
    let events = [
        first(),
        told(2, "10:10:00", "started", 1),
        turn(3, "10:30:00", "10:30:00", (None, Some("api"))),
    ];
    for (number, during) in [(1, "api is Running"), (2, "api was Running")] {
        let table = head_of(number);
        for left_out in [Some("api"), None] {
            let case = case(&events, &table, left_out);
            assert_eq!(case.told("10:20:00"), ["api is Running"]);
            assert_eq!(case.told("10:45:00"), [during], "{number} {left_out:?}");
        }
    }
    let table = head_of(2);
    let moment = case(&events, &table, None).at("10:45:00");
    assert!(moment.processes[0].left_out);
    assert_eq!(moment.sighted, Sighted::Seen(None), "everything was seen");
    let other = case(&events[..2], &table, Some("web"));
    assert_eq!(
        other.told("10:45:00"),
        ["api is Running"],
        "nobody left it out"
    );
}

#[test]
fn behind_the_end_of_it_what_comes_next_says_what_was_not_told() {
    let table = head_of(4);
    let events = [
        first(),
        told(2, "10:10:00", "started", 1),
        turn(3, "10:30:00", "10:30:00", (None, Some("api"))),
        turn(4, "10:30:00", "11:00:00", (Some("api"), None)),
        // Its crash was left out.
        told(5, "11:20:00", "restarted", 3),
        told(6, "11:40:00", "crashed", 4),
    ];
    let whole = case(&events, &table, None);
    for (time, wanted) in [
        ("10:20:00", "api is Running"),
        ("10:45:00", "api was Running"),
        ("11:10:00", "api is Completed"),
        ("11:30:00", "api is Running"),
        ("11:50:00", "api is Completed 3 crashed"),
    ] {
        assert_eq!(whole.told(time), [wanted], "{time}");
    }
    // Nothing is told of it any more: the head says how it has stood since the end of it.
    let table = head_of(3);
    let silent = case(&events[..4], &table, None);
    assert_eq!(silent.told("10:45:00"), ["api was Running"]);
    assert_eq!(silent.told("11:10:00"), ["api is Running"]);
}

#[test]
fn of_whom_nothing_was_told_at_all_nothing_is_known_but_behind_the_end() {
    let table = head_of(7);
    let events = [
        first(),
        turn(2, "10:30:00", "11:00:00", (Some("api"), None)),
    ];
    let silent = case(&events, &table, None);
    assert_eq!(silent.told("10:20:00"), ["api ? ?"]);
    assert_eq!(silent.told("10:45:00"), ["api ? ?"]);
    assert_eq!(silent.told("11:10:00"), ["api is Running"]);
    let table = head_of(0);
    let never = case(&events, &table, None);
    assert_eq!(
        never.told("10:45:00"),
        ["api is Running"],
        "nothing ever happened to it"
    );
}

#[test]
fn who_left_unseen_is_not_there_behind_the_end_and_unknown_before() {
    let table = table(&[]);
    let events = [
        first(),
        told(2, "10:10:00", "started", 1),
        turn(3, "10:30:00", "11:00:00", (Some("api"), None)),
    ];
    let case = case(&events, &table, None);
    assert_eq!(case.told("10:20:00"), ["api is Running"]);
    assert_eq!(case.told("10:45:00"), ["api was Running"]);
    assert!(case.told("11:10:00").is_empty());
}

/// These keys, and those.
fn with(mut all: Value, more: &Value) -> Value {
    let more = more.as_object().unwrap().clone();
    all.as_object_mut().unwrap().extend(more);
    all
}

/// A begin of `api-0` that was told before its group and all of its namespaces were known, a rule, and what is known later.
fn learned_late(rule: &Value, later: Option<&Value>) -> Vec<Envelope> {
    let mut begins = turn(3, "10:05:00", "10:05:00", (None, Some("api")));
    let sieve = serde_json::from_value(json!({ "exclude": rule }));
    begins.gap.as_mut().unwrap().next_sieve = Some(sieve.unwrap());
    let started = json!({"process_seq": 1});
    let started = event(2, "10:10:00", "started", "api-0", &started);
    let later = later.map(|later| {
        let state = with(state("api-0", "stopped"), later);
        let more = json!({"process_seq": 3, "state": state});
        event(5, "11:20:00", "stopped", "api-0", &more)
    });
    [first(), started, begins]
        .into_iter()
        .chain(later)
        .collect()
}

#[test]
fn whom_a_rule_means_is_known_from_whatever_knows_it() {
    let group = json!({"names": ["api"]});
    let namespace = json!({"namespaces": ["core"]});
    let namespaces = json!({"namespaces": ["default", "core"]});
    for (rule, row, later) in [
        (&group, json!({"c": {"g": "api"}}), None),
        (&group, json!({}), Some(json!({"group": "api"}))),
        (&group, json!({}), None),
        (&namespace, json!({"ns": ["default", "core"]}), None),
        (&namespace, json!({}), Some(namespaces)),
    ] {
        let usual = json!({"n": "api-0", "ns": ["default"], "s": "Completed", "p": "e", "e": 1, "m": {"q": 2}});
        let table = table_of(&[with(usual, &row)]);
        let events = learned_late(rule, later.as_ref());
        let case = case(&events, &table, None);
        let told = case.told("10:45:00");
        assert_eq!(told, ["api-0 was Running"], "{rule} {row} {later:?}");
    }
}

#[test]
fn a_process_of_its_own_with_a_number_in_its_name_is_not_taken_for_a_replica_by_who_knows_it() {
    let row = json!({"n": "api-0", "ns": ["default"], "s": "Completed", "p": "e", "e": 1, "m": {"q": 2}, "c": {"g": "api-0"}});
    let more = json!({"process_seq": 1});
    let events = [
        first(),
        turn(2, "10:05:00", "10:05:00", (None, Some("api"))),
        event(3, "10:10:00", "started", "api-0", &more),
    ];
    let table = table_of(&[row]);
    let case = case(&events, &table, None);
    assert_eq!(case.told("10:45:00"), ["api-0 is Running"]);
}

#[test]
fn who_was_left_out_does_not_vanish_where_no_head_goes_on_with_what_was_told() {
    let table = head_of(9);
    let events = [
        first(),
        told(2, "10:10:00", "started", 1),
        turn(3, "10:30:00", "11:00:00", (Some("api"), None)),
    ];
    let whole = case(&events, &table, None);
    for head in [None, Some(("b", Sighted::Seen(None), &table))] {
        let case = Case {
            head,
            ..case(&events, &table, None)
        };
        let moment = case.at("11:10:00");
        assert_eq!(
            moment.processes.iter().map(words).collect::<Vec<_>>(),
            ["api was Running"]
        );
        assert!(moment.processes[0].left_out);
    }
    assert_eq!(whole.told("11:10:00"), ["api is Running"]);
}
