//! One look, within its time and its own walls.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::timeout;

use super::freshness::SharedError;
use super::observer::{Observer, Step};
use super::refresh::words_of;
use super::source::ObservedSource;

/// Why a look failed for which the observer has no error of its own; the next one may succeed.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// It was dropped at its time limit.
    #[error("the look did not end within {0:?}")]
    TimedOut(Duration),
    /// It panicked with these words.
    #[error("the look panicked: {0}")]
    Panicked(String),
}

/// Why a look gave nothing.
pub(super) enum Failure<E> {
    Observer(Arc<E>),
    Ours(LookError),
}

impl<E: std::error::Error + Send + Sync + 'static> Failure<E> {
    /// The error as others keep it.
    pub(super) fn shared(self) -> SharedError {
        match self {
            Self::Observer(error) => error,
            Self::Ours(error) => Arc::new(error),
        }
    }
}

/// What one look gives: a step and its snapshot.
pub(super) type Looked<O> = Result<
    (
        Step<<O as Observer>::State, <O as Observer>::Event>,
        <O as Observer>::Snapshot,
    ),
    Failure<<O as Observer>::Error>,
>;

/// One look and its snapshot, within its time; a panic stays inside.
pub(super) async fn look<O: Observer>(
    observer: &O,
    sources: &[ObservedSource<O::Source>],
    state: Option<&O::State>,
    limit: Duration,
) -> Looked<O> {
    let look = AssertUnwindSafe(async {
        let step = match state {
            None => observer.init(sources).await?,
            Some(state) => observer.poll(sources, state).await?,
        };
        let snapshot = observer.snapshot(&step.state);
        Ok((step, snapshot))
    });
    match timeout(limit, look.catch_unwind()).await {
        Err(_) => Err(Failure::Ours(LookError::TimedOut(limit))),
        Ok(Err(panic)) => Err(Failure::Ours(LookError::Panicked(words_of(&*panic)))),
        Ok(Ok(looked)) => looked.map_err(|error| Failure::Observer(Arc::new(error))),
    }
}
