//! `observe up -d` and `observe down`.

use std::path::PathBuf;

use rustix::process::Signal;

use super::run::{Home, LIMIT, Run};
use super::stack::Stack;
use crate::support::house::send;
use crate::support::nats::{self, NatsServer};
use crate::support::wait::until;

/// A home whose adapters in the background end with it, also where the test failed.
struct Homely(Home);

impl Homely {
    async fn ends(&self, args: &[&str]) -> (i32, Run) {
        let mut run = self.0.run(args);
        (run.ends().await, run)
    }

    fn files(&self) -> Vec<PathBuf> {
        let folder = self.0.path().join("observe/background");
        let files = std::fs::read_dir(folder).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }

    /// The process that tells `source`.
    fn pid(&self, source: &str) -> u32 {
        let mut cards = self.files();
        cards.retain(|path| path.extension().is_some_and(|end| end == "json"));
        let cards = cards
            .iter()
            .map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap());
        let card = cards
            .into_iter()
            .find(|card: &serde_json::Value| card["source"] == source)
            .unwrap();
        card["pid"].as_u64().unwrap().try_into().unwrap()
    }
}

impl Drop for Homely {
    fn drop(&mut self) {
        _ = self.0.command(&["down", "--all"]).output();
        _ = self.0.command(&["broker", "stop"]).output();
    }
}

#[tokio::test]
async fn an_adapter_goes_on_in_the_background_until_down() {
    let (home, stack) = (Homely(Home::new()), Stack::shop().await);
    let server = nats::binary().display().to_string();
    let up = ["up", "-d", "-p", &stack.port, "--nats-server", &server];
    let (code, run) = home.ends(&up).await;
    assert_eq!(code, 0, "{:?}", run.err.all());
    assert!(run.out.all().is_empty(), "{:?}", run.out.all());
    let said = run.err.all();
    assert!(
        said[0].starts_with("telling shop at ") && said[0].ends_with("from the background"),
        "{said:?}"
    );

    stack.control.exit("worker", 3).unwrap();
    let watch = home.0.run(&["watch", "--last", "20", "--type", "crashed"]);
    watch.tells("crashed    worker").await;
    drop(watch);

    let (code, again) = home.ends(&up).await;
    assert_eq!(code, 0, "{:?}", again.err.all());
    assert_eq!(again.err.count("already"), 1, "{:?}", again.err.all());

    let (code, down) = home.ends(&["down"]).await;
    assert_eq!(code, 0, "{:?}", down.err.all());
    assert_eq!(down.err.count("shop: ended after"), 1);
    let (code, none) = home.ends(&["down"]).await;
    assert_eq!(code, 0);
    assert_eq!(none.err.all(), ["nothing runs in the background"]);
    let (code, history) = home.ends(&["history", "--type", "crashed"]).await;
    assert_eq!(code, 0, "{:?}", history.err.all());
    assert_eq!(history.out.count("crashed    worker"), 1);
}

#[tokio::test]
async fn one_that_was_killed_is_nobody_and_its_place_is_free() {
    let (home, stack, nats) = (
        Homely(Home::new()),
        Stack::shop().await,
        NatsServer::start(),
    );
    let up = ["up", "-d", "-p", &stack.port, "-s", &nats.url()];
    assert_eq!(home.ends(&up).await.0, 0);
    let pid = home.pid("shop");
    send(pid, Signal::KILL);
    until(LIMIT, "it is gone", async || {
        home.ends(&["down"]).await.1.err.count("nothing runs") == 1
    })
    .await;
    let (code, run) = home.ends(&up).await;
    assert_eq!(code, 0, "{:?}", run.err.all());
    assert_eq!(run.err.count("already"), 0, "{:?}", run.err.all());
    assert_ne!(home.pid("shop"), pid);
}

#[tokio::test]
async fn of_several_in_the_background_down_wants_to_know_which() {
    let (home, nats) = (Homely(Home::new()), NatsServer::start());
    let (one, other) = (Stack::shop().await, Stack::shop().await);
    for (stack, name) in [(&one, "north"), (&other, "south")] {
        let up = [
            "up",
            "--source",
            name,
            "-d",
            "-p",
            &stack.port,
            "-s",
            &nats.url(),
        ];
        let (code, run) = home.ends(&up).await;
        assert_eq!(code, 0, "{:?}", run.err.all());
    }
    let (code, run) = home.ends(&["down"]).await;
    assert_eq!(code, 2);
    assert_eq!(run.err.count("north, south"), 1, "{:?}", run.err.all());
    let (code, run) = home.ends(&["down", "east"]).await;
    assert_eq!(code, 1);
    assert_eq!(run.err.count("what runs there: north, south"), 1);
    let (code, run) = home.ends(&["down", "south"]).await;
    assert_eq!(code, 0, "{:?}", run.err.all());
    let (code, run) = home.ends(&["down", "--all"]).await;
    assert_eq!((code, run.err.count("north: ended")), (0, 1));
}

#[tokio::test]
async fn one_that_cannot_begin_says_why_and_leaves_nothing() {
    let home = Homely(Home::new());
    let (code, run) = home
        .ends(&["up", "-d", "-p", "1", "--token-file", "/nowhere/token"])
        .await;
    assert_eq!(code, 2, "{:?}", run.err.all());
    assert_eq!(run.err.count("/nowhere/token"), 1, "{:?}", run.err.all());
    assert_eq!(home.files(), Vec::<PathBuf>::new());
    // Who loses patience leaves nothing either.
    let mut waiting = home.0.run(&["up", "-d", "-p", "1"]);
    waiting.says("waiting for it").await;
    assert_eq!(waiting.end_by(Signal::INT).await, 130);
    assert_eq!(home.files(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn each_project_has_a_place_of_its_own_and_a_broken_file_keeps_nobody_from_ending() {
    let (home, nats) = (Homely(Home::new()), NatsServer::start());
    let (one, other) = (Stack::shop().await, Stack::shop().await);
    for (stack, folder) in [(&one, "north"), (&other, "south")] {
        let folder = home.0.path().join(folder);
        std::fs::create_dir(&folder).unwrap();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let text = format!(
            "version: 1\nsources:\n  - {{name: {name}-shop, address: '{}'}}\n",
            stack.port
        );
        std::fs::write(folder.join("observe.yaml"), text).unwrap();
        let mut up = home.0.command(&["up", "-d", "-s", &nats.url()]);
        let mut run = Run::of(up.current_dir(&folder));
        assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
        assert_eq!(run.err.count("already"), 0, "{:?}", run.err.all());
    }
    let folder = home.0.path().join("north");
    std::fs::write(folder.join("observe.yaml"), "version: 1\nsurces: 3\n").unwrap();
    let mut down = home.0.command(&["down", "north"]);
    let mut run = Run::of(down.current_dir(&folder));
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    let (code, run) = home.ends(&["down"]).await;
    assert_eq!((code, run.err.count("south: ended")), (0, 1));
}
