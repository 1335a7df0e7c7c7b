//! `observe up` with several stacks, in the foreground and in the background.

use rustix::process::Signal;

use super::many::{Scene, of};
use super::stack::Stack;

#[tokio::test]
async fn up_looks_at_several_too_and_shows_what_each_tells() {
    let scene = Scene::new();
    let (one, other) = (Stack::shop().await, Stack::shop().await);
    scene.file(&format!(
        "version: 1\nsources:\n  - {{name: east, address: '{}'}}\n  - {{name: west, address: '{}'}}\n",
        one.port, other.port
    ));
    let url = scene.nats.url();
    let mut up = scene.home.run(&["up", "-s", &url, "--interval", "250ms"]);
    let line = up.says("watching the stacks of").await;
    assert!(line.contains("as configured"), "{line}");
    for name in ["east", "west"] {
        scene.tells(name, "started", "worker", 1).await;
    }
    other.exit("worker", 3).await;
    let line = up.tells("crashed").await;
    assert!(line.contains("west"), "{line}");
    assert_eq!(up.end_by(Signal::INT).await, 130, "{:?}", up.err.all());
}

#[tokio::test]
async fn up_leaves_several_in_the_background_as_one() {
    let scene = Scene::new();
    let (one, other) = (Stack::shop().await, Stack::shop().await);
    let stacks = [of(&one.port, "east"), of(&other.port, "west")];
    let url = scene.nats.url();
    let up = [
        "up", "-d", "-s", &url, "--stack", &stacks[0], "--stack", &stacks[1],
    ];
    let mut run = scene.home.run(&up);
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    assert_eq!(run.err.count("telling 2 stacks"), 1, "{:?}", run.err.all());
    for name in ["east", "west"] {
        scene.tells(name, "started", "worker", 1).await;
    }
    let mut down = scene.home.run(&["down"]);
    assert_eq!(down.ends().await, 0, "{:?}", down.err.all());
    assert_eq!(down.err.count("stacks: ended after"), 1);
}
