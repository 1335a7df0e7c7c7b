//! Many sources, each with a run of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::support::{
    Deed, Dial, DialLedger, DialReader, Directory, Ledger, MS, Mood, Moved, clock, dial_builder,
    id, pass,
};
use crate::observation::launch::{BuiltBy, EndBy};
use crate::observation::{
    Decision, FixedSources, Fleet, FleetEnd, FleetHandle, Launch, ObservedSource, Occasion,
    Schedule, SourceId,
};

/// What a launch does with its next source of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Slow,
    Refuses,
    Panics,
    PanicsLater,
    TakesItsTime,
}

#[derive(Debug, thiserror::Error)]
#[error("the slipway is blocked")]
struct Blocked;

/// Builds a dial's runtime and keeps a diary.
#[derive(Clone)]
struct Yard {
    ledgers: Arc<Mutex<BTreeMap<String, DialLedger>>>,
    troubles: Arc<Mutex<BTreeMap<String, Trouble>>>,
    diary: Arc<Mutex<Vec<String>>>,
    decision: Decision,
}

impl Yard {
    fn new(decision: Decision) -> Self {
        Self {
            ledgers: Arc::default(),
            troubles: Arc::default(),
            diary: Arc::default(),
            decision,
        }
    }

    fn write(&self, line: String) {
        self.diary.lock().unwrap().push(line);
    }

    fn diary(&self) -> Vec<String> {
        self.diary.lock().unwrap().clone()
    }

    fn trouble(&self, name: &str, trouble: Trouble) {
        self.troubles
            .lock()
            .unwrap()
            .insert(name.to_owned(), trouble);
    }

    fn ledger(&self, name: &str) -> DialLedger {
        self.ledgers.lock().unwrap()[name].clone()
    }
}

impl Launch for Yard {
    type Source = Dial;
    type Observer = DialReader;
    type Outlet = DialLedger;
    type Provider = FixedSources<Dial>;
    type Error = Blocked;

    async fn launch(&self, source: ObservedSource<Dial>) -> Result<BuiltBy<Self>, Blocked> {
        let name = source.id.to_string();
        let trouble = self.troubles.lock().unwrap().remove(&name);
        match trouble {
            Some(Trouble::Slow) => sleep(MS(60_000)).await,
            Some(Trouble::Refuses) => return Err(Blocked),
            Some(Trouble::Panics) => panic!("the keel broke"),
            Some(Trouble::PanicsLater | Trouble::TakesItsTime) | None => {}
        }
        self.write(format!("{name} launched"));
        let ledger = Ledger::new();
        self.ledgers.lock().unwrap().insert(name, ledger.clone());
        let sources = FixedSources::new(vec![source]);
        let schedule = Schedule::every(MS(1000));
        let schedule = match trouble {
            Some(Trouble::TakesItsTime) => schedule.shutdown(MS(60_000)),
            _ => schedule,
        };
        let builder = dial_builder(sources, ledger, schedule.build().unwrap());
        Ok(builder
            .on_commit(move |_| async move {
                assert!(trouble != Some(Trouble::PanicsLater), "the mast broke");
            })
            .build())
    }

    fn ended(&self, source: &SourceId, occasion: Occasion, end: &EndBy<Self>) -> Decision {
        let cause = std::error::Error::source(end).map(ToString::to_string);
        let words = cause.unwrap_or_else(|| end.to_string());
        self.write(format!("{source} {occasion:?}: {words}"));
        self.decision
    }
}

/// A running fleet of dials.
struct Sea {
    yard: Yard,
    directory: Directory<Dial>,
    handle: FleetHandle<u64, Moved>,
    token: CancellationToken,
    run: JoinHandle<FleetEnd>,
}

