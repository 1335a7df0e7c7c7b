//! The client of process-compose against servers of all kinds.

use std::time::Duration;

use observe::process_compose::client::Client;
use observe::process_compose::discovery::{self, Candidate, Discovery, Standing};
use observe::process_compose::error::{ClientError, Kind};
use observe::process_compose::settings::{BaseUrl, Endpoint, Settings, TokenSource};
use observe::process_compose::wire;
use tokio::net::TcpListener;

use crate::support::fake_server::{FakeServer, Reply, Request};
use crate::support::{folder, local};

const TABLE: &str = r#"{"data":[{"name":"a","status":"Running","pid":4}]}"#;

fn quick(endpoint: Endpoint) -> Settings {
    let mut settings = Settings::new(endpoint);
    settings.limits.connect = Duration::from_millis(500);
    settings.limits.read = Duration::from_millis(300);
    settings
}

fn client(server: &FakeServer) -> Client {
    Client::new(&Settings::new(local(server.port))).unwrap()
}

fn simple(request: &Request) -> Reply {
    match request.target.as_str() {
        "/live" => Reply::json(r#"{"status":"alive"}"#),
        "/processes" => Reply::json(TABLE),
        "/project/name" => Reply::json(r#"{"projectName":"box/shop"}"#),
        "/project/state" => {
            Reply::json(r#"{"startTime":"2026-08-20T09:15:02Z","projectName":"box/shop"}"#)
        }
        "/process/states/ws" => Reply::Whole(400, "text/plain", b"Bad Request".to_vec()),
        "/process/info/a%2F%20b" => Reply::json(r#"{"name":"a/ b","replicas":2}"#),
        "/process/a%2F%20b" => Reply::json(r#"{"name":"a/ b","status":"Running"}"#),
        path if path.starts_with("/process/") => {
            Reply::status(400, r#"{"error":"no such process"}"#)
        }
        _ => Reply::missing(),
    }
}

#[tokio::test]
async fn all_questions_travel_over_one_kept_connection() {
    let server = FakeServer::tcp(simple).await;
    let client = client(&server);
    client.live().await.unwrap();
    let first = client.processes().await.unwrap();
    let second = client.processes().await.unwrap();
    assert!(first.connection_is_new && !second.connection_is_new);
    assert_eq!(wire::decode(&second.bytes).unwrap().rows[0].name, "a");
    let (state, connection) = client.project_state().await.unwrap().unwrap();
    assert_eq!(
        (state.project.as_deref(), connection),
        (Some("shop"), second.connection)
    );
    assert!(client.has_state_stream().await.unwrap());
    assert_eq!(
        client.process_info("a/ b").await.unwrap().unwrap().replicas,
        2
    );
    assert_eq!(
        client.process("a/ b").await.unwrap().unwrap().status,
        "Running"
    );
    assert_eq!(client.process("gone").await.unwrap(), None);
    assert_eq!(
        client.process_info(&"x".repeat(70_000)).await.unwrap(),
        None
    );
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_server_that_came_again_is_met_on_a_new_connection_without_a_failed_look() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = FakeServer::on(listener, simple);
    let client = client(&server);
    let port = server.port;
    let first = client.processes().await.unwrap();
    drop(server);
    let listener = loop {
        // the port is free once the old listener's task has ended
        match TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => break listener,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let _server = FakeServer::on(listener, simple);
    // another question takes the new connection first; the table still says that it is new
    client.live().await.unwrap();
    let second = client.processes().await.unwrap();
    assert!(second.connection_is_new && second.connection > first.connection);
    assert!(!client.processes().await.unwrap().connection_is_new);
}

#[tokio::test]
async fn a_connection_the_server_closes_after_each_answer_is_no_failure() {
    let server = FakeServer::tcp(|_| {
        let length = TABLE.len();
        Reply::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{TABLE}").into())
    })
    .await;
    let client = client(&server);
    for _ in 0..5 {
        assert!(client.processes().await.unwrap().connection_is_new);
    }
}

#[tokio::test]
async fn a_dropped_question_leaves_a_client_that_works() {
    let server = FakeServer::tcp(|request| match request.connection {
        1 => Reply::Hang,
        _ => simple(request),
    })
    .await;
    let client = client(&server);
    let dropped = tokio::time::timeout(Duration::from_millis(50), client.processes()).await;
    assert!(dropped.is_err());
    assert!(client.processes().await.unwrap().connection_is_new);
}

#[tokio::test]
async fn a_unix_socket_and_a_base_url_speak_alike() {
    let path = folder("unix").join("pc.sock");
    let server = FakeServer::unix(&path, simple);
    let by_socket = Client::new(&Settings::new(Endpoint::Unix(path))).unwrap();
    by_socket.live().await.unwrap();
    assert!(server.requests()[0].headers.contains("host: localhost"));

    let server = FakeServer::tcp(|request| {
        let inner = Request {
            target: request.target.strip_prefix("/pc").unwrap().to_owned(),
            ..request.clone()
        };
        simple(&inner)
    })
    .await;
    let url = BaseUrl::parse(&format!("http://127.0.0.1:{}/pc/", server.port)).unwrap();
    let by_url = Client::new(&Settings::new(Endpoint::Url(url))).unwrap();
    assert_eq!(by_url.processes().await.unwrap().bytes, TABLE.as_bytes());
}

#[tokio::test]
async fn the_token_goes_with_every_question_and_its_file_may_change() {
    let path = folder("token").join("token");
    std::fs::write(&path, "first-first-first-first\n").unwrap();
    let server = FakeServer::tcp(|request| {
        if request.headers.contains("x-pc-token-key: second") {
            simple(request)
        } else {
            Reply::Whole(401, "text/plain", Vec::new())
        }
    })
    .await;
    let mut settings = Settings::new(local(server.port));
    settings.token = Some(TokenSource::File(path.clone()));
    let client = Client::new(&settings).unwrap();
    let refused = client.live().await.unwrap_err();
    assert!(refused.is_fatal() && refused.kind() == Kind::Unauthorized);
    std::fs::write(&path, "second-second-second\n").unwrap();
    client.live().await.unwrap();
    let plain = Client::new(&Settings::new(local(server.port))).unwrap();
    assert!(plain.live().await.is_err());
    assert!(!server.requests()[2].headers.contains("token"));
}

async fn look(reply: Reply) -> ClientError {
    let server = FakeServer::tcp(move |_| reply.clone()).await;
    let client = Client::new(&quick(local(server.port))).unwrap();
    let outcome = client.processes().await;
    match outcome {
        Err(error) => error,
        Ok(body) => client.undecodable(wire::decode(&body.bytes).unwrap_err()),
    }
}

fn wrong_statuses() -> Vec<(Reply, Kind, &'static str)> {
    use Kind::{Forbidden, NotProcessCompose, ServerError, Unauthorized};
    let html = |status| Reply::Whole(status, "text/html", b"<html>".to_vec());
    vec![
        (
            Reply::Whole(401, "text/plain", Vec::new()),
            Unauthorized,
            "wants a token",
        ),
        (Reply::status(403, ""), Forbidden, "403"),
        (
            Reply::missing(),
            NotProcessCompose,
            "(404) that is no process-compose",
        ),
        (html(200), NotProcessCompose, "a web page answers"),
        (html(502), ServerError, "502"),
        (Reply::status(302, ""), NotProcessCompose, "redirects"),
        (Reply::status(500, ""), ServerError, "it answers 500"),
        (
            Reply::status(400, r#"{"error":"no\nsuch\u001b[31m"}"#),
            ServerError,
            "400: no such?[31m",
        ),
    ]
}

fn wrong_bodies() -> Vec<(Reply, Kind, &'static str)> {
    use Kind::{Malformed, NotProcessCompose, ServerError, Timeout, TooLarge, Truncated};
    let raw = |text: &str| Reply::Raw(text.into());
    vec![
        (Reply::json(r#"{"error":"late"}"#), ServerError, "late"),
        (
            Reply::json(r#"{"ok":true}"#),
            NotProcessCompose,
            "speaks JSON",
        ),
        (
            Reply::json(r#"{"data":[{"na"#),
            Truncated,
            "in the middle of the JSON",
        ),
        (Reply::json(""), Truncated, "empty"),
        (Reply::json("hello"), Malformed, "no JSON"),
        (raw(""), Truncated, "before it answered"),
        (
            raw("INFO {\"server_id\":1}\r\n"),
            NotProcessCompose,
            "does not speak HTTP",
        ),
        (
            raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"data\":["),
            Truncated,
            "broke off",
        ),
        (
            raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"dat"),
            Truncated,
            "broke off",
        ),
        (
            raw("HTTP/1.1 200 OK\r\nContent-Length: 67108865\r\n\r\n{"),
            TooLarge,
            "larger than 64 MiB",
        ),
        (Reply::Hang, Timeout, "within 300ms"),
        (Reply::Drip, Timeout, "within 300ms"),
    ]
}

#[tokio::test]
async fn every_wrong_answer_is_told_for_what_it_is() {
    for (reply, kind, words) in wrong_statuses().into_iter().chain(wrong_bodies()) {
        let shown = format!("{reply:?}");
        let error = look(reply).await;
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{shown}: {text}");
        assert!(text.contains(words), "{shown}: {text}");
        assert!(
            text.starts_with("127.0.0.1:") && text.contains("; "),
            "{text}"
        );
        assert!(!text.contains('\n') && !text.contains('\u{1b}'), "{text}");
    }
}

#[tokio::test]
async fn a_body_of_64_mib_is_read_and_one_byte_more_is_not() {
    let limit = 64 * 1024 * 1024;
    let server = FakeServer::tcp(move |request| match request.target.as_str() {
        "/processes" => Reply::Zeros(limit),
        _ => Reply::Zeros(limit + 1),
    })
    .await;
    let mut settings = Settings::new(local(server.port));
    settings.limits.read = Duration::from_secs(60);
    let client = Client::new(&settings).unwrap();
    assert_eq!(client.processes().await.unwrap().bytes.len(), limit);
    assert_eq!(client.live().await.unwrap_err().kind(), Kind::TooLarge);
}

#[tokio::test]
async fn a_place_where_nobody_is_says_so() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let stale = folder("stale").join("pc.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let plain = FakeServer::tcp(simple).await;
    let over_tls = BaseUrl::parse(&format!("https://127.0.0.1:{}", plain.port)).unwrap();
    for (endpoint, kind, words) in [
        (local(free), Kind::Refused, "nobody listens there"),
        (Endpoint::Unix(stale), Kind::Refused, "left behind"),
        (
            Endpoint::Unix("/nowhere/pc.sock".into()),
            Kind::Refused,
            "no such socket",
        ),
        (Endpoint::Url(over_tls), Kind::Unreachable, "TLS failed"),
    ] {
        let error = Client::new(&quick(endpoint))
            .unwrap()
            .live()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

fn candidate(endpoint: Endpoint, standing: Standing) -> Candidate {
    Candidate {
        endpoint,
        why: "test".into(),
        standing,
    }
}

#[tokio::test]
async fn the_server_nobody_named_is_found_or_what_was_tried_is_told() {
    let shop = FakeServer::tcp(simple).await;
    let other = FakeServer::tcp(simple).await;
    let web = FakeServer::tcp(|_| Reply::Whole(200, "text/html", b"<p>".to_vec())).await;
    let stale = folder("found").join("process-compose-7.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let usual = |endpoint| candidate(endpoint, Standing::Usual);
    let away = || vec![usual(Endpoint::Unix(stale.clone())), usual(local(web.port))];

    let nobody = discovery::find(away(), None).await.unwrap();
    let text = nobody.to_string();
    assert!(
        matches!(nobody, Discovery::None(ref tried) if tried.len() == 2),
        "{text}"
    );
    assert!(
        text.contains("left behind") && text.contains("a web page answers there"),
        "{text}"
    );

    let mut list = away();
    list.push(usual(local(shop.port)));
    match discovery::find(list.clone(), None).await.unwrap() {
        Discovery::One(found) => assert_eq!(found.project.as_deref(), Some("shop")),
        several => panic!("{several}"),
    }
    list.push(usual(local(other.port)));
    assert!(
        matches!(discovery::find(list.clone(), None).await.unwrap(), Discovery::Several(all) if all.len() == 2)
    );
    list[2].standing = Standing::Activated;
    assert!(
        matches!(discovery::find(list, None).await.unwrap(), Discovery::One(one) if one.endpoint == local(shop.port))
    );

    let given = vec![candidate(Endpoint::Unix(stale.clone()), Standing::Given)];
    assert!(matches!(
        discovery::find(given, None).await.unwrap(),
        Discovery::One(_)
    ));
}
