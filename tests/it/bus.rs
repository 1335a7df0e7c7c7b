//! The bus against a real nats-server: what is committed, what is refused, and what readers see of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt;
use observe::bus::connect::{Bus, Link, connect};
use observe::bus::error::{BusError, Kind};
use observe::bus::head::heads;
use observe::bus::publish::JetStreamStore;
use observe::bus::read::{Begin, Reader, Told};
use observe::bus::settings::{BusSettings, DEFAULT_STREAM, FirstConnect, Secret, StreamSetup};
use observe::bus::stream::{Ensured, ensure};
use observe::bus::subscribe::subscribe;
use observe::event::envelope::{Envelope, Stamp};
use observe::event::filter::Filter;
use observe::event::payload::{
    CERTAIN, Kind as EventKind, Occurred, Origin, Payload, Severity, State,
};
use observe::event::record::Record;
use observe::event::store::{
    Commit, EventStore, HEAD_FORMAT, Head, Identity, Outgoing, Root, ShardPlace, StoreError,
};
use observe::event::subject::Prefix;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
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
async fn a_stream_of_that_name_with_other_subjects_is_refused_and_left_alone() {
    let server = NatsServer::start();
    let settings = settings(&server);
    let bus = connect(&settings).await.unwrap();
    let foreign = json!({"name": "PROCESS_EVENTS", "subjects": ["orders.>"], "storage": "file", "retention": "limits",
        "discard": "old", "num_replicas": 1});
    let before = ask(&bus, "STREAM.CREATE.PROCESS_EVENTS", foreign).await["config"].clone();
    let error = ensure(&bus, &settings).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    says(
        &error.to_string(),
        &[
            "stream PROCESS_EVENTS takes orders.>, not core.process.>",
            "--stream",
        ],
    );
    assert_eq!(
        ask(&bus, "STREAM.INFO.PROCESS_EVENTS", json!({})).await["config"],
        before
    );

    // Whoever commits all the same is refused too, at the first try.
    let store = JetStreamStore::new(bus, DEFAULT_STREAM, Prefix::default());
    refused(
        commit(&store, 0, 1, 2).await,
        &["takes orders.>, not core.head.shop"],
    );
}

#[tokio::test]
async fn subjects_that_another_stream_takes_are_refused_with_its_name() {
    let server = NatsServer::start();
    let settings = settings(&server);
    let bus = connect(&settings).await.unwrap();
    ask(
        &bus,
        "STREAM.CREATE.OTHER",
        json!({"name": "OTHER", "subjects": ["core.>"], "allow_atomic": true, "allow_rollup_hdrs": true,
            "allow_msg_ttl": true}),
    )
    .await;
    let error = ensure(&bus, &settings).await.unwrap_err();
    says(
        &error.to_string(),
        &["stream OTHER already takes", "--stream", "--subject-prefix"],
    );
    let store = JetStreamStore::new(bus, DEFAULT_STREAM, Prefix::default());
    let outcome = commit(&store, 0, 1, 2).await;
    refused(outcome, &["another stream than PROCESS_EVENTS"]);
}

#[tokio::test]
async fn a_foreign_stream_that_lacks_something_is_refused_by_check_and_by_commit() {
    for (key, word) in [
        ("allow_atomic", "atomic batches"),
        ("allow_rollup_hdrs", "rollup headers"),
        ("allow_msg_ttl", "message TTLs"),
    ] {
        let server = NatsServer::start();
        let settings = settings(&server);
        let bus = connect(&settings).await.unwrap();
        let mut config = json!({"name": "PROCESS_EVENTS", "subjects": ["core.>"], "allow_atomic": true,
            "allow_rollup_hdrs": true, "allow_msg_ttl": true});
        config[key] = json!(false);
        ask(&bus, "STREAM.CREATE.PROCESS_EVENTS", config).await;
        let error = ensure(&bus, &settings).await.unwrap_err();
        says(
            &error.to_string(),
            &[
                "stream PROCESS_EVENTS does not allow",
                word,
                key,
                "--stream",
            ],
        );
        let store = JetStreamStore::new(bus.clone(), DEFAULT_STREAM, Prefix::default());
        refused(commit(&store, 0, 1, 2).await, &[word, key, "--stream"]);
        assert_eq!(stored(&bus, ">").await, 0);
    }
}

