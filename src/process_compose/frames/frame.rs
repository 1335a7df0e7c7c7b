//! One frame, as it is kept.

use std::sync::Arc;

use chrono::{DateTime, Utc};

/// One frame, reduced to what is to be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// When it came, by our clock.
    pub arrival: DateTime<Utc>,
    /// Its number, growing over all names and connections.
    pub index: u64,
    /// Whether it tells how things stood at the beginning of the connection.
    pub snapshot: bool,
    /// The status word, verbatim.
    pub status: Box<str>,
    /// The readiness word, verbatim.
    pub is_ready: Box<str>,
    /// Restarts decided by the policy.
    pub restarts: i64,
    /// Exit code.
    pub exit_code: i64,
    /// End, where the frame has one.
    pub process_end_time: Option<DateTime<Utc>>,
    /// Process id; only in a snapshot, a live frame's is of the run before.
    pub pid: Option<i64>,
    /// The run of the server that sent it; absent where servers do not say.
    pub epoch: Option<Arc<str>>,
}

impl Frame {
    /// Whether it may have been sent in this run of the server.
    pub(super) fn is_of(&self, epoch: &str) -> bool {
        self.epoch.as_deref().is_none_or(|own| own == epoch)
    }
}
