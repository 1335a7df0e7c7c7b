//! Sources that cannot do: each gets one line that says what was found, where, and what to do.

use std::time::Duration;

use observe::simulate::fault::{Fault, Lasting};

use super::house::{House, brief, without_holes};
use super::run::Home;
use super::stack::{SHOP, Stack, builder};
use crate::support::fake_server::{FakeServer, Reply};
use crate::support::nats::NatsServer;

/// Without patience: one line that names the address, nothing told, exit code 3. Direct and durable alike.
async fn both_refuse(port: &str, words: &[&str]) {
    let (home, nats) = (Home::new(), NatsServer::start());
    let url = nats.url();
    for args in [
        vec!["watch", "--direct", "-p", port, "--no-retry"],
        vec!["adapter", "-s", &url, "-p", port, "--no-retry"],
    ] {
        let (code, line) = home.run(&args).refused().await;
        assert_eq!(code, 3, "{line}");
        for word in words.iter().chain(&[port]) {
            assert!(line.contains(word), "{word:?} is not in {line:?}");
        }
    }
    assert!(super::house::events(&nats).await.is_empty());
}

#[tokio::test]
async fn a_wrong_address() {
    let stack = Stack::shop().await;
    stack.control.stop_listening();
    both_refuse(&stack.port, &["connection refused", "--port"]).await;
}

#[tokio::test]
async fn the_reason_of_a_refused_connection_is_not_said_twice() {
    let (home, stack) = (Home::new(), Stack::shop().await);
    stack.control.stop_listening();
    let mut run = home.run(&["watch", "--direct", "-p", &stack.port, "--no-retry"]);
    let (_, line) = run.refused().await;
    assert_eq!(
        line.to_lowercase().matches("connection refused").count(),
        1,
        "{line}"
    );
}

#[tokio::test]
async fn a_missing_or_wrong_token_ends_it_at_once() {
    let secret = "a-token-of-more-than-twenty-characters";
    let stack = Stack::serve(builder(SHOP).token(secret)).await;
    let (home, nats) = (Home::new(), NatsServer::start());
    let url = nats.url();
    let wrong = home.path().join("token");
    std::fs::write(&wrong, "another-token-of-more-than-twenty\n").unwrap();
    let wrong = wrong.display().to_string();
    for args in [
        vec!["watch", "--direct", "-p", &stack.port],
        vec![
            "watch",
            "--direct",
            "-p",
            &stack.port,
            "--token-file",
            &wrong,
        ],
        vec![
            "adapter",
            "-p",
            &stack.port,
            "-s",
            &url,
            "--token-file",
            &wrong,
        ],
    ] {
        let (code, line) = home.run(&args).refused().await;
        assert_eq!(code, 3, "{line}");
        assert!(
            line.contains("401") && line.contains("--token-file"),
            "{line}"
        );
        assert!(!line.contains("another-token"), "a secret: {line}");
    }
    std::fs::write(home.path().join("right"), secret).unwrap();
    let run = home.run(&[
        "watch",
        "--direct",
        "-p",
        &stack.port,
        "--token-file",
        "right",
    ]);
    run.tells("started    worker").await;
}

#[tokio::test]
async fn a_page_of_html_is_no_process_compose() {
    let server =
        FakeServer::tcp(|_| Reply::Whole(200, "text/html", b"<html>Sign in".to_vec())).await;
    both_refuse(&server.port.to_string(), &["web page", "--port"]).await;
}

#[tokio::test]
async fn a_server_that_knows_no_such_page_is_no_process_compose() {
    let server = FakeServer::tcp(|_| Reply::missing()).await;
    both_refuse(&server.port.to_string(), &["404"]).await;
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers() {
    let server = FakeServer::tcp(|_| Reply::Hang).await;
    both_refuse(
        &server.port.to_string(),
        &["no whole answer within", "another kind of server"],
    )
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_speak_http() {
    let server = FakeServer::tcp(|_| Reply::Raw(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec())).await;
    both_refuse(&server.port.to_string(), &["name the address"]).await;
}

#[tokio::test]
async fn nothing_is_told_of_answers_that_cannot_be_used() {
    let house = House::new().await;
    let adapter = house.working(&[]).await;
    let before = house.told(4).await;
    let mut lines = adapter.err.all().len();
    for fault in [
        Fault::Html,
        Fault::HalfJson,
        Fault::CutOff,
        Fault::Huge(65 * 1024 * 1024),
        Fault::Status(500, "boom".to_owned()),
        Fault::Drop,
    ] {
        let name = format!("{fault:?}");
        house
            .stack
            .control
            .fail("/processes", fault, Lasting::Always);
        let end = tokio::time::Instant::now() + super::run::LIMIT;
        for word in ["is away", "is back"] {
            loop {
                let said = adapter.err.all();
                if said.len() > lines {
                    assert!(said[lines].contains(word), "{name}: {said:#?}");
                    assert!(said[lines].len() < 300, "{name}: {said:#?}");
                    break;
                }
                assert!(tokio::time::Instant::now() < end, "{name}: {said:#?}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            lines += 1;
            house.stack.control.mend();
        }
    }
    let told = house.told(1).await;
    without_holes(&told);
    let made_up: Vec<_> = told[before.len()..]
        .iter()
        .filter(|event| event.process.is_some())
        .collect();
    assert!(made_up.is_empty(), "{:#?}", brief(&told));
    assert_eq!(adapter.err.all().len(), lines);
}

#[tokio::test]
async fn a_look_that_hangs_is_given_up_and_costs_no_change() {
    let (home, stack) = (Home::new(), Stack::shop().await);
    let run = home.run(&[
        "watch",
        "--direct",
        "-p",
        &stack.port,
        "--interval",
        "250ms",
    ]);
    run.tells("started    worker").await;
    stack
        .control
        .fail("/processes", Fault::Hang, Lasting::Times(1));
    stack.control.kill("api", 9).unwrap();
    run.tells("crashed    api").await;
}

#[tokio::test]
async fn two_process_composes_of_one_name_are_both_named() {
    let house = House::new().await;
    // The first is the older one: the second has another start time.
    let second = Stack::shop().await;
    let _adapter = house.working(&[]).await;
    let before = house.told(4).await;
    let url = house.nats.url();
    let args = [
        "adapter",
        "-p",
        &second.port,
        "-s",
        &url,
        "--interval",
        "250ms",
    ];
    let (code, line) = house.home.run(&args).refused().await;
    assert_eq!(code, 1, "{line}");
    for word in ["shop", "--source", &house.stack.port, &second.port] {
        assert!(line.contains(word), "{word:?} is not in {line:?}");
    }
    // Under a name of its own it is welcome.
    let own = [&args[..], &["--source", "other"]].concat();
    let run = house.home.run(&own);
    run.says("other: process-compose").await;
    let told = house.told(before.len() + 4).await;
    let shop: Vec<_> = told.iter().filter(|event| event.source == "shop").collect();
    assert_eq!(shop.len(), before.len(), "{:#?}", brief(&told));
}

#[tokio::test]
async fn a_source_name_that_cannot_be_is_bad_usage() {
    let house = House::new().await;
    let mut run = house.adapter(&[]);
    run.says("shop:").await;
    drop(run);
    let url = house.nats.url();
    let args = [
        "adapter",
        "-p",
        &house.stack.port,
        "-s",
        &url,
        "--source",
        "a b",
    ];
    run = house.home.run(&args);
    let (code, line) = run.refused().await;
    assert_eq!(code, 2, "{line}");
    assert!(line.contains("--source"), "{line}");
}
