//! How the runtimes of a fleet are built, and what becomes of them when they end.

use std::future::Future;
use std::time::Duration;

use super::ended::Ended;
use super::handle::ObservationHandle;
use super::observer::Observer;
use super::outlet::Outlet;
use super::runtime::Built;
use super::source::{ObservedSource, SourceId, SourceProvider};

/// Builds the runtime of each source of a fleet, and judges how it ended.
pub trait Launch: Send + Sync + 'static {
    /// What is known of a source; one that is unequal to its former self replaces it.
    type Source: Clone + PartialEq + Send + Sync + 'static;
    /// Who looks at one source.
    type Observer: Observer;
    /// Where the deltas of one source go.
    type Outlet: Outlet<<Self::Observer as Observer>::State, <Self::Observer as Observer>::Event>;
    /// What one runtime looks at, usually [`FixedSources`](super::source::FixedSources) of one.
    type Provider: SourceProvider<Source = <Self::Observer as Observer>::Source>;
    /// Why a runtime could not be built.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Builds the runtime of one source. It may take its time: the others do not wait for it.
    ///
    /// # Errors
    ///
    /// Handed to [`ended`](Self::ended), which decides whether to try again.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the source goes or the fleet ends.
    fn launch(
        &self,
        source: ObservedSource<Self::Source>,
    ) -> impl Future<Output = Result<BuiltBy<Self>, Self::Error>> + Send;

    /// Told of every end of a runtime. What it decides counts only where the end was unasked.
    fn ended(&self, source: &SourceId, occasion: Occasion, end: &EndBy<Self>) -> Decision;
}

/// What a launch builds.
pub type BuiltBy<A> =
    Built<<A as Launch>::Observer, <A as Launch>::Outlet, <A as Launch>::Provider>;

/// How a runtime ended that was launched by `A`.
pub type EndBy<A> = ChildEnd<
    <<A as Launch>::Observer as Observer>::Error,
    <<A as Launch>::Outlet as Outlet<
        <<A as Launch>::Observer as Observer>::State,
        <<A as Launch>::Observer as Observer>::Event,
    >>::Error,
    <A as Launch>::Error,
>;

/// The handle on a runtime that was launched by `A`.
pub type HandleBy<A> = ObservationHandle<
    <<A as Launch>::Observer as Observer>::Snapshot,
    <<A as Launch>::Observer as Observer>::Event,
>;

/// How the runtime of one source ended. `O` is the observer's error, `L` the outlet's, `E` the
/// launch's.
#[derive(Debug, thiserror::Error)]
pub enum ChildEnd<
    O: std::error::Error + 'static,
    L: std::error::Error + 'static,
    E: std::error::Error + 'static,
> {
    /// It ran and said why it ended.
    #[error("the run of a source ended")]
    Ended(#[source] Ended<O, L>),
    /// It never ran.
    #[error("the run of a source could not be built")]
    NotLaunched(#[source] E),
    /// Something outside its looks panicked, with these words.
    #[error("the run of a source panicked: {0}")]
    Panicked(String),
}

/// On what occasion a runtime ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// Of itself.
    Unasked,
    /// Its source is no longer in the set.
    SourceLeft,
    /// Its source is another one now.
    Replaced,
    /// The whole fleet ends.
    FleetEnds,
}

/// What becomes of a source whose runtime ended unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nothing, until the source goes or is replaced; its handle stays readable.
    Leave,
    /// It is launched anew after this time, but not before the schedule's floor.
    RestartAfter(Duration),
}
