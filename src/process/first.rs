//! Processes seen for the first time: at the first look ever they are described, later they were added.

use crate::event::payload::{AMBIGUOUS, CERTAIN, Exit, INFERRED, Kind};

use super::phase::Phase;
use super::plan::Plan;
use super::table::{Beginning, Row};
use super::tale::Tale;
use super::told::{AfterEnd, Told};

/// Tells a process that has no row yet.
pub(super) fn seen(tale: &mut Tale<'_>) {
    let description = matches!(tale.look.beginning, Beginning::Never | Beginning::Lost);
    if description {
        described(tale);
    } else {
        added(tale);
    }
    let blank = blank(tale);
    tale.remember_run(&blank, &all_new(tale), tale.reading.phase.is_alive());
    tale.row.memory.open = tale.reading.phase.is_alive();
    tale.row.memory.counted = tale.reading.restarts;
    tale.row.memory.mark = tale
        .evidence
        .trail(&tale.reading.name, 0)
        .frames
        .last()
        .map_or(0, |frame| frame.index);
    tale.health(&blank, tale.reading.phase.is_alive());
}

/// At the first look ever: what is up, and what stands broken. Everything else is silence.
fn described(tale: &mut Tale<'_>) {
    let reading = tale.reading;
    let broken = matches!(
        reading.phase,
        Phase::Ended | Phase::BackingOff | Phase::Idle
    ) && reading.pid.is_some()
        && !reading.unmet
        && !reading.is_ok(reading.exit_code);
    if reading.phase.is_alive() {
        let at = reading.started_at.filter(|&at| at <= tale.look.ended);
        let told = Told {
            at,
            ..Told::new(Kind::Started, "present", CERTAIN, tale.look.ended)
        };
        tale.push(&told, None);
    } else if reading.phase == Phase::Failed {
        tale.spawn_failed(AMBIGUOUS);
    } else if broken {
        let mut told = end(tale);
        told.certainty = AMBIGUOUS;
        tale.push(&told, None);
    }
}

/// Later: it was added. Where it ended already, a whole run lies between two looks.
fn added(tale: &mut Tale<'_>) {
    let reading = tale.reading;
    let limit = tale.look.ended;
    let ran = reading.pid.is_some()
        && !reading.unmet
        && reading.phase.is_over()
        && reading.phase != Phase::Waiting;
    if reading.phase.is_alive() {
        tale.push(&Told::new(Kind::Started, "added", CERTAIN, limit), None);
    } else if reading.phase == Phase::Failed {
        tale.spawn_failed(CERTAIN);
    } else if ran {
        tale.push(&Told::new(Kind::Started, "added", INFERRED, limit), None);
        let told = end(tale);
        tale.push(&told, None);
    } else {
        tale.push(
            &Told::new(Kind::StatusChanged, "added", CERTAIN, limit),
            None,
        );
    }
}

/// An end of which nothing is known but the code.
pub(super) fn end(tale: &Tale<'_>) -> Told {
    let reading = tale.reading;
    let code = reading.exit_code;
    let ok = reading.is_ok(code);
    let signal = (129..=192).contains(&code).then(|| code - 128);
    let (kind, reason) = match (ok, code == -1 || signal.is_some()) {
        (true, _) => (Kind::Stopped, "exited"),
        (false, true) => (Kind::Crashed, "signal"),
        (false, false) => (Kind::Crashed, "exit"),
    };
    let policy = reading.phase == Phase::BackingOff;
    let certainty = if ok || policy { CERTAIN } else { AMBIGUOUS };
    let at = reading.ended_at.filter(|&at| at <= tale.look.ended);
    Told {
        exit: Some(Exit {
            code: Some(code),
            signal,
            expected: ok,
        }),
        at,
        after_end: if policy {
            AfterEnd::Policy
        } else {
            AfterEnd::Nothing
        },
        ..Told::new(kind, reason, certainty, tale.look.ended)
    }
}

/// A row of which nothing was ever known, to compare with.
pub(super) fn blank(tale: &Tale<'_>) -> Row {
    let mut row = Row::new(tale.reading, tale.look.tag);
    row.health = super::phase::Health::Unknown;
    row.phase = Phase::Unknown;
    row
}

/// A plan that says that whatever runs now is new.
pub(super) fn all_new(tale: &Tale<'_>) -> Plan {
    Plan {
        begins: 1,
        ends: u32::from(!tale.reading.phase.is_alive()),
        ..Plan::default()
    }
}
