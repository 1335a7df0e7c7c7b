//! Readers: what is stored is told, once and in order, from whichever place they begin, and holes are told as such.

use std::collections::BTreeMap;
use std::time::Duration;

use observe::bus::connect::Bus;
use observe::bus::durable_reader::{DurableReader, Wanted};
use observe::bus::read::{Begin, Reader, Told};
use observe::bus::settings::DEFAULT_STREAM;
use observe::event::filter::Filter;
use observe::event::payload::Kind as EventKind;
use observe::event::record::Record;
use observe::event::store::{Commit, EventStore, StoreError};
use observe::event::subject::Prefix;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::*;
use crate::support::nats::NatsServer;

#[tokio::test]
async fn names_of_ten_thousand_bytes_and_of_wildcards_are_stored_and_read() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let names = [
        "x".repeat(10_000),
        "a.b *>".to_owned(),
        "line\nbreak".to_owned(),
        "ä".repeat(5_000),
    ];
    let events: Vec<_> = (1..)
        .zip(&names)
        .map(|(seq, name)| event(name, EventKind::Started, seq))
        .collect();
    let root = root(4);
    let commit = Commit {
        source: "shop",
        root: &root,
        expected: 0,
        shards: &BTreeMap::new(),
        events: &events,
    };
    store.commit(commit).await.unwrap();
    let mut reader = Reader::live(
        &bus,
        DEFAULT_STREAM,
        &Prefix::default(),
        Filter::all(),
        Begin::Sequence(1),
    );
    let records = take(&mut reader, 4).await;
    let found: Vec<_> = records
        .iter()
        .map(|record| record.envelope.process.clone().unwrap())
        .collect();
    assert_eq!(found, names);
}

pub(super) async fn told(reader: &mut Reader) -> Told {
    timeout(Duration::from_secs(40), reader.next())
        .await
        .expect("nothing was told")
        .unwrap()
}

/// The next so many records; whatever else is told on the way is passed over.
pub(super) async fn take(reader: &mut Reader, count: usize) -> Vec<Record> {
    let mut records = Vec::new();
    while records.len() < count {
        if let Told::Record(record) = told(reader).await {
            records.push(*record);
        }
    }
    records
}

pub(super) async fn caught_up(reader: &mut Reader) {
    while !matches!(told(reader).await, Told::CaughtUp(_)) {}
}

pub(super) fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.envelope.seq).collect()
}

pub(super) async fn durable(bus: &Bus) -> DurableReader {
    let wanted = Wanted {
        stream: DEFAULT_STREAM.to_owned(),
        prefix: Prefix::default(),
        filter: Filter::all(),
        from: Begin::Now,
        name: "worker".to_owned(),
    };
    DurableReader::open(bus, wanted).await.unwrap().0
}

pub(super) fn reader(bus: &Bus, begin: Begin) -> Reader {
    Reader::live(
        bus,
        DEFAULT_STREAM,
        &Prefix::default(),
        Filter::all(),
        begin,
    )
}

#[tokio::test]
async fn a_reader_tells_what_is_committed_and_nothing_of_what_is_refused() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let first = commit(&store, 0, 1, 2).await.unwrap();
    let mut reader = reader(&bus, Begin::Now);
    caught_up(&mut reader).await;
    assert!(matches!(
        commit(&store, 0, 3, 2).await,
        Err(StoreError::Fenced)
    ));
    commit(&store, first, 3, 2).await.unwrap();
    let records = take(&mut reader, 2).await;
    assert_eq!(numbers(&records), [3, 4]);
    let raw: Value = serde_json::from_slice(&records[0].raw).unwrap();
    assert_eq!(raw["seq"], 3);
    assert_eq!(&*records[0].position.stream, DEFAULT_STREAM);
    assert!(records[0].position.sequence > first);
}

#[tokio::test]
async fn numbers_that_the_stream_does_not_have_are_told_as_a_hole() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let first = commit(&store, 0, 1, 5).await.unwrap();
    ask(
        &bus,
        "STREAM.MSG.DELETE.PROCESS_EVENTS",
        json!({ "seq": first + 3 }),
    )
    .await;
    let mut reader = reader(&bus, Begin::Sequence(1));
    assert_eq!(numbers(&take(&mut reader, 2).await), [1, 2]);
    let told = told(&mut reader).await;
    assert!(
        matches!(&told, Told::Hole { source, after: 2, before: 4, .. } if source == "shop"),
        "{told:?}"
    );
    assert_eq!(numbers(&take(&mut reader, 2).await), [4, 5]);
}

