//! Two adapters on one source and one broker, everything at random: nothing lost, nothing twice.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use crate::event::store::EventStore as _;

use super::house::{House, Told, Watcher, seconds};
use super::store::Fault;
use super::toy::{EPOCH, Source};

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
            Move::Look(who) => drop(both[who].turn(&source).await.unwrap()),
            Move::Fail(who) if both[who].held.is_some() => {}
            Move::Fail(who) => drop(both[who].fail().await.unwrap()),
            Move::Crash(who, polls) => {
                drop(at_most(polls, both[who].turn(&source)).await);
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
    for _ in 0..30 {
        seconds(2).await;
        for watcher in &mut both {
            while watcher.turn(&source).await.unwrap() == Told::Rebased {}
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

/// Adapters with phases of their own, each under a runtime that looks, asks while it is held, or is dead.
struct World {
    house: House,
    source: Source,
    names: Vec<&'static str>,
    alive: Vec<Option<Watcher>>,
    /// When each looks or asks next, in quarters of a second.
    due: Vec<u64>,
    now: u64,
    /// For how long all that live have stood by, with a broker that could be asked and a root that did not move.
    idle: u64,
    root: u64,
}

/// Quarters of a second between two looks.
const INTERVAL: u64 = 8;
/// After so many quarters of a second a root is stale.
const STALE: u64 = 14 * 4;

impl World {
    async fn new(phases: &[u64]) -> Self {
        let mut world = Self {
            house: House::new(),
            source: Source::new(&[("k0", 1), ("k1", 1)]),
            names: ["a", "b", "c"][..phases.len()].to_vec(),
            alive: Vec::new(),
            due: phases.to_vec(),
            now: 0,
            idle: 0,
            root: 0,
        };
        for name in world.names.clone() {
            let watcher = world.house.watcher(name).await;
            world.alive.push(Some(watcher));
        }
        world
    }

    /// A quarter of a second passes, and those act whose time it is.
    async fn step(&mut self) {
        tokio::time::advance(std::time::Duration::from_millis(250)).await;
        self.now += 1;
        for who in 0..self.names.len() {
            let Some(watcher) = &mut self.alive[who] else {
                continue;
            };
            if self.due[who] > self.now {
                continue;
            }
            self.due[who] = self.now + INTERVAL;
            let told = watcher.turn(&self.source).await.unwrap();
            // A runtime looks again at once.
            if told == Told::Rebased {
                self.due[who] = self.now + 1;
            }
        }
        let root = {
            let stream = self.house.store.stream.lock().unwrap();
            stream.check();
            stream.root.as_ref().map_or(0, |(sequence, _)| *sequence)
        };
        // The last commit of one that died may come late.
        let moved = std::mem::replace(&mut self.root, root) != root;
        let is_idle = !moved
            && self.alive.iter().any(Option::is_some)
            && self.looking().is_empty()
            && self.house.store.is_connected();
        self.idle = if is_idle { self.idle + 1 } else { 0 };
        assert!(self.idle <= STALE + 2 * INTERVAL, "nobody looks");
    }

    async fn pass(&mut self, quarters: u64) {
        for _ in 0..quarters {
            self.step().await;
        }
    }

    fn looking(&self) -> Vec<usize> {
        let looks = |who: &usize| self.alive[*who].as_ref().is_some_and(|w| w.held.is_none());
        (0..self.names.len()).filter(looks).collect()
    }

    async fn kill(&mut self, who: usize) {
        let Some(mut watcher) = self.alive[who].take() else {
            return;
        };
        // At one of its next waits.
        let polls = 1 + u32::try_from(self.now % 5).unwrap();
        if watcher.held.is_none() {
            drop(at_most(polls, watcher.look(&self.source)).await);
        }
        self.house.store.reads.lock().unwrap().clear();
    }

    async fn revive(&mut self, who: usize) {
        if self.alive[who].is_some() {
            return;
        }
        if let Ok(watcher) = self.house.start(self.names[who], None, EPOCH).await {
            self.alive[who] = Some(watcher);
            self.due[who] = self.now + 1;
        }
    }

    fn is_told(&self) -> bool {
        let stream = self.house.store.stream.lock().unwrap();
        self.source.values.iter().all(|(key, value)| {
            let mut events = stream.events.iter().rev();
            let last = events.find(|e| e.process.as_ref() == Some(key));
            last.and_then(|event| event.state.as_ref())
                .is_some_and(|state| state.restarts == *value)
        })
    }
}

#[derive(Debug, Clone)]
enum Turn {
    Grow(u8),
    Kill(usize),
    Revive(usize),
    Online(bool),
    Faulty(Fault),
    Pass(u64),
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        8 => (0u8..4).prop_map(Turn::Grow),
        2 => (0usize..3).prop_map(Turn::Kill),
        3 => (0usize..3).prop_map(Turn::Revive),
        1 => any::<bool>().prop_map(Turn::Online),
        2 => fault().prop_map(Turn::Faulty),
        10 => (1u64..30).prop_map(Turn::Pass),
        1 => (30u64..200).prop_map(Turn::Pass),
    ]
}

async fn live(phases: Vec<u64>, turns: Vec<Turn>) {
    let mut world = World::new(&phases).await;
    let count = phases.len();
    for turn in turns {
        match turn {
            Turn::Grow(key) => world.source.grow(&format!("k{key}")),
            Turn::Kill(who) => world.kill(who % count).await,
            Turn::Revive(who) => world.revive(who % count).await,
            Turn::Online(online) => world.house.store.set_online(online),
            Turn::Faulty(fault) => world.house.store.faults([fault]),
            Turn::Pass(quarters) => world.pass(quarters).await,
        }
    }
    let house = world.house.clone();
    house.store.set_online(true);
    house.store.commits.lock().unwrap().clear();
    for who in 0..count {
        world.revive(who).await;
    }
    // Whatever waits for a return of the broker, or for a root to become stale, is over after this.
    world.pass(2 * STALE + 4 * INTERVAL).await;
    world.source.grow("k0");
    world.pass(STALE + 2 * INTERVAL).await;
    assert!(world.is_told());
    world.pass(1200).await;
    assert_eq!(
        world.looking().len(),
        1,
        "one looks and the others stand by"
    );

    // The one that looks dies.
    let looking = world.looking()[0];
    world.alive[looking] = None;
    world.source.grow("k1");
    world.pass(STALE + 2 * INTERVAL + 1).await;
    assert!(!world.looking().is_empty(), "taken over in time");
    world.pass(2).await;
    assert!(world.is_told());
    let journals: std::collections::BTreeSet<_> = {
        let stream = house.store.stream.lock().unwrap();
        stream.events.iter().map(|e| e.journal.clone()).collect()
    };
    assert_eq!(journals.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn of_two_or_three_adapters_one_looks_in_the_end_and_another_takes_over_in_time(
        phases in proptest::collection::vec(0u64..INTERVAL, 2..4),
        turns in proptest::collection::vec(turn(), 0..60),
    ) {
        paused().block_on(live(phases, turns));
    }
}
