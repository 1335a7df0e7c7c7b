//! `observe run`: a command that is run while the stack is watched.

use std::path::PathBuf;

use observe::event::envelope::Envelope;
use rustix::process::Signal;

use super::house::House;
use super::run::{Home, LIMIT, Run};
use super::stack::Stack;
use crate::support::wait::until;

/// A command that says it runs, and ends when it is let go.
const HELD: &str = "touch runs; while [ ! -e go ]; do sleep 0.02; done";

struct Scene {
    home: Home,
    stack: Stack,
}

impl Scene {
    async fn new() -> Self {
        Self {
            home: Home::new(),
            stack: Stack::shop().await,
        }
    }

    fn run(&self, more: &[&str], command: &str) -> Run {
        let usual = ["run", "-p", &self.stack.port, "--interval", "250ms"];
        let command = ["--", "sh", "-c", command];
        self.home.run(&[&usual, more, &command].concat())
    }
}

fn file(home: &Home, name: &str) -> PathBuf {
    home.path().join(name)
}

async fn runs(home: &Home) {
    until(LIMIT, "a command that runs", async || {
        file(home, "runs").exists()
    })
    .await;
}

fn let_go(home: &Home) {
    std::fs::write(file(home, "go"), "").unwrap();
}

fn recorded(home: &Home) -> Vec<Envelope> {
    let text = std::fs::read_to_string(file(home, "events.jsonl")).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn records(home: &Home, kind: &str, process: &str) {
    until(LIMIT, "an event in the record", async || {
        let is_it = |event: &Envelope| {
            event.kind.as_str() == kind && event.process.as_deref() == Some(process)
        };
        recorded(home).iter().any(is_it)
    })
    .await;
}

#[tokio::test]
async fn the_exit_code_of_the_command_is_passed_on() {
    let scene = Scene::new().await;
    for (command, wanted) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)] {
        let mut run = scene.run(&[], command);
        assert_eq!(run.ends().await, wanted, "{command}: {:?}", run.err.all());
        assert!(run.err.all().is_empty(), "{:?}", run.err.all());
    }
    let mut run = scene.run(&[], "echo out; echo words >&2");
    assert_eq!(run.ends().await, 0);
    assert_eq!(
        (run.out.all(), run.err.all()),
        (vec!["out".into()], vec!["words".into()])
    );
    let nobody = ["run", "-p", &scene.stack.port, "--", "./no-such-program"];
    let (code, said) = scene.home.run(&nobody).refused().await;
    assert_eq!(code, 127, "{said}");
    std::fs::write(file(&scene.home, "text"), "").unwrap();
    let text = ["run", "-p", &scene.stack.port, "--", "./text"];
    assert_eq!(scene.home.run(&text).refused().await.0, 126);
    let mut run = scene.home.run(&["run", "-p", &scene.stack.port]);
    assert_eq!(run.ends().await, 2);
}

#[tokio::test]
async fn what_happens_meanwhile_is_recorded_and_reported() {
    let scene = Scene::new().await;
    let args = ["--record", "events.jsonl", "--junit", "stack.xml"];
    let mut run = scene.run(&args, HELD);
    runs(&scene.home).await;
    scene.stack.exit("worker", 3).await;
    records(&scene.home, "restarted", "worker").await;
    let_go(&scene.home);
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    let told = recorded(&scene.home);
    let kinds: Vec<_> = told.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["crashed", "restarted"], "{told:#?}");
    let report = std::fs::read_to_string(file(&scene.home, "stack.xml")).unwrap();
    assert!(report.contains("tests=\"3\" failures=\"1\""), "{report}");
    assert!(
        report.contains("<testcase classname=\"shop\" name=\"api\" time=\""),
        "{report}"
    );
    let failure = report
        .lines()
        .find(|line| line.starts_with("<failure"))
        .unwrap();
    assert!(
        failure.starts_with("<failure message=\"crashed with exit 3 at 20"),
        "{report}"
    );
}

