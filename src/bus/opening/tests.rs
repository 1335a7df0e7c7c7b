use serde_json::json;

use super::*;
use crate::event::envelope::Envelope;

fn info(created: &str, first: u64, last: u64) -> StreamInfo {
    StreamInfo {
        config: json!({}),
        created: created.into(),
        first,
        last,
        last_at: None,
        messages: last,
        bytes: 0,
    }
}

fn floor(sequence: u64) -> Floor {
    Floor {
        created: "then".into(),
        sequence,
    }
}

fn find(from: &Begin, floor: Option<&Floor>, info: &StreamInfo) -> (Start, Option<u64>, bool) {
    let opening = Opening::find(from, floor, 100, info);
    (
        opening.start,
        opening.floor.map(|floor| floor.sequence),
        opening.renewed,
    )
}

#[test]
fn now_is_a_fixed_place_and_stays_one_when_nothing_was_delivered() {
    assert_eq!(
        find(&Begin::Now, None, &info("then", 1, 40)),
        (Start::At(41), Some(40), false)
    );
    assert_eq!(
        find(&Begin::Now, Some(&floor(40)), &info("then", 1, 90)),
        (Start::At(41), Some(40), false)
    );
}

#[test]
fn a_recreated_stream_is_read_from_its_beginning() {
    assert_eq!(
        find(&Begin::Now, Some(&floor(40)), &info("later", 1, 90)),
        (Start::At(1), Some(0), true)
    );
}

#[test]
fn a_stream_that_lost_its_end_is_read_on_from_there_where_no_moment_is_known() {
    assert_eq!(
        find(&Begin::Now, Some(&floor(40)), &info("then", 1, 30)),
        (Start::At(31), Some(30), true)
    );
}

#[test]
fn a_place_behind_the_end_was_one_in_another_stream() {
    let at = |sequence| find(&Begin::Sequence(sequence), None, &info("then", 1, 40));
    assert_eq!(at(41), (Start::At(41), Some(40), false));
    assert_eq!(at(42), (Start::At(1), Some(0), true));
    assert_eq!(at(0), (Start::At(1), Some(0), false));
}

#[test]
fn the_last_events_are_looked_for_in_a_stretch_at_the_end() {
    let opening = Opening::find(&Begin::Last(5), None, 100, &info("then", 1, 1000));
    assert_eq!(
        (opening.start, opening.tail.unwrap().whole),
        (Start::At(901), false)
    );
    let opening = Opening::find(&Begin::Last(5), None, 100, &info("then", 950, 1000));
    assert!(opening.tail.unwrap().whole);
    let opening = Opening::find(&Begin::Last(5), None, 100, &info("then", 1, 0));
    assert!(opening.tail.unwrap().whole);
}

fn event(source: &str, journal: &str, seq: u64) -> Envelope {
    let text = json!({
        "type": "connected", "timestamp": "2026-08-20T07:18:04Z", "subject": "s", "severity": "info", "schema": 1,
        "id": "i", "source": source, "journal": journal, "seq": seq, "origin": "change", "reason": "r",
        "certainty": "certain", "occurred": {"after": null, "before": "2026-08-20T07:18:04Z"}, "count": 1
    });
    Envelope::parse(text.to_string().as_bytes()).unwrap()
}

#[test]
fn a_missing_number_is_a_hole_and_each_journal_begins_with_one() {
    let mut numbers = Numbers::new(&Filter::all());
    let mut hole = |source, journal, seq| match numbers.check(&event(source, journal, seq).glance())
    {
        Some(Told::Hole { after, before, .. }) => Some((after, before)),
        _ => None,
    };
    assert_eq!(hole("a", "j", 5), None);
    assert_eq!(hole("a", "j", 6), None);
    assert_eq!(hole("b", "j", 9), None);
    assert_eq!(hole("a", "j", 9), Some((6, 9)));
    assert_eq!(hole("a", "j", 10), None);
    assert_eq!(hole("a", "k", 1), None);
    assert_eq!(hole("b", "k", 3), Some((0, 3)));
}

#[test]
fn only_sources_of_which_every_event_is_handed_over_are_checked() {
    let holes = |filter: Filter, source| {
        let mut numbers = Numbers::new(&filter);
        let first = numbers.check(&event(source, "j", 1).glance());
        assert!(first.is_none());
        numbers.check(&event(source, "j", 3).glance()).is_some()
    };
    let shop = Filter::all().source("shop").unwrap();
    assert!(holes(shop.clone(), "shop"));
    assert!(!holes(shop, "lab"));
    assert!(holes(Filter::all().process("api").unwrap(), "shop"));
    assert!(!holes(Filter::all().kind("crashed").unwrap(), "shop"));
}

#[test]
fn what_was_known_before_is_proved_too() {
    let mut numbers = Numbers::new(&Filter::all());
    assert!(!numbers.prove());
    numbers.check(&event("a", "j", 5).glance());
    let known = numbers.known();
    let mut numbers = Numbers::new(&Filter::all());
    numbers.learn(&known);
    assert!(numbers.prove());
    let told = numbers.check(&event("a", "j", 8).glance());
    assert!(
        matches!(
            told,
            Some(Told::Hole {
                after: 5,
                before: 8,
                ..
            })
        ),
        "{told:?}"
    );
}
