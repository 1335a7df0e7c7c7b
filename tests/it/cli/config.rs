//! The file of settings, as a person writes it and a command takes it.

use std::process::Command;

use serde_json::Value;

use super::run::{Home, Run};
use super::stack::{SHOP, Stack, builder};
use crate::support::nats::NatsServer;

const FILE: &str = "\
version: 1
sources:
  - {name: shop, address: '9090', token_file: '${HOME}/token'}
directories:
  - {path: stacks, interval: 5s}
interval: 500ms
broker: {server: 'nats://me:${SECRET}@broker:4222', password_file: secret.txt}
output: {time: utc}
";

fn write(home: &Home, text: &str) -> String {
    let path = home.path().join("observe.yaml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn command(home: &Home, args: &[&str]) -> Command {
    let mut command = home.command(args);
    command.env("SECRET", "hunter2");
    command
}

/// Runs it; its exit code, and what it wrote on stdout and on stderr.
async fn run(mut command: Command) -> (i32, String, String) {
    let mut run = Run::of(&mut command);
    let code = run.ends().await;
    (code, run.out.all().join("\n"), run.err.all().join("\n"))
}

fn setting<'a>(shown: &'a Value, key: &str) -> Option<(&'a str, &'a str)> {
    let all = shown["settings"].as_array().unwrap();
    let one = all.iter().find(|one| one["key"] == key)?;
    Some((one["value"].as_str()?, one["from"].as_str()?))
}

#[tokio::test]
async fn what_is_in_force_is_shown_with_where_it_came_from_and_no_secret() {
    let home = Home::new();
    let path = write(&home, FILE);
    std::fs::write(home.path().join("secret.txt"), "hunter3\n").unwrap();
    let mut json = command(&home, &["config", "show", "-o", "json"]);
    json.env("NATS_NKEY", "/my.nk");
    let (code, out, err) = run(json).await;
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(shown["file"], path.as_str());
    for (key, value, from) in [
        ("broker.server", "nats://***@broker:4222", path.as_str()),
        ("interval", "500ms", &path),
        ("output.time", "utc", &path),
        ("output.color", "auto", "default"),
        ("stream.name", "PROCESS_EVENTS", "default"),
        ("broker.nkey", "/my.nk", "NATS_NKEY"),
    ] {
        assert_eq!(setting(&shown, key), Some((value, from)), "{key}");
    }
    // A key of the environment goes before a password of the file, and one of the two is enough.
    assert_eq!(setting(&shown, "broker.password_file"), None);
    assert_eq!(shown["sources"][0]["token_file"], "${HOME}/token");
    assert_eq!(shown["directories"][0]["at"], "stacks");

    let (code, out, _) = run(command(&home, &["config", "show"])).await;
    assert_eq!(code, 0);
    assert!(!out.contains("hunter"), "{out}");
    let password = out
        .lines()
        .find(|line| line.starts_with("broker.password_file"));
    assert!(password.is_some_and(|line| line.contains("***")), "{out}");

    let mut elsewhere = command(&home, &["config", "show", "--json"]);
    elsewhere.env("NATS_URL", "nats://you:hunter4@other:4222");
    let (_, out, _) = run(elsewhere).await;
    let shown: Value = serde_json::from_str(&out).unwrap();
    let server = setting(&shown, "broker.server");
    assert_eq!(server, Some(("nats://***@other:4222", "NATS_URL")));
    assert_eq!(
        setting(&shown, "broker.password_file"),
        None,
        "another broker's"
    );
}

#[tokio::test]
async fn a_file_is_checked_with_line_column_and_what_was_meant() {
    let home = Home::new();
    let (code, _, err) = run(command(&home, &["config", "check"])).await;
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("there is no observe.yaml"), "{err}");
    write(&home, FILE);
    let (code, out, err) = run(command(&home, &["config", "check"])).await;
    assert_eq!(code, 0, "{err}");
    assert!(
        out.ends_with("observe.yaml is sound: 1 source, 1 directory"),
        "{out}"
    );
    write(&home, "version: 1\nbrokre: {}\n");
    let wanted = "observe.yaml:2:1: there is no key \"brokre\"; did you mean broker?";
    // Whoever would use it is told the same.
    for args in [
        &["config", "check"][..],
        &["watch"],
        &["adapter"],
        &["config", "show"],
    ] {
        let (code, out, err) = run(command(&home, args)).await;
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}");
        assert!(
            err.starts_with("observe: /") && err.ends_with(wanted),
            "{err}"
        );
    }
    let (code, out, _) = run(command(&home, &["version"])).await;
    assert_eq!(code, 0, "{out}");
    let (code, out, _) = run(command(&home, &["config", "schema"])).await;
    assert_eq!(code, 0);
    let schema: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(schema["$id"], "urn:observe:schema:config:1");
}

