//! `observe wait`: until a condition holds, fails, or the time is up.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::house::{House, messages, root};
use super::run::{Home, LIMIT, Run};
use super::stack::Stack;
use crate::support::nats::NatsServer;
use crate::support::wait::until;

/// A probe, a daemon, a job, a group, and what nobody waits for.
const MIXED: &str = "
name: shop
keep: true
processes:
  api: {ready: {after: 500ms, period: 200ms, threshold: 100}}
  nginx: {daemon: true}
  migrate: {life: [{run: 300ms, exit: 0}]}
  web: {replicas: 2}
  seed: {disabled: true}
  term: {foreground: true}
";

/// What a job that fails and a server that never gets ready leave to be waited for.
const BROKEN: &str = "
name: shop
keep: true
processes:
  api: {ready: {after: 1h, threshold: 1000}}
  job: {life: [{run: 100ms, exit: 3}]}
  worker: {restart: always, backoff: 1s}
";

struct Scene {
    home: Home,
    stack: Stack,
}

impl Scene {
    async fn of(yaml: &str) -> Self {
        Self {
            home: Home::new(),
            stack: Stack::play(yaml).await,
        }
    }

    /// A wait that has looked once.
    async fn looked(&self, more: &[&str]) -> Run {
        let run = self.wait(&[&["-v"], more].concat());
        run.says("the first look").await;
        run
    }

    fn wait(&self, more: &[&str]) -> Run {
        let usual = ["wait", "-p", &self.stack.port, "--interval", "250ms"];
        self.home.run(&[&usual, more].concat())
    }

    /// Waits, and gives the exit code and what was said.
    async fn ends(&self, more: &[&str]) -> (i32, Vec<String>) {
        let mut run = self.wait(more);
        let code = run.ends().await;
        assert!(run.out.all().is_empty(), "{:?}", run.out.all());
        (code, run.err.all())
    }
}

fn object(run: &Run) -> Value {
    let lines = run.out.all();
    assert_eq!(lines.len(), 1, "{lines:?}");
    serde_json::from_str(&lines[0]).unwrap()
}

#[tokio::test]
async fn a_stack_with_probe_job_daemon_and_group_gets_ready_without_a_word() {
    let scene = Scene::of(MIXED).await;
    assert_eq!(scene.ends(&[]).await, (0, vec![]));
    let mut run = scene.wait(&["-o", "json"]);
    assert_eq!(run.ends().await, 0);
    let object = object(&run);
    assert_eq!(
        (&object["outcome"], &object["condition"]),
        (&json!("met"), &json!("ready"))
    );
    let processes = object["processes"].as_array().unwrap();
    let names: Vec<_> = processes
        .iter()
        .map(|one| one["process"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["api", "migrate", "nginx", "web-0", "web-1"]);
    assert!(
        processes.iter().all(|one| one["outcome"] == "met"),
        "{processes:?}"
    );
    assert_eq!(processes[0]["state"]["is_ready"], "Ready");
}

#[tokio::test]
async fn names_are_literals_globs_and_groups_and_each_condition_has_its_own() {
    let scene = Scene::of(MIXED).await;
    assert_eq!(scene.ends(&[]).await.0, 0);
    for (args, wanted) in [
        (vec!["web", "--for", "running"], 0),
        (vec!["w*", "api"], 0),
        (vec!["migrate", "--for", "completed"], 0),
        (vec!["migrate", "--for", "exited=0"], 0),
        (vec!["migrate", "--for", "exited=3"], 1),
        (vec!["migrate", "--for", "running"], 1),
        (vec!["api", "--for", "healthy"], 0),
        (vec!["seed", "--for", "stopped"], 0),
        (vec!["nobody", "--for", "gone"], 0),
        (vec!["api", "nobody", "--for", "gone", "--any"], 0),
        (vec!["term"], 1),
        (vec!["seed", "--timeout", "400ms"], 124),
        (vec!["api", "--for", "gone", "--timeout", "400ms"], 124),
        (vec!["--for", "crashed", "--any", "--timeout", "400ms"], 124),
        (vec!["-N", "elsewhere", "--grace", "300ms"], 1),
        (vec!["--source", "other"], 1),
        (vec!["--for", "up"], 2),
        (vec!["--fail-on", "stopped"], 2),
        (vec!["--timeout", "5"], 2),
        (vec!["we[b"], 2),
    ] {
        let (code, said) = scene.ends(&args).await;
        assert_eq!(code, wanted, "{args:?}: {said:?}");
        assert_eq!(said.is_empty(), code == 0, "{args:?}: {said:?}");
    }
}

#[tokio::test]
async fn when_the_time_is_up_each_process_that_is_not_there_has_a_line() {
    let scene = Scene::of(BROKEN).await;
    let (code, said) = scene.ends(&["api", "worker", "--timeout", "1500ms"]).await;
    assert_eq!(code, 124, "{said:?}");
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].starts_with("observe: not ready in time: 1 of 2 processes"),
        "{said:?}"
    );
    assert_eq!(said[1], "  api: Running, not ready; restarts 0, exit -");
}

