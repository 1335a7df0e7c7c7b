//! One source: where it was looked at, and where what was told about it is missing.

use crate::event::envelope::Envelope;
use crate::event::payload::Kind;

use super::span::{EVER, Millis, Span, Spans, millis};

/// What the number of an event says about those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It goes on behind the one before, or may do so.
    Next,
    /// It was read already.
    Again,
    /// It belongs to another memory than the one before.
    Anew,
}

/// What is known of a source's watching.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched {
    /// Journal, number and time of the event that was read last.
    last: Option<(String, u64, Millis)>,
    /// When it was looked at for the first time ever, where that was read.
    since: Option<Millis>,
    /// Until when it was looked at, as its head says.
    until: Option<Millis>,
    blind: Vec<Span>,
}

impl Watched {
    /// Takes the number of the next event, and the stretch where it tells one.
    pub(super) fn see(&mut self, event: &Envelope) -> Place {
        let told = millis(event.timestamp);
        let is_gap = event.kind == Kind::Gap;
        let before = self.last.as_ref().map(|(_, _, at)| *at);
        let place = match &self.last {
            Some((journal, seq, _)) if *journal == event.journal => {
                if event.seq <= *seq {
                    return Place::Again;
                }
                if event.seq > *seq + 1 {
                    self.blind_since(before, told);
                }
                Place::Next
            }
            Some(_) => {
                if event.seq != 1 || !is_gap {
                    self.blind_since(before, told);
                }
                Place::Anew
            }
            None => {
                if event.seq == 1 {
                    let gap = event.gap.as_ref();
                    self.since = Some(gap.map_or(told, |gap| millis(gap.to)));
                }
                Place::Next
            }
        };
        // Where a part was left out, everything was seen.
        if let Some(gap) = event.gap.as_ref().filter(|gap| !gap.is_left_out()) {
            let from = gap.from.map(millis).or(before);
            self.blind_since(from, millis(gap.to));
        }
        match &mut self.last {
            Some((journal, seq, at)) if *journal == event.journal => {
                (*seq, *at) = (event.seq, told);
            }
            last => *last = Some((event.journal.clone(), event.seq, told)),
        }
        place
    }

    fn blind_since(&mut self, from: Option<Millis>, to: Millis) {
        self.blind.push(Span::new(from.unwrap_or(EVER), to));
    }

    /// It was looked at until then, at least.
    pub(super) fn is_known_until(&mut self, at: Millis) {
        self.until = self.until.max(Some(at));
    }

    /// The part of a range in which it was looked at, where the stream holds everything since `kept`.
    pub(super) fn within(&self, range: Span, kept: Option<Millis>) -> Span {
        let since = self.since.max(kept).unwrap_or(EVER);
        let last = self.last.as_ref().map(|(_, _, at)| *at);
        let until = self.until.max(last).unwrap_or(EVER);
        let from = range.from.max(since).min(range.to);
        Span::new(from, range.to.min(until).max(from))
    }

    pub(super) fn blind(&self) -> Spans {
        Spans::of(self.blind.clone())
    }
}
