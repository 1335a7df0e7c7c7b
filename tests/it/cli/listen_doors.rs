//! The ports and sockets at which an adapter is asked: whom they let in, and that nobody who asks holds it up.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::house::House;
use super::listen::{Shown, exchange};
use super::run::{Home, LIMIT, Run};
use crate::support::wait::until;

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
