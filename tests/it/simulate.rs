//! The simulated process-compose over real loopback sockets.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use observe::simulate::builder::Builder;
use observe::simulate::control::Control;
use observe::simulate::fault::{Fault, Lasting};
use observe::simulate::script::Stack;
use observe::simulate::server::{Ended, SimulateError, Simulation};
use observe::simulate::settings::{Origin, Place, Settings};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A running simulation that ends with the test.
struct Server {
    at: String,
    control: Control,
    ended: JoinHandle<Result<Ended, SimulateError>>,
    guard: DropGuard,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn serve(builder: Builder) -> Server {
    let simulation = builder.bind().await.unwrap();
    let at = match simulation.place() {
        Place::Tcp(address, port) => format!("{address}:{port}"),
        Place::Unix(path) => path.display().to_string(),
    };
    let (control, token) = (simulation.control(), CancellationToken::new());
    let ended = tokio::spawn(simulation.run(token.clone()));
    Server {
        at,
        control,
        ended,
        guard: token.drop_guard(),
    }
}

fn stack(yaml: &str) -> Builder {
    Simulation::builder(Stack::parse(yaml).unwrap()).remember_truth()
}

async fn send(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    path: &str,
    extra: &str,
    body: &str,
) -> std::io::Result<Answer> {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {}\r\n{extra}\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw).await?;
    let text = String::from_utf8_lossy(&raw).into_owned();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .ok_or(std::io::ErrorKind::InvalidData)?;
    Ok(Answer {
        status,
        head: head.to_lowercase(),
        body: body.to_owned(),
    })
}

impl Server {
    async fn try_get(&self, path: &str) -> std::io::Result<Answer> {
        send(TcpStream::connect(&self.at).await?, "GET", path, "", "").await
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        send(
            TcpStream::connect(&self.at).await.unwrap(),
            method,
            path,
            "",
            body,
        )
        .await
        .unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "").await
    }

    async fn status_of(&self, name: &str) -> String {
        self.get(&format!("/process/{name}")).await.json()["status"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    async fn socket(&self, path: &str) -> impl StreamExt<Item = Value> + Unpin + use<> {
        let uri = format!("ws://{}{path}", self.at);
        let (socket, _) = tokio_websockets::ClientBuilder::new()
            .uri(&uri)
            .unwrap()
            .connect()
            .await
            .unwrap();
        Box::pin(socket.filter_map(|m| async move {
            m.ok()?.as_text().map(|t| serde_json::from_str(t).unwrap())
        }))
    }
}

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(5), future)
        .await
        .expect("within five seconds")
}

#[tokio::test]
async fn every_route_answers_in_the_shape_of_the_real_one() {
    let server = serve(stack("name: shop\nprocesses: {a: {}, b: {namespace: [x, y], depends_on: {a: started}}, \"odd/na me\": {}}")).await;
    assert_eq!(
        server.get("/live").await.json(),
        serde_json::json!({"status": "alive"})
    );
    let list = server.get("/processes").await;
    assert!(
        list.head
            .contains("content-type: application/json; charset=utf-8"),
        "{}",
        list.head
    );
    assert_eq!(list.json()["data"].as_array().unwrap().len(), 3);
    assert_eq!(
        server.get("/process/odd%2Fna%20me").await.json()["name"],
        "odd/na me"
    );
    assert_eq!(
        server.get("/process/info/b").await.json()["namespace"],
        serde_json::json!(["x", "y"])
    );
    assert_eq!(
        server.get("/namespaces").await.json(),
        serde_json::json!(["default", "x", "y"])
    );
    assert_eq!(
        server.get("/graph").await.json()["nodes"]["b"]["depends_on"]["a"]["dependency_type"],
        "started"
    );
    assert_eq!(
        server.get("/project/name").await.json()["projectName"],
        "devbox/shop"
    );
    let project = server.get("/project/state?withMemory=true").await.json();
    assert_eq!(
        (&project["version"], &project["processNum"]),
        (&"v1.122.0".into(), &3.into())
    );
    assert!(project["memoryState"].is_object());
    assert_eq!(
        server.get("/process/ports/a").await.json()["tcp_ports"],
        serde_json::json!([])
    );
    assert_eq!(server.get("/hostname").await.status, 404);
}