#[tokio::test]
async fn a_file_of_somebody_else_is_passed_over_with_one_line_and_refused_where_it_is_named() {
    let home = Home::new();
    write(&home, "receivers: [otlp]\n");
    let (code, _, err) = run(command(&home, &["config", "show"])).await;
    assert_eq!(code, 0);
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(
        err.contains("is passed over: it has no `version: 1`"),
        "{err}"
    );
    for args in [
        &["config", "show", "--config", "observe.yaml"][..],
        &["--config", "observe.yaml", "watch"],
        &["config", "check", "observe.yaml"],
    ] {
        let (code, _, err) = run(command(&home, args)).await;
        assert_eq!(code, 2, "{err}");
        assert!(
            err.contains("observe.yaml:1:1: there is no key \"receivers\""),
            "{err}"
        );
    }
    let (code, _, err) = run(command(&home, &["watch", "--config", "none.yaml"])).await;
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("none.yaml cannot be read"), "{err}");
}

#[tokio::test]
async fn a_flag_goes_before_the_environment_that_before_the_file_and_that_before_what_is_usual() {
    let (home, nats) = (Home::new(), NatsServer::start());
    let stack = Stack::shop().await;
    let url = nats.url();
    write(
        &home,
        &format!(
            "version: 1\nbroker: {{server: '{url}'}}\nstream: {{name: MINE, subject_prefix: mine}}\ninterval: 300ms\n"
        ),
    );
    let adapter = home.run(&["adapter", "-p", &stack.port]);
    let line = adapter.says("shop: process-compose").await;
    for part in ["every 300 ms", "MINE", &url] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let other = home.run(&[
        "adapter",
        "-p",
        &stack.port,
        "--interval",
        "400ms",
        "--source",
        "other",
    ]);
    assert!(other.says("process-compose").await.contains("every 400 ms"));
    let usual = ["wait", "--source", "shop", "--for", "running"];
    assert_eq!(home.run(&usual).ends().await, 0);
    let mut gone = home.command(&["history", "-n", "1"]);
    gone.env("NATS_URL", "nats://127.0.0.1:1");
    let (code, _, err) = run(gone).await;
    assert_eq!(code, 4, "{err}");
    let mut read = home.run(&["history", "-n", "1", "--json"]);
    assert_eq!(read.ends().await, 0, "{:?}", read.err.all());
    assert!(
        read.out.all()[0].contains("\"mine.process."),
        "{:?}",
        read.out.all()
    );
}

#[tokio::test]
async fn a_doctor_asks_the_one_of_several_stacks_that_is_named_and_finds_no_fault_with_several() {
    let (home, nats, stack) = (Home::new(), NatsServer::start(), Stack::shop().await);
    write(
        &home,
        &format!(
            "version: 1\nsources:\n  - {{name: east, address: '{}'}}\n  - {{name: west, address: '1'}}\n",
            stack.port
        ),
    );
    let url = nats.url();
    let (code, out, err) = run(home.command(&["doctor", "-s", &url])).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("several stacks: east, west"), "{out}");
    let east = ["doctor", "-s", &url, "--source", "east"];
    let (code, out, err) = run(home.command(&east)).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("process-compose v1.122.0 answers"), "{out}");
    let west = ["doctor", "-s", &url, "--source", "west"];
    let (code, out, _) = run(home.command(&west)).await;
    assert_eq!(code, 1, "{out}");
}

#[tokio::test]
async fn a_source_of_the_file_is_found_by_its_name_with_its_own_token() {
    let (home, nats) = (Home::new(), NatsServer::start());
    let secret = "a-token-of-more-than-twenty-characters";
    let stack = Stack::serve(builder(SHOP).token(secret)).await;
    std::fs::write(home.path().join("token"), secret).unwrap();
    write(
        &home,
        &format!(
            "version: 1\nsources:\n  - {{name: east, address: '{}', token_file: token}}\n  - {{name: west, address: '1'}}\n",
            stack.port
        ),
    );
    let url = nats.url();
    for args in [
        &["state", "--direct", "--source", "east"][..],
        &["wait", "--direct", "--source", "east"],
        &["watch", "--direct", "--source", "east", "--count", "1"],
        &["process", "restart", "api", "--source", "east", "--direct"],
        &["process", "restart", "api", "--source", "east", "-s", &url],
    ] {
        let (code, out, err) = run(home.command(args)).await;
        assert_eq!(code, 0, "{args:?}: {out}{err}");
    }
    let state = ["state", "--direct", "--source", "east", "-o", "json"];
    let (_, out, _) = run(home.command(&state)).await;
    let state: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(state["sources"][0]["source"], "east", "{state}");
    let several = ["state", "--direct"];
    let (code, _, err) = run(home.command(&several)).await;
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("say which one by --source"), "{err}");
}