#[tokio::test]
async fn what_cannot_come_true_any_more_ends_it_at_once() {
    let scene = Scene::of(BROKEN).await;
    // As long as it runs, nothing tells a job from a server.
    assert_eq!(scene.ends(&["job", "--for", "stopped"]).await.0, 0);
    let (code, said) = scene.ends(&["job", "--timeout", "1h"]).await;
    assert_eq!(code, 1, "{said:?}");
    assert_eq!(
        said[1],
        "  job: Completed, ended with exit 3; restarts 0, exit 3"
    );
    let (code, said) = scene.ends(&["job", "--for", "exited=0"]).await;
    assert_eq!(code, 1, "{said:?}");
    let (code, said) = scene.ends(&["nobody", "--grace", "300ms"]).await;
    assert_eq!((code, said.len()), (1, 2), "{said:?}");
    assert_eq!(said[1], "  nobody: no process or group has this name");
}

#[tokio::test]
async fn a_crash_ends_it_where_it_is_told_to_fail_on_one() {
    let scene = Scene::of(BROKEN).await;
    let args = ["api", "worker", "--fail-on", "crashed,restarted"];
    let run = &mut scene.looked(&args).await;
    scene.stack.exit("worker", 3).await;
    assert_eq!(run.ends().await, 1);
    let said = run.err.all();
    assert!(
        said.iter()
            .any(|line| line.starts_with("  worker: ") && line.contains(", crashed; ")),
        "{said:?}"
    );
}

#[tokio::test]
async fn what_happens_between_two_looks_is_not_missed() {
    let scene = Scene::of(BROKEN).await;
    let mut runs = Vec::new();
    for condition in ["crashed", "restarted", "exited=7"] {
        // Without the state stream nothing wakes a look early.
        let args = [
            "worker",
            "--for",
            condition,
            "--interval",
            "3s",
            "--evidence",
            "off",
        ];
        let url = ["wait", "-v", "-p", &scene.stack.port];
        let run = scene.home.run(&[&url[..], &args].concat());
        run.says("the first look").await;
        runs.push(run);
    }
    scene.stack.exit("worker", 7).await;
    for run in &mut runs {
        assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    }
}

#[tokio::test]
async fn stable_begins_anew_after_an_interruption() {
    let scene = Scene::of(BROKEN).await;
    let mut run = scene.looked(&["worker", "--stable", "2s"]).await;
    scene.stack.exit("worker", 3).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(run.ends().await, 0);
    // It is away for a second before the policy restarts it, and then has to hold.
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(2900), "{took:?}");
}

#[tokio::test]
async fn a_stack_that_is_only_starting_has_its_grace() {
    let scene = Scene::of(MIXED).await;
    scene.stack.control.stop_listening();
    let mut run = scene.wait(&[]);
    run.says("waiting for it").await;
    assert!(run.is_running());
    scene.stack.control.listen_again();
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    scene.stack.control.stop_listening();
    let (code, said) = scene.ends(&["--grace", "500ms"]).await;
    assert_eq!(code, 3, "{said:?}");
}

#[tokio::test]
async fn a_stack_that_leaves_is_not_believed_to_stand_as_it_stood() {
    let scene = Scene::of(MIXED).await;
    assert_eq!(scene.ends(&[]).await.0, 0);
    let args = ["--stable", "3s", "--timeout", "5s"];
    let run = &mut scene.looked(&args).await;
    scene.stack.control.stop_listening();
    assert_eq!(run.ends().await, 124);
    let said = run.err.all();
    assert!(
        said.iter()
            .any(|line| line.contains("out of sight, last seen")),
        "{said:?}"
    );
}

#[tokio::test]
async fn control_c_ends_a_wait_with_130() {
    let scene = Scene::of(BROKEN).await;
    let mut run = scene.looked(&["api"]).await;
    assert_eq!(run.end_by(Signal::INT).await, 130);
    assert!(run.err.count("observe: ") <= 1, "{:?}", run.err.all());
}

/// A wait that has a broker and no stack in reach.
fn by_broker(house: &House, more: &[&str]) -> Run {
    let url = house.nats.url();
    let usual = ["wait", "-v", "-s", &url, "-u", "nobody-listens.sock"];
    house.home.run(&[&usual, more].concat())
}

