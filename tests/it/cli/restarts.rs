//! Adapters and brokers that end and begin again: nothing twice, nothing missing, nothing made up.

use rustix::process::Signal;

use super::house::{House, brief, count, without_holes};
use super::run::LIMIT;
use crate::support::wait::until;

#[tokio::test]
async fn an_adapter_that_begins_again_tells_nothing_twice_and_nothing_made_up() {
    let house = House::new().await;
    let mut first = house.working(&[]).await;
    house.stack.exit("worker", 3).await;
    let before = house.tells("restarted", "worker", 1).await;
    assert_eq!(
        count(&before, "restarted", "worker"),
        1,
        "{:#?}",
        brief(&before)
    );
    assert_eq!(first.end_by(Signal::TERM).await, 143);

    let again = house.adapter(&[]);
    again.says("shop: process-compose").await;
    house.stack.control.kill("api", 9).unwrap();
    let told = house.tells("crashed", "api", 1).await;
    without_holes(&told);
    let news: Vec<_> = told[before.len()..]
        .iter()
        .map(|event| event.kind.as_str())
        .filter(|&kind| kind != "gap")
        .collect();
    assert_eq!(news, ["crashed"], "{:#?}", brief(&told));
    assert_eq!(again.err.all().len(), 1, "{:#?}", again.err.all());
}

#[tokio::test]
async fn an_adapter_killed_in_the_middle_goes_on_where_the_stream_stands() {
    let house = House::new().await;
    let watch = {
        let _first = house.working(&[]).await;
        let watch = house.watch(&["--json"]).await;
        house.stack.exit("worker", 3).await;
        watch.tells("\"crashed\"").await;
        watch
        // Dropped is killed, by SIGKILL.
    };
    house.stack.control.kill("api", 9).unwrap();
    let _again = house.working(&[]).await;
    let line = watch.tells("\"process\":\"api\"").await;
    assert!(line.contains("\"type\":\"crashed\""), "{line}");
    house.stack.exit("worker", 4).await;
    watch.tells("\"code\":4").await;
    let told = house.tells("crashed", "worker", 2).await;
    without_holes(&told);
    assert_eq!(count(&told, "crashed", "worker"), 2, "{:#?}", brief(&told));
    assert_eq!(count(&told, "crashed", "api"), 1, "{:#?}", brief(&told));
    assert_eq!(count(&told, "started", "api"), 1, "{:#?}", brief(&told));
}

#[tokio::test]
async fn two_adapters_on_one_source_are_as_good_as_one() {
    let house = House::new().await;
    let mut first = house.working(&[]).await;
    let mut second = house.working(&[]).await;
    for code in 3..6 {
        house.stack.exit("worker", code).await;
        let wanted = usize::try_from(code - 2).unwrap();
        house.tells("restarted", "worker", wanted).await;
    }
    let told = house.told(1).await;
    without_holes(&told);
    assert_eq!(count(&told, "crashed", "worker"), 3, "{:#?}", brief(&told));
    for run in [&mut first, &mut second] {
        assert!(run.is_running(), "{:?}", run.err.all());
        let said = run.err.all().len() - run.err.count("stands by");
        assert_eq!(said, 1, "{:#?}", run.err.all());
    }
    // Either of them carries on alone, if it stood by after a while.
    assert_eq!(first.end_by(Signal::TERM).await, 143);
    house.stack.control.kill("api", 9).unwrap();
    let told = house.tells("crashed", "api", 1).await;
    without_holes(&told);
    assert_eq!(count(&told, "crashed", "api"), 1, "{:#?}", brief(&told));
}

#[tokio::test]
async fn a_broker_that_begins_again_on_its_store_costs_neither_hole_nor_repeat() {
    let mut house = House::new().await;
    let adapter = house.working(&[]).await;
    let watch = house.watch(&["--json"]).await;
    house.stack.exit("worker", 3).await;
    watch.tells("\"code\":3").await;
    for (round, code) in [(1, 4), (2, 5)] {
        house.nats.kill();
        house.stack.exit("worker", code).await;
        until(LIMIT, "a line from both", async || {
            [&adapter, &watch].map(|run| run.err.count("is away")) == [round; 2]
        })
        .await;
        house.nats.again();
        watch.tells(&format!("\"code\":{code}")).await;
        for run in [&adapter, &watch] {
            assert_eq!(run.err.count("is away"), round, "{:#?}", run.err.all());
        }
    }
    let told = house.told(1).await;
    without_holes(&told);
    let seen: Vec<String> = watch.out.all();
    let first: serde_json::Value = serde_json::from_str(&seen[0]).unwrap();
    let first = first["seq"].as_u64().unwrap();
    let expected: Vec<String> = told
        .iter()
        .filter(|event| event.seq >= first && event.process.is_some())
        .map(|event| event.id.clone())
        .collect();
    let shown: Vec<String> = seen
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(shown[..], expected[..shown.len()], "no hole, no repeat");
}

