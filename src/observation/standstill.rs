//! Standing still because the outlet wants no look.

use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep_until};

use super::ended::Ended;
use super::observer::Observer;
use super::outlet::{Outlet, Report};
use super::runtime::{EndOf, Fate, ObservationRuntime};
use super::shutdown::Shutdown;
use super::source::SourceProvider;

impl<O, L, P> ObservationRuntime<O, L, P>
where
    O: Observer,
    L: Outlet<O::State, O::Event>,
    P: SourceProvider<Source = O::Source>,
{
    /// No look from now on, until the outlet wants them again.
    pub(super) fn hold(&mut self) {
        if self.held.is_some() {
            return;
        }
        let now = (self.clock)();
        self.held = Some(now);
        self.failing = None;
        self.backoff.reset();
        self.publisher.held(self.held);
        self.observer.rest();
    }

    /// One interval without a look; then the outlet is asked whether the looks go on.
    pub(super) async fn stand_still(
        &mut self,
        since: DateTime<Utc>,
        shutdown: &mut Shutdown,
    ) -> Result<(), EndOf<O, L>> {
        let due = self.cadence.after_interval(Instant::now());
        loop {
            tokio::select! {
                biased;
                () = shutdown.asked() => return Err(Ended::Cancelled),
                answer = self.refresh.answer() => self.adopt(answer),
                // Whoever nudges wants a look, and there is none.
                () = self.nudge.asked() => {}
                () = sleep_until(due) => break,
            }
        }
        let at = (self.clock)();
        let answer = self.report(Report::Held { at, since }, shutdown).await?;
        if let Fate::Taken | Fate::Rebased = self.moved(answer) {
            self.held = None;
            self.publisher.held(None);
            self.cadence.nudge(Instant::now());
        }
        Ok(())
    }
}
