//! The rows of a head as they were last committed, in shards, encoded, so that a commit writes only what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::event::store::{Ground, ShardPlace};
use crate::event::subject::fnv1a;
use crate::event::tell::Rows;

/// The most bytes of a shard, while there may be more shards.
pub(super) const SHARD_BYTES: usize = 128_000;
/// The most shards: together with the root and some events they fit one commit. Beyond that shards grow.
pub(super) const MAX_SHARDS: usize = 512;
/// A shard is written again at this age, because a full stream drops its oldest messages, whatever they are.
const REWRITE_AFTER: Duration = Duration::from_secs(6 * 3600);
/// At most so many shards are written again in one commit only because of their age or place.
const REWRITE_AT_ONCE: usize = 16;

/// One encoded row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) bytes: Arc<[u8]>,
    pub(super) revision: u64,
}

/// What becomes of a row: its new text, or nothing where it is gone.
pub(super) type Change = (Arc<str>, Option<Row>);

/// What becomes of rows.
pub(super) type Changes = BTreeMap<Arc<str>, Option<Row>>;

#[derive(Debug, Default)]
struct Shard {
    rows: BTreeMap<Arc<str>, Row>,
    /// Its sequence in the stream; 0 where it has to be written.
    place: u64,
    /// When we wrote it; none where that is not known.
    written: Option<Instant>,
}

impl Shard {
    fn is_old(&self, now: Instant) -> bool {
        self.written
            .is_none_or(|written| now.duration_since(written) >= REWRITE_AFTER)
    }
}

/// The committed rows.
#[derive(Debug)]
pub(super) struct Table {
    shards: Vec<Shard>,
    /// Shards at sequences below this one will soon be dropped by a stream that is full.
    safe_from: u64,
}

/// The shards that one commit writes.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    count: usize,
    pub(super) shards: BTreeMap<u32, Vec<u8>>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            shards: vec![Shard::default()],
            safe_from: 0,
        }
    }
}

impl Plan {
    /// Hands out the texts. What is left is enough to take the commit over, whenever it turns out to be stored.
    pub(super) fn send(&mut self) -> BTreeMap<u32, Bytes> {
        let shards = self.shards.iter_mut();
        shards
            .map(|(number, text)| (*number, std::mem::take(text).into()))
            .collect()
    }
}

impl Table {
    /// The table of a state as it was just read from a head whose shards stand at these sequences.
    pub(super) fn of<R: Rows>(rows: &R, state: &R::State, places: &[u64]) -> Self {
        let count = places.len().clamp(1, MAX_SHARDS).next_power_of_two();
        let mut table = Self {
            shards: (0..count).map(|_| Shard::default()).collect(),
            safe_from: 0,
        };
        for (key, row) in changes(rows, state, &BTreeMap::new()) {
            if let Some(row) = row {
                table.shards[shard_of(&key, count)].rows.insert(key, row);
            }
        }
        // Another number of shards than we would make: all are written again.
        if places.len() == count {
            for (shard, &place) in table.shards.iter_mut().zip(places) {
                shard.place = place;
            }
        }
        table
    }

    /// A table of these rows, of which nobody knows where they stand in the stream.
    pub(super) fn of_rows(rows: BTreeMap<Arc<str>, Row>) -> Self {
        let shard = Shard {
            rows,
            ..Shard::default()
        };
        Self {
            shards: vec![shard],
            safe_from: 0,
        }
    }

    /// Takes over rows that were committed by somebody whose plan is not known: their shards are written again with the
    /// next commit.
    pub(super) fn absorb(&mut self, changes: impl IntoIterator<Item = Change>) {
        for (key, row) in changes {
            let number = self.shard_of(&key);
            let shard = &mut self.shards[number];
            shard.place = 0;
            match row {
                Some(row) => shard.rows.insert(key, row),
                None => shard.rows.remove(&key),
            };
        }
    }

