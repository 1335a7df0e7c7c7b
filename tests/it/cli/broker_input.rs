//! Brokers and streams that cannot do: each gets one line, and what is not ours is left as it is.

use async_nats::jetstream::{self, stream::Config};

use super::house::client;
use super::run::Home;
use super::stack::Stack;
use crate::support::nats::NatsServer;

const STORE: &str = "jetstream { store_dir: \"STORE\" }";

/// Runs an adapter that must end by itself; its exit code and its line.
async fn refused(nats: &NatsServer, more: &[&str]) -> (i32, String) {
    let (home, stack) = (Home::new(), Stack::shop().await);
    let url = nats.url();
    let args = ["adapter", "-p", &stack.port, "-s", &url];
    home.run(&[&args, more].concat()).refused().await
}

/// A server whose user `u` may publish anything but this.
fn without(denied: &str) -> NatsServer {
    NatsServer::with(&format!(
        "{STORE}
         authorization {{ users: [
            {{ user: admin, password: admin }},
            {{ user: u, password: u, permissions: {{ publish: {{ deny: [{denied}] }} }} }} ] }}"
    ))
}

const AS_U: [&str; 4] = ["--user", "u", "--password", "u"];

fn names(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.contains(word), "{word:?} is not in {line:?}");
    }
}

#[tokio::test]
async fn a_stream_of_that_name_with_other_subjects() {
    let nats = NatsServer::start();
    let context = jetstream::new(client(&nats).await);
    let orders = Config {
        name: "PROCESS_EVENTS".into(),
        subjects: vec!["orders.>".into()],
        ..Config::default()
    };
    context.create_stream(orders).await.unwrap();
    let (code, line) = refused(&nats, &[]).await;
    assert_eq!(code, 1, "{line}");
    names(&line, &["PROCESS_EVENTS", "orders.>", "--stream"]);
    let mut stream = context.get_stream("PROCESS_EVENTS").await.unwrap();
    assert_eq!(stream.info().await.unwrap().config.subjects, ["orders.>"]);
}

#[tokio::test]
async fn a_stream_without_atomic_batches() {
    let nats = NatsServer::start();
    let context = jetstream::new(client(&nats).await);
    let plain = Config {
        name: "PROCESS_EVENTS".into(),
        subjects: ["process", "source", "head"]
            .map(|root| format!("core.{root}.>"))
            .into(),
        ..Config::default()
    };
    context.create_stream(plain).await.unwrap();
    let (code, line) = refused(&nats, &[]).await;
    assert_eq!(code, 1, "{line}");
    names(&line, &["PROCESS_EVENTS", "atomic"]);
    let mut stream = context.get_stream("PROCESS_EVENTS").await.unwrap();
    assert!(!stream.info().await.unwrap().config.allow_atomic_publish);
    assert_eq!(stream.info().await.unwrap().state.messages, 0);
}

#[tokio::test]
async fn jetstream_is_off() {
    let nats = NatsServer::with("");
    let (code, line) = refused(&nats, &[]).await;
    assert_eq!(code, 1, "{line}");
    names(&line, &["JetStream", "127.0.0.1"]);
}

#[tokio::test]
async fn jetstream_is_off_for_this_account() {
    let nats = NatsServer::with(&format!(
        "{STORE}
         accounts {{ A {{ jetstream: enabled, users: [{{user: a, password: a}}] }}, B {{ users: [{{user: u, password: u}}] }} }}"
    ));
    let (code, line) = refused(&nats, &AS_U).await;
    assert_eq!(code, 1, "{line}");
    names(&line, &["JetStream"]);
}

#[tokio::test]
async fn no_permission_to_create_the_stream() {
    let nats = without("\"$JS.API.STREAM.CREATE.>\"");
    let (code, line) = refused(&nats, &AS_U).await;
    assert_eq!(code, 1, "{line}");
    names(&line, &["STREAM.CREATE.PROCESS_EVENTS", "permission"]);
}

#[tokio::test]
async fn no_permission_to_publish_to_the_head() {
    let nats = without("\"core.head.>\"");
    let (home, stack) = (Home::new(), Stack::shop().await);
    let url = nats.url();
    let args = [
        "adapter",
        "-p",
        &stack.port,
        "-s",
        &url,
        "--user",
        "u",
        "--password",
        "u",
    ];
    let mut run = home.run(&args);
    assert_eq!(run.ends().await, 1, "{:#?}", run.err.all());
    let said = run.err.all();
    names(
        said.last().unwrap(),
        &["observe: ", "core.head.", "permission"],
    );
    assert_eq!(run.err.count("observe: "), 1, "{said:#?}");
    let admin = async_nats::ConnectOptions::with_user_and_password("admin".into(), "admin".into())
        .connect(nats.url())
        .await
        .unwrap();
    let context = jetstream::new(admin);
    let mut stream = context.get_stream("PROCESS_EVENTS").await.unwrap();
    assert_eq!(
        stream.info().await.unwrap().state.messages,
        0,
        "nothing is told"
    );
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_never_shown() {
    let nats = without("\"nothing\"");
    let wrong = ["--user", "u", "--password", "hunter2"];
    let (code, line) = refused(&nats, &wrong).await;
    assert_eq!(code, 1, "{line}");
    names(&line, &["password"]);
    assert!(!line.contains("hunter2"), "{line}");
    let url = nats.url().replace("nats://", "nats://u:hunter2@");
    let mut watch = Home::new().run(&["watch", "-s", &url]);
    let (code, line) = watch.refused().await;
    assert_eq!(code, 1, "{line}");
    assert!(!line.contains("hunter2"), "{line}");
}

#[tokio::test]
async fn without_patience_a_broker_that_is_away_ends_it() {
    let (home, stack) = (Home::new(), Stack::shop().await);
    let mut nats = NatsServer::start();
    nats.stop();
    let url = nats.url();
    for args in [
        vec!["adapter", "-p", &stack.port, "-s", &url, "--no-retry"],
        vec!["watch", "-s", &url, "--no-retry"],
    ] {
        let (code, line) = home.run(&args).refused().await;
        assert_eq!(code, 4, "{line}");
        names(&line, &["127.0.0.1", "--server"]);
    }
}

#[tokio::test]
async fn stream_names_and_prefixes_that_cannot_be_are_bad_usage() {
    let nats = NatsServer::start();
    for more in [
        ["--stream", "a.b", "stream"],
        ["--stream", "a b", "stream"],
        ["--subject-prefix", "a..b", "prefix"],
        ["--subject-prefix", "a.>", "prefix"],
    ] {
        let (code, line) = refused(&nats, &more[..2]).await;
        assert_eq!(code, 2, "{line}");
        names(&line, &[more[2]]);
    }
}
