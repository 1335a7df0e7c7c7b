//! Figures about processes: of a stack that really lived, and of a night that was written down.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use observe::event::envelope::Envelope;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::history::Shelf;
use super::house::House;
use super::run::{Home, Run};
use super::stack::Stack;
use super::terminal::Terminal;
use crate::support::nats;

/// What it prints as JSON.
async fn object(mut run: Run) -> Value {
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    let lines = run.out.all();
    assert_eq!(lines.len(), 1, "{lines:?}");
    serde_json::from_str(&lines[0]).unwrap()
}

/// The figures of a process.
fn figures<'a>(report: &'a Value, process: &str) -> &'a Value {
    let lines = report["lines"].as_array().unwrap();
    let line = lines.iter().find(|line| line["process"] == process);
    &line.unwrap_or_else(|| panic!("{report:#}"))["figures"]
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// A stack whose worker crashed twice, and whose api ended in order.
async fn lived() -> (House, Run) {
    let house = House::new().await;
    let adapter = house.working(&[]).await;
    for times in 1..=2 {
        house.stack.exit("worker", 3).await;
        house.tells("restarted", "worker", times).await;
    }
    house.stack.exit("api", 0).await;
    house.tells("stopped", "api", 1).await;
    (house, adapter)
}

async fn last_hour(house: &House, more: &[&str]) -> Value {
    let url = house.nats.url();
    let usual = ["stats", "-s", &url, "--since", "1h", "--json"];
    object(house.home.run(&[&usual, more].concat())).await
}

/// How long the range is, in milliseconds.
fn length(report: &Value) -> u64 {
    let time = |key: &str| -> DateTime<Utc> { report[key].as_str().unwrap().parse().unwrap() };
    u64::try_from((time("to") - time("from")).num_milliseconds()).unwrap()
}

#[tokio::test]
async fn the_figures_of_a_stack_are_those_of_its_events() {
    let (house, _adapter) = lived().await;
    let told = house.told(1).await;
    let report = last_hour(&house, &[]).await;
    let worker = figures(&report, "worker");
    for (kind, key) in [("crashed", "crashes"), ("restarted", "restarts")] {
        let of_worker = |event: &&Envelope| event.process.as_deref() == Some("worker");
        let events = told.iter().filter(of_worker);
        let events = events.filter(|event| event.kind.as_str() == kind);
        let wanted: u64 = events.map(|event| u64::from(event.count)).sum();
        assert_eq!(number(&worker[key]["total"]), wanted, "{report:#}");
        assert!(wanted >= 2, "{wanted} {kind}");
    }
    let exits = json!([{"code": 3, "signal": null, "count": 2}]);
    assert_eq!(worker["exits"], exits);
    let api = figures(&report, "api");
    assert_eq!(number(&api["stops"]["total"]), 1);
    assert_eq!(api["exits"][0]["code"], 0);
    let web = figures(&report, "web");
    let never_down = (number(&web["down_ms"]), &web["up_share"]);
    assert_eq!(never_down, (0, &json!(1.0)));
    // Before the first look nobody knows anything, and each moment is one of the three.
    for process in ["api", "worker", "web"] {
        let all = ["up_ms", "down_ms", "unknown_ms"];
        let all = all.map(|key| number(&figures(&report, process)[key]));
        assert_eq!(all.iter().sum::<u64>(), length(&report));
        assert!(all[2] > 3_000_000 && all[2] < 3_600_000, "{all:?}");
    }
}