#[tokio::test]
async fn what_is_stored_behind_the_place_that_was_taken_is_told() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let base = commit(&store, 0, 1, 5).await.unwrap();
    let mut reader = reader(&bus, Begin::Now);
    reader.take_place("").await.unwrap();
    // The head is read here; it speaks of a moment behind the place.
    commit(&store, base, 6, 5).await.unwrap();
    reader.knows("shop", "j", 8);
    assert_eq!(
        numbers(&take(&mut reader, 5).await),
        (6..=10).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn what_is_read_ahead_lies_behind_the_place_and_the_heads_of_that_moment_are_listed() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let base = commit(&store, 0, 1, 5).await.unwrap();
    let mut reader = reader(&bus, Begin::Now);
    let roots = reader.take_place("core.head.*").await.unwrap();
    assert_eq!(roots, Some(vec!["core.head.shop".to_owned()]));
    let base = commit(&store, base, 6, 3).await.unwrap();
    reader.read_ahead().await;
    commit(&store, base, 9, 2).await.unwrap();
    assert_eq!(numbers(&take(&mut reader, 5).await), [6, 7, 8, 9, 10]);
}

#[tokio::test]
async fn a_stream_made_anew_before_anything_is_read_ahead_is_told_from_its_beginning() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    commit(&store, 0, 1, 2).await.unwrap();
    let mut reader = reader(&bus, Begin::Now);
    reader.take_place("").await.unwrap();
    let delete = "$JS.API.STREAM.DELETE.PROCESS_EVENTS";
    bus.client().request(delete, "".into()).await.unwrap();
    let (_, store) = open(&server).await;
    // More than the former one held, so that the place lies within it.
    commit(&store, 0, 1, 8).await.unwrap();
    reader.read_ahead().await;
    assert!(matches!(told(&mut reader).await, Told::StreamRenewed));
    assert_eq!(
        numbers(&take(&mut reader, 8).await),
        (1..=8).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_hole_before_the_first_event_that_is_read_is_told() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let base = commit(&store, 0, 1, 5).await.unwrap();
    let mut reader = reader(&bus, Begin::Now);
    reader.take_place("").await.unwrap();
    reader.knows("shop", "j", 5);
    commit(&store, base, 6, 2).await.unwrap();
    ask(
        &bus,
        "STREAM.MSG.DELETE.PROCESS_EVENTS",
        json!({ "seq": base + 7 }),
    )
    .await;
    let told = told(&mut reader).await;
    assert!(
        matches!(
            &told,
            Told::Hole {
                after: 5,
                before: 7,
                ..
            }
        ),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_source_nobody_asked_for_has_no_holes() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    // Between its events about processes lies one about itself, which is not handed over.
    for (seq, subject) in [(1, "process.a.b.started"), (3, "process.a.b.started")] {
        let text = json!({
            "type": "connected", "timestamp": "2026-08-20T07:18:04Z", "subject": "s", "severity": "info",
            "schema": 1, "id": "i", "source": "lab", "journal": "l", "seq": seq, "origin": "change",
            "reason": "r", "certainty": "certain", "count": 1,
            "occurred": { "after": null, "before": "2026-08-20T07:18:04Z" }
        });
        let published = bus
            .client()
            .publish(format!("core.{subject}"), text.to_string().into());
        published.await.unwrap();
    }
    ask(&bus, "INFO", json!({})).await;
    commit(&store, 0, 1, 1).await.unwrap();
    let shop = Filter::all().source("shop").unwrap();
    let mut reader = Reader::live(
        &bus,
        DEFAULT_STREAM,
        &Prefix::default(),
        shop,
        Begin::Sequence(1),
    );
    let told = told(&mut reader).await;
    assert!(matches!(told, Told::Record(_)), "{told:?}");
}

#[tokio::test]
async fn what_is_no_event_is_told_and_hides_nothing() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    bus.client()
        .publish("core.process.a.b.started", "<html>".into())
        .await
        .unwrap();
    ask(&bus, "INFO", json!({})).await;
    commit(&store, 0, 1, 1).await.unwrap();
    let mut reader = reader(&bus, Begin::Sequence(1));
    assert!(matches!(
        told(&mut reader).await,
        Told::Unreadable { sequence: 1, .. }
    ));
    assert_eq!(take(&mut reader, 1).await.len(), 1);
}

