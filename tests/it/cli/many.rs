//! Several stacks on one adapter and one stream.

use std::path::{Path, PathBuf};
use std::time::Duration;

use observe::event::envelope::Envelope;
use observe::simulate::settings::Place;
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rustix::process::Signal;
use serde_json::Value;

use super::house::{brief, count, events, messages, without_holes};
use super::run::{Home, LIMIT, OBSERVE, Run};
use super::stack::{SHOP, Stack, builder};
use crate::support::house::send;
use crate::support::nats::NatsServer;
use crate::support::wait::until;

pub(super) struct Scene {
    pub(super) home: Home,
    pub(super) nats: NatsServer,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self {
            home: Home::new(),
            nats: NatsServer::start(),
        }
    }

    /// An adapter into our broker, with looks that come often.
    pub(super) fn adapter(&self, more: &[&str]) -> Run {
        let url = self.nats.url();
        let usual = ["adapter", "-s", &url, "--interval", "250ms"];
        self.home.run(&[&usual, more].concat())
    }

    pub(super) fn file(&self, text: &str) -> PathBuf {
        let path = self.home.path().join("observe.yaml");
        // Whole at once, as an editor does it.
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &path).unwrap();
        path
    }

    /// Waits until this is told of a process of a source, so many times.
    pub(super) async fn tells(
        &self,
        source: &str,
        kind: &str,
        process: &str,
        wanted: usize,
    ) -> Vec<Envelope> {
        let end = tokio::time::Instant::now() + LIMIT;
        loop {
            let told = self.of(source).await;
            if count(&told, kind, process) >= wanted {
                return told;
            }
            let now = tokio::time::Instant::now();
            assert!(now < end, "{source} {kind} {process}: {:#?}", brief(&told));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) async fn of(&self, source: &str) -> Vec<Envelope> {
        let mut told = events(&self.nats).await;
        told.retain(|event| event.source == source);
        told
    }

    async fn told_of(&self, source: &str, kind: &str) {
        until(LIMIT, kind, async || {
            let told = self.of(source).await;
            told.iter().any(|event| event.kind.as_str() == kind)
        })
        .await;
    }

    /// Runs a reading command; what it printed.
    pub(super) async fn reads(&self, args: &[&str]) -> Vec<String> {
        let url = self.nats.url();
        let mut run = self.home.run(&[args, &["-s", &url]].concat());
        assert_eq!(run.ends().await, 0, "{args:?}: {:?}", run.err.all());
        run.out.all()
    }

    async fn looked_at(&self, source: &str) -> String {
        let all = messages(&self.nats, &[&format!("core.head.{source}")]).await;
        let root: Value = serde_json::from_slice(&all.last().unwrap().payload).unwrap();
        root["looked_at"].as_str().unwrap().to_owned()
    }
}

pub(super) fn of(port: &str, name: &str) -> String {
    format!("{name}=127.0.0.1:{port}")
}

/// The numbers of the events that tell of anything but the first sight of this source.
fn news(told: &[Envelope]) -> Vec<String> {
    let news = told
        .iter()
        .filter(|event| event.origin.as_str() != "initial");
    news.map(|event| {
        let name = event.process.as_deref().unwrap_or("-");
        format!("{} {name}", event.kind.as_str())
    })
    .collect()
}

/// Each head says what was told of its own stack, side by side and one by one.
async fn heads_are_apart(scene: &Scene) {
    let state = scene.reads(&["state", "-o", "json"]).await;
    let state: Value = serde_json::from_str(&state[0]).unwrap();
    let sources = state["sources"].as_array().unwrap();
    let status = |source: usize, name: &str| {
        let rows = sources[source]["processes"].as_array().unwrap();
        let row = rows.iter().find(|row| row["process"] == name).unwrap();
        row["state"]["is_running"].as_bool().unwrap()
    };
    assert_eq!(sources[0]["source"], "east");
    assert_eq!(sources[1]["source"], "west");
    assert_eq!((status(0, "api"), status(1, "api")), (true, false));
    assert_eq!((status(0, "web"), status(1, "web")), (false, true));
    let table = scene.reads(&["state"]).await.join("\n");
    assert!(table.contains("east") && table.contains("west"), "{table}");
    let table = scene.reads(&["state", "--source", "west"]).await.join("\n");
    assert!(!table.contains("east"), "{table}");
}