#[tokio::test]
async fn by_a_broker_it_begins_with_the_head_and_misses_nothing_behind_it() {
    let house = House::new().await;
    let _adapter = house.working(&[]).await;
    house.tells("started", "worker", 1).await;
    let mut run = by_broker(&house, &[]);
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    assert_eq!(run.err.all().len(), 2, "{:?}", run.err.all());
    let mut runs = Vec::new();
    for (args, wanted) in [
        (vec!["worker", "--for", "restarted"], 0),
        (
            vec!["worker", "--for", "crashed", "--fail-on", "crashed"],
            1,
        ),
        (vec!["w*", "--any", "--for", "exited=7"], 0),
        (vec!["worker", "--stable", "1s"], 0),
        (vec!["worker", "--stable", "1h", "--fail-on", "crashed"], 1),
    ] {
        let run = by_broker(&house, &args);
        run.says("the first look").await;
        runs.push((run, args, wanted));
    }
    house.stack.exit("worker", 7).await;
    for (run, args, wanted) in &mut runs {
        assert_eq!(run.ends().await, *wanted, "{args:?}: {:?}", run.err.all());
    }
}

#[tokio::test]
async fn a_wait_that_begins_before_the_adapter_waits_for_it() {
    let house = House::new().await;
    let mut run = by_broker(&house, &["-o", "json"]);
    run.says("there is no stream").await;
    let _adapter = house.working(&[]).await;
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    assert_eq!(object(&run)["processes"].as_array().unwrap().len(), 3);
    let mut run = by_broker(&house, &["--source", "other", "--grace", "500ms"]);
    assert_eq!(run.ends().await, 3, "{:?}", run.err.all());
}

/// Makes the head look as if the adapter had died an hour ago.
pub(super) async fn grow_old(house: &House) {
    age(&house.nats, "core.head.shop").await;
}

/// The same for the head whose root has this subject.
pub(super) async fn age(nats: &NatsServer, subject: &'static str) {
    let mut root = root(nats).await;
    let all = messages(nats, &[subject]).await;
    let sequence = all.last().unwrap().info().unwrap().stream_sequence;
    for shard in root["shards"].as_array_mut().unwrap() {
        if let Some(behind) = shard["behind"].as_u64() {
            *shard = json!({"at": sequence + behind});
        }
    }
    root["looked_at"] = json!("2020-01-01T00:00:00.000Z");
    let client = async_nats::connect(nats.url()).await.unwrap();
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Rollup", "sub");
    let body = serde_json::to_vec(&root).unwrap();
    let answer = client
        .request_with_headers(subject, headers, body.into())
        .await
        .unwrap();
    assert!(
        !String::from_utf8_lossy(&answer.payload).contains("error"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn the_head_of_a_dead_adapter_is_not_believed() {
    let house = House::new().await;
    let mut adapter = house.working(&[]).await;
    house.tells("started", "worker", 1).await;
    adapter.end_by(Signal::KILL).await;
    house.stack.exit("api", 3).await;
    // The stack is in reach: a look of our own is better than what stands there.
    let url = house.nats.url();
    let args = [
        "wait",
        "-v",
        "api",
        "-s",
        &url,
        "-p",
        &house.stack.port,
        "--grace",
        "1s",
    ];
    until(LIMIT, "an age in doubt", async || {
        let looked_at = root(&house.nats).await["looked_at"].clone();
        let looked_at: chrono::DateTime<chrono::Utc> = serde_json::from_value(looked_at).unwrap();
        chrono::Utc::now() - looked_at > chrono::TimeDelta::milliseconds(1600)
    })
    .await;
    let mut run = house.home.run(&args);
    assert_eq!(run.ends().await, 1, "{:?}", run.err.all());
    assert_eq!(
        run.err.count("looking at the stack itself"),
        1,
        "{:?}",
        run.err.all()
    );
    assert_eq!(
        run.err.count("api: Completed, ended with exit 3"),
        1,
        "{:?}",
        run.err.all()
    );
    // It is not in reach: nothing is judged until somebody looks again.
    grow_old(&house).await;
    let mut run = by_broker(&house, &["worker", "--timeout", "2s"]);
    assert_eq!(run.ends().await, 124, "{:?}", run.err.all());
    assert_eq!(run.err.count("its head is stale"), 1, "{:?}", run.err.all());
    let mut run = by_broker(&house, &["worker"]);
    run.says("the first source is known").await;
    let _adapter = house.adapter(&[]);
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
}

#[tokio::test]
async fn a_broker_that_is_away_is_waited_for_and_is_exit_4_when_the_time_is_up() {
    let home = Home::new();
    let usual = ["wait", "-s", "nats://127.0.0.1:1", "-u", "nobody.sock"];
    let mut run = home.run(&[&usual[..], &["--timeout", "1s"]].concat());
    assert_eq!(run.ends().await, 4, "{:?}", run.err.all());
    let said = run.err.all();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].contains("waiting for it") && said[1].ends_with("is away"),
        "{said:?}"
    );
}
