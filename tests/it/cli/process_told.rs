//! What the adapter tells of what `observe process` asks of a stack, and how it stands by meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use observe::event::envelope::Envelope;
use serde_json::{Value, json};

use super::house::{House, client};
use super::process::{INFO, LIST, STACK, STATE, fake};
use super::run::{Home, LIMIT, Run};
use super::stack::Stack;
use crate::support::fake_server::{FakeServer, Reply};
use crate::support::wait::until;

/// Type, reason and certainty of everything that was told of a process.
fn told<'e>(events: &'e [Envelope], process: &str) -> Vec<[&'e str; 3]> {
    let of = |event: &&Envelope| event.process.as_deref() == Some(process);
    let words = |event: &'e Envelope| [event.kind.as_str(), &*event.reason, &*event.certainty];
    events.iter().filter(of).map(words).collect()
}

/// An adapter and what is asked beside it.
async fn adapter(more: &[&str]) -> (House, Run) {
    let house = House::new().await;
    let run = house.working(more).await;
    (house, run)
}

/// The same of a server of one process, as soon as it has told of it.
async fn adapter_of(server: &FakeServer, more: &[&str]) -> (House, Run) {
    let (house, port) = (House::new().await, server.port.to_string());
    let url = house.nats.url();
    let usual = ["adapter", "-p", &port, "-s", &url, "--interval", "250ms"];
    let run = house.home.run(&[&usual[..], more].concat());
    house.tells("started", "api", 1).await;
    (house, run)
}

async fn ask(house: &House, args: &[&str]) -> Run {
    let url = house.nats.url();
    let mut run = house
        .home
        .run(&[&["process"], args, &["-s", &url]].concat());
    assert_eq!(run.ends().await, 0, "{args:?}: {:?}", run.err.all());
    assert!(run.err.all().is_empty(), "{:?}", run.err.all());
    run
}

#[tokio::test]
async fn what_follows_is_told_as_requested_and_what_comes_later_is_not() {
    for evidence in ["off", "auto"] {
        let (house, _adapter) = adapter(&["--evidence", evidence]).await;
        house.tells("started", "api", 1).await;
        ask(&house, &["restart", "api", "-p", &house.stack.port]).await;
        let events = house.tells("restarted", "api", 1).await;
        let wanted = [
            ["started", "present", "certain"],
            ["stopped", "requested", "certain"],
            ["restarted", "requested", "certain"],
        ];
        assert_eq!(told(&events, "api"), wanted, "--evidence {evidence}");
        // The intent is for the run that was there, and for no later one.
        house.stack.exit("api", 9).await;
        let events = house.tells("crashed", "api", 1).await;
        assert_eq!(told(&events, "api")[3][..2], ["crashed", "exit"]);
        ask(&house, &["stop", "web", "-p", &house.stack.port]).await;
        let events = house.tells("stopped", "web", 1).await;
        assert_eq!(told(&events, "web")[1], ["stopped", "requested", "certain"]);
    }
}

#[tokio::test]
async fn two_adapters_both_know_and_one_of_them_tells() {
    let (house, _first) = adapter(&["--evidence", "off"]).await;
    house.tells("started", "web", 1).await;
    let second = house.adapter(&["--evidence", "off"]);
    second.says(&house.stack.port).await;
    for turn in 1..=3 {
        ask(
            &house,
            &["restart", "web", "-p", &house.stack.port, "--wait"],
        )
        .await;
        house.tells("restarted", "web", turn).await;
    }
    let events = house.tells("stopped", "web", 3).await;
    let told = told(&events, "web");
    assert_eq!(told.len(), 7, "{told:?}");
    assert!(
        told[1..].iter().all(|words| words[1] == "requested"),
        "{told:?}"
    );
}

#[tokio::test]
async fn without_an_intent_looks_alone_cannot_know_who_asked() {
    let (house, _adapter) = adapter(&["--evidence", "off"]).await;
    house.tells("started", "web", 1).await;
    house.stack.control.stop("web").unwrap();
    let events = house.tells("crashed", "web", 1).await;
    assert_eq!(told(&events, "web")[1], ["crashed", "signal", "ambiguous"]);
}

