//! Readers never wait, never slow the loop, and are told what they missed.

use std::sync::Arc;

use futures_util::StreamExt as _;

use super::support::{MS, Mood, Stage, clock, pass};
use crate::observation::board::{Commit, Publisher};
use crate::observation::gate::Gate;
use crate::observation::{
    Change, Delta, History, Keep, Nudge, ObservationHandle, Origin, Schedule, Seq,
};

#[tokio::test(start_paused = true)]
async fn a_viewer_gets_history_then_live_without_hole_or_repeat() {
    let stage = Stage::opened().await;
    for value in 8..11 {
        stage.dial.turn(value);
        pass(MS(1000)).await;
    }
    let mut changes = stage.handle.changes(Some(Seq::new(2)));
    let viewer = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(change) = changes.next().await {
            match change {
                Change::Delta(delta) => seen.push(delta.seq.get()),
                Change::Missed(_) => panic!("nothing was missed"),
            }
        }
        seen
    });
    for value in 11..15 {
        stage.dial.turn(value);
        pass(MS(1000)).await;
    }
    stage.end().await;
    assert_eq!(viewer.await.unwrap(), [3, 4, 5, 6, 7, 8]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_viewer_is_told_what_it_missed_and_never_slows_the_loop() {
    let keep = Keep {
        deltas: 4,
        bytes: usize::MAX,
    };
    let schedule = Schedule::every(MS(1000)).keep(keep).build().unwrap();
    let stage = Stage::set(schedule, |builder| builder);
    stage.handle.ready().await.unwrap();
    let mut slow = stage.handle.changes(None);
    assert!(matches!(slow.next().await, Some(Change::Delta(delta)) if delta.seq.get() == 1));
    for value in 8..18 {
        stage.dial.turn(value);
        pass(MS(1000)).await;
    }
    assert_eq!(stage.dial.looks(), 11, "the looks kept their pace");
    assert_eq!(stage.handle.history(None).deltas.len(), 4);
    assert!(matches!(slow.next().await, Some(Change::Missed(6))));
    for seq in 8..=11 {
        let Some(Change::Delta(delta)) = slow.next().await else {
            panic!("a delta is kept")
        };
        assert_eq!(delta.seq.get(), seq);
    }
}

#[tokio::test(start_paused = true)]
async fn the_weight_of_events_bounds_the_history() {
    let keep = Keep {
        deltas: 100,
        bytes: 4000,
    };
    let schedule = Schedule::every(MS(1000)).keep(keep).build().unwrap();
    let stage = Stage::set(schedule, |builder| builder.weigh(|_| 1000));
    for value in 8..18 {
        stage.dial.turn(value);
        pass(MS(1000)).await;
    }
    let replay = stage.handle.history(None);
    assert_eq!((replay.deltas.len(), replay.forgotten), (3, true));
}

#[tokio::test(start_paused = true)]
async fn freshness_is_computed_when_it_is_read() {
    let stage = Stage::plain();
    assert_eq!((stage.latest(), stage.worth()), (None, "unseen"));
    stage.handle.ready().await.unwrap();
    assert_eq!(stage.worth(), "fresh");
    stage.dial.mood(Mood::Hangs);
    pass(MS(5500)).await;
    assert_eq!(stage.worth(), "fresh", "a slow look is no reason yet");
    pass(MS(1000)).await;
    assert_eq!(stage.worth(), "failing");
}

#[tokio::test(start_paused = true)]
async fn no_look_starts_while_somebody_holds_and_freshness_says_so() {
    let stage = Stage::opened().await;
    pass(MS(500)).await;
    let hold = stage.handle.hold();
    let second = stage.handle.hold();
    stage.handle.refresh();
    pass(MS(5000)).await;
    assert_eq!((stage.dial.looks(), stage.worth()), (1, "held"));
    drop(hold);
    pass(MS(1000)).await;
    assert_eq!(
        (stage.dial.looks(), stage.worth()),
        (1, "held"),
        "the second one still holds"
    );
    drop(second);
    pass(MS(1)).await;
    assert_eq!((stage.dial.looks(), stage.worth()), (2, "fresh"));
}

#[tokio::test(start_paused = true)]
async fn who_holds_can_wait_for_the_look_that_was_under_way() {
    let stage = Stage::opened().await;
    stage.dial.takes(MS(600));
    pass(MS(1100)).await;
    let hold = stage.handle.hold();
    assert!(stage.dial.is_looked_at());
    hold.quiet().await;
    assert!(!stage.dial.is_looked_at());
    hold.quiet().await;
    let ended = stage.end().await;
    assert_eq!(
        ended.to_string(),
        "the run was asked to end",
        "a held run ends as well"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn viewers_on_other_threads_meet_every_number_once() {
    const LAST: u64 = 20_000;
    let keep = Keep {
        deltas: 50,
        bytes: usize::MAX,
    };
    let publisher = Publisher::<u64, ()>::new(History::new(keep, Arc::new(|()| 1)));
    let handle = ObservationHandle::new(
        publisher.subscribe(),
        Gate::new(),
        Nudge::new(),
        clock(),
        MS(1000),
    );
    let viewers: Vec<_> = (0..4)
        .map(|_| handle.changes(None))
        .map(|mut changes| {
            tokio::spawn(async move {
                let mut met = 0;
                while let Some(change) = changes.next().await {
                    match change {
                        Change::Missed(missed) => met += missed,
                        Change::Delta(delta) => {
                            met += 1;
                            assert_eq!(delta.seq.get(), met);
                        }
                    }
                }
                met
            })
        })
        .collect();
    for seq in 1..=LAST {
        let (at, events) = (chrono::DateTime::UNIX_EPOCH, Arc::new(vec![()]));
        let (epoch, origin) = ("one".into(), Origin::Change);
        let delta = Delta {
            epoch,
            seq: Seq::new(seq),
            origin,
            at,
            after: None,
            events,
        };
        let (latest, delta) = (Arc::new(seq), Some(Arc::new(delta)));
        publisher.commit(Commit {
            latest,
            seen: None,
            delta,
        });
        if seq.is_multiple_of(64) {
            tokio::task::yield_now().await;
        }
    }
    drop(publisher);
    for viewer in viewers {
        assert_eq!(viewer.await.unwrap(), LAST);
    }
}
