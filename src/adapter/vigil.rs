//! Since when we look without a break, as long as the process itself is let run: a machine that slept and a process that
//! stood still have not looked, though nothing failed. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::gap;

/// Our own looks, as one stretch without a break.
#[derive(Debug, Default)]
pub(super) struct Vigil {
    /// The first look of the stretch and the last one.
    stretch: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// True where a look failed since the last one.
    failed: bool,
}

impl Vigil {
    /// A look failed.
    pub(super) fn failed(&mut self) {
        self.failed = true;
    }

    /// A look succeeded. Gives since when we look without a break, the longest of which is `limit`, and what the break
    /// before that is to be called.
    pub(super) fn looked(
        &mut self,
        at: DateTime<Utc>,
        limit: Duration,
    ) -> (DateTime<Utc>, &'static str) {
        let goes_on =
            |last: DateTime<Utc>| (at - last).to_std().map_or(true, |pause| pause < limit);
        let since = match self.stretch {
            Some((since, last)) if goes_on(last) => since,
            _ => at,
        };
        self.stretch = Some((since, at));
        let why = if std::mem::take(&mut self.failed) {
            gap::SOURCE_UNREACHABLE
        } else {
            gap::ADAPTER_DOWN
        };
        (since, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_as_long_as_the_limit_breaks_the_stretch() {
        let limit = Duration::from_secs(14);
        let at = |seconds: i64| DateTime::from_timestamp(1000 + seconds, 0).unwrap();
        let mut vigil = Vigil::default();
        for (look, since) in [
            (0, 0),
            (2, 0),
            (15, 0),
            (29, 29),
            (31, 29),
            (44, 29),
            (60, 60),
        ] {
            assert_eq!(
                vigil.looked(at(look), limit),
                (at(since), gap::ADAPTER_DOWN)
            );
        }
        // A clock that was put back breaks nothing.
        assert_eq!(vigil.looked(at(10), limit).0, at(60));
        vigil.failed();
        assert_eq!(
            vigil.looked(at(90), limit),
            (at(90), gap::SOURCE_UNREACHABLE)
        );
        assert_eq!(vigil.looked(at(120), limit), (at(120), gap::ADAPTER_DOWN));
    }
}
