//! Words of others that are meant to do harm: into a subject, a terminal, a log, a path, a question. Each reaches its own
//! place, whole, and no other.

use std::collections::{BTreeMap, BTreeSet};

use observe::event::envelope::Envelope;
use observe::event::subject::{Token, decode_token};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::house::{events, subjects, without_holes};
use super::run::{Home, LIMIT, Run};
use crate::support::fake_server::{FakeServer, Reply, Request};
use crate::support::nats::NatsServer;
use crate::support::wait::until;

/// Names that nobody gives by accident.
fn weapons() -> Vec<String> {
    let long = "x".repeat(10_000);
    [
        "a.b",
        "a.*",
        "*",
        ">",
        "a b",
        "default.started",
        "cr\rlf\nend",
        "07:18:04 ✗ crashed victim\n07:18:04 ✗ crashed victim",
        "nul\0nul",
        "\u{202e}gnp.live",
        "zero\u{200b}width\u{2060}\u{feff}",
        "e\u{301}\u{302}\u{303}\u{304}",
        "tag\u{e0041}\u{e0042}",
        "\u{1b}[31mred\u{1b}[2J",
        "\u{1b}]0;title\u{7}",
        "\u{1b}]8;;http://evil\u{1b}\\link",
        "\u{1b}]52;c;aGk=\u{7}",
        "\u{1b}Pdevice\u{1b}\\",
        "\u{9b}31mc1\u{9d}0;x\u{9c}\u{90}x",
        "\u{8}\u{8}\u{8}backspace\u{7f}",
        "\",\"type\":\"forged",
        "\\u0022}\n{\"type\":\"forged\"}",
        "$JS.API.STREAM.DELETE.PROCESS_EVENTS",
        "core.head.shop",
        "../../../etc/passwd",
        "a/../../live?x=1#y",
        "%2e%2e%2f%0d%0aHost:",
        "=2E=2A==0123456789abcdef",
        "GET / HTTP/1.1\r\nX: y\r\n\r\n",
        "{source}",
        "{{template}} ${HOME} `id` $(id)",
        &long,
    ]
    .map(str::to_owned)
    .to_vec()
}

/// A server of processes with these names, each of which is also somebody's namespace or word.
fn table() -> String {
    let all = weapons();
    let rows: Vec<serde_json::Value> = (1..)
        .zip(&all)
        .map(|(pid, name)| {
            let other = &all[all.len() - pid];
            serde_json::json!({
                "name": name, "namespace": [other, "second"], "status": "Running", "is_ready": other,
                "pid": pid, "age": 5_000_000_000_i64,
            })
        })
        .chain([serde_json::json!({
            "name": "unknown word", "status": "\u{1b}[31mHibernating\nforged", "pid": 0,
        })])
        .chain([serde_json::json!({ "name": "odd one", "status": "Running", "pid": "\u{1b}[31m\nforged" })])
        .collect();
    serde_json::json!({ "data": rows }).to_string()
}

fn answer(request: &Request, table: &str, project: &str) -> Reply {
    match request.target.as_str() {
        "/live" => Reply::json(r#"{"status":"alive"}"#),
        "/processes" => Reply::json(table),
        "/project/name" => Reply::json(&serde_json::json!({ "projectName": project }).to_string()),
        "/project/state" => Reply::json(
            &serde_json::json!({
                "startTime": "2026-08-20T09:15:02Z", "projectName": project, "version": "v1.122.0\u{1b}[2J\n",
            })
            .to_string(),
        ),
        path if path.starts_with("/process/info/") => {
            Reply::status(400, r#"{"error":"\u001b[31mno such\nprocess"}"#)
        }
        _ => Reply::missing(),
    }
}

/// Nothing that moves a cursor, changes a direction or begins a line of its own.
fn harmless(run: &Run) {
    for line in run.out.all().iter().chain(&run.err.all()) {
        let bad = |c: char| {
            c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
                || ('\u{e0000}'..='\u{e007f}').contains(&c)
        };
        assert!(!line.chars().any(bad), "{line:?}");
    }
}

/// Each stands under a subject of its own, from which its name can be read.
fn stands_alone(told: &[Envelope], stored: &[String]) {
    let mut seen = BTreeMap::new();
    for (event, subject) in told.iter().zip(stored) {
        assert_eq!(&event.subject, subject);
        let Some(name) = &event.process else { continue };
        let tokens: Vec<&str> = subject.split('.').collect();
        assert_eq!(tokens[..2], ["core", "process"], "{subject:?}");
        assert_eq!(tokens.len(), 5, "{subject:?}");
        assert!(subject.len() < 700 && subject.bytes().all(|b| b.is_ascii_graphic()));
        assert!(!subject.contains(['*', '>', '$']), "{subject:?}");
        for (token, full) in [
            (tokens[2], event.namespace.as_ref().unwrap()),
            (tokens[3], name),
        ] {
            match decode_token(token) {
                Some(Token::Whole(back)) => assert_eq!(&back, full),
                Some(Token::Cut { prefix, .. }) => {
                    assert!(full.starts_with(&prefix) && full.len() > 255);
                }
                None => panic!("{token} is no token"),
            }
        }
        seen.insert(name.clone(), tokens[3].to_owned());
    }
    let tokens: BTreeSet<&String> = seen.values().collect();
    assert_eq!(tokens.len(), seen.len(), "no two names share a token");
}

/// The source was asked for each of them in one segment of a path, and for nothing else.
async fn asks_for_nothing_else(server: &FakeServer) {
    until(LIMIT, "questions about them", async || {
        server
            .requests()
            .iter()
            .filter(|r| r.target.starts_with("/process/info/"))
            .count()
            > 20
    })
    .await;
    for request in server.requests() {
        let target = request.target.as_str();
        let known = [
            "/live",
            "/processes",
            "/project/name",
            "/project/state",
            "/process/states/ws",
        ];
        let one = target.strip_prefix("/process/info/").is_some_and(|name| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b))
        });
        assert!(one || known.contains(&target), "{target:?}");
    }
}

