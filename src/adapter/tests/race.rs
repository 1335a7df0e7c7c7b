//! Two adapters on one source and one broker, everything at random: nothing lost, nothing twice.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::house::{House, Watcher, seconds};
use super::store::Fault;
use super::toy::{EPOCH, Source};
use crate::event::store::EventStore as _;

/// One move of the world.
#[derive(Debug, Clone)]
enum Move {
    Grow(u8),
    Look(usize),
    Fail(usize),
    /// A look that is dropped at its so many-th wait, and the adapter with it.
    Crash(usize, u32),
    Online(bool),
    Wait(u64),
    Faulty(Fault),
    FaultyRead(Fault),
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::Ok),
        2 => Just(Fault::Busy("503")),
        3 => Just(Fault::UnknownStored),
        3 => Just(Fault::UnknownLost),
        3 => (1u32..6).prop_map(Fault::UnknownLate),
        1 => Just(Fault::Away),
    ]
}

fn step() -> impl Strategy<Value = Move> {
    prop_oneof![
        6 => (0u8..6).prop_map(Move::Grow),
        10 => (0usize..2).prop_map(Move::Look),
        2 => (0usize..2).prop_map(Move::Fail),
        2 => ((0usize..2), (1u32..12)).prop_map(|(who, at)| Move::Crash(who, at)),
        1 => any::<bool>().prop_map(Move::Online),
        2 => (1u64..20).prop_map(Move::Wait),
        3 => fault().prop_map(Move::Faulty),
        1 => fault().prop_map(Move::FaultyRead),
    ]
}

/// Polls at most so many times; `None` where that was not enough, and then it is dropped.
pub(super) async fn at_most<F: Future>(polls: u32, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut waker = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if let Poll::Ready(output) = future.as_mut().poll(&mut waker) {
            return Some(output);
        }
        // Pauses of the adapter end as well.
        tokio::time::advance(std::time::Duration::from_millis(700)).await;
    }
    None
}

pub(super) async fn replace(house: &House, watcher: &mut Watcher, name: &str) {
    let remembered = watcher.seen.lock().unwrap().acknowledged.clone();
    if !house.store.is_connected() {
        *watcher = house.start_late(name, remembered.clone());
        watcher.seen.lock().unwrap().acknowledged = remembered;
        return;
    }
    for _ in 0..20 {
        if let Ok(mut new) = house.start(name, remembered.clone(), EPOCH).await {
            std::mem::swap(watcher, &mut new);
            watcher.seen.lock().unwrap().acknowledged = remembered;
            return;
        }
    }
}

async fn play(moves: Vec<Move>, small: bool, on_disk: bool) {
    let mut house = if on_disk {
        House::with_spool()
    } else {
        House::new()
    };
    if small {
        (house.pending_bytes, house.spool_max) = (4_000, 4_000);
    }
    let names = ["a", "b"];
    let mut source = Source::new(&[("k0", 1), ("k1", 1)]);
    let mut both = [house.watcher("a").await, house.watcher("b").await];
    for step in moves {
        match step {
            Move::Grow(key) => source.grow(&format!("k{key}")),
            Move::Look(who) => drop(both[who].look(&source).await.unwrap()),
            Move::Fail(who) => drop(both[who].fail().await.unwrap()),
            Move::Crash(who, polls) => {
                drop(at_most(polls, both[who].look(&source)).await);
                house.store.reads.lock().unwrap().clear();
                replace(&house, &mut both[who], names[who]).await;
            }
            Move::Online(online) => house.store.set_online(online),
            Move::Wait(count) => seconds(count).await,
            Move::Faulty(fault) => house.store.faults([fault]),
            Move::FaultyRead(fault) => house.store.reads.lock().unwrap().push_back(fault),
        }
        house.store.stream.lock().unwrap().check();
    }
    house.store.set_online(true);
    house.store.commits.lock().unwrap().clear();
    house.store.reads.lock().unwrap().clear();
    for _ in 0..3 {
        for watcher in &mut both {
            seconds(11).await;
            watcher.tell(&source).await;
        }
    }
    let stream = house.store.stream.lock().unwrap();
    stream.check();
    let journals: std::collections::BTreeSet<_> =
        stream.events.iter().map(|event| &event.journal).collect();
    assert_eq!(
        journals.len(),
        1,
        "nothing was lost, so nothing begins anew"
    );
    for (key, value) in &source.values {
        let last = stream
            .events
            .iter()
            .rev()
            .find(|e| e.process.as_ref() == Some(key));
        let told = last
            .and_then(|event| event.state.as_ref())
            .map(|state| state.restarts);
        assert_eq!(told, Some(*value), "{key}");
    }
}

pub(super) fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn two_adapters_that_race_fail_and_crash_lose_nothing_and_tell_nothing_twice(
        moves in proptest::collection::vec(step(), 1..80),
        small in any::<bool>(),
        on_disk in any::<bool>(),
    ) {
        paused().block_on(play(moves, small, on_disk));
    }
}

#[test]
fn an_adapter_that_dies_at_any_wait_has_told_all_or_nothing() {
    for polls in 1..40 {
        for fault in [
            Fault::Ok,
            Fault::UnknownStored,
            Fault::UnknownLate(1),
            Fault::Busy("503"),
        ] {
            paused().block_on(async {
                let house = House::new();
                let mut source = Source::new(&[("k0", 1), ("k1", 1)]);
                let mut a = house.watcher("a").await;
                a.tell(&source).await;
                house.store.faults([fault.clone()]);
                for key in ["k0", "k1", "k0"] {
                    source.grow(key);
                    if at_most(polls, a.look(&source)).await.is_none() {
                        replace(&house, &mut a, "a").await;
                    }
                }
                a.tell(&source).await;
                a.tell(&source).await;
                let stream = house.store.stream.lock().unwrap();
                stream.check();
                let told: Vec<_> = ["k0", "k1"]
                    .iter()
                    .map(|key| {
                        let mut events = stream.events.iter().rev();
                        let last = events.find(|e| e.process.as_deref() == Some(key)).unwrap();
                        last.state.as_ref().unwrap().restarts
                    })
                    .collect();
                assert_eq!(told, [3, 2], "{polls} {fault:?}");
            });
        }
    }
}

#[test]
fn a_report_that_was_cut_off_is_finished_by_the_orderly_end() {
    use crate::observation::outlet::Outlet as _;
    for polls in 1..12 {
        paused().block_on(async {
            let house = House::new();
            let mut source = Source::new(&[("k0", 1)]);
            let mut a = house.watcher("a").await;
            a.tell(&source).await;
            source.grow("k0");
            drop(at_most(polls, a.look(&source)).await);
            a.committer.close().await.unwrap();
            let stream = house.store.stream.lock().unwrap();
            stream.check();
            assert_eq!(
                stream
                    .events
                    .last()
                    .unwrap()
                    .state
                    .as_ref()
                    .unwrap()
                    .restarts,
                2
            );
        });
    }
}
