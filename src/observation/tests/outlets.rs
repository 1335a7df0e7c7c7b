//! The outlet comes first, and everybody waits for it.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};

use tokio_util::sync::CancellationToken;

use super::support::{
    Deed, Dial, DialLedger, Entry, MS, Mood, Moved, Stage, change, clock, every_second, first, id,
    pass,
};
use crate::observation::{
    EndKind, FixedSources, Freshness, ObservationRuntime, ObservedSource, Observer, Origin, Step,
};

#[tokio::test(start_paused = true)]
async fn nobody_sees_what_the_outlet_has_not_taken() {
    let stage = Stage::opened().await;
    stage.dial.turn(8);
    stage.ledger.bid([Deed::Wait(MS(5000))]);
    pass(MS(4000)).await;
    assert_eq!(stage.dial.looks(), 2, "it was seen");
    assert_eq!(stage.latest(), Some(7));
    assert_eq!(stage.handle.history(None).deltas.len(), 1);
    pass(MS(3000)).await;
    assert_eq!(stage.latest(), Some(8));
    assert_eq!(stage.handle.history(None).deltas.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_slow_outlet_slows_the_looks_and_no_change_is_lost() {
    let stage = Stage::opened().await;
    stage.ledger.always_takes(MS(3500));
    for value in 8..40 {
        stage.dial.turn(value);
        pass(MS(1000)).await;
    }
    assert!(
        (8..=11).contains(&stage.dial.looks()),
        "{} looks in 32 s",
        stage.dial.looks()
    );
    pass(MS(9000)).await;
    let events = stage.ledger.events();
    assert!(
        events.windows(2).all(|pair| pair[0].1 == pair[1].0),
        "{events:?}"
    );
    assert_eq!(events.last().unwrap().1, 39);
}

#[tokio::test(start_paused = true)]
async fn while_the_outlet_holds_the_looks_back_the_value_grows_stale() {
    let stage = Stage::opened().await;
    stage.ledger.bid([Deed::Wait(MS(60_000))]);
    pass(MS(7000)).await;
    assert_eq!(stage.worth(), "fresh");
    pass(MS(500)).await;
    assert_eq!(stage.worth(), "stale");
}

#[tokio::test(start_paused = true)]
async fn a_rebase_drops_the_step_and_looks_again_at_once_from_the_new_state() {
    let stage = Stage::opened().await;
    stage.dial.turn(9);
    stage.ledger.bid([Deed::Rebase((8, None))]);
    pass(MS(1000)).await;
    assert_eq!(
        stage.latest(),
        Some(7),
        "nothing of the dropped step is seen"
    );
    pass(MS(250)).await;
    assert_eq!(stage.dial.looks(), 3);
    assert_eq!(
        stage.ledger.news(),
        [first(&[Moved(0, 7)]), change(2, &[Moved(8, 9)])]
    );
    assert_eq!(stage.handle.history(None).deltas.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_rebase_of_a_look_without_changes_counts_as_well() {
    let stage = Stage::opened().await;
    stage.ledger.bid([Deed::Rebase((8, None))]);
    pass(MS(1300)).await;
    assert_eq!(
        stage.ledger.news(),
        [first(&[Moved(0, 7)]), change(2, &[Moved(8, 7)])]
    );
}

#[tokio::test(start_paused = true)]
async fn rebases_without_end_do_not_make_the_loop_spin() {
    let stage = Stage::opened().await;
    stage
        .ledger
        .bid((0..10_000).map(|_| Deed::Rebase((8, None))));
    pass(MS(60_000)).await;
    let starts = stage.dial.starts();
    assert!(starts.len() < 61, "{} looks in a minute", starts.len());
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= MS(250)));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_outlet_ends_the_run_and_nothing_of_the_step_is_seen() {
    let stage = Stage::opened().await;
    stage.dial.turn(8);
    stage.ledger.bid([Deed::Refuse]);
    let handle = stage.handle.clone();
    assert_eq!(stage.run.await.unwrap().kind(), EndKind::Refused);
    assert_eq!(
        stage.ledger.entries(),
        [first(&[Moved(0, 7)])],
        "it is not closed either"
    );
    let (value, freshness) = handle.latest().into_parts();
    assert_eq!((value.as_deref(), freshness.as_str()), (Some(&7), "ended"));
}

#[tokio::test(start_paused = true)]
async fn the_hooks_are_awaited_in_their_order_and_see_what_is_visible() {
    let words: Arc<Mutex<Vec<String>>> = Arc::default();
    let say = |words: &Arc<Mutex<Vec<String>>>| {
        let words = Arc::clone(words);
        move |word: String| {
            let words = Arc::clone(&words);
            async move {
                tokio::time::sleep(MS(50)).await;
                words.lock().unwrap().push(word);
            }
        }
    };
    let (start, commit, end) = (say(&words), say(&words), say(&words));
    let stage = Stage::set(every_second(), |builder| {
        builder
            .on_start(move || start("start".to_owned()))
            .on_commit(move |delta| commit(format!("commit {}", delta.seq)))
            .on_end(move |kind| end(format!("{kind:?}")))
    });
    pass(MS(1500)).await;
    stage.dial.turn(8);
    pass(MS(1000)).await;
    let ledger = stage.ledger.clone();
    stage.end().await;
    assert_eq!(
        *words.lock().unwrap(),
        ["start", "commit 1", "commit 2", "Cancelled"]
    );
    assert_eq!(ledger.entries().last(), Some(&Entry::Closed));
}

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::milliseconds(ms)
}

#[tokio::test(start_paused = true)]
async fn an_outlet_that_holds_is_asked_once_an_interval_and_nobody_looks() {
    let stage = Stage::opened().await;
    stage.dial.turn(8);
    stage.ledger.bid((0..4).map(|_| Deed::Hold));
    pass(MS(1100)).await;
    for _ in 0..26 {
        pass(MS(100)).await;
        stage.handle.refresh();
    }
    assert_eq!(
        stage.dial.looks(),
        2,
        "the second one was answered with a hold"
    );
    assert_eq!(stage.latest(), Some(7), "and its step is dropped");
    let held = |ms| Entry::Held(at(ms), at(1000));
    assert_eq!(
        stage.ledger.news(),
        [first(&[Moved(0, 7)]), held(2000), held(3000)]
    );
    let (_, freshness) = stage.handle.latest().into_parts();
    assert!(
        matches!(freshness, Freshness::Held(since) if since == at(1000)),
        "{freshness:?}"
    );
    // The fourth of them is the last; `Taken` is answered at five seconds.
    pass(MS(1600)).await;
    assert_eq!(
        stage.ledger.news()[3..],
        [held(4000), held(5000), change(2, &[Moved(7, 8)])]
    );
    assert_eq!(stage.worth(), "fresh");
    assert_eq!(stage.dial.starts()[2] - stage.dial.starts()[1], MS(4000));
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_ends_with_a_rebase_goes_on_from_the_new_state() {
    let stage = Stage::opened().await;
    stage.dial.turn(9);
    stage
        .ledger
        .bid([Deed::Hold, Deed::Hold, Deed::Rebase((8, None))]);
    pass(MS(3500)).await;
    assert_eq!(
        stage.ledger.news()[1..],
        [Entry::Held(at(2000), at(1000)), change(2, &[Moved(8, 9)])]
    );
    assert_eq!(stage.latest(), Some(9));
}

#[tokio::test(start_paused = true)]
async fn an_orderly_end_during_a_hold_is_immediate() {
    let stage = Stage::opened().await;
    stage.ledger.bid((0..9).map(|_| Deed::Hold));
    pass(MS(1200)).await;
    assert_eq!(stage.worth(), "held");
    let (ledger, began) = (stage.ledger.clone(), tokio::time::Instant::now());
    assert_eq!(stage.end().await.kind(), EndKind::Cancelled);
    assert_eq!(began.elapsed(), MS(0));
    assert_eq!(ledger.entries().last(), Some(&Entry::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_row_of_failures_ends_with_a_hold() {
    let stage = Stage::opened().await;
    stage.dial.mood(Mood::Fails);
    stage.ledger.bid([Deed::Wait(MS(0)), Deed::Hold]);
    pass(MS(2500)).await;
    while stage.worth() != "held" {
        pass(MS(100)).await;
    }
    stage.dial.mood(Mood::Shows);
    pass(MS(3000)).await;
    let away = |count| Entry::Failing(count, "the dial cannot be read".to_owned());
    let news = stage.ledger.news();
    assert_eq!(news[1], away(1));
    assert!(matches!(news[2..], [Entry::Held(..)]), "{news:?}");
    assert_eq!(stage.worth(), "fresh");
}

#[tokio::test(start_paused = true)]
async fn a_salvaged_step_is_not_told_when_the_looks_are_held() {
    let stage = Stage::opened().await;
    stage.dial.mood(Mood::Fails);
    stage.dial.salvage(8);
    stage
        .ledger
        .bid([Deed::Wait(MS(0)), Deed::Hold, Deed::Hold]);
    while stage.worth() != "held" {
        pass(MS(100)).await;
    }
    assert_eq!(stage.ledger.events(), [Moved(0, 7)]);
    assert_eq!(stage.latest(), Some(7));
}

/// An observer that counts how often it is told to rest.
struct Sleeper(Arc<AtomicUsize>);

impl Observer for Sleeper {
    type Source = ();
    type State = (u64, Option<Dial>);
    type Snapshot = ();
    type Event = Moved;
    type Error = Infallible;

    async fn init(&self, _: &[ObservedSource<()>]) -> Result<Step<Self::State, Moved>, Infallible> {
        Ok(Step {
            state: (0, None),
            events: Vec::new(),
            origin: Origin::Initial,
            epoch: "one".into(),
        })
    }

    async fn poll(
        &self,
        sources: &[ObservedSource<()>],
        _: &Self::State,
    ) -> Result<Step<Self::State, Moved>, Infallible> {
        self.init(sources).await
    }

    fn snapshot(&self, _: &Self::State) {}

    fn rest(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_told_once_that_the_looks_rest() {
    let (rests, ledger) = (Arc::new(AtomicUsize::new(0)), DialLedger::new());
    ledger.bid([Deed::Hold, Deed::Hold, Deed::Hold]);
    let sources = FixedSources::one(id("bed"), ());
    let observer = Sleeper(Arc::clone(&rests));
    let (runtime, _handle) =
        ObservationRuntime::builder(observer, sources, ledger, every_second(), clock()).build();
    let token = CancellationToken::new();
    let run = tokio::spawn(runtime.run(token.clone()));
    pass(MS(5500)).await;
    assert_eq!(rests.load(Ordering::SeqCst), 1);
    token.cancel();
    run.await.unwrap();
}
