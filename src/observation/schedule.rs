//! How often one looks. Pure: time and chance come in as arguments.

use std::time::Duration;

/// Longer waits than this are a mistake, and would overflow the clock sooner or later.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// When to look, how long to wait for a look, and what to keep; checked when it is built.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub(super) every: Duration,
    pub(super) floor: Duration,
    pub(super) timeout: Duration,
    pub(super) backoff: Backoff,
    pub(super) refresh_every: Duration,
    pub(super) shutdown: Duration,
    pub(super) keep: Keep,
}

impl Schedule {
    /// Begins a schedule that looks once in this time; the rest has defaults.
    pub fn every(every: Duration) -> ScheduleBuilder {
        ScheduleBuilder {
            every,
            floor: Duration::from_millis(250),
            timeout: None,
            backoff: Backoff::default(),
            refresh_every: Duration::from_secs(30),
            shutdown: Duration::from_secs(1),
            keep: Keep::default(),
        }
    }

    /// The time from one look to the next.
    pub fn interval(&self) -> Duration {
        self.every
    }

    /// The time limit of one look.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// From which age on a value is stale: two intervals and one whole time limit, so that neither
    /// one skipped tick nor one slow look that still succeeds is called stale.
    pub fn stale_after(&self) -> Duration {
        self.every * 2 + self.timeout
    }
}

/// A schedule that is not checked yet.
#[derive(Debug, Clone)]
#[must_use = "a schedule is had from `build`"]
pub struct ScheduleBuilder {
    every: Duration,
    floor: Duration,
    timeout: Option<Duration>,
    backoff: Backoff,
    refresh_every: Duration,
    shutdown: Duration,
    keep: Keep,
}

impl ScheduleBuilder {
    /// The least time between the starts of two looks, whatever nudges; 250 ms unless told.
    pub fn floor(mut self, floor: Duration) -> Self {
        self.floor = floor;
        self
    }

    /// The time limit of one look; unless told the larger of the interval and 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How the waits grow after failed looks; up to 30 s unless told.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// The time from one question to the provider to the next; 30 s unless told.
    pub fn refresh_every(mut self, refresh_every: Duration) -> Self {
        self.refresh_every = refresh_every;
        self
    }

    /// How long the whole orderly end may take; 1 s unless told.
    pub fn shutdown(mut self, shutdown: Duration) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// How much history is kept; 512 deltas and 1 MiB unless told.
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// Checks the schedule.
    ///
    /// # Errors
    ///
    /// Says which figure cannot be; trying the same figures again never helps.
    pub fn build(self) -> Result<Schedule, ScheduleError> {
        let timeout = self
            .timeout
            .unwrap_or(self.every.max(Duration::from_secs(5)));
        for (what, given) in [
            ("the interval", self.every),
            ("the floor", self.floor),
            ("the time limit of a look", timeout),
            (
                "the time between two questions for the sources",
                self.refresh_every,
            ),
            ("the time limit of the end", self.shutdown),
            ("the first backoff", self.backoff.base),
            ("the longest backoff", self.backoff.cap),
        ] {
            if given.is_zero() {
                return Err(ScheduleError::Zero { what });
            }
            if given > LONGEST {
                return Err(ScheduleError::TooLong { what, given });
            }
        }
        let (every, floor) = (self.every, self.floor);
        if every < floor {
            return Err(ScheduleError::BelowFloor { every, floor });
        }
        if self.backoff.base > self.backoff.cap {
            return Err(ScheduleError::Backoff {
                base: self.backoff.base,
                cap: self.backoff.cap,
            });
        }
        if self.keep.deltas == 0 || self.keep.bytes == 0 {
            return Err(ScheduleError::NothingKept);
        }
        Ok(Schedule {
            every,
            floor,
            timeout,
            backoff: self.backoff,
            refresh_every: self.refresh_every,
            shutdown: self.shutdown,
            keep: self.keep,
        })
    }
}

