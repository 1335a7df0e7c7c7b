//! Sources come, go, are replaced, or cannot be named at all.

use tokio_util::sync::CancellationToken;

use super::support::{
    Attendance, Dial, Directory, Ledger, MS, Moved, Roster, Stage, clock, dial_builder,
    every_second, pass,
};
use crate::observation::{NoOutlet, ObservationRuntime, Schedule};

fn refreshing() -> Schedule {
    Schedule::every(MS(1000))
        .refresh_every(MS(5000))
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_observer_of_another_kind_sees_sources_come_and_go() {
    let directory = Directory::new(vec![("ada", ()), ("bob", ()), ("ada", ())]);
    let (ledger, token) = (Ledger::new(), CancellationToken::new());
    let (runtime, handle) = ObservationRuntime::builder(
        Roster,
        directory.clone(),
        ledger.clone(),
        refreshing(),
        clock(),
    )
    .build();
    let run = tokio::spawn(runtime.run(token.clone()));
    handle.ready().await.unwrap();
    assert_eq!(handle.latest().into_parts().0.as_deref(), Some(&2));
    directory.is(vec![("bob", ()), ("cyd", ())]);
    pass(MS(5000)).await;
    let joined = |name: &str| Attendance::Joined(name.to_owned());
    let left = Attendance::Left("ada".to_owned());
    assert_eq!(
        ledger.events(),
        [joined("ada"), joined("bob"), joined("cyd"), left]
    );
    token.cancel();
    run.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_replaced_is_looked_at_instead_of_the_old_one() {
    let (old, new) = (Dial::new(7), Dial::new(9));
    let directory = Directory::new(vec![("dial", old.clone())]);
    let ledger = Ledger::new();
    let builder = dial_builder(directory.clone(), ledger.clone(), refreshing());
    let stage = Stage::on(old, ledger, builder);
    pass(MS(100)).await;
    directory.is(vec![("dial", new.clone())]);
    pass(MS(5900)).await;
    let looks = stage.dial.looks();
    pass(MS(3000)).await;
    assert_eq!((stage.dial.looks(), new.looks() > 2), (looks, true));
    assert_eq!(stage.ledger.events(), [Moved(0, 7), Moved(7, 9)]);
}

#[tokio::test(start_paused = true)]
async fn without_a_source_there_is_no_look_and_freshness_says_so() {
    let dial = Dial::new(7);
    let directory = Directory::new(vec![]);
    let ledger = Ledger::new();
    let builder = dial_builder(directory.clone(), ledger.clone(), refreshing());
    let stage = Stage::on(dial.clone(), ledger, builder);
    pass(MS(10_000)).await;
    assert_eq!((stage.worth(), dial.looks()), ("no source", 0));
    directory.is(vec![("dial", dial.clone())]);
    pass(MS(1000)).await;
    assert_eq!((stage.worth(), stage.latest()), ("fresh", Some(7)));
    directory.is(vec![]);
    pass(MS(5000)).await;
    let looks = dial.looks();
    pass(MS(5000)).await;
    assert_eq!(
        (stage.worth(), stage.latest(), dial.looks()),
        ("no source", Some(7), looks)
    );
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_errs_or_panics_keeps_the_old_set_and_its_error_is_readable() {
    let dial = Dial::new(7);
    let directory = Directory::new(vec![("dial", dial.clone())]);
    let ledger = Ledger::new();
    let builder = dial_builder(directory.clone(), ledger.clone(), refreshing());
    let stage = Stage::on(dial.clone(), ledger, builder);
    pass(MS(100)).await;
    directory.with(|entries| entries.set = Err(()));
    pass(MS(6000)).await;
    let said = || stage.handle.last_error().unwrap().error.to_string();
    assert_eq!(
        (said().as_str(), stage.worth()),
        ("the directory is away", "fresh")
    );
    directory.with(|entries| entries.panics = true);
    pass(MS(6000)).await;
    assert_eq!(said(), "the provider of the sources panicked: no such page");
    assert_eq!((dial.looks(), stage.worth()), (13, "fresh"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_provider_holds_back_no_look() {
    let dial = Dial::new(7);
    let directory = Directory::new(vec![("dial", dial.clone())]);
    let ledger = Ledger::new();
    let builder = dial_builder(directory.clone(), ledger.clone(), refreshing());
    let stage = Stage::on(dial.clone(), ledger, builder);
    pass(MS(100)).await;
    directory.with(|entries| entries.takes = MS(60_000));
    pass(MS(30_000)).await;
    assert_eq!(dial.looks(), 31);
    assert_eq!(
        stage.handle.last_error().unwrap().error.to_string(),
        "the provider of the sources did not answer within 5s"
    );
}

#[tokio::test(start_paused = true)]
async fn a_provider_is_asked_at_its_own_slow_pace() {
    let directory = Directory::new(vec![("ada", ())]);
    let (runtime, _handle) =
        ObservationRuntime::builder(Roster, directory.clone(), NoOutlet, every_second(), clock())
            .build();
    let token = CancellationToken::new();
    let run = tokio::spawn(runtime.run(token.clone()));
    pass(MS(100_000)).await;
    assert_eq!(directory.with(|entries| entries.asked), 4);
    token.cancel();
    run.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_nudge_without_a_source_asks_for_the_sources() {
    let (dial, directory, ledger) = (Dial::new(7), Directory::new(vec![]), Ledger::new());
    let schedule = Schedule::every(MS(60_000)).build().unwrap();
    let builder = dial_builder(directory.clone(), ledger.clone(), schedule);
    let stage = Stage::on(dial.clone(), ledger, builder);
    pass(MS(1000)).await;
    directory.is(vec![("dial", dial)]);
    stage.handle.refresh();
    pass(MS(1)).await;
    assert_eq!(stage.latest(), Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_changed_set_is_looked_at_at_once_and_a_shuffled_one_is_no_change() {
    let (directory, ledger) = (
        Directory::new(vec![("ada", ()), ("bob", ())]),
        Ledger::new(),
    );
    let schedule = Schedule::every(MS(60_000))
        .refresh_every(MS(5000))
        .build()
        .unwrap();
    let (runtime, handle) =
        ObservationRuntime::builder(Roster, directory.clone(), ledger.clone(), schedule, clock())
            .build();
    let run = tokio::spawn(runtime.run(CancellationToken::new()));
    handle.ready().await.unwrap();
    directory.is(vec![("bob", ()), ("ada", ())]);
    pass(MS(6000)).await;
    assert_eq!(ledger.entries().len(), 1, "one look so far");
    directory.is(vec![("ada", ()), ("bob", ()), ("cyd", ())]);
    pass(MS(5000)).await;
    assert_eq!(
        ledger.events().last(),
        Some(&Attendance::Joined("cyd".to_owned()))
    );
    run.abort();
}
