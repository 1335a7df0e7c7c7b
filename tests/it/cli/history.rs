//! What was told, read back: times, filters, places to go on from.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use observe::bus::connect::Bus;
use serde_json::{Value, json};

use super::run::{Home, Run};
use crate::bus::{ask, open};
use crate::support::nats::NatsServer;

/// A broker whose stream holds what a test writes into it, and a home for readers.
pub(super) struct Shelf {
    pub(super) nats: NatsServer,
    pub(super) home: Home,
    bus: Bus,
    pub(super) seq: u64,
    pub(super) now: DateTime<Utc>,
}

impl Shelf {
    pub(super) async fn new() -> Self {
        let nats = NatsServer::start();
        let (bus, _store) = open(&nats).await;
        Self {
            nats,
            home: Home::new(),
            bus,
            seq: 0,
            now: Utc::now(),
        }
    }

    pub(super) fn url(&self) -> String {
        self.nats.url()
    }

    /// Stores an event that was observed so many minutes ago.
    pub(super) async fn tell(&mut self, kind: &str, process: &str, minutes: i64) {
        self.put(kind, process, minutes, json!({})).await;
    }

    pub(super) async fn put(&mut self, kind: &str, process: &str, minutes: i64, more: Value) {
        self.seq += 1;
        let at = self.now - TimeDelta::minutes(minutes);
        let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let subject = match process {
            "" => format!("core.source.shop.{kind}"),
            name => format!("core.process.default.{name}.{kind}"),
        };
        let mut event = json!({
            "type": kind, "timestamp": at, "subject": subject, "severity": "info", "schema": 1,
            "id": format!("shop.j.{}", self.seq), "source": "shop", "journal": "j", "seq": self.seq,
            "origin": "change", "reason": "test", "certainty": "certain",
            "occurred": { "after": null, "before": at }, "count": 1,
        });
        if !process.is_empty() {
            event["process"] = process.into();
            event["namespace"] = "default".into();
            event["state"] = json!({
                "name": process, "namespace": "default", "status": "Running", "is_ready": "-",
                "has_ready_probe": false, "restarts": 0, "exit_code": 0, "is_running": true, "replicas": 1,
            });
        }
        for (key, value) in more.as_object().unwrap() {
            event[key] = value.clone();
        }
        self.store(&subject, &event.to_string()).await;
    }

    /// Stores a text as it stands.
    pub(super) async fn store(&self, subject: &str, text: &str) {
        let context = async_nats::jetstream::new(self.bus.client().clone());
        let stored = context
            .publish(subject.to_owned(), text.to_owned().into())
            .await;
        stored.unwrap().await.unwrap();
    }

    pub(super) fn run(&self, more: &[&str]) -> Run {
        let url = self.nats.url();
        self.home.run(&[&["history", "-s", &url], more].concat())
    }

    /// The numbers it prints as JSON, in their order.
    async fn numbers(&self, more: &[&str]) -> Vec<u64> {
        let mut run = self.run(&[&["--json"], more].concat());
        assert_eq!(run.ends().await, 0, "{more:?}: {:?}", run.err.all());
        numbers(&run)
    }

    /// One event in each of the last minutes, the oldest first: number 1 was so many minutes ago.
    pub(super) async fn minutes(count: i64) -> Self {
        let mut shelf = Self::new().await;
        for minutes in (1..=count).rev() {
            shelf.tell("started", "api", minutes).await;
        }
        shelf
    }
}

pub(super) fn numbers(run: &Run) -> Vec<u64> {
    let number = |line: &String| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["seq"].as_u64().unwrap()
    };
    run.out.all().iter().map(number).collect()
}

/// The cursor it said.
fn cursor(run: &Run) -> String {
    let said = run.err.all();
    let found = said.iter().find_map(|line| line.strip_prefix("cursor: "));
    found.unwrap_or_else(|| panic!("{said:?}")).to_owned()
}

