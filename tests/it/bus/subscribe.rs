//! Subscriptions for programs of others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt;
use observe::bus::read::Begin;
use observe::bus::subscribe::subscribe;
use observe::event::filter::Filter;
use observe::event::payload::Kind as EventKind;
use observe::event::store::{Commit, EventStore};
use serde_json::json;
use tokio::io::AsyncBufReadExt;
use tokio::time::timeout;

use super::*;
use crate::support::nats::NatsServer;

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
    // A broker that is killed may forget an acknowledgement it gave a moment before; what it forgets comes again.
    loop {
        let delivery = timeout(Duration::from_secs(40), deliveries.next())
            .await
            .unwrap()
            .unwrap();
        match delivery.record.envelope.seq {
            3 => break,
            seq => assert!((1..=2).contains(&seq), "{seq} was never stored"),
        }
        delivery.ack().await.unwrap();
    }
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
    let mut build = Command::new(cargo);
    build
        .args(["build", "--quiet", "--offline", "--example", name])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    // What cargo tells a test about its package, build scripts would take for a change and build anew.
    let told = [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
    ];
    for (key, _) in std::env::vars_os() {
        if told
            .iter()
            .any(|prefix| key.to_string_lossy().starts_with(prefix))
        {
            build.env_remove(key);
        }
    }
    let built = build.status().unwrap();
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
