//! The stream: made, found, brought up to date, refused.

use std::time::Duration;

use observe::bus::connect::connect;
use observe::bus::error::{BusError, Kind};
use observe::bus::publish::JetStreamStore;
use observe::bus::settings::{BusSettings, DEFAULT_STREAM, StreamSetup};
use observe::bus::stream::{Ensured, ensure};
use observe::event::subject::Prefix;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;
use crate::support::nats::NatsServer;

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
