//! The broker that belongs to no command.

use rustix::process::Signal;

use super::run::{Home, LIMIT, Run};
use super::stack::Stack;
use crate::support::house::send;
use crate::support::nats;
use crate::support::wait::until;

/// Ends the managed broker of a home, also where the test failed.
struct Managed(Home);

impl Managed {
    async fn broker(&self, action: &str) -> (i32, Run) {
        let mut run = self.0.run(&["broker", action]);
        (run.ends().await, run)
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        _ = self.0.command(&["broker", "stop"]).output();
    }
}

#[tokio::test]
async fn up_brings_its_own_broker_and_shows_events_until_it_is_told_to_end() {
    let (house, stack) = (Managed(Home::new()), Stack::shop().await);
    let (code, none) = house.broker("status").await;
    assert_eq!(code, 1);
    assert_eq!(none.err.all(), ["the broker does not run"]);

    let server = nats::binary().display().to_string();
    let args = [
        "up",
        "-p",
        &stack.port,
        "--nats-server",
        &server,
        "--interval",
        "250ms",
    ];
    let mut up = house.0.run(&args);
    let line = up.says("watching shop").await;
    assert!(line.contains("neither started nor stopped"), "{line}");
    assert!(line.contains("a broker of our own"), "{line}");
    up.tells("started    worker").await;
    stack.control.exit("worker", 3).unwrap();
    up.tells("crashed    worker").await;

    let (code, status) = house.broker("status").await;
    assert_eq!(code, 0, "{:?}", status.err.all());
    let shown = status.out.all();
    let word = |name: &str| shown.iter().any(|line| line.starts_with(name));
    assert!(
        word("address  nats://127.0.0.1:") && word("pid ") && word("store "),
        "{shown:?}"
    );
    // The doctor finds it as well, and takes no share in it.
    let mut doctor = house.0.run(&["doctor", "-p", &stack.port]);
    assert_eq!(doctor.ends().await, 0, "{:?}", doctor.out.all());
    doctor.tells("(the managed broker)").await;
    let (_, again) = house.broker("status").await;
    assert_eq!(again.out.all(), shown);
    // Who names no broker finds the one that runs.
    let watch = house.0.run(&["watch", "--snapshot"]);
    watch.tells("worker").await;
    drop(watch);

    assert_eq!(up.end_by(Signal::INT).await, 130, "{:?}", up.err.all());
    assert_eq!(up.err.count("observe: "), 0, "{:?}", up.err.all());
    let (code, stopped) = house.broker("stop").await;
    assert_eq!(code, 0, "{:?}", stopped.err.all());
    assert!(
        stopped.err.all()[0].starts_with("the broker is ended"),
        "{:?}",
        stopped.err.all()
    );
    let (code, _) = house.broker("status").await;
    assert_eq!(code, 1);
    let (code, twice) = house.broker("stop").await;
    assert_eq!(
        (code, twice.err.all()),
        (0, vec!["the broker does not run".to_owned()])
    );
}

#[tokio::test]
async fn a_nats_server_that_is_none_is_refused_in_one_line() {
    let (home, stack) = (Home::new(), Stack::shop().await);
    let mut run = home.run(&[
        "up",
        "-p",
        &stack.port,
        "--nats-server",
        "/nowhere/nats-server",
    ]);
    let (code, line) = run.refused().await;
    assert_eq!(code, 4, "{line}");
    assert!(line.contains("/nowhere/nats-server"), "{line}");
}

#[tokio::test]
async fn a_broker_of_our_own_that_dies_is_started_again_and_nothing_is_lost() {
    let (house, stack) = (Managed(Home::new()), Stack::shop().await);
    let server = nats::binary().display().to_string();
    let args = [
        "-p",
        &stack.port,
        "--nats-server",
        &server,
        "--interval",
        "250ms",
    ];
    let mut up = house.0.run(&[&["up"], &args[..]].concat());
    up.tells("started    worker").await;
    let card = house.0.path().join("observe/broker/server.json");
    for (round, code) in [(1, 3), (2, 4)] {
        let text = std::fs::read(&card).unwrap();
        let card: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let pid = |name: &str| u32::try_from(card[name].as_u64().unwrap()).unwrap();
        if round == 2 {
            // Nobody is left who could have started it.
            send(pid("warden"), Signal::KILL);
        }
        send(pid("pid"), Signal::KILL);
        stack.exit("worker", code).await;
        up.tells(&format!("exit {code}")).await;
        until(LIMIT, "a line about it", async || {
            up.err.count("was started again") == round
        })
        .await;
    }
    // What a person ends stays ended.
    let (code, stopped) = house.broker("stop").await;
    assert_eq!(code, 0, "{:?}", stopped.err.all());
    assert_eq!(up.ends().await, 4, "{:?}", up.err.all());
    up.says("our own broker was ended").await;
}