#[tokio::test]
async fn times_mean_when_it_was_observed_in_whatever_form_they_are_given() {
    let shelf = Shelf::minutes(90).await;
    let full = |minutes: i64| (shelf.now - TimeDelta::seconds(60 * minutes + 30)).to_rfc3339();
    let unix = |minutes: i64| {
        format!(
            "@{}",
            (shelf.now - TimeDelta::seconds(60 * minutes + 30)).timestamp()
        )
    };
    let clock = shelf.now - TimeDelta::seconds(150);
    for (args, wanted) in [
        (vec!["--since", "150s"], vec![89, 90]),
        (vec!["-S", "2min 30s ago"], vec![89, 90]),
        (vec!["--since=-150s"], vec![89, 90]),
        (vec!["--since", &full(2)], vec![89, 90]),
        (vec!["--since", &unix(2)], vec![89, 90]),
        (
            vec!["--since", &full(5), "--until", &full(2)],
            vec![86, 87, 88],
        ),
        (
            vec!["-S", &full(5), "-U", &full(2), "--reverse"],
            vec![88, 87, 86],
        ),
        (
            vec!["-S", &full(5), "-U", &full(2), "-n", "2"],
            vec![87, 88],
        ),
        (vec!["-U", &full(87)], vec![1, 2, 3]),
        (vec!["--since", "yesterday", "-n", "1"], vec![90]),
        (
            vec![
                "--time",
                "utc",
                "--since",
                &clock.format("%F %H:%M:%S").to_string(),
            ],
            vec![89, 90],
        ),
    ] {
        assert_eq!(shelf.numbers(&args).await, wanted, "{args:?}");
    }
    let today = shelf.numbers(&["--since", "today", "--time", "utc"]).await;
    let midnight = shelf.now.format("%F").to_string();
    assert_eq!(
        today,
        shelf.numbers(&["-S", &midnight, "--time", "utc"]).await
    );
    assert_eq!(shelf.numbers(&[]).await, (1..=90).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_cannot_be_a_time_or_a_cursor_is_refused_before_anybody_is_asked() {
    let home = Home::new();
    for (args, words) in [
        (["--since", "soon"], "'10 min ago'"),
        (["--until", "25:00"], "yesterday"),
        (["--since", "2100-01-01"], "future"),
        (["--after-cursor", "o1-x-3-y"], "no cursor"),
        (["-n", "0"], "--last"),
        (["-n", "10001"], "10000"),
        (["-o", "yaml"], "json"),
    ] {
        let args = ["history", "-s", "nats://127.0.0.1:1", args[0], args[1]];
        let mut run = home.run(&args);
        assert_eq!(run.ends().await, 2, "{args:?}: {:?}", run.err.all());
        assert!(
            run.err.all()[0].contains(words),
            "{args:?}: {:?}",
            run.err.all()
        );
    }
    let mut run = home.run(&["history", "-s", "nats://127.0.0.1:1"]);
    let (code, line) = run.refused().await;
    assert_eq!(code, 4, "{line}");
}

#[tokio::test]
async fn filters_narrow_and_the_last_the_first_and_the_order_are_chosen() {
    let mut shelf = Shelf::minutes(600).await;
    shelf.tell("crashed", "web", 0).await;
    shelf.tell("started", "web", 0).await;
    for (args, wanted) in [
        (vec!["web"], vec![601, 602]),
        (vec!["--type", "crashed"], vec![601]),
        (
            vec!["--type", "crashed,started", "w*", "--reverse"],
            vec![602, 601],
        ),
        (vec!["-n", "2"], vec![601, 602]),
        (vec!["-n", "2", "--reverse"], vec![602, 601]),
        (vec!["--reverse", "--count", "3"], vec![602, 601, 600]),
        (vec!["--count", "2"], vec![1, 2]),
        (vec!["-n", "3", "api"], vec![598, 599, 600]),
        (vec!["--severity", "critical"], vec![]),
    ] {
        assert_eq!(shelf.numbers(&args).await, wanted, "{args:?}");
    }
    let mut whole: Vec<u64> = (1..=602).collect();
    assert_eq!(shelf.numbers(&["-n", "10000"]).await, whole);
    whole.reverse();
    assert_eq!(shelf.numbers(&["--reverse"]).await, whole);
}

#[tokio::test]
async fn a_cursor_goes_on_without_a_hole_and_without_a_repeat() {
    let mut shelf = Shelf::minutes(5).await;
    let file = shelf.home.path().join("place");
    let file = file.to_str().unwrap();
    assert_eq!(
        shelf
            .numbers(&["--cursor-file", file, "--count", "2"])
            .await,
        [1, 2]
    );
    assert_eq!(shelf.numbers(&["--cursor-file", file]).await, [3, 4, 5]);
    assert!(shelf.numbers(&["--cursor-file", file]).await.is_empty());
    shelf.tell("crashed", "api", 0).await;
    // What another filter leaves out is passed by it.
    assert!(
        shelf
            .numbers(&["--cursor-file", file, "web"])
            .await
            .is_empty()
    );
    assert!(shelf.numbers(&["--cursor-file", file]).await.is_empty());
    let mut first = shelf.run(&["--json", "--count", "4", "--show-cursor"]);
    assert_eq!(first.ends().await, 0);
    let place = cursor(&first);
    assert_eq!(shelf.numbers(&["--after-cursor", &place]).await, [5, 6]);
    assert_eq!(
        shelf.numbers(&["--after-cursor", &place, "-n", "1"]).await,
        [6]
    );
    // A stream of the same name that was made anew is another place.
    ask(&shelf.bus, "STREAM.DELETE.PROCESS_EVENTS", json!({})).await;
    let (bus, _store) = open(&shelf.nats).await;
    shelf.bus = bus;
    let (code, line) = shelf.run(&["--after-cursor", &place]).refused().await;
    assert_eq!(code, 1, "{line}");
    assert!(line.contains("another stream"), "{line}");
}

#[tokio::test]
async fn an_event_that_was_told_late_says_so_and_an_unwatched_stretch_is_shown() {
    let mut shelf = Shelf::new().await;
    shelf.tell("started", "api", 30).await;
    let (from, to) = (
        shelf.now - TimeDelta::minutes(20),
        shelf.now - TimeDelta::minutes(10),
    );
    let gap = json!({ "reason": "adapter_down", "gap": { "from": from, "to": to, "why": "adapter_down" } });
    shelf.put("gap", "", 10, gap).await;
    shelf.tell("started", "web", 0).await;
    let mut run = shelf.run(&["api", "web"]);
    assert_eq!(run.ends().await, 0);
    let lines = run.out.all();
    assert!(lines[0].contains("told 30 min late"), "{lines:#?}");
    assert!(lines[1].contains("nobody looked"), "{lines:#?}");
    assert!(!lines[2].contains("late"), "{lines:#?}");
    assert_eq!(shelf.numbers(&["web"]).await, [3]);
    assert_eq!(shelf.numbers(&["web", "--gaps"]).await, [2, 3]);
}

#[tokio::test]
async fn an_empty_answer_says_whether_the_time_was_watched() {
    let mut shelf = Shelf::new().await;
    let mut run = shelf.run(&[]);
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    assert_eq!(
        run.err.count("nothing is kept at all"),
        1,
        "{:?}",
        run.err.all()
    );
    shelf.tell("started", "api", 30).await;
    let mut run = shelf.run(&["--since", "1h", "--type", "crashed"]);
    assert_eq!(run.ends().await, 0);
    let said = run.err.all().join("\n");
    for words in [
        "no event matches type=crashed",
        "holds nothing from before",
        "no interruption",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    shelf.tell("disconnected", "", 20).await;
    let mut run = shelf.run(&["--since", "40m", "--type", "crashed", "--json"]);
    assert_eq!(run.ends().await, 0);
    let said = run.err.all().join("\n");
    assert!(said.contains("not all of that time was watched"), "{said}");
}