#[tokio::test]
async fn the_last_events_that_match_are_found_however_far_back_and_the_rest_follows_live() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let mut base = 0;
    let mut seq = 1;
    for round in 0..4 {
        let mut all: Vec<_> = (0..900)
            .map(|n| event("api", EventKind::Started, seq + n))
            .collect();
        all.push(event("api", EventKind::Crashed, seq + 900));
        seq += 901;
        let root = root(seq - 1);
        let commit = Commit {
            source: "shop",
            root: &root,
            expected: base,
            shards: &BTreeMap::new(),
            events: &all,
        };
        base = store
            .commit(commit)
            .await
            .unwrap_or_else(|error| panic!("{round}: {error}"));
    }
    let crashed = Filter::all().kind("crashed").unwrap();
    let last = |filter: Filter, count| {
        Reader::live(
            &bus,
            DEFAULT_STREAM,
            &Prefix::default(),
            filter,
            Begin::Last(count),
        )
    };
    let mut three = last(crashed.clone(), 3);
    assert_eq!(numbers(&take(&mut three, 3).await), [1802, 2703, 3604]);
    caught_up(&mut three).await;
    let mut ten = last(crashed.clone().kind("stopped").unwrap(), 10);
    assert_eq!(numbers(&take(&mut ten, 4).await), [901, 1802, 2703, 3604]);
    caught_up(&mut ten).await;
    let mut plain = last(Filter::all(), 10);
    assert_eq!(
        numbers(&take(&mut plain, 10).await),
        (3595..=3604).collect::<Vec<_>>()
    );
    let root = root(seq);
    let all = [event("api", EventKind::Crashed, seq)];
    let commit = Commit {
        source: "shop",
        root: &root,
        expected: base,
        shards: &BTreeMap::new(),
        events: &all,
    };
    store.commit(commit).await.unwrap();
    for reader in [&mut three, &mut ten, &mut plain] {
        assert_eq!(numbers(&take(reader, 1).await), [3605]);
    }
}

#[tokio::test]
async fn what_does_not_match_among_the_last_events_is_no_hole() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let told_of = [("a", 1), ("b", 2), ("a", 3), ("b", 6), ("a", 7), ("b", 8)];
    let events = told_of.map(|(name, seq)| event(name, EventKind::Started, seq));
    let root = root(8);
    let commit = Commit {
        source: "shop",
        root: &root,
        expected: 0,
        shards: &BTreeMap::new(),
        events: &events,
    };
    store.commit(commit).await.unwrap();
    for (last, wanted, holes) in [(9, vec![1, 3, 7], 1), (2, vec![3, 7], 1), (1, vec![7], 0)] {
        let filter = Filter::all().process("a").unwrap();
        let prefix = Prefix::default();
        let begin = Begin::Last(last);
        let mut reader = Reader::live(&bus, DEFAULT_STREAM, &prefix, filter, begin);
        let (mut records, mut missing) = (Vec::new(), Vec::new());
        loop {
            match told(&mut reader).await {
                Told::Record(record) => records.push(*record),
                Told::Hole { after, before, .. } => missing.push((after, before)),
                Told::CaughtUp(_) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(numbers(&records), wanted, "the last {last}");
        // Only what really is missing, between what is shown.
        assert_eq!(missing, [(3, 6)][..holes], "the last {last}");
    }
}

#[tokio::test]
async fn the_last_events_of_an_empty_stream_are_none() {
    let empty = NatsServer::start();
    let (bus, _) = open(&empty).await;
    let mut reader = reader(&bus, Begin::Last(10));
    assert!(matches!(told(&mut reader).await, Told::CaughtUp(0)));
}

#[tokio::test]
async fn a_reader_that_lags_loses_nothing() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let mut reader = reader(&bus, Begin::Now);
    caught_up(&mut reader).await;
    let mut base = 0;
    for first in (1..=29_700).step_by(900) {
        base = commit(&store, base, first, 900).await.unwrap();
    }
    assert_eq!(
        numbers(&take(&mut reader, 29_700).await),
        (1..=29_700).collect::<Vec<_>>()
    );
}