#[tokio::test]
async fn what_was_seen_without_a_broker_survives_the_death_of_the_adapter_too() {
    let mut house = House::new().await;
    let first = house.working(&[]).await;
    house.nats.kill();
    house.stack.exit("worker", 3).await;
    first.says("is away").await;
    house.spooled("\"code\":3").await;
    // Dropped is killed, by SIGKILL.
    drop(first);

    let mut again = house.adapter(&[]);
    again.says("looking on, and waiting for it").await;
    again.says("events wait from an earlier run").await;
    house.stack.exit("worker", 4).await;
    house.spooled("\"code\":4").await;
    house.stack.control.kill("api", 9).unwrap();
    house.nats.again();
    again.says("that waited are told now").await;
    house.tells("crashed", "api", 1).await;
    let told = house.tells("restarted", "worker", 2).await;
    without_holes(&told);
    assert_eq!(count(&told, "crashed", "worker"), 2, "{:#?}", brief(&told));
    assert_eq!(
        count(&told, "restarted", "worker"),
        2,
        "{:#?}",
        brief(&told)
    );
    assert_eq!(count(&told, "crashed", "api"), 1, "{:#?}", brief(&told));
    let lost: Vec<_> = told.iter().filter_map(|event| event.gap.as_ref()).collect();
    assert!(lost.iter().all(|gap| gap.why == "adapter_down"), "{lost:?}");
    until(LIMIT, "an empty state folder", async || {
        house.spools().is_empty()
    })
    .await;
    assert!(again.is_running());
}

#[tokio::test]
async fn a_broker_that_comes_after_the_adapter_is_told_the_first_look_ever() {
    let mut house = House::new().await;
    house.nats.kill();
    let adapter = house.adapter(&[]);
    adapter.says("looking on, and waiting for it").await;
    adapter.says("shop: process-compose").await;
    house.nats.again();
    adapter.says("is back").await;
    let told = house.told(4).await;
    without_holes(&told);
    let kinds: Vec<_> = told.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["connected", "started", "started", "started"]);
    assert!(told.iter().all(|event| event.origin.as_str() == "initial"));
    assert_eq!(adapter.err.all().len(), 3, "{:#?}", adapter.err.all());
}

#[tokio::test]
async fn an_end_without_a_broker_says_where_what_waits_lies_or_that_it_is_given_up() {
    let mut house = House::new().await;
    for (flags, line) in [
        (&["--spool-max", "0"][..], "were not told"),
        (&[], "wait in the spool at"),
    ] {
        let mut adapter = house.working(flags).await;
        house.nats.kill();
        house.stack.exit("worker", 3).await;
        adapter.says("is away").await;
        if flags.is_empty() {
            house.spooled("\"code\":3").await;
        } else {
            // Two more looks at the least, and they see it.
            let then = house.stack.control.elapsed();
            until(LIMIT, "a later look", async || {
                house.stack.control.elapsed() > then + std::time::Duration::from_secs(1)
            })
            .await;
            assert!(house.spools().is_empty());
        }
        assert_eq!(adapter.end_by(Signal::TERM).await, 143);
        assert_eq!(adapter.err.count(line), 1, "{:#?}", adapter.err.all());
        house.nats.again();
    }
}

#[tokio::test]
async fn a_spool_lies_where_it_is_wanted() {
    let mut house = House::new().await;
    let wanted = house.home.path().join("elsewhere");
    let flags = ["--spool-dir", wanted.to_str().unwrap(), "--spool-max", "1M"];
    let adapter = house.working(&flags).await;
    house.nats.kill();
    house.stack.exit("worker", 3).await;
    house.spooled("\"code\":3").await;
    assert!(house.spools()[0].starts_with(&wanted));
    drop(adapter);
}
