//! The bus against a real nats-server: what is committed, what is refused, and what readers see of it.

use std::collections::BTreeMap;
use std::time::Duration;

use observe::bus::connect::{Bus, connect};
use observe::bus::error::{BusError, Kind};
use observe::bus::publish::JetStreamStore;
use observe::bus::settings::{BusSettings, DEFAULT_STREAM, StreamSetup};
use observe::bus::stream::{Ensured, ensure};
use observe::event::envelope::{SourceNotice, Stamp};
use observe::event::payload::{CERTAIN, Occurred, Origin, Payload, Severity, State};
use observe::event::store::{
    Commit, EventStore, HEAD_FORMAT, Head, Identity, Outgoing, Root, ShardPlace, StoreError,
};
use observe::event::subject::Prefix;
use observe::event::{envelope::Envelope, payload::Kind as EventKind};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::nats::NatsServer;

const LIMIT: Duration = Duration::from_secs(20);

fn settings(server: &NatsServer) -> BusSettings {
    BusSettings::default().at(&server.url())
}

async fn open(server: &NatsServer) -> (Bus, JetStreamStore) {
    let settings = settings(server);
    let bus = connect(&settings).await.unwrap();
    ensure(&bus, &settings).await.unwrap();
    let store = JetStreamStore::new(bus.clone(), DEFAULT_STREAM, Prefix::default());
    (bus, store)
}

fn root(seq: u64) -> Root {
    Root {
        format: HEAD_FORMAT,
        source: "shop".into(),
        journal: "j".into(),
        seq,
        epoch: "e".into(),
        connected: true,
        adapter: "a".into(),
        commit: format!("c{seq}"),
        looked_at: "2026-08-20T07:18:04Z".parse().unwrap(),
        interval_ms: 2000,
        shards: Vec::new(),
        identity: Identity::default(),
    }
}

fn at() -> chrono::DateTime<chrono::Utc> {
    "2026-08-20T07:18:04Z".parse().unwrap()
}

fn event(process: &str, kind: EventKind, seq: u64) -> Outgoing {
    let state: State = serde_json::from_value(json!({
        "name": process, "namespace": "default", "status": "Running", "is_ready": "-",
        "has_ready_probe": false, "restarts": 0, "exit_code": 0, "is_running": true, "replicas": 1
    }))
    .unwrap();
    let payload = Payload {
        kind,
        severity: Severity::Info,
        state,
        reason: "test".into(),
        certainty: CERTAIN,
        occurred: Occurred {
            after: None,
            before: at(),
            at: None,
        },
        exit: None,
        count: 1,
        previous: None,
        process_seq: seq,
    };
    let prefix = Prefix::default();
    let stamp = Stamp {
        prefix: &prefix,
        source: "shop",
        journal: "j",
        seq,
        epoch: "e",
        origin: Origin::Change,
        timestamp: at(),
    };
    outgoing(&Envelope::dress(payload, &stamp))
}

fn outgoing(envelope: &Envelope) -> Outgoing {
    let mut payload = Vec::new();
    envelope.write_json(&mut payload).unwrap();
    Outgoing {
        subject: envelope.subject.clone(),
        id: envelope.id.clone(),
        origin: "change",
        payload,
    }
}

/// Events numbered from `first`, of one process.
fn events(first: u64, count: u64) -> Vec<Outgoing> {
    (first..first + count)
        .map(|seq| event("api", EventKind::Started, seq))
        .collect()
}

async fn commit(
    store: &JetStreamStore,
    expected: u64,
    first: u64,
    count: u64,
) -> Result<u64, StoreError> {
    let root = root(first + count - 1);
    let events = events(first, count);
    let commit = Commit {
        source: "shop",
        root: &root,
        expected,
        shards: &BTreeMap::new(),
        events: &events,
    };
    timeout(LIMIT, store.commit(commit))
        .await
        .expect("a commit has its own limit")
}

async fn head(store: &JetStreamStore) -> Option<Head> {
    timeout(LIMIT, store.read_head("shop"))
        .await
        .unwrap()
        .unwrap()
}

async fn ask(bus: &Bus, suffix: &str, body: Value) -> Value {
    let answer = bus
        .client()
        .request(format!("$JS.API.{suffix}"), body.to_string().into())
        .await
        .unwrap();
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert!(answer.get("error").is_none(), "{answer}");
    answer
}

async fn stored(bus: &Bus, subject: &str) -> u64 {
    let answer = ask(
        bus,
        &format!("STREAM.INFO.{DEFAULT_STREAM}"),
        json!({ "subjects_filter": subject }),
    )
    .await;
    answer["state"]["subjects"]
        .as_object()
        .map_or(0, |all| all.values().filter_map(Value::as_u64).sum())
}

fn refused(outcome: Result<u64, StoreError>, words: &[&str]) {
    let Err(StoreError::Refused(line)) = outcome else {
        panic!("{outcome:?}")
    };
    says(&line, words);
}

fn says(line: &str, words: &[&str]) {
    assert!(!line.contains('\n'), "{line}");
    for word in words {
        assert!(line.contains(word), "{word:?} is not in {line:?}");
    }
}

#[tokio::test]
async fn a_stream_is_created_once_and_found_again() {
    let server = NatsServer::start();
    let settings = settings(&server);
    let bus = connect(&settings).await.unwrap();
    assert!(ensure(&bus, &settings).await.unwrap().created);
    assert_eq!(ensure(&bus, &settings).await.unwrap(), Ensured::default());
    let info = ask(&bus, "STREAM.INFO.PROCESS_EVENTS", json!({})).await;
    let config = &info["config"];
    assert_eq!(
        config["subjects"],
        json!(["core.process.>", "core.source.>", "core.head.>"])
    );
    assert_eq!(config["max_age"], json!(86_400_000_000_000_u64));
    assert_eq!(config["max_consumers"], 10_000);
    for key in [
        "allow_atomic",
        "allow_rollup_hdrs",
        "allow_msg_ttl",
        "allow_direct",
    ] {
        assert_eq!(config[key], true, "{key}");
    }
}

#[tokio::test]
async fn a_commit_is_read_back_as_the_head_it_wrote() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    assert_eq!(head(&store).await, None);
    let mut new = root(3);
    new.shards = vec![ShardPlace::Behind(1), ShardPlace::Behind(2)];
    let shards = BTreeMap::from([(0, b"{\"a\":1}".to_vec()), (1, b"{\"b\":2}".to_vec())]);
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
