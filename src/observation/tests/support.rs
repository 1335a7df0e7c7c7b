//! A dial that shows a number, a ledger that keeps what it is told, and a stage to run them on.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::observation::{
    Answer, Clock, Ended, Epoch, FixedSources, ObservationHandle, ObservationRuntime,
    ObservedSource, Observer, Origin, Outlet, Report, RuntimeBuilder, Schedule, SourceId,
    SourceProvider, Step,
};

pub(super) const MS: fn(u64) -> Duration = Duration::from_millis;

/// What a look at a dial meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Shows,
    Fails,
    Hangs,
    Panics,
    Forbids,
}

#[derive(Debug)]
struct Face {
    value: u64,
    mood: Mood,
    takes: Duration,
    epoch: &'static str,
    salvage: Option<u64>,
    starts: Vec<Instant>,
    looking: usize,
    most: usize,
}

/// Something with a number on it, which counts how it is looked at.
#[derive(Debug, Clone)]
pub(super) struct Dial(Arc<Mutex<Face>>);

impl PartialEq for Dial {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Dial {
    pub(super) fn new(value: u64) -> Self {
        Self(Arc::new(Mutex::new(Face {
            value,
            mood: Mood::Shows,
            takes: Duration::ZERO,
            epoch: "one",
            salvage: None,
            starts: Vec::new(),
            looking: 0,
            most: 0,
        })))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Face) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    pub(super) fn turn(&self, value: u64) {
        self.with(|face| face.value = value);
    }

    pub(super) fn mood(&self, mood: Mood) {
        self.with(|face| face.mood = mood);
    }

    pub(super) fn takes(&self, time: Duration) {
        self.with(|face| face.takes = time);
    }

    pub(super) fn epoch(&self, epoch: &'static str) {
        self.with(|face| face.epoch = epoch);
    }

    pub(super) fn salvage(&self, value: u64) {
        self.with(|face| face.salvage = Some(value));
    }

    pub(super) fn starts(&self) -> Vec<Instant> {
        self.with(|face| face.starts.clone())
    }

    pub(super) fn looks(&self) -> usize {
        self.starts().len()
    }

    /// The most looks that were ever under way at once.
    pub(super) fn most(&self) -> usize {
        self.with(|face| face.most)
    }

    pub(super) fn is_looked_at(&self) -> bool {
        self.with(|face| face.looking > 0)
    }
}

struct UnderWay(Dial);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.with(|face| face.looking -= 1);
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Blind {
    #[error("the dial cannot be read")]
    Away,
    #[error("the dial may not be read")]
    Forbidden,
}

/// From one number to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moved(pub(super) u64, pub(super) u64);

/// Looks at the first dial of its set.
#[derive(Debug, Default)]
pub(super) struct DialReader;

impl DialReader {
    async fn read(&self, dial: &Dial) -> Result<(u64, Epoch), Blind> {
        let (mood, takes) = dial.with(|face| {
            face.starts.push(Instant::now());
            face.looking += 1;
            face.most = face.most.max(face.looking);
            (face.mood, face.takes)
        });
        let _under_way = UnderWay(dial.clone());
        sleep(takes).await;
        match mood {
            Mood::Shows => Ok(dial.with(|face| (face.value, face.epoch.into()))),
            Mood::Fails => Err(Blind::Away),
            Mood::Forbids => Err(Blind::Forbidden),
            Mood::Hangs => std::future::pending().await,
            Mood::Panics => panic!("the glass broke"),
        }
    }
}

impl Observer for DialReader {
    type Source = Dial;
    type State = (u64, Option<Dial>);
    type Snapshot = u64;
    type Event = Moved;
    type Error = Blind;

    async fn init(
        &self,
        sources: &[ObservedSource<Dial>],
    ) -> Result<Step<Self::State, Moved>, Blind> {
        let dial = &sources[0].source;
        let (value, epoch) = self.read(dial).await?;
        let events = if value == 0 {
            vec![]
        } else {
            vec![Moved(0, value)]
        };
        Ok(Step {
            state: (value, Some(dial.clone())),
            events,
            origin: Origin::Initial,
            epoch,
        })
    }

    async fn poll(
        &self,
        sources: &[ObservedSource<Dial>],
        state: &Self::State,
    ) -> Result<Step<Self::State, Moved>, Blind> {
        let dial = &sources[0].source;
        let (value, epoch) = self.read(dial).await?;
        let events = if value == state.0 {
            vec![]
        } else {
            vec![Moved(state.0, value)]
        };
        Ok(Step {
            state: (value, Some(dial.clone())),
            events,
            origin: Origin::Change,
            epoch,
        })
    }

    fn snapshot(&self, state: &Self::State) -> u64 {
        state.0
    }

