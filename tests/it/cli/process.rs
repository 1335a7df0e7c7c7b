//! `observe process`: what is asked of a stack, and what those who ask are told.

use serde_json::{Value, json};

use super::run::{Home, Run};
use super::stack::{SHOP, Stack, builder};
use super::terminal::Terminal;
use crate::support::fake_server::{FakeServer, Reply};

/// A server, a group, a job that fails, and one that takes its time to end.
pub(super) const STACK: &str = "
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

pub(super) struct Scene {
    pub(super) home: Home,
    pub(super) stack: Stack,
}

impl Scene {
    async fn new() -> Self {
        Self {
            home: Home::new(),
            stack: Stack::play(STACK).await,
        }
    }

    pub(super) fn run(&self, args: &[&str]) -> Run {
        let usual = ["--direct", "-p", &self.stack.port, "--interval", "250ms"];
        self.home.run(&[&["process"], args, &usual].concat())
    }

    /// The exit code and everything that was written, stdout first.
    pub(super) async fn ends(&self, args: &[&str]) -> (i32, Vec<String>) {
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
pub(super) const LIST: &str = r#"{"data":[{"name":"api","namespace":"default","status":"Running","age":1000000000,"is_ready":"-","has_ready_probe":false,"restarts":0,"exit_code":0,"pid":7,"mem":1,"cpu":0,"is_running":true}]}"#;
pub(super) const INFO: &str =
    r#"{"name":"api","replicas":1,"replicaNum":0,"namespace":"default","replicaName":"api"}"#;
pub(super) const STATE: &str =
    r#"{"startTime":"2026-08-20T09:15:02.7+02:00","version":"v1.122.0","projectName":"box/shop"}"#;

/// A server of one process, which answers commands like this.
pub(super) async fn fake(commands: impl Fn() -> Reply + Send + Sync + 'static) -> FakeServer {
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
