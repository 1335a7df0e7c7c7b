//! What a running adapter does with each answer of the broker.

use std::sync::atomic::Ordering;

use crate::adapter::error::AdapterErrorKind;
use crate::adapter::settings::{Notice, RebaseCause};

use super::house::{House, Told, seconds};
use super::store::Fault;
use super::toy::Source;

fn source() -> Source {
    Source::new(&[("api", 1), ("web", 1)])
}

#[tokio::test(start_paused = true)]
async fn after_a_mere_refresh_by_somebody_else_the_same_delta_goes_again() {
    let house = House::new();
    let mut a = house.watcher("a").await;
    let mut source = source();
    a.tell(&source).await;
    house.store.refresh(|_| ());
    source.grow("api");
    assert_eq!(a.look(&source).await.unwrap(), Told::Taken);
    assert_eq!(house.store.words()[3], "4 restarted api change");
    house.store.stream.lock().unwrap().check();
}

#[tokio::test(start_paused = true)]
async fn when_somebody_else_told_more_the_delta_is_dropped_and_their_state_taken() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let mut b = house.watcher("b").await;
    b.tell(&source).await;
    source.grow("api");
    a.tell(&source).await;
    assert_eq!(b.look(&source).await.unwrap(), Told::Rebased);
    assert_eq!(b.state.as_ref().unwrap().rows["api"].value, 2);
    assert_eq!(b.look(&source).await.unwrap(), Told::Taken);
    assert_eq!(house.store.words().len(), 4);
    assert!(
        b.notices()
            .contains(&Notice::Rebased(RebaseCause::Overtaken))
    );
}

#[tokio::test(start_paused = true)]
async fn an_unknown_commit_that_was_stored_is_not_told_again() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    house.store.faults([Fault::UnknownStored]);
    source.grow("api");
    assert_eq!(a.look(&source).await.unwrap(), Told::Taken);
    source.grow("web");
    assert_eq!(a.look(&source).await.unwrap(), Told::Taken);
    let words = house.store.words();
    assert_eq!(
        words[3..],
        ["4 restarted api change", "5 restarted web change"]
    );
    house.store.stream.lock().unwrap().check();
}

#[tokio::test(start_paused = true)]
async fn an_unknown_commit_that_was_not_stored_is_told_later() {
    for fault in [
        Fault::UnknownLost,
        Fault::UnknownLate(2),
        Fault::UnknownLate(3),
        Fault::Away,
    ] {
        let house = House::new();
        let (mut a, mut source) = (house.watcher("a").await, source());
        a.tell(&source).await;
        house.store.faults([fault]);
        source.grow("api");
        assert_eq!(a.look(&source).await.unwrap(), Told::Taken);
        assert_eq!(house.store.words().len(), 3);
        a.tell(&source).await;
        source.grow("web");
        a.tell(&source).await;
        let words = house.store.words();
        assert_eq!(
            words[3..],
            ["4 restarted api change", "5 restarted web change"]
        );
        house.store.stream.lock().unwrap().check();
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_broker_is_tried_again_within_the_same_report() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    house
        .store
        .faults([Fault::Busy("503"), Fault::Busy("10210"), Fault::Busy("429")]);
    source.grow("api");
    a.tell(&source).await;
    assert_eq!(
        house.store.read_calls.load(Ordering::SeqCst),
        1,
        "only at the start"
    );
    assert_eq!(house.store.words().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_broker_busy_for_longer_than_the_interval_does_not_hold_up_the_looks() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    house.store.faults((0..12).map(|_| Fault::Busy("503")));
    source.grow("api");
    let began = tokio::time::Instant::now();
    assert_eq!(a.look(&source).await.unwrap(), Told::Taken);
    assert!(began.elapsed().as_secs() <= 2);
    assert_eq!(house.store.words().len(), 3);
    house.store.faults((0..99).map(|_| Fault::Busy("503")));
    for _ in 0..4 {
        a.tell(&source).await;
    }
    let before = house.store.commit_calls.load(Ordering::SeqCst);
    for _ in 0..50 {
        seconds(2).await;
        a.tell(&source).await;
    }
    let tries = house.store.commit_calls.load(Ordering::SeqCst) - before;
    assert!(tries <= 20, "{tries} in a hundred seconds");
    house.store.commits.lock().unwrap().clear();
    seconds(10).await;
    a.tell(&source).await;
    assert_eq!(house.store.words().len(), 4);
    let notices = a.notices();
    let lines: Vec<_> = notices
        .iter()
        .filter(|n| matches!(n, Notice::BrokerAway { .. } | Notice::BrokerBack { .. }))
        .collect();
    let away = Notice::BrokerAway { why: "503".into() };
    assert_eq!(
        lines,
        [&away, &Notice::BrokerBack { replayed: 1 }],
        "once each"
    );
}

#[tokio::test(start_paused = true)]
async fn what_waiting_does_not_help_ends_the_run_with_its_line() {
    for (fault, kind, line) in [
        (
            Fault::Refused,
            AdapterErrorKind::Refused,
            "no right to publish",
        ),
        (Fault::Invalid, AdapterErrorKind::Invalid, "too large"),
    ] {
        let house = House::new();
        let (mut a, mut source) = (house.watcher("a").await, source());
        a.tell(&source).await;
        house.store.faults([fault]);
        source.grow("api");
        let error = a.look(&source).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, line));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_ours_to_make_again_ends_the_run() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    house.store.stream.lock().unwrap().gone = true;
    house.store.foreign_stream.store(true, Ordering::SeqCst);
    source.grow("api");
    let error = a.look(&source).await.unwrap_err();
    assert_eq!(error.kind(), AdapterErrorKind::Refused);
}

#[tokio::test(start_paused = true)]
async fn the_acknowledged_number_is_handed_out_to_be_remembered() {
    let house = House::new();
    let (mut a, source) = (house.watcher("a").await, source());
    house.store.set_online(false);
    a.tell(&source).await;
    assert_eq!(a.seen.lock().unwrap().acknowledged, None);
    house.store.set_online(true);
    a.tell(&source).await;
    let known = a.seen.lock().unwrap().acknowledged.clone().unwrap();
    assert_eq!((known.seq, known.journal), (3, house.store.root().journal));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_arrives_late_takes_no_event_with_it() {
    for late in 1..6 {
        let house = House::new();
        let (mut a, mut source) = (house.watcher("a").await, source());
        a.tell(&source).await;
        house.store.faults([Fault::UnknownLate(late)]);
        seconds(10).await;
        a.tell(&source).await;
        source.grow("api");
        a.tell(&source).await;
        a.tell(&source).await;
        assert_eq!(
            house.store.words()[3..],
            ["4 restarted api change"],
            "{late}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_delta_that_nobody_was_shown_is_no_gap_when_it_is_dropped() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    house
        .store
        .faults([Fault::UnknownLost, Fault::Ok, Fault::Overtaken]);
    source.grow("api");
    a.tell(&source).await;
    source.grow("web");
    assert_eq!(a.look(&source).await.unwrap(), Told::Rebased);
    a.tell(&source).await;
    let words = house.store.words();
    assert_eq!(
        words[3..],
        ["4 restarted api change", "6 restarted web change"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_busy_broker_is_waited_out_however_often_it_says_so() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let incomplete = || Fault::Busy("batch incomplete (10176)");
    house.store.faults((0..100).map(|_| incomplete()));
    source.grow("api");
    while house.store.commits() < 2 {
        seconds(2).await;
        a.tell(&source).await;
    }
    assert_eq!(house.store.words().len(), 4);
}
