//! The loop.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::board::{Commit, Publisher};
use super::builder::RuntimeBuilder;
use super::cadence::Cadence;
use super::delta::{Delta, Epoch, Origin, Seq};
use super::ended::Ended;
use super::freshness::{Failing, SharedError};
use super::gate::{Gate, Looking};
use super::handle::{Nudge, ObservationHandle};
use super::hooks::Hooks;
use super::look::{Failure, LookError, look};
use super::observer::{Observer, Step};
use super::outlet::{Answer, Outlet, Report};
use super::refresh::{Refresh, words_of};
use super::schedule::{Backoff, Schedule};
use super::shutdown::{Share, Shutdown};
use super::source::{ObservedSource, SourceProvider};

/// Tells the wall clock's time; handed in by the roof, fixed in tests.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// So many times in a row may the outlet replace our state before the next look waits longer.
const REBASES_AT_ONCE: u32 = 2;

pub(super) type EndOf<O, L> = Ended<
    <O as Observer>::Error,
    <L as Outlet<<O as Observer>::State, <O as Observer>::Event>>::Error,
>;
/// A runtime that does nothing yet, and a handle on it.
pub type Built<O, L, P> = (
    ObservationRuntime<O, L, P>,
    ObservationHandle<<O as Observer>::Snapshot, <O as Observer>::Event>,
);
type StepOf<O> = Step<<O as Observer>::State, <O as Observer>::Event>;

/// What was last told, and so is never told again.
pub(super) struct Told<S> {
    pub(super) state: Option<S>,
    pub(super) epoch: Option<Epoch>,
    pub(super) next: Seq,
    pub(super) seen: Option<DateTime<Utc>>,
}

/// A proposal on its way to the outlet.
struct Offer<O: Observer> {
    step: StepOf<O>,
    snapshot: O::Snapshot,
    at: DateTime<Utc>,
    /// When the look ended; none for what was salvaged from a failed one.
    seen: Option<Instant>,
}

/// What became of an offer.
#[derive(Clone, Copy)]
pub(super) enum Fate {
    Taken,
    Rebased,
    Held,
}

/// Looks at a set of sources again and again, one look at a time, and tells its outlet.
pub struct ObservationRuntime<O: Observer, L, P: SourceProvider> {
    pub(super) observer: O,
    pub(super) outlet: L,
    pub(super) refresh: Refresh<P>,
    pub(super) cadence: Cadence,
    pub(super) backoff: Backoff,
    pub(super) timeout: Duration,
    pub(super) shutdown: Duration,
    pub(super) clock: Clock,
    pub(super) nudge: Nudge,
    pub(super) hooks: Hooks<O::Event>,
    pub(super) gate: Gate,
    pub(super) publisher: Publisher<O::Snapshot, O::Event>,
    pub(super) told: Told<O::State>,
    pub(super) failing: Option<Failing>,
    pub(super) rebases: u32,
    /// Since when the outlet wants no look.
    pub(super) held: Option<DateTime<Utc>>,
    pub(super) sources: Vec<ObservedSource<O::Source>>,
}

