//! What the loop writes and the handles read.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::time::Instant;

use super::delta::Delta;
use super::freshness::{Facts, Failing, Freshness, Observed, SharedError};
use super::handle::LastError;
use super::history::History;

/// The present of one run. It only ever holds what the outlet has taken.
pub(super) struct Board<Snap, E> {
    latest: Option<Arc<Snap>>,
    seen: Option<(DateTime<Utc>, Instant)>,
    failing: Option<Failing>,
    no_source: Option<DateTime<Utc>>,
    /// Since when the outlet holds the looks.
    held: Option<DateTime<Utc>>,
    pub(super) last_error: Option<LastError>,
    pub(super) history: History<E>,
    /// How many looks have begun, and how many are over.
    pub(super) begun: u64,
    pub(super) over: u64,
    pub(super) ended: bool,
}

impl<Snap, E> Board<Snap, E> {
    pub(super) fn is_ready(&self) -> bool {
        self.seen.is_some()
    }

    pub(super) fn latest(
        &self,
        held: Option<DateTime<Utc>>,
        stale_after: Duration,
    ) -> Observed<Arc<Snap>> {
        let facts = Facts {
            ended: self.ended,
            held: held.into_iter().chain(self.held).min(),
            no_source: self.no_source,
            failing: self.failing.as_ref(),
            seen: self.seen.map(|(_, seen)| seen),
            stale_after,
        };
        let freshness = Freshness::judge(&facts, Instant::now());
        Observed::new(self.latest.clone(), self.seen.map(|(at, _)| at), freshness)
    }
}

/// The only writer of a board; when it is dropped the run is over.
pub(super) struct Publisher<Snap, E>(watch::Sender<Board<Snap, E>>);

/// What became of a committed step.
pub(super) struct Commit<Snap, E> {
    pub(super) latest: Arc<Snap>,
    /// When the look ended; none for what was salvaged without seeing the source.
    pub(super) seen: Option<(DateTime<Utc>, Instant)>,
    pub(super) delta: Option<Arc<Delta<E>>>,
}

impl<Snap, E> Publisher<Snap, E> {
    pub(super) fn new(history: History<E>) -> Self {
        Self(watch::Sender::new(Board {
            latest: None,
            seen: None,
            failing: None,
            no_source: None,
            held: None,
            last_error: None,
            history,
            begun: 0,
            over: 0,
            ended: false,
        }))
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Board<Snap, E>> {
        self.0.subscribe()
    }

    /// Latest, then history, then live viewers.
    pub(super) fn commit(&self, commit: Commit<Snap, E>) {
        self.0.send_modify(|board| {
            board.latest = Some(commit.latest);
            if commit.seen.is_some() {
                board.seen = commit.seen;
            }
            if let Some(delta) = commit.delta {
                board.history.push(delta);
            }
        });
    }

    pub(super) fn failed(&self, failing: Failing, at: DateTime<Utc>) {
        self.0.send_modify(|board| {
            board.last_error = Some(LastError {
                at,
                error: Arc::clone(&failing.error),
            });
            board.failing = Some(failing);
        });
    }

    /// The outlet holds the looks since then, or no longer; the failures before it count no more.
    pub(super) fn held(&self, since: Option<DateTime<Utc>>) {
        self.0.send_modify(|board| {
            board.held = since;
            board.failing = None;
        });
    }

    /// The source was seen, though nothing of it can be shown.
    pub(super) fn recovered(&self) {
        self.0.send_modify(|board| board.failing = None);
    }

    pub(super) fn error(&self, error: SharedError, at: DateTime<Utc>) {
        self.0
            .send_modify(|board| board.last_error = Some(LastError { at, error }));
    }

    pub(super) fn no_source(&self, since: Option<DateTime<Utc>>) {
        self.0.send_if_modified(|board| {
            let changed = board.no_source.is_some() != since.is_some();
            if changed {
                board.no_source = since;
            }
            changed
        });
    }

    /// One more look begins; nobody waits for that.
    pub(super) fn look_begun(&self) {
        self.0.send_if_modified(|board| {
            board.begun += 1;
            false
        });
    }

    /// One more look is over, however it went, and all that came of it.
    pub(super) fn look_over(&self) {
        self.0.send_modify(|board| board.over += 1);
    }
}

impl<Snap, E> Drop for Publisher<Snap, E> {
    fn drop(&mut self) {
        self.0.send_modify(|board| board.ended = true);
    }
}