#[tokio::test]
async fn a_stream_of_our_own_is_brought_up_to_date_and_a_good_foreign_one_is_used_as_it_is() {
    let server = NatsServer::start();
    let settings = settings(&server);
    let bus = connect(&settings).await.unwrap();
    ensure(&bus, &settings).await.unwrap();
    let longer = BusSettings {
        retention: Some(Duration::from_secs(3600)),
        max_bytes: Some(1 << 25),
        ..settings.clone()
    };
    assert_eq!(
        ensure(&bus, &longer).await.unwrap().changed,
        ["max_age", "max_bytes"]
    );
    assert_eq!(
        ensure(&bus, &settings).await.unwrap().changed,
        Vec::<String>::new()
    );
    let check = BusSettings {
        setup: StreamSetup::Check,
        stream: "NONE".into(),
        ..settings.clone()
    };
    assert!(matches!(ensure(&bus, &check).await, Err(BusError::NoStream(name)) if name == "NONE"));

    let mut config = ask(&bus, "STREAM.INFO.PROCESS_EVENTS", json!({})).await["config"].clone();
    config["metadata"] = json!({});
    ask(&bus, "STREAM.UPDATE.PROCESS_EVENTS", config).await;
    let ensured = ensure(
        &bus,
        &BusSettings {
            retention: Some(Duration::from_secs(60)),
            ..settings
        },
    )
    .await
    .unwrap();
    assert_eq!(ensured.changed, Vec::<String>::new());
    assert_eq!(ensured.notes.len(), 1, "{ensured:?}");
}

#[tokio::test]
async fn a_broker_without_jetstream_is_refused() {
    let server = NatsServer::with("");
    let settings = settings(&server);
    let bus = connect(&settings).await.unwrap();
    let error = ensure(&bus, &settings).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    says(&error.to_string(), &["has no JetStream", "-js"]);
    let store = JetStreamStore::new(bus, DEFAULT_STREAM, Prefix::default());
    refused(commit(&store, 0, 1, 2).await, &["has no JetStream"]);
}

#[tokio::test]
async fn an_account_without_jetstream_is_refused() {
    let server = NatsServer::with(
        "jetstream { store_dir: \"STORE\" }
         accounts { A { jetstream: enabled, users: [{user: a, password: a}] }, B { users: [{user: b, password: b}] } }",
    );
    let settings = BusSettings::default().at(&server.url().replace("//", "//b:b@"));
    let bus = connect(&settings).await.unwrap();
    let error = ensure(&bus, &settings).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    says(&error.to_string(), &["this account", "has no JetStream"]);
    assert!(!error.to_string().contains("b:b"), "{error}");
    let store = JetStreamStore::new(bus, DEFAULT_STREAM, Prefix::default());
    refused(commit(&store, 0, 1, 2).await, &["has no JetStream"]);
}

#[tokio::test]
async fn a_wrong_password_and_a_wrong_address_are_told_apart() {
    let server = NatsServer::with("authorization { user: a, password: secret }");
    let settings = BusSettings::default().at(&server.url().replace("//", "//a:wrong@"));
    let error = connect(&settings).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Auth);
    says(&error.to_string(), &["does not let us in", "127.0.0.1"]);
    assert!(!error.to_string().contains("wrong"), "{error}");
    let nobody = connect(&BusSettings::default().at("nats://127.0.0.1:1"))
        .await
        .unwrap_err();
    assert_eq!(nobody.kind(), Kind::Unreachable);
    says(&nobody.to_string(), &["nats://127.0.0.1:1", "refused"]);
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

