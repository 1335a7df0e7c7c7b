//! One process as one look saw it, in our own words, borrowed from the bytes of the look as far as that goes.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::phase::{Health, Phase};

/// One process as one look saw it.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four facts of a look that have nothing to do with each other"
)]
pub struct Reading<'a> {
    /// The name of the replica.
    pub name: Cow<'a, str>,
    /// The first namespace.
    pub namespace: Cow<'a, str>,
    /// Every other namespace.
    pub more_namespaces: Vec<Cow<'a, str>>,
    /// The supervisor's own word.
    pub status: Cow<'a, str>,
    /// What that word means.
    pub phase: Phase,
    /// Whether the run is a daemon's: its exit code is then the launcher's.
    pub daemon: bool,
    /// What the readiness probe says.
    pub health: Health,
    /// Whether there is a probe.
    pub has_probe: bool,
    /// Restarts made by the supervisor's policy.
    pub restarts: i64,
    /// Exit code of the run that ended last; −1 = by a signal.
    pub exit_code: i64,
    /// Codes beside 0 that count as success.
    pub allowed_codes: Vec<i64>,
    /// The process id of the newest run; `None` where it never ran.
    pub pid: Option<i64>,
    /// Numbers that move all the time and are no change.
    pub vitals: Vitals,
    /// When the run began, as far as the source tells it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it became ready.
    pub ready_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// When a schedule begins it next.
    pub schedule_at: Option<DateTime<Utc>>,
    /// When a changed file last began it.
    pub watch_at: Option<DateTime<Utc>>,
    /// True where it ended without a run, because something it depends on failed.
    pub unmet: bool,
    /// True where the parts of the reading contradict each other: it was taken in the middle of a change.
    pub torn: bool,
}

impl Reading<'_> {
    /// The room of readings that are done with, for the next ones; the system would have to find it anew for each look.
    pub fn room(mut readings: Vec<Self>) -> Vec<Reading<'static>> {
        readings.clear();
        // What has one size and goes from list to list stays where it is.
        readings.into_iter().map_while(|_| None).collect()
    }

    /// Whether the exit code is one of success.
    pub fn is_ok(&self, code: i64) -> bool {
        code == 0 || self.allowed_codes.contains(&code)
    }
}

/// Numbers that move all the time and are no change.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Vitals {
    /// How long the newest run has lasted, in milliseconds.
    pub age_ms: Option<i64>,
    /// Resident memory, in bytes.
    pub mem_bytes: Option<i64>,
    /// Percent of one core.
    pub cpu_percent: Option<f64>,
}

/// What is known of a process from its configuration; everything optional, because it is asked politely and late.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Configuration {
    /// The configured name (`api` of `api-0`).
    pub group: Option<Arc<str>>,
    /// The number of this replica.
    pub replica: Option<i64>,
    /// How many replicas the group has.
    pub replicas: Option<i64>,
    /// How long the supervisor waits before it restarts.
    pub backoff: Option<Duration>,
    /// The readiness probe; `Some(None)` where there is certainly none.
    pub readiness: Option<Option<Probe>>,
}

/// When a readiness probe gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// So many failures in a row end the process.
    pub threshold: u32,
    /// Time from one check to the next.
    pub period: Duration,
    /// Time before the first check.
    pub initial_delay: Duration,
}

impl Probe {
    /// How long a process must have been not ready, at the least, before the supervisor ends it for that: one period
    /// less than the threshold, and half a second for the way of the news.
    pub fn patience(&self) -> Duration {
        self.period
            .saturating_mul(self.threshold.saturating_sub(1))
            .saturating_sub(Duration::from_millis(500))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_of_readings_is_there_for_the_next_ones() {
        let readings: Vec<Reading<'_>> = Vec::with_capacity(1000);
        let place = readings.as_ptr().addr();
        let room = Reading::room(readings);
        assert_eq!((room.capacity(), room.as_ptr().addr()), (1000, place));
    }
}
