//! One look at a time, in time, and none of them can lose anything.

use tokio::time::Instant;

use super::support::{Entry, MS, Mood, Moved, Stage, change, every_second, first, pass};
use crate::observation::{Backoff, EndKind, Epoch, Freshness, LookError, Origin, Schedule};

#[tokio::test(start_paused = true)]
async fn no_two_looks_are_under_way_at_once_however_one_nudges() {
    let stage = Stage::plain();
    stage.dial.takes(MS(2500));
    for _ in 0..100 {
        pass(MS(130)).await;
        stage.handle.refresh();
    }
    assert_eq!(stage.dial.most(), 1);
    assert_eq!(stage.dial.looks(), 6, "one after the other in 13 s");
}

#[tokio::test(start_paused = true)]
async fn ticks_that_were_missed_are_skipped_and_not_made_up_for() {
    let (stage, start) = (Stage::plain(), Instant::now());
    stage.dial.takes(MS(2500));
    pass(MS(7000)).await;
    stage.dial.takes(MS(0));
    pass(MS(3500)).await;
    let starts: Vec<_> = stage
        .dial
        .starts()
        .iter()
        .map(|at| at.duration_since(start))
        .collect();
    assert_eq!(starts, [0, 3000, 6000, 9000, 10_000].map(MS));
}

#[tokio::test(start_paused = true)]
async fn each_change_is_told_once_with_numbers_without_holes() {
    let stage = Stage::opened().await;
    for value in [7, 8, 8, 9] {
        stage.dial.turn(value);
        pass(MS(1000)).await;
    }
    let told = [
        first(&[Moved(0, 7)]),
        change(2, &[Moved(7, 8)]),
        change(3, &[Moved(8, 9)]),
    ];
    assert_eq!(stage.ledger.news(), told);
    assert_eq!(stage.latest(), Some(9));
    assert_eq!(stage.worth(), "fresh");
}

