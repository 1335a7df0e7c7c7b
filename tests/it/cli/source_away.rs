//! A source that cannot be seen, in every way that there is: nothing is told about its processes, that it is out of sight is
//! told once, and what differs when it is back is told as the difference it is. Unknown is not down.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use observe::event::envelope::Envelope;
use observe::event::payload::{Kind, Origin};
use tokio::net::TcpListener;

use super::house::{brief, events};
use super::run::{Home, LIMIT, Run};
use crate::support::fake_server::{FakeServer, Reply, Request};
use crate::support::folder;
use crate::support::nats::NatsServer;
use crate::support::wait::until;

/// Two processes that run.
const BEFORE: &str = r#"{"data":[{"name":"api","status":"Running","pid":4,"age":5000000000},{"name":"web","status":"Running","pid":5,"age":5000000000}]}"#;
/// The first of them has ended meanwhile.
const AFTER: &str = r#"{"data":[{"name":"api","status":"Completed","pid":4,"exit_code":3},{"name":"web","status":"Running","pid":5,"age":9000000000}]}"#;
/// Both run, in another life.
const ANEW: &str = r#"{"data":[{"name":"api","status":"Running","pid":14,"age":1000000000},{"name":"web","status":"Running","pid":15,"age":1000000000}]}"#;
/// What a stranger shows: everything is down, and something else is up.
const STRANGE: &str = r#"{"data":[{"name":"api","status":"Completed","pid":4,"exit_code":9},{"name":"other","status":"Running","pid":6,"age":5000000000}]}"#;

/// How a source is out of sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Refused,
    SocketLeft,
    Hangs,
    Fails,
    FailsWithATable,
    Html,
    Half,
    Endless,
    WrongJson,
    EmptyTable,
    Stranger,
    NewEpoch,
}

const WAYS: [Way; 12] = [
    Way::Refused,
    Way::SocketLeft,
    Way::Hangs,
    Way::Fails,
    Way::FailsWithATable,
    Way::Html,
    Way::Half,
    Way::Endless,
    Way::WrongJson,
    Way::EmptyTable,
    Way::Stranger,
    Way::NewEpoch,
];

impl Way {
    /// What `disconnected` says of it.
    fn reason(self) -> &'static str {
        match self {
            Self::Refused | Self::SocketLeft | Self::NewEpoch => "refused",
            Self::Hangs | Self::Endless => "timeout",
            Self::Fails | Self::FailsWithATable => "server_error",
            Self::Html | Self::WrongJson => "not_process_compose",
            Self::Half | Self::EmptyTable => "truncated",
            Self::Stranger => "other_project",
        }
    }

    /// Whether nobody listens meanwhile.
    fn is_gone(self) -> bool {
        matches!(self, Self::Refused | Self::SocketLeft | Self::NewEpoch)
    }
}

const THERE: u8 = 0;
const AWAY: u8 = 1;
const BACK: u8 = 2;
/// Neither the one nor the other, so that no look meets both.
const BETWEEN: u8 = 3;

fn close(status: &str, kind: &str, body: &str) -> Reply {
    let length = body.len();
    Reply::Raw(
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .into(),
    )
}

