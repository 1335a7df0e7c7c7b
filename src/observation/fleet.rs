//! One runtime for each source, so that a slow one holds back nobody.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::ended::Ended;
use super::freshness::SharedError;
use super::handle::{LastError, Nudge, ObservationHandle, RunEnded};
use super::launch::{ChildEnd, Decision, EndBy, Launch, Occasion};
use super::observer::Observer;
use super::refresh::{Refresh, words_of};
use super::runtime::Clock;
use super::schedule::Schedule;
use super::source::{ObservedSource, SourceId, SourceProvider};

type FleetHandleBy<A> = FleetHandle<
    <<A as Launch>::Observer as Observer>::Snapshot,
    <<A as Launch>::Observer as Observer>::Event,
>;

type BoardBy<A> = FleetBoard<
    <<A as Launch>::Observer as Observer>::Snapshot,
    <<A as Launch>::Observer as Observer>::Event,
>;

/// How a fleet ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "it names the sources that did not end in time"]
pub struct FleetEnd {
    /// The sources whose runtimes did not end in time and were cut off.
    pub unfinished: Vec<SourceId>,
}

struct FleetBoard<Snap, E> {
    handles: BTreeMap<SourceId, ObservationHandle<Snap, E>>,
    last_error: Option<LastError>,
    ended: bool,
}

/// What readers of a fleet hold: clone it freely, it keeps nothing alive.
pub struct FleetHandle<Snap, E> {
    board: watch::Receiver<FleetBoard<Snap, E>>,
    nudge: Nudge,
}

impl<Snap, E> Clone for FleetHandle<Snap, E> {
    fn clone(&self) -> Self {
        Self {
            board: self.board.clone(),
            nudge: self.nudge.clone(),
        }
    }
}

impl<Snap, E> FleetHandle<Snap, E> {
    /// The handle on the runtime of this source, once it is launched.
    pub fn get(&self, source: &SourceId) -> Option<ObservationHandle<Snap, E>> {
        self.board.borrow().handles.get(source).cloned()
    }

    /// The handles on all runtimes that are launched.
    pub fn all(&self) -> BTreeMap<SourceId, ObservationHandle<Snap, E>> {
        self.board.borrow().handles.clone()
    }

    /// The last error of the provider, also when all is well again since.
    pub fn last_error(&self) -> Option<LastError> {
        self.board.borrow().last_error.clone()
    }

    /// Whether the fleet is over.
    pub fn has_ended(&self) -> bool {
        self.board.borrow().ended
    }

    /// Asks for the set of sources now.
    pub fn refresh(&self) {
        self.nudge.nudge();
    }

    /// Waits until a runtime is launched or gone, or the provider has failed, since this was last
    /// called on this handle.
    ///
    /// # Errors
    ///
    /// The fleet is over.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn changed(&mut self) -> Result<(), RunEnded> {
        let changed = self.board.changed().await;
        if changed.is_err() || self.has_ended() {
            Err(RunEnded)
        } else {
            Ok(())
        }
    }
}

/// Writes the board; when it is dropped the fleet is over.
struct Harbour<A: Launch>(Arc<watch::Sender<BoardBy<A>>>);

impl<A: Launch> Drop for Harbour<A> {
    fn drop(&mut self) {
        self.0.send_modify(|board| board.ended = true);
    }
}

/// Where the runtime of one source stands.
enum Phase<S> {
    /// It runs, and what it looks at.
    Running(S),
    /// It was asked to end, and what is to run in its place.
    Leaving(Occasion, Option<S>),
    /// It ended, what it looked at, and when it is launched anew.
    Resting(S, Option<Instant>),
}

struct Slot<S> {
    token: CancellationToken,
    phase: Phase<S>,
}

/// Runs one runtime for each source of a provider.
///
/// A source that is replaced is launched anew only when its former runtime has ended, so that no two
/// of one name ever tell at once.
pub struct Fleet<P: SourceProvider, A: Launch> {
    launch: Arc<A>,
    refresh: Refresh<P>,
    nudge: Nudge,
    clock: Clock,
    floor: Duration,
    limit: Duration,
    harbour: Harbour<A>,
    slots: BTreeMap<SourceId, Slot<A::Source>>,
    names: HashMap<Id, SourceId>,
    tasks: JoinSet<EndBy<A>>,
}