    /// True where there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.rows.is_empty())
    }

    /// The shard a key belongs to.
    pub(super) fn shard_of(&self, key: &str) -> usize {
        shard_of(key, self.shards.len())
    }

    /// All rows, in no order that means anything.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Arc<str>, &Row)> {
        self.shards.iter().flat_map(|shard| &shard.rows)
    }

    /// Takes note of where the shards of a head stand that somebody else may have written: one that stands elsewhere
    /// holds what we do not know and is written again with the next commit.
    pub(super) fn relocate(&mut self, places: &[u64]) {
        let same = places.len() == self.shards.len();
        for (number, shard) in self.shards.iter_mut().enumerate() {
            if !same || places[number] != shard.place {
                shard.place = 0;
            }
        }
    }

    /// Lets every shard be written again with the next commit.
    pub(super) fn distrust(&mut self) {
        self.relocate(&[]);
    }

    /// The number of shards.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.shards.len()).unwrap_or(u32::MAX)
    }

    /// Takes note of how the shards stand: those that are lost, or will be soon, are written again.
    pub(super) fn stand(&mut self, ground: &Ground) {
        self.safe_from = ground.safe_from;
        for (number, shard) in (0..).zip(&mut self.shards) {
            if ground.lost.contains(&number) {
                shard.place = 0;
            }
        }
    }

    /// True where the stream will soon drop what stands at this sequence.
    pub(super) fn is_in_danger(&self, place: u64) -> bool {
        (1..self.safe_from).contains(&place)
    }

    /// True where a shard will soon be dropped.
    pub(super) fn has_shard_in_danger(&self) -> bool {
        self.shards
            .iter()
            .any(|shard| self.is_in_danger(shard.place))
    }

    /// What a commit with these changes has to write.
    pub(super) fn plan(&self, changes: &Changes, now: Instant) -> Plan {
        let mut count = self.shards.len();
        loop {
            let plan = self.plan_for(count, changes, now);
            if count >= MAX_SHARDS || !plan.shards.values().any(|text| is_too_large(text)) {
                return plan;
            }
            count *= 2;
        }
    }

    fn plan_for(&self, count: usize, changes: &Changes, now: Instant) -> Plan {
        let mut due: BTreeSet<usize> = changes.keys().map(|key| shard_of(key, count)).collect();
        if count == self.shards.len() {
            let old = self.shards.iter().enumerate();
            let (lost, rest): (Vec<_>, Vec<_>) = old.partition(|(_, shard)| shard.place == 0);
            let is_due = |shard: &Shard| shard.is_old(now) || self.is_in_danger(shard.place);
            let mut old: Vec<_> = rest.into_iter().filter(|(_, s)| is_due(s)).collect();
            // The stream drops its oldest message first.
            old.sort_unstable_by_key(|(_, shard)| shard.place);
            old.truncate(REWRITE_AT_ONCE);
            due.extend(lost.into_iter().chain(old).map(|(i, _)| i));
        } else {
            due.extend(0..count);
        }
        let mut texts: BTreeMap<usize, Vec<u8>> = due.iter().map(|&i| (i, vec![])).collect();
        let kept = (self.shards.iter().enumerate())
            .filter(|(i, _)| due.contains(i))
            .flat_map(|(_, shard)| &shard.rows)
            .filter(|(key, _)| !changes.contains_key(*key));
        let new = changes
            .iter()
            .filter_map(|(k, row)| Some((k, row.as_ref()?)));
        for (key, row) in kept.chain(new) {
            if let Some(text) = texts.get_mut(&shard_of(key, count)) {
                text.extend_from_slice(&row.bytes);
                text.push(b'\n');
            }
        }
        let number = |i: usize| u32::try_from(i).unwrap_or(u32::MAX);
        Plan {
            count,
            shards: texts.into_iter().map(|(i, t)| (number(i), t)).collect(),
        }
    }

    /// Where the root of a commit says that the shards stand.
    pub(super) fn places(&self, plan: &Plan) -> Vec<ShardPlace> {
        let mut behind = 0;
        (0..plan.count)
            .map(|i| {
                let number = u32::try_from(i).unwrap_or(u32::MAX);
                if plan.shards.contains_key(&number) {
                    behind += 1;
                    ShardPlace::Behind(behind)
                } else {
                    ShardPlace::At(self.shards.get(i).map_or(0, |shard| shard.place))
                }
            })
            .collect()
    }

    /// Takes over a commit that was acknowledged with its root at this sequence.
    pub(super) fn apply(
        &mut self,
        changes: impl IntoIterator<Item = Change>,
        plan: &Plan,
        (root, now): (u64, Instant),
    ) {
        let places = self.places(plan);
        if plan.count != self.shards.len() {
            let old = std::mem::take(&mut self.shards);
            self.shards = (0..plan.count).map(|_| Shard::default()).collect();
            for (key, row) in old.into_iter().flat_map(|shard| shard.rows) {
                let shard = self.shard_of(&key);
                self.shards[shard].rows.insert(key, row);
            }
        }
        for (key, row) in changes {
            let shard = self.shard_of(&key);
            let rows = &mut self.shards[shard].rows;
            match row {
                Some(row) => rows.insert(key, row),
                None => rows.remove(&key),
            };
        }
        for (shard, place) in self.shards.iter_mut().zip(places) {
            if matches!(place, ShardPlace::Behind(_)) {
                shard.written = Some(now);
            }
            shard.place = place.resolve(root);
        }
    }
}

