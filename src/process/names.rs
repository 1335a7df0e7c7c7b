//! Finding a process by its name, and putting a look into name order, without sorting what is in order already.

use std::sync::Arc;

use crate::event::subject::fnv1a;

use super::reading::Reading;
use super::table::{Row, Table};

/// No row stands there.
const FREE: u32 = u32::MAX;

/// Where each name stands in the rows of a table: open addressing, twice as many slots as names.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    slots: Arc<[u32]>,
}

impl Names {
    /// The index of these rows; `before` where it already is.
    pub(super) fn of(rows: &[Arc<Row>], before: &Table) -> Self {
        let former = before.inner();
        let same = rows.len() == former.rows.len()
            && rows
                .iter()
                .zip(&former.rows)
                .all(|(now, then)| Arc::ptr_eq(now, then) || now.name == then.name);
        if same {
            return former.names.clone();
        }
        let mut slots = vec![FREE; (2 * rows.len()).next_power_of_two()];
        for (at, row) in rows.iter().enumerate() {
            let mut slot = first(&row.name, slots.len());
            while slots[slot] != FREE {
                slot = (slot + 1) % slots.len();
            }
            slots[slot] = u32::try_from(at).unwrap_or(FREE);
        }
        Self {
            slots: slots.into(),
        }
    }

    /// True where it knows no name.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Where the row of this name stands.
    pub(super) fn find(&self, rows: &[Arc<Row>], name: &str) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut slot = first(name, self.slots.len());
        loop {
            let at = usize::try_from(self.slots[slot]).ok()?;
            // The mark of a free slot is beyond every row.
            if *rows.get(at)?.name == *name {
                return Some(at);
            }
            slot = (slot + 1) % self.slots.len();
        }
    }
}

fn first(name: &str, slots: usize) -> usize {
    let hash = fnv1a(name.as_bytes());
    // The high half mixes best.
    usize::try_from(hash ^ (hash >> 32)).unwrap_or(0) & (slots - 1)
}

/// One process of a look or of the table before: the place of its reading and of its row, at least one of them.
pub(super) type Pair = (Option<usize>, Option<usize>);

/// Both sides in name order. Most names of a look stand in the table before, which is in order; only the others are
/// sorted.
pub(super) fn in_name_order(before: &Table, readings: &[Reading<'_>]) -> Vec<Pair> {
    let inner = before.inner();
    let mut known: Vec<Option<usize>> = vec![None; inner.rows.len()];
    let mut new = Vec::new();
    let mut next = 0;
    for (place, reading) in readings.iter().enumerate() {
        // Most looks name the processes in one order, and looking further on is cheaper than looking up.
        let same = |row: &Arc<Row>| *row.name == *reading.name;
        let found = inner.rows.get(next).is_some_and(same).then_some(next);
        match found.or_else(|| inner.names.find(&inner.rows, &reading.name)) {
            None => new.push(place),
            Some(row) => {
                next = row + 1;
                let other = known[row].filter(|&other| rank(&readings[other]) >= rank(reading));
                known[row] = other.or(Some(place));
            }
        }
    }
    new.sort_by(|&a, &b| {
        let (a, b) = (&readings[a], &readings[b]);
        a.name.cmp(&b.name).then_with(|| rank(b).cmp(&rank(a)))
    });
    new.dedup_by(|a, b| readings[*a].name == readings[*b].name);
    let mut pairs = Vec::with_capacity(known.len() + new.len());
    let mut new = new.into_iter().peekable();
    for (row, place) in known.into_iter().enumerate() {
        let name = &*inner.rows[row].name;
        while let Some(place) = new.next_if(|&place| *readings[place].name < *name) {
            pairs.push((Some(place), None));
        }
        pairs.push((place, Some(row)));
    }
    pairs.extend(new.map(|place| (Some(place), None)));
    pairs
}

/// Which of two readings of one name counts, in whatever order they came: the one that tells of more.
fn rank<'r>(reading: &'r Reading<'_>) -> (bool, i64, Option<i64>, i64, &'r str) {
    (
        reading.phase.is_alive(),
        reading.restarts,
        reading.pid,
        reading.exit_code,
        &*reading.status,
    )
}
