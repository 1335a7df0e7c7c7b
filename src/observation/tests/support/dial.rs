//! Something with a number on it, and who reads it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::observation::{Epoch, ObservedSource, Observer, Origin, Step};

/// What a look at a dial meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::observation::tests) enum Mood {
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
    origin: Origin,
    salvage: Option<u64>,
    starts: Vec<Instant>,
    looking: usize,
    most: usize,
}

/// Something with a number on it, which counts how it is looked at.
#[derive(Debug, Clone)]
pub(in crate::observation::tests) struct Dial(Arc<Mutex<Face>>);

impl PartialEq for Dial {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Dial {
    pub(in crate::observation::tests) fn new(value: u64) -> Self {
        Self(Arc::new(Mutex::new(Face {
            value,
            mood: Mood::Shows,
            takes: Duration::ZERO,
            epoch: "one",
            origin: Origin::Change,
            salvage: None,
            starts: Vec::new(),
            looking: 0,
            most: 0,
        })))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Face) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    pub(in crate::observation::tests) fn turn(&self, value: u64) {
        self.with(|face| face.value = value);
    }

    pub(in crate::observation::tests) fn mood(&self, mood: Mood) {
        self.with(|face| face.mood = mood);
    }

    pub(in crate::observation::tests) fn takes(&self, time: Duration) {
        self.with(|face| face.takes = time);
    }

    pub(in crate::observation::tests) fn epoch(&self, epoch: &'static str) {
        self.with(|face| face.epoch = epoch);
    }

    /// From now on a later look calls itself this.
    pub(in crate::observation::tests) fn origin(&self, origin: Origin) {
        self.with(|face| face.origin = origin);
    }

    pub(in crate::observation::tests) fn salvage(&self, value: u64) {
        self.with(|face| face.salvage = Some(value));
    }

    pub(in crate::observation::tests) fn starts(&self) -> Vec<Instant> {
        self.with(|face| face.starts.clone())
    }

    pub(in crate::observation::tests) fn looks(&self) -> usize {
        self.starts().len()
    }

    /// The most looks that were ever under way at once.
    pub(in crate::observation::tests) fn most(&self) -> usize {
        self.with(|face| face.most)
    }

    pub(in crate::observation::tests) fn is_looked_at(&self) -> bool {
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
pub(in crate::observation::tests) enum Blind {
    #[error("the dial cannot be read")]
    Away,
    #[error("the dial may not be read")]
    Forbidden,
}

/// From one number to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::observation::tests) struct Moved(
    pub(in crate::observation::tests) u64,
    pub(in crate::observation::tests) u64,
);

fn moved(from: u64, to: u64) -> Vec<Moved> {
    (from != to)
        .then_some(Moved(from, to))
        .into_iter()
        .collect()
}

/// Looks at the first dial of its set.
#[derive(Debug, Default)]
pub(in crate::observation::tests) struct DialReader;

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
        let events = moved(0, value);
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
        let events = moved(state.0, value);
        Ok(Step {
            state: (value, Some(dial.clone())),
            events,
            origin: dial.with(|face| face.origin),
            epoch,
        })
    }

    fn snapshot(&self, state: &Self::State) -> u64 {
        state.0
    }

    fn salvage(&self, state: &Self::State, failures: u32) -> Option<Step<Self::State, Moved>> {
        let dial = state.1.clone()?;
        let value = dial.with(|face| face.salvage.take_if(|_| failures == 2))?;
        let (events, epoch) = (moved(state.0, value), Epoch::new("one"));
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
