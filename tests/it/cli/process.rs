//! `observe process`: what is asked of a stack, what the adapter tells of it, and what processes wrote.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use observe::event::envelope::Envelope;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::house::{House, client};
use super::run::{Home, LIMIT, Run};
use super::stack::{SHOP, Stack, builder};
use super::terminal::Terminal;
use crate::support::fake_server::{FakeServer, Reply};
use crate::support::wait::until;

/// A server, a group, a job that fails, and one that takes its time to end.
const STACK: &str = "
name: shop
keep: true
processes:
  api: {ready: {after: 300ms, period: 200ms, threshold: 100}}
  web: {replicas: 2}
  job: {life: [{run: 100ms, exit: 3}]}
  slow: {stop: {takes: 400ms, timeout: 10s}}
  stuck: {ready: {after: 1h, threshold: 1000}}
  off: {disabled: true}
";

struct Scene {
    home: Home,
    stack: Stack,
}

impl Scene {
    async fn new() -> Self {
        Self {
            home: Home::new(),
            stack: Stack::play(STACK).await,
        }
    }

    fn run(&self, args: &[&str]) -> Run {
        let usual = ["--direct", "-p", &self.stack.port, "--interval", "250ms"];
        self.home.run(&[&["process"], args, &usual].concat())
    }

    /// The exit code and everything that was written, stdout first.
    async fn ends(&self, args: &[&str]) -> (i32, Vec<String>) {
        let mut run = self.run(args);
        let code = run.ends().await;
        (code, [run.out.all(), run.err.all()].concat())
    }
}

#[tokio::test]
async fn what_is_asked_is_done_and_what_cannot_be_done_is_said() {
    let scene = Scene::new().await;
    for (args, code, wanted) in [
        (vec!["restart", "api"], 0, "api restarted"),
        (vec!["start", "api"], 1, "observe: api not started: "),
        (vec!["stop", "api", "--wait"], 0, "api stopped"),
        (vec!["stop", "api"], 1, "observe: api not stopped: "),
        (vec!["start", "api", "--wait"], 0, "api started"),
        (vec!["stop", "slow", "--wait"], 0, "slow stopped"),
        (
            vec!["start", "job", "--wait", "--stable", "600ms"],
            1,
            "observe: job was asked to start, but is not ready: ended with exit 3",
        ),
        (
            vec!["restart", "stuck", "-w", "--timeout", "3s"],
            124,
            "observe: stuck was asked to restart, but is not ready in time: ",
        ),
        (
            vec!["stop", "nobody"],
            1,
            "observe: shop has no process or group nobody; there are api, job, off, slow, stuck, web-0, web-1",
        ),
        (vec!["stop", "we[b"], 2, "observe: 'we[b' is no pattern"),
        (vec!["scale", "web=3", "-w"], 0, "web scaled from 2 to 3"),
        (vec!["scale", "web", "3"], 0, "web has 3 already"),
        (vec!["scale", "web=1", "-w"], 0, "web scaled from 3 to 1"),
        (
            vec!["scale", "web-0=3"],
            1,
            "observe: shop has no group web-0",
        ),
        (
            vec!["scale", "web=0"],
            2,
            "observe: a group has at least one",
        ),
        (vec!["start", "off"], 0, "off started"),
    ] {
        let (ended, said) = scene.ends(&args).await;
        assert_eq!(ended, code, "{args:?}: {said:?}");
        assert_eq!(said.len(), 1, "{args:?}: {said:?}");
        assert!(said[0].starts_with(wanted), "{args:?}: {said:?}");
    }
}

#[tokio::test]
async fn a_group_is_all_its_replicas_and_each_has_its_line() {
    let scene = Scene::new().await;
    let (code, said) = scene.ends(&["restart", "web", "api"]).await;
    assert_eq!(code, 0, "{said:?}");
    assert_eq!(
        said,
        ["api restarted", "web-0 restarted", "web-1 restarted"]
    );
    let (code, said) = scene.ends(&["stop", "off", "api"]).await;
    assert_eq!(code, 1, "{said:?}");
    assert_eq!(said[0], "api stopped");
    assert!(said[1].starts_with("observe: off not stopped"), "{said:?}");
}

