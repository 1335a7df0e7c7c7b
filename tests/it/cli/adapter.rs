//! The adapter and a watch around a real broker.

use std::time::Duration;

use rustix::process::Signal;

use super::house::{House, brief, count, without_holes};
use super::run::{Home, LIMIT};
use super::stack::Stack;
use crate::support::nats::NatsServer;
use crate::support::wait::until;

#[tokio::test]
async fn a_crash_stands_as_one_line_in_a_watch_and_once_in_the_stream() {
    let house = House::new().await;
    let adapter = house.working(&[]).await;
    let watch = house.watch(&[]).await;
    house.stack.control.exit("worker", 3).unwrap();
    let line = watch.tells("crashed    worker").await;
    assert!(line.contains("exit 3"), "{line}");
    watch.tells("restarted  worker").await;
    let told = house.tells("restarted", "worker", 1).await;
    assert_eq!(count(&told, "crashed", "worker"), 1, "{:#?}", brief(&told));
    without_holes(&told);

    let said = adapter.err.all();
    assert_eq!(
        said.len(),
        1,
        "one line at the start and silence: {said:#?}"
    );
    for part in [
        "shop: process-compose v1.122",
        &format!("localhost:{}", house.stack.port),
        "every 250 ms",
        "state stream",
        "PROCESS_EVENTS",
        &house.nats.url(),
    ] {
        assert!(said[0].contains(part), "{part} in {said:?}");
    }
    assert!(adapter.out.all().is_empty());
}

#[tokio::test]
async fn with_verbose_each_commit_is_one_line() {
    let house = House::new().await;
    let adapter = house.working(&["-v"]).await;
    adapter.says("told").await;
    house.stack.control.exit("worker", 3).unwrap();
    let told = house.tells("crashed", "worker", 1).await;
    let last = told.last().unwrap().seq.to_string();
    adapter.says(&last).await;
    assert_eq!(adapter.err.count("shop: process-compose"), 1);
}

#[tokio::test]
async fn sigterm_and_sigint_end_it_in_order_with_the_root_refreshed() {
    let house = House::new().await;
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut adapter = house.working(&[]).await;
        let before = house.looked_at().await;
        // Nothing happens, so only the end writes the root again.
        let then = house.stack.control.elapsed();
        until(Duration::from_secs(5), "a later look", async || {
            house.stack.control.elapsed() > then + Duration::from_secs(1)
        })
        .await;
        let took = tokio::time::Instant::now();
        assert_eq!(
            adapter.end_by(signal).await,
            code,
            "{:?}",
            adapter.err.all()
        );
        assert!(
            took.elapsed() < Duration::from_secs(2),
            "{:?}",
            took.elapsed()
        );
        let after = house.looked_at().await;
        assert!(after > before, "{after} is not later than {before}");
        assert_eq!(adapter.err.count("observe: "), 0, "{:?}", adapter.err.all());
    }
}

#[tokio::test]
async fn a_watch_ends_by_signals_too() {
    let house = House::new().await;
    let _adapter = house.working(&[]).await;
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut watch = house.watch(&[]).await;
        assert_eq!(watch.end_by(signal).await, code);
        let mut direct = house.home.run(&["watch", "-p", &house.stack.port]);
        direct.says("3 processes").await;
        assert_eq!(direct.end_by(signal).await, code);
    }
}

#[tokio::test]
async fn a_snapshot_from_the_head_has_one_line_per_process() {
    let house = House::new().await;
    let _adapter = house.working(&[]).await;
    let watch = house.watch(&["--snapshot"]).await;
    watch.tells("up         worker").await;
    let lines = watch.out.all();
    for (line, name) in lines.iter().zip(["api", "web", "worker"]) {
        assert!(line.contains(&format!("up         {name}")), "{lines:?}");
    }
}

#[tokio::test]
async fn a_broker_that_is_away_at_the_start_is_waited_for_with_one_line() {
    let (home, stack) = (Home::new(), Stack::shop().await);
    let mut nats = NatsServer::start();
    nats.stop();
    let url = nats.url();
    let args = [
        "adapter",
        "-p",
        &stack.port,
        "-s",
        &url,
        "--interval",
        "250ms",
    ];
    let adapter = home.run(&args);
    let watch = home.run(&["watch", "-s", &url]);
    for run in [&adapter, &watch] {
        let line = run.says("is away").await;
        assert!(line.contains(url.trim_start_matches("nats://")), "{line}");
        assert_eq!(run.err.count("is away"), 1, "{:#?}", run.err.all());
    }
    nats.again();
    adapter.says("is back").await;
    adapter.says("shop: process-compose").await;
    assert_eq!(adapter.err.all().len(), 3, "{:#?}", adapter.err.all());
    // Which of the two is back first decides what it finds, and how it says so.
    until(LIMIT, "the opening line", async || {
        watch.err.all().len() >= 2
    })
    .await;
    stack.exit("worker", 3).await;
    watch.tells("crashed    worker").await;
    assert_eq!(watch.err.count("is away"), 1, "{:#?}", watch.err.all());
}

#[tokio::test]
async fn a_watch_that_begins_before_the_stream_misses_nothing_of_it() {
    let house = House::new().await;
    let watch = house.home.run(&["watch", "-s", &house.nats.url()]);
    watch.says("waiting for the first").await;
    let _adapter = house.working(&[]).await;
    for name in ["api", "web", "worker"] {
        watch.tells(&format!("started    {name}")).await;
    }
    assert_eq!(watch.err.count("is away"), 0, "{:#?}", watch.err.all());
}

#[tokio::test]
async fn a_source_that_is_away_is_one_line_when_it_leaves_and_one_when_it_is_back() {
    let house = House::new().await;
    let adapter = house.working(&[]).await;
    let watch = house.watch(&["--type", "crashed"]).await;
    house.stack.control.stop_listening();
    // Shown whatever the filter says.
    watch.tells("disconnect").await;
    adapter.says("is away").await;
    assert_eq!(adapter.err.all().len(), 2, "{:#?}", adapter.err.all());
    house.stack.control.listen_again();
    adapter.says("is back").await;
    watch.tells("is in sight again").await;
    assert_eq!(adapter.err.all().len(), 3, "{:#?}", adapter.err.all());
    let told = house.told(5).await;
    without_holes(&told);
    assert_eq!(count(&told, "crashed", "worker"), 0, "{:#?}", brief(&told));
}

#[tokio::test]
async fn a_source_that_is_away_at_the_start_is_waited_for_with_one_line() {
    let house = House::new().await;
    house.stack.control.stop_listening();
    let adapter = house.adapter(&[]);
    let line = adapter.says("waiting for it").await;
    assert!(line.contains(&house.stack.port), "{line}");
    house.stack.control.listen_again();
    adapter.says("is back").await;
    house.told(4).await;
    assert_eq!(adapter.err.all().len(), 3, "{:#?}", adapter.err.all());
}
