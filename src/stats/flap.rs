//! Flapping: so many crashes in so short a time that it is one trouble and not many.

use super::span::Millis;

/// So many crashes …
pub(super) const BURST: usize = 5;
/// … within so many milliseconds: ten minutes.
pub(super) const WINDOW: Millis = 10 * 60 * 1000;

/// How often a process began to flap, and whether it flaps at the end of the range.
///
/// It begins with a crash that is the fifth within ten minutes and ends ten minutes after its last crash.
pub(super) fn flaps(crashes: &[Millis], end: Millis) -> (u64, bool) {
    let (mut times, mut until) = (0, None);
    for (index, &at) in crashes.iter().enumerate() {
        let goes_on = until.is_some_and(|until| at <= until);
        let is_burst = index + 1 >= BURST && at - crashes[index + 1 - BURST] <= WINDOW;
        if !goes_on && is_burst {
            times += 1;
        }
        until = (goes_on || is_burst).then_some(at + WINDOW);
    }
    (times, until.is_some_and(|until| end <= until))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Millis = 60_000;

    fn told(minutes: &[i64], end: i64) -> (u64, bool) {
        let crashes: Vec<_> = minutes.iter().map(|at| at * MINUTE).collect();
        flaps(&crashes, end * MINUTE)
    }

    #[test]
    fn the_fifth_crash_within_ten_minutes_begins_it_and_ten_quiet_minutes_end_it() {
        assert_eq!(told(&[0, 1, 2, 3], 3), (0, false));
        assert_eq!(told(&[0, 1, 2, 3, 10], 20), (1, true));
        assert_eq!(told(&[0, 1, 2, 3, 10], 21), (1, false));
        assert_eq!(told(&[0, 1, 2, 3, 11], 11), (0, false));
        assert_eq!(told(&[0, 0, 0, 0, 0], 0), (1, true));
    }

    #[test]
    fn a_crash_before_the_end_goes_on_with_it_and_a_later_burst_is_another() {
        assert_eq!(told(&[0, 1, 2, 3, 4, 14, 24], 30), (1, true));
        assert_eq!(told(&[0, 1, 2, 3, 4, 15, 16, 17, 18, 19], 60), (2, false));
        // A single crash after it is none.
        assert_eq!(told(&[0, 1, 2, 3, 4, 40], 41), (1, false));
    }
}
