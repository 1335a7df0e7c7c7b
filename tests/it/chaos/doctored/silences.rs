//! A stretch in which nobody looked, and whether the stream says so.

use std::time::Duration;

use chrono::DateTime;
use serde_json::{Value, json};

use super::{ZERO, story, wall};
use crate::chaos::plan::{Blow, Fault, Hit, Part};
use crate::chaos::{STALE, silences};

/// The gap of the story, in which its index is this.
const GAP: usize = 8;

/// Both adapters are gone, from 7 s to the end of the shorter of two absences.
fn away(lasts: [u64; 2]) -> Fault {
    let hit = |number: usize| Hit {
        part: Part::Adapter(number),
        blow: Blow::Kill,
        lasts: Duration::from_millis(lasts[number]),
    };
    Fault {
        kind: "",
        at: Duration::from_secs(7),
        hits: vec![hit(0), hit(1)],
    }
}

fn silent(faults: &[Fault], events: &[Value]) -> usize {
    let zero = DateTime::from_timestamp_millis(ZERO).unwrap();
    silences(faults, zero, events).len()
}

fn with_gap(from: &Value, to: i64) -> Vec<Value> {
    let mut events = story();
    events[GAP]["gap"]["from"] = from.clone();
    events[GAP]["gap"]["to"] = json!(wall(to));
    events
}

#[test]
fn a_stretch_that_nobody_watched_needs_a_gap_that_spans_it() {
    let faults = [away([14_000, 13_000])];
    let told = with_gap(&json!(wall(6800)), 20_300);
    assert_eq!(silent(&faults, &told), 0);
    assert_eq!(silent(&faults, &with_gap(&json!(null), 20_300)), 0);
    let mut untold = told.clone();
    untold.remove(GAP);
    assert_eq!(silent(&faults, &untold), 1, "there is none");
    let short = [
        with_gap(&json!(wall(8100)), 20_300),
        with_gap(&json!(wall(6800)), 19_900),
    ];
    for events in short {
        assert_eq!(silent(&faults, &events), 1, "{}", events[GAP]);
    }
    let mut halves = with_gap(&json!(wall(6800)), 13_000);
    let mut second = halves[GAP].clone();
    second["gap"] = json!({"from": wall(14_000), "to": wall(20_300)});
    halves.push(second);
    assert_eq!(silent(&faults, &halves), 1, "two halves with a hole");
}

#[test]
fn each_stretch_needs_its_gap_and_a_short_one_none() {
    let later = Fault {
        at: Duration::from_secs(30),
        ..away([14_000, 14_000])
    };
    let faults = [away([13_000, 13_000]), later];
    let told = with_gap(&json!(wall(6800)), 20_300);
    assert_eq!(silent(&faults, &told), 1, "the second is not told");
    let short = u64::try_from(STALE.as_millis()).unwrap();
    let mut untold = story();
    untold.remove(GAP);
    assert_eq!(silent(&[away([20_000, short])], &untold), 0);
}