/// The revision of each row of a state.
pub(super) fn revisions<R: Rows>(rows: &R, state: &R::State) -> BTreeMap<Arc<str>, u64> {
    let mut all = BTreeMap::new();
    rows.visit(state, &mut |key, revision| {
        all.insert(Arc::from(key), revision);
    });
    all
}

/// The rows of a state that differ from those with these revisions.
pub(super) fn changes<R: Rows>(
    rows: &R,
    state: &R::State,
    known: &BTreeMap<Arc<str>, u64>,
) -> Changes {
    let mut found = Changes::new();
    let (mut fresh, mut gone) = (Vec::new(), Vec::new());
    // Both are in key order.
    let mut known = known.iter().peekable();
    rows.visit(state, &mut |key, revision| {
        while let Some((former, _)) = known.next_if(|(known, _)| ***known < *key) {
            gone.push(Arc::clone(former));
        }
        match known.next_if(|(known, _)| ***known == *key) {
            Some((_, same)) if *same == revision => {}
            Some((key, _)) => fresh.push((Arc::clone(key), revision)),
            None => fresh.push((Arc::from(key), revision)),
        }
    });
    gone.extend(known.map(|(key, _)| Arc::clone(key)));
    // What is there counts, should a domain ever name its rows in another order.
    found.extend(gone.into_iter().map(|key| (key, None)));
    let mut text = Vec::new();
    for (key, revision) in fresh {
        text.clear();
        rows.encode(state, &key, &mut text);
        let bytes = text.as_slice().into();
        found.insert(key, Some(Row { bytes, revision }));
    }
    found
}

/// True for a shard that more shards would make smaller; a single large row stays one.
fn is_too_large(text: &[u8]) -> bool {
    text.len() > SHARD_BYTES && text.split(|&byte| byte == b'\n').nth(2).is_some()
}

/// Where a key stands in an order in which, however many shards there are, the keys of each stand together.
pub(super) fn place(key: &str) -> u64 {
    fnv1a(key.as_bytes()).reverse_bits()
}

fn shard_of(key: &str, count: usize) -> usize {
    let mask = u64::try_from(count - 1).unwrap_or(u64::MAX);
    usize::try_from(fnv1a(key.as_bytes()) & mask).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use crate::event::tell::{Restored, RowError};

    use super::*;

    /// Names its rows in the order in which they stand.
    struct Listed;

    impl Rows for Listed {
        type State = Vec<(&'static str, u64)>;

        fn visit(&self, state: &Self::State, each: &mut dyn FnMut(&str, u64)) {
            for (key, revision) in state {
                each(key, *revision);
            }
        }

        fn encode(&self, _: &Self::State, key: &str, out: &mut Vec<u8>) {
            out.extend_from_slice(key.as_bytes());
        }

        fn decode(
            &self,
            _: &mut dyn Iterator<Item = &[u8]>,
            _: Restored<'_>,
        ) -> Result<Self::State, RowError> {
            Ok(Vec::new())
        }
    }

    fn found(state: &[(&'static str, u64)]) -> String {
        let known = [("b", 1), ("d", 1), ("f", 1)].map(|(key, revision)| (key.into(), revision));
        let found = changes(&Listed, &state.to_vec(), &known.into());
        let word = |(key, row): (&Arc<str>, &Option<Row>)| match row {
            Some(row) => format!("{key}{} ", row.revision),
            None => format!("-{key} "),
        };
        found.iter().map(word).collect()
    }

    #[test]
    fn what_is_new_what_is_other_and_what_is_gone_is_found() {
        assert_eq!(found(&[("b", 1), ("d", 1), ("f", 1)]), "");
        assert_eq!(
            found(&[("a", 5), ("d", 2), ("f", 1), ("g", 1)]),
            "a5 -b d2 g1 "
        );
        assert_eq!(found(&[]), "-b -d -f ");
        assert_eq!(found(&[("d", 1)]), "-b -f ");
    }

    #[test]
    fn rows_in_another_order_are_written_again_and_none_that_is_there_is_taken_for_gone() {
        assert_eq!(found(&[("f", 1), ("d", 1), ("b", 1)]), "b1 d1 ");
    }
}