impl<A: Launch, P: SourceProvider<Source = A::Source>> Fleet<P, A> {
    /// A fleet that does nothing until it is run, and a handle on it. Of the schedule it uses the
    /// pace of the provider, the floor for restarts and the time limit of the end.
    pub fn new(
        provider: P,
        launch: A,
        schedule: &Schedule,
        clock: Clock,
    ) -> (Self, FleetHandleBy<A>) {
        let board = FleetBoard {
            handles: BTreeMap::new(),
            last_error: None,
            ended: false,
        };
        let (board, reader) = watch::channel(board);
        let nudge = Nudge::new();
        let fleet = Self {
            launch: Arc::new(launch),
            refresh: Refresh::new(provider, schedule, Instant::now()),
            nudge: nudge.clone(),
            clock,
            floor: schedule.floor,
            limit: schedule.shutdown,
            harbour: Harbour(Arc::new(board)),
            slots: BTreeMap::new(),
            names: HashMap::new(),
            tasks: JoinSet::new(),
        };
        (
            fleet,
            FleetHandle {
                board: reader,
                nudge,
            },
        )
    }

    /// Runs until it is cancelled; every runtime then ends in its own order, all at the same time
    /// and within the schedule's shutdown limit.
    ///
    /// # Cancel safety
    ///
    /// Cancel the token. Dropping the future aborts every runtime.
    pub async fn run(mut self, token: CancellationToken) -> FleetEnd {
        loop {
            let restart = self.next_restart();
            let at = restart.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                () = token.cancelled() => return self.end().await,
                Some(joined) = self.tasks.join_next_with_id() => self.joined(joined),
                answer = self.refresh.answer() => self.adopt(answer),
                () = self.nudge.asked() => self.refresh.hurry(Instant::now()),
                () = sleep_until(at), if restart.is_some() => self.restart(at),
            }
        }
    }

    /// Compares the set with what runs.
    fn adopt(&mut self, answer: Result<Vec<ObservedSource<A::Source>>, SharedError>) {
        let sources = match answer {
            Ok(sources) => sources,
            Err(error) => {
                let at = (self.clock)();
                let last_error = Some(LastError { at, error });
                self.harbour
                    .0
                    .send_modify(|board| board.last_error = last_error);
                return;
            }
        };
        let mut wanted: BTreeMap<_, _> = sources
            .into_iter()
            .map(|source| (source.id, source.source))
            .collect();
        let names: Vec<_> = self.slots.keys().cloned().collect();
        for name in names {
            let source = wanted.remove(&name);
            self.reconsider(&name, source);
        }
        for (name, source) in wanted {
            self.start(name, source);
        }
    }

    /// Compares one source that has a slot with what is wanted of it now.
    fn reconsider(&mut self, name: &SourceId, wanted: Option<A::Source>) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        match (&mut slot.phase, wanted) {
            (Phase::Running(source) | Phase::Resting(source, _), Some(wanted))
                if *source == wanted => {}
            (Phase::Running(_), wanted) => {
                let occasion = if wanted.is_some() {
                    Occasion::Replaced
                } else {
                    Occasion::SourceLeft
                };
                slot.phase = Phase::Leaving(occasion, wanted);
                slot.token.cancel();
            }
            (Phase::Leaving(_, next), wanted) => *next = wanted,
            (Phase::Resting(..), Some(wanted)) => self.start(name.clone(), wanted),
            (Phase::Resting(..), None) => self.forget(name),
        }
    }

    fn start(&mut self, name: SourceId, source: A::Source) {
        let token = CancellationToken::new();
        let child = child(
            Arc::clone(&self.launch),
            ObservedSource::new(name.clone(), source.clone()),
            token.clone(),
            Arc::clone(&self.harbour.0),
        );
        let task = self.tasks.spawn(child);
        self.names.insert(task.id(), name.clone());
        self.slots.insert(
            name,
            Slot {
                token,
                phase: Phase::Running(source),
            },
        );
    }

    fn forget(&mut self, name: &SourceId) {
        self.slots.remove(name);
        self.harbour
            .0
            .send_if_modified(|board| board.handles.remove(name).is_some());
    }

    /// One runtime is over.
    fn joined(&mut self, joined: Result<(Id, EndBy<A>), JoinError>) {
        let (id, end) = match joined {
            Ok((id, end)) => (id, end),
            Err(error) => (error.id(), lost(error)),
        };
        let Some(name) = self.names.remove(&id) else {
            return;
        };
        let Some(slot) = self.slots.remove(&name) else {
            return;
        };
        match slot.phase {
            Phase::Running(source) | Phase::Resting(source, _) => {
                let at = match self.launch.ended(&name, Occasion::Unasked, &end) {
                    Decision::Leave => None,
                    Decision::RestartAfter(time) => Some(Instant::now() + time.max(self.floor)),
                };
                let phase = Phase::Resting(source, at);
                self.slots.insert(
                    name,
                    Slot {
                        token: slot.token,
                        phase,
                    },
                );
            }
            Phase::Leaving(occasion, next) => {
                self.launch.ended(&name, occasion, &end);
                self.forget(&name);
                if let Some(source) = next {
                    self.start(name, source);
                }
            }
        }
    }

    fn next_restart(&self) -> Option<Instant> {
        let due = self.slots.values().filter_map(|slot| match slot.phase {
            Phase::Resting(_, at) => at,
            _ => None,
        });
        due.min()
    }

    /// Launches what rested until now.
    fn restart(&mut self, now: Instant) {
        let due = self
            .slots
            .iter()
            .filter_map(|(name, slot)| match &slot.phase {
                Phase::Resting(source, Some(at)) if *at <= now => {
                    Some((name.clone(), source.clone()))
                }
                _ => None,
            });
        let due: Vec<_> = due.collect();
        for (name, source) in due {
            self.start(name, source);
        }
    }

    async fn end(mut self) -> FleetEnd {
        let deadline = Instant::now() + self.limit;
        for slot in self.slots.values_mut() {
            if let Phase::Running(_) = slot.phase {
                slot.phase = Phase::Leaving(Occasion::FleetEnds, None);
            } else if let Phase::Leaving(_, next) = &mut slot.phase {
                *next = None;
            }
            slot.token.cancel();
        }
        while let Ok(Some(joined)) = timeout_at(deadline, self.tasks.join_next_with_id()).await {
            self.joined(joined);
        }
        let mut unfinished: Vec<_> = self.names.into_values().collect();
        unfinished.sort();
        FleetEnd { unfinished }
    }
}

/// Launches and runs one runtime.
async fn child<A: Launch>(
    launch: Arc<A>,
    source: ObservedSource<A::Source>,
    token: CancellationToken,
    board: Arc<watch::Sender<BoardBy<A>>>,
) -> EndBy<A> {
    let name = source.id.clone();
    let launched = tokio::select! {
        biased;
        () = token.cancelled() => return ChildEnd::Ended(Ended::Cancelled),
        launched = launch.launch(source) => launched,
    };
    let (runtime, handle) = match launched {
        Ok(built) => built,
        Err(error) => return ChildEnd::NotLaunched(error),
    };
    board.send_modify(|board| {
        board.handles.insert(name, handle);
    });
    drop(board);
    ChildEnd::Ended(runtime.run(token).await)
}

/// The end of a runtime that has none of its own.
fn lost<O, L, E>(error: JoinError) -> ChildEnd<O, L, E>
where
    O: std::error::Error,
    L: std::error::Error,
    E: std::error::Error,
{
    match error.try_into_panic() {
        Ok(panic) => ChildEnd::Panicked(words_of(&*panic)),
        Err(error) => ChildEnd::Panicked(error.to_string()),
    }
}