/// Everything that was told, for whoever watches.
struct Watching<'a> {
    home: &'a Home,
    url: &'a str,
    told: &'a [Envelope],
}

impl Watching<'_> {
    fn run(&self, more: &[&str]) -> Run {
        let count = self.told.len().to_string();
        self.home
            .run(&[&["watch", "-s", self.url, "-n", &count], more].concat())
    }

    async fn shows_a_line_for_each(&self, names: &BTreeSet<String>) {
        let told = self.told;
        let about = told.iter().filter(|event| event.process.is_some()).count();
        for more in [
            &["--color", "never"][..],
            &["-o", "wide", "--color", "never"],
            &["--json"],
        ] {
            let watch = self.run(&[&["--no-gaps"], more].concat());
            until(LIMIT, "a line for each event", async || {
                watch.out.all().len() >= about
            })
            .await;
            harmless(&watch);
            let lines = watch.out.all();
            assert!(
                lines.len() <= told.len(),
                "{} lines for {} events",
                lines.len(),
                told.len()
            );
            if more == ["--json"] {
                let back: BTreeSet<String> = lines
                    .iter()
                    .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
                    .filter_map(|event| event["process"].as_str().map(str::to_owned))
                    .collect();
                assert!(names.is_subset(&back));
                assert!(
                    !lines
                        .iter()
                        .any(|line| line.contains("\"type\":\"forged\""))
                );
            }
        }
    }

    /// A filter means the name that it is, and no other.
    async fn finds_by_name(&self) {
        for (name, filter) in [
            ("a.b", "a.b"),
            ("*", "[*]"),
            (">", ">"),
            ("a.*", "a.[*]"),
            (
                "$JS.API.STREAM.DELETE.PROCESS_EVENTS",
                "$JS.API.STREAM.DELETE.PROCESS_EVENTS",
            ),
        ] {
            let watch = self.run(&["--json", filter]);
            watch.tells("\"type\"").await;
            for line in watch.out.all() {
                let event: serde_json::Value = serde_json::from_str(&line).unwrap();
                assert_eq!(event["process"], name, "{filter}");
            }
        }
    }
}

#[tokio::test]
async fn names_that_are_weapons_reach_their_own_subject_and_their_own_line() {
    let (home, nats, table) = (Home::new(), NatsServer::start(), table());
    let server = FakeServer::tcp(move |request| answer(request, &table, "host/shop")).await;
    let (port, url) = (server.port.to_string(), nats.url());
    let adapter = home.run(&["adapter", "-p", &port, "-s", &url, "--interval", "250ms"]);
    let names: BTreeSet<String> = weapons().into_iter().collect();
    until(LIMIT, "all of them told", async || {
        let told = events(&nats).await;
        names.iter().all(|name| {
            told.iter()
                .any(|event| event.process.as_ref() == Some(name))
        })
    })
    .await;
    let told = events(&nats).await;
    without_holes(&told);
    assert!(
        !told
            .iter()
            .any(|event| event.process.as_deref() == Some("odd one"))
    );

    stands_alone(&told, &subjects(&nats).await);
    asks_for_nothing_else(&server).await;
    let watching = Watching {
        home: &home,
        url: &url,
        told: &told,
    };
    watching.shows_a_line_for_each(&names).await;
    watching.finds_by_name().await;
    harmless(&adapter);
    assert!(adapter.err.all().len() <= 12, "{:#?}", adapter.err.all());
}