/// Why a schedule cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// A time that must pass is none.
    #[error("{what} is zero")]
    Zero {
        /// Which time.
        what: &'static str,
    },
    /// A time is longer than anybody means.
    #[error("{what} is {given:?}, at most {LONGEST:?} are allowed")]
    TooLong {
        /// Which time.
        what: &'static str,
        /// How long it was to be.
        given: Duration,
    },
    /// The looks would come faster than they may.
    #[error("the interval is {every:?}, two looks never start closer than {floor:?}")]
    BelowFloor {
        /// The interval that was given.
        every: Duration,
        /// The least that is allowed.
        floor: Duration,
    },
    /// The waits would shrink instead of growing.
    #[error("the first backoff is {base:?}, longer than the longest, which is {cap:?}")]
    Backoff {
        /// The first wait's bound.
        base: Duration,
        /// The last wait's bound.
        cap: Duration,
    },
    /// The history would have no room for a single delta, so live viewers would see nothing.
    #[error("the history is to keep nothing; it needs room for at least one delta")]
    NothingKept,
}

/// How much history is kept; the newest delta always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// How many deltas at most.
    pub deltas: usize,
    /// How many bytes at most, by the weight the runtime was given.
    pub bytes: usize,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            deltas: 512,
            bytes: 1 << 20,
        }
    }
}

/// Waits that grow: each is drawn evenly between nothing and a bound that doubles up to a cap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    drawn: u32,
}

impl Backoff {
    /// Waits whose bound begins at `base` and ends at `cap`; the schedule checks the two.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self {
            base,
            cap,
            drawn: 0,
        }
    }

    /// The longest the next wait can be.
    pub fn bound(&self) -> Duration {
        let factor = 1_u32.checked_shl(self.drawn).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }

    /// The next wait; `random` lies between 0 and 1, and what does not is moved there.
    pub fn draw(&mut self, random: f64) -> Duration {
        let bound = self.bound();
        self.drawn = self.drawn.saturating_add(1);
        let share = if random.is_nan() {
            1.0
        } else {
            random.clamp(0.0, 1.0)
        };
        bound.mul_f64(share).min(bound)
    }

    /// Begins anew, because something succeeded.
    pub fn reset(&mut self) {
        self.drawn = 0;
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(30))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn the_defaults_of_a_schedule_are_those_promised() {
        let schedule = Schedule::every(S(2)).build().unwrap();
        assert_eq!(schedule.floor, Duration::from_millis(250));
        assert_eq!(schedule.timeout, S(5));
        assert_eq!(schedule.refresh_every, S(30));
        assert_eq!(schedule.shutdown, S(1));
        assert_eq!(schedule.backoff.cap, S(30));
        assert_eq!(schedule.stale_after(), S(9));
        assert_eq!(Schedule::every(S(60)).build().unwrap().timeout, S(60));
    }

    #[test]
    fn a_schedule_that_cannot_be_says_which_figure_is_wrong() {
        let text = |builder: ScheduleBuilder| builder.build().unwrap_err().to_string();
        assert_eq!(text(Schedule::every(S(0))), "the interval is zero");
        assert_eq!(
            text(Schedule::every(Duration::from_millis(100))),
            "the interval is 100ms, two looks never start closer than 250ms"
        );
        assert!(text(Schedule::every(Duration::MAX)).contains("at most"));
        assert!(text(Schedule::every(S(2)).timeout(S(0))).contains("look is zero"));
        let keep = Keep {
            deltas: 0,
            bytes: 1,
        };
        assert!(text(Schedule::every(S(2)).keep(keep)).contains("keep nothing"));
        let backoff = Backoff::new(S(3), S(2));
        assert!(text(Schedule::every(S(2)).backoff(backoff)).contains("longer than"));
    }

    #[test]
    fn the_bound_of_a_backoff_doubles_up_to_its_cap_and_begins_anew() {
        let mut backoff = Backoff::new(S(1), S(30));
        let drawn: Vec<_> = (0..7).map(|_| backoff.draw(1.0).as_secs()).collect();
        assert_eq!(drawn, [1, 2, 4, 8, 16, 30, 30]);
        for _ in 0..100 {
            assert_eq!(backoff.draw(1.0), S(30));
        }
        backoff.reset();
        assert_eq!(backoff.draw(1.0), S(1));
    }

    proptest::proptest! {
        #[test]
        fn a_drawn_wait_never_leaves_its_bounds(randoms in proptest::collection::vec(proptest::num::f64::ANY, 1..60)) {
            let mut backoff = Backoff::default();
            for random in randoms {
                let bound = backoff.bound();
                let wait = backoff.draw(random);
                assert!(wait <= bound && bound <= S(30), "{wait:?} of {bound:?} with {random}");
            }
        }
    }
}
