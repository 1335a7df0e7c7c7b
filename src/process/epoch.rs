//! A new epoch: the supervisor itself began again, and with it everything it runs.
//!
//! Pids and counters of the former epoch say nothing about the new one. Per process one thing is told of what lies
//! between, and of a run that began and ended in the new epoch before anybody looked, that it did.

use crate::event::payload::{CERTAIN, INFERRED, Kind};

use super::first::{all_new, blank, end};
use super::phase::Phase;
use super::table::Row;
use super::tale::Tale;
use super::told::Told;

/// Tells what became of a process of the former epoch.
pub(super) fn entered(tale: &mut Tale<'_>, before: &Row) {
    const REASON: &str = "source_restarted";
    let reading = tale.reading;
    let limit = tale.look.ended;
    let alive = reading.phase.is_alive();
    let ran = reading.pid.is_some() && reading.phase.is_over() && !reading.unmet;
    match (before.memory.open, alive) {
        (true, true) => tale.push(&Told::new(Kind::Restarted, REASON, CERTAIN, limit), None),
        (false, true) => tale.push(&Told::new(Kind::Started, REASON, CERTAIN, limit), None),
        (open, false) if ran => {
            let kind = if open { Kind::Restarted } else { Kind::Started };
            tale.push(&Told::new(kind, REASON, INFERRED, limit), None);
            let told = end(tale);
            tale.push(&told, None);
        }
        // It may live on as an orphan.
        (true, false) => tale.push(&Told::new(Kind::Stopped, REASON, INFERRED, limit), None),
        (false, false) => {}
    }
    if reading.phase == Phase::Failed {
        tale.spawn_failed(CERTAIN);
    } else {
        tale.status(before);
    }
    let blank = blank(tale);
    tale.remember_run(&blank, &all_new(tale), alive);
    tale.row.memory.open = alive;
    tale.row.memory.counted = reading.restarts;
    tale.row.memory.mark = tale
        .evidence
        .trail(&reading.name, before.memory.mark)
        .frames
        .last()
        .map_or(before.memory.mark, |f| f.index);
    tale.health(&blank, alive);
}
