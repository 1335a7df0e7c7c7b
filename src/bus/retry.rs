//! Trying again: how long a reader waits between two attempts, and what it says of the broker meanwhile.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::connect::Bus;
use super::error::BusError;
use super::read::Told;

/// Pause between two attempts, first and longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Where a reader's attempts stand.
#[derive(Debug)]
pub(super) struct Retry {
    lost: bool,
    attempt: u32,
    not_before: Instant,
}

impl Retry {
    pub(super) fn new() -> Self {
        Self {
            lost: false,
            attempt: 0,
            not_before: Instant::now(),
        }
    }

    /// Waits until an attempt is due; a word instead where the broker is away and that was not told yet.
    ///
    /// # Cancel safety
    ///
    /// Waits only.
    pub(super) async fn due(&mut self, bus: &Bus) -> Option<Told> {
        if !bus.is_connected() {
            if !self.lost {
                return self.failed(&bus.away());
            }
            bus.connected().await;
            self.not_before = Instant::now();
        }
        sleep_until(self.not_before).await;
        None
    }

    /// Notes that an attempt succeeded; the word that this ends an absence which was told.
    pub(super) fn succeeded(&mut self) -> Option<Told> {
        self.attempt = 0;
        std::mem::take(&mut self.lost).then_some(Told::LinkBack)
    }

    /// Notes that an attempt failed; the word for it, once.
    pub(super) fn failed(&mut self, error: &BusError) -> Option<Told> {
        let pause = (PAUSES.0 * 2_u32.pow(self.attempt.min(10))).min(PAUSES.1);
        self.attempt = self.attempt.saturating_add(1);
        self.not_before = Instant::now() + pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        let why = match error {
            BusError::Unreachable { why, .. } => why.clone(),
            other => other.to_string(),
        };
        (!std::mem::replace(&mut self.lost, true)).then_some(Told::LinkLost { why })
    }
}
