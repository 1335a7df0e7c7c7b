//! Processes that go on under another name: scaling a group renames its replicas while they run.

use std::collections::HashMap;
use std::sync::Arc;

use crate::event::payload::{CERTAIN, Kind, Occurred, Payload};

use super::diff::Look;
use super::event::{ProcessEvent, severity};
use super::reading::{Reading, Vitals};
use super::table::{Row, Table};

/// Names of running or ended processes that a look shows under another name: new name → row before.
pub(super) fn renames(
    before: &Table,
    readings: &[Reading<'_>],
    tag: u32,
) -> HashMap<String, Arc<Row>> {
    let listed = |name: &str| {
        readings
            .binary_search_by(|reading| (*reading.name).cmp(name))
            .is_ok()
    };
    let mut gone: HashMap<i64, &Arc<Row>> = HashMap::new();
    for row in &before.inner().rows {
        if let (Some(pid), true) = (row.pid, row.epoch == tag)
            && !listed(&row.name)
            // Pids come again: of two rows with the same one, it is that of the run that goes on.
            && (row.memory.open || !gone.contains_key(&pid))
        {
            gone.insert(pid, row);
        }
    }
    if gone.is_empty() {
        return HashMap::new();
    }
    let new = readings
        .iter()
        .filter(|reading| before.row(&reading.name).is_none());
    new.filter_map(|reading| {
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
    let kind = Kind::StatusChanged;
    let mut previous = former.as_previous();
    previous.name = Some(former.name.to_string());
    row.memory.process_seq = row.memory.process_seq.saturating_add(1);
    let payload = Payload {
        severity: severity(&kind, "renamed", &[], 1, look.ended),
        kind,
        state: row.state(&vitals),
        reason: "renamed".into(),
        certainty: CERTAIN,
        occurred: Occurred {
            after: look.after.map(|after| after.min(look.ended)),
            before: look.ended,
            at: None,
        },
        exit: None,
        count: 1,
        previous: Some(previous),
        process_seq: row.memory.process_seq,
    };
    ProcessEvent { payload }
}