/// Every reader can choose.
async fn readers_choose(scene: &Scene) {
    let history = scene
        .reads(&["history", "--source", "west", "--json"])
        .await;
    assert!(!history.is_empty());
    for line in &history {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["source"], "west", "{line}");
    }
    let stats = scene
        .reads(&["stats", "--source", "west", "-o", "json"])
        .await
        .join("");
    assert!(stats.contains("west") && !stats.contains("east"), "{stats}");
    let diff = scene
        .reads(&["diff", "1h", "--source", "east"])
        .await
        .join("\n");
    assert!(!diff.contains("west"), "{diff}");
}

#[tokio::test]
async fn two_stacks_with_equal_process_names_are_never_mixed() {
    let scene = Scene::new();
    let (one, other) = (Stack::shop().await, Stack::shop().await);
    let (east, west) = (of(&one.port, "east"), of(&other.port, "west"));
    let adapter = scene.adapter(&["--stack", &east, "--stack", &west]);
    for (name, stack) in [("east", &one), ("west", &other)] {
        let line = adapter.says(&format!("{name}: process-compose")).await;
        assert!(line.contains(&stack.port), "{line}");
        scene.tells(name, "started", "worker", 1).await;
    }
    one.exit("worker", 3).await;
    // By policy; nothing happens to this stack afterwards but what we do to it.
    scene.tells("east", "restarted", "worker", 1).await;
    other.control.stop("api").unwrap();
    scene.tells("west", "stopped", "api", 1).await;
    one.control.kill("web", 9).unwrap();
    let east = scene.tells("east", "crashed", "web", 1).await;
    let west = scene.of("west").await;
    without_holes(&east);
    without_holes(&west);
    assert_ne!(east[0].journal, west[0].journal);
    assert_eq!(news(&west), ["stopped api"]);
    assert_eq!(count(&east, "stopped", "api"), 0, "{:#?}", brief(&east));
    assert_eq!(count(&east, "crashed", "worker"), 1, "{:#?}", brief(&east));
    for told in [&east, &west] {
        let seqs: Vec<u64> = told.iter().map(|event| event.seq).collect();
        assert_eq!(seqs[0], 1, "each numbers its own");
    }

    heads_are_apart(&scene).await;
    readers_choose(&scene).await;
    let waits = ["wait", "web", "--source", "west", "--for", "running"];
    scene.reads(&waits).await;
    let url = scene.nats.url();
    let restart = [
        "process", "restart", "api", "--source", "west", "--yes", "-s", &url,
    ];
    let mut restart = scene.home.run(&restart);
    assert_eq!(restart.ends().await, 0, "{:?}", restart.err.all());
    scene.tells("west", "restarted", "api", 1).await;
    assert_eq!(news(&scene.of("east").await), news(&east), "nothing of it");
    assert_eq!(adapter.err.all().len(), 3, "{:#?}", adapter.err.all());
}

#[tokio::test]
async fn the_file_is_read_again_when_it_changes_and_nobody_else_is_disturbed() {
    let scene = Scene::new();
    let stacks = [Stack::shop().await, Stack::shop().await];
    let source = |name: &str, stack: &Stack| {
        format!(
            "  - {{name: {name}, address: '127.0.0.1:{}'}}\n",
            stack.port
        )
    };
    let (a, b) = (source("a", &stacks[0]), source("b", &stacks[1]));
    let file = |sources: &str| format!("version: 1\nsources:\n{sources}");
    let path = scene.file(&file(&a));
    let mut adapter = scene.adapter(&[]);
    let line = adapter.says("looking at the stacks of").await;
    assert!(line.contains(&path.display().to_string()), "{line}");
    scene.tells("a", "started", "worker", 1).await;

    scene.file(&file(&format!("{a}{b}")));
    adapter.says("observe.yaml was read again").await;
    scene.tells("b", "started", "worker", 1).await;

    // A mistake keeps what was.
    scene.file("version: 1\nsources:\n  - {name: a, adress: x}\n");
    let line = adapter.says("did you mean address?").await;
    assert!(line.contains("observe.yaml:3:15:"), "{line}");
    assert!(line.ends_with("what was in force stays"), "{line}");
    stacks[1].control.kill("web", 9).unwrap();
    scene.tells("b", "crashed", "web", 1).await;

    // By a signal too; and it is no end.
    adapter.send(Signal::HUP);
    until(LIMIT, "the second time", async || {
        adapter.err.count("did you mean") == 2
    })
    .await;
    assert!(adapter.is_running());
    assert_eq!(
        adapter.err.count("no longer looked at"),
        0,
        "{:#?}",
        adapter.err.all()
    );

    // A source that goes is looked at no more, the other one goes on.
    scene.file(&file(&b));
    adapter.says("a: no longer looked at").await;
    let gone = scene.looked_at("a").await;
    let before = scene.looked_at("b").await;
    stacks[0].control.kill("web", 9).unwrap();
    stacks[1].control.start("web").unwrap();
    scene.tells("b", "started", "web", 2).await;
    assert!(scene.looked_at("b").await > before && scene.looked_at("a").await == gone);
    assert_eq!(news(&scene.of("a").await), [""; 0]);
    let b = scene.of("b").await;
    without_holes(&b);
    assert_eq!(news(&b), ["crashed web", "started web"], "{:#?}", brief(&b));
    assert_eq!(
        adapter.err.count("b: process-compose"),
        1,
        "{:#?}",
        adapter.err.all()
    );
    assert_eq!(
        adapter.end_by(Signal::TERM).await,
        143,
        "{:?}",
        adapter.err.all()
    );
}

