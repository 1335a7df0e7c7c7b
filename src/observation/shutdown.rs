//! Ending in time.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Divides the time limit of an orderly end among those who still have something to finish.
#[derive(Debug)]
pub(super) struct Shutdown {
    token: CancellationToken,
    limit: Duration,
    begun: Option<Instant>,
}

/// Who may use how much of the limit, in percent from its beginning.
#[derive(Debug, Clone, Copy)]
pub(super) enum Share {
    /// The report under way, and hooks of the loop.
    Report = 90,
    /// The outlet's close.
    Close = 97,
    /// The last hook.
    Farewell = 99,
}

/// The time was over before it was done.
#[derive(Debug, Clone, Copy)]
pub(super) struct CutOff;

impl Shutdown {
    pub(super) fn new(token: CancellationToken, limit: Duration) -> Self {
        Self {
            token,
            limit,
            begun: None,
        }
    }

    /// Whether somebody wants the end; if so, the time runs.
    pub(super) fn is_asked(&mut self) -> bool {
        let asked = self.token.is_cancelled();
        if asked {
            self.begin();
        }
        asked
    }

    /// Waits until somebody wants the end, and remembers when that was.
    pub(super) async fn asked(&mut self) {
        self.token.cancelled().await;
        self.begin();
    }

    /// The time runs from now on, if it does not run yet.
    pub(super) fn begin(&mut self) {
        self.begun.get_or_insert_with(Instant::now);
    }

    /// Runs this to its end, for as long as nobody wants the end and a share of the limit from then.
    pub(super) async fn finish<T>(
        &mut self,
        share: Share,
        work: impl Future<Output = T>,
    ) -> Result<T, CutOff> {
        let mut work = pin!(work);
        if self.begun.is_none() {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = self.token.cancelled() => self.begin(),
            }
        }
        let begun = self.begun.unwrap_or_else(Instant::now);
        let deadline = begun + self.limit.mul_f64(f64::from(share as u8) / 100.0);
        timeout_at(deadline, work).await.map_err(|_| CutOff)
    }
}
