//! The scorer scored: a small story that is told well is accepted, and every way to tell it wrong is refused.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use super::score::{Score, score};
use super::truth::{Time, Truth};

mod restored;
mod silences;

const ZERO: Time = 1_800_000_000_000;

fn wall(at: Time) -> String {
    let at = DateTime::from_timestamp_millis(ZERO + at).unwrap();
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// One fact of the truth.
fn fact(at: Time, process: &str, what: &str, pid: i64, because: &str, code: Option<i64>) -> String {
    let mut fact =
        json!({"at": wall(at), "process": process, "what": what, "pid": pid, "because": because});
    if let Some(code) = code {
        fact["exit"] = json!({"code": code});
    }
    format!("{fact}\n")
}

/// What happened: `api` is restarted by policy, `job` by a schedule; nobody looks from 7 s to 17 s; the server is killed at
/// 20 s and another one begins at 22 s.
fn truth() -> Truth {
    let begun = |at: Time| {
        format!(
            "{}\n",
            json!({"at": wall(at), "what": "server_started", "because": "boot"})
        )
    };
    let first = [
        begun(0),
        fact(0, "api", "spawned", 1, "boot", None),
        fact(400, "job", "spawned", 10, "schedule", None),
        fact(1000, "api", "became_unready", 1, "probe_starting", None),
        fact(1100, "job", "exited", 10, "own_exit", Some(0)),
        fact(2000, "api", "became_ready", 1, "probe", None),
        fact(5000, "api", "exited", 1, "own_exit", Some(3)),
        fact(6000, "api", "spawned", 2, "policy", None),
        fact(8000, "api", "exited", 2, "own_exit", Some(4)),
        fact(9000, "api", "spawned", 3, "policy", None),
        fact(9100, "job", "spawned", 11, "schedule", None),
        fact(9500, "api", "became_ready", 3, "probe", None),
        fact(9900, "job", "exited", 11, "own_exit", Some(1)),
        fact(11_000, "api", "exited", 3, "own_exit", Some(4)),
        fact(12_000, "api", "spawned", 4, "policy", None),
        fact(13_000, "api", "became_ready", 4, "probe", None),
        fact(18_000, "job", "spawned", 12, "schedule", None),
        fact(18_700, "job", "exited", 12, "own_exit", Some(2)),
    ];
    let second = [
        begun(22_000),
        fact(22_000, "api", "spawned", 1, "boot", None),
        fact(22_100, "job", "spawned", 10, "boot", None),
        fact(22_300, "job", "exited", 10, "own_exit", Some(1)),
        fact(24_100, "api", "became_ready", 1, "probe", None),
        fact(26_100, "api", "exited", 1, "user_stop", Some(0)),
    ];
    let mut truth = Truth::default();
    truth.add(&first.concat(), Some(ZERO + 20_000));
    truth.add(&second.concat(), None);
    truth
}

/// One event of a look: when it was made, when the one before was, and what it tells.
struct Tell {
    at: Time,
    after: Option<Time>,
    epoch: Time,
    event: Value,
}

fn tell(at: Time, after: impl Into<Option<Time>>, process: &str, kind: &str, pid: i64) -> Tell {
    let up = matches!(kind, "started" | "restarted" | "healthy" | "unhealthy");
    let event = json!({
        "type": kind, "process": process, "reason": "policy", "certainty": "certain", "origin": "change", "count": 1,
        "state": {"name": process, "pid": pid, "is_running": up, "status": if up { "Running" } else { "Completed" }},
    });
    Tell {
        at,
        after: after.into(),
        epoch: if at < 22_000 { 0 } else { 22_000 },
        event,
    }
}

fn of_source(at: Time, after: impl Into<Option<Time>>, kind: &str, more: &Value) -> Tell {
    let mut told = tell(at, after, "-", kind, 0);
    let event = told.event.as_object_mut().unwrap();
    event.retain(|key, _| key == "type" || key == "count" || key == "certainty");
    event.extend(more.as_object().unwrap().clone());
    told
}

impl Tell {
    fn with(mut self, more: &Value) -> Self {
        let event = self.event.as_object_mut().unwrap();
        event.extend(more.as_object().unwrap().clone());
        self
    }

    fn shown_up(mut self) -> Self {
        self.event["state"]["is_running"] = json!(true);
        self
    }

    fn exit(self, code: i64) -> Self {
        self.with(&json!({"reason": "exit", "exit": {"code": code}}))
    }
}

/// How it is told well.
fn story() -> Vec<Value> {
    let gap = json!({"gap": {"from": wall(7000), "to": wall(17_000), "why": "adapter_down"}});
    let inferred = || json!({"certainty": "inferred", "count": 2, "reason": "missed"});
    let tells = [
        of_source(500, None, "connected", &json!({})),
        tell(500, None, "api", "started", 1)
            .with(&json!({"origin": "initial", "reason": "present"})),
        tell(500, None, "job", "started", 10)
            .with(&json!({"origin": "initial", "reason": "present"})),
        tell(1050, 500, "api", "unhealthy", 1),
        tell(1550, 1050, "job", "stopped", 10).exit(0),
        tell(2050, 1550, "api", "healthy", 1),
        tell(5050, 4550, "api", "crashed", 1).exit(3),
        tell(6050, 5550, "api", "restarted", 2),
        of_source(17_000, 7000, "gap", &gap),
        tell(17_000, 7000, "api", "crashed", 4)
            .with(&inferred())
            .shown_up(),
        tell(17_000, 7000, "api", "restarted", 4).with(&json!({"count": 2})),
        tell(17_000, 7000, "api", "healthy", 4),
        tell(18_050, 17_550, "job", "started", 12).with(&json!({"reason": "schedule"})),
        tell(19_050, 18_050, "job", "crashed", 12).exit(2),
        of_source(23_000, 19_550, "restarted", &json!({})),
        tell(23_000, 19_550, "api", "restarted", 1).with(&json!({"reason": "source_restarted"})),
        tell(24_550, 24_050, "api", "healthy", 1),
        tell(26_550, 26_050, "api", "stopped", 1).exit(0),
    ];
    let events = tells.into_iter().map(|told| {
        let mut event = told.event;
        event["timestamp"] = json!(wall(told.at));
        event["occurred"] = json!({"after": told.after.map(wall), "before": wall(told.at)});
        event["epoch"] = json!(wall(told.epoch));
        event
    });
    numbered(events.collect())
}

/// Numbers from one, as if nothing had been done to it.
fn numbered(mut events: Vec<Value>) -> Vec<Value> {
    let mut of: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
    for (index, event) in events.iter_mut().enumerate() {
        event["source"] = json!("shop");
        event["journal"] = json!("j");
        event["seq"] = json!(index + 1);
        event["id"] = json!(format!("shop.j.{}", index + 1));
        if let Some(name) = event["process"].as_str() {
            let number = of.entry(name.to_owned()).or_default();
            *number += 1;
            event["process_seq"] = json!(*number);
        }
    }
    events
}

fn scored(events: &[Value]) -> Score {
    scored_against(&truth(), events)
}

fn scored_against(truth: &Truth, events: &[Value]) -> Score {
    let shown = [
        json!({"name": "api", "pid": 1, "is_running": false, "status": "Completed"}),
        // The run before the first look of the new epoch is told by nothing but the epoch.
    ];
    score(truth, events, &shown)
}

fn red(events: &[Value], what: &str) {
    assert!(
        !scored(events).is_clean(),
        "accepted, though {what}: {events:#?}"
    );
}

#[test]
fn a_story_told_well_is_accepted() {
    let score = scored(&story());
    assert!(score.is_clean(), "{score}");
    assert_eq!(
        (score.events, score.gaps, score.unseen),
        (18, 1, 2),
        "{score}"
    );
}

#[test]
fn no_event_can_be_left_out_even_if_the_numbers_close_over_it() {
    for index in 0..story().len() {
        let mut events = story();
        let gone = events.remove(index);
        red(&numbered(events), &format!("this is missing: {gone}"));
    }
}

#[test]
fn no_event_can_be_told_twice_even_if_the_numbers_go_on() {
    for index in 0..story().len() {
        let mut events = story();
        events.insert(index, events[index].clone());
        let what = format!("this is there twice: {}", events[index]);
        // Two gaps of one stretch say nothing that is not so.
        if events[index]["type"] != "gap" {
            red(&numbered(events), &what);
        }
    }
}

#[test]
fn no_two_events_of_a_process_or_of_two_looks_can_change_places() {
    for index in 1..story().len() {
        let mut events = story();
        events.swap(index - 1, index);
        let same = |key: &str| events[index][key] == events[index - 1][key];
        if same("process") || !same("timestamp") {
            let what = format!("{index} was before its neighbour");
            red(&numbered(events), &what);
        }
    }
}

#[test]
fn no_run_can_be_made_up() {
    let all = story();
    for (index, event) in all
        .iter()
        .enumerate()
        .filter(|(_, event)| event["process"].is_string())
    {
        for certainty in ["certain", "inferred", "ambiguous"] {
            let up = event["state"]["is_running"] == true;
            let mut pair = ["crashed", "restarted"].map(|kind| {
                let mut one = event.clone();
                one["type"] = json!(kind);
                one["certainty"] = json!(certainty);
                one["exit"] = json!({"code": 1});
                one
            });
            if !up {
                pair.swap(0, 1);
            }
            let mut events = all.clone();
            events.splice(index + 1..=index, pair);
            red(
                &numbered(events),
                &format!("a run was made up behind {index}"),
            );
        }
    }
}

#[test]
fn a_hole_in_the_numbers_is_seen() {
    for index in 0..story().len() {
        for key in ["seq", "process_seq"] {
            let mut events = story();
            if events[index][key].is_null() {
                continue;
            }
            for event in &mut events[index..] {
                if let Some(number) = event[key].as_u64() {
                    event[key] = json!(number + 1);
                }
            }
            red(&events, &format!("{key} has a hole at {index}"));
        }
    }
}

#[test]
fn details_that_are_not_so_are_seen() {
    let change = |index: usize, pointer: &str, value: Value| {
        let mut events = story();
        *events[index].pointer_mut(pointer).unwrap() = value;
        red(&events, &format!("{pointer} of {index} is not so"));
    };
    change(6, "/exit/code", json!(4));
    change(6, "/type", json!("stopped"));
    change(4, "/type", json!("crashed"));
    change(7, "/state/pid", json!(3));
    change(7, "/reason", json!("requested"));
    change(7, "/epoch", json!(wall(22_000)));
    change(7, "/epoch", json!(wall(3000)));
    change(7, "/journal", json!("k"));
    change(7, "/id", json!("shop.j.1"));
    change(7, "/occurred/after", json!(wall(6040)));
    change(7, "/occurred/before", json!(wall(5900)));
    change(9, "/count", json!(1));
    change(10, "/count", json!(3));
    change(12, "/state/is_running", json!(false));
    change(17, "/state/status", json!("Running"));
    change(17, "/timestamp", json!(wall(24_000)));
}

#[test]
fn a_run_that_was_counted_by_the_server_is_not_excused_by_a_gap() {
    let mut events = story();
    for index in [9, 10] {
        events[index]["count"] = json!(1);
    }
    red(&events, "one of two restarts is missing");
}

#[test]
fn a_run_that_nothing_spans_is_lost() {
    let mut events = story();
    events[8]["gap"]["from"] = json!(wall(9500));
    events[8]["occurred"]["after"] = json!(wall(9500));
    red(&events, "the gap begins too late");
}

/// `api` ends in a stretch nobody watched; the server counted a restart that was called off there, or none was.
fn counted_once_too_often(cancelled: Option<Time>, certainty: &str) -> Score {
    let mut events = story();
    let mut ends = vec![events.pop().unwrap()];
    let more = [("restarted", certainty), ("crashed", "ambiguous")];
    for (kind, certainty) in more {
        let mut event = ends[0].clone();
        event["type"] = json!(kind);
        event["certainty"] = json!(certainty);
        event["reason"] = json!("policy");
        event["exit"] = json!({"code": 0});
        ends.push(event);
    }
    ends[0]["certainty"] = json!("inferred");
    events.extend(ends);
    let mut truth = truth();
    let cancelled = cancelled.map(|at| ("api".to_owned(), ZERO + at));
    truth.cancelled.extend(cancelled);
    let shown = json!({"name": "api", "pid": 1, "is_running": false, "status": "Completed"});
    score(&truth, &numbered(events), &[shown])
}

#[test]
fn a_run_too_many_is_excused_by_a_restart_called_off_there_and_told_in_doubt_and_by_nothing_else() {
    let score = counted_once_too_often(Some(26_200), "ambiguous");
    assert!(score.is_clean(), "{score}");
    assert!(!counted_once_too_often(None, "ambiguous").is_clean());
    assert!(!counted_once_too_often(Some(25_000), "ambiguous").is_clean());
    assert!(!counted_once_too_often(Some(26_200), "inferred").is_clean());
    assert!(!counted_once_too_often(Some(26_200), "certain").is_clean());
}
