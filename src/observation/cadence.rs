//! When the next look is due. Pure: it is told the time.

use std::time::Duration;

use tokio::time::Instant;

/// Ticks on a grid, pauses after failures, early looks after nudges, and a floor under all.
#[derive(Debug)]
pub(super) struct Cadence {
    every: Duration,
    floor: Duration,
    tick: Instant,
    nudged: Option<Instant>,
    last_start: Option<Instant>,
}

impl Cadence {
    /// The first look is due now.
    pub(super) fn new(every: Duration, floor: Duration, now: Instant) -> Self {
        Self {
            every,
            floor,
            tick: now,
            nudged: None,
            last_start: None,
        }
    }

    /// When the next look may start.
    pub(super) fn due(&self) -> Instant {
        let wanted = self
            .nudged
            .map_or(self.tick, |nudged| nudged.min(self.tick));
        self.last_start
            .map_or(wanted, |start| wanted.max(start + self.floor))
    }

    /// Somebody wants a look as soon as it may be.
    pub(super) fn nudge(&mut self, now: Instant) {
        self.nudged.get_or_insert(now);
    }

    /// A look starts. The nudges before it are served by it.
    pub(super) fn started(&mut self, now: Instant) {
        self.last_start = Some(now);
        self.nudged = None;
        if self.tick <= now {
            self.tick = self.tick_before(now) + self.every;
        }
    }

    /// What the look led to is done; the ticks it lasted over are missed.
    pub(super) fn settled(&mut self, now: Instant) {
        if self.tick < now {
            self.tick = self.tick_before(now) + self.every;
        }
    }

    /// As `settled`, and the grid begins anew at this distance from now, but never closer to the
    /// last start than the interval; so that several who lost the same source do not return at once.
    pub(super) fn rest(&mut self, now: Instant, distance: Duration) {
        self.settled(now);
        let spaced = self.last_start.map_or(now, |start| start + self.every);
        self.tick = self.tick.max(now + distance).max(spaced);
    }

    /// One interval from now, which is no closer to the last look than the floor.
    pub(super) fn after_interval(&self, now: Instant) -> Instant {
        now + self.every
    }

    /// The last tick of the grid that is not later than `now`.
    fn tick_before(&self, now: Instant) -> Instant {
        let over =
            now.saturating_duration_since(self.tick).as_nanos() % self.every.as_nanos().max(1);
        now - Duration::from_nanos(u64::try_from(over).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn cadence() -> (Instant, Cadence) {
        let start = Instant::now();
        (start, Cadence::new(MS(2000), MS(250), start))
    }

    #[tokio::test(start_paused = true)]
    async fn ticks_that_a_look_lasted_over_are_skipped_not_stacked() {
        let (start, mut cadence) = cadence();
        assert_eq!(cadence.due(), start);
        cadence.started(start);
        cadence.settled(start + MS(4900));
        assert_eq!(cadence.due(), start + MS(6000));
        cadence.started(start + MS(6003));
        cadence.settled(start + MS(6010));
        assert_eq!(cadence.due(), start + MS(8000), "the grid does not drift");
    }

    #[tokio::test(start_paused = true)]
    async fn a_nudge_brings_no_two_starts_closer_than_the_floor() {
        let (start, mut cadence) = cadence();
        cadence.started(start);
        cadence.nudge(start + MS(10));
        assert_eq!(cadence.due(), start + MS(250));
        cadence.started(start + MS(250));
        assert_eq!(cadence.due(), start + MS(2000), "the nudge is used up");
        cadence.nudge(start + MS(900));
        assert_eq!(cadence.due(), start + MS(900));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_never_shortens_the_interval_and_a_nudge_ends_it() {
        let (start, mut cadence) = cadence();
        cadence.started(start);
        cadence.rest(start, MS(5));
        assert_eq!(cadence.due(), start + MS(2000));
        cadence.rest(start, MS(9000));
        assert_eq!(cadence.due(), start + MS(9000));
        cadence.started(start + MS(9000));
        assert_eq!(
            cadence.due(),
            start + MS(11_000),
            "the grid has moved along"
        );
        cadence.rest(start + MS(9000), MS(5000));
        cadence.nudge(start + MS(10_000));
        assert_eq!(cadence.due(), start + MS(10_000));
    }
    #[tokio::test(start_paused = true)]
    async fn a_rest_after_a_nudged_look_keeps_the_interval_as_well() {
        let (start, mut cadence) = cadence();
        cadence.started(start);
        cadence.nudge(start + MS(1900));
        cadence.started(start + MS(1900));
        cadence.rest(start + MS(1900), MS(5));
        assert_eq!(cadence.due(), start + MS(3900));
    }
}
