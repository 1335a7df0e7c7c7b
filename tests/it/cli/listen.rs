//! What an adapter shows to those who ask: what it knows, what it told, and its figures.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::house::{House, events};
use super::run::{LIMIT, Run};
use crate::support::wait::until;

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(of, _)| of.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

pub(super) async fn exchange(
    mut pipe: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
) -> Answer {
    pipe.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    pipe.read_to_end(&mut text).await.unwrap();
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{text:?}"));
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// An adapter that listens at a port of this machine.
pub(super) struct Shown {
    pub(super) house: House,
    pub(super) run: Run,
    pub(super) port: u16,
}

/// The port of the first line that names one.
pub(super) async fn port(run: &Run) -> u16 {
    let line = run.says("listening at http://").await;
    line.rsplit(':').next().unwrap().parse().unwrap()
}

impl Shown {
    pub(super) async fn new(more: &[&str]) -> Self {
        let house = House::new().await;
        let run = house
            .working(&[&["--listen", "127.0.0.1:0"], more].concat())
            .await;
        let port = port(&run).await;
        Self { house, run, port }
    }

    pub(super) async fn pipe(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    async fn ask(&self, target: &str, more: &str) -> Answer {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n");
        exchange(self.pipe().await, &request).await
    }

    pub(super) async fn get(&self, target: &str) -> Answer {
        self.ask(target, "").await
    }

    /// Asks until the answer is as it should be.
    pub(super) async fn until(&self, target: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let end = tokio::time::Instant::now() + LIMIT;
        loop {
            let answer = self.get(target).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(tokio::time::Instant::now() < end, "{target}: {answer:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The value of a figure, by its name and labels as they are written.
    pub(super) async fn figure(&self, name: &str) -> f64 {
        figure(&self.get("/metrics").await.body, name)
    }
}

pub(super) fn figure(text: &str, name: &str) -> f64 {
    let mut lines = text.lines().filter_map(|line| line.rsplit_once(' '));
    let found = lines.find(|(of, _)| *of == name);
    found
        .unwrap_or_else(|| panic!("{name} in {text}"))
        .1
        .parse()
        .unwrap()
}

#[tokio::test]
async fn every_question_of_the_manifest_is_answered() {
    let shown = Shown::new(&[]).await;
    shown.until("/health", |answer| answer.status == 200).await;
    let manifest = shown.get("/manifest").await.json();
    let endpoints = manifest["endpoints"].as_array().unwrap();
    assert_eq!(endpoints.len(), 7);
    for endpoint in endpoints {
        let path = endpoint["path"].as_str().unwrap();
        let answer = shown.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
        if path != "/metrics" {
            assert_eq!(answer.json()["schema"], 1, "{path}");
        }
    }
    let health = shown.get("/health").await.json();
    assert_eq!(health["connected"], true);
    assert_eq!(health["sources"][0]["doing"], "telling");
    let snapshot = shown.get("/snapshot?source=shop").await.json();
    let names: Vec<_> = snapshot["sources"][0]["processes"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    let names: Vec<_> = names
        .iter()
        .map(|one| one["process"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["api", "web", "worker"]);
    assert_eq!(snapshot["sources"][0]["processes"][0]["known"], "now");
    for (target, status) in [
        ("/", 404),
        ("/snapshot?source=lab", 404),
        ("/snapshot?sauce=shop", 400),
        ("/events?limit=0", 400),
        ("/events?limit=1001", 400),
        ("/events?after=x", 400),
    ] {
        let answer = shown.get(target).await;
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(answer.json()["type"], "error", "{target}");
    }
}

#[tokio::test]
async fn what_was_told_is_pulled_by_cursor_as_it_stands_in_the_stream() {
    let shown = Shown::new(&[]).await;
    shown.house.stack.exit("worker", 3).await;
    shown.house.tells("restarted", "worker", 1).await;
    let stored = events(&shown.house.nats).await;
    let (mut cursor, mut pulled) = (String::new(), Vec::new());
    until(LIMIT, "all events", async || {
        let page = shown
            .get(&format!("/events?limit=2&after={cursor}"))
            .await
            .json();
        cursor = page["cursor"].as_str().unwrap().to_owned();
        pulled.extend(page["events"].as_array().unwrap().clone());
        pulled.len() >= stored.len()
    })
    .await;
    let stored: Vec<_> = stored
        .iter()
        .map(|event| serde_json::to_value(event).unwrap())
        .collect();
    assert_eq!(pulled[..stored.len()], stored);

    let target = format!("/events?after={cursor}");
    let first = shown
        .until(&target, |answer| answer.json()["more"] == false)
        .await;
    let tag = first.header("etag").unwrap();
    let same = shown
        .ask(&target, &format!("If-None-Match: {tag}\r\n"))
        .await;
    assert_eq!((same.status, same.body.as_str()), (304, ""));
    shown.house.stack.exit("worker", 3).await;
    let other = |answer: &Answer| answer.header("etag") != Some(tag);
    let next = shown.until(&target, other).await;
    assert_eq!(next.json()["events"][0]["process"], "worker");
    let asked = shown
        .ask(&target, &format!("If-None-Match: {tag}\r\n"))
        .await;
    assert_eq!(asked.status, 200);
}

#[tokio::test]
async fn a_cursor_of_another_run_is_said_to_be_one() {
    let mut shown = Shown::new(&[]).await;
    let page = shown.get("/events?limit=1").await.json();
    let cursor = page["cursor"].as_str().unwrap();
    assert_eq!(shown.run.end_by(Signal::TERM).await, 143);
    shown.run = shown.house.adapter(&["--listen", "127.0.0.1:0"]);
    shown.port = port(&shown.run).await;
    // As many are told again, so that the number alone would say nothing.
    shown.house.stack.exit("worker", 3).await;
    let told = |answer: &Answer| answer.json()["events"].as_array().unwrap().len();
    shown.until("/events", |answer| told(answer) >= 2).await;
    let answer = shown.get(&format!("/events?after={cursor}")).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (410, &"other_run".into())
    );
    let oldest = answer.json()["oldest"].as_str().unwrap().to_owned();
    assert_eq!(
        shown.get(&format!("/events?after={oldest}")).await.status,
        200
    );
}

/// The names of ours that a text mentions.
fn names(text: &str) -> BTreeSet<&str> {
    let parts = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    parts.filter(|part| part.starts_with("observe_")).collect()
}

#[tokio::test]
async fn the_examples_for_prometheus_and_grafana_name_figures_that_there_are() {
    let shown = Shown::new(&[]).await;
    shown.until("/health", |answer| answer.status == 200).await;
    let text = shown.get("/metrics").await.body;
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let there: BTreeSet<&str> = samples
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (example, at_least) in [
        ("prometheus/observe.rules.yml", 4),
        ("grafana/observe.json", 14),
    ] {
        let example = std::fs::read_to_string(root.join("examples").join(example)).unwrap();
        let named = names(&example);
        assert!(named.len() >= at_least, "{named:?}");
        assert!(named.is_subset(&there), "{:?}", named.difference(&there));
    }
    let dashboard = std::fs::read_to_string(root.join("examples/grafana/observe.json")).unwrap();
    serde_json::from_str::<Value>(&dashboard).unwrap();
    let documents = std::fs::read_to_string(root.join("docs/operations.md")).unwrap();
    let documented = names(&documents);
    let families: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    assert!(
        families.is_subset(&documented),
        "{:?}",
        families.difference(&documented)
    );
}
