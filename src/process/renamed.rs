//! Processes that go on under another name: scaling a group renames its replicas while they run.

use std::collections::HashMap;
use std::sync::Arc;

use crate::event::payload::{CERTAIN, Kind};

use super::diff::Look;
use super::event::ProcessEvent;
use super::names::Pair;
use super::reading::{Reading, Vitals};
use super::table::{Row, Table};
use super::told::Told;

/// Names of running or ended processes that a look shows under another name: new name → row before.
pub(super) fn renames(
    before: &Table,
    readings: &[Reading<'_>],
    pairs: &[Pair],
    tag: u32,
) -> HashMap<String, Arc<Row>> {
    let mut gone: HashMap<i64, &Arc<Row>> = HashMap::new();
    for row in pairs.iter().filter(|pair| pair.0.is_none()) {
        let Some(row) = row.1.map(|row| &before.inner().rows[row]) else {
            continue;
        };
        if let (Some(pid), true) = (row.pid, row.epoch == tag)
            // Pids come again: of two rows with the same one, it is that of the run that goes on.
            && (row.memory.open || !gone.contains_key(&pid))
        {
            gone.insert(pid, row);
        }
    }
    if gone.is_empty() {
        return HashMap::new();
    }
    let new = pairs.iter().filter(|pair| pair.1.is_none());
    new.filter_map(|pair| {
        let reading = &readings[pair.0?];
        let pid = reading.pid?;
        // Under the pid of a run that has ended nothing goes on: that is another process.
        let row = gone
            .get(&pid)
            .filter(|row| row.memory.open || !reading.phase.is_alive())?;
        let row = Arc::clone(row);
        gone.remove(&pid);
        Some((reading.name.clone().into_owned(), row))
    })
    .collect()
}

/// Tells the new name of a row and nothing else.
pub(super) fn tell_new_name(
    row: &mut Row,
    former: &Row,
    vitals: Vitals,
    look: &Look<'_>,
) -> ProcessEvent {
    let mut previous = former.as_previous();
    previous.name = Some(former.name.to_string());
    Told::new(Kind::StatusChanged, "renamed", CERTAIN, look.ended).number(
        row,
        &vitals,
        Some(previous),
        look,
    )
}
