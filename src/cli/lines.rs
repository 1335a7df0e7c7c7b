//! The lines an adapter says about itself: one when something happens, one when it is over, silence otherwise.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::adapter::settings::Notice;
use crate::render::notice::{Away, Side, Standby, Told};

use super::terminal::words;

/// What several that tell into one broker say of it in common: that it left is said once, and that it is back when the
/// last of them has found it back.
#[derive(Debug, Clone, Default)]
pub(super) struct Common(Arc<Mutex<Absence>>);

#[derive(Debug, Default)]
struct Absence {
    missing: usize,
    replayed: u64,
    since: Option<Instant>,
}

impl Common {
    /// Whether this is the first of them that misses it.
    fn left(&self, now: Instant) -> bool {
        let mut absence = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        absence.missing += 1;
        absence.since.get_or_insert(now);
        absence.missing == 1
    }

    /// Where this is the last that missed it: since when, and what waited in all of them.
    fn back(&self, replayed: u64) -> Option<(Option<Instant>, u64)> {
        let mut absence = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        absence.missing = absence.missing.saturating_sub(1);
        absence.replayed += replayed;
        if absence.missing > 0 {
            return None;
        }
        let all = std::mem::take(&mut *absence);
        Some((all.since, all.replayed))
    }
}

/// Makes lines of notices.
#[derive(Debug)]
pub(super) struct Lines {
    common: Common,
    source: String,
    address: String,
    broker: String,
    verbose: bool,
    source_since: Option<Instant>,
    is_broker_away: bool,
}

impl Lines {
    /// Lines for this source, at this address, told to this broker.
    pub(super) fn new([source, address, broker]: [String; 3], verbose: bool) -> Self {
        Self {
            source,
            address,
            broker,
            verbose,
            source_since: None,
            is_broker_away: false,
            common: Common::default(),
        }
    }

    /// Speaks of the broker together with others.
    pub(super) fn together(mut self, common: Common) -> Self {
        self.common = common;
        self
    }

    /// It was away from the start, which was said already.
    pub(super) fn broker_is_away(&mut self) {
        if !std::mem::replace(&mut self.is_broker_away, true) {
            self.common.left(Instant::now());
        }
    }

    /// The line for a notice, if it is worth one.
    pub(super) fn line(&mut self, notice: &Notice) -> Option<String> {
        let style = words();
        let now = Instant::now();
        let passed = |since: Option<Instant>| since.map_or(Duration::ZERO, |since| now - since);
        match notice {
            Notice::SourceAway { why, .. } => {
                self.source_since = Some(now);
                Some(self.away(Side::Source).left(style, why))
            }
            Notice::SourceBack => {
                let after = passed(self.source_since.take());
                Some(self.away(Side::Source).back(style, after))
            }
            Notice::BrokerAway { why } => {
                let missed = std::mem::replace(&mut self.is_broker_away, true);
                let is_first = !missed && self.common.left(now);
                is_first.then(|| self.away(Side::Broker).left(style, why))
            }
            Notice::BrokerBack { replayed } => {
                // Whoever never missed it must not be counted as one who found it back.
                if !std::mem::take(&mut self.is_broker_away) {
                    return None;
                }
                let (since, replayed) = self.common.back(*replayed)?;
                let after = passed(since);
                let back = self.away(Side::Broker).back(style, after);
                Some(format!(
                    "{}; {replayed} events that waited are told now",
                    back.trim_end()
                ))
            }
            Notice::GivenUp { events } => Some(format!(
                "{}: {events} events were not told; the next start tells the difference",
                self.source
            )),
            Notice::Spooled { events, path } => Some(format!(
                "{}: {events} events wait in the spool at {}",
                self.source,
                style.clean(&path.display().to_string(), 400)
            )),
            Notice::SpoolFails { why } => Some(format!(
                "{}: what waits cannot be written to {}; memory keeps a little of it",
                self.source,
                style.clean(why, 400)
            )),
            Notice::TakenOver { line } => Some(line.clone()),
            Notice::StandingBy { owner } => Some(self.standby(owner).begins(style)),
            Notice::TookOver { from, still } => Some(self.standby(from).takes_over(style, *still)),
            Notice::LooksAgain => Some(self.standby("").looks_again(style)),
            _ if self.verbose => self.verbose_line(notice),
            _ => None,
        }
    }

    fn verbose_line(&self, notice: &Notice) -> Option<String> {
        let source = &self.source;
        match notice {
            Notice::Committed {
                events, seq, took, ..
            } if *events > 0 => {
                let first = seq.saturating_sub(u64::try_from(*events).unwrap_or(1) - 1);
                let told = Told {
                    source,
                    seq: (first, *seq),
                    kinds: &[],
                    took: *took,
                };
                Some(told.line(words()))
            }
            Notice::GapTold { why, .. } => Some(format!("{source}: a gap was told: {why}")),
            Notice::Rebased(cause) => Some(format!("{source}: went on from the head: {cause:?}")),
            _ => None,
        }
    }

    fn standby<'a>(&'a self, other: &'a str) -> Standby<'a> {
        Standby {
            source: &self.source,
            other,
        }
    }

    fn away(&self, side: Side) -> Away<'_> {
        let name = match side {
            Side::Source => &self.address,
            Side::Broker => &self.broker,
        };
        Away { side, name }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if self.is_broker_away {
            self.common.back(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_that_miss_one_broker_say_so_once_and_that_it_is_back_when_the_last_has_it() {
        let common = Common::default();
        let lines = |name: &str| {
            let names = [name, "h:1", "nats://b"].map(str::to_owned);
            Lines::new(names, false).together(common.clone())
        };
        let (mut one, mut other, mut third) = (lines("a"), lines("b"), lines("c"));
        let away = Notice::BrokerAway { why: "x".into() };
        assert!(one.line(&away).unwrap().contains("nats://b"));
        assert_eq!(other.line(&away), None);
        assert_eq!(third.line(&away), None);
        assert_eq!(one.line(&Notice::BrokerBack { replayed: 3 }), None);
        drop(third);
        let back = other.line(&Notice::BrokerBack { replayed: 4 }).unwrap();
        assert!(back.contains("7 events"), "{back}");
        assert!(one.line(&away).is_some());
    }

    #[test]
    fn one_that_never_missed_the_broker_does_not_find_it_back_for_the_others() {
        let common = Common::default();
        let lines = |name: &str| {
            let names = [name, "h:1", "nats://b"].map(str::to_owned);
            Lines::new(names, false).together(common.clone())
        };
        let (mut one, mut late, mut never) = (lines("a"), lines("b"), lines("c"));
        let back = |replayed| Notice::BrokerBack { replayed };
        assert!(one.line(&Notice::BrokerAway { why: "x".into() }).is_some());
        late.broker_is_away();
        assert_eq!(never.line(&back(1)), None);
        assert_eq!(one.line(&back(2)), None, "one more misses it");
        let line = late.line(&back(3)).unwrap();
        assert!(line.contains("5 events"), "{line}");
    }
}
