//! The story with a broker that came back with an older store: what goes with it is told, and nothing else may go.

use serde_json::{Value, json};

use super::{ZERO, numbered, scored_against, story, truth, wall};
use crate::chaos::shown::{Verdict, compare};
use crate::chaos::truth::{Restore, Time};

const RESTORE: Restore = Restore {
    copied: ZERO + 7200,
    restored: ZERO + 10_000,
    shown: 4,
};

/// From this event on everything stands in the journal that was begun for the older store.
const GAP: usize = 8;

fn rolled_back() -> Vec<Value> {
    let mut events = story();
    events[GAP]["gap"]["why"] = json!("rolled_back");
    in_journal(&mut events[GAP..], "k");
    events
}

fn in_journal(events: &mut [Value], journal: &str) {
    for (seq, event) in (1..).zip(events) {
        event["journal"] = json!(journal);
        event["seq"] = json!(seq);
        event["id"] = json!(format!("shop.{journal}.{seq}"));
    }
}

fn is_clean(events: &[Value], restores: &[Restore]) -> bool {
    let mut truth = truth();
    truth.restores = restores.to_vec();
    scored_against(&truth, events).is_clean()
}

#[test]
fn an_older_store_is_one_new_journal_that_begins_with_its_gap() {
    assert!(is_clean(&rolled_back(), &[RESTORE]));
    assert!(!is_clean(&rolled_back(), &[]), "a journal too many");
    assert!(!is_clean(&rolled_back(), &[RESTORE; 2]), "one is missing");
    let mut none = rolled_back();
    none = numbered(none);
    assert!(!is_clean(&none, &[RESTORE]), "the numbers were given again");
    let change = |index: usize, pointer: &str, value: Value| {
        let mut events = rolled_back();
        *events[index].pointer_mut(pointer).unwrap() = value;
        assert!(!is_clean(&events, &[RESTORE]), "{pointer} of {index}");
    };
    change(GAP, "/gap/why", json!("adapter_down"));
    change(GAP, "/gap/from", json!(wall(7300)));
    change(GAP, "/gap/from", json!(null));
    change(GAP, "/gap/to", json!(wall(9900)));
}

#[test]
fn a_new_journal_counts_from_one_and_is_never_left_for_an_old_one() {
    let mut events = rolled_back();
    for (index, event) in events.iter_mut().enumerate().skip(GAP) {
        event["seq"] = json!(index + 1);
        event["id"] = json!(format!("shop.k.{}", index + 1));
    }
    assert!(!is_clean(&events, &[RESTORE]), "it goes on counting");
    let mut events = rolled_back();
    in_journal(&mut events[12..], "j");
    assert!(!is_clean(&events, &[RESTORE; 2]), "back in the old one");
    let mut events = rolled_back();
    let gap = events.remove(GAP);
    in_journal(&mut events[GAP..], "k");
    assert!(!is_clean(&events, &[RESTORE]), "without {gap}");
}

/// An event of the first journal that the stream does not hold any more.
fn lost(at: Time) -> Value {
    let mut event = story()[7].clone();
    event["id"] = json!("shop.j.9");
    event["timestamp"] = json!(wall(at));
    event
}

fn shown(lost: &[Value]) -> Vec<Value> {
    let mut events = rolled_back();
    events.splice(GAP..GAP, lost.iter().cloned());
    events
}

fn verdict(shown: &[Value]) -> Verdict {
    compare(shown, &rolled_back(), &[RESTORE])
}

fn is_wrong(shown: &[Value], what: &str) {
    let verdict = verdict(shown);
    assert!(matches!(verdict, Verdict::Wrong(_)), "{what}: {verdict:?}");
}

#[test]
fn what_a_reader_was_shown_is_gone_only_with_an_older_store_and_a_gap() {
    assert_eq!(verdict(&rolled_back()), Verdict::Same);
    assert_eq!(verdict(&shown(&[lost(8000)])), Verdict::Same);
    assert_eq!(verdict(&shown(&[lost(8000)])[3..]), Verdict::Same);
    is_wrong(&shown(&[lost(6900)]), "told before the gap");
    let told = shown(&[lost(8000)]);
    let at_once = Restore {
        shown: 9,
        ..RESTORE
    };
    for restores in [&[][..], &[at_once]] {
        let verdict = compare(&told, &rolled_back(), restores);
        assert!(matches!(verdict, Verdict::Wrong(_)), "{verdict:?}");
    }
    let mut stream = rolled_back();
    stream[GAP]["gap"]["to"] = json!(wall(7900));
    let verdict = compare(&told, &stream, &[RESTORE]);
    assert!(matches!(verdict, Verdict::Wrong(_)), "{verdict:?}");
}

#[test]
fn no_number_has_two_meanings() {
    let mut again = lost(8000);
    again["id"] = json!("shop.k.4");
    is_wrong(&shown(&[again]), "its number was given again");
    let (first, mut second) = (lost(8000), lost(8000));
    second["type"] = json!("healthy");
    is_wrong(&shown(&[first, second]), "both were shown");
}

#[test]
fn a_reader_is_shown_all_of_it_in_order() {
    let of_processes = |index: usize| rolled_back()[index]["process"].is_string();
    let last = rolled_back().len() - 1;
    for index in (4..last).filter(|&index| of_processes(index)) {
        let mut events = rolled_back();
        events.remove(index);
        is_wrong(&events, "one is missing");
        let mut events = rolled_back();
        events.insert(index, events[index].clone());
        is_wrong(&events, "one is there twice");
    }
    let behind = verdict(&rolled_back()[..last]);
    assert!(matches!(behind, Verdict::Behind(_)), "{behind:?}");
    assert!(matches!(verdict(&[]), Verdict::Behind(_)));
}
