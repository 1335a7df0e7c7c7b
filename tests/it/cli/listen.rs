//! What an adapter shows to those who ask, and that nobody who asks holds it up.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::house::{House, events};
use super::run::{Home, LIMIT, Run};
use super::stack::Stack;
use crate::support::wait::until;

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(of, _)| of.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

async fn exchange(mut pipe: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Answer {
    pipe.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    pipe.read_to_end(&mut text).await.unwrap();
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{text:?}"));
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// An adapter that listens at a port of this machine.
struct Shown {
    house: House,
    run: Run,
    port: u16,
}

/// The port of the first line that names one.
async fn port(run: &Run) -> u16 {
    let line = run.says("listening at http://").await;
    line.rsplit(':').next().unwrap().parse().unwrap()
}

impl Shown {
    async fn new(more: &[&str]) -> Self {
        let house = House::new().await;
        let run = house
            .working(&[&["--listen", "127.0.0.1:0"], more].concat())
            .await;
        let port = port(&run).await;
        Self { house, run, port }
    }

    async fn pipe(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    async fn ask(&self, target: &str, more: &str) -> Answer {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n");
        exchange(self.pipe().await, &request).await
    }

    async fn get(&self, target: &str) -> Answer {
        self.ask(target, "").await
    }

    /// Asks until the answer is as it should be.
    async fn until(&self, target: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let end = tokio::time::Instant::now() + LIMIT;
        loop {
            let answer = self.get(target).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(tokio::time::Instant::now() < end, "{target}: {answer:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The value of a figure, by its name and labels as they are written.
    async fn figure(&self, name: &str) -> f64 {
        figure(&self.get("/metrics").await.body, name)
    }
}

fn figure(text: &str, name: &str) -> f64 {
    let mut lines = text.lines().filter_map(|line| line.rsplit_once(' '));
    let found = lines.find(|(of, _)| *of == name);
    found
        .unwrap_or_else(|| panic!("{name} in {text}"))
        .1
        .parse()
        .unwrap()
}

fn reasons(answer: &Answer) -> String {
    answer.json()["reasons"].to_string()
}

#[tokio::test]
async fn every_question_of_the_manifest_is_answered() {
    let shown = Shown::new(&[]).await;
    shown.until("/health", |answer| answer.status == 200).await;
    let manifest = shown.get("/manifest").await.json();
    let endpoints = manifest["endpoints"].as_array().unwrap();
    assert_eq!(endpoints.len(), 7);
    for endpoint in endpoints {
        let path = endpoint["path"].as_str().unwrap();
        let answer = shown.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
        if path != "/metrics" {
            assert_eq!(answer.json()["schema"], 1, "{path}");
        }
    }
    let health = shown.get("/health").await.json();
    assert_eq!(health["connected"], true);
    assert_eq!(health["sources"][0]["doing"], "telling");
    let snapshot = shown.get("/snapshot?source=shop").await.json();
    let names: Vec<_> = snapshot["sources"][0]["processes"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    let names: Vec<_> = names
        .iter()
        .map(|one| one["process"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["api", "web", "worker"]);
    assert_eq!(snapshot["sources"][0]["processes"][0]["known"], "now");
    for (target, status) in [
        ("/", 404),
        ("/snapshot?source=lab", 404),
        ("/snapshot?sauce=shop", 400),
        ("/events?limit=0", 400),
        ("/events?limit=1001", 400),
        ("/events?after=x", 400),
    ] {
        let answer = shown.get(target).await;
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(answer.json()["type"], "error", "{target}");
    }
}

#[tokio::test]
async fn what_was_told_is_pulled_by_cursor_as_it_stands_in_the_stream() {
    let shown = Shown::new(&[]).await;
    shown.house.stack.exit("worker", 3).await;
    shown.house.tells("restarted", "worker", 1).await;
    let stored = events(&shown.house.nats).await;
    let (mut cursor, mut pulled) = (String::new(), Vec::new());
    until(LIMIT, "all events", async || {
        let page = shown
            .get(&format!("/events?limit=2&after={cursor}"))
            .await
            .json();
        cursor = page["cursor"].as_str().unwrap().to_owned();
        pulled.extend(page["events"].as_array().unwrap().clone());
        pulled.len() >= stored.len()
    })
    .await;
    let stored: Vec<_> = stored
        .iter()
        .map(|event| serde_json::to_value(event).unwrap())
        .collect();
    assert_eq!(pulled[..stored.len()], stored);

    let target = format!("/events?after={cursor}");
    let first = shown
        .until(&target, |answer| answer.json()["more"] == false)
        .await;
    let tag = first.header("etag").unwrap();
    let same = shown
        .ask(&target, &format!("If-None-Match: {tag}\r\n"))
        .await;
    assert_eq!((same.status, same.body.as_str()), (304, ""));
    shown.house.stack.exit("worker", 3).await;
    let other = |answer: &Answer| answer.header("etag") != Some(tag);
    let next = shown.until(&target, other).await;
    assert_eq!(next.json()["events"][0]["process"], "worker");
    let asked = shown
        .ask(&target, &format!("If-None-Match: {tag}\r\n"))
        .await;
    assert_eq!(asked.status, 200);
}

#[tokio::test]
async fn a_cursor_of_another_run_is_said_to_be_one() {
    let mut shown = Shown::new(&[]).await;
    let page = shown.get("/events?limit=1").await.json();
    let cursor = page["cursor"].as_str().unwrap();
    assert_eq!(shown.run.end_by(Signal::TERM).await, 143);
    shown.run = shown.house.adapter(&["--listen", "127.0.0.1:0"]);
    shown.port = port(&shown.run).await;
    // As many are told again, so that the number alone would say nothing.
    shown.house.stack.exit("worker", 3).await;
    let told = |answer: &Answer| answer.json()["events"].as_array().unwrap().len();
    shown.until("/events", |answer| told(answer) >= 2).await;
    let answer = shown.get(&format!("/events?after={cursor}")).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (410, &"other_run".into())
    );
    let oldest = answer.json()["oldest"].as_str().unwrap().to_owned();
    assert_eq!(
        shown.get(&format!("/events?after={oldest}")).await.status,
        200
    );
}

#[tokio::test]
async fn while_the_broker_is_away_health_says_so_and_the_table_is_shown() {
    let mut shown = Shown::new(&[]).await;
    shown.until("/health", |answer| answer.status == 200).await;
    shown.house.nats.kill();
    let away = shown.until("/health", |answer| answer.status == 503).await;
    assert!(
        reasons(&away).contains("shop: the broker is away"),
        "{away:?}"
    );
    assert_eq!(away.json()["connected"], false);
    assert_eq!(shown.get("/health/ready").await.status, 503);
    assert_eq!(shown.get("/health/live").await.status, 200);
    shown.house.stack.exit("worker", 3).await;
    shown
        .until("/health", |answer| reasons(answer).contains("wait"))
        .await;
    let snapshot = shown.get("/snapshot").await.json();
    assert_eq!(
        snapshot["sources"][0]["processes"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(snapshot["sources"][0]["standing"]["freshness"], "fresh");
    assert_eq!(snapshot["sources"][0]["standing"]["doing"], "waiting");
    assert!(shown.figure("observe_spool_bytes{source=\"shop\"}").await > 0.0);
    let crashes =
        "observe_process_crashes_total{source=\"shop\",namespace=\"default\",process=\"worker\"}";
    assert!(
        shown.figure(crashes).await.abs() < 0.5,
        "it is not told yet"
    );
    shown.house.nats.again();
    shown.until("/health", |answer| answer.status == 200).await;
    until(LIMIT, "the crash", async || {
        shown.figure(crashes).await > 0.5
    })
    .await;
    assert!(shown.figure("observe_spool_bytes{source=\"shop\"}").await < 0.5);
}

#[tokio::test]
async fn of_several_stacks_each_is_shown_for_as_long_as_it_is_looked_at() {
    let (house, other) = (House::new().await, Stack::shop().await);
    let file = house.home.path().join("observe.yaml");
    let one = format!(
        "version: 1\nsources:\n  - {{name: east, address: '{}'}}\n",
        house.stack.port
    );
    let two = format!("{one}  - {{name: west, address: '{}'}}\n", other.port);
    std::fs::write(&file, two).unwrap();
    let url = house.nats.url();
    let args = ["adapter", "-s", &url, "--listen", "127.0.0.1:0"];
    let run = house.home.run(&args);
    let port = port(&run).await;
    let shown = Shown { house, run, port };
    let sources = |answer: &Answer| {
        let sources = answer.json()["sources"].as_array().cloned();
        let names = sources.into_iter().flatten();
        let mut names: Vec<_> = names.map(|one| one["source"].clone()).collect();
        names.sort_by_key(ToString::to_string);
        names
    };
    shown
        .until("/health", |answer| {
            answer.status == 200 && sources(answer) == ["east", "west"]
        })
        .await;
    assert!(shown.figure("observe_looks_total{source=\"west\"}").await > 0.0);
    let new = file.with_extension("new");
    std::fs::write(&new, one).unwrap();
    std::fs::rename(new, &file).unwrap();
    shown
        .until("/health", |answer| sources(answer) == ["east"])
        .await;
}

#[tokio::test]
async fn while_the_source_is_away_its_last_table_is_shown_as_what_was() {
    let shown = Shown::new(&[]).await;
    shown.until("/health", |answer| answer.status == 200).await;
    shown.house.stack.control.stop_listening();
    let away = shown.until("/health", |answer| answer.status == 503).await;
    assert!(reasons(&away).contains("failed"), "{away:?}");
    assert_eq!(away.json()["connected"], false);
    let one = |answer: &Answer| answer.json()["sources"][0].clone();
    let age = |answer: &Answer| one(answer)["standing"]["age_ms"].as_u64().unwrap();
    let snapshot = shown
        .until("/snapshot", |answer| {
            one(answer)["standing"]["freshness"] == "failing"
        })
        .await;
    assert_eq!(one(&snapshot)["processes"][0]["known"], "was");
    assert!(one(&snapshot)["processes"][0]["state"].is_null());
    let before = age(&snapshot);
    shown
        .until("/snapshot", |answer| age(answer) > before + 500)
        .await;
    let text = shown.get("/metrics").await.body;
    assert!(figure(&text, "observe_looks_failed_total{source=\"shop\"}") > 0.0);
    assert!(!text.contains("observe_processes_up{"), "{text}");
    shown.house.stack.control.listen_again();
    shown.until("/health", |answer| answer.status == 200).await;
}

#[tokio::test]
async fn an_adapter_that_waits_for_its_stack_is_alive_and_not_ready() {
    let house = House::new().await;
    house.stack.control.stop_listening();
    let run = house.adapter(&["--listen", "127.0.0.1:0"]);
    let port = port(&run).await;
    let shown = Shown { house, run, port };
    let health = shown.get("/health").await;
    assert_eq!((health.status, &health.json()["live"]), (503, &true.into()));
    assert!(
        reasons(&health).contains("nothing is watched yet"),
        "{health:?}"
    );
    assert_eq!(shown.get("/health/live").await.status, 200);
    shown.house.stack.control.listen_again();
    shown.until("/health", |answer| answer.status == 200).await;
}

#[tokio::test]
async fn only_those_are_answered_who_know_where_they_ask() {
    let shown = Shown::new(&[]).await;
    for (request, status) in [
        ("GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        ("GET /health HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n", 403),
        (
            "GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
            403,
        ),
        (
            "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
            400,
        ),
        ("GET /health HTTP/1.1\r\n\r\n", 400),
        (
            "POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx",
            405,
        ),
        (
            "OPTIONS /health HTTP/1.1\r\nHost: localhost\r\nOrigin: http://x\r\n\r\n",
            405,
        ),
        ("GET /health/live HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200),
        ("HEAD /manifest HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 200),
    ] {
        let answer = exchange(shown.pipe().await, request).await;
        assert_eq!(answer.status, status, "{request}");
        let has_cors = answer.head.to_lowercase().contains("access-control");
        assert!(!has_cors, "{answer:?}");
        if status == 405 {
            assert_eq!(answer.header("allow"), Some("GET, HEAD"));
        }
        if request.starts_with("HEAD") {
            assert!(answer.body.is_empty() && answer.header("content-length") != Some("0"));
        }
    }
    let long = format!(
        "GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    assert_eq!(exchange(shown.pipe().await, &long).await.status, 431);
}

#[tokio::test]
async fn whoever_says_nothing_or_reads_nothing_holds_up_nobody() {
    let shown = Shown::new(&[]).await;
    let mut crowd = Vec::new();
    for number in 0..100 {
        let mut pipe = shown.pipe().await;
        let some: &[u8] = match number % 3 {
            0 => b"",
            1 => b"GET /snapshot HTTP/1.1\r\nHost: loc",
            _ => b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        };
        pipe.write_all(some).await.unwrap();
        crowd.push(pipe);
    }
    let looks = "observe_looks_total{source=\"shop\"}";
    let asked = tokio::time::Instant::now();
    let before = shown.figure(looks).await;
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "{:?}",
        asked.elapsed()
    );
    // Those who came first were sent away for those who came later, before their time was up.
    let mut first = crowd.swap_remove(0);
    let gone = tokio::time::timeout(Duration::from_secs(1), first.read(&mut [0; 1])).await;
    assert!(matches!(gone, Ok(Ok(0) | Err(_))), "{gone:?}");
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "{:?}",
        asked.elapsed()
    );
    // The crowd is still there, and the looks go on.
    until(LIMIT, "more looks", async || {
        shown.figure(looks).await > before + 3.0
    })
    .await;
    let failed = "observe_looks_failed_total{source=\"shop\"}";
    assert!(shown.figure(failed).await < 0.5);
}

#[tokio::test]
async fn whoever_opens_a_door_to_others_is_told_so() {
    let house = House::new().await;
    let run = house.adapter(&["--listen", "0.0.0.0:0"]);
    run.says("warning: whoever reaches http://0.0.0.0").await;
    assert_eq!(run.err.count("warning"), 1);
}

/// Where the socket of `shop` lies.
fn own(runtime: &Path) -> PathBuf {
    runtime.join("observe/shop/sockets/api.sock")
}

fn at_home(house: &House, runtime: Option<&Path>, more: &[&str]) -> Run {
    let url = house.nats.url();
    let usual = [
        "adapter",
        "-p",
        &house.stack.port,
        "-s",
        &url,
        "--interval",
        "250ms",
    ];
    let mut command = house.home.command(&[&usual, more].concat());
    Run::of(command.envs(runtime.map(|path| ("XDG_RUNTIME_DIR", path))))
}

async fn healthy(socket: &Path) {
    until(LIMIT, "health at the socket", async || {
        let Ok(pipe) = UnixStream::connect(socket).await else {
            return false;
        };
        let request = "GET /health HTTP/1.1\r\nHost: whatever.example\r\n\r\n";
        exchange(pipe, request).await.status == 200
    })
    .await;
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path)
        .unwrap()
        .permissions()
        .mode()
        & 0o777
}

#[tokio::test]
async fn a_bare_flag_is_a_socket_of_ones_own_which_a_dead_one_does_not_block_and_a_live_one_does() {
    let house = House::new().await;
    let runtime = house.home.path().join("run");
    std::fs::create_dir(&runtime).unwrap();
    let socket = own(&runtime);
    let mut first = at_home(&house, Some(&runtime), &["--listen"]);
    healthy(&socket).await;
    assert_eq!(mode(&socket), 0o600);
    for folder in socket.ancestors().skip(1).take(3) {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    let mut second = at_home(&house, Some(&runtime), &["--listen"]);
    assert_eq!(second.ends().await, 1, "{:?}", second.err.all());
    let said = second.err.all();
    let last = said.last().unwrap();
    assert!(
        last.contains("api.sock is in use: another program answers there"),
        "{said:?}"
    );
    healthy(&socket).await;
    first.end_by(Signal::KILL).await;
    assert!(socket.exists(), "it is left behind");
    let mut third = at_home(&house, Some(&runtime), &["--listen"]);
    healthy(&socket).await;
    assert_eq!(
        third.end_by(Signal::TERM).await,
        143,
        "{:?}",
        third.err.all()
    );
    assert!(!socket.exists());
}

#[tokio::test]
async fn without_a_place_for_sockets_they_lie_in_a_folder_of_ours_among_temporary_ones() {
    let house = House::new().await;
    let _run = at_home(&house, None, &["--listen"]);
    let uid = rustix::process::geteuid().as_raw();
    let root = house.home.path().join(format!("observe-{uid}"));
    healthy(&root.join("shop/sockets/api.sock")).await;
    assert_eq!(mode(&root), 0o700);
}

#[tokio::test]
async fn what_lies_at_the_place_of_a_socket_and_is_none_is_left_alone() {
    let house = House::new().await;
    let path = house.home.path().join("precious");
    std::fs::write(&path, "mine").unwrap();
    let place = format!("unix:{}", path.display());
    let mut run = at_home(&house, None, &["--listen", &place]);
    assert_eq!(run.ends().await, 1);
    assert!(
        run.err.all()[0].contains("something else lies there"),
        "{:?}",
        run.err.all()
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    let mut odd = Home::new().run(&["adapter", "--listen", "9100"]);
    assert_eq!(odd.ends().await, 2);
}

/// When the numbers of `web` are of, as `state` says.
async fn usage_at(house: &House, runtime: &Path) -> DateTime<Utc> {
    let url = house.nats.url();
    let args = ["state", "-s", &url, "-o", "json"];
    let mut command = house.home.command(&args);
    let mut run = Run::of(command.env("XDG_RUNTIME_DIR", runtime));
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    let object: Value = serde_json::from_str(&run.tells("state").await).unwrap();
    let processes = object["sources"][0]["processes"].as_array().unwrap();
    let web = processes
        .iter()
        .find(|one| one["process"] == "web")
        .unwrap();
    web["usage_at"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn state_has_the_numbers_of_the_last_look_where_the_adapter_listens() {
    let house = House::new().await;
    let runtime = house.home.path().join("run");
    std::fs::create_dir(&runtime).unwrap();
    let _run = at_home(&house, Some(&runtime), &["--listen"]);
    healthy(&own(&runtime)).await;
    let nobody = house.home.path().join("nobody");
    let told = usage_at(&house, &nobody).await;
    until(LIMIT, "numbers of a later look", async || {
        usage_at(&house, &runtime).await > told + Duration::from_millis(500)
    })
    .await;
    assert_eq!(usage_at(&house, &nobody).await, told);
}

/// The names of ours that a text mentions.
fn names(text: &str) -> BTreeSet<&str> {
    let parts = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    parts.filter(|part| part.starts_with("observe_")).collect()
}

#[tokio::test]
async fn the_examples_for_prometheus_and_grafana_name_figures_that_there_are() {
    let shown = Shown::new(&[]).await;
    shown.until("/health", |answer| answer.status == 200).await;
    let text = shown.get("/metrics").await.body;
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let there: BTreeSet<&str> = samples
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (example, at_least) in [
        ("prometheus/observe.rules.yml", 4),
        ("grafana/observe.json", 14),
    ] {
        let example = std::fs::read_to_string(root.join("examples").join(example)).unwrap();
        let named = names(&example);
        assert!(named.len() >= at_least, "{named:?}");
        assert!(named.is_subset(&there), "{:?}", named.difference(&there));
    }
    let dashboard = std::fs::read_to_string(root.join("examples/grafana/observe.json")).unwrap();
    serde_json::from_str::<Value>(&dashboard).unwrap();
    let documents = std::fs::read_to_string(root.join("docs/operations.md")).unwrap();
    let documented = names(&documents);
    let families: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    assert!(
        families.is_subset(&documented),
        "{:?}",
        families.difference(&documented)
    );
}
