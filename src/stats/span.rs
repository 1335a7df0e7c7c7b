//! Stretches of time, and what is left of one when others are taken away.

use chrono::{DateTime, Utc};

/// Milliseconds since the epoch of Unix.
pub(super) type Millis = i64;

/// Before everything.
pub(super) const EVER: Millis = i64::MIN / 4;
/// Behind everything.
pub(super) const NEVER: Millis = i64::MAX / 4;

/// A time in milliseconds.
pub(super) fn millis(at: DateTime<Utc>) -> Millis {
    at.timestamp_millis()
}

/// A time out of milliseconds.
pub(super) fn time(at: Millis) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at).unwrap_or_default()
}

/// From one moment up to another, which is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) from: Millis,
    pub(super) to: Millis,
}

impl Span {
    pub(super) fn new(from: Millis, to: Millis) -> Self {
        Self { from, to }
    }

    /// How long it is, in milliseconds.
    pub(super) fn length(self) -> u64 {
        u64::try_from(self.to.saturating_sub(self.from)).unwrap_or(0)
    }

    /// What lies within another one as well.
    pub(super) fn within(self, other: Self) -> Option<Self> {
        let (from, to) = (self.from.max(other.from), self.to.min(other.to));
        (from < to).then_some(Self { from, to })
    }

    /// Whether it holds a moment, its last one included.
    pub(super) fn holds(self, at: Millis) -> bool {
        self.from <= at && at <= self.to
    }
}

/// Several stretches, in order, none of which touches another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spans(Vec<Span>);

impl Spans {
    /// Whatever lies in any of these.
    pub(super) fn of(mut all: Vec<Span>) -> Self {
        all.retain(|span| span.from < span.to);
        all.sort_unstable();
        let mut out: Vec<Span> = Vec::with_capacity(all.len());
        for span in all {
            match out.last_mut() {
                Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
                _ => out.push(span),
            }
        }
        Self(out)
    }

    /// Each of them.
    pub(super) fn all(&self) -> impl Iterator<Item = Span> + '_ {
        self.0.iter().copied()
    }

    /// Whatever lies in one of both.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self::of(self.0.iter().chain(&other.0).copied().collect())
    }

    /// Those that have something of a stretch.
    fn near(&self, span: Span) -> impl Iterator<Item = Span> + '_ {
        let first = self.0.partition_point(|own| own.to <= span.from);
        self.0[first..]
            .iter()
            .copied()
            .take_while(move |own| own.from < span.to)
    }

    /// Whether something of a stretch lies in it.
    pub(super) fn touches(&self, span: Span) -> bool {
        self.near(span).next().is_some()
    }

    /// The pieces of a stretch that lie in none.
    pub(super) fn without(&self, span: Span) -> impl Iterator<Item = Span> + '_ {
        let mut at = span.from;
        let ends = self.near(span).map(|own| (own.from, own.to));
        let all = ends.chain(std::iter::once((span.to, span.to)));
        all.filter_map(move |(from, to)| {
            let piece = Span::new(at, from);
            at = at.max(to);
            (piece.from < piece.to).then_some(piece)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(all: &[(i64, i64)]) -> Vec<Span> {
        all.iter().map(|&(from, to)| Span::new(from, to)).collect()
    }

    #[test]
    fn what_overlaps_or_touches_is_one() {
        let all = Spans::of(spans(&[(8, 9), (1, 3), (2, 5), (5, 6), (7, 7)]));
        assert_eq!(all.0, spans(&[(1, 6), (8, 9)]));
    }

    #[test]
    fn what_is_left_of_a_stretch_has_holes_where_others_lie() {
        let all = Spans::of(spans(&[(1, 3), (5, 6), (9, 12)]));
        for (span, left) in [
            ((0, 10), vec![(0, 1), (3, 5), (6, 9)]),
            ((2, 5), vec![(3, 5)]),
            ((1, 3), vec![]),
            ((6, 9), vec![(6, 9)]),
            ((12, 14), vec![(12, 14)]),
        ] {
            let span = Span::new(span.0, span.1);
            assert_eq!(all.without(span).collect::<Vec<_>>(), spans(&left));
            let length: u64 = spans(&left).iter().map(|piece| piece.length()).sum();
            assert_eq!(all.touches(span), length < span.length());
        }
    }
}