#[tokio::test]
async fn a_refusal_of_the_source_stays_one_line() {
    let text = "\u{1b}]0;x\u{7}no\nobserve: all is well\r\n\u{202e}\u{9b}2J".repeat(50);
    let body = serde_json::json!({ "error": text }).to_string();
    for (status, of) in [
        (500, "/processes"),
        (200, "/processes"),
        (500, "/project/state"),
    ] {
        let body = body.clone();
        let server = FakeServer::tcp(move |request| {
            if request.target == of {
                Reply::status(status, &body)
            } else {
                answer(request, r#"{"data":[]}"#, "shop")
            }
        })
        .await;
        let (home, port) = (Home::new(), server.port.to_string());
        let mut run = home.run(&[
            "watch",
            "--direct",
            "-p",
            &port,
            "--no-retry",
            "--interval",
            "250ms",
        ]);
        assert_eq!(run.ends().await, 3, "{:#?}", run.err.all());
        harmless(&run);
        let said = run.err.all();
        assert!(said.len() <= 3, "{said:#?}");
        assert!(
            !said
                .iter()
                .any(|line| line.starts_with("observe: all is well")),
            "{said:#?}"
        );
    }
}

#[tokio::test]
async fn a_project_may_call_itself_what_it_likes() {
    let (home, nats) = (Home::new(), NatsServer::start());
    let url = nats.url();
    for project in [
        "../../../evil",
        "a/../../b",
        "*.>",
        "\u{1b}[2J\nshop\u{202e}",
        "$JS.API.>",
        ".hidden",
    ] {
        let server = FakeServer::tcp(move |request| {
            answer(
                request,
                r#"{"data":[{"name":"a","status":"Running","pid":4}]}"#,
                project,
            )
        })
        .await;
        let port = server.port.to_string();
        let before = events(&nats).await.len();
        let run = home.run(&["adapter", "-p", &port, "-s", &url, "--interval", "250ms"]);
        until(LIMIT, "its first events", async || {
            events(&nats).await.len() > before
        })
        .await;
        harmless(&run);
        let told = events(&nats).await;
        assert!(
            told.iter()
                .all(|event| event.subject.split('.').count() <= 5)
        );
    }
    for subject in subjects(&nats).await {
        assert!(
            subject.starts_with("core.process.") || subject.starts_with("core.source."),
            "{subject}"
        );
        assert!(!subject.contains(['*', '>', '$', '\n']), "{subject:?}");
    }
    only_below(home.path(), &["observe"]);
}

/// Nothing lies in the folder but what is expected, and memories lie one level deep in theirs.
fn only_below(folder: &std::path::Path, wanted: &[&str]) {
    let names = |folder: &std::path::Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    assert_eq!(names(folder), wanted);
    for memory in names(&folder.join("observe/adapters")) {
        let fit = |c: char| c.is_ascii_alphanumeric() || "-_=".contains(c);
        assert!(memory.chars().all(fit), "{memory}");
    }
}

#[tokio::test]
async fn a_source_name_given_by_a_person_leads_out_of_no_folder() {
    let (home, nats) = (Home::new(), NatsServer::start());
    let server = FakeServer::tcp(|request| answer(request, r#"{"data":[]}"#, "shop")).await;
    let (port, url) = (server.port.to_string(), nats.url());
    for source in [
        "../evil",
        "a/b",
        "..",
        ".",
        "a b",
        "*",
        ">",
        "\u{1b}[2J",
        "a\nb",
        "",
    ] {
        let mut run = home.run(&["adapter", "-p", &port, "-s", &url, "--source", source]);
        assert_eq!(run.ends().await, 2, "{source:?}");
        harmless(&run);
    }
    assert!(
        std::fs::read_dir(home.path()).unwrap().next().is_none(),
        "nothing was written"
    );
    let run = home.run(&["adapter", "-p", &port, "-s", &url, "--source", "a..b"]);
    run.says("a..b: process-compose").await;
    until(LIMIT, "its memory", async || {
        home.path().join("observe/adapters").is_dir()
    })
    .await;
    only_below(home.path(), &["observe"]);
}

#[tokio::test]
async fn what_a_broker_says_stays_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let broker = tokio::spawn(async move {
        let info = "INFO {\"server_id\":\"x\",\"server_name\":\"\\u001b[2Jx\\nforged\",\"version\":\"2.15.1\",\"proto\":1,\"headers\":true,\"max_payload\":1048576}\r\n";
        while let Ok((mut stream, _)) = listener.accept().await {
            let refusal = "-ERR 'Authorization Violation \u{1b}]0;x\u{7}\u{9b}2J\u{202e} observe: all is well'\r\n";
            drop(
                stream
                    .write_all(format!("{info}{refusal}").as_bytes())
                    .await,
            );
            drop(stream.shutdown().await);
        }
    });
    let (home, url) = (Home::new(), format!("nats://127.0.0.1:{port}"));
    let mut run = home.run(&["watch", "-s", &url, "--no-retry"]);
    let (code, line) = run.refused().await;
    assert_eq!(code, 1, "{line}");
    harmless(&run);
    broker.abort();
}
