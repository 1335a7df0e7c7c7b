//! Heads: large, torn, unreadable.

use std::collections::BTreeMap;

use observe::bus::connect::connect;
use observe::bus::head::heads;
use observe::bus::publish::JetStreamStore;
use observe::bus::settings::{DEFAULT_STREAM, FirstConnect};
use observe::bus::stream::ensure;
use observe::event::store::{Commit, EventStore, ShardPlace, StoreError};
use observe::event::subject::Prefix;
use serde_json::json;
use tokio::time::timeout;

use super::*;
use crate::support::nats::NatsServer;

#[tokio::test]
async fn a_head_of_five_megabytes_over_many_shards_is_read_whole() {
    let server = NatsServer::start();
    let (_, store) = open(&server).await;
    let row = format!("{{\"k\":\"{}\"}}\n", "v".repeat(1000));
    let shards: BTreeMap<u32, Bytes> = (0..41).map(|n| (n, row.repeat(125).into())).collect();
    let mut new = root(1);
    new.shards = (1..=41).map(ShardPlace::Behind).collect();
    let events = events(1, 1);
    let commit = Commit {
        source: "shop",
        root: &new,
        expected: 0,
        shards: &shards,
        events: &events,
    };
    timeout(LIMIT, store.commit(commit)).await.unwrap().unwrap();
    let found = head(&store).await.unwrap();
    assert_eq!(found.rows().count(), 41 * 125);

    // One shard too large for the broker is found before anything is sent.
    let shards = BTreeMap::from([(0, vec![b'x'; 2 << 20].into())]);
    let commit = Commit {
        source: "shop",
        root: &new,
        expected: 1,
        shards: &shards,
        events: &[],
    };
    let outcome = store.commit(commit).await;
    assert!(
        matches!(&outcome, Err(StoreError::Invalid(line)) if line.contains("max_payload")),
        "{outcome:?}"
    );
    assert!(store.is_connected());
}

#[tokio::test]
async fn a_root_is_read_alone_as_it_stands_in_the_head() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    assert_eq!(store.read_root("shop").await.unwrap(), None);
    let first = commit(&store, 0, 1, 3).await.unwrap();
    let second = commit(&store, first, 4, 1).await.unwrap();
    let found = head(&store).await.unwrap();
    let read = store.read_root("shop").await.unwrap();
    assert_eq!(read, Some((found.root, second)));
    bus.client()
        .publish("core.head.shop", "{}".into())
        .await
        .unwrap();
    ask(&bus, "STREAM.INFO.PROCESS_EVENTS", json!({})).await;
    let (root, sequence) = store.read_root("shop").await.unwrap().unwrap();
    assert!(root.is_err() && sequence > second);
    ask(&bus, "STREAM.DELETE.PROCESS_EVENTS", json!({})).await;
    assert!(matches!(
        store.read_root("shop").await,
        Err(StoreError::NoStream)
    ));
}

