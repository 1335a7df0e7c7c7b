//! The doctor: every fault is named with its remedy, and it never hangs.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::house::House;
use super::run::Home;
use super::stack::{Stack, builder};
use crate::support::fake_server::{FakeServer, Reply};
use crate::support::nats::NatsServer;

/// What a person waits at most, with room for a slow machine.
const PATIENCE: Duration = Duration::from_secs(8);

/// A report, read.
pub(super) struct Report {
    code: i32,
    json: Value,
}

impl Report {
    /// Severity, sentence and fix of a check; all of them where there are several.
    fn of(&self, check: &str) -> Vec<(&str, &str, &str)> {
        let all = self.json["findings"].as_array().unwrap().iter();
        let text = |finding: &'_ Value, key: &str| -> &str {
            let value: &'_ Value = &finding[key];
            // The report lives as long as what is read from it.
            value.as_str().unwrap_or_default().to_owned().leak()
        };
        all.filter(|finding| finding["check"] == check)
            .map(|one| (text(one, "severity"), text(one, "what"), text(one, "fix")))
            .collect()
    }

    /// Fails unless a check has this severity and says these words, in sentence or fix.
    pub(super) fn says(&self, check: &str, severity: &str, words: &[&str]) {
        let found = self.of(check);
        let fits = found.iter().any(|(grave, what, fix)| {
            *grave == severity
                && words
                    .iter()
                    .all(|word| what.contains(word) || fix.contains(word))
        });
        assert!(fits, "{check} {severity} {words:?}: {:#}", self.json);
    }
}

pub(super) async fn report_with(home: &Home, args: &[&str], variables: &[(&str, &str)]) -> Report {
    let begun = Instant::now();
    let args = [&["doctor", "-o", "json"], args].concat();
    let mut command = home.command(&args);
    command.envs(variables.iter().copied());
    let mut run = super::run::Run::of(&mut command);
    let code = run.ends().await;
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    let out = run.out.all();
    assert_eq!(out.len(), 1, "{out:?} {:?}", run.err.all());
    assert_eq!(run.err.all(), Vec::<String>::new());
    let json: Value = serde_json::from_str(&out[0]).unwrap();
    let worst = json["worst"].as_str().unwrap();
    assert_eq!(code, i32::from(worst == "error"), "{json:#}");
    for finding in json["findings"].as_array().unwrap() {
        let grave = ["warning", "error"].contains(&finding["severity"].as_str().unwrap());
        assert!(!grave || finding["fix"].is_string(), "no fix: {finding}");
    }
    Report { code, json }
}

pub(super) async fn report(args: &[&str]) -> Report {
    report_with(&Home::new(), args, &[]).await
}

#[tokio::test]
async fn where_all_is_well_it_says_so_of_every_area() {
    let house = House::new().await;
    let _adapter = house.working(&[]).await;
    let url = house.nats.url();
    let args = ["-p", &house.stack.port, "-s", &url];
    let report = report_with(&house.home, &args, &[]).await;
    assert_eq!(report.code, 0, "{:#}", report.json);
    assert!(
        ["ok", "info"].contains(&report.json["worst"].as_str().unwrap()),
        "{:#}",
        report.json
    );
    for (check, words) in [
        ("setup.version", vec![env!("CARGO_PKG_VERSION")]),
        (
            "source.reachable",
            vec!["process-compose v", "--port", "project shop"],
        ),
        ("source.evidence", vec!["state stream"]),
        ("source.processes", vec!["3 processes"]),
        ("source.clock", vec!["agree"]),
        ("source.configuration", vec!["policies"]),
        ("broker.reachable", vec!["nats-server 2.", &url, "--server"]),
        ("broker.jetstream", vec!["on"]),
        ("broker.clock", vec!["agree"]),
        ("stream.exists", vec!["PROCESS_EVENTS", "by observe"]),
        ("stream.settings", vec!["as they must be"]),
        ("stream.size", vec!["messages", "1.1 GB"]),
        ("rights.adapter", vec!["all 10 rights"]),
        ("rights.reader", vec!["all 5 rights"]),
        ("adapters.head", vec!["shop is told by", "looked"]),
        ("memory.folder", vec!["observe/adapters"]),
    ] {
        report.says(check, "ok", &words);
    }
    if std::path::Path::new("/proc/locks").exists() {
        report.says("memory.source", "info", &["shop: 1 adapter at work"]);
    }
}

#[tokio::test]
async fn with_both_sides_away_it_says_what_it_knows_and_touches_nothing() {
    let home = Home::new();
    let away = report_with(&home, &["-p", "1", "-s", "nats://127.0.0.1:1"], &[]).await;
    away.says(
        "source.reachable",
        "error",
        &["localhost:1", "--port", "refused", "start the stack"],
    );
    away.says(
        "broker.reachable",
        "error",
        &["nats://127.0.0.1:1", "--server", "observe up"],
    );
    assert!(away.of("stream.exists").is_empty());
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn sides_that_hang_are_given_up_in_time() {
    let hang = FakeServer::tcp(|_| Reply::Hang).await;
    let nats = NatsServer::start();
    nats.freeze();
    let frozen = report(&["-p", &hang.port.to_string(), "-s", &nats.url()]).await;
    nats.thaw();
    frozen.says("source.reachable", "error", &["no whole answer"]);
    frozen.says("broker.reachable", "error", &["no greeting within"]);

    // One that greets and then says nothing more.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let mute = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let info = "INFO {\"server_id\":\"X\",\"version\":\"2.15.1\",\"max_payload\":1048576,\"headers\":true,\"jetstream\":true}\r\n";
        socket.write_all(info.as_bytes()).await.unwrap();
        let mut buffer = [0; 4096];
        while socket.read_u8().await.unwrap() != b'\n' {}
        socket.write_all(b"PONG\r\n").await.unwrap();
        while socket.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
    });
    let mute_report = report(&["-p", &hang.port.to_string(), "-s", &url]).await;
    mute_report.says("broker.answers", "error", &["does not answer in time"]);
    mute_report.says("stream.answers", "error", &["stream"]);
    mute.abort();
}

