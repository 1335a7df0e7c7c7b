//! `observe process logs`: what processes wrote, kept and followed.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::process::Scene;
use super::run::{Home, LIMIT, Run};
use super::stack::Stack;
use crate::support::wait::until;

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
async fn a_name_with_a_comma_is_followed_and_is_not_taken_for_two() {
    const YAML: &str = r#"
name: shop
keep: true
processes:
  a: {log: {every: 100ms, lines: ["of a {n}"]}}
  "a,b": {log: {every: 100ms, lines: ["of both {n}"]}}
"#;
    let scene = Scene {
        home: Home::new(),
        stack: Stack::play(YAML).await,
    };
    let mut run = scene.run(&["logs", "-f", "a,b", "-o", "json", "-n", "2"]);
    until(LIMIT, "lines", async || numbers(&run, "a,b").len() > 12).await;
    in_order(&numbers(&run, "a,b"), 1);
    assert_eq!(run.out.count("of a "), 0, "{:?}", run.out.all());
    scene.stack.control.restart("a,b").unwrap();
    let before = numbers(&run, "a,b").len();
    until(LIMIT, "lines of the next run", async || {
        numbers(&run, "a,b").len() > before + 12
    })
    .await;
    in_order(&numbers(&run, "a,b"), 2);
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