#[tokio::test]
async fn a_connection_knows_when_it_came_back_and_the_first_one_is_no_return() {
    let mut server = NatsServer::start();
    let (bus, store) = open(&server).await;
    assert_eq!(store.returned_at(), None);
    let before = tokio::time::Instant::now();
    restart(&mut server, &bus, NatsServer::kill).await;
    let end = tokio::time::Instant::now() + LIMIT;
    while store.returned_at().is_none_or(|returned| returned < before) {
        assert!(
            tokio::time::Instant::now() < end,
            "{:?}",
            store.returned_at()
        );
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_first_connection_that_may_be_waited_for_and_stands_at_once_is_no_return() {
    let server = NatsServer::start();
    let settings = BusSettings {
        first_connect: FirstConnect::MayWait,
        ..settings(&server)
    };
    let bus = connect(&settings).await.unwrap();
    timeout(LIMIT, bus.connected()).await.unwrap();
    assert_eq!(bus.returned_at(), None);
}

#[tokio::test]
async fn a_head_of_a_newer_build_is_refused_to_those_who_would_write_it_and_shown_to_readers() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let newer = json!({ "format": HEAD_FORMAT + 1, "source": "shop", "rest": "is another one's" });
    bus.client()
        .publish("core.head.shop", newer.to_string().into())
        .await
        .unwrap();
    ask(&bus, "STREAM.INFO.PROCESS_EVENTS", json!({})).await;
    for outcome in [
        store.read_head("shop").await.map(drop),
        store.read_root("shop").await.map(drop),
    ] {
        let Err(StoreError::Refused(line)) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(line.contains("head of shop has format 2"), "{line}");
    }
    let found = heads(&bus, DEFAULT_STREAM, &Prefix::default()).await;
    assert!(found.unwrap()[0].root.is_err());
}

#[tokio::test]
async fn a_shard_that_stands_elsewhere_makes_the_head_invalid() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let mut new = root(1);
    new.shards = vec![ShardPlace::Behind(1)];
    let shards = BTreeMap::from([(0, Bytes::from_static(b"{}"))]);
    let commit = |root, expected| Commit {
        source: "shop",
        root,
        expected,
        shards: &shards,
        events: &[],
    };
    let first = store.commit(commit(&new, 0)).await.unwrap();
    assert!(head(&store).await.unwrap().shards.is_some());
    bus.client()
        .publish("core.head.shop.0", "{}".into())
        .await
        .unwrap();
    ask(
        &bus,
        "STREAM.MSG.DELETE.PROCESS_EVENTS",
        json!({ "seq": first + 1 }),
    )
    .await;
    let found = head(&store).await.unwrap();
    assert_eq!(found.shards, None);
    assert_eq!(found.root.unwrap(), new);
    // A root that this build cannot read is shown as such, with the sequence that the next one has to expect.
    bus.client()
        .publish("core.head.shop", "<html>".into())
        .await
        .unwrap();
    ask(&bus, "INFO", json!({})).await;
    let found = head(&store).await.unwrap();
    assert!(found.root.is_err() && found.shards.is_none());
    store
        .commit(commit(&new, found.root_sequence))
        .await
        .unwrap();
    assert!(head(&store).await.unwrap().root.is_ok());
    let all = heads(&bus, DEFAULT_STREAM, &Prefix::default())
        .await
        .unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].root.as_ref().unwrap(), &new);
}

#[tokio::test]
async fn no_right_to_read_the_head_is_a_refusal_that_names_it() {
    for denied in ["$JS.API.STREAM.MSG.GET", "$JS.API.STREAM.INFO"] {
        let server = restricted(&format!("\"{denied}.>\""));
        let admin = user(&server, "admin");
        ensure(&connect(&admin).await.unwrap(), &admin)
            .await
            .unwrap();
        let bus = connect(&user(&server, "u")).await.unwrap();
        let store = JetStreamStore::new(bus, DEFAULT_STREAM, Prefix::default());
        let outcome = timeout(Duration::from_secs(3), async {
            store.read_head("shop").await?;
            store.ground("shop", 1).await
        });
        let Err(StoreError::Refused(line)) = outcome.await.unwrap() else {
            panic!("{denied}")
        };
        says(&line, &["publish to", denied, "permissions"]);
    }
}

#[tokio::test]
async fn a_head_is_in_danger_once_more_than_half_of_the_stream_is_newer() {
    let server = NatsServer::start();
    let settings = BusSettings {
        max_bytes: Some(1 << 20),
        ..settings(&server)
    };
    let bus = connect(&settings).await.unwrap();
    ensure(&bus, &settings).await.unwrap();
    let store = JetStreamStore::new(bus.clone(), DEFAULT_STREAM, Prefix::default());
    let mut new = root(1);
    new.shards = vec![ShardPlace::Behind(1)];
    let shards = BTreeMap::from([(0, Bytes::from_static(b"{}"))]);
    let mut first = 0;
    // Four times over, with the head written again as often as the store says.
    for round in 0..16 {
        let ground = store.ground("shop", 2).await.unwrap();
        assert!(ground.lost.contains(&1) && ground.lost.len() <= 2);
        if round == 0 || ground.safe_from > first {
            let commit = Commit {
                source: "shop",
                root: &new,
                expected: first,
                shards: &shards,
                events: &[],
            };
            first = store.commit(commit).await.expect("the root was pushed out");
        }
        for _ in 0..25 {
            let noise = bus
                .client()
                .request("core.process.n.p.started", vec![b'x'; 10_000].into());
            noise.await.unwrap();
        }
    }
    assert!(first > 200, "{first}");
    assert!(head(&store).await.unwrap().shards.is_some());
    // Left alone it is gone.
    for _ in 0..120 {
        let noise = bus
            .client()
            .request("core.process.n.p.started", vec![b'x'; 10_000].into());
        noise.await.unwrap();
    }
    assert_eq!(head(&store).await, None);
}
