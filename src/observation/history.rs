//! The bounded ring of what was told. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use super::delta::{Delta, Seq};
use super::schedule::Keep;

/// Weighs one event in bytes, what it owns on the heap included.
pub type Weigh<E> = Arc<dyn Fn(&E) -> usize + Send + Sync>;

/// The newest deltas, bounded by number and weight; the very newest is kept whatever its weight.
pub struct History<E> {
    keep: Keep,
    weigh: Weigh<E>,
    ring: VecDeque<(usize, Arc<Delta<E>>)>,
    bytes: usize,
    last: u64,
}

/// Deltas out of the history.
#[derive(Debug)]
pub struct Replay<E> {
    /// In order and without holes among them.
    pub deltas: Vec<Arc<Delta<E>>>,
    /// Whether some that belong before these are no longer kept.
    pub forgotten: bool,
}

/// What a cursor finds behind itself.
pub(super) enum Next<E> {
    Delta(Arc<Delta<E>>),
    Missed(u64),
    Nothing,
}

impl<E> History<E> {
    /// An empty history with these bounds.
    pub fn new(keep: Keep, weigh: Weigh<E>) -> Self {
        Self {
            keep,
            weigh,
            ring: VecDeque::new(),
            bytes: 0,
            last: 0,
        }
    }

    /// Keeps one more delta and forgets the oldest ones that find no room any more.
    pub fn push(&mut self, delta: Arc<Delta<E>>) {
        let events: usize = delta.events.iter().map(|event| (self.weigh)(event)).sum();
        let weight = events.saturating_add(size_of::<Delta<E>>());
        self.last = delta.seq.get();
        self.bytes = self.bytes.saturating_add(weight);
        self.ring.push_back((weight, delta));
        while self.ring.len() > 1
            && (self.ring.len() > self.keep.deltas || self.bytes > self.keep.bytes)
        {
            if let Some((weight, _)) = self.ring.pop_front() {
                self.bytes -= weight;
            }
        }
    }

    /// The number of the newest delta.
    pub fn last(&self) -> Option<Seq> {
        (self.last > 0).then(|| Seq::new(self.last))
    }

    /// The weight of what is kept, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The kept deltas behind `since`, or all of them. A number that was never given is from another
    /// run: everything is replayed, and called incomplete.
    pub fn since(&self, since: Option<Seq>) -> Replay<E> {
        let cursor = self.cursor(since);
        let skip = usize::try_from(cursor.saturating_sub(self.forgotten())).unwrap_or(usize::MAX);
        Replay {
            deltas: self
                .ring
                .iter()
                .skip(skip)
                .map(|(_, delta)| Arc::clone(delta))
                .collect(),
            forgotten: cursor < self.forgotten() || since.is_some_and(|seq| seq.get() != cursor),
        }
    }

    /// Where a reader that has read up to `since` stands.
    pub(super) fn cursor(&self, since: Option<Seq>) -> u64 {
        since
            .map(Seq::get)
            .filter(|seq| *seq <= self.last)
            .unwrap_or(0)
    }

    /// What stands behind a cursor.
    pub(super) fn behind(&self, cursor: u64) -> Next<E> {
        let Some(ahead) = cursor.checked_sub(self.forgotten()) else {
            return Next::Missed(self.forgotten() - cursor);
        };
        let found = usize::try_from(ahead)
            .ok()
            .and_then(|ahead| self.ring.get(ahead));
        found.map_or(Next::Nothing, |(_, delta)| Next::Delta(Arc::clone(delta)))
    }

    /// How many deltas are no longer kept.
    fn forgotten(&self) -> u64 {
        self.last - self.ring.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::super::delta::Origin;
    use super::*;

    fn delta(seq: u64, weights: &[usize]) -> Arc<Delta<usize>> {
        Arc::new(Delta {
            epoch: "e".into(),
            seq: Seq::new(seq),
            origin: Origin::Change,
            at: DateTime::UNIX_EPOCH,
            after: None,
            events: Arc::new(weights.to_vec()),
        })
    }

    fn history(deltas: usize, bytes: usize) -> History<usize> {
        History::new(Keep { deltas, bytes }, Arc::new(|weight| *weight))
    }

    fn numbers(replay: &Replay<usize>) -> Vec<u64> {
        replay.deltas.iter().map(|delta| delta.seq.get()).collect()
    }

    #[test]
    fn a_history_says_whether_it_has_forgotten_what_was_asked_for() {
        let mut history = history(3, usize::MAX);
        assert!(!history.since(None).forgotten);
        for seq in 1..=5 {
            history.push(delta(seq, &[1]));
        }
        let told = |since: Option<u64>| {
            let replay = history.since(since.map(Seq::new));
            (numbers(&replay), replay.forgotten)
        };
        assert_eq!(told(None), (vec![3, 4, 5], true));
        assert_eq!(told(Some(1)), (vec![3, 4, 5], true));
        assert_eq!(told(Some(2)), (vec![3, 4, 5], false));
        assert_eq!(told(Some(4)), (vec![5], false));
        assert_eq!(told(Some(5)), (vec![], false));
        assert_eq!(
            told(Some(6)),
            (vec![3, 4, 5], true),
            "a number of another run"
        );
    }

    #[test]
    fn a_delta_heavier_than_the_whole_history_is_kept_alone() {
        let mut history = history(10, 4096);
        history.push(delta(1, &[10]));
        history.push(delta(2, &[1_000_000]));
        assert_eq!(numbers(&history.since(None)), [2]);
        history.push(delta(3, &[10]));
        assert_eq!(numbers(&history.since(None)), [3]);
    }

    proptest! {
        #[test]
        fn bounds_hold_and_a_cursor_meets_every_number_once(
            weights in proptest::collection::vec(0_usize..3000, 1..80),
            keep in 1_usize..20,
        ) {
            let mut history = history(keep, 9000);
            let (mut cursor, mut met) = (0, 0);
            for (index, weight) in weights.iter().enumerate() {
                let seq = index as u64 + 1;
                history.push(delta(seq, &[*weight]));
                let kept = history.since(None).deltas.len();
                prop_assert!(kept <= keep && (history.bytes() <= 9000 || kept == 1));
                if seq.is_multiple_of(7) {
                    loop {
                        match history.behind(cursor) {
                            Next::Delta(delta) => {
                                prop_assert_eq!(delta.seq.get(), cursor + 1);
                                cursor += 1;
                                met += 1;
                            }
                            Next::Missed(missed) => {
                                cursor += missed;
                                met += missed;
                            }
                            Next::Nothing => break,
                        }
                    }
                    prop_assert_eq!((cursor, met), (seq, seq));
                }
            }
        }
    }
}
