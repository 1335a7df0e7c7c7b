//! Holding the looks back.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::watch;

#[derive(Debug, Default)]
struct State {
    holders: usize,
    since: Option<DateTime<Utc>>,
    looking: bool,
}

/// One looks, or several hold; who looks and who holds agree on it here.
#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<watch::Sender<State>>);

impl Gate {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(State::default())))
    }

    /// Since when somebody holds.
    pub(super) fn held(&self) -> Option<DateTime<Utc>> {
        self.0.borrow().since
    }

    /// No look starts while what is returned lives.
    pub(super) fn hold(&self, now: DateTime<Utc>) -> Hold {
        self.0.send_modify(|state| {
            state.holders += 1;
            state.since.get_or_insert(now);
        });
        Hold(self.clone())
    }

    /// Waits until nobody holds, and keeps the gate for one look.
    pub(super) async fn enter(&self) -> Looking {
        let mut changes = self.0.subscribe();
        loop {
            let entered = self.0.send_if_modified(|state| {
                let free = state.holders == 0;
                state.looking |= free;
                free
            });
            // We keep the sending half ourselves, so the other end of it cannot be gone.
            if entered || changes.wait_for(|state| state.holders == 0).await.is_err() {
                return Looking(self.clone());
            }
        }
    }
}

/// A look is under way while it lives.
#[derive(Debug)]
pub(super) struct Looking(Gate);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.looking = false);
    }
}

/// While it lives no look starts. Drop it to release the looks; what fell due meanwhile is looked
/// at at once.
#[must_use = "the looks are released when it is dropped"]
pub struct Hold(Gate);

impl Hold {
    /// Waits until the look that was under way, if any, is over.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it; the looks stay held.
    pub async fn quiet(&self) {
        let mut changes = self.0.0.subscribe();
        if changes.wait_for(|state| !state.looking).await.is_err() {
            tracing::debug!("the gate closed while it was waited for");
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Hold").field(&self.0.held()).finish()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| {
            state.holders -= 1;
            if state.holders == 0 {
                state.since = None;
            }
        });
    }
}