impl Sea {
    async fn of(yard: Yard, dials: Vec<(&'static str, Dial)>) -> Self {
        let directory = Directory::new(dials);
        let schedule = Schedule::every(MS(1000))
            .refresh_every(MS(5000))
            .build()
            .unwrap();
        let (fleet, handle) = Fleet::new(directory.clone(), yard.clone(), &schedule, clock());
        let token = CancellationToken::new();
        let run = tokio::spawn(fleet.run(token.clone()));
        pass(MS(100)).await;
        Self {
            yard,
            directory,
            handle,
            token,
            run,
        }
    }

    fn latest(&self, name: &str) -> (Option<u64>, &'static str) {
        let Some(handle) = self.handle.get(&id(name)) else {
            return (None, "no handle");
        };
        let (value, freshness) = handle.latest().into_parts();
        (value.map(|value| *value), freshness.as_str())
    }

    fn names(&self) -> Vec<String> {
        self.handle.all().keys().map(ToString::to_string).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn each_source_has_a_run_of_its_own() {
    let sea = Sea::of(
        Yard::new(Decision::Leave),
        vec![("a", Dial::new(1)), ("b", Dial::new(2))],
    );
    let sea = sea.await;
    assert_eq!(sea.names(), ["a", "b"]);
    assert_eq!(
        (sea.latest("a"), sea.latest("b")),
        ((Some(1), "fresh"), (Some(2), "fresh"))
    );
    assert_eq!(sea.latest("c"), (None, "no handle"));
}

#[tokio::test(start_paused = true)]
async fn one_slow_source_holds_back_nobody() {
    let yard = Yard::new(Decision::Leave);
    yard.trouble("slow-launch", Trouble::Slow);
    let (quick, hanging) = (Dial::new(1), Dial::new(2));
    hanging.mood(Mood::Hangs);
    let dials = vec![
        ("hanging", hanging),
        ("quick", quick.clone()),
        ("slow-launch", Dial::new(3)),
        ("slow-outlet", Dial::new(4)),
    ];
    let sea = Sea::of(yard, dials).await;
    sea.yard.ledger("slow-outlet").always_takes(MS(600_000));
    pass(MS(30_000)).await;
    assert_eq!(quick.looks(), 31);
    assert_eq!(sea.latest("quick"), (Some(1), "fresh"));
    assert_eq!(sea.latest("hanging"), (None, "failing"));
    assert_eq!(sea.latest("slow-launch"), (None, "no handle"));
    assert_eq!(sea.latest("slow-outlet"), (Some(4), "stale"));
    pass(MS(31_000)).await;
    assert_eq!(sea.latest("slow-launch"), (Some(3), "fresh"));
}

#[tokio::test(start_paused = true)]
async fn sources_come_and_go() {
    let (a, b) = (Dial::new(1), Dial::new(2));
    let sea = Sea::of(Yard::new(Decision::Leave), vec![("a", a.clone())]).await;
    let mut handle = sea.handle.clone();
    let left = sea.handle.get(&id("a")).unwrap();
    sea.directory.is(vec![("b", b)]);
    pass(MS(5000)).await;
    assert_eq!(
        (sea.names(), sea.latest("b")),
        (vec!["b".to_owned()], (Some(2), "fresh"))
    );
    assert_eq!(left.latest().freshness().as_str(), "ended");
    assert!(handle.changed().await.is_ok());
    let looks = a.looks();
    pass(MS(5000)).await;
    assert_eq!(a.looks(), looks);
    let told = [
        "a launched",
        "b launched",
        "a SourceLeft: the run was asked to end",
    ];
    assert_eq!(sea.yard.diary(), told);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_source_is_launched_anew_only_when_its_former_run_has_ended() {
    let (old, new) = (Dial::new(1), Dial::new(9));
    let sea = Sea::of(Yard::new(Decision::Leave), vec![("a", old.clone())]).await;
    sea.yard.ledger("a").close_takes(MS(700));
    sea.directory.is(vec![("a", new.clone())]);
    sea.handle.refresh();
    pass(MS(600)).await;
    assert_eq!(new.looks(), 0, "two of one name never tell at once");
    pass(MS(200)).await;
    assert_eq!(sea.latest("a"), (Some(9), "fresh"));
    let told = [
        "a launched",
        "a Replaced: the run was asked to end",
        "a launched",
    ];
    assert_eq!(sea.yard.diary(), told);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_comes_back_while_its_run_is_ending_is_launched_again() {
    let dial = Dial::new(1);
    let sea = Sea::of(Yard::new(Decision::Leave), vec![("a", dial.clone())]).await;
    sea.yard.ledger("a").close_takes(MS(700));
    for set in [vec![], vec![("a", dial.clone())]] {
        sea.directory.is(set);
        sea.handle.refresh();
        pass(MS(100)).await;
    }
    pass(MS(1000)).await;
    assert_eq!(sea.latest("a"), (Some(1), "fresh"));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_of_itself_is_reported_and_left_until_its_source_is_replaced() {
    let (bad, good) = (Dial::new(1), Dial::new(2));
    let sea = Sea::of(
        Yard::new(Decision::Leave),
        vec![("a", bad.clone()), ("b", good.clone())],
    );
    let sea = sea.await;
    bad.mood(Mood::Forbids);
    pass(MS(20_000)).await;
    assert_eq!(sea.latest("a"), (Some(1), "ended"));
    assert_eq!((sea.latest("b"), good.looks()), ((Some(2), "fresh"), 21));
    let told = [
        "a launched",
        "b launched",
        "a Unasked: the source can never be seen again",
    ];
    assert_eq!(sea.yard.diary(), told);
    sea.directory.is(vec![("a", Dial::new(5)), ("b", good)]);
    pass(MS(5000)).await;
    assert_eq!(sea.latest("a"), (Some(5), "fresh"));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_panics_or_cannot_be_built_hurts_no_other_and_is_restarted_by_decision() {
    let yard = Yard::new(Decision::RestartAfter(MS(3000)));
    yard.trouble("a", Trouble::Panics);
    yard.trouble("b", Trouble::Refuses);
    yard.trouble("c", Trouble::PanicsLater);
    let good = Dial::new(4);
    let dials = vec![
        ("a", Dial::new(1)),
        ("b", Dial::new(2)),
        ("c", Dial::new(3)),
        ("d", good.clone()),
    ];
    let sea = Sea::of(yard, dials).await;
    let mut told = sea.yard.diary();
    told.sort();
    let expected = [
        "a Unasked: the run of a source panicked: the keel broke",
        "b Unasked: the slipway is blocked",
        "c Unasked: the run of a source panicked: the mast broke",
        "c launched",
        "d launched",
    ];
    assert_eq!(told, expected);
    assert_eq!(
        sea.latest("c"),
        (Some(3), "ended"),
        "what was taken stays readable"
    );
    pass(MS(2800)).await;
    assert_eq!(sea.latest("a"), (None, "no handle"));
    pass(MS(300)).await;
    for (name, value) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
        assert_eq!(sea.latest(name), (Some(value), "fresh"), "{name}");
    }
    assert_eq!(good.looks(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_restart_at_once_does_not_spin() {
    let sea = Sea::of(
        Yard::new(Decision::RestartAfter(MS(0))),
        vec![("a", Dial::new(1))],
    )
    .await;
    let dial = Dial::new(2);
    dial.mood(Mood::Forbids);
    sea.directory.is(vec![("a", dial.clone())]);
    pass(MS(14_900)).await;
    assert!(
        (38..=41).contains(&dial.looks()),
        "{} launches in 10 s",
        dial.looks()
    );
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_errs_keeps_the_fleet_as_it_is() {
    let dial = Dial::new(1);
    let sea = Sea::of(Yard::new(Decision::Leave), vec![("a", dial.clone())]).await;
    sea.directory.with(|entries| entries.set = Err(()));
    pass(MS(10_000)).await;
    assert_eq!((sea.latest("a"), dial.looks()), ((Some(1), "fresh"), 11));
    assert_eq!(
        sea.handle.last_error().unwrap().error.to_string(),
        "the directory is away"
    );
}

#[tokio::test(start_paused = true)]
async fn a_fleet_ends_within_a_second_whatever_its_runs_do() {
    let yard = Yard::new(Decision::RestartAfter(MS(0)));
    yard.trouble("slow-launch", Trouble::Slow);
    let hanging = Dial::new(2);
    hanging.mood(Mood::Hangs);
    let slow = Dial::new(4);
    let dials = vec![
        ("hanging", hanging),
        ("quick", Dial::new(1)),
        ("slow-launch", Dial::new(3)),
        ("slow-outlet", slow.clone()),
    ];
    let sea = Sea::of(yard, dials).await;
    sea.yard
        .ledger("slow-outlet")
        .bid([Deed::Wait(MS(600_000))]);
    slow.turn(5);
    pass(MS(1500)).await;
    let before = Instant::now();
    sea.token.cancel();
    assert_eq!(sea.run.await.unwrap().unfinished, []);
    assert!(before.elapsed() < MS(1000), "{:?}", before.elapsed());
    assert!(sea.handle.has_ended());
    let told = sea.yard.diary();
    let ends: Vec<_> = told
        .iter()
        .filter(|line| line.contains("FleetEnds"))
        .collect();
    assert_eq!(ends.len(), 4, "{told:?}");
    assert!(told.contains(
        &"slow-outlet FleetEnds: the run was asked to end and could not finish in time".to_owned()
    ));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_does_not_end_in_time_is_cut_off_and_named() {
    let yard = Yard::new(Decision::Leave);
    yard.trouble("b", Trouble::TakesItsTime);
    let sea = Sea::of(yard, vec![("a", Dial::new(1)), ("b", Dial::new(2))]).await;
    sea.yard.ledger("b").close_takes(MS(30_000));
    let (before, stubborn) = (Instant::now(), sea.handle.get(&id("b")).unwrap());
    sea.token.cancel();
    assert_eq!(sea.run.await.unwrap().unfinished, [id("b")]);
    assert_eq!(before.elapsed(), MS(1000));
    pass(MS(1)).await;
    assert_eq!(stubborn.latest().freshness().as_str(), "ended");
}
