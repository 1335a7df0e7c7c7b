//! Putting a runtime together. Nothing starts here.

use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::board::Publisher;
use super::cadence::Cadence;
use super::delta::{Delta, Epoch, Seq};
use super::ended::EndKind;
use super::gate::Gate;
use super::handle::{Nudge, ObservationHandle};
use super::history::{History, Weigh};
use super::hooks::Hooks;
use super::observer::Observer;
use super::outlet::Outlet;
use super::refresh::Refresh;
use super::runtime::{Built, Clock, ObservationRuntime, Told};
use super::schedule::Schedule;
use super::source::SourceProvider;

/// Collects what a runtime is made of.
#[must_use = "a runtime is had from `build`"]
pub struct RuntimeBuilder<O: Observer, L, P> {
    observer: O,
    provider: P,
    outlet: L,
    schedule: Schedule,
    clock: Clock,
    state: Option<O::State>,
    epoch: Option<Epoch>,
    nudge: Nudge,
    weigh: Weigh<O::Event>,
    hooks: Hooks<O::Event>,
}

impl<O, L, P> RuntimeBuilder<O, L, P>
where
    O: Observer,
    L: Outlet<O::State, O::Event>,
    P: SourceProvider<Source = O::Source>,
{
    pub(super) fn new(
        observer: O,
        provider: P,
        outlet: L,
        schedule: Schedule,
        clock: Clock,
    ) -> Self {
        Self {
            observer,
            provider,
            outlet,
            schedule,
            clock,
            state: None,
            epoch: None,
            nudge: Nudge::new(),
            weigh: Arc::new(|_| size_of::<O::Event>()),
            hooks: Hooks::default(),
        }
    }

    /// Starts from a remembered state instead of a first look. The first step is told as a delta
    /// even without events, because the epoch of that state is not known.
    pub fn resume(mut self, state: O::State) -> Self {
        self.state = Some(state);
        self
    }

    /// Starts from a remembered state that was told in this epoch, so that a first look which finds
    /// nothing new tells nothing.
    pub fn resume_in(mut self, state: O::State, epoch: Epoch) -> Self {
        self.state = Some(state);
        self.epoch = Some(epoch);
        self
    }

    /// Wakes on this nudge, which somebody may hold already.
    pub fn nudge(mut self, nudge: Nudge) -> Self {
        self.nudge = nudge;
        self
    }

    /// Weighs an event for the bounds of the history, in bytes; unless told, by its size without
    /// what it owns.
    pub fn weigh(mut self, weigh: impl Fn(&O::Event) -> usize + Send + Sync + 'static) -> Self {
        self.weigh = Arc::new(weigh);
        self
    }

    /// Awaited before the first look.
    pub fn on_start<F>(mut self, hook: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.hooks.start = Some(Box::new(move |()| hook().boxed()));
        self
    }

    /// Awaited after each delta that was taken, when it is visible to everybody.
    pub fn on_commit<F>(
        mut self,
        mut hook: impl FnMut(Arc<Delta<O::Event>>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.hooks.commit = Some(Box::new(move |delta| hook(delta).boxed()));
        self
    }

    /// Awaited as the last thing of a run.
    pub fn on_end<F>(mut self, hook: impl FnOnce(EndKind) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.hooks.end = Some(Box::new(move |end| hook(end).boxed()));
        self
    }

    /// The runtime, which does nothing until it is run, and a handle on it.
    pub fn build(self) -> Built<O, L, P> {
        let publisher = Publisher::new(History::new(self.schedule.keep, self.weigh));
        let gate = Gate::new();
        let handle = ObservationHandle::new(
            publisher.subscribe(),
            gate.clone(),
            self.nudge.clone(),
            Arc::clone(&self.clock),
            self.schedule.stale_after(),
        );
        let told = Told {
            state: self.state,
            epoch: self.epoch,
            next: Seq::FIRST,
            seen: None,
        };
        let (schedule, now) = (self.schedule, Instant::now());
        let runtime = ObservationRuntime {
            refresh: Refresh::new(self.provider, &schedule, now),
            cadence: Cadence::new(schedule.every, schedule.floor, now),
            observer: self.observer,
            outlet: self.outlet,
            backoff: schedule.backoff.clone(),
            timeout: schedule.timeout,
            shutdown: schedule.shutdown,
            clock: self.clock,
            nudge: self.nudge,
            hooks: self.hooks,
            gate,
            publisher,
            told,
            failing: None,
            rebases: 0,
            held: None,
            sources: Vec::new(),
        };
        (runtime, handle)
    }
}
