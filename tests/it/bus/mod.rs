//! The bus against a real nats-server: what is committed, what is refused, and what readers see of it.

mod commit;
mod connect;
mod durable;
mod fleet;
mod head;
mod read;
mod read_trouble;
mod restored;
mod sourced;
mod stream;
mod subscribe;
mod texts;
mod torn;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use observe::bus::connect::{Bus, connect};
use observe::bus::publish::JetStreamStore;
use observe::bus::settings::{BusSettings, DEFAULT_STREAM, Secret};
use observe::bus::stream::ensure;
use observe::event::envelope::{Envelope, Stamp};
use observe::event::payload::{
    CERTAIN, Kind as EventKind, Occurred, Origin, Payload, Severity, State,
};
use observe::event::store::{
    Commit, EventStore, HEAD_FORMAT, Head, Identity, Outgoing, Root, StoreError,
};
use observe::event::subject::Prefix;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::nats::NatsServer;

const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn settings(server: &NatsServer) -> BusSettings {
    BusSettings::default().at(&server.url())
}

pub(crate) async fn open(server: &NatsServer) -> (Bus, JetStreamStore) {
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
        since: None,
        interval_ms: 2000,
        shards: Vec::new(),
        identity: Identity::default(),
        left_out: None,
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
    Outgoing::new(&envelope.subject, &envelope.id, "change", &payload)
}

/// Events numbered from `first`, of one process.
fn events(first: u64, count: u64) -> Vec<Outgoing> {
    (first..first + count)
        .map(|seq| event("api", EventKind::Started, seq))
        .collect()
}

pub(crate) async fn commit(
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

pub(crate) async fn ask(bus: &Bus, suffix: &str, body: Value) -> Value {
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

pub(crate) fn says(line: &str, words: &[&str]) {
    assert!(!line.contains('\n'), "{line}");
    for word in words {
        assert!(line.contains(word), "{word:?} is not in {line:?}");
    }
}

/// A server whose user `u` may do everything but what `denied` says.
fn restricted(denied: &str) -> NatsServer {
    NatsServer::with(&format!(
        "jetstream {{ store_dir: \"STORE\" }}
         authorization {{ users: [
            {{ user: admin, password: admin }},
            {{ user: u, password: u, permissions: {{ publish: {{ deny: [{denied}] }} }} }} ] }}"
    ))
}

fn user(server: &NatsServer, name: &str) -> BusSettings {
    BusSettings {
        user: Some(name.into()),
        password: Some(Secret::new(name)),
        ..settings(server)
    }
}

/// Ends the server by `end`, starts it again, and waits until the connection has been through both.
async fn restart(server: &mut NatsServer, bus: &Bus, end: fn(&mut NatsServer)) {
    let mut link = bus.link();
    end(server);
    timeout(LIMIT, link.wait_for(|link| !link.is_connected()))
        .await
        .unwrap()
        .unwrap();
    server.again();
    timeout(LIMIT, bus.connected()).await.unwrap();
}

/// A second connection with its own store, for the other side of a test.
pub(crate) async fn second(server: &NatsServer) -> JetStreamStore {
    let bus = connect(&settings(server)).await.unwrap();
    JetStreamStore::new(bus, DEFAULT_STREAM, Prefix::default())
}
