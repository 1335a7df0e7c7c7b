//! Heads in a stream that sources another: read there, though nothing stands where the root says.

use std::collections::BTreeMap;

use observe::bus::head::read_head_at;
use observe::event::store::{Commit, ShardPlace};
use tokio::time::{Instant, sleep};

use super::*;
use crate::support::nats::NatsServer;

/// A stream that gathers what the usual one holds, and had something of its own before.
const ALL: &str = "PROCESS_EVENTS_ALL";

async fn gather(bus: &Bus) {
    let config = json!({
        "name": ALL, "subjects": ["other.>"], "storage": "file", "retention": "limits",
        "allow_rollup_hdrs": true, "allow_msg_ttl": true, "allow_direct": true,
        "sources": [{ "name": DEFAULT_STREAM }],
    });
    ask(bus, &format!("STREAM.CREATE.{ALL}"), config).await;
    for _ in 0..7 {
        let other = async_nats::jetstream::new(bus.client().clone());
        let ack = other.publish("other.one", "x".into()).await.unwrap();
        ack.await.unwrap();
    }
}

async fn store_one(store: &JetStreamStore, expected: u64, root: &Root, changed: &[u32]) -> u64 {
    let rows = |n: &u32| format!("{{\"shard\":{n},\"as_of\":{}}}\n", root.seq).into();
    let shards: BTreeMap<u32, Bytes> = changed.iter().map(|n| (*n, rows(n))).collect();
    let events = events(root.seq, 1);
    let commit = Commit {
        source: "shop",
        root,
        expected,
        shards: &shards,
        events: &events,
    };
    timeout(LIMIT, store.commit(commit)).await.unwrap().unwrap()
}

/// The head in the gathering stream, as soon as it has come so far.
async fn gathered(bus: &Bus, seq: u64) -> Head {
    let end = Instant::now() + LIMIT;
    loop {
        let head = read_head_at(bus, ALL, "core.head.shop").await.unwrap();
        let is_it = |head: &Head| head.root.as_ref().is_ok_and(|root| root.seq == seq);
        if let Some(head) = head.filter(is_it) {
            return head;
        }
        assert!(Instant::now() < end, "the head of {seq} does not come");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_head_is_read_whole_in_a_stream_that_sources_it() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    gather(&bus).await;
    let mut first = root(1);
    first.shards = (1..=3).map(ShardPlace::Behind).collect();
    let place = store_one(&store, 0, &first, &[0, 1, 2]).await;
    let mut second = root(2);
    second.shards = vec![
        ShardPlace::At(place + 1),
        ShardPlace::Behind(1),
        ShardPlace::At(place + 3),
    ];
    for (root, expected, changed) in [(&first, 0, None), (&second, place, Some([1]))] {
        if let Some(changed) = changed {
            store_one(&store, expected, root, &changed).await;
        }
        let here = gathered(&bus, root.seq).await;
        let there = read_head_at(&bus, DEFAULT_STREAM, "core.head.shop").await;
        let there = there.unwrap().unwrap();
        assert_eq!(here.shards, there.shards, "{here:?}");
        assert!(here.shards.is_some());
        assert_ne!(here.root_sequence, there.root_sequence);
    }
}

#[tokio::test]
async fn a_head_that_is_sourced_in_part_is_not_taken_for_whole() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    gather(&bus).await;
    let mut first = root(1);
    first.shards = (1..=2).map(ShardPlace::Behind).collect();
    let place = store_one(&store, 0, &first, &[0, 1]).await;
    let here = gathered(&bus, 1).await;
    assert!(here.shards.is_some());
    // The gathering stream dropped one, as a full one does.
    let gone = json!({ "filter": "core.head.shop.1" });
    ask(&bus, &format!("STREAM.PURGE.{ALL}"), gone).await;
    let here = gathered(&bus, 1).await;
    assert_eq!(here.shards, None);
    // It is whole again once it is written anew.
    let mut second = root(2);
    second.shards = vec![ShardPlace::At(place + 1), ShardPlace::Behind(1)];
    store_one(&store, place, &second, &[1]).await;
    assert!(gathered(&bus, 2).await.shards.is_some());
}
