//! What was told, read back: times, filters, faces, places to go on from.

use std::process::{Command, Stdio};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use observe::bus::connect::Bus;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::run::{Home, LIMIT, OBSERVE, Run};
use super::stack::Stack;
use super::terminal::Terminal;
use crate::bus::{ask, commit, open};
use crate::support::nats::{self, NatsServer};
use crate::support::wait::until;

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
        let context = async_nats::jetstream::new(self.bus.client().clone());
        let stored = context.publish(subject, event.to_string().into()).await;
        stored.unwrap().await.unwrap();
    }

    fn run(&self, more: &[&str]) -> Run {
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
    async fn minutes(count: i64) -> Self {
        let mut shelf = Self::new().await;
        for minutes in (1..=count).rev() {
            shelf.tell("started", "api", minutes).await;
        }
        shelf
    }
}

fn numbers(run: &Run) -> Vec<u64> {
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

#[tokio::test]
async fn a_long_stream_is_read_in_pieces_to_its_end_and_no_further() {
    let nats = NatsServer::start();
    let (_bus, store) = open(&nats).await;
    let mut base = 0;
    for first in [1, 901, 1801] {
        base = commit(&store, base, first, 900).await.unwrap();
    }
    let (home, url) = (Home::new(), nats.url());
    let mut wanted: Vec<u64> = (1..=2700).collect();
    for more in [
        &[][..],
        &["-n", "10000"],
        &["--since", "2026-08-20", "-U", "2026-08-21"],
    ] {
        let mut run = home.run(&[&["history", "-s", &url, "--json"], more].concat());
        assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
        assert!(numbers(&run) == wanted, "{more:?}: {}", run.out.all().len());
    }
    wanted.reverse();
    let mut run = home.run(&["history", "-s", &url, "--json", "--reverse"]);
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    assert!(numbers(&run) == wanted, "{}", run.out.all().len());
}

#[tokio::test]
async fn the_lines_of_two_that_write_into_one_pipe_stay_whole() {
    let nats = NatsServer::start();
    let (_bus, store) = open(&nats).await;
    let mut base = 0;
    for first in [1, 901, 1801] {
        base = commit(&store, base, first, 900).await.unwrap();
    }
    let home = Home::new();
    let one = r#""$0" history -s "$1" --json"#;
    // A reader that is slow lets the pipe run full, and then makes room for a piece of what waits.
    let script = format!("{{ {one} & {one} & wait; }} | {{ sleep 1; dd bs=1500 status=none; }}");
    let mut shell = Command::new("bash");
    shell
        .args(["-c", &script, OBSERVE, &nats.url()])
        .env_clear()
        .envs(home.environment())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut run = Run::of(&mut shell);
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    let mut found = numbers(&run);
    found.sort_unstable();
    let wanted: Vec<u64> = (1..=2700).flat_map(|number| [number, number]).collect();
    assert!(found == wanted, "{}", found.len());
}

#[tokio::test]
async fn a_reader_that_leaves_is_success_and_a_signal_ends_it() {
    let shelf = Shelf::minutes(600).await;
    let url = shelf.url();
    let script = format!("{} history -s {url} | head -3", super::run::OBSERVE);
    let mut command = std::process::Command::new("bash");
    command.args(["-o", "pipefail", "-c", &script]);
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut run = Run::of(&mut command);
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    assert_eq!(run.out.all().len(), 3);
    let wide = ["history", "-s", &url, "-o", "wide"];
    let mut stuck = Run::unread(&mut shelf.home.command(&wide));
    until(LIMIT, "a process", async || stuck.is_running()).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(stuck.end_by(Signal::TERM).await, 143);
}

#[tokio::test]
async fn a_watch_since_a_time_goes_on_live_without_a_seam() {
    let mut shelf = Shelf::minutes(20).await;
    let url = shelf.url();
    let args = ["watch", "-s", &url, "--json", "--since", "630s"];
    let watch = shelf.home.run(&args);
    watch.tells("\"seq\":11").await;
    for _ in 0..5 {
        shelf.tell("started", "api", 0).await;
    }
    // What was observed before and is told only now is none of its business.
    shelf.tell("started", "late", 15).await;
    shelf.tell("started", "last", 0).await;
    watch.tells("last").await;
    let wanted: Vec<u64> = (11..=25).chain([27]).collect();
    assert_eq!(numbers(&watch), wanted);
}

#[tokio::test]
async fn on_a_terminal_repeats_fold_and_the_last_hundred_are_shown() {
    let mut shelf = Shelf::minutes(150).await;
    for _ in 0..14 {
        shelf.tell("crashed", "web", 0).await;
        shelf.tell("restarted", "web", 0).await;
    }
    let url = shelf.url();
    let args = ["history", "-s", &url];
    let mut terminal = Terminal::run(&shelf.home, &args, &[("LANG", "C.UTF-8")]);
    assert_eq!(terminal.ends().await, 0);
    terminal.shows("the last 100").await;
    let rows = terminal.rows();
    assert_eq!(rows.len(), 4, "{rows:#?}");
    let shown = |row: &str, word: &str, count: &str| row.contains(word) && row.contains(count);
    assert!(shown(&rows[0], "started    api", "×72"), "{rows:#?}");
    assert!(shown(&rows[1], "crashed    web", "×14"), "{rows:#?}");
    assert!(shown(&rows[2], "restarted  web", "×14"), "{rows:#?}");
    let mut pipe = shelf.run(&[]);
    assert_eq!(pipe.ends().await, 0);
    assert_eq!(pipe.out.all().len(), 178);
}

#[tokio::test]
async fn every_face_has_a_line_for_an_event_and_a_template_is_checked_first() {
    let shelf = Shelf::minutes(1).await;
    for (face, wanted) in [
        ("text", "started    api"),
        ("wide", "shop.j.1"),
        ("json", "\"seq\":1,"),
        ("raw", "\"seq\":1,"),
        ("cloudevents", "\"type\":\"observe.process.started\""),
        ("template={source}/{process}#{seq}", "shop/api#1"),
    ] {
        let mut run = shelf.run(&["-o", face]);
        assert_eq!(run.ends().await, 0, "{face}: {:?}", run.err.all());
        let lines = run.out.all();
        assert!(
            lines.len() == 1 && lines[0].contains(wanted),
            "{face}: {lines:?}"
        );
    }
    for command in ["history", "watch"] {
        for (template, wanted) in [("{nmae}", "exit.code"), ("{type", "brace"), ("", "empty")] {
            let face = format!("template={template}");
            let args = [command, "-s", "nats://127.0.0.1:1", "-o", &face];
            let mut run = shelf.home.run(&args);
            assert_eq!(run.ends().await, 2, "{face}");
            assert!(run.err.all()[0].contains(wanted), "{:?}", run.err.all());
        }
    }
}

#[tokio::test]
async fn yesterday_is_still_there_after_up_and_its_broker_have_ended() {
    let (home, stack) = (Home::new(), Stack::shop().await);
    let server = nats::binary().display().to_string();
    let none = home
        .run(&["history", "--nats-server", &server])
        .refused()
        .await;
    assert_eq!(none.0, 4, "{}", none.1);
    assert!(none.1.contains("observe up"), "{}", none.1);
    let args = [
        "up",
        "-p",
        &stack.port,
        "--nats-server",
        &server,
        "--interval",
        "250ms",
    ];
    let mut up = home.run(&args);
    up.tells("started    worker").await;
    assert_eq!(up.end_by(Signal::TERM).await, 143);
    assert_eq!(home.run(&["broker", "stop"]).ends().await, 0);
    let mut run = home.run(&["history", "worker", "--nats-server", &server]);
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    assert_eq!(run.err.count("started for this"), 1, "{:?}", run.err.all());
    assert_eq!(run.out.count("started    worker"), 1, "{:?}", run.out.all());
    assert_eq!(home.run(&["broker", "stop"]).ends().await, 0);
}