#[tokio::test]
async fn no_right_to_create_the_stream_is_said_with_the_subject() {
    let server = restricted("\"$JS.API.STREAM.CREATE.>\"");
    let settings = user(&server, "u");
    let bus = connect(&settings).await.unwrap();
    let error = timeout(Duration::from_secs(3), ensure(&bus, &settings))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    says(
        &error.to_string(),
        &["publish to $JS.API.STREAM.CREATE.PROCESS_EVENTS"],
    );
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
async fn no_right_to_the_inbox_is_said() {
    let server = NatsServer::with(
        "jetstream { store_dir: \"STORE\" }
         authorization { users: [ { user: u, password: u, permissions: { subscribe: { deny: \"_INBOX.>\" } } } ] }",
    );
    let settings = user(&server, "u");
    let bus = connect(&settings).await.unwrap();
    let error = timeout(Duration::from_secs(3), ensure(&bus, &settings))
        .await
        .unwrap()
        .unwrap_err();
    says(&error.to_string(), &["subscribe to _INBOX."]);
    let store = JetStreamStore::new(bus, DEFAULT_STREAM, Prefix::default());
    let outcome = timeout(Duration::from_secs(3), commit(&store, 0, 1, 3))
        .await
        .unwrap();
    refused(outcome, &["subscribe to _INBOX."]);
    let inbox = BusSettings {
        inbox_prefix: Some("mine".into()),
        ..settings
    };
    let bus = connect(&inbox).await.unwrap();
    assert!(ensure(&bus, &inbox).await.unwrap().created);
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
    let found = head(&store).await.unwrap();
    let told = found.root.unwrap().seq;
    assert!(told == 2 || told == 4, "{told}");
    assert_eq!(stored(&bus, "core.process.>").await, told);
    if told == 4 {
        assert!(matches!(
            commit(&store, first, 3, 2).await,
            Err(StoreError::Fenced)
        ));
    }
}

#[tokio::test]
async fn a_daemon_may_start_before_its_broker() {
    let mut server = NatsServer::start();
    server.stop();
    let settings = BusSettings {
        first_connect: FirstConnect::MayWait,
        ..settings(&server)
    };
    let bus = connect(&settings).await.unwrap();
    let mut link = bus.link();
    let refused =
        |link: &Link| matches!(link, Link::Away { why, .. } if &**why != "not reached yet");
    timeout(LIMIT, link.wait_for(refused))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        ensure(&bus, &settings).await.unwrap_err().kind(),
        Kind::Unreachable
    );
    server.again();
    timeout(LIMIT, bus.connected()).await.unwrap();
    assert!(ensure(&bus, &settings).await.unwrap().created);
    assert!(bus.server_version().is_some());
}

#[tokio::test]
async fn a_broker_of_an_older_version_is_refused() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let info = "INFO {\"server_id\":\"X\",\"version\":\"2.9.10\",\"max_payload\":1048576,\"headers\":true,\"jetstream\":true}\r\n";
        socket.write_all(info.as_bytes()).await.unwrap();
        let mut buffer = [0; 4096];
        while socket.read(&mut buffer).await.is_ok_and(|n| n > 0) {
            if socket.write_all(b"PONG\r\n").await.is_err() {
                return;
            }
        }
    });
    let settings = BusSettings::default().at(&format!("nats://{address}"));
    let bus = connect(&settings).await.unwrap();
    let error = ensure(&bus, &settings).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    says(
        &error.to_string(),
        &["nats-server 2.9.10", "2.12 or newer", "--server"],
    );
    server.abort();
}

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

#[tokio::test]
async fn a_head_of_five_megabytes_over_many_shards_is_read_whole() {
    let server = NatsServer::start();
    let (_, store) = open(&server).await;
    let row = format!("{{\"k\":\"{}\"}}\n", "v".repeat(1000));
    let shards: BTreeMap<u32, Vec<u8>> =
        (0..41).map(|n| (n, row.repeat(125).into_bytes())).collect();
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
    let shards = BTreeMap::from([(0, vec![b'x'; 2 << 20])]);
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
async fn a_shard_that_stands_elsewhere_makes_the_head_invalid() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let mut new = root(1);
    new.shards = vec![ShardPlace::Behind(1)];
    let shards = BTreeMap::from([(0, b"{}".to_vec())]);
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
async fn the_stream_takes_half_of_what_the_account_still_allows() {
    let server = NatsServer::with(
        "jetstream { store_dir: \"STORE\" }
         accounts { A { jetstream: { max_file: 64MB }, users: [{user: a, password: a}] } }
         no_auth_user: a",
    );
    let (bus, _) = open(&server).await;
    let info = ask(&bus, "STREAM.INFO.PROCESS_EVENTS", json!({})).await;
    assert_eq!(info["config"]["max_bytes"], 32 << 20);
}

async fn told(reader: &mut Reader) -> Told {
    timeout(Duration::from_secs(40), reader.next())
        .await
        .expect("nothing was told")
        .unwrap()
}

/// The next so many records; whatever else is told on the way is passed over.
async fn take(reader: &mut Reader, count: usize) -> Vec<Record> {
    let mut records = Vec::new();
    while records.len() < count {
        if let Told::Record(record) = told(reader).await {
            records.push(*record);
        }
    }
    records
}

async fn caught_up(reader: &mut Reader) {
    while !matches!(told(reader).await, Told::CaughtUp(_)) {}
}

async fn until(reader: &mut Reader, wanted: impl Fn(&Told) -> bool) {
    loop {
        let told = told(reader).await;
        if wanted(&told) {
            return;
        }
        assert!(!matches!(told, Told::Record(_)), "{told:?}");
    }
}

fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.envelope.seq).collect()
}

fn reader(bus: &Bus, begin: Begin) -> Reader {
    Reader::live(
        bus,
        DEFAULT_STREAM,
        &Prefix::default(),
        Filter::all(),
        begin,
    )
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
async fn second(server: &NatsServer) -> JetStreamStore {
    let bus = connect(&settings(server)).await.unwrap();
    JetStreamStore::new(bus, DEFAULT_STREAM, Prefix::default())
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
async fn a_restart_with_nothing_delivered_yet_replays_nothing() {
    let mut server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let first = commit(&store, 0, 1, 100).await.unwrap();
    let mut reader = reader(&bus, Begin::Now);
    caught_up(&mut reader).await;
    for kill in [false, true] {
        if kill {
            server.kill()
        } else {
            server.stop()
        }
        until(&mut reader, |told| matches!(told, Told::LinkLost { .. })).await;
        server.again();
        until(&mut reader, |told| matches!(told, Told::LinkBack)).await;
    }
    commit(&store, first, 101, 2).await.unwrap();
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

#[tokio::test]
async fn a_durable_subscription_goes_on_behind_what_was_acknowledged() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let mut base = commit(&store, 0, 1, 3).await.unwrap();
    let durable = || {
        subscribe(&bus, Filter::all())
            .durable("worker")
            .from(Begin::Sequence(1))
    };
    let mut deliveries = durable().open().await.unwrap();
    for seq in 1..=2 {
        let delivery = timeout(LIMIT, deliveries.next()).await.unwrap().unwrap();
        assert_eq!(delivery.record.envelope.seq, seq);
        delivery.ack().await.unwrap();
    }
    // Deleted by somebody: it begins again at what is not acknowledged.
    ask(&bus, "CONSUMER.DELETE.PROCESS_EVENTS.worker", json!({})).await;
    base = commit(&store, base, 4, 2).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let delivery = timeout(LIMIT, deliveries.next()).await.unwrap().unwrap();
        // What the deleted consumer had given already cannot be acknowledged, and so is given again.
        if delivery.ack().await.is_ok() {
            seen.push(delivery.record.envelope.seq);
        }
    }
    assert_eq!(seen, [3, 4, 5]);
    drop(deliveries);
    commit(&store, base, 6, 1).await.unwrap();
    let mut deliveries = durable().open().await.unwrap();
    let delivery = timeout(LIMIT, deliveries.next()).await.unwrap().unwrap();
    assert_eq!(delivery.record.envelope.seq, 6);
    let other = subscribe(&bus, Filter::all().kind("crashed").unwrap())
        .durable("worker")
        .open()
        .await;
    says(
        &other.err().unwrap().to_string(),
        &["durable worker", "another name"],
    );
}

#[tokio::test]
async fn a_durable_subscription_survives_a_restart_of_the_broker() {
    let mut server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let mut deliveries = subscribe(&bus, Filter::all())
        .durable("worker")
        .open()
        .await
        .unwrap();
    let base = commit(&store, 0, 1, 2).await.unwrap();
    for seq in 1..=2 {
        let delivery = timeout(LIMIT, deliveries.next()).await.unwrap().unwrap();
        assert_eq!(delivery.record.envelope.seq, seq);
        delivery.ack().await.unwrap();
    }
    server.kill();
    server.again();
    let other = second(&server).await;
    commit(&other, base, 3, 1).await.unwrap();
    let delivery = timeout(Duration::from_secs(40), deliveries.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(delivery.record.envelope.seq, 3);
}

#[tokio::test]
async fn a_plain_subscription_gives_records() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    commit(&store, 0, 1, 3).await.unwrap();
    let stream = subscribe(&bus, Filter::all())
        .from(Begin::Sequence(1))
        .open()
        .await
        .unwrap()
        .into_stream();
    let all: Vec<_> = timeout(LIMIT, stream.take(3).collect()).await.unwrap();
    let seqs: Vec<_> = all
        .into_iter()
        .map(|delivery| delivery.unwrap().record.envelope.seq)
        .collect();
    assert_eq!(seqs, [1, 2, 3]);
}

/// Builds an example, which a test run narrowed down to this binary does not, and says where it is.
fn example(name: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--offline", "--example", name])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(built.success());
    let folder = Path::new(env!("CARGO_BIN_EXE_observe")).parent().unwrap();
    folder.join("examples").join(name)
}

#[tokio::test]
async fn the_example_prints_a_crash() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let mut child = tokio::process::Command::new(example("on_crash"))
        .env("NATS_URL", server.url())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    timeout(LIMIT, async {
        while ask(&bus, "CONSUMER.NAMES.PROCESS_EVENTS", json!({})).await["total"] != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let root = root(2);
    let all = [
        event("api", EventKind::Started, 1),
        event("api", EventKind::Crashed, 2),
    ];
    let commit = Commit {
        source: "shop",
        root: &root,
        expected: 0,
        shards: &BTreeMap::new(),
        events: &all,
    };
    store.commit(commit).await.unwrap();
    let mut lines = tokio::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(LIMIT, lines.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(line, "\"api\" crashed with None");
    child.kill().await.unwrap();
}
