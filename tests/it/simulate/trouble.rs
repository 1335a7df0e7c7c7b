//! Doors, tokens, files, and trouble on demand.

use super::*;

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
