//! Death at every wait: whatever an adapter is doing, it is dropped at each of its waits in turn, and its successor at each
//! of its own. A deterministic list of points, not luck; what is told in the end is what one adapter would have told.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::observation::outlet::Outlet as _;

use super::house::{House, Outside, Watcher, seconds};
use super::store::Fault;
use super::toy::{LATER, Source};

/// What an adapter is doing when it dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    /// Reading the head for the first time, and telling what is there.
    FirstLook,
    /// Committing one delta.
    Commit,
    /// The same, to a broker that is busy twice.
    BusyCommit,
    /// The same, stored without an answer.
    UnknownStored,
    /// The same, lost without an answer.
    UnknownLost,
    /// The same, stored after the answer was given up.
    UnknownLate,
    /// The same, behind a refresh of somebody else.
    Fenced,
    /// Bringing what waited to a broker that is back.
    Replay,
    /// The same, to a broker whose answer to the first part is lost.
    ReplayUnknown,
    /// Refreshing a root that moved long ago.
    Refresh,
    /// Committing more than one batch holds.
    Parts,
    /// Writing down that too much has waited.
    Collapse,
    /// Making a stream again that is gone.
    Recreate,
    /// Telling that the source is out of sight, and that it is back.
    OutOfSight,
    /// Telling a new run of the source's server.
    NewEpoch,
    /// Ending in order, with a delta that nobody had taken.
    Close,
}

const SCENES: [Scene; 16] = [
    Scene::FirstLook,
    Scene::Commit,
    Scene::BusyCommit,
    Scene::UnknownStored,
    Scene::UnknownLost,
    Scene::UnknownLate,
    Scene::Fenced,
    Scene::Replay,
    Scene::ReplayUnknown,
    Scene::Refresh,
    Scene::Parts,
    Scene::Collapse,
    Scene::Recreate,
    Scene::OutOfSight,
    Scene::NewEpoch,
    Scene::Close,
];

/// One adapter after the other on one source and one broker.
struct Life {
    house: House,
    source: Source,
    /// What the one that lived last was given and gave to remember.
    memory: Arc<Mutex<Option<Outside>>>,
}

/// Polls until it is done or has waited so often; what it waits for comes as soon as it waits.
pub(super) async fn until_wait<F: Future>(point: u32, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut waker = Context::from_waker(Waker::noop());
    let mut waits = 0;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut waker) {
            return Some(output);
        }
        if waits == point {
            return None;
        }
        waits += 1;
        tokio::time::advance(Duration::from_millis(700)).await;
    }
}

impl Life {
    fn new(scene: Scene) -> Self {
        let mut house = House::new();
        if scene == Scene::Collapse {
            house.pending_bytes = 3_000;
        }
        Self {
            house,
            source: Source::new(&[("k0", 1), ("k1", 1)]),
            memory: Arc::default(),
        }
    }

    /// An adapter with what its predecessor had to remember.
    async fn begin(&self) -> Watcher {
        let last = self.memory.lock().unwrap().clone();
        let remembered = last.and_then(|seen| seen.lock().unwrap().acknowledged.clone());
        let epoch = self.source.epoch;
        let watcher = self
            .house
            .start("a", remembered.clone(), epoch)
            .await
            .unwrap();
        watcher.seen.lock().unwrap().acknowledged = remembered;
        *self.memory.lock().unwrap() = Some(watcher.seen.clone());
        watcher
    }

    /// What goes before.
    async fn prepare(&mut self, scene: Scene) -> Option<Watcher> {
        if scene == Scene::FirstLook {
            return None;
        }
        let mut watcher = self.begin().await;
        watcher.tell(&self.source).await;
        let store = Arc::clone(&self.house.store);
        match scene {
            Scene::BusyCommit => store.faults([Fault::Busy("503"), Fault::Busy("503")]),
            Scene::UnknownStored => store.faults([Fault::UnknownStored]),
            Scene::UnknownLost => store.faults([Fault::UnknownLost]),
            Scene::UnknownLate => store.faults([Fault::UnknownLate(1)]),
            Scene::Fenced => store.refresh(|_| {}),
            Scene::Replay | Scene::ReplayUnknown | Scene::Collapse => {
                store.set_online(false);
                for _ in 0..6 {
                    self.source.grow("k0");
                    self.source.grow("k2");
                    watcher.tell(&self.source).await;
                }
                store.set_online(true);
                if scene == Scene::ReplayUnknown {
                    store.faults([Fault::UnknownStored]);
                }
            }
            Scene::Refresh => seconds(11).await,
            Scene::Recreate => store.stream.lock().unwrap().gone = true,
            Scene::NewEpoch => self.source.epoch = LATER,
            _ => {}
        }
        match scene {
            Scene::Refresh | Scene::OutOfSight => {}
            Scene::Parts => (0..1_200).for_each(|n| self.source.grow(&format!("p{n:04}"))),
            _ => ["k0", "k1", "k0", "k3"]
                .iter()
                .for_each(|key| self.source.grow(key)),
        }
        Some(watcher)
    }

