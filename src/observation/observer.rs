//! Who looks.

use std::future::Future;

use super::delta::{Epoch, Origin};
use super::source::ObservedSource;

/// Looks at a set of sources and says what changed since the state it is lent.
///
/// It never changes that state: it borrows the old one and proposes the next, and only the runtime
/// commits. Every method takes `&self`; an observer that hides mutable state of its own answers for
/// the promise that a look which fails or is dropped loses nothing.
pub trait Observer: Send + Sync + 'static {
    /// What it needs in order to look at one source.
    type Source: Clone + Send + Sync + 'static;
    /// What it remembers from look to look.
    type State: Send + Sync + 'static;
    /// What readers may see of the state.
    type Snapshot: Send + Sync + 'static;
    /// A fact that changed.
    type Event: Send + Sync + 'static;
    /// Why a look failed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The first look, where there is nothing to compare with. The set is never empty and comes in the
    /// order of its names.
    ///
    /// # Errors
    ///
    /// Whatever kept it from seeing; nothing is compared then, and the look is tried again.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped at any await when its time is up or the run ends.
    fn init(
        &self,
        sources: &[ObservedSource<Self::Source>],
    ) -> impl Future<Output = Result<Step<Self::State, Self::Event>, Self::Error>> + Send;

    /// The next look, compared with the state last committed. The set is never empty and comes in the
    /// order of its names.
    ///
    /// # Errors
    ///
    /// Whatever kept it from seeing; nothing is compared then, and the look is tried again.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped at any await when its time is up or the run ends.
    fn poll(
        &self,
        sources: &[ObservedSource<Self::Source>],
        state: &Self::State,
    ) -> impl Future<Output = Result<Step<Self::State, Self::Event>, Self::Error>> + Send;

    /// What readers see of a state; quick, for it is called after every look.
    fn snapshot(&self, state: &Self::State) -> Self::Snapshot;

    /// Asked after each failed look for facts that outlive the source, because they arrived behind
    /// the last look by another way.
    ///
    /// `failures` counts the failed looks in a row. A step returned here is told as a delta and
    /// committed like any other although the look failed; it does not make the value fresh. It may
    /// be dropped like any other, so what is owed is offered until the state that is lent shows it.
    fn salvage(
        &self,
        state: &Self::State,
        failures: u32,
    ) -> Option<Step<Self::State, Self::Event>> {
        let _ = (state, failures);
        None
    }

    /// Told once when the outlet begins to hold the looks: whatever is gathered beside them serves nobody now, and must
    /// explain nothing later.
    fn rest(&self) {}

    /// Whether waiting can never cure this error, so that the run ends with it.
    fn is_fatal(&self, error: &Self::Error) -> bool {
        let _ = error;
        false
    }
}

/// What one look proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<S, E> {
    /// The next state.
    pub state: S,
    /// What changed from the state before to this one, in the order it is to be told.
    pub events: Vec<E>,
    /// What the events were compared with.
    pub origin: Origin,
    /// Which run of the source was seen.
    pub epoch: Epoch,
}
