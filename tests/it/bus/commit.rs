//! Commits: whole or not at all, and a word on each way they fail.

use std::collections::BTreeMap;
use std::time::Duration;

use observe::bus::connect::connect;
use observe::bus::publish::JetStreamStore;
use observe::bus::settings::DEFAULT_STREAM;
use observe::bus::stream::ensure;
use observe::event::payload::Kind as EventKind;
use observe::event::store::{Commit, EventStore, ShardPlace, StoreError};
use observe::event::subject::Prefix;
use serde_json::json;
use tokio::time::timeout;

use super::*;
use crate::support::nats::NatsServer;

#[tokio::test]
async fn a_commit_is_read_back_as_the_head_it_wrote() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    assert_eq!(head(&store).await, None);
    let mut new = root(3);
    new.shards = vec![ShardPlace::Behind(1), ShardPlace::Behind(2)];
    let shards = BTreeMap::from([
        (0, Bytes::from_static(b"{\"a\":1}")),
        (1, Bytes::from_static(b"{\"b\":2}")),
    ]);
    let events = events(1, 3);
    let commit = Commit {
        source: "shop",
        root: &new,
        expected: 0,
        shards: &shards,
        events: &events,
    };
    let first = store.commit(commit).await.unwrap();
    assert_eq!(first, 1);
    let found = head(&store).await.unwrap();
    assert_eq!(found.root.as_ref().unwrap(), &new);
    assert_eq!(found.root_sequence, 1);
    assert_eq!(
        found.rows().collect::<Vec<_>>(),
        [&b"{\"a\":1}"[..], b"{\"b\":2}"]
    );
    assert_eq!(stored(&bus, "core.process.>").await, 3);

    // A refresh: the root alone, the shards stay where they are.
    let mut refreshed = new.clone();
    refreshed.shards = vec![ShardPlace::At(2), ShardPlace::At(3)];
    let commit = Commit {
        source: "shop",
        root: &refreshed,
        expected: 1,
        shards: &BTreeMap::new(),
        events: &[],
    };
    assert_eq!(store.commit(commit).await.unwrap(), 7);
    let found = head(&store).await.unwrap();
    assert_eq!((found.root_sequence, found.rows().count()), (7, 2));
    assert_eq!(
        stored(&bus, "core.head.shop").await,
        1,
        "only one root is kept"
    );
}

#[tokio::test]
async fn a_stale_root_is_fenced_and_shows_nothing() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let first = commit(&store, 0, 1, 3).await.unwrap();
    for (expected, count) in [(0, 3), (first + 1, 3), (0, 1), (99, 300)] {
        let outcome = commit(&store, expected, 4, count).await;
        assert!(matches!(outcome, Err(StoreError::Fenced)), "{outcome:?}");
    }
    let root = root(9);
    let refresh = Commit {
        source: "shop",
        root: &root,
        expected: 0,
        shards: &BTreeMap::new(),
        events: &[],
    };
    assert!(matches!(
        store.commit(refresh).await,
        Err(StoreError::Fenced)
    ));
    assert_eq!(stored(&bus, "core.process.>").await, 3);
    assert_eq!(head(&store).await.unwrap().root_sequence, first);
}

#[tokio::test]
async fn the_repeat_of_a_committed_batch_is_fenced() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    commit(&store, 0, 1, 2).await.unwrap();
    assert!(matches!(
        commit(&store, 0, 1, 2).await,
        Err(StoreError::Fenced)
    ));
    assert_eq!(stored(&bus, "core.process.>").await, 2);
}

#[tokio::test]
async fn a_broker_killed_in_mid_batch_keeps_nothing_of_it() {
    let mut server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let first = commit(&store, 0, 1, 2).await.unwrap();
    // The same batch as a commit, without its end.
    for number in 1..=3 {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Batch-Id", "half");
        headers.insert("Nats-Batch-Sequence", number.to_string());
        let subject = if number == 1 {
            "core.head.shop"
        } else {
            "core.process.default.api.started"
        };
        bus.client()
            .publish_with_headers(subject, headers, "{}".into())
            .await
            .unwrap();
    }
    ask(&bus, "INFO", json!({})).await;
    restart(&mut server, &bus, NatsServer::kill).await;
    assert_eq!(stored(&bus, "core.process.>").await, 2);
    assert_eq!(head(&store).await.unwrap().root_sequence, first);
    commit(&store, first, 3, 2).await.unwrap();
    assert_eq!(stored(&bus, "core.process.>").await, 4);
}

