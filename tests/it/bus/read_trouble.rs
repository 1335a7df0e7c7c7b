//! Readers whose broker restarts, freezes, or has their stream or consumer replaced: no hole and no repeat.

use std::time::Duration;

use observe::bus::read::{Begin, Reader, Told};
use observe::bus::stream::ensure;
use serde_json::json;
use tokio::time::timeout;

use super::read::{caught_up, durable, numbers, reader, take, told};
use super::*;
use crate::support::nats::NatsServer;

async fn until(reader: &mut Reader, wanted: impl Fn(&Told) -> bool) {
    loop {
        let told = told(reader).await;
        if wanted(&told) {
            return;
        }
        assert!(!matches!(told, Told::Record(_)), "{told:?}");
    }
}

#[tokio::test]
async fn a_restart_with_nothing_delivered_yet_replays_nothing() {
    let mut server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let first = commit(&store, 0, 1, 100).await.unwrap();
    let mut reader = reader(&bus, Begin::Now);
    caught_up(&mut reader).await;
    server.stop();
    until(&mut reader, |told| matches!(told, Told::LinkLost { .. })).await;
    server.again();
    until(&mut reader, |told| matches!(told, Told::LinkBack)).await;
    server.kill();
    server.again();
    // What is stored before the reader is back is new to it, and nothing before that is.
    commit(&second(&server).await, first, 101, 2).await.unwrap();
    assert_eq!(numbers(&take(&mut reader, 2).await), [101, 102]);
}

#[tokio::test]
async fn a_restart_after_deliveries_leaves_no_hole_and_repeats_nothing() {
    let mut server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let mut base = commit(&store, 0, 1, 50).await.unwrap();
    let mut reader = reader(&bus, Begin::Sequence(1));
    assert_eq!(
        numbers(&take(&mut reader, 20).await),
        (1..=20).collect::<Vec<_>>()
    );
    server.kill();
    server.again();
    let other = second(&server).await;
    for first in (51..=150).step_by(10) {
        base = commit(&other, base, first, 10).await.unwrap();
    }
    assert_eq!(
        numbers(&take(&mut reader, 130).await),
        (21..=150).collect::<Vec<_>>()
    );
    restart(&mut server, other.bus(), NatsServer::stop).await;
    commit(&other, base, 151, 5).await.unwrap();
    assert_eq!(
        numbers(&take(&mut reader, 5).await),
        (151..=155).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_recreated_stream_is_told_and_read_from_its_beginning() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    commit(&store, 0, 1, 100).await.unwrap();
    let mut reader = reader(&bus, Begin::Sequence(1));
    take(&mut reader, 100).await;
    caught_up(&mut reader).await;
    ask(&bus, "STREAM.DELETE.PROCESS_EVENTS", json!({})).await;
    ensure(&bus, &settings(&server)).await.unwrap();
    commit(&store, 0, 1, 150).await.unwrap();
    until(&mut reader, |told| matches!(told, Told::StreamRenewed)).await;
    assert_eq!(
        numbers(&take(&mut reader, 150).await),
        (1..=150).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_consumer_that_somebody_deletes_is_made_anew() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let base = commit(&store, 0, 1, 10).await.unwrap();
    let mut reader = reader(&bus, Begin::Sequence(1));
    take(&mut reader, 10).await;
    let names = ask(&bus, "CONSUMER.NAMES.PROCESS_EVENTS", json!({})).await;
    for name in names["consumers"].as_array().unwrap() {
        ask(
            &bus,
            &format!("CONSUMER.DELETE.PROCESS_EVENTS.{}", name.as_str().unwrap()),
            json!({}),
        )
        .await;
    }
    commit(&store, base, 11, 5).await.unwrap();
    assert_eq!(
        numbers(&take(&mut reader, 5).await),
        (11..=15).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_frozen_broker_is_told_and_nothing_is_missed_or_repeated() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let base = commit(&store, 0, 1, 5).await.unwrap();
    let mut reader = reader(&bus, Begin::Sequence(1));
    take(&mut reader, 5).await;
    caught_up(&mut reader).await;
    let mut durable = durable(&bus).await;
    let asking = durable.next();
    // It asks, and the request stands when the broker freezes.
    assert!(timeout(Duration::from_millis(300), asking).await.is_err());
    server.freeze();
    until(&mut reader, |told| matches!(told, Told::LinkLost { .. })).await;
    server.thaw();
    until(&mut reader, |told| matches!(told, Told::LinkBack)).await;
    commit(&store, base, 6, 5).await.unwrap();
    let mut found = Vec::new();
    while found.len() < 5 {
        let told = timeout(Duration::from_secs(60), durable.next()).await;
        if let Told::Record(record) = told.expect("nothing was told").unwrap() {
            found.push(record.envelope.seq);
            durable.done().await;
        }
    }
    assert_eq!(found, [6, 7, 8, 9, 10]);
    assert_eq!(
        numbers(&take(&mut reader, 5).await),
        (6..=10).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn an_older_store_that_grew_beyond_our_place_is_read_from_where_it_became_another() {
    let mut server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let first = commit(&store, 0, 1, 5).await.unwrap();
    let mut reader = reader(&bus, Begin::Sequence(1));
    take(&mut reader, 5).await;
    server.stop();
    server.copy_store("older");
    server.again();
    let other = second(&server).await;
    commit(&other, first, 6, 5).await.unwrap();
    assert_eq!(numbers(&take(&mut reader, 5).await), [6, 7, 8, 9, 10]);
    server.stop();
    server.put_back(Some("older"));
    server.again();
    // More than the reader knows, before it looks again.
    let other = second(&server).await;
    commit(&other, first, 6, 20).await.unwrap();
    until(&mut reader, |told| matches!(told, Told::StreamRenewed)).await;
    assert_eq!(
        numbers(&take(&mut reader, 20).await),
        (6..=25).collect::<Vec<_>>()
    );
}
