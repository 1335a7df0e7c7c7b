//! What a moment looks like where events were left out: who may have changed unseen is not known, unless the numbers of its
//! events, or what came next, prove how it stood.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{Course, Stood};
use crate::event::envelope::Envelope;
use crate::event::sieve::Whom;
use crate::process::moment::Found;
use crate::process::table::{Row, Table};

/// One process, and what is known of it on both sides of the moment.
struct Sides<'a> {
    last: Option<&'a Stood>,
    next: Option<&'a Envelope>,
    row: Option<&'a Row>,
}

impl Sides<'_> {
    /// Whether nothing of the process was left out between what is told on the two sides: their numbers follow each other.
    fn is_whole(&self) -> bool {
        // Whatever was never told of had no event before its first.
        let before = self.last.map_or(Some(0), |last| last.number);
        let after = match (self.next, self.row) {
            (Some(next), _) => next.process_seq.and_then(|number| number.checked_sub(1)),
            (None, Some(row)) => Some(row.memory.process_seq),
            (None, None) => None,
        };
        before.is_some() && before == after
    }

    /// How it stood as what came next tells it; nothing where it was not there.
    fn told_from_behind(&self) -> Option<Found> {
        match (self.next, self.row) {
            (Some(next), _) => {
                let state = next.state.as_ref()?;
                let previous = next.previous.as_ref()?;
                let found = Found::before(state, next, previous);
                (*found.name == *state.name).then_some(found)
            }
            (None, Some(row)) => Some(Found::of_row(row, None)),
            (None, None) => None,
        }
    }

    /// Whoever knows anything of it, as they know it.
    fn known(&self) -> Vec<Found> {
        let last = self.last.and_then(|last| last.found.clone());
        let next = self
            .next
            .and_then(|next| Some(Found::of_event(next.state.clone()?, next, false)));
        let row = self.row.map(|row| Found::of_row(row, None));
        [last, next, row].into_iter().flatten().collect()
    }

    /// Whether the head goes on with what was told, or an event does: else nobody says what came of it.
    fn goes_on(&self, table: Option<&Table>) -> bool {
        table.is_some() || self.next.is_some()
    }
}

impl Course {
    /// Corrects what the events and the head seem to say, where something may have been left out in between. The table is
    /// that of the head, where it goes on with what was told.
    pub(super) fn veil(
        &self,
        processes: &mut BTreeMap<String, Found>,
        at: DateTime<Utc>,
        table: Option<&Table>,
    ) {
        let rows = table.into_iter().flat_map(Table::rows);
        let names: BTreeSet<&str> = (self.stood.keys().chain(self.next.keys()))
            .map(String::as_str)
            .chain(rows.map(|row| &*row.name))
            .collect();
        for name in names {
            let sides = Sides {
                last: self.stood.get(name),
                next: self.next.get(name),
                row: table.and_then(|table| table.row(name)),
            };
            let known = sides.known();
            let Some(any) = known.first().cloned() else {
                continue;
            };
            let whoms = whoms(&known);
            let covers = |from, to| whoms.iter().any(|whom| self.veils.cover(whom, from, to));
            let last = sides.last.map(|last| last.at);
            let next = sides
                .next
                .map_or(DateTime::<Utc>::MAX_UTC, |next| next.timestamp);
            // What was told last holds as far as everything is told.
            if sides.is_whole() || last.is_some_and(|last| last >= at || !covers(last, at)) {
                continue;
            }
            let found = if covers(at, next) || (last.is_some() && !sides.goes_on(table)) {
                let last = sides.last.and_then(|last| last.found.clone());
                Some(unknown(last, any))
            } else if last.is_some() {
                sides.told_from_behind()
            } else {
                // Nothing was told of it before, and what is known comes from behind already.
                continue;
            };
            match found {
                Some(found) => processes.insert(name.to_owned(), found),
                None => processes.remove(name),
            };
        }
    }
}

/// As it was told last, where it was.
fn unknown(last: Option<Found>, any: Found) -> Found {
    let found = last.map_or_else(|| Found::nothing(any), Found::no_longer_seen);
    Found {
        left_out: true,
        ..found
    }
}

/// A process as each of them knows it. A group is learned late, so who does not know it is told by the others.
fn whoms(known: &[Found]) -> Vec<Whom<'_>> {
    let group = known.iter().find_map(|found| found.group.as_deref());
    let whoms = known.iter().map(|found| Whom {
        name: &found.name,
        group: found.group.as_deref().or(group),
        namespaces: found.namespaces.iter().map(AsRef::as_ref).collect(),
    });
    whoms.collect()
}
