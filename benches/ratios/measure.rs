//! Ratios: subject and reference in turn, A B B A, on the CPU time of this thread.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// One figure against its goal.
#[derive(Debug, Clone)]
pub struct Figure {
    /// `P1`, and what belongs to it.
    pub name: String,
    /// What was measured.
    pub subject: String,
    /// What it was measured against.
    pub reference: String,
    /// The median of the pairs' ratios.
    pub ratio: f64,
    /// The least and the largest of them.
    pub spread: (f64, f64),
    /// What it must not exceed, where that is set.
    pub goal: Option<f64>,
    /// The median of the subject's own figures, in words; it proves nothing by itself.
    pub absolute: String,
}

impl Figure {
    /// Whether the goal is held; true where there is none.
    pub fn is_held(&self) -> bool {
        self.goal.is_none_or(|goal| self.ratio <= goal)
    }
}

/// The CPU time that this thread has used.
pub fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    Duration::from_secs(seconds) + Duration::from_nanos(nanos)
}

/// What one call costs this thread.
pub fn cost<T>(call: impl FnOnce() -> T) -> Duration {
    let began = cpu();
    std::hint::black_box(call());
    cpu().saturating_sub(began)
}

/// Measures both in turn, `pairs` times after one warm-up, and gives the costs pair by pair.
pub fn in_turn(
    pairs: usize,
    mut subject: impl FnMut() -> Duration,
    mut reference: impl FnMut() -> Duration,
) -> Vec<(Duration, Duration)> {
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

/// The median and the spread of the pairs' ratios.
pub fn ratio(pairs: &[(Duration, Duration)]) -> (f64, (f64, f64)) {
    let ratios: Vec<f64> = pairs
        .iter()
        .map(|(ours, theirs)| ours.as_secs_f64() / theirs.as_secs_f64())
        .collect();
    summary(ratios)
}

/// The median of some numbers, with the least and the largest.
pub fn summary(mut numbers: Vec<f64>) -> (f64, (f64, f64)) {
    numbers.sort_by(f64::total_cmp);
    let last = numbers.len() - 1;
    (numbers[numbers.len() / 2], (numbers[0], numbers[last]))
}

/// The median of the subject's own costs.
pub fn median(pairs: &[(Duration, Duration)]) -> Duration {
    let mut own: Vec<_> = pairs.iter().map(|(ours, _)| *ours).collect();
    own.sort();
    own[own.len() / 2]
}