#[tokio::test]
async fn a_pattern_is_confirmed_by_a_person_or_by_a_flag() {
    let scene = Scene::new().await;
    let (code, said) = scene.ends(&["stop", "web*"]).await;
    assert_eq!(code, 2, "{said:?}");
    assert!(
        said[0].contains("matches 2 processes") && said[0].contains("--yes"),
        "{said:?}"
    );
    let (code, said) = scene.ends(&["stop", "ap*"]).await;
    assert_eq!(
        (code, said),
        (0, vec!["api stopped".to_owned()]),
        "one is no crowd"
    );
    let (code, said) = scene.ends(&["stop", "web*", "--yes"]).await;
    assert_eq!(code, 0, "{said:?}");
    let args = [
        "process",
        "start",
        "web*",
        "--direct",
        "-p",
        &scene.stack.port,
    ];
    for (answer, code, shown) in [
        (&b"\r"[..], 1, "nothing was done"),
        (b"y\r", 0, "web-1 started"),
    ] {
        let mut terminal = Terminal::run(&scene.home, &args, &[]);
        terminal
            .shows("start 2 processes of shop: web-0, web-1")
            .await;
        terminal.shows("go on? [y/N]").await;
        terminal.types(answer);
        terminal.shows(shown).await;
        assert_eq!(terminal.ends().await, code);
    }
}

#[tokio::test]
async fn an_object_says_what_became_of_each() {
    let scene = Scene::new().await;
    let mut run = scene.run(&["stop", "off", "api", "-o", "json"]);
    assert_eq!(run.ends().await, 1);
    let lines = run.out.all();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let mut object: Value = serde_json::from_str(&lines[0]).unwrap();
    assert!(object["processes"][1]["reason"].take().is_string());
    let wanted = json!({
        "type": "process", "schema": 1, "action": "stop", "source": "shop", "intent": false,
        "processes": [
            {"process": "api", "outcome": "done"},
            {"process": "off", "outcome": "refused", "reason": null},
        ],
    });
    assert_eq!(object, wanted);
    assert_eq!(run.err.all().len(), 1, "{:?}", run.err.all());
}

/// A list of one process that runs.
const LIST: &str = r#"{"data":[{"name":"api","namespace":"default","status":"Running","age":1000000000,"is_ready":"-","has_ready_probe":false,"restarts":0,"exit_code":0,"pid":7,"mem":1,"cpu":0,"is_running":true}]}"#;
const INFO: &str =
    r#"{"name":"api","replicas":1,"replicaNum":0,"namespace":"default","replicaName":"api"}"#;
const STATE: &str =
    r#"{"startTime":"2026-08-20T09:15:02.7+02:00","version":"v1.122.0","projectName":"box/shop"}"#;

/// A server of one process, which answers commands like this.
async fn fake(commands: impl Fn() -> Reply + Send + Sync + 'static) -> FakeServer {
    FakeServer::tcp(move |request| match request.target.as_str() {
        "/processes" => Reply::json(LIST),
        "/project/state" => Reply::json(STATE),
        "/process/info/api" => Reply::json(INFO),
        "/process/states/ws" => Reply::missing(),
        "/process/api" => Reply::json("{}"),
        _ => commands(),
    })
    .await
}

fn commands(server: &FakeServer) -> usize {
    let all = server.requests();
    let is_it = |target: &str| target.contains("/restart/") || target.contains("/scale/");
    all.iter().filter(|request| is_it(&request.target)).count()
}

