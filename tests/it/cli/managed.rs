//! The broker that belongs to no command.

use rustix::process::Signal;

use super::run::{Home, Run};
use super::stack::Stack;
use crate::support::nats;

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