    fn salvage(&self, state: &Self::State, failures: u32) -> Option<Step<Self::State, Moved>> {
        let dial = state.1.clone()?;
        let value = dial.with(|face| face.salvage.take_if(|_| failures == 2))?;
        let (events, epoch) = (vec![Moved(state.0, value)], Epoch::new("one"));
        Some(Step {
            state: (value, Some(dial)),
            events,
            origin: Origin::Change,
            epoch,
        })
    }

    fn is_fatal(&self, error: &Blind) -> bool {
        *error == Blind::Forbidden
    }
}

/// Compares its sources with each other instead of looking into them: who is there?
#[derive(Debug, Default)]
pub(super) struct Roster;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attendance {
    Joined(String),
    Left(String),
}

impl Roster {
    fn step(
        sources: &[ObservedSource<()>],
        before: &BTreeSet<SourceId>,
        origin: Origin,
    ) -> Step<BTreeSet<SourceId>, Attendance> {
        let state: BTreeSet<_> = sources.iter().map(|source| source.id.clone()).collect();
        let joined = state
            .difference(before)
            .map(|id| Attendance::Joined(id.to_string()));
        let left = before
            .difference(&state)
            .map(|id| Attendance::Left(id.to_string()));
        let events = joined.chain(left).collect();
        Step {
            state,
            events,
            origin,
            epoch: "school".into(),
        }
    }
}

impl Observer for Roster {
    type Source = ();
    type State = BTreeSet<SourceId>;
    type Snapshot = usize;
    type Event = Attendance;
    type Error = Infallible;

    async fn init(
        &self,
        sources: &[ObservedSource<()>],
    ) -> Result<Step<Self::State, Attendance>, Infallible> {
        Ok(Self::step(sources, &BTreeSet::new(), Origin::Initial))
    }

    async fn poll(
        &self,
        sources: &[ObservedSource<()>],
        state: &Self::State,
    ) -> Result<Step<Self::State, Attendance>, Infallible> {
        Ok(Self::step(sources, state, Origin::Change))
    }

    fn snapshot(&self, state: &Self::State) -> usize {
        state.len()
    }
}

/// One report as the ledger remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry<E> {
    Delta {
        seq: u64,
        origin: Origin,
        events: Vec<E>,
    },
    Unchanged,
    Failing(u32, String),
    SeenAgain,
    Closed,
}

/// What the ledger does with its next report.
#[derive(Debug, Clone)]
pub(super) enum Deed<S> {
    Rebase(S),
    Refuse,
    Wait(Duration),
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger is full")]
pub(super) struct Full;

#[derive(Debug)]
struct Pages<S, E> {
    entries: Vec<Entry<E>>,
    deltas: Vec<(DateTime<Utc>, Option<DateTime<Utc>>)>,
    deeds: VecDeque<Deed<S>>,
    always: Duration,
    close_takes: Duration,
}

/// An outlet that keeps what it is told and does what it is bidden.
#[derive(Debug)]
pub(super) struct Ledger<S, E>(Arc<Mutex<Pages<S, E>>>);

impl<S, E> Clone for Ledger<S, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S, E: Clone> Ledger<S, E> {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Pages {
            entries: Vec::new(),
            deltas: Vec::new(),
            deeds: VecDeque::new(),
            always: Duration::ZERO,
            close_takes: Duration::ZERO,
        })))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Pages<S, E>) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    pub(super) fn bid(&self, deeds: impl IntoIterator<Item = Deed<S>>) {
        self.with(|pages| pages.deeds.extend(deeds));
    }

    pub(super) fn always_takes(&self, time: Duration) {
        self.with(|pages| pages.always = time);
    }

    pub(super) fn close_takes(&self, time: Duration) {
        self.with(|pages| pages.close_takes = time);
    }

    /// What was taken, in order.
    pub(super) fn entries(&self) -> Vec<Entry<E>> {
        self.with(|pages| pages.entries.clone())
    }

    /// What was taken, in order, without the looks that found nothing.
    pub(super) fn news(&self) -> Vec<Entry<E>> {
        let quiet = |entry: &Entry<E>| matches!(entry, Entry::Unchanged);
        self.entries()
            .into_iter()
            .filter(|entry| !quiet(entry))
            .collect()
    }

    pub(super) fn events(&self) -> Vec<E> {
        let events = self.entries().into_iter().filter_map(|entry| match entry {
            Entry::Delta { events, .. } => Some(events),
            _ => None,
        });
        events.flatten().collect()
    }

    /// `at` and `after` of each delta taken.
    pub(super) fn times(&self) -> Vec<(DateTime<Utc>, Option<DateTime<Utc>>)> {
        self.with(|pages| pages.deltas.clone())
    }
}