impl<O, L, P> ObservationRuntime<O, L, P>
where
    O: Observer,
    L: Outlet<O::State, O::Event>,
    P: SourceProvider<Source = O::Source>,
{
    /// Begins to put a runtime together.
    pub fn builder(
        observer: O,
        provider: P,
        outlet: L,
        schedule: Schedule,
        clock: Clock,
    ) -> RuntimeBuilder<O, L, P> {
        RuntimeBuilder::new(observer, provider, outlet, schedule, clock)
    }

    /// Looks and tells until it is cancelled, the outlet refuses, or the observer can never see
    /// again; says which. It ends within the schedule's shutdown limit: the look under way is
    /// dropped, the report under way is finished, the outlet is closed. What the outlet has taken is
    /// then in the history.
    ///
    /// # Cancel safety
    ///
    /// Cancel the token. Dropping the future loses the orderly end, and whether the report under
    /// way was taken is then not known.
    pub async fn run(mut self, token: CancellationToken) -> EndOf<O, L> {
        let mut shutdown = Shutdown::new(token, self.shutdown);
        let ended = self.live(&mut shutdown).await;
        shutdown.begin();
        let ended = self.close(ended, &mut shutdown).await;
        if let Some(hook) = self.hooks.end.take()
            && shutdown
                .finish(Share::Farewell, hook(ended.kind()))
                .await
                .is_err()
        {
            tracing::warn!("the hook at the end of a run was cut off");
        }
        ended
    }

    async fn live(&mut self, shutdown: &mut Shutdown) -> EndOf<O, L> {
        if let Some(hook) = self.hooks.start.take()
            && shutdown.finish(Share::Report, hook(())).await.is_err()
        {
            return Ended::CutOff;
        }
        loop {
            let turned = match self.held {
                None => self.turn(shutdown).await,
                Some(since) => self.stand_still(since, shutdown).await,
            };
            if let Err(ended) = turned {
                return ended;
            }
        }
    }

    /// One look and all that comes of it.
    async fn turn(&mut self, shutdown: &mut Shutdown) -> Result<(), EndOf<O, L>> {
        let looking = self.due(shutdown).await?;
        self.cadence.started(Instant::now());
        self.publisher.look_begun();
        let state = self.told.state.as_ref();
        let look = tokio::select! {
            biased;
            () = shutdown.asked() => return Err(Ended::Cancelled),
            look = look(&self.observer, &self.sources, state, self.timeout) => look,
        };
        drop(looking);
        let at = (self.clock)();
        let done = match look {
            Ok((step, snapshot)) => {
                let offer = Offer {
                    step,
                    snapshot,
                    at,
                    seen: Some(Instant::now()),
                };
                self.seen(offer, shutdown).await
            }
            Err(failure) => self.failed(failure, at, shutdown).await,
        };
        if done.is_ok() {
            self.publisher.look_over();
        }
        done
    }

    /// Waits for the time of the next look, and for the leave to look.
    async fn due(&mut self, shutdown: &mut Shutdown) -> Result<Looking, EndOf<O, L>> {
        loop {
            let due = self.cadence.due();
            let enter = async {
                sleep_until(due).await;
                self.gate.enter().await
            };
            tokio::select! {
                biased;
                () = shutdown.asked() => return Err(Ended::Cancelled),
                answer = self.refresh.answer() => self.adopt(answer),
                () = self.nudge.asked() => {
                    let now = Instant::now();
                    self.cadence.nudge(now);
                    if self.sources.is_empty() {
                        self.refresh.hurry(now);
                    }
                }
                looking = enter, if !self.sources.is_empty() => return Ok(looking),
            }
        }
    }

    /// Takes a new set of sources, or keeps the old one.
    pub(super) fn adopt(&mut self, answer: Result<Vec<ObservedSource<O::Source>>, SharedError>) {
        let now = (self.clock)();
        match answer {
            Ok(sources) => {
                if !sources
                    .iter()
                    .map(|new| &new.id)
                    .eq(self.sources.iter().map(|old| &old.id))
                {
                    self.cadence.nudge(Instant::now());
                }
                self.sources = sources;
            }
            Err(error) => self.publisher.error(error, now),
        }
        self.publisher
            .no_source(self.sources.is_empty().then_some(now));
    }

    async fn seen(&mut self, offer: Offer<O>, shutdown: &mut Shutdown) -> Result<(), EndOf<O, L>> {
        let fate = if self.failing.is_some() {
            let answer = self
                .report(Report::SeenAgain { at: offer.at }, shutdown)
                .await?;
            self.failing = None;
            self.publisher.recovered();
            self.moved(answer)
        } else {
            Fate::Taken
        };
        let fate = match fate {
            Fate::Taken => self.offer(offer, shutdown).await?,
            other => other,
        };
        let now = Instant::now();
        self.cadence.settled(now);
        match fate {
            Fate::Taken | Fate::Held => {
                self.rebases = 0;
                self.backoff.reset();
            }
            Fate::Rebased => {
                self.rebases = self.rebases.saturating_add(1);
                if self.rebases > REBASES_AT_ONCE {
                    let wait = self.backoff.draw(fastrand::f64());
                    self.cadence.rest(now, wait);
                } else {
                    self.cadence.nudge(now);
                }
            }
        }
        Ok(())
    }

    async fn failed(
        &mut self,
        failure: Failure<O::Error>,
        at: DateTime<Utc>,
        shutdown: &mut Shutdown,
    ) -> Result<(), EndOf<O, L>> {
        let fatal = match &failure {
            Failure::Observer(error) if self.observer.is_fatal(error) => Some(Arc::clone(error)),
            _ => None,
        };
        let error = failure.shared();
        let (count, since) = match &self.failing {
            Some(failing) => (failing.count.saturating_add(1), failing.since),
            None => (1, at),
        };
        let failing = Failing {
            count,
            since,
            error: Arc::clone(&error),
        };
        self.failing = Some(failing.clone());
        self.publisher.failed(failing, at);
        let report = Report::Failing {
            count,
            since,
            error: &*error,
        };
        let answer = self.report(report, shutdown).await?;
        let fate = self.moved(answer);
        if let (Fate::Taken | Fate::Rebased, Some(offer)) = (fate, self.salvage(count, at)) {
            self.offer(offer, shutdown).await?;
        }
        if let Some(error) = fatal {
            return Err(Ended::Fatal(error));
        }
        let wait = self.backoff.draw(fastrand::f64());
        self.cadence.rest(Instant::now(), wait);
        Ok(())
    }

    /// What outlives a source that is not seen any more.
    fn salvage(&self, failures: u32, at: DateTime<Utc>) -> Option<Offer<O>> {
        let state = self.told.state.as_ref()?;
        let salvaged = catch_unwind(AssertUnwindSafe(|| {
            let step = self.observer.salvage(state, failures)?;
            let snapshot = self.observer.snapshot(&step.state);
            Some(Offer {
                step,
                snapshot,
                at,
                seen: None,
            })
        }));
        salvaged.unwrap_or_else(|panic| {
            let error = LookError::Panicked(words_of(&*panic));
            self.publisher.error(Arc::new(error), at);
            None
        })
    }

    /// Offers a step to the outlet; only when it is taken, anything moves.
    async fn offer(
        &mut self,
        offer: Offer<O>,
        shutdown: &mut Shutdown,
    ) -> Result<Fate, EndOf<O, L>> {
        let Offer {
            step:
                Step {
                    state,
                    events,
                    origin,
                    epoch,
                },
            snapshot,
            at,
            seen,
        } = offer;
        let told = !events.is_empty()
            || seen.is_none()
            || origin == Origin::Initial
            || self.told.epoch.as_ref() != Some(&epoch);
        let delta = told.then(|| {
            let (seq, after) = (self.told.next, self.told.seen);
            Arc::new(Delta {
                epoch: epoch.clone(),
                seq,
                origin,
                at,
                after,
                events: events.into(),
            })
        });
        let report = match &delta {
            Some(delta) => Report::Delta {
                delta,
                state: &state,
            },
            None => Report::Unchanged { at, state: &state },
        };
        let answer = self.report(report, shutdown).await?;
        match self.moved(answer) {
            Fate::Taken => {}
            other => return Ok(other),
        }
        self.told.state = Some(state);
        self.told.epoch = Some(epoch);
        if delta.is_some() {
            self.told.next = self.told.next.next();
        }
        if seen.is_some() {
            self.told.seen = Some(at);
        }
        self.publisher.commit(Commit {
            latest: Arc::new(snapshot),
            seen: seen.map(|seen| (at, seen)),
            delta: delta.clone(),
        });
        if let (Some(hook), Some(delta)) = (&mut self.hooks.commit, delta)
            && shutdown.finish(Share::Report, hook(delta)).await.is_err()
        {
            return Err(Ended::CutOff);
        }
        Ok(Fate::Taken)
    }

    /// Replaces our state where the outlet knows a later one.
    pub(super) fn moved(&mut self, answer: Answer<O::State>) -> Fate {
        match answer {
            Answer::Taken => Fate::Taken,
            Answer::Rebase(state) => {
                self.told.state = Some(state);
                Fate::Rebased
            }
            Answer::Anew => {
                (self.told.state, self.told.epoch) = (None, None);
                Fate::Rebased
            }
            Answer::Hold => {
                self.hold();
                Fate::Held
            }
        }
    }

    pub(super) async fn report(
        &mut self,
        report: Report<'_, O::State, O::Event>,
        shutdown: &mut Shutdown,
    ) -> Result<Answer<O::State>, EndOf<O, L>> {
        if shutdown.is_asked() {
            return Err(Ended::Cancelled);
        }
        match shutdown
            .finish(Share::Report, self.outlet.report(report))
            .await
        {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Ended::Refused(error)),
            Err(_) => Err(Ended::CutOff),
        }
    }

    /// Closes the outlet, unless it has refused.
    async fn close(&mut self, ended: EndOf<O, L>, shutdown: &mut Shutdown) -> EndOf<O, L> {
        if matches!(ended, Ended::Refused(_)) {
            return ended;
        }
        match (
            shutdown.finish(Share::Close, self.outlet.close()).await,
            ended,
        ) {
            (Ok(Ok(())), ended) => ended,
            (Ok(Err(error)), Ended::Fatal(fatal)) => {
                tracing::warn!(%error, "the outlet did not close in order");
                Ended::Fatal(fatal)
            }
            (Ok(Err(error)), _) => Ended::Refused(error),
            (Err(_), Ended::Fatal(fatal)) => Ended::Fatal(fatal),
            (Err(_), _) => Ended::CutOff,
        }
    }
}
