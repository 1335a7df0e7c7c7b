//! Routes and streams.

use super::*;

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
async fn a_fleet_is_as_many_servers_of_different_names() {
    let folder = Scratch::new("fleet");
    let dice = Dice {
        processes: 4,
        rate: 1.0,
        seed: 1,
    };
    let settings = Settings {
        place: Place::Unix(folder.path().to_owned()),
        ..Settings::new(Origin::Random(dice))
    };
    let fleet = PlayedFleet::bind(&settings, 12).await.unwrap();
    let addresses: Vec<_> = fleet.addresses().collect();
    assert_eq!(addresses.len(), 12);
    let token = CancellationToken::new();
    let run = tokio::spawn(fleet.run(token.clone()));
    for (number, address) in addresses.iter().enumerate() {
        let get = async |path| {
            let stream = UnixStream::connect(address).await.unwrap();
            soon(send(stream, "GET", path, "", "")).await.unwrap()
        };
        let name = get("/project/name").await.json();
        assert_eq!(name["projectName"], format!("devbox/fleet-{number:04}"));
        let list = get("/processes").await.json();
        assert_eq!(list["data"].as_array().unwrap().len(), 4);
    }
    token.cancel();
    soon(run).await.unwrap().unwrap();
    assert!(addresses.iter().all(|address| !Path::new(address).exists()));
}