    /// What it does when it dies.
    async fn act(&self, scene: Scene, watcher: Option<Watcher>) {
        let mut watcher = match watcher {
            Some(watcher) => watcher,
            None => self.begin().await,
        };
        match scene {
            Scene::OutOfSight => {
                for _ in 0..4 {
                    watcher.fail().await.unwrap();
                    seconds(4).await;
                }
                watcher.tell(&self.source).await;
            }
            Scene::Close => {
                // Cut off in the middle of a report, as by a signal.
                drop(until_wait(0, watcher.look(&self.source)).await);
                watcher.committer.close().await.unwrap();
            }
            _ => watcher.tell(&self.source).await,
        }
    }

    /// What its successor does.
    async fn recover(&self) {
        let mut watcher = self.begin().await;
        watcher.tell(&self.source).await;
    }

    /// Whatever happened: no number twice or missing, no difference lost, twice or made up.
    async fn check(&self, scene: Scene, at: &str) {
        let state = self.begin().await.state.unwrap();
        let known = state.rows.iter().map(|(key, row)| (key.clone(), row.value));
        assert_eq!(
            known.collect::<BTreeMap<_, _>>(),
            self.source.values,
            "{at}"
        );
        let stream = self.house.store.stream.lock().unwrap();
        stream.check();
        if scene == Scene::Recreate {
            // What the new stream has not seen change is described by its head only.
            assert_eq!(stream.words()[0], "1 gap stream_lost resync", "{at}");
            return;
        }
        for (key, value) in &self.source.values {
            let mut events = stream.events.iter().rev();
            let last = events.find(|event| event.process.as_ref() == Some(key));
            let told = last
                .and_then(|event| event.state.as_ref())
                .map(|state| state.restarts);
            assert_eq!(told, Some(*value), "{key} {at}");
        }
        let journals: std::collections::BTreeSet<_> =
            stream.events.iter().map(|event| &event.journal).collect();
        assert_eq!(
            journals.len(),
            1,
            "nothing was lost, so nothing begins anew: {at}"
        );
    }
}

/// Lives a scene up to these points, one for each adapter in turn. How many of them were reached.
fn live(scene: Scene, points: &[u32]) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut life = Life::new(scene);
        let mut first = Some(life.prepare(scene).await);
        let mut reached = 0;
        for point in points {
            let lived = match first.take() {
                Some(first) => Box::pin(until_wait(*point, life.act(scene, first))).await,
                None => until_wait(*point, life.recover()).await,
            };
            if lived.is_some() {
                break;
            }
            reached += 1;
        }
        life.house.store.commits.lock().unwrap().clear();
        life.recover().await;
        life.recover().await;
        life.check(scene, &format!("{scene:?} {points:?}")).await;
        reached
    })
}

/// The waits of a scene, and for each of them those of the successor.
fn points(scene: Scene) -> Vec<(u32, u32)> {
    let mut counted = Vec::new();
    for first in 0.. {
        if live(scene, &[first]) == 0 {
            break;
        }
        let second = (0..).take_while(|second| live(scene, &[first, *second]) == 2);
        counted.push((first, u32::try_from(second.count()).unwrap()));
    }
    counted
}

#[test]
fn an_adapter_that_dies_at_any_point_and_its_successor_too_lose_nothing_and_tell_nothing_twice() {
    let mut all = (0, 0);
    for scene in SCENES {
        let counted = points(scene);
        let second: u32 = counted.iter().map(|(_, second)| second).sum();
        println!("{scene:?}: {} points, {second} pairs", counted.len());
        assert!(!counted.is_empty() && second > 0, "{scene:?} never waits");
        all.0 += counted.len();
        all.1 += second;
    }
    println!("{} points, {} pairs", all.0, all.1);
    assert!(all.0 >= 50, "{all:?}: a scene does not do what it says");
}