#[tokio::test]
async fn coarser_lines_are_the_sum_of_finer_ones_and_a_choice_narrows_them() {
    let (house, _adapter) = lived().await;
    let report = last_hour(&house, &[]).await;
    for by in ["namespace", "source"] {
        let coarse = last_hour(&house, &["--by", by]).await;
        let lines = coarse["lines"].as_array().unwrap().iter();
        let crashes: u64 = lines
            .map(|line| number(&line["figures"]["crashes"]["total"]))
            .sum();
        let wanted = number(&report["total"]["crashes"]["total"]);
        assert_eq!(crashes, wanted, "{coarse:#}");
        assert_eq!(coarse["total"]["processes"], 3);
    }
    let names = |report: &Value| {
        let lines = report["lines"].as_array().unwrap().iter();
        let names = lines.map(|line| line["process"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let chosen = last_hour(&house, &["w*", "-N", "front"]).await;
    assert_eq!(names(&chosen), ["web"]);
    let nobody = last_hour(&house, &["nobody"]).await;
    assert_eq!(names(&nobody), [""; 0]);
}

/// A night of two processes: a source that was found 90 minutes ago, and that nobody watched for ten minutes.
async fn night() -> Shelf {
    let mut shelf = Shelf::new().await;
    let first = json!({"origin": "initial", "reason": "first_contact"});
    shelf.put("connected", "", 90, first).await;
    let found = json!({"origin": "initial", "reason": "present"});
    for process in ["api", "worker"] {
        shelf.put("started", process, 90, found.clone()).await;
    }
    let previous = |more: Value| {
        let mut event =
            json!({"previous": {"status": "Running", "is_ready": "-", "restarts": 0, "pid": 7}});
        for (key, value) in more.as_object().unwrap() {
            event[key] = value.clone();
        }
        event
    };
    let exit = |code: i64| json!({"exit": {"code": code, "signal": null, "expected": false}});
    shelf.put("crashed", "worker", 60, previous(exit(1))).await;
    shelf
        .put("restarted", "worker", 58, previous(json!({})))
        .await;
    let at = |minutes: i64| {
        let at = shelf.now - TimeDelta::minutes(minutes);
        at.to_rfc3339_opts(SecondsFormat::Millis, true)
    };
    let gap = json!({"gap": {"from": at(40), "to": at(30), "why": "adapter_down"}});
    shelf.put("gap", "", 30, gap).await;
    let missed =
        json!({"certainty": "inferred", "count": 6, "origin": "resync", "exit": exit(1)["exit"]});
    shelf
        .put("crashed", "worker", 30, previous(missed.clone()))
        .await;
    shelf.put("restarted", "worker", 30, previous(missed)).await;
    shelf.put("stopped", "api", 10, previous(exit(0))).await;
    shelf.put("healthy", "worker", 0, previous(json!({}))).await;
    shelf
}

/// The arguments for the last hundred minutes of it.
fn hundred_minutes(shelf: &Shelf) -> Vec<String> {
    let at = |minutes: i64| (shelf.now - TimeDelta::minutes(minutes)).to_rfc3339();
    let args = [
        "stats",
        "-s",
        &shelf.url(),
        "--time",
        "utc",
        "--since",
        &at(100),
        "--until",
        &at(0),
    ];
    args.map(str::to_owned).to_vec()
}

const EIGHTY: &str = "\
process      up  crash  restart  stop   MTBF   MTTR  longest  crashes
api      87.50%      0        0     1      -      -    1h10m  ┄·········-·
  unknown 20.00% of the time
worker   97.50%     7~       7~     0    11m     2m      30m  ┄···▁···▆···
  flapped; unknown 20.00% of the time; exit 1 ×7; ~ 12 inferred
all      92.50%     7~       7~     1    21m     2m    1h10m  ┄···▁···▆·-·
  flapped; unknown 20.00% of the time; exit 1 ×7; ~ 12 inferred";

const ASCII: &str = "\
process      up  crash  restart  stop   MTBF   MTTR  longest  crashes
api      87.50%      0        0     1      -      -    1h10m  ~.........-.
  unknown 20.00% of the time
worker   97.50%     7~       7~     0    11m     2m      30m  ~...1...6...
  flapped; unknown 20.00% of the time; exit 1 x7; ~ 12 inferred
all      92.50%     7~       7~     1    21m     2m    1h10m  ~...1...6.-.
  flapped; unknown 20.00% of the time; exit 1 x7; ~ 12 inferred";

#[tokio::test]
async fn a_night_as_a_terminal_of_every_kind_shows_it() {
    let shelf = night().await;
    let args = hundred_minutes(&shelf);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    for (width, variables, wanted) in [
        (80, &[][..], EIGHTY),
        (80, &[("NO_COLOR", "1")], EIGHTY),
        (80, &[("LC_ALL", "C")], ASCII),
        (80, &[("TERM", "dumb")], ASCII),
    ] {
        let mut terminal = Terminal::of_width(width, &shelf.home, &args, variables);
        assert_eq!(terminal.ends().await, 0);
        terminal.shows("all ").await;
        let rows = terminal.rows();
        // Two lines of words first.
        assert_eq!(rows[2..].join("\n"), wanted, "{variables:?}");
        assert!(rows[0].ends_with("(1 h 40 min): 2 processes"), "{rows:#?}");
        assert!(
            rows[1].starts_with("shop: unknown for 20 min in 2 stretches, the last "),
            "{rows:#?}"
        );
        let bytes = terminal.bytes();
        assert_eq!(
            bytes.contains(&0x1b),
            variables.is_empty() || wanted == ASCII && variables[0].0 == "LC_ALL"
        );
        assert!(wanted != ASCII || bytes.is_ascii());
    }
    let mut wide = Terminal::of_width(200, &shelf.home, &args, &[]);
    assert_eq!(wide.ends().await, 0);
    wide.shows("all ").await;
    assert_eq!(wide.rows().len(), 6, "{:#?}", wide.rows());
    wide.shows("············  flapped; unknown 20.00% of the time; exit 1 ×7; ~ 12 inferred")
        .await;
    // In a pipe each process is a line, and words stay beside them.
    let mut pipe = shelf.home.run(&args);
    assert_eq!(pipe.ends().await, 0);
    let lines = pipe.out.all();
    assert_eq!((lines.len(), pipe.err.all().len()), (4, 2), "{lines:#?}");
    assert!(
        lines[2].starts_with("worker ") && lines[2].ends_with("~ 12 inferred"),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn a_time_that_lies_further_back_is_unknown_and_a_shorter_one_is_cut_out() {
    let shelf = night().await;
    let url = shelf.url();
    let report = async |since: &str, until: &str| {
        let args = [
            "stats", "-s", &url, "--since", since, "--until", until, "-o", "json",
        ];
        object(shelf.home.run(&args)).await
    };
    let at = |minutes: i64| (shelf.now - TimeDelta::minutes(minutes)).to_rfc3339();
    let minutes = |report: &Value, process: &str| {
        ["up_ms", "down_ms", "unknown_ms"]
            .map(|key| number(&figures(report, process)[key]) / 60_000)
    };
    let whole = report("yesterday", &at(0)).await;
    assert_eq!(minutes(&whole, "worker")[..2], [78, 2]);
    let piece = report(&at(59), &at(35)).await;
    assert_eq!(minutes(&piece, "worker"), [18, 1, 5]);
    assert_eq!(minutes(&piece, "api"), [19, 0, 5]);
    assert_eq!(piece["sources"][0]["unknown_ms"], 300_000);
    assert_eq!(number(&figures(&piece, "worker")["crashes"]["total"]), 0);
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_before_anybody_is_asked() {
    let home = Home::new();
    for (args, words) in [
        (["--since", "soon"], "'10 min ago'"),
        (["--since", "2100-01-01"], "future"),
        (["--by", "host"], "namespace"),
        (["-o", "yaml"], "json"),
        (["--process", "we[b"], "we[b"),
    ] {
        let args = ["stats", "-s", "nats://127.0.0.1:1", args[0], args[1]];
        let mut run = home.run(&args);
        assert_eq!(run.ends().await, 2, "{args:?}: {:?}", run.err.all());
        let said = run.err.all().join("\n");
        assert!(said.contains(words), "{args:?}: {said}");
    }
    let (code, line) = home
        .run(&["stats", "-s", "nats://127.0.0.1:1"])
        .refused()
        .await;
    assert_eq!(code, 4, "{line}");
}

#[tokio::test]
async fn yesterday_s_figures_are_still_there_after_up_and_its_broker_have_ended() {
    let (home, stack) = (Home::new(), Stack::shop().await);
    let server = nats::binary().display().to_string();
    let common = ["--nats-server", server.as_str()];
    let args = ["up", "-p", &stack.port, "--interval", "250ms"];
    let mut up = home.run(&[&args[..], &common].concat());
    up.tells("started    worker").await;
    stack.exit("worker", 1).await;
    up.tells("crashed    worker").await;
    assert_eq!(up.end_by(Signal::TERM).await, 143);
    assert_eq!(home.run(&["broker", "stop"]).ends().await, 0);
    let mut run = home.run(&[&["stats", "worker"][..], &common].concat());
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    assert_eq!(run.err.count("started for this"), 1, "{:?}", run.err.all());
    assert_eq!(run.out.count("exit 1"), 1, "{:?}", run.out.all());
    assert_eq!(home.run(&["broker", "stop"]).ends().await, 0);
}