#[tokio::test]
async fn an_intent_that_was_refused_accounts_for_nothing() {
    let broken = Arc::new(AtomicBool::new(false));
    let is_broken = Arc::clone(&broken);
    let server = FakeServer::tcp(move |request| match request.target.as_str() {
        "/processes" if is_broken.load(Ordering::SeqCst) => Reply::json(
            &LIST
                .replace("Running", "Completed")
                .replace("\"exit_code\":0", "\"exit_code\":-1"),
        ),
        "/processes" => Reply::json(LIST),
        "/project/state" => Reply::json(STATE),
        "/process/info/api" => Reply::json(INFO),
        "/process/restart/api" => Reply::status(400, r#"{"error":"not now"}"#),
        _ => Reply::missing(),
    })
    .await;
    let (house, _adapter) = adapter_of(&server, &[]).await;
    let (url, port) = (house.nats.url(), server.port.to_string());
    let (code, line) = house
        .home
        .run(&["process", "restart", "api", "-s", &url, "-p", &port])
        .refused()
        .await;
    assert_eq!((code, line.contains("not now")), (1, true), "{line}");
    broken.store(true, Ordering::SeqCst);
    let events = house.tells("crashed", "api", 1).await;
    assert_eq!(told(&events, "api")[1][..2], ["crashed", "signal"]);
}

#[tokio::test]
async fn the_head_knows_the_address_and_several_sources_are_told_apart_by_their_names() {
    let (house, _adapter) = adapter(&[]).await;
    house.tells("started", "api", 1).await;
    // Nothing answers at the usual places of this home.
    let run = ask(
        &house,
        &["restart", "api", "--source", "shop", "-o", "json"],
    )
    .await;
    let object: Value = serde_json::from_str(&run.out.all()[0]).unwrap();
    assert_eq!(
        (&object["source"], &object["intent"]),
        (&json!("shop"), &json!(true))
    );
    let other = Stack::play("{name: other, keep: true, processes: {api: {}, cron: {}}}").await;
    let url = house.nats.url();
    let second = [
        "adapter",
        "-p",
        &other.port,
        "-s",
        &url,
        "--interval",
        "250ms",
    ];
    let _second = house.home.run(&second);
    house.tells("started", "cron", 1).await;
    let asked = |args: &[&str]| {
        house
            .home
            .run(&[&["process"], args, &["-s", &url]].concat())
    };
    let (code, line) = asked(&["restart", "api", "--source", "*"]).refused().await;
    assert_eq!(code, 2, "{line}");
    assert!(
        line.contains("other, shop") && line.contains("--source"),
        "{line}"
    );
    let mut run = asked(&["restart", "cron", "--source", "*"]);
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    let (code, line) = asked(&["restart", "api", "--source", "nobody"])
        .refused()
        .await;
    assert_eq!(code, 1, "{line}");
    assert!(line.contains("there are other, shop"), "{line}");
    let (code, line) = asked(&["restart", "api", "--source", "shop", "-p", &other.port])
        .refused()
        .await;
    assert_eq!(code, 1, "{line}");
    assert!(line.contains("is called other"), "{line}");
}

#[tokio::test]
async fn a_head_is_not_believed_where_another_server_answers() {
    let (house, adapter) = adapter(&[]).await;
    house.tells("started", "api", 1).await;
    drop(adapter);
    // The same server begins again: another run, of which this head knows nothing.
    house
        .stack
        .control
        .stop_server(Some(Duration::from_millis(100)));
    let url = house.nats.url();
    let args = ["process", "restart", "api", "--source", "shop", "-s", &url];
    let end = tokio::time::Instant::now() + LIMIT;
    loop {
        let (code, line) = house.home.run(&args).refused().await;
        if line.contains("is not the shop") {
            assert_eq!(code, 1, "{line}");
            return;
        }
        assert!(code == 3 && tokio::time::Instant::now() < end, "{line}");
    }
}

#[tokio::test]
async fn old_data_is_a_reason_to_refuse_but_for_those_who_insist() {
    let stuck = Arc::new(AtomicBool::new(false));
    let is_stuck = Arc::clone(&stuck);
    let server = FakeServer::tcp(move |request| match request.target.as_str() {
        // The adapter's connection is the first one.
        "/processes" if request.connection == 1 && is_stuck.load(Ordering::SeqCst) => Reply::Hang,
        "/processes" => Reply::json(LIST),
        "/project/state" => Reply::json(STATE),
        "/process/info/api" => Reply::json(INFO),
        "/process/restart/api" => Reply::json(r#"{"name":"api"}"#),
        _ => Reply::missing(),
    })
    .await;
    let (house, _adapter) = adapter_of(&server, &["--evidence", "off"]).await;
    let (url, port) = (house.nats.url(), server.port.to_string());
    let mut refused = house
        .home
        .run(&["process", "restart", "api", "-s", &url, "-p", &port]);
    assert_eq!(
        refused.ends().await,
        0,
        "while it looks: {:?}",
        refused.err.all()
    );
    stuck.store(true, Ordering::SeqCst);
    let args = ["process", "restart", "api", "-s", &url, "-p", &port];
    let end = tokio::time::Instant::now() + LIMIT;
    let line = loop {
        let mut run = house.home.run(&args);
        let code = run.ends().await;
        if code == 1 {
            break run.err.all()[0].clone();
        }
        assert!(
            code == 0 && tokio::time::Instant::now() < end,
            "{:?}",
            run.err.all()
        );
    };
    assert!(
        line.contains("looked last") && line.contains("--force"),
        "{line}"
    );
    let mut run = house.home.run(&[&args[..], &["--force"]].concat());
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
}

/// Sends the adapter of `shop` a request of its own.
async fn request(house: &House, ask: Value) -> Value {
    let client = client(&house.nats).await;
    let payload = serde_json::to_vec(&ask).unwrap();
    let subject = "core.control.shop.adapter";
    let answer = client.request(subject, payload.into()).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

#[tokio::test]
async fn the_looks_rest_while_a_group_is_scaled_and_go_on_afterwards() {
    let server = fake(|| Reply::Hang).await;
    let (house, _adapter) = adapter_of(&server, &["--evidence", "off"]).await;
    let (url, port) = (house.nats.url(), server.port.to_string());
    let args = [
        "process",
        "scale",
        "api=2",
        "--timeout",
        "2s",
        "-s",
        &url,
        "-p",
        &port,
    ];
    let mut run = house.home.run(&args);
    assert_eq!(run.ends().await, 124, "{:?}", run.err.all());
    let all = server.requests();
    let at = all
        .iter()
        .position(|request| request.target == "/process/scale/api/2");
    // What came behind the command came when it was over: it was over a moment ago.
    let behind = all.len() - at.unwrap() - 1;
    assert!(
        behind <= 2,
        "{behind} requests meanwhile: {:?}",
        &all[at.unwrap()..]
    );
    until(LIMIT, "looks that go on", async || {
        server.requests().len() > all.len() + 3
    })
    .await;
}

#[tokio::test]
async fn a_hold_that_nobody_releases_is_over_by_itself() {
    let (house, _adapter) = adapter(&[]).await;
    house.tells("started", "api", 1).await;
    let intent = json!({"id": "x", "action": "scale", "runs": [], "limit_ms": 700});
    let held = request(
        &house,
        json!({"ask": "intent", "intent": intent, "hold": true}),
    )
    .await;
    assert_eq!(
        (&held["held"], &held["interval_ms"]),
        (&json!(true), &json!(250))
    );
    until(LIMIT, "looks that go on", async || {
        request(&house, json!({"ask": "state"})).await["held"] == json!(false)
    })
    .await;
    // What cannot be read is passed over, and the desk stays open.
    client(&house.nats)
        .await
        .publish("core.control.shop.adapter", "nonsense".into())
        .await
        .unwrap();
    assert_eq!(
        request(&house, json!({"ask": "state"})).await["stands_by"],
        json!(false)
    );
}

#[tokio::test]
async fn scaling_is_told_as_asked_for() {
    let house = House {
        home: Home::new(),
        stack: Stack::play(STACK).await,
        nats: crate::support::nats::NatsServer::start(),
    };
    let _adapter = house.working(&[]).await;
    house.tells("started", "web-1", 1).await;
    ask(&house, &["scale", "web=3", "-p", &house.stack.port]).await;
    house.tells("started", "web-2", 1).await;
    ask(&house, &["scale", "web=1", "-p", &house.stack.port]).await;
    let events = house.tells("stopped", "web-2", 1).await;
    let last = told(&events, "web-2");
    assert_eq!(last[1][..2], ["stopped", "removed"], "{last:?}");
    let crashed = events
        .iter()
        .filter(|event| event.kind.as_str() == "crashed");
    assert!(
        crashed
            .clone()
            .all(|event| event.process.as_deref() == Some("job")),
        "{events:#?}"
    );
}
