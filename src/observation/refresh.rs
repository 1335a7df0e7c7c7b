//! Asking the provider, again and again, without letting it hold back a look.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep_until, timeout};

use super::freshness::SharedError;
use super::schedule::{Backoff, Schedule};
use super::source::{ObservedSource, SourceProvider};

type Answer<S> = Result<Vec<ObservedSource<S>>, SharedError>;

/// Why the provider gave no set.
#[derive(Debug, thiserror::Error)]
enum Silent {
    #[error("the provider of the sources did not answer within {0:?}")]
    TimedOut(Duration),
    #[error("the provider of the sources panicked: {0}")]
    Panicked(String),
}

/// Asks a provider at its times; a question under way survives that nobody waits for it.
pub(super) struct Refresh<P: SourceProvider> {
    provider: Arc<P>,
    due: Instant,
    every: Duration,
    soonest: Duration,
    limit: Duration,
    backoff: Backoff,
    flight: Option<BoxFuture<'static, Answer<P::Source>>>,
}

impl<P: SourceProvider> Refresh<P> {
    /// The first question is due now.
    pub(super) fn new(provider: P, schedule: &Schedule, now: Instant) -> Self {
        Self {
            provider: Arc::new(provider),
            due: now,
            every: schedule.refresh_every,
            soonest: schedule.every.min(schedule.refresh_every),
            limit: schedule.timeout,
            backoff: schedule.backoff.clone(),
            flight: None,
        }
    }

    /// Waits for the next answer. Where there is no source, or no answer, it is asked again sooner.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub(super) async fn answer(&mut self) -> Answer<P::Source> {
        sleep_until(self.due).await;
        let flight = match self.flight.take() {
            Some(flight) => flight,
            None => ask(Arc::clone(&self.provider), self.limit),
        };
        let answer = self.flight.insert(flight).await;
        self.flight = None;
        let distance = match &answer {
            Ok(sources) => {
                self.backoff.reset();
                if sources.is_empty() {
                    self.soonest
                } else {
                    self.every
                }
            }
            Err(_) => self
                .backoff
                .draw(fastrand::f64())
                .clamp(self.soonest, self.every),
        };
        self.due = Instant::now() + distance;
        answer
    }

    /// Asks at the next occasion.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.due = self.due.min(now);
    }
}

fn ask<P: SourceProvider>(
    provider: Arc<P>,
    limit: Duration,
) -> BoxFuture<'static, Answer<P::Source>> {
    async move {
        let asked = AssertUnwindSafe(async { provider.sources().await }).catch_unwind();
        match timeout(limit, asked).await {
            Err(_) => Err(Arc::new(Silent::TimedOut(limit)) as SharedError),
            Ok(Err(panic)) => Err(Arc::new(Silent::Panicked(words_of(&*panic))) as SharedError),
            Ok(Ok(Err(error))) => Err(Arc::new(error) as SharedError),
            Ok(Ok(Ok(sources))) => Ok(distinct(sources)),
        }
    }
    .boxed()
}

/// Of several sources with one name keeps the first, and brings them into one order, so that a
/// provider that shuffles its answer changes nothing.
fn distinct<S>(mut sources: Vec<ObservedSource<S>>) -> Vec<ObservedSource<S>> {
    let mut seen = BTreeSet::new();
    sources.retain(|source| {
        let first = seen.insert(source.id.clone());
        if !first {
            tracing::warn!(source = %source.id, "two sources have this name; the first one counts");
        }
        first
    });
    sources.sort_by(|one, other| one.id.cmp(&other.id));
    sources
}

/// What a panic said.
pub(super) fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without words")
        .to_owned()
}