fn answer(way: Way, stage: u8, request: &Request) -> Reply {
    let back = if way == Way::NewEpoch { ANEW } else { AFTER };
    // One that goes does not say so first.
    let meanwhile = if way.is_gone() { BEFORE } else { STRANGE };
    let table = match stage {
        THERE => BEFORE,
        AWAY => meanwhile,
        BACK => back,
        _ => return Reply::status(503, "moving"),
    };
    if stage == AWAY {
        match way {
            Way::Hangs => return Reply::Hang,
            Way::Fails => return Reply::status(500, "boom"),
            Way::FailsWithATable => return Reply::status(502, STRANGE),
            Way::Html => return Reply::Whole(200, "text/html", b"<html>Sign in".to_vec()),
            Way::Half => return Reply::json(&STRANGE[..STRANGE.len() - 20]),
            Way::Endless => return Reply::Drip,
            Way::WrongJson => return Reply::json(r#"{"processes":[]}"#),
            Way::EmptyTable => return Reply::json(""),
            Way::Refused | Way::SocketLeft | Way::NewEpoch | Way::Stranger => {}
        }
    }
    match request.target.as_str() {
        "/live" => Reply::json(r#"{"status":"alive"}"#),
        // Each look meets whoever answers now.
        "/processes" => close("200 OK", "application/json", table),
        "/project/state" => {
            let stranger = way == Way::Stranger && stage == AWAY;
            let project = if stranger { "box/bakery" } else { "box/shop" };
            let hour = if stage == BACK && way == Way::NewEpoch {
                10
            } else {
                9
            };
            Reply::json(&format!(
                r#"{{"startTime":"2026-08-20T{hour:02}:15:02Z","projectName":"{project}","version":"v1.122.0"}}"#
            ))
        }
        _ => Reply::missing(),
    }
}

/// A source, the adapter that watches it, and what becomes of it.
struct Watched {
    way: Way,
    stage: Arc<AtomicU8>,
    server: Mutex<Option<FakeServer>>,
    path: Option<std::path::PathBuf>,
    port: u16,
    run: Run,
    name: String,
}

impl Watched {
    async fn begin(home: &Home, nats: &NatsServer, way: Way) -> Self {
        let stage = Arc::new(AtomicU8::new(THERE));
        let now = Arc::clone(&stage);
        let script = move |request: &Request| answer(way, now.load(Ordering::SeqCst), request);
        let path = (way == Way::SocketLeft).then(|| folder("left").join("pc.sock"));
        let server = match &path {
            Some(path) => FakeServer::unix(path, script),
            None => FakeServer::tcp(script).await,
        };
        let (port, name, url) = (server.port, format!("{way:?}"), nats.url());
        let place = match &path {
            Some(path) => ["-u".to_owned(), path.display().to_string()],
            None => ["-p".to_owned(), port.to_string()],
        };
        let mut args = [
            "adapter",
            "-s",
            &url,
            "--interval",
            "250ms",
            "--source",
            &name,
        ]
        .map(str::to_owned)
        .to_vec();
        args.extend(place);
        Self {
            run: home.run(&args),
            server: Mutex::new(Some(server)),
            way,
            stage,
            path,
            port,
            name,
        }
    }

    fn leave(&self) {
        self.stage.store(AWAY, Ordering::SeqCst);
        if self.way.is_gone() {
            drop(self.server.lock().unwrap().take());
        }
    }

    async fn return_(&self) {
        if self.way == Way::Stranger {
            self.stage.store(BETWEEN, Ordering::SeqCst);
            let asked = || {
                self.server
                    .lock()
                    .unwrap()
                    .as_ref()
                    .map_or(0, |server| server.requests().len())
            };
            let before = asked();
            until(LIMIT, "questions to nobody", async || asked() >= before + 2).await;
        }
        self.stage.store(BACK, Ordering::SeqCst);
        if !self.way.is_gone() {
            return;
        }
        let (way, now) = (self.way, Arc::clone(&self.stage));
        let script = move |request: &Request| answer(way, now.load(Ordering::SeqCst), request);
        let server = if let Some(path) = &self.path {
            assert!(path.exists(), "the socket was left behind");
            std::fs::remove_file(path).unwrap();
            FakeServer::unix(path, script)
        } else {
            // The port is free once the old listener's task has ended.
            let listener = loop {
                match TcpListener::bind(("127.0.0.1", self.port)).await {
                    Ok(listener) => break listener,
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            };
            FakeServer::on(listener, script)
        };
        *self.server.lock().unwrap() = Some(server);
    }

    fn own(&self, told: &[Envelope]) -> Vec<Envelope> {
        told.iter()
            .filter(|event| event.source == self.name)
            .cloned()
            .collect()
    }

    /// What its events must say, all of them.
    fn check(&self, told: &[Envelope]) {
        let own = self.own(told);
        let said = || {
            format!(
                "{}: {:#?}\n{:#?}",
                self.name,
                brief(&own),
                self.run.err.all()
            )
        };
        let (first, rest) = own.split_at(3);
        assert!(
            first.iter().all(|event| event.origin == Origin::Initial),
            "{}",
            said()
        );
        let words: Vec<String> = rest
            .iter()
            .map(|event| format!("{} {}", event.kind, event.process.as_deref().unwrap_or("-")))
            .collect();
        let wanted: &[&str] = if self.way == Way::NewEpoch {
            &[
                "disconnected -",
                "gap -",
                "connected -",
                "restarted -",
                "restarted api",
                "restarted web",
            ]
        } else {
            &["disconnected -", "gap -", "connected -", "crashed api"]
        };
        assert_eq!(words, wanted, "{}", said());
        assert_eq!(rest[0].reason, self.way.reason(), "{}", said());
        for (number, event) in (1..).zip(&own) {
            assert_eq!(event.seq, number, "{}", said());
        }
        let (away, gap, back) = (&rest[0], rest[1].gap.as_ref().unwrap(), &rest[2]);
        assert_eq!(gap.why, "source_unreachable", "{}", said());
        assert!(
            gap.from.unwrap() < away.timestamp && gap.to <= back.timestamp,
            "{}",
            said()
        );
        assert!(away.severity >= observe::Severity::Warning);
        let end = &rest[rest.len() - 1];
        if end.kind == Kind::Crashed {
            assert_eq!(end.exit.and_then(|exit| exit.code), Some(3), "{}", said());
            // It ended at some time since it was last seen, which was before the source left.
            let after = end.occurred.after.unwrap();
            assert!(after <= away.timestamp, "{}", said());
            assert!(end.occurred.before > away.timestamp, "{}", said());
        } else {
            assert_eq!(end.origin, Origin::Resync, "{}", said());
            assert!(end.epoch.starts_with("2026-08-20T10:15:02"), "{}", said());
        }
    }

    /// One line when it left and one when it was back.
    fn said_what_it_was(&mut self) {
        assert!(
            self.run.is_running(),
            "{}: {:#?}",
            self.name,
            self.run.err.all()
        );
        let lines = self.run.err.all();
        let said = |needle: &str| lines.iter().filter(|line| line.contains(needle)).count();
        assert_eq!(
            (said("is away"), said("is back")),
            (1, 1),
            "{}: {lines:#?}",
            self.name
        );
    }
}

#[tokio::test]
async fn whatever_hides_a_source_nothing_is_told_of_its_processes_until_it_is_back() {
    let (home, nats) = (Home::new(), NatsServer::start());
    let mut all = Vec::new();
    for way in WAYS {
        all.push(Watched::begin(&home, &nats, way).await);
    }
    let each = async |what: &str, holds: &dyn Fn(&Watched, &[Envelope]) -> bool| {
        let end = tokio::time::Instant::now() + 2 * LIMIT;
        loop {
            let told = events(&nats).await;
            let missing = all.iter().find(|one| !holds(one, &one.own(&told)));
            let Some(one) = missing else { return };
            assert!(
                tokio::time::Instant::now() < end,
                "{what}: {} {:#?} {:#?}",
                one.name,
                brief(&one.own(&told)),
                one.run.err.all()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    each("first looks", &|_, own| own.len() >= 3).await;
    for one in &all {
        one.leave();
    }
    each("out of sight", &|_, own| {
        own.iter().any(|event| event.kind == Kind::Disconnected)
    })
    .await;
    let told = events(&nats).await;
    for one in &all {
        let own = one.own(&told);
        assert_eq!(own.len(), 4, "{}: {:#?}", one.name, brief(&own));
    }
    for one in &all {
        one.return_().await;
    }
    each("what differs", &|one, own| {
        own.len() >= if one.way == Way::NewEpoch { 9 } else { 7 }
    })
    .await;
    let told = events(&nats).await;
    for one in &mut all {
        one.check(&told);
        one.said_what_it_was();
    }
}

#[tokio::test]
async fn a_server_that_closes_the_connection_behind_each_answer_is_watched_all_the_same() {
    let stage = Arc::new(AtomicU8::new(THERE));
    let now = Arc::clone(&stage);
    let server = FakeServer::tcp(move |request| {
        match answer(Way::Refused, now.load(Ordering::SeqCst), request) {
            Reply::Whole(200, kind, body) => {
                close("200 OK", kind, std::str::from_utf8(&body).unwrap())
            }
            other => other,
        }
    })
    .await;
    let (home, port) = (Home::new(), server.port.to_string());
    let watch = home.run(&["watch", "--direct", "-p", &port, "--interval", "250ms"]);
    watch.tells("started    web").await;
    stage.store(BACK, Ordering::SeqCst);
    watch.tells("crashed    api").await;
    assert_eq!(watch.err.count("is away"), 0, "{:#?}", watch.err.all());
}