#[tokio::test]
async fn a_command_is_given_once_and_its_failure_says_what_may_have_been_done() {
    let home = Home::new();
    for (reply, code, wanted) in [
        (
            Reply::Hang,
            124,
            "api may have been restarted: no answer within 700ms",
        ),
        (
            Reply::Raw(Vec::new()),
            1,
            "api may have been restarted: it closed the connection",
        ),
        (
            Reply::status(500, ""),
            1,
            "api may have been restarted: it answers 500",
        ),
        (
            Reply::status(400, r#"{"error":"no\u001b[2J"}"#),
            1,
            "api not restarted: no?[2J",
        ),
        (
            Reply::status(401, ""),
            3,
            "api not restarted: it wants a token",
        ),
        (
            Reply::status(403, "read only"),
            3,
            "api not restarted: it may be looked at but not changed (403)",
        ),
        (
            Reply::missing(),
            1,
            "api not restarted: it does not know this command",
        ),
    ] {
        let server = fake(move || reply.clone()).await;
        let port = server.port.to_string();
        let args = ["process", "restart", "api", "--direct", "-p", &port];
        let (ended, line) = home
            .run(&[&args[..], &["--timeout", "700ms"]].concat())
            .refused()
            .await;
        assert_eq!(ended, code, "{line}");
        assert!(line.contains(wanted), "{wanted}: {line}");
        assert_eq!(commands(&server), 1, "{line}");
    }
}

#[tokio::test]
async fn a_stack_that_is_away_or_wants_a_token_is_said() {
    let home = Home::new();
    let args = ["process", "restart", "api", "--direct", "-p", "1"];
    let (code, line) = home.run(&args).refused().await;
    assert_eq!(code, 3, "{line}");
    let secret = "a-token-of-more-than-twenty-characters";
    let stack = Stack::serve(builder(SHOP).token(secret)).await;
    let args = ["process", "restart", "api", "--direct", "-p", &stack.port];
    let (code, line) = home.run(&args).refused().await;
    assert_eq!(code, 3, "{line}");
    assert!(
        line.contains("401") && line.contains("--token-file"),
        "{line}"
    );
    std::fs::write(home.path().join("right"), secret).unwrap();
    let mut run = home.run(&[&args[..], &["--token-file", "right"]].concat());
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    let args = [
        "process",
        "restart",
        "api",
        "-s",
        "nats://127.0.0.1:1",
        "-p",
        &stack.port,
    ];
    let (code, line) = home.run(&args).refused().await;
    assert_eq!(code, 4, "{line}");
    assert!(line.contains("--direct"), "{line}");
    // Whoever only reads needs no broker.
    let args = [
        "process",
        "logs",
        "api",
        "-s",
        "nats://127.0.0.1:1",
        "-p",
        &stack.port,
    ];
    let mut run = home.run(&[&args[..], &["--token-file", "right"]].concat());
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
}

/// Type, reason and certainty of everything that was told of a process.
fn told<'e>(events: &'e [Envelope], process: &str) -> Vec<[&'e str; 3]> {
    let of = |event: &&Envelope| event.process.as_deref() == Some(process);
    let words = |event: &'e Envelope| [event.kind.as_str(), &*event.reason, &*event.certainty];
    events.iter().filter(of).map(words).collect()
}

/// An adapter and what is asked beside it.
async fn adapter(more: &[&str]) -> (House, Run) {
    let house = House::new().await;
    let run = house.working(more).await;
    (house, run)
}

async fn ask(house: &House, args: &[&str]) -> Run {
    let url = house.nats.url();
    let mut run = house
        .home
        .run(&[&["process"], args, &["-s", &url]].concat());
    assert_eq!(run.ends().await, 0, "{args:?}: {:?}", run.err.all());
    assert!(run.err.all().is_empty(), "{:?}", run.err.all());
    run
}

#[tokio::test]
async fn what_follows_is_told_as_requested_and_what_comes_later_is_not() {
    for evidence in ["off", "auto"] {
        let (house, _adapter) = adapter(&["--evidence", evidence]).await;
        house.tells("started", "api", 1).await;
        ask(&house, &["restart", "api", "-p", &house.stack.port]).await;
        let events = house.tells("restarted", "api", 1).await;
        let wanted = [
            ["started", "present", "certain"],
            ["stopped", "requested", "certain"],
            ["restarted", "requested", "certain"],
        ];
        assert_eq!(told(&events, "api"), wanted, "--evidence {evidence}");
        // The intent is for the run that was there, and for no later one.
        house.stack.exit("api", 9).await;
        let events = house.tells("crashed", "api", 1).await;
        assert_eq!(told(&events, "api")[3][..2], ["crashed", "exit"]);
        ask(&house, &["stop", "web", "-p", &house.stack.port]).await;
        let events = house.tells("stopped", "web", 1).await;
        assert_eq!(told(&events, "web")[1], ["stopped", "requested", "certain"]);
    }
}

