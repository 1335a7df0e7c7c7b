//! The end comes within a second and loses nothing that was taken.

use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::support::{Deed, Entry, MS, Mood, Moved, Stage, every_second, pass};
use crate::observation::{Change, EndKind};

#[tokio::test(start_paused = true)]
async fn a_report_under_way_is_finished_and_what_was_taken_is_in_the_history() {
    let stage = Stage::opened().await;
    stage.dial.turn(8);
    stage.ledger.bid([Deed::Wait(MS(1300))]);
    pass(MS(1500)).await;
    let (ledger, handle, before) = (stage.ledger.clone(), stage.handle.clone(), Instant::now());
    assert_eq!(stage.end().await.kind(), EndKind::Cancelled);
    assert!(before.elapsed() < MS(1000), "{:?}", before.elapsed());
    assert_eq!(ledger.events(), [Moved(0, 7), Moved(7, 8)]);
    assert_eq!(ledger.entries().last(), Some(&Entry::Closed));
    assert_eq!(handle.history(None).deltas.len(), 2);
    assert_eq!(handle.latest().into_parts().0.as_deref(), Some(&8));
}

#[tokio::test(start_paused = true)]
async fn a_report_that_does_not_end_is_cut_off_within_the_second_and_the_outlet_still_closed() {
    let stage = Stage::opened().await;
    stage.dial.turn(8);
    stage.ledger.bid([Deed::Wait(MS(60_000))]);
    pass(MS(1500)).await;
    let (ledger, handle, before) = (stage.ledger.clone(), stage.handle.clone(), Instant::now());
    assert_eq!(stage.end().await.kind(), EndKind::CutOff);
    assert!(
        (MS(900)..MS(1000)).contains(&before.elapsed()),
        "{:?}",
        before.elapsed()
    );
    assert_eq!(ledger.events(), [Moved(0, 7)]);
    assert_eq!(ledger.entries().last(), Some(&Entry::Closed));
    assert_eq!(handle.history(None).deltas.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_close_and_hooks_that_do_not_end_are_cut_off_within_the_second() {
    let stage = Stage::set(every_second(), |builder| {
        builder.on_end(|_| std::future::pending())
    });
    stage.handle.ready().await.unwrap();
    stage.ledger.close_takes(MS(60_000));
    let before = Instant::now();
    assert_eq!(stage.end().await.kind(), EndKind::CutOff);
    assert!(before.elapsed() < MS(1000), "{:?}", before.elapsed());
    for stage in [
        Stage::set(every_second(), |builder| {
            builder.on_start(std::future::pending)
        }),
        Stage::set(every_second(), |builder| {
            builder.on_commit(|_| std::future::pending())
        }),
    ] {
        pass(MS(100)).await;
        let before = Instant::now();
        assert_eq!(stage.end().await.kind(), EndKind::CutOff);
        assert!(before.elapsed() < MS(1000), "{:?}", before.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_look_does_not_hold_up_the_end() {
    let stage = Stage::opened().await;
    stage.dial.mood(Mood::Hangs);
    pass(MS(1500)).await;
    let before = Instant::now();
    assert_eq!(stage.end().await.kind(), EndKind::Cancelled);
    assert!(before.elapsed() < MS(1));
}

#[tokio::test(start_paused = true)]
async fn viewers_read_to_the_end_and_then_their_streams_end() {
    let stage = Stage::opened().await;
    let mut changes = stage.handle.changes(None);
    stage.dial.turn(8);
    pass(MS(1000)).await;
    let handle = stage.handle.clone();
    stage.end().await;
    assert!(matches!(changes.next().await, Some(Change::Delta(delta)) if delta.seq.get() == 1));
    assert!(matches!(changes.next().await, Some(Change::Delta(delta)) if delta.seq.get() == 2));
    assert!(changes.next().await.is_none());
    assert!(handle.has_ended());
    assert!(handle.looked().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_waits_is_woken_by_the_end_also_when_the_run_is_aborted() {
    let stage = Stage::opened().await;
    let mut changes = stage.handle.changes(stage.handle.last_seq());
    let viewer = tokio::spawn(async move { changes.next().await.is_none() });
    pass(MS(100)).await;
    stage.run.abort();
    assert!(viewer.await.unwrap());
    assert_eq!(stage.worth(), "ended");
}

#[tokio::test(start_paused = true)]
async fn readiness_is_an_error_when_the_run_ends_first() {
    let stage = Stage::plain();
    stage.dial.mood(Mood::Fails);
    let handle = stage.handle.clone();
    let waiting = tokio::spawn(async move { handle.ready().await });
    pass(MS(1500)).await;
    assert!(!waiting.is_finished());
    stage.end().await;
    assert!(waiting.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_before_it_begins_looks_at_nothing() {
    let stage = Stage::plain();
    let dial = stage.dial.clone();
    assert_eq!(stage.end().await.kind(), EndKind::Cancelled);
    assert_eq!(dial.looks(), 0);
}