#[tokio::test(start_paused = true)]
async fn the_times_of_a_delta_are_the_ends_of_its_look_and_of_the_one_before() {
    let stage = Stage::opened().await;
    pass(MS(1500)).await;
    stage.dial.turn(8);
    stage.dial.takes(MS(300));
    pass(MS(1000)).await;
    let at = |ms| chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::milliseconds(ms);
    assert_eq!(
        stage.ledger.times(),
        [(at(0), None), (at(2300), Some(at(1000)))]
    );
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_moves_nothing_and_loses_no_change() {
    loses_nothing(Mood::Fails, "the dial cannot be read").await;
}

#[tokio::test(start_paused = true)]
async fn a_look_that_hangs_is_dropped_at_its_limit_and_loses_no_change() {
    loses_nothing(Mood::Hangs, "the look did not end within 5s").await;
}

#[tokio::test(start_paused = true)]
async fn a_look_that_panics_moves_nothing_and_loses_no_change() {
    loses_nothing(Mood::Panics, "the look panicked: the glass broke").await;
}

async fn loses_nothing(mood: Mood, words: &str) {
    let stage = Stage::opened().await;
    stage.dial.mood(mood);
    stage.dial.turn(8);
    stage.handle.refresh();
    pass(MS(5300)).await;
    assert_eq!(stage.latest(), Some(7), "a failed look shows nothing");
    let (_, freshness) = stage.handle.latest().into_parts();
    let Freshness::Failing {
        count: 1.., error, ..
    } = freshness
    else {
        panic!("{freshness:?}")
    };
    assert_eq!(error.to_string(), words);
    assert_eq!(stage.handle.last_error().unwrap().error.to_string(), words);
    assert!(!stage.dial.is_looked_at() || mood == Mood::Hangs);

    stage.dial.mood(Mood::Shows);
    pass(MS(60_000)).await;
    assert_eq!(stage.ledger.events(), [Moved(0, 7), Moved(7, 8)]);
    assert_eq!(stage.worth(), "fresh");
    assert!(
        stage.handle.last_error().is_some(),
        "the last error stays readable"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hanging_look_counts_as_timed_out() {
    let stage = Stage::opened().await;
    stage.dial.mood(Mood::Hangs);
    pass(MS(6500)).await;
    let error = stage.handle.last_error().unwrap().error;
    assert!(matches!(error.downcast_ref(), Some(LookError::TimedOut(_))));
}

#[tokio::test(start_paused = true)]
async fn failures_are_counted_and_the_return_is_told_before_the_change() {
    let calm = Backoff::new(MS(1), MS(1));
    let schedule = Schedule::every(MS(1000)).backoff(calm).build().unwrap();
    let stage = Stage::set(schedule, |builder| builder);
    pass(MS(500)).await;
    stage.dial.mood(Mood::Fails);
    pass(MS(2000)).await;
    stage.dial.mood(Mood::Shows);
    stage.dial.turn(9);
    pass(MS(3000)).await;
    let failing = |count| Entry::Failing(count, "the dial cannot be read".to_owned());
    let told = [
        first(&[Moved(0, 7)]),
        failing(1),
        failing(2),
        Entry::SeenAgain,
        change(2, &[Moved(7, 9)]),
    ];
    assert_eq!(stage.ledger.news(), told);
}

#[tokio::test(start_paused = true)]
async fn while_looks_fail_they_come_no_closer_than_the_interval_nor_farther_than_the_cap() {
    let stage = Stage::opened().await;
    stage.dial.mood(Mood::Fails);
    pass(MS(600_000)).await;
    let starts = stage.dial.starts();
    let gaps: Vec<_> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        gaps.iter()
            .all(|gap| *gap >= MS(1000) && *gap <= MS(31_000)),
        "{gaps:?}"
    );
    assert!(
        starts.len() < 200,
        "{} looks in ten minutes of failures",
        starts.len()
    );
}

#[tokio::test(start_paused = true)]
async fn a_nudge_wakes_a_failing_look_early() {
    let stage = Stage::set(Schedule::every(MS(10_000)).build().unwrap(), |builder| {
        builder
    });
    stage.handle.ready().await.unwrap();
    stage.dial.mood(Mood::Fails);
    pass(MS(10_000)).await;
    let before = stage.dial.looks();
    stage.handle.refresh();
    pass(MS(300)).await;
    assert_eq!(stage.dial.looks(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn nudges_bring_no_two_looks_closer_than_the_floor() {
    let stage = Stage::opened().await;
    let nudge = stage.handle.nudge();
    for _ in 0..2000 {
        nudge.nudge();
        pass(MS(7)).await;
    }
    let starts = stage.dial.starts();
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= MS(250)));
    assert!(
        starts.len() > 50,
        "nudged looks come early: {}",
        starts.len()
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_look_means_one_that_begins_afterwards() {
    let stage = Stage::opened().await;
    stage.dial.takes(MS(600));
    pass(MS(1100)).await;
    assert!(stage.dial.is_looked_at());
    stage.handle.looked().await.unwrap();
    assert_eq!(stage.dial.looks(), 3, "the one under way did not count");
}

#[tokio::test(start_paused = true)]
async fn a_new_epoch_is_a_delta_even_without_events() {
    let stage = Stage::opened().await;
    stage.dial.epoch("two");
    pass(MS(3000)).await;
    assert_eq!(stage.ledger.news(), [first(&[Moved(0, 7)]), change(2, &[])]);
    assert_eq!(
        stage.handle.history(None).deltas[1].epoch,
        Epoch::new("two")
    );
}

#[tokio::test(start_paused = true)]
async fn a_first_look_is_a_delta_even_without_events() {
    let stage = Stage::plain();
    stage.dial.turn(0);
    stage.handle.ready().await.unwrap();
    assert_eq!(stage.ledger.news(), [first(&[])]);
}

#[tokio::test(start_paused = true)]
async fn a_resumed_run_compares_with_what_it_remembers_instead_of_beginning_anew() {
    let stage = Stage::set(every_second(), |builder| builder.resume((5, None)));
    stage.handle.ready().await.unwrap();
    assert_eq!(stage.ledger.news(), [change(1, &[Moved(5, 7)])]);
    let quiet = Stage::set(every_second(), |builder| {
        builder.resume_in((7, None), "one".into())
    });
    pass(MS(3000)).await;
    assert_eq!(quiet.ledger.news(), []);
    assert_eq!(quiet.latest(), Some(7));
}

#[tokio::test(start_paused = true)]
async fn what_outlives_the_source_is_told_while_looks_fail_and_is_not_told_again() {
    let stage = Stage::opened().await;
    stage.dial.mood(Mood::Fails);
    stage.dial.salvage(8);
    pass(MS(8000)).await;
    assert_eq!(stage.ledger.events(), [Moved(0, 7), Moved(7, 8)]);
    assert_eq!((stage.latest(), stage.worth()), (Some(8), "failing"));
    assert_eq!(stage.handle.latest().seen_at().unwrap().timestamp(), 0);
    stage.dial.turn(8);
    stage.dial.mood(Mood::Shows);
    pass(MS(60_000)).await;
    assert_eq!(stage.ledger.events().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_salvaged_never_counts_as_a_look_even_when_nothing_changed() {
    let stage = Stage::opened().await;
    stage.dial.mood(Mood::Fails);
    stage.dial.salvage(7);
    pass(MS(8000)).await;
    assert!(
        stage.ledger.news().contains(&change(2, &[])),
        "{:?}",
        stage.ledger.news()
    );
    let unchanged = stage
        .ledger
        .entries()
        .into_iter()
        .filter(|entry| *entry == Entry::Unchanged);
    assert_eq!(unchanged.count(), 0, "nobody saw the source");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_begins_anew_is_a_delta_even_without_events() {
    let stage = Stage::opened().await;
    stage.dial.origin(Origin::Initial);
    pass(MS(1000)).await;
    let again = Entry::Delta {
        seq: 2,
        origin: Origin::Initial,
        events: vec![],
    };
    assert_eq!(stage.ledger.news(), [first(&[Moved(0, 7)]), again]);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_waiting_cannot_cure_ends_the_run_in_order() {
    let stage = Stage::opened().await;
    stage.dial.mood(Mood::Forbids);
    let handle = stage.handle.clone();
    let ended = stage.run.await.unwrap();
    assert_eq!(ended.kind(), EndKind::Fatal);
    assert_eq!(stage.ledger.entries().last(), Some(&Entry::Closed));
    assert_eq!(handle.latest().freshness().as_str(), "ended");
    assert!(handle.ready().await.is_ok(), "it was ready once");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_is_dropped_by_the_end_moves_nothing() {
    let stage = Stage::opened().await;
    stage.dial.turn(8);
    stage.dial.takes(MS(400));
    pass(MS(1100)).await;
    assert!(stage.dial.is_looked_at());
    let (dial, ledger, handle) = (
        stage.dial.clone(),
        stage.ledger.clone(),
        stage.handle.clone(),
    );
    let before = Instant::now();
    assert_eq!(stage.end().await.kind(), EndKind::Cancelled);
    assert_eq!(before.elapsed(), MS(0));
    assert!(!dial.is_looked_at());
    assert_eq!(ledger.events(), [Moved(0, 7)]);
    assert_eq!(handle.latest().into_parts().0.as_deref(), Some(&7));
}
