//! How often somebody looked, how often in vain, and how long it took.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::observation::observer::{Observer, Step};
use crate::observation::source::ObservedSource;

/// The upper bounds of the buckets, in milliseconds; one more holds the rest.
const BOUNDS: [u16; 12] = [1, 3, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000];

/// The looks of one source.
#[derive(Debug, Default)]
pub struct Looks {
    failed: AtomicU64,
    micros: AtomicU64,
    buckets: [AtomicU64; BOUNDS.len() + 1],
}

impl Looks {
    /// Looks that came to nothing.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// How long all of them took together.
    pub fn took(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }

    /// How many took up to so many seconds, and no more than the bound before; without a bound, longer than all.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<f64>, u64)> {
        let bounds = BOUNDS.iter().map(|bound| Some(f64::from(*bound) / 1000.0));
        let numbers = self.buckets.iter().map(|n| n.load(Ordering::Relaxed));
        bounds.chain([None]).zip(numbers)
    }

    fn over(&self, took: Duration, is_good: bool) {
        let at = BOUNDS.partition_point(|bound| Duration::from_millis((*bound).into()) < took);
        self.buckets[at].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        if !is_good {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// An observer whose looks are counted, where somebody wants to know.
#[derive(Debug)]
pub struct Counted<O> {
    observer: O,
    looks: Option<Arc<Looks>>,
}

impl<O> Counted<O> {
    /// Counts the looks of an observer.
    pub fn new(observer: O, looks: Option<Arc<Looks>>) -> Self {
        Self { observer, looks }
    }

    fn begins(&self) -> Look<'_> {
        Look {
            looks: self.looks.as_deref(),
            began: Instant::now(),
            is_good: false,
        }
    }
}

/// A look under way; one that is dropped came to nothing.
struct Look<'a> {
    looks: Option<&'a Looks>,
    began: Instant,
    is_good: bool,
}

impl Look<'_> {
    fn ends<T, E>(mut self, result: Result<T, E>) -> Result<T, E> {
        self.is_good = result.is_ok();
        result
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        if let Some(looks) = self.looks {
            looks.over(self.began.elapsed(), self.is_good);
        }
    }
}

impl<O: Observer> Observer for Counted<O> {
    type Source = O::Source;
    type State = O::State;
    type Snapshot = O::Snapshot;
    type Event = O::Event;
    type Error = O::Error;

    async fn init(
        &self,
        sources: &[ObservedSource<O::Source>],
    ) -> Result<Step<O::State, O::Event>, O::Error> {
        let look = self.begins();
        look.ends(self.observer.init(sources).await)
    }

    async fn poll(
        &self,
        sources: &[ObservedSource<O::Source>],
        state: &O::State,
    ) -> Result<Step<O::State, O::Event>, O::Error> {
        let look = self.begins();
        look.ends(self.observer.poll(sources, state).await)
    }

    fn snapshot(&self, state: &O::State) -> O::Snapshot {
        self.observer.snapshot(state)
    }

    fn salvage(&self, state: &O::State, failures: u32) -> Option<Step<O::State, O::Event>> {
        self.observer.salvage(state, failures)
    }

    fn rest(&self) {
        self.observer.rest();
    }

    fn is_fatal(&self, error: &O::Error) -> bool {
        self.observer.is_fatal(error)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use crate::observation::delta::Origin;

    use super::*;

    /// Sees what it is told to, after so many milliseconds.
    struct Slow;

    impl Slow {
        async fn look(millis: u64) -> Result<Step<u64, ()>, io::Error> {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            if millis == 400 {
                return Err(io::Error::other("away"));
            }
            Ok(Step {
                state: millis,
                events: Vec::new(),
                origin: Origin::Change,
                epoch: "e".into(),
            })
        }
    }

    impl Observer for Slow {
        type Source = ();
        type State = u64;
        type Snapshot = ();
        type Event = ();
        type Error = io::Error;

        async fn init(&self, _: &[ObservedSource<()>]) -> Result<Step<u64, ()>, io::Error> {
            Self::look(4).await
        }

        async fn poll(
            &self,
            _: &[ObservedSource<()>],
            state: &u64,
        ) -> Result<Step<u64, ()>, io::Error> {
            Self::look(*state).await
        }

        fn snapshot(&self, _: &u64) {}
    }

    #[tokio::test(start_paused = true)]
    async fn each_look_is_counted_with_its_length_also_one_that_is_dropped() {
        let looks = Arc::<Looks>::default();
        let observer = Counted::new(Slow, Some(Arc::clone(&looks)));
        observer.init(&[]).await.unwrap();
        observer.poll(&[], &400).await.unwrap_err();
        let limit = Duration::from_secs(6);
        let late = tokio::time::timeout(limit, observer.poll(&[], &60_000)).await;
        assert!(late.is_err());
        let filled: Vec<_> = looks.buckets().filter(|(_, number)| *number > 0).collect();
        assert_eq!(filled, [(Some(0.005), 1), (Some(0.5), 1), (None, 1)]);
        assert_eq!(looks.failed(), 2);
        assert_eq!(looks.took(), Duration::from_millis(4 + 400 + 6000));
    }
}
