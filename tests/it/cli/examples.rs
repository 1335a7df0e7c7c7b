//! The examples that the help shows are run, as they stand there.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::run::{Home, LIMIT, OBSERVE, Run};
use super::stack::Stack;
use crate::support::nats::NatsServer;
use crate::support::wait::until;

/// Every process that an example names.
const STACK: &str = "
name: shop
keep: true
processes:
  api: {ready: {after: 100ms, period: 200ms, threshold: 100}}
  migrate: {life: [{run: 100ms, exit: 0}]}
  web: {replicas: 2}
  worker: {restart: always, backoff: 1s}
";

/// Programs that an example may call; each of them does nothing and is content.
const PROGRAMS: [&str; 5] = ["make", "npm", "pytest", "curl", "jq"];

/// The command lines of the examples in a help, without the words beside them.
fn examples(help: &str) -> Vec<String> {
    let lines = help
        .lines()
        .filter_map(|line| line.strip_prefix("  observe "));
    lines
        .map(|line| {
            let command = line.split("  ").next().unwrap().trim();
            format!("observe {command}")
        })
        .collect()
}

/// A folder of programs: ours, and those that do nothing.
fn programs(home: &Home) -> String {
    let folder = home.path().join("bin");
    std::fs::create_dir(&folder).unwrap();
    let server = crate::support::nats::binary();
    std::os::unix::fs::symlink(server, folder.join("nats-server")).unwrap();
    std::os::unix::fs::symlink(OBSERVE, folder.join("observe")).unwrap();
    for name in PROGRAMS {
        let path = folder.join(name);
        let mut script = String::new();
        writeln!(script, "#!/bin/sh\n[ -t 0 ] || cat >/dev/null\nexit 0").unwrap();
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder.display().to_string()
}

/// A shell that runs an example here: its addresses are those of this stack and this broker.
fn shell(
    example: &str,
    home: &Home,
    folder: &str,
    (stack, broker): (&Stack, Option<&str>),
) -> Command {
    let here = example
        .replace("-p 9090", &format!("-p {}", stack.port))
        .replace("nats://broker:4222", broker.unwrap_or_default())
        .replace("simulate shop.yaml", "simulate -p 0 shop.yaml")
        .replace("simulate examples/stacks/", "simulate -p 0 ")
        .replace("--random 200", "-p 0 --random 200")
        .replace("-p 0 shop.yaml -p 0", "-p 0 shop.yaml");
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &here])
        .env_clear()
        .envs(home.environment())
        .env("PATH", path)
        .env("PC_PORT_NUM", &stack.port)
        .envs(broker.map(|url| ("NATS_URL", url)))
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    shell
}

/// Runs what goes on until it is told to end: each says something, and ends when it is asked to.
async fn all_live(command: &str, broker: Option<&str>) {
    let (home, stack) = (Home::new(), Stack::play(STACK).await);
    let folder = programs(&home);
    std::fs::write(home.path().join("shop.yaml"), STACK).unwrap();
    let mut help = home.run(&[command, "--help"]);
    assert_eq!(help.ends().await, 0);
    let examples = examples(&help.out.all().join("\n"));
    assert!(!examples.is_empty());
    let tells = ["adapter", "-p", &stack.port, "--interval", "250ms"];
    let adapter = broker.filter(|_| command == "watch");
    let _adapter = adapter.map(|url| home.run(&[&tells[..], &["-s", url]].concat()));
    for example in examples {
        // Of one command alone we want to see what it comes to, and not what its shell does.
        let alone = !example.contains(['|', '&']);
        let line = if alone {
            format!("exec {example}")
        } else {
            example.clone()
        };
        let mut shell = shell(&line, &home, &folder, (&stack, broker));
        let mut run = Run::of(shell.process_group(0));
        if example.contains("--count 1") {
            run.says("shop").await;
            stack.exit("worker", 1).await;
            assert_eq!(run.ends().await, 0, "{example}: {:?}", run.err.all());
            continue;
        }
        if example.contains("-d ") || example.contains("--no-follow") {
            assert_eq!(run.ends().await, 0, "{example}: {:?}", run.err.all());
            continue;
        }
        until(LIMIT, &example, async || {
            assert!(run.is_running(), "{example}: {:?}", run.err.all());
            !run.err.all().is_empty() || !run.out.all().is_empty()
        })
        .await;
        let group = rustix::process::Pid::from_raw(run.id().try_into().unwrap()).unwrap();
        rustix::process::kill_process_group(group, Signal::INT).unwrap();
        let code = run.ends().await;
        assert!(
            code == 130 || !alone,
            "{example}: {code}: {:?}",
            run.err.all()
        );
    }
    _ = home.command(&["broker", "stop"]).output();
}

