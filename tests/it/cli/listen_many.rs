//! What an adapter of several stacks shows while one of them cannot be looked at.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::run::{Home, LIMIT, Run};
use super::stack::{SHOP, Stack, builder};
use crate::support::nats::NatsServer;

/// An adapter for the stacks of a file, and where it listens.
struct Shown {
    file: PathBuf,
    run: Run,
    port: String,
    _home: Home,
    _nats: NatsServer,
}

impl Shown {
    /// Of stacks with these names at these ports.
    async fn of(stacks: &[(&str, &str)]) -> Self {
        Self::with(stacks, &[]).await
    }

    async fn with(stacks: &[(&str, &str)], more: &[&str]) -> Self {
        let (home, nats) = (Home::new(), NatsServer::start());
        let file = home.path().join("observe.yaml");
        write(&file, stacks);
        let url = nats.url();
        let usual = ["adapter", "-s", &url, "--listen", "127.0.0.1:0"];
        let run = home.run(&[&usual, more].concat());
        let line = run.says("listening at http://").await;
        Self {
            file,
            port: line.rsplit(':').next().unwrap().to_owned(),
            run,
            _home: home,
            _nats: nats,
        }
    }

    /// The number and the body of an answer.
    async fn get(&self, target: &str) -> (u16, String) {
        let place = format!("127.0.0.1:{}", self.port);
        let mut pipe = TcpStream::connect(place).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        pipe.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        pipe.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    /// Asks for health until it is as it should be.
    async fn health(&self, wanted: impl Fn(u16, &Value) -> bool) -> Value {
        let end = tokio::time::Instant::now() + LIMIT;
        loop {
            let (status, body) = self.get("/health").await;
            let health: Value = serde_json::from_str(&body).unwrap();
            if wanted(status, &health) {
                return health;
            }
            let now = tokio::time::Instant::now();
            assert!(now < end, "{health:#}; {:#?}", self.run.err.all());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Whole at once, as an editor does it.
fn write(file: &PathBuf, stacks: &[(&str, &str)]) {
    let lines = stacks
        .iter()
        .map(|(name, port)| format!("  - {{name: {name}, address: '127.0.0.1:{port}'}}\n"));
    let text = format!("version: 1\nsources:\n{}", lines.collect::<String>());
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

/// Each source with whether it is ready.
fn ready(health: &Value) -> Vec<(&str, bool)> {
    let sources = health["sources"].as_array().unwrap();
    let of = |one: &'_ Value| one["ready"].as_bool().unwrap();
    let all = sources.iter();
    all.map(|one| (one["source"].as_str().unwrap(), of(one)))
        .collect()
}

/// Whether `shop` is looked at and told.
fn shop_is_ready(health: &Value) -> bool {
    ready(health).contains(&("shop", true))
}

#[tokio::test]
async fn a_stack_that_was_never_reached_keeps_the_others_from_being_all() {
    let stack = Stack::shop().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = nobody.local_addr().unwrap().port().to_string();
    drop(nobody);
    let stacks = [("shop", &*stack.port), ("lab", &*port)];
    let shown = Shown::of(&stacks).await;
    let health = shown.health(|_, health| shop_is_ready(health)).await;
    assert_eq!(ready(&health), [("lab", false), ("shop", true)]);
    assert_eq!(
        (&health["ready"], &health["connected"], &health["live"]),
        (&false.into(), &false.into(), &true.into()),
        "{health:#}"
    );
    assert!(
        health["reasons"].to_string().contains("lab: "),
        "{health:#}"
    );
    assert_eq!(shown.get("/health").await.0, 503);
    assert_eq!(shown.get("/health/live").await.0, 200);
    assert_eq!(shown.get("/health?source=shop").await.0, 200);
    assert_eq!(shown.get("/health?source=lab").await.0, 503);
    let (_, snapshot) = shown.get("/snapshot?source=lab").await;
    assert!(snapshot.contains("\"standing\"") && !snapshot.contains("\"processes\""));
    let (_, figures) = shown.get("/metrics").await;
    for line in [
        "observe_sources 2",
        "observe_source_ready{source=\"lab\"} 0",
        "observe_source_ready{source=\"shop\"} 1",
        "observe_source_live{source=\"lab\"} 1",
    ] {
        assert!(figures.lines().any(|one| one == line), "{line}: {figures}");
    }

    write(&shown.file, &stacks[..1]);
    let all = |status, health: &Value| status == 200 && ready(health) == [("shop", true)];
    shown.health(all).await;
}

#[tokio::test]
async fn a_stack_that_has_told_no_name_yet_is_missed_by_its_place() {
    let stack = Stack::shop().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = nobody.local_addr().unwrap().port().to_string();
    drop(nobody);
    let shown = Shown::with(&[], &["--stack", &stack.port, "--stack", &port]).await;
    let health = shown.health(|_, health| shop_is_ready(health)).await;
    assert_eq!(ready(&health), [("shop", true)]);
    assert_eq!(
        (&health["ready"], &health["connected"], &health["live"]),
        (&false.into(), &false.into(), &true.into()),
        "{health:#}"
    );
    let reasons = health["reasons"].as_array().unwrap();
    let why = reasons[0].as_str().unwrap();
    assert!(
        reasons.len() == 1 && why.contains(&port) && why.contains("has not answered"),
        "{health:#}"
    );
    assert_eq!(shown.get("/health").await.0, 503);
    assert_eq!(shown.get("/health/live").await.0, 200);
    assert_eq!(shown.get("/health?source=shop").await.0, 200);
}

#[tokio::test]
async fn a_stack_that_refuses_us_is_named_with_its_reason_until_it_leaves() {
    let secret = "a-token-of-more-than-twenty-characters";
    let stack = Stack::shop().await;
    let closed = Stack::serve(builder(SHOP).token(secret)).await;
    let stacks = [("shop", &*stack.port), ("lab", &*closed.port)];
    let shown = Shown::of(&stacks).await;
    let why = |health: &Value| health["reasons"].to_string();
    let health = shown
        .health(|_, health| shop_is_ready(health) && why(health).contains("401"))
        .await;
    assert_eq!(ready(&health), [("lab", false), ("shop", true)]);
    assert_eq!(shown.get("/health").await.0, 503);
    // It rests, and nobody is told that a stack leaves that rests.
    write(&shown.file, &stacks[..1]);
    let all = |status, health: &Value| status == 200 && ready(health) == [("shop", true)];
    shown.health(all).await;
}