#[tokio::test]
async fn no_right_to_the_head_or_to_an_event_refuses_the_commit_with_the_subject() {
    for (denied, subject) in [
        ("\"core.head.>\"", "core.head.shop"),
        (
            "\"core.process.*.*.started\"",
            "core.process.default.api.started",
        ),
    ] {
        let server = restricted(denied);
        let admin = user(&server, "admin");
        ensure(&connect(&admin).await.unwrap(), &admin)
            .await
            .unwrap();
        let bus = connect(&user(&server, "u")).await.unwrap();
        let store = JetStreamStore::new(bus.clone(), DEFAULT_STREAM, Prefix::default());
        let outcome = timeout(Duration::from_secs(3), commit(&store, 0, 1, 3))
            .await
            .unwrap();
        refused(outcome, &["publish to", subject, "permissions"]);
        // An event in the middle: the last message gets through, and "incomplete" is not the whole truth.
        let root = root(3);
        let mut events = events(1, 3);
        events.push(event("api", EventKind::Stopped, 4));
        let commit = Commit {
            source: "shop",
            root: &root,
            expected: 0,
            shards: &BTreeMap::new(),
            events: &events,
        };
        refused(store.commit(commit).await, &["publish to", subject]);
        assert_eq!(stored(&connect(&admin).await.unwrap(), ">").await, 0);
    }
}

#[tokio::test]
async fn subjects_the_stream_does_not_take_are_refused_after_three_incomplete_batches() {
    let server = NatsServer::start();
    let (bus, _) = open(&server).await;
    let mut config = ask(&bus, "STREAM.INFO.PROCESS_EVENTS", json!({})).await["config"].clone();
    config["subjects"] = json!(["core.head.>", "core.process.*.*.stopped"]);
    ask(&bus, "STREAM.UPDATE.PROCESS_EVENTS", config).await;
    let store = JetStreamStore::new(bus, DEFAULT_STREAM, Prefix::default());
    let mut events = events(1, 2);
    events.push(event("api", EventKind::Stopped, 3));
    let root = root(3);
    let shards = BTreeMap::new();
    let commit = || Commit {
        source: "shop",
        root: &root,
        expected: 0,
        shards: &shards,
        events: &events,
    };
    for _ in 0..2 {
        let outcome = store.commit(commit()).await;
        assert!(matches!(outcome, Err(StoreError::Busy(_))), "{outcome:?}");
    }
    refused(
        store.commit(commit()).await,
        &["not core.process.default.api.started", "--stream"],
    );
}

#[tokio::test]
async fn a_missing_stream_is_told_from_a_passing_absence() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    commit(&store, 0, 1, 2).await.unwrap();
    ask(&bus, "STREAM.DELETE.PROCESS_EVENTS", json!({})).await;
    let outcome = commit(&store, 1, 3, 2).await;
    assert!(matches!(outcome, Err(StoreError::NoStream)), "{outcome:?}");
    assert!(matches!(
        store.read_head("shop").await,
        Err(StoreError::NoStream)
    ));
    assert!(ensure(&bus, &settings(&server)).await.unwrap().created);
    assert_eq!(head(&store).await, None);
    // The old expectation finds no root: that is a fence, and the head says the rest.
    assert!(matches!(
        commit(&store, 1, 3, 2).await,
        Err(StoreError::Fenced)
    ));
}

#[tokio::test]
async fn a_broker_that_is_away_is_handed_nothing_and_comes_back() {
    let mut server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let first = commit(&store, 0, 1, 2).await.unwrap();
    server.stop();
    let mut link = bus.link();
    timeout(LIMIT, link.wait_for(|link| !link.is_connected()))
        .await
        .unwrap()
        .unwrap();
    assert!(!store.is_connected());
    let outcome = commit(&store, first, 3, 2).await;
    assert!(matches!(outcome, Err(StoreError::Away)), "{outcome:?}");
    assert!(matches!(
        store.read_head("shop").await,
        Err(StoreError::Away)
    ));
    server.again();
    timeout(LIMIT, bus.connected()).await.unwrap();
    assert_eq!(
        stored(&bus, "core.process.>").await,
        2,
        "nothing was sent behind our back"
    );
    commit(&store, first, 3, 2).await.unwrap();
}

#[tokio::test]
async fn a_frozen_broker_makes_the_outcome_unknown_and_its_straggler_is_fenced_or_ours() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let first = commit(&store, 0, 1, 2).await.unwrap();
    server.freeze();
    let outcome = commit(&store, first, 3, 2).await;
    assert!(
        matches!(outcome, Err(StoreError::Unknown(_))),
        "{outcome:?}"
    );
    server.thaw();
    // The straggler may still be on its way when the head is read; then the fence sends us back to the head.
    let stored_last = loop {
        let found = head(&store).await.unwrap();
        let told = found.root.unwrap().seq;
        assert!(told == 2 || told == 4, "{told}");
        match commit(&store, found.root_sequence, told + 1, 2).await {
            Ok(_) => break told + 2,
            Err(StoreError::Fenced) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(stored(&bus, "core.process.>").await, stored_last);
    assert_eq!(head(&store).await.unwrap().root.unwrap().seq, stored_last);
}