async fn all_run(command: &str) {
    all_run_with(command, None).await;
}

async fn all_run_with(command: &str, broker: Option<&str>) {
    let (home, stack) = (Home::new(), Stack::play(STACK).await);
    let folder = programs(&home);
    std::fs::write(home.path().join("observe.yaml"), "version: 1\n").unwrap();
    let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
    let mut help = home.run(&words);
    assert_eq!(help.ends().await, 0);
    let examples = examples(&help.out.all().join("\n"));
    assert!(!examples.is_empty(), "{examples:?}");
    for example in examples {
        let mut run = Run::of(&mut shell(&example, &home, &folder, (&stack, broker)));
        if example.contains("--for crashed") {
            stack.exit("worker", 1).await;
        }
        if example.contains("--watch") {
            // It goes on until somebody ends it, and its shell with it.
            assert_eq!(run.ends().await, 2, "{example}: {:?}", run.err.all());
            continue;
        }
        let code = run.ends().await;
        assert_eq!(code, 0, "{example}: {:?}", run.err.all());
    }
}

#[tokio::test]
async fn every_example_of_wait_runs() {
    all_run("wait").await;
}

#[tokio::test]
async fn every_example_of_run_runs() {
    all_run("run").await;
}

#[tokio::test]
async fn every_example_of_what_goes_on_runs() {
    for command in ["adapter", "watch", "up"] {
        // Each has a stack of its own, and two of one name are refused.
        let nats = NatsServer::start();
        all_live(command, Some(&nats.url())).await;
    }
    all_live("simulate", None).await;
}

#[tokio::test]
async fn every_example_of_what_looks_after_them_runs() {
    let nats = NatsServer::start();
    all_run_with("doctor", Some(&nats.url())).await;
    let home = Home::new();
    for command in [
        "broker",
        "broker start",
        "broker status",
        "broker stop",
        "down",
    ] {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let mut help = home.run(&words);
        assert_eq!(help.ends().await, 0);
        for example in examples(&help.out.all().join("\n")) {
            let args: Vec<&str> = example.split(' ').skip(1).collect();
            let server = crate::support::nats::binary().display().to_string();
            let more = ["--nats-server", &server];
            let more = if example.ends_with("start") {
                &more[..]
            } else {
                &[]
            };
            let mut run = home.run(&[&args[..], more].concat());
            let wanted = i32::from(example.contains("lab"));
            assert_eq!(run.ends().await, wanted, "{example}: {:?}", run.err.all());
        }
    }
}

#[tokio::test]
async fn every_example_of_process_runs() {
    for command in ["process", "process stop", "process scale", "process logs"] {
        all_run(command).await;
    }
    for command in ["process start", "process restart"] {
        let mut help = Home::new().run(&[&command[..7], &command[8..], "--help"]);
        assert_eq!(help.ends().await, 0);
        assert_eq!(
            help.out.count("  observe process "),
            1,
            "{:?}",
            help.out.all()
        );
    }
}

#[tokio::test]
async fn every_example_of_history_runs() {
    let nats = NatsServer::start();
    let (_bus, store) = crate::bus::open(&nats).await;
    crate::bus::commit(&store, 0, 1, 3).await.unwrap();
    all_run_with("history", Some(&nats.url())).await;
}

#[tokio::test]
async fn every_example_of_stats_runs() {
    let nats = NatsServer::start();
    let (_bus, store) = crate::bus::open(&nats).await;
    crate::bus::commit(&store, 0, 1, 3).await.unwrap();
    all_run_with("stats", Some(&nats.url())).await;
}

#[tokio::test]
async fn every_example_of_what_asks_nobody_runs() {
    let apart = ["completions", "man", "version", "schema", "config"];
    let config = ["config check", "config show", "config schema"];
    for command in apart.into_iter().chain(config) {
        all_run(command).await;
    }
}