#[tokio::test]
async fn two_adapters_both_know_and_one_of_them_tells() {
    let (house, _first) = adapter(&["--evidence", "off"]).await;
    house.tells("started", "web", 1).await;
    let second = house.adapter(&["--evidence", "off"]);
    second.says(&house.stack.port).await;
    for turn in 1..=3 {
        ask(
            &house,
            &["restart", "web", "-p", &house.stack.port, "--wait"],
        )
        .await;
        house.tells("restarted", "web", turn).await;
    }
    let events = house.tells("stopped", "web", 3).await;
    let told = told(&events, "web");
    assert_eq!(told.len(), 7, "{told:?}");
    assert!(
        told[1..].iter().all(|words| words[1] == "requested"),
        "{told:?}"
    );
}

#[tokio::test]
async fn without_an_intent_looks_alone_cannot_know_who_asked() {
    let (house, _adapter) = adapter(&["--evidence", "off"]).await;
    house.tells("started", "web", 1).await;
    house.stack.control.stop("web").unwrap();
    let events = house.tells("crashed", "web", 1).await;
    assert_eq!(told(&events, "web")[1], ["crashed", "signal", "ambiguous"]);
}

#[tokio::test]
async fn an_intent_that_was_refused_accounts_for_nothing() {
    let broken = Arc::new(AtomicBool::new(false));
    let is_broken = Arc::clone(&broken);
    let server = FakeServer::tcp(move |request| match request.target.as_str() {
        "/processes" if is_broken.load(Ordering::SeqCst) => Reply::json(
            &LIST
                .replace("Running", "Completed")
                .replace("\"exit_code\":0", "\"exit_code\":-1"),
        ),
        "/processes" => Reply::json(LIST),
        "/project/state" => Reply::json(STATE),
        "/process/info/api" => Reply::json(INFO),
        "/process/restart/api" => Reply::status(400, r#"{"error":"not now"}"#),
        _ => Reply::missing(),
    })
    .await;
    let (house, port) = (House::new().await, server.port.to_string());
    let url = house.nats.url();
    let _adapter = house
        .home
        .run(&["adapter", "-p", &port, "-s", &url, "--interval", "250ms"]);
    house.tells("started", "api", 1).await;
    let (code, line) = house
        .home
        .run(&["process", "restart", "api", "-s", &url, "-p", &port])
        .refused()
        .await;
    assert_eq!((code, line.contains("not now")), (1, true), "{line}");
    broken.store(true, Ordering::SeqCst);
    let events = house.tells("crashed", "api", 1).await;
    assert_eq!(told(&events, "api")[1][..2], ["crashed", "signal"]);
}

#[tokio::test]
async fn the_head_knows_the_address_and_several_sources_are_told_apart_by_their_names() {
    let (house, _adapter) = adapter(&[]).await;
    house.tells("started", "api", 1).await;
    // Nothing answers at the usual places of this home.
    let run = ask(
        &house,
        &["restart", "api", "--source", "shop", "-o", "json"],
    )
    .await;
    let object: Value = serde_json::from_str(&run.out.all()[0]).unwrap();
    assert_eq!(
        (&object["source"], &object["intent"]),
        (&json!("shop"), &json!(true))
    );
    let other = Stack::play("{name: other, keep: true, processes: {api: {}, cron: {}}}").await;
    let url = house.nats.url();
    let second = [
        "adapter",
        "-p",
        &other.port,
        "-s",
        &url,
        "--interval",
        "250ms",
    ];
    let _second = house.home.run(&second);
    house.tells("started", "cron", 1).await;
    let asked = |args: &[&str]| {
        house
            .home
            .run(&[&["process"], args, &["-s", &url]].concat())
    };
    let (code, line) = asked(&["restart", "api", "--source", "*"]).refused().await;
    assert_eq!(code, 2, "{line}");
    assert!(
        line.contains("other, shop") && line.contains("--source"),
        "{line}"
    );
    let mut run = asked(&["restart", "cron", "--source", "*"]);
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    let (code, line) = asked(&["restart", "api", "--source", "nobody"])
        .refused()
        .await;
    assert_eq!(code, 1, "{line}");
    assert!(line.contains("there are other, shop"), "{line}");
    let (code, line) = asked(&["restart", "api", "--source", "shop", "-p", &other.port])
        .refused()
        .await;
    assert_eq!(code, 1, "{line}");
    assert!(line.contains("is called other"), "{line}");
}

#[tokio::test]
async fn a_head_is_not_believed_where_another_server_answers() {
    let (house, adapter) = adapter(&[]).await;
    house.tells("started", "api", 1).await;
    drop(adapter);
    // The same server begins again: another run, of which this head knows nothing.
    house
        .stack
        .control
        .stop_server(Some(Duration::from_millis(100)));
    let url = house.nats.url();
    let args = ["process", "restart", "api", "--source", "shop", "-s", &url];
    let end = tokio::time::Instant::now() + LIMIT;
    loop {
        let (code, line) = house.home.run(&args).refused().await;
        if line.contains("is not the shop") {
            assert_eq!(code, 1, "{line}");
            return;
        }
        assert!(code == 3 && tokio::time::Instant::now() < end, "{line}");
    }
}

#[tokio::test]
async fn old_data_is_a_reason_to_refuse_but_for_those_who_insist() {
    let stuck = Arc::new(AtomicBool::new(false));
    let is_stuck = Arc::clone(&stuck);
    let server = FakeServer::tcp(move |request| match request.target.as_str() {
        // The adapter's connection is the first one.
        "/processes" if request.connection == 1 && is_stuck.load(Ordering::SeqCst) => Reply::Hang,
        "/processes" => Reply::json(LIST),
        "/project/state" => Reply::json(STATE),
        "/process/info/api" => Reply::json(INFO),
        "/process/restart/api" => Reply::json(r#"{"name":"api"}"#),
        _ => Reply::missing(),
    })
    .await;
    let (house, port) = (House::new().await, server.port.to_string());
    let url = house.nats.url();
    let adapter = [
        "adapter",
        "-p",
        &port,
        "-s",
        &url,
        "--interval",
        "250ms",
        "--evidence",
        "off",
    ];
    let _adapter = house.home.run(&adapter);
    house.tells("started", "api", 1).await;
    let mut refused = house
        .home
        .run(&["process", "restart", "api", "-s", &url, "-p", &port]);
    assert_eq!(
        refused.ends().await,
        0,
        "while it looks: {:?}",
        refused.err.all()
    );
    stuck.store(true, Ordering::SeqCst);
    let args = ["process", "restart", "api", "-s", &url, "-p", &port];
    let end = tokio::time::Instant::now() + LIMIT;
    let line = loop {
        let mut run = house.home.run(&args);
        let code = run.ends().await;
        if code == 1 {
            break run.err.all()[0].clone();
        }
        assert!(
            code == 0 && tokio::time::Instant::now() < end,
            "{:?}",
            run.err.all()
        );
    };
    assert!(
        line.contains("looked last") && line.contains("--force"),
        "{line}"
    );
    let mut run = house.home.run(&[&args[..], &["--force"]].concat());
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
}

/// Sends the adapter of `shop` a request of its own.
async fn request(house: &House, ask: Value) -> Value {
    let client = client(&house.nats).await;
    let payload = serde_json::to_vec(&ask).unwrap();
    let subject = "core.control.shop.adapter";
    let answer = client.request(subject, payload.into()).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

#[tokio::test]
async fn the_looks_rest_while_a_group_is_scaled_and_go_on_afterwards() {
    let server = fake(|| Reply::Hang).await;
    let (house, port) = (House::new().await, server.port.to_string());
    let url = house.nats.url();
    let adapter = [
        "adapter",
        "-p",
        &port,
        "-s",
        &url,
        "--interval",
        "250ms",
        "--evidence",
        "off",
    ];
    let _adapter = house.home.run(&adapter);
    house.tells("started", "api", 1).await;
    let args = [
        "process",
        "scale",
        "api=2",
        "--timeout",
        "2s",
        "-s",
        &url,
        "-p",
        &port,
    ];
    let mut run = house.home.run(&args);
    assert_eq!(run.ends().await, 124, "{:?}", run.err.all());
    let all = server.requests();
    let at = all
        .iter()
        .position(|request| request.target == "/process/scale/api/2");
    // What came behind the command came when it was over: it was over a moment ago.
    let behind = all.len() - at.unwrap() - 1;
    assert!(
        behind <= 2,
        "{behind} requests meanwhile: {:?}",
        &all[at.unwrap()..]
    );
    until(LIMIT, "looks that go on", async || {
        server.requests().len() > all.len() + 3
    })
    .await;
}

#[tokio::test]
async fn a_hold_that_nobody_releases_is_over_by_itself() {
    let (house, _adapter) = adapter(&[]).await;
    house.tells("started", "api", 1).await;
    let intent = json!({"id": "x", "action": "scale", "runs": [], "limit_ms": 700});
    let held = request(
        &house,
        json!({"ask": "intent", "intent": intent, "hold": true}),
    )
    .await;
    assert_eq!(
        (&held["held"], &held["interval_ms"]),
        (&json!(true), &json!(250))
    );
    until(LIMIT, "looks that go on", async || {
        request(&house, json!({"ask": "state"})).await["held"] == json!(false)
    })
    .await;
    // What cannot be read is passed over, and the desk stays open.
    client(&house.nats)
        .await
        .publish("core.control.shop.adapter", "nonsense".into())
        .await
        .unwrap();
    assert_eq!(
        request(&house, json!({"ask": "state"})).await["stands_by"],
        json!(false)
    );
}

#[tokio::test]
async fn scaling_is_told_as_asked_for() {
    let house = House {
        home: Home::new(),
        stack: Stack::play(STACK).await,
        nats: crate::support::nats::NatsServer::start(),
    };
    let _adapter = house.working(&[]).await;
    house.tells("started", "web-1", 1).await;
    ask(&house, &["scale", "web=3", "-p", &house.stack.port]).await;
    house.tells("started", "web-2", 1).await;
    ask(&house, &["scale", "web=1", "-p", &house.stack.port]).await;
    let events = house.tells("stopped", "web-2", 1).await;
    let last = told(&events, "web-2");
    assert_eq!(last[1][..2], ["stopped", "removed"], "{last:?}");
    let crashed = events
        .iter()
        .filter(|event| event.kind.as_str() == "crashed");
    assert!(
        crashed
            .clone()
            .all(|event| event.process.as_deref() == Some("job")),
        "{events:#?}"
    );
}

/// Processes that write: the same line with its number, again and again, or once.
const WRITERS: &str = "
name: shop
keep: true
processes:
  api: {log: {every: 100ms, lines: ['\\e[31mred\\e[0m {n}\\e[2J']}}
  web: {replicas: 2, log: {every: 100ms, lines: ['hello {n}']}}
  quiet: {}
";

async fn writing() -> Scene {
    let yaml = WRITERS.replace('\'', "\"");
    Scene {
        home: Home::new(),
        stack: Stack::play(&yaml).await,
    }
}

#[tokio::test]
async fn kept_lines_are_shown_without_what_a_terminal_would_obey() {
    let scene = writing().await;
    let enough = || async {
        let (code, said) = scene.ends(&["logs", "api", "-n", "all"]).await;
        assert_eq!(code, 0, "{said:?}");
        said.len() >= 4
    };
    until(LIMIT, "four lines", enough).await;
    let (_, said) = scene.ends(&["logs", "api", "--tail", "2"]).await;
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[1].starts_with("red "),
        "neither prefix nor colour: {said:?}"
    );
    let (_, said) = scene.ends(&["logs", "web", "api", "--tail", "1"]).await;
    let names: Vec<_> = said
        .iter()
        .map(|line| line.split(" │ ").next().unwrap())
        .collect();
    assert_eq!(names, ["api  ", "web-0", "web-1"], "{said:?}");
    let (_, said) = scene
        .ends(&["logs", "api", "-n", "1", "--color", "always"])
        .await;
    assert!(
        said[0].starts_with("\u{1b}[31mred\u{1b}[0m ") && !said[0].contains("[2J"),
        "{said:?}"
    );
    let (_, said) = scene.ends(&["logs", "api", "-n", "1", "-o", "json"]).await;
    let line: Value = serde_json::from_str(&said[0]).unwrap();
    assert_eq!(
        (&line["type"], &line["process"]),
        (&json!("log"), &json!("api"))
    );
    assert!(
        line["message"]
            .as_str()
            .unwrap()
            .starts_with("\u{1b}[31mred"),
        "{line}"
    );
    assert_eq!(scene.ends(&["logs", "quiet"]).await, (0, vec![]));
    for (args, code, why) in [
        (vec!["logs", "api", "--since", "1h"], 1, "use --tail"),
        (vec!["logs", "api", "--since", "later"], 2, "later"),
        (vec!["logs", "api", "-f", "--since", "1h"], 2, "--tail"),
        (vec!["logs", "nobody"], 1, "no process or group nobody"),
        (vec!["logs", "api", "-n", "many"], 2, "or all"),
    ] {
        let (ended, said) = scene.ends(&args).await;
        assert_eq!(ended, code, "{args:?}: {said:?}");
        assert!(
            said.iter().any(|line| line.contains(why)),
            "{args:?}: {said:?}"
        );
    }
}

/// The numbers of the lines of a process, in their order.
fn numbers(run: &Run, name: &str) -> Vec<u64> {
    let lines = run.out.all().into_iter().filter_map(|line| {
        let object: Value = serde_json::from_str(&line).unwrap();
        (object["process"] == name).then(|| object["message"].as_str().unwrap().to_owned())
    });
    let number = |line: String| {
        line.rsplit(' ')
            .next()?
            .trim_end_matches("\u{1b}[2J")
            .parse()
            .ok()
    };
    lines.filter_map(number).collect()
}

/// Fails where a line is missing or comes twice within one run of the process; a new run counts from its own beginning.
fn in_order(numbers: &[u64], runs: usize) {
    let breaks = numbers
        .windows(2)
        .filter(|pair| pair[1] != pair[0] + 1)
        .count();
    assert!(breaks < runs, "{numbers:?}");
}

#[tokio::test]
async fn following_goes_on_across_restarts_and_scaling_and_repeats_nothing() {
    let scene = writing().await;
    let mut run = scene.run(&["logs", "-f", "web", "-o", "json", "-n", "3"]);
    let has = async |name: &'static str, count: usize| {
        until(LIMIT, "lines", async || numbers(&run, name).len() >= count).await;
    };
    has("web-1", 5).await;
    scene.stack.control.restart("web-0").unwrap();
    let before = numbers(&run, "web-0").len();
    has("web-0", before + 12).await;
    let scaled = scene.run(&["scale", "web=3"]).ends().await;
    assert_eq!(scaled, 0);
    run.says("+ web-2").await;
    has("web-2", 3).await;
    assert_eq!(scene.run(&["scale", "web=1"]).ends().await, 0);
    run.says("- web-1").await;
    // The last one has another name now, and what it wrote under the old one is not shown again.
    run.says("+ web").await;
    has("web", 5).await;
    let (old, new) = (numbers(&run, "web-0"), numbers(&run, "web"));
    assert!(new[0] > *old.last().unwrap(), "{old:?} {new:?}");
    in_order(&old, 2);
    in_order(&new, 1);
    in_order(&numbers(&run, "web-1"), 1);
    assert_eq!(run.end_by(Signal::INT).await, 130);
}

#[tokio::test]
async fn following_waits_for_a_server_that_is_away_and_ends_with_its_reader() {
    let scene = writing().await;
    let mut run = scene.run(&["logs", "-f", "api", "-n", "1"]);
    // It writes ten lines a second, and none of them waits for a pause.
    let begun = tokio::time::Instant::now();
    until(LIMIT, "lines", async || run.out.all().len() > 10).await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    scene.stack.control.stop_listening();
    run.says("waiting for it").await;
    let before = run.out.all().len();
    scene.stack.control.listen_again();
    until(LIMIT, "lines again", async || {
        run.out.all().len() > before + 2
    })
    .await;
    assert_eq!(run.end_by(Signal::TERM).await, 143);
    let usual = [
        "process",
        "logs",
        "-f",
        "api",
        "--direct",
        "-p",
        &scene.stack.port,
    ];
    let mut unread = Run::unread(&mut scene.home.command(&usual));
    drop(unread.stdout());
    assert_eq!(unread.ends().await, 0, "{:?}", unread.err.all());
}