async fn at_socket(path: &Path, name: &str) -> Stack {
    let yaml = SHOP.replace("name: shop", &format!("name: {name}"));
    Stack::serve(builder(&yaml).place(Place::Unix(path.to_owned()))).await
}

#[tokio::test]
async fn a_folder_of_sockets_is_searched_for_stacks_that_come_and_go() {
    let scene = Scene::new();
    let root = scene.home.path().join("run");
    let [one, two] = ["devenv-1", "devenv-2"].map(|name| root.join(name));
    for folder in [&one, &two] {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::write(one.join("file.sock"), "").unwrap();
    let pattern = root.join("devenv-*").display().to_string();
    let adapter = scene.adapter(&["--source-dir", &pattern]);
    adapter.says("looking at the sockets in").await;
    let first = at_socket(&two.join("pc.sock"), "first").await;
    scene.tells("first", "started", "worker", 1).await;
    let second = at_socket(&one.join("pc.sock"), "second").await;
    scene.tells("second", "started", "worker", 1).await;
    // The third calls itself as the first does, and stands before it in the order of paths.
    let twin = at_socket(&one.join("twin.sock"), "first").await;
    let line = adapter.says("the first counts").await;
    let places = ["devenv-2", "twin.sock"].map(|place| line.find(place));
    assert!(places[0].is_some() && places[0] < places[1], "{line}");
    assert_eq!(news(&scene.of("first").await), [""; 0]);
    drop(twin);
    second.control.kill("api", 9).unwrap();
    scene.tells("second", "crashed", "api", 1).await;

    drop(first);
    std::fs::remove_file(two.join("pc.sock")).unwrap_or_default();
    scene.told_of("first", "disconnected").await;
    adapter.says("first: no longer looked at").await;
    let _again = at_socket(&two.join("pc.sock"), "first").await;
    scene.told_of("first", "restarted").await;
    without_holes(&scene.of("first").await);
    without_holes(&scene.of("second").await);
    assert_eq!(news(&scene.of("second").await), ["crashed api"]);
}

#[tokio::test]
async fn a_stack_that_is_away_or_refused_holds_back_nobody() {
    let scene = Scene::new();
    let (good, late) = (Stack::shop().await, Stack::shop().await);
    late.control.stop_listening();
    let nowhere = of("1", "nowhere");
    let (good_one, late_one) = (of(&good.port, "good"), format!("127.0.0.1:{}", late.port));
    let adapter = scene.adapter(&[
        "--stack", &nowhere, "--stack", &late_one, "--stack", &good_one,
    ]);
    scene.tells("good", "started", "worker", 1).await;
    let line = adapter.says("does not answer yet; waiting for it").await;
    assert!(line.contains(&late.port), "{line}");
    late.control.listen_again();
    scene.tells("shop", "started", "worker", 1).await;

    // Two servers under one name: the second adapter refuses that stack, and tells the other one.
    let (other, third) = (Stack::shop().await, Stack::shop().await);
    let other = format!("127.0.0.1:{}", other.port);
    let second = scene.adapter(&["--stack", &other, "--stack", &of(&third.port, "third")]);
    scene.tells("third", "started", "worker", 1).await;
    let line = second.says("tried again every 30 s").await;
    assert!(
        line.contains("two process-composes call themselves shop"),
        "{line}"
    );
}

#[tokio::test]
async fn a_broker_that_leaves_is_said_once_and_nothing_of_any_stack_is_lost() {
    let mut scene = Scene::new();
    let (one, other) = (Stack::shop().await, Stack::shop().await);
    let (a, b) = (of(&one.port, "a"), of(&other.port, "b"));
    let adapter = scene.adapter(&["--stack", &a, "--stack", &b]);
    for name in ["a", "b"] {
        scene.tells(name, "started", "worker", 1).await;
    }
    scene.nats.stop();
    one.control.kill("web", 9).unwrap();
    other.control.kill("api", 9).unwrap();
    adapter.says("is away").await;
    scene.nats.again();
    scene.tells("a", "crashed", "web", 1).await;
    scene.tells("b", "crashed", "api", 1).await;
    adapter.says("is back").await;
    for needle in ["is away", "is back"] {
        assert_eq!(adapter.err.count(needle), 1, "{:#?}", adapter.err.all());
    }
    for name in ["a", "b"] {
        without_holes(&scene.of(name).await);
    }
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_before_anything_is_looked_at() {
    let home = Home::new();
    for (args, wanted) in [
        (&["--stack", "nowhere"][..], "shop=9090"),
        (&["--stack", "1", "-p", "2"], "cannot be used with"),
        (&["--stack", "1", "--source", "x"], "cannot be used with"),
        (
            &["--stack", "1", "--no-retry"],
            "--no-retry is for one stack",
        ),
        (
            &["--stack", "1", "--subject-prefix", "edge.{source}"],
            "needs an adapter for each",
        ),
    ] {
        let url = "nats://127.0.0.1:1";
        let mut run = home.run(&[&["adapter", "-s", url], args].concat());
        assert_eq!(run.ends().await, 2, "{args:?}: {:?}", run.err.all());
        assert!(run.err.count(wanted) > 0, "{args:?}: {:?}", run.err.all());
    }
    std::fs::write(
        home.path().join("observe.yaml"),
        "version: 1\nsources: [{name: a, address: '1'}, {name: b, address: '2'}]\n",
    )
    .unwrap();
    for (args, wanted) in [
        (
            &["adapter", "--source", "c"][..],
            "has no source c; there are a, b",
        ),
        (&["watch", "--direct"], "names several stacks (a, b)"),
    ] {
        let mut run = home.run(args);
        let (code, line) = run.refused().await;
        assert_eq!(code, 2, "{line}");
        assert!(line.contains(wanted), "{line}");
    }
}

#[tokio::test]
async fn an_adapter_ends_with_its_terminal_wherever_its_words_go() {
    let scene = Scene::new();
    let stack = Stack::shop().await;
    let (log, url) = (scene.home.path().join("log"), scene.nats.url());
    let pair = native_pty_system().openpty(PtySize::default()).unwrap();
    let mut command = CommandBuilder::new("/bin/sh");
    let place = of(&stack.port, "shop");
    let args = [OBSERVE, "adapter", "-s", &url, "--stack", &place];
    command.args(["-c", "exec \"$@\" >log 2>&1 </dev/null", "sh"]);
    command.args(args);
    command.env_clear();
    for (name, value) in scene.home.environment() {
        command.env(name, value);
    }
    command.cwd(scene.home.path());
    let mut child = pair.slave.spawn_command(command).unwrap();
    scene.tells("shop", "started", "worker", 1).await;
    // Here it is no end: the terminal is there.
    let pid = child.process_id().unwrap();
    send(pid, Signal::HUP);
    scene.tells("shop", "started", "api", 1).await;
    let before = scene.looked_at("shop").await;
    until(LIMIT, "another look", async || {
        scene.looked_at("shop").await > before
    })
    .await;
    drop(pair);
    let mut ended = false;
    let end = tokio::time::Instant::now() + LIMIT;
    while !ended && tokio::time::Instant::now() < end {
        ended = child.try_wait().unwrap().is_some();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().unwrap_or_default();
    assert!(ended, "{}", std::fs::read_to_string(log).unwrap());
}
