//! Numbers: subject and reference in turn, A B B A, and what is made of the pairs.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The median of some numbers, with the least and the largest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Half of them lie below it.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// Of these numbers, of which there must be one at least.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        Self {
            median: quantile(&numbers, 0.5),
            least: quantile(&numbers, 0.0),
            most: quantile(&numbers, 1.0),
        }
    }

    /// Of the pairs' ratios, the first number of each against the second.
    pub fn of_ratios(pairs: &[(f64, f64)]) -> Self {
        Self::of(pairs.iter().map(|(ours, theirs)| ours / theirs))
    }
}

/// The number below which this part of some sorted numbers lies.
pub fn quantile(sorted: &[f64], part: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a list"
    )]
    let place = (part * (sorted.len() - 1) as f64).round() as usize;
    sorted[place]
}

/// The medians of both sides of some pairs.
pub fn medians(pairs: &[(f64, f64)]) -> (f64, f64) {
    (
        Spread::of(pairs.iter().map(|pair| pair.0)).median,
        Spread::of(pairs.iter().map(|pair| pair.1)).median,
    )
}

/// The slope of the straight line through the logarithms: the exponent of a growth.
pub fn exponent(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<_> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let (x, y) = logs
        .iter()
        .fold((0.0, 0.0), |sum, log| (sum.0 + log.0, sum.1 + log.1));
    let (x, y) = (x / count, y / count);
    let (above, below) = logs.iter().fold((0.0, 0.0), |sum, log| {
        (
            sum.0 + (log.0 - x) * (log.1 - y),
            sum.1 + (log.0 - x).powi(2),
        )
    });
    above / below
}

/// The CPU time that this thread has used.
pub fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    Duration::from_secs(seconds) + Duration::from_nanos(nanos)
}

/// What one call costs this thread, in seconds.
pub fn cost<T>(call: impl FnOnce() -> T) -> f64 {
    let began = cpu();
    std::hint::black_box(call());
    cpu().saturating_sub(began).as_secs_f64()
}

/// Measures both in turn, `pairs` times after one warm-up, and gives the numbers pair by pair.
pub fn in_turn(
    pairs: usize,
    mut subject: impl FnMut() -> f64,
    mut reference: impl FnMut() -> f64,
) -> Vec<(f64, f64)> {
    subject();
    reference();
    (0..pairs)
        .map(|pair| {
            // Whichever goes first finds the caches colder.
            if pair % 2 == 0 {
                let ours = subject();
                (ours, reference())
            } else {
                let theirs = reference();
                (subject(), theirs)
            }
        })
        .collect()
}

/// The same of what has to be waited for.
pub async fn in_turn_async(
    pairs: usize,
    mut subject: impl AsyncFnMut() -> f64,
    mut reference: impl AsyncFnMut() -> f64,
) -> Vec<(f64, f64)> {
    subject().await;
    reference().await;
    let mut found = Vec::with_capacity(pairs);
    for pair in 0..pairs {
        found.push(if pair % 2 == 0 {
            let ours = subject().await;
            (ours, reference().await)
        } else {
            let theirs = reference().await;
            (subject().await, theirs)
        });
    }
    found
}