#[tokio::test]
async fn faults_of_the_source_are_named() {
    let nats = NatsServer::start();
    let url = nats.url();
    for (reply, check, severity, words) in [
        (
            Reply::Raw(
                b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    .to_vec(),
            ),
            "source.reachable",
            "error",
            ["token", "--token-file"],
        ),
        (
            Reply::Whole(200, "text/html", b"<html>hello</html>".to_vec()),
            "source.reachable",
            "error",
            ["--port", "--url"],
        ),
    ] {
        let server = FakeServer::tcp(move |_| reply.clone()).await;
        let found = report(&["-p", &server.port.to_string(), "-s", &url]).await;
        found.says(check, severity, &words);
    }
    let odd = FakeServer::tcp(|request| match request.target.as_str() {
        "/project/state" => Reply::json(
            r#"{"startTime":"2026-08-20T07:15:02Z","version":"v0.80.0","projectName":"shop","hostName":"h"}"#,
        ),
        "/live" => Reply::Raw(
            b"HTTP/1.1 200 OK\r\nDate: Thu, 20 Aug 2026 07:15:02 GMT\r\nContent-Length: 18\r\n\r\n{\"status\":\"alive\"}".to_vec(),
        ),
        "/processes" => Reply::json(
            r#"{"data":[{"name":"a","status":"Running","is_running":true,"pid":3},{"name":"b\u001b[2J","restarts":"x"}]}"#,
        ),
        _ => Reply::missing(),
    })
    .await;
    let found = report(&["-p", &odd.port.to_string(), "-s", &url]).await;
    found.says("source.reachable", "ok", &["v0.80.0"]);
    found.says("source.clock", "warning", &["behind ours", "NTP"]);
    found.says("source.evidence", "info", &["no state stream"]);
    found.says("source.rows", "warning", &["1 row", "b?[2J"]);
    found.says("source.configuration", "info", &["stay unknown"]);
}

#[tokio::test]
async fn a_token_that_is_taken_is_said_and_who_lacks_rights_or_looks_no_more_too() {
    let mut house = House::new().await;
    let mut adapter = house.working(&[]).await;
    adapter.end_by(rustix::process::Signal::KILL).await;
    let stack = Stack::serve(builder(super::stack::SHOP).token("s3cret-of-twenty-letters")).await;
    let url = house.nats.url();
    let args = ["-p", &stack.port, "-s", &url, "--source", "other"];
    let home = Home::new();
    let found = report_with(
        &home,
        &args,
        &[
            ("PC_API_TOKEN", "s3cret-of-twenty-letters"),
            ("PC_PORT", "9"),
        ],
    )
    .await;
    found.says("source.token", "ok", &["accepted"]);
    found.says("adapters.ours", "warning", &["nobody tells other"]);
    found.says("setup.environment", "info", &["PC_API_TOKEN"]);
    found.says("setup.unknown", "warning", &["PC_PORT_NUM"]);
    let wrong = report_with(&home, &args, &[("PC_API_TOKEN", "wr0ng")]).await;
    wrong.says("source.reachable", "error", &["--token-file"]);

    house.nats.stop();
    house.nats.reconfigure(
        "jetstream { store_dir: \"STORE\" }
         authorization { users: [ { user: u, password: u, permissions: { publish: { deny: [\"core.process.>\"] } } } ] }",
    );
    house.nats.again();
    let login = ["--user", "u", "--password", "u"];
    let found = report(&[&args[..], &login].concat()).await;
    found.says(
        "rights.adapter",
        "warning",
        &["publish to core.process.>", "--print-permissions adapter"],
    );
    found.says("rights.reader", "ok", &["all 5"]);
}

#[tokio::test]
async fn a_user_that_hears_no_answers_is_told_so() {
    let nats = NatsServer::with(
        "jetstream { store_dir: \"STORE\" }
         authorization { users: [ { user: u, password: u, permissions: { subscribe: { deny: \"_INBOX.>\" } } } ] }",
    );
    let stack = Stack::shop().await;
    let url = nats.url();
    let deaf = report(&[
        "-p",
        &stack.port,
        "-s",
        &url,
        "--user",
        "u",
        "--password",
        "u",
    ])
    .await;
    for role in ["rights.adapter", "rights.reader"] {
        deaf.says(role, "error", &["subscribe to _INBOX.>"]);
    }
    deaf.says("stream.exists", "error", &["subscribe to _INBOX."]);
}

#[tokio::test]
async fn without_jetstream_that_is_what_is_said() {
    let (nats, stack) = (NatsServer::with(""), Stack::shop().await);
    let url = nats.url();
    let found = report(&["-p", &stack.port, "-s", &url]).await;
    found.says("broker.jetstream", "error", &["no JetStream", "-js"]);
}
