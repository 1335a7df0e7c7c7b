//! Reading, following, nudging and holding a run, without ever waiting for it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::Stream;
use tokio::sync::{Notify, watch};
use tokio_util::sync::ReusableBoxFuture;

use super::board::Board;
use super::delta::{Delta, Seq};
use super::freshness::{Observed, SharedError};
use super::gate::Gate;
pub use super::gate::Hold;
use super::history::{Next, Replay};
use super::runtime::Clock;

/// A wish to look now; wishes that come before the look are one wish.
#[derive(Debug, Clone, Default)]
pub struct Nudge(Arc<Notify>);

impl Nudge {
    /// A nudge that wakes nobody until a runtime is built with it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a look as soon as the schedule's floor allows one.
    pub fn nudge(&self) {
        self.0.notify_one();
    }

    /// Waits for a wish.
    pub(super) async fn asked(&self) {
        self.0.notified().await;
    }
}

/// The run ended before what was waited for; waiting again never helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the observation ended first")]
pub struct RunEnded;

/// The last error of a run, also when all is well again since.
#[derive(Debug, Clone)]
pub struct LastError {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What it was.
    pub error: SharedError,
}

/// What readers of a run hold: clone it freely, it does not keep the run alive.
pub struct ObservationHandle<Snap, E> {
    board: watch::Receiver<Board<Snap, E>>,
    gate: Gate,
    nudge: Nudge,
    clock: Clock,
    stale_after: Duration,
}

impl<Snap, E> ObservationHandle<Snap, E> {
    pub(super) fn new(
        board: watch::Receiver<Board<Snap, E>>,
        gate: Gate,
        nudge: Nudge,
        clock: Clock,
        stale_after: Duration,
    ) -> Self {
        Self {
            board,
            gate,
            nudge,
            clock,
            stale_after,
        }
    }

    /// What was last told, with what it is worth now.
    pub fn latest(&self) -> Observed<Arc<Snap>> {
        let held = self.gate.held();
        self.board.borrow().latest(held, self.stale_after)
    }

    /// The number of the newest delta.
    pub fn last_seq(&self) -> Option<Seq> {
        self.board.borrow().history.last()
    }

    /// The kept deltas behind `since`, or all of them. A number this run never gave is from another
    /// run: everything is replayed, and called incomplete.
    pub fn history(&self, since: Option<Seq>) -> Replay<E> {
        self.board.borrow().history.since(since)
    }

    /// The last error, of a look or of the provider.
    pub fn last_error(&self) -> Option<LastError> {
        self.board.borrow().last_error.clone()
    }

    /// Whether the run is over.
    pub fn has_ended(&self) -> bool {
        self.board.borrow().ended
    }

    /// Asks for a look as soon as the schedule's floor allows one.
    pub fn refresh(&self) {
        self.nudge.nudge();
    }

    /// The nudge behind `refresh`, for those who need nothing else.
    pub fn nudge(&self) -> Nudge {
        self.nudge.clone()
    }

    /// Holds the looks back until what is returned is dropped. A look under way is not stopped;
    /// [`Hold::quiet`] waits for its end.
    pub fn hold(&self) -> Hold {
        self.gate.hold((self.clock)())
    }

    /// Waits for the first successful look that the outlet has taken.
    ///
    /// # Errors
    ///
    /// The run ended first.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn ready(&self) -> Result<(), RunEnded> {
        self.wait(Board::is_ready).await
    }

    /// Waits until a look that begins from now on, and whatever came of it, is over, however it
    /// went; with `refresh` before it that is soon.
    ///
    /// # Errors
    ///
    /// The run ended first.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn looked(&self) -> Result<(), RunEnded> {
        let before = self.board.borrow().begun;
        self.wait(|board| board.over > before).await
    }

    async fn wait(&self, done: impl Fn(&Board<Snap, E>) -> bool) -> Result<(), RunEnded> {
        let mut board = self.board.clone();
        let seen = board.wait_for(|board| board.ended || done(board)).await;
        match seen {
            Ok(board) if done(&board) => Ok(()),
            _ => Err(RunEnded),
        }
    }
}

impl<Snap: Send + Sync + 'static, E: Send + Sync + 'static> ObservationHandle<Snap, E> {
    /// The deltas behind `since`, or all of them: first from the history, then live, without a hole
    /// and without a repeat. It ends when the run ends and everything is read.
    ///
    /// A viewer slower than the history is long is told how many it missed; it never slows the
    /// loop. A `since` this run never gave is from another run and counts as none.
    pub fn changes(&self, since: Option<Seq>) -> Changes<Snap, E> {
        let cursor = self.board.borrow().history.cursor(since);
        let waiting = ReusableBoxFuture::new(next_change(self.board.clone()));
        Changes {
            cursor,
            board: self.board.clone(),
            waiting,
        }
    }
}

impl<Snap, E> Clone for ObservationHandle<Snap, E> {
    fn clone(&self) -> Self {
        Self {
            board: self.board.clone(),
            gate: self.gate.clone(),
            nudge: self.nudge.clone(),
            clock: Arc::clone(&self.clock),
            stale_after: self.stale_after,
        }
    }
}

impl<Snap, E> fmt::Debug for ObservationHandle<Snap, E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ObservationHandle")
            .field("last_seq", &self.last_seq())
            .finish_non_exhaustive()
    }
}

/// What a live viewer is given.
#[derive(Debug)]
pub enum Change<E> {
    /// The next delta.
    Delta(Arc<Delta<E>>),
    /// So many deltas are no longer kept; the next one is the oldest that is.
    Missed(u64),
}

type Waited<Snap, E> = (bool, watch::Receiver<Board<Snap, E>>);

/// The deltas of a run as a stream; see [`ObservationHandle::changes`].
///
/// It reads the history through a cursor and keeps nothing itself, so that a slow viewer costs
/// neither memory nor time.
pub struct Changes<Snap, E> {
    cursor: u64,
    board: watch::Receiver<Board<Snap, E>>,
    waiting: ReusableBoxFuture<'static, Waited<Snap, E>>,
}

async fn next_change<Snap, E>(mut board: watch::Receiver<Board<Snap, E>>) -> Waited<Snap, E> {
    let alive = board.changed().await.is_ok();
    (alive, board)
}

impl<Snap: Send + Sync + 'static, E: Send + Sync + 'static> Stream for Changes<Snap, E> {
    type Item = Change<E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Change<E>>> {
        let this = &mut *self;
        loop {
            let (next, ended) = {
                let board = this.board.borrow();
                (board.history.behind(this.cursor), board.ended)
            };
            match next {
                Next::Delta(delta) => {
                    this.cursor += 1;
                    return Poll::Ready(Some(Change::Delta(delta)));
                }
                Next::Missed(missed) => {
                    this.cursor += missed;
                    return Poll::Ready(Some(Change::Missed(missed)));
                }
                Next::Nothing if ended => return Poll::Ready(None),
                Next::Nothing => {}
            }
            // What was published since the board was read is newer than what this future has seen,
            // so it is ready at once and the loop reads again.
            let (_, board) = ready!(this.waiting.poll(context));
            this.waiting.set(next_change(board));
        }
    }
}

impl<Snap, E> fmt::Debug for Changes<Snap, E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Changes")
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}