#[tokio::test]
async fn a_crash_ends_the_command_where_it_is_told_to() {
    let scene = Scene::new().await;
    let command = "trap 'echo asked; exit 0' TERM; touch runs; while :; do sleep 0.02; done";
    let mut run = scene.run(&["--fail-on", "crashed"], command);
    runs(&scene.home).await;
    scene.stack.exit("worker", 3).await;
    assert_eq!(run.ends().await, 1);
    assert_eq!(run.out.all(), ["asked"]);
    // The shell may say that what it ran was terminated.
    assert_eq!(
        run.err.all()[0],
        "observe: worker crashed; the command is ended"
    );
}

#[tokio::test]
async fn the_news_of_the_last_moment_count() {
    let scene = Scene::new().await;
    let args = [
        "run",
        "-p",
        &scene.stack.port,
        "--interval",
        "30s",
        "--evidence",
        "off",
    ];
    let rest = ["--fail-on", "crashed", "--", "sh", "-c", HELD];
    let mut run = scene.home.run(&[&args[..], &rest].concat());
    runs(&scene.home).await;
    scene.stack.exit("worker", 3).await;
    let_go(&scene.home);
    assert_eq!(run.ends().await, 1, "{:?}", run.err.all());
    assert_eq!(run.err.all(), ["observe: worker crashed"]);
}

#[tokio::test]
async fn a_stack_that_does_not_get_ready_in_time_gets_no_command() {
    let scene = Scene::new().await;
    let args = ["--process", "nobody", "--timeout", "700ms"];
    let mut run = scene.run(&[&args[..], &["--junit", "stack.xml"]].concat(), HELD);
    assert_eq!(run.ends().await, 124, "{:?}", run.err.all());
    assert_eq!(run.err.count("  nobody: "), 1, "{:?}", run.err.all());
    assert!(!file(&scene.home, "runs").exists());
    let report = std::fs::read_to_string(file(&scene.home, "stack.xml")).unwrap();
    assert!(report.contains("failures=\"1\""), "{report}");
    let mut run = scene.run(&["--record", "no/such/folder"], HELD);
    assert_eq!(run.ends().await, 1);
    assert!(
        run.err.all()[0].contains("no/such/folder cannot be written"),
        "{:?}",
        run.err.all()
    );
}

#[tokio::test]
async fn signals_are_handed_on_to_the_command() {
    let scene = Scene::new().await;
    for (signal, name) in [
        (Signal::TERM, "TERM"),
        (Signal::INT, "INT"),
        (Signal::USR1, "USR1"),
    ] {
        let command = format!("trap 'exit 9' {name}; touch runs; while :; do sleep 0.02; done");
        let mut run = scene.run(&[], &command);
        runs(&scene.home).await;
        assert_eq!(run.end_by(signal).await, 9, "{name}: {:?}", run.err.all());
        std::fs::remove_file(file(&scene.home, "runs")).unwrap();
    }
    let mut run = scene.run(&["-v", "--stable", "1h"], HELD);
    run.says("the first look").await;
    assert_eq!(run.end_by(Signal::INT).await, 130);
    assert!(!file(&scene.home, "runs").exists());
}

#[tokio::test]
async fn by_a_broker_the_same_is_recorded_and_ends_it() {
    let house = House::new().await;
    let _adapter = house.working(&[]).await;
    house.tells("started", "worker", 1).await;
    let url = house.nats.url();
    let usual = [
        "run",
        "-s",
        &url,
        "-u",
        "nobody.sock",
        "--record",
        "events.jsonl",
    ];
    let rest = ["--fail-on", "restarted", "--", "sh", "-c", HELD];
    let mut run = house.home.run(&[&usual[..], &rest].concat());
    runs(&house.home).await;
    house.stack.exit("worker", 3).await;
    assert_eq!(run.ends().await, 1, "{:?}", run.err.all());
    let told = recorded(&house.home);
    let kinds: Vec<_> = told.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["crashed", "restarted"], "{told:#?}");
    assert!(told.iter().all(|event| !event.journal.starts_with("live-")));
}