impl<S, E> Outlet<S, E> for Ledger<S, E>
where
    S: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    type Error = Full;

    async fn report(&mut self, report: Report<'_, S, E>) -> Result<Answer<S>, Full> {
        let (deed, always) = self.with(|pages| (pages.deeds.pop_front(), pages.always));
        match deed {
            Some(Deed::Rebase(state)) => return Ok(Answer::Rebase(state)),
            Some(Deed::Refuse) => return Err(Full),
            Some(Deed::Wait(time)) => sleep(time).await,
            None => sleep(always).await,
        }
        let entry = match report {
            Report::Delta { delta, .. } => {
                self.with(|pages| pages.deltas.push((delta.at, delta.after)));
                let (seq, origin) = (delta.seq.get(), delta.origin);
                Entry::Delta {
                    seq,
                    origin,
                    events: delta.events.to_vec(),
                }
            }
            Report::Unchanged { .. } => Entry::Unchanged,
            Report::Failing { count, error, .. } => Entry::Failing(count, error.to_string()),
            Report::SeenAgain { .. } => Entry::SeenAgain,
        };
        self.with(|pages| pages.entries.push(entry));
        Ok(Answer::Taken)
    }

    async fn close(&mut self) -> Result<(), Full> {
        let time = self.with(|pages| pages.close_takes);
        sleep(time).await;
        self.with(|pages| pages.entries.push(Entry::Closed));
        Ok(())
    }
}

/// A wall clock that follows paused time.
pub(super) fn clock() -> Clock {
    let start = Instant::now();
    Arc::new(move || DateTime::UNIX_EPOCH + TimeDelta::from_std(start.elapsed()).unwrap())
}

pub(super) fn id(name: &str) -> SourceId {
    name.parse().unwrap()
}

pub(super) type DialLedger = Ledger<(u64, Option<Dial>), Moved>;
pub(super) type DialBuilder = RuntimeBuilder<DialReader, DialLedger, FixedSources<Dial>>;
pub(super) type DialEnded = Ended<Blind, Full>;

/// A dial, a ledger and a running runtime that looks once a second.
pub(super) struct Stage {
    pub(super) dial: Dial,
    pub(super) ledger: DialLedger,
    pub(super) handle: ObservationHandle<u64, Moved>,
    pub(super) token: CancellationToken,
    pub(super) run: JoinHandle<DialEnded>,
}

pub(super) fn every_second() -> Schedule {
    Schedule::every(MS(1000)).build().unwrap()
}

impl Stage {
    pub(super) fn set(schedule: Schedule, more: impl FnOnce(DialBuilder) -> DialBuilder) -> Self {
        let (dial, ledger) = (Dial::new(7), Ledger::new());
        let sources = FixedSources::one(id("dial"), dial.clone());
        Self::on(
            dial,
            ledger.clone(),
            more(dial_builder(sources, ledger, schedule)),
        )
    }

    pub(super) fn on<P: SourceProvider<Source = Dial>>(
        dial: Dial,
        ledger: DialLedger,
        builder: RuntimeBuilder<DialReader, DialLedger, P>,
    ) -> Self {
        let (runtime, handle) = builder.build();
        let token = CancellationToken::new();
        let run = tokio::spawn(runtime.run(token.clone()));
        Self {
            dial,
            ledger,
            handle,
            token,
            run,
        }
    }

    pub(super) fn plain() -> Self {
        Self::set(every_second(), |builder| builder)
    }

    /// A stage on which the first look is over.
    pub(super) async fn opened() -> Self {
        let stage = Self::plain();
        stage.handle.ready().await.unwrap();
        stage
    }

    pub(super) fn latest(&self) -> Option<u64> {
        self.handle.latest().into_parts().0.map(|value| *value)
    }

    pub(super) fn worth(&self) -> &'static str {
        self.handle.latest().freshness().as_str()
    }

    pub(super) async fn end(self) -> DialEnded {
        self.token.cancel();
        self.run.await.unwrap()
    }
}

pub(super) fn dial_builder<P: SourceProvider<Source = Dial>>(
    sources: P,
    ledger: DialLedger,
    schedule: Schedule,
) -> RuntimeBuilder<DialReader, DialLedger, P> {
    ObservationRuntime::builder(DialReader, sources, ledger, schedule, clock())
}

/// Moves paused time on and lets everybody act on it.
pub(super) async fn pass(time: Duration) {
    sleep(time).await;
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

pub(super) fn first(events: &[Moved]) -> Entry<Moved> {
    Entry::Delta {
        seq: 1,
        origin: Origin::Initial,
        events: events.to_vec(),
    }
}

pub(super) fn change(seq: u64, events: &[Moved]) -> Entry<Moved> {
    Entry::Delta {
        seq,
        origin: Origin::Change,
        events: events.to_vec(),
    }
}