#[tokio::test]
async fn failures_are_400_with_one_string_and_unknown_routes_404_as_text() {
    let server = serve(stack("processes: {a: {}, idle: {disabled: true}}")).await;
    for (method, path) in [
        ("GET", "/process/nobody"),
        ("GET", "/process/info/nobody"),
        ("GET", "/process/ports/idle"),
        ("GET", "/process/logs/a/x/1"),
        ("POST", "/process/start/a"),
        ("PATCH", "/process/stop/idle"),
        ("PATCH", "/process/scale/a/0"),
        ("PATCH", "/process/scale/a/many"),
        ("PATCH", "/process/signal/a/99"),
        ("POST", "/namespace/stop/nowhere"),
        ("PATCH", "/processes/stop"),
        ("GET", "/process/logs/ws?name=a"),
    ] {
        let answer = server.call(method, path, "").await;
        assert_eq!(answer.status, 400, "{method} {path}");
        assert!(answer.json()["error"].is_string(), "{method} {path}");
    }
    for (method, path) in [
        ("GET", "/nowhere"),
        ("POST", "/live"),
        ("GET", "/process/start/a"),
    ] {
        let answer = server.call(method, path, "").await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (404, "404 page not found"),
            "{method} {path}"
        );
    }
    let moved = server.get("/project/state/?withMemory=true").await;
    assert_eq!(moved.status, 301);
    assert!(
        moved
            .head
            .contains("location: /project/state?withmemory=true"),
        "{}",
        moved.head
    );
    assert_eq!(server.call("POST", "/project/stop/", "").await.status, 307);
    assert_eq!(server.get("/process/states/ws").await.status, 400);
}

#[tokio::test]
async fn stops_in_bulk_are_207_as_soon_as_one_fails() {
    let server = serve(stack("processes: {a: {}, b: {}}")).await;
    assert_eq!(
        server.call("PATCH", "/processes/stop", "[]").await.status,
        200
    );
    let mixed = server
        .call("PATCH", "/processes/stop", r#"["a","nobody"]"#)
        .await;
    assert_eq!((mixed.status, &mixed.json()["a"]), (207, &"ok".into()));
    assert_eq!(
        server
            .call("PATCH", "/processes/stop", r#"["nobody"]"#)
            .await
            .status,
        207
    );
    assert_eq!(
        server
            .call("PATCH", "/processes/stop", r#"["b"]"#)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_restart_answers_when_the_new_life_has_begun() {
    let server = serve(stack("processes: {a: {}}")).await;
    let before = server.get("/process/a").await.json();
    let begin = Instant::now();
    assert_eq!(
        server.call("POST", "/process/restart/a", "").await.json()["name"],
        "a"
    );
    assert!(begin.elapsed() >= Duration::from_secs(1));
    let after = server.get("/process/a").await.json();
    assert_ne!(after["pid"], before["pid"]);
    assert_eq!(after["status"], "Running");
}

#[tokio::test]
async fn a_token_guards_every_route_and_401_is_empty() {
    let server = serve(stack("processes: {a: {}}").token("twenty-characters-and-more")).await;
    for path in [
        "/live",
        "/processes",
        "/nowhere",
        "/process/states/ws",
        "/live/",
    ] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.body.as_str()), (401, ""), "{path}");
    }
    let with = "X-PC-Token-Key: twenty-characters-and-more\r\n";
    let answer = send(
        TcpStream::connect(&server.at).await.unwrap(),
        "GET",
        "/live",
        with,
        "",
    )
    .await
    .unwrap();
    assert_eq!(answer.status, 200);
    let short = stack("processes: {}").token("short").bind().await;
    assert!(matches!(short, Err(SimulateError::Setting(_))));
}

#[tokio::test]
async fn a_unix_socket_serves_and_replaces_a_stale_one() {
    let path = std::env::temp_dir().join(format!("simulate-{}.sock", std::process::id()));
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a socket file that nobody answers");
    let server = serve(stack("processes: {a: {}}").place(Place::Unix(path.clone()))).await;
    let answer = send(
        UnixStream::connect(&path).await.unwrap(),
        "GET",
        "/live",
        "",
        "",
    )
    .await
    .unwrap();
    assert_eq!(answer.status, 200);
    let taken = stack("processes: {}")
        .place(Place::Unix(path.clone()))
        .bind()
        .await;
    assert!(matches!(taken, Err(SimulateError::Listen { .. })));
    let Server { ended, guard, .. } = server;
    drop(guard);
    assert_eq!(soon(ended).await.unwrap().unwrap(), Ended::Cancelled);
    assert!(!path.exists());
}

#[tokio::test]
async fn the_state_stream_begins_with_a_snapshot_and_goes_on_with_changes() {
    let server = serve(stack("processes: {a: {}, b: {}}")).await;
    let mut all = server.socket("/process/states/ws").await;
    for _ in 0..2 {
        assert_eq!(soon(all.next()).await.unwrap()["snapshot"], true);
    }
    let mut only = server.socket("/process/states/ws?name=b,nobody").await;
    assert_eq!(soon(only.next()).await.unwrap()["state"]["name"], "b");
    server.call("PATCH", "/process/stop/a", "").await;
    server.control.kill("b", 9).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let frame = soon(all.next()).await.unwrap();
        assert!(frame.get("snapshot").is_none());
        seen.push(format!(
            "{} {}",
            frame["state"]["name"], frame["state"]["status"]
        ));
    }
    seen.sort();
    assert_eq!(
        seen,
        [
            r#""a" "Completed""#,
            r#""a" "Terminating""#,
            r#""b" "Completed""#
        ]
    );
    assert_eq!(soon(only.next()).await.unwrap()["state"]["exit_code"], -1);
}

