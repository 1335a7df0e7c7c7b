//! An observer that has nothing in common with the dial's.

use std::collections::BTreeSet;
use std::convert::Infallible;

use crate::observation::{ObservedSource, Observer, Origin, SourceId, Step};

/// Compares its sources with each other instead of looking into them: who is there?
#[derive(Debug, Default)]
pub(in crate::observation::tests) struct Roster;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::observation::tests) enum Attendance {
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
