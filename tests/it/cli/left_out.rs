//! What an adapter was told to leave out: nobody is told of it, the head has it, and no reader makes anything up.

use chrono::{SecondsFormat, Utc};
use observe::event::envelope::Envelope;
use rustix::process::Signal;
use serde_json::Value;

use super::house::{brief, without_holes};
use super::many::Scene;
use super::run::{Home, LIMIT, Run};
use super::stack::Stack;
use crate::support::wait::until;

const RULE: &str = "exclude name=worker";

fn file(stacks: [(&str, &Stack, &str); 2]) -> String {
    let source = |(name, stack, more): (&str, &Stack, &str)| {
        let port = &stack.port;
        format!("  - {{name: {name}, address: '127.0.0.1:{port}'{more}}}\n")
    };
    let sources: String = stacks.map(source).concat();
    format!("version: 1\nsources:\n{sources}")
}

fn gaps(told: &[Envelope]) -> usize {
    told.iter().filter(|event| event.gap.is_some()).count()
}

async fn worker(scene: &Scene, more: &[&str]) -> Value {
    let usual = ["state", "--source", "a", "-o", "json"];
    let read = scene.reads(&[&usual, more].concat()).await;
    let state: Value = serde_json::from_str(&read[0]).unwrap();
    let rows = state["sources"][0]["processes"].as_array().unwrap();
    rows.iter()
        .find(|row| row["process"] == "worker")
        .unwrap()
        .clone()
}

/// The head shows that the worker was restarted so often.
async fn head_shows(scene: &Scene, restarts: u64) {
    until(LIMIT, "the row in the head", async || {
        let row = worker(scene, &[]).await;
        row["state"]["restarts"] == restarts && row["state"]["is_running"] == true
    })
    .await;
}

/// A reader who knows the broker only: where the stack is in reach too, whoever waits may look at it instead.
fn reader(scene: &Scene, args: &[&str]) -> (Run, Home) {
    let (home, url) = (Home::new(), scene.nats.url());
    let at = args.iter().position(|arg| *arg == "--");
    let (flags, rest) = args.split_at(at.unwrap_or(args.len()));
    (home.run(&[flags, &["-s", &url], rest].concat()), home)
}

/// What ends with 1 and says that events are left out.
async fn is_refused(scene: &Scene, args: &[&str]) {
    let (mut run, _home) = reader(scene, args);
    assert_eq!(run.ends().await, 1, "{args:?}: {:?}", run.err.all());
    let said = run.err.all().join("\n");
    assert!(said.contains("leaves events about it out"), "{said}");
    assert!(said.contains(RULE), "{said}");
}

async fn says(scene: &Scene, args: &[&str], wanted: &str) -> String {
    let (mut run, _home) = reader(scene, args);
    assert_eq!(run.ends().await, 0, "{args:?}: {:?}", run.err.all());
    let said = run.err.all().join("\n");
    assert!(said.contains(wanted), "{args:?}: {said}");
    run.out.all().join("\n")
}

async fn readers_say_so(scene: &Scene) {
    is_refused(
        scene,
        &["wait", "worker", "--source", "a", "--for", "restarted"],
    )
    .await;
    let fails = ["wait", "worker", "--source", "a", "--fail-on", "crashed"];
    is_refused(scene, &fails).await;
    let runs = ["run", "--source", "a", "--fail-on", "crashed", "--", "true"];
    is_refused(scene, &runs).await;
    scene.reads(&["wait", "worker", "--source", "a"]).await;
    scene
        .reads(&["wait", "api", "--source", "a", "--fail-on", "crashed"])
        .await;
    says(scene, &["history", "--json"], RULE).await;
    let api = ["history", "--json", "--process", "api"];
    let (mut other, _home) = reader(scene, &api);
    assert_eq!(other.ends().await, 0);
    assert_eq!(other.err.count(RULE), 0, "{:?}", other.err.all());
    let stats = ["stats", "-o", "json", "--source", "a"];
    let stats = says(scene, &stats, "of 1 process the adapter left events out").await;
    let stats: Value = serde_json::from_str(&stats).unwrap();
    for line in stats["lines"].as_array().unwrap() {
        let is_worker = line["process"] == "worker";
        assert_eq!(line["figures"]["left_out"].is_number(), is_worker, "{line}");
        assert!(!is_worker || line["figures"]["up_ms"] == 0, "{line}");
    }
}

/// The rule is taken away; the other stack notices nothing.
async fn it_ends_with_the_next_look(scene: &Scene, (one, other): (&Stack, &Stack)) {
    let before = scene.of("b").await.len();
    scene.file(&file([("a", one, ""), ("b", other, "")]));
    until(LIMIT, "the end of it", async || {
        gaps(&scene.of("a").await) == 2
    })
    .await;
    let turn = scene.of("a").await.pop().unwrap();
    let gap = turn.gap.unwrap();
    assert_eq!(gap.sieve.unwrap().to_string(), RULE);
    assert!(gap.next_sieve.is_none() && gap.from < Some(gap.to));
    one.exit("worker", 4).await;
    let told = scene.tells("a", "restarted", "worker", 1).await;
    without_holes(&told);
    let crashed = told
        .iter()
        .find(|event| event.process.as_deref() == Some("worker"));
    let crashed = crashed.unwrap();
    // Started, crashed and restarted were left out.
    assert_eq!(
        (crashed.kind.as_str(), crashed.process_seq),
        ("crashed", Some(4))
    );
    assert_eq!(crashed.previous.as_ref().unwrap().restarts, 1);
    assert_eq!(scene.of("b").await.len(), before);
}

#[tokio::test]
async fn what_is_left_out_is_in_the_head_only_and_nobody_is_lied_to() {
    let scene = Scene::new();
    let (one, other) = (Stack::shop().await, Stack::shop().await);
    let rule = ", exclude: {names: [worker]}";
    scene.file(&file([("a", &one, rule), ("b", &other, "")]));
    let mut adapter = scene.adapter(&[]);
    adapter
        .says(&format!("a: events are left out: {RULE}"))
        .await;
    scene.tells("a", "started", "api", 1).await;
    scene.tells("b", "started", "worker", 1).await;
    one.exit("worker", 3).await;
    head_shows(&scene, 1).await;
    let then = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    readers_say_so(&scene).await;
    one.control.kill("api", 9).unwrap();
    let told = scene.tells("a", "crashed", "api", 1).await;
    without_holes(&told);
    assert!(
        told.iter()
            .all(|event| event.process.as_deref() != Some("worker"))
    );

    // The next start makes nothing up, and tells nothing again.
    assert_eq!(adapter.end_by(Signal::TERM).await, 143);
    let mut adapter = scene.adapter(&[]);
    adapter.says("a: events are left out").await;
    one.control.start("api").unwrap();
    let told = scene.tells("a", "started", "api", 2).await;
    without_holes(&told);
    assert_eq!(gaps(&told), 1, "{:#?}", brief(&told));

    it_ends_with_the_next_look(&scene, (&one, &other)).await;
    assert_eq!(adapter.err.count("b: process-compose"), 1);
    let row = worker(&scene, &["--at", &then]).await;
    assert_eq!(
        (&row["known"], &row["left_out"]),
        (&"nothing".into(), &true.into())
    );
    says(
        &scene,
        &["state", "--source", "a", "--at", &then],
        "is not known",
    )
    .await;
    says(&scene, &["diff", &then, "--source", "a"], "is not known").await;
    assert_eq!(adapter.end_by(Signal::TERM).await, 143);
}