#[tokio::test]
async fn the_state_stream_breaks_beyond_256_processes_unless_filtered() {
    let server = serve(stack("processes: {w: {replicas: 257}}")).await;
    let frames: Vec<_> = soon(server.socket("/process/states/ws").await.collect()).await;
    assert!(frames.len() <= 1, "{}", frames.len());
    let mut filtered = server.socket("/process/states/ws?name=w-000,w-256").await;
    assert!(soon(filtered.next()).await.is_some() && soon(filtered.next()).await.is_some());
}

#[tokio::test]
async fn logs_are_paged_from_the_end_and_followed() {
    let server = serve(stack(
        "processes: {a: {log: {every: 20ms, lines: [\"line {n}\"]}}}",
    ))
    .await;
    let lines = async |path: &str| {
        server.get(path).await.json()["logs"]
            .as_array()
            .map_or(0, Vec::len)
    };
    soon(async {
        while lines("/process/logs/a/0/0").await < 5 {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let page = server.get("/process/logs/a/0/2").await.json();
    assert_eq!(page["logs"].as_array().unwrap().len(), 2);
    let mut follow = server
        .socket("/process/logs/ws?name=a&offset=1&follow=true")
        .await;
    let number = |frame: &Value| {
        frame["message"].as_str().unwrap()[5..]
            .parse::<u32>()
            .unwrap()
    };
    let (first, second) = (
        soon(follow.next()).await.unwrap(),
        soon(follow.next()).await.unwrap(),
    );
    assert_eq!(first["process_name"], "a");
    assert_eq!(number(&second), number(&first) + 1);
    let tail: Vec<_> = soon(
        server
            .socket("/process/logs/ws?name=a&offset=3&follow=false")
            .await
            .collect(),
    )
    .await;
    assert_eq!(tail.len(), 3);
    assert_eq!(
        server.call("DELETE", "/process/logs/a", "").await.status,
        200
    );
}

#[tokio::test]
async fn an_old_release_lacks_what_came_later() {
    let server = serve(stack("processes: {a: {}}").profile("v1.46".parse().unwrap())).await;
    for path in [
        "/namespaces",
        "/graph",
        "/process/states/ws",
        "/project/name",
    ] {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
    assert_eq!(server.get("/hostname").await.json()["name"], "devbox");
    assert_eq!(
        server.get("/project/state").await.json()["hostName"],
        "devbox"
    );
    assert_eq!(server.get("/process/a").await.json()["IsRunning"], true);
    assert_eq!(
        server.get("/process/info/a").await.json()["RestartPolicy"]["Restart"],
        "no"
    );
    assert_eq!(server.get("/process/logs/a/0/5").await.status, 500);
}

#[tokio::test]
async fn faults_come_when_asked_for_and_go_again() {
    let server = serve(stack("processes: {a: {}}")).await;
    let fail = |fault| server.control.fail("/processes", fault, Lasting::Times(1));
    fail(Fault::Status(500, String::new()));
    assert_eq!(server.get("/live").await.status, 200);
    assert_eq!(server.get("/processes").await.status, 500);
    fail(Fault::Html);
    assert!(server.get("/processes").await.body.starts_with("<!DOCTYPE"));
    fail(Fault::HalfJson);
    let half = server.get("/processes").await;
    assert_eq!(half.status, 200);
    assert!(serde_json::from_str::<Value>(&half.body).is_err());
    fail(Fault::Huge(1_000_000));
    assert_eq!(server.get("/processes").await.body.len(), 1_000_000);
    fail(Fault::CutOff);
    let cut = server.try_get("/processes").await;
    assert!(cut.is_err() || serde_json::from_str::<Value>(&cut.unwrap().body).is_err());
    fail(Fault::Drop);
    assert!(soon(server.try_get("/processes")).await.is_err());
    fail(Fault::Hang);
    assert!(
        timeout(Duration::from_millis(200), server.try_get("/processes"))
            .await
            .is_err()
    );
    fail(Fault::Slow(Duration::from_millis(150)));
    let begin = Instant::now();
    assert_eq!(server.get("/processes").await.status, 200);
    assert!(begin.elapsed() >= Duration::from_millis(150));
    server.control.fail("", Fault::Html, Lasting::Always);
    server.control.mend();
    assert_eq!(
        server.get("/processes").await.json()["data"][0]["status"],
        "Running"
    );
}

#[tokio::test]
async fn a_shut_door_refuses_and_cuts_while_the_processes_go_on() {
    let server = serve(stack("processes: {a: {}}")).await;
    let pid = server.get("/process/a").await.json()["pid"].clone();
    let stream = server.socket("/process/states/ws").await;
    server.control.stop_listening();
    let frames: Vec<_> = soon(stream.collect()).await;
    assert!(frames.len() <= 1);
    soon(async {
        while TcpStream::connect(&server.at).await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    server.control.listen_again();
    soon(async {
        while server.try_get("/live").await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(server.get("/process/a").await.json()["pid"], pid);
}

#[tokio::test]
async fn a_server_that_restarts_has_another_start_time_and_one_that_is_stopped_ends_the_run() {
    let server = serve(stack("processes: {a: {}}")).await;
    let start = server.get("/project/state").await.json()["startTime"].clone();
    server.control.stop_server(Some(Duration::from_millis(100)));
    let again = soon(async {
        loop {
            if let Ok(answer) = server.try_get("/project/state").await
                && answer.json()["startTime"] != start
            {
                return answer;
            }
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let told = again.json()["startTime"].clone();
    server.control.skew_start_time(5_000);
    assert_ne!(server.get("/project/state").await.json()["startTime"], told);
    assert_eq!(
        server.call("POST", "/project/stop", "").await.json()["status"],
        "stopped"
    );
    assert_eq!(
        soon(server.ended).await.unwrap().unwrap(),
        Ended::ServerLeft
    );
    let words: Vec<_> = server
        .control
        .truth()
        .iter()
        .filter(|r| r.process.is_none())
        .map(|r| r.what)
        .collect();
    assert_eq!(words.len(), 4, "started, gone, started, gone: {words:?}");
}

#[tokio::test]
async fn a_stack_file_is_read_again_on_request_and_the_truth_is_a_file_of_lines() {
    let folder = std::env::temp_dir().join(format!("simulate-reload-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (file, truth) = (folder.join("stack.yaml"), folder.join("truth.jsonl"));
    std::fs::write(&file, "processes: {a: {}, b: {}}").unwrap();
    let settings = Settings {
        truth: Some(truth.clone()),
        ..Settings::new(Origin::File(file.clone()))
    };
    let simulation = Simulation::bind(settings).await.unwrap();
    let Place::Tcp(address, port) = *simulation.place() else {
        panic!("tcp")
    };
    let (control, token) = (simulation.control(), CancellationToken::new());
    let ended = tokio::spawn(simulation.run(token.clone()));
    let server = Server {
        at: format!("{address}:{port}"),
        control,
        ended,
        guard: token.drop_guard(),
    };
    std::fs::write(&file, "processes: {a: {namespace: x}, c: {}}").unwrap();
    let answer = server
        .call("POST", "/project/configuration", "")
        .await
        .json();
    assert_eq!(
        answer,
        serde_json::json!({"a": "updated", "b": "removed", "c": "added"})
    );
    assert_eq!(
        server
            .call("POST", "/project/configuration", "")
            .await
            .json(),
        serde_json::json!({})
    );
    assert_eq!(server.status_of("b").await, "Completed", "a ghost");
    assert_eq!(
        server.get("/processes").await.json()["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    std::fs::write(&file, "processes: {a: {nmaespace: x}}").unwrap();
    let refused = server.call("POST", "/project/configuration", "").await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("line 1"), "{}", refused.body);
    let lines = std::fs::read_to_string(&truth).unwrap();
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["what"], &first["because"]),
        (&"server_started".into(), &"boot".into())
    );
    assert!(
        lines
            .lines()
            .any(|l| l.contains(r#""process":"b""#) && l.contains("removed"))
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn the_stacks_of_the_examples_can_be_played() {
    let mut played = 0;
    for entry in
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/stacks")).unwrap()
    {
        let path = entry.unwrap().path();
        let simulation = Simulation::bind(Settings::new(Origin::File(path.clone()))).await;
        assert!(
            simulation.is_ok(),
            "{}: {:?}",
            path.display(),
            simulation.err()
        );
        played += 1;
    }
    assert!(played >= 4);
}
