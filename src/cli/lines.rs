//! The lines an adapter says about itself: one when something happens, one when it is over, silence otherwise.

use std::time::Duration;

use tokio::time::Instant;

use crate::adapter::settings::Notice;
use crate::render::notice::{Away, Side, Standby, Told};

use super::terminal::words;

/// Makes lines of notices.
#[derive(Debug)]
pub(super) struct Lines {
    source: String,
    address: String,
    broker: String,
    verbose: bool,
    source_since: Option<Instant>,
    broker_since: Option<Instant>,
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
            broker_since: None,
        }
    }

    /// It was away from the start, which was said already.
    pub(super) fn broker_is_away(&mut self) {
        self.broker_since = Some(Instant::now());
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
                self.broker_since = Some(now);
                Some(self.away(Side::Broker).left(style, why))
            }
            Notice::BrokerBack { replayed } => {
                let after = passed(self.broker_since.take());
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