/// The commands whose examples are run here.
const RUN: [&str; 34] = [
    "",
    "up",
    "down",
    "adapter",
    "watch",
    "history",
    "state",
    "diff",
    "stats",
    "doctor",
    "wait",
    "run",
    "process",
    "process start",
    "process stop",
    "process restart",
    "process scale",
    "process logs",
    "simulate",
    "source",
    "source ls",
    "source forget",
    "broker",
    "broker start",
    "broker stop",
    "broker status",
    "config",
    "config check",
    "config show",
    "config schema",
    "schema",
    "completions",
    "man",
    "version",
];

/// The commands that a help lists, with the words before them.
fn listed(help: &[String], before: &str) -> Vec<String> {
    let below = help.iter().skip_while(|line| *line != "Commands:").skip(1);
    let names = below
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help");
    names
        .map(|name| format!("{before} {name}").trim().to_owned())
        .collect()
}

#[tokio::test]
async fn every_command_has_an_example_of_itself() {
    let home = Home::new();
    let mut open = vec![String::new()];
    let mut seen = 0;
    while let Some(command) = open.pop() {
        let words = command.split(' ').filter(|word| !word.is_empty());
        let words: Vec<&str> = words.chain(["--help"]).collect();
        let mut help = home.run(&words);
        assert_eq!(help.ends().await, 0, "{command}");
        let help = help.out.all();
        let own = format!("observe {command}");
        let all = examples(&help.join("\n"));
        assert!(
            all.iter().any(|example| example.starts_with(own.trim())),
            "{command}: {all:?}"
        );
        assert!(RUN.contains(&&*command), "nobody runs those of {command}");
        open.extend(listed(&help, &command));
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
}

#[tokio::test]
async fn every_example_of_the_first_page_that_ends_runs() {
    let nats = NatsServer::start();
    let (home, stack) = (Home::new(), Stack::play(STACK).await);
    let (folder, url) = (programs(&home), nats.url());
    let args = ["adapter", "-p", &stack.port, "-s", &url, "--source", "shop"];
    let adapter = home.run(&args);
    adapter.says(&stack.port).await;
    let usual = ["wait", "-s", &url, "-u", "nobody.sock"];
    assert_eq!(home.run(&usual).ends().await, 0);
    let mut help = home.run(&["--help"]);
    assert_eq!(help.ends().await, 0);
    let mut ended = 0;
    for example in examples(&help.out.all().join("\n")) {
        let command = example.split(' ').nth(1).unwrap_or_default();
        // Those go on, and theirs are run elsewhere.
        if ["up", "watch", "adapter", "simulate"].contains(&command) {
            continue;
        }
        let mut run = Run::of(&mut shell(&example, &home, &folder, (&stack, Some(&url))));
        assert_eq!(run.ends().await, 0, "{example}: {:?}", run.err.all());
        ended += 1;
    }
    assert!(ended >= 6, "{ended}");
}

#[tokio::test]
async fn every_example_of_state_and_diff_runs() {
    let nats = NatsServer::start();
    let (home, stack) = (Home::new(), Stack::play(STACK).await);
    let url = nats.url();
    let adapter = home.run(&["adapter", "-p", &stack.port, "-s", &url, "--source", "shop"]);
    adapter.says(&stack.port).await;
    let usual = ["wait", "-s", &url, "-u", "nobody.sock"];
    assert_eq!(home.run(&usual).ends().await, 0);
    all_run_with("state", Some(&url)).await;
    all_run_with("diff", Some(&url)).await;
}

#[tokio::test]
async fn every_example_of_source_runs() {
    let nats = NatsServer::start();
    let (home, stack) = (Home::new(), Stack::play(STACK).await);
    let url = nats.url();
    let args = ["adapter", "-p", &stack.port, "-s", &url, "--source", "lab"];
    let mut adapter = home.run(&args);
    adapter.says(&stack.port).await;
    let usual = ["wait", "-s", &url, "-u", "nobody.sock"];
    assert_eq!(home.run(&usual).ends().await, 0);
    adapter.end_by(Signal::KILL).await;
    super::wait::age(&nats, "core.head.lab").await;
    all_run_with("source ls", Some(&url)).await;
    all_run_with("source", Some(&url)).await;
    let mut adapter = home.run(&args);
    adapter.says(&stack.port).await;
    assert_eq!(home.run(&usual).ends().await, 0);
    adapter.end_by(Signal::KILL).await;
    super::wait::age(&nats, "core.head.lab").await;
    all_run_with("source forget", Some(&url)).await;
}
