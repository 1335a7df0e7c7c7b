//! How many runs lie between two looks, from what the two looks say: design §7.2, 'runs between two looks'.
//!
//! A pid tells that there was another run, the restart counter how many the supervisor's policy began. The counter
//! counts decisions, so an end whose restart was cancelled also moves it.

use super::phase::Phase;
use super::reading::Reading;
use super::table::Row;

/// More runs than this between two looks are counted, not listed one by one.
const MOST: i64 = 100_000;

/// Ends and beginnings in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Plan {
    /// Whether the first of them is an end.
    pub(super) end_first: bool,
    /// How many ends.
    pub(super) ends: u32,
    /// How many beginnings.
    pub(super) begins: u32,
    /// The ends that the policy followed: from the first number up to, not including, the second; counted from 0.
    pub(super) policy: (u32, u32),
}

impl Plan {
    /// Whether the policy followed this end.
    pub(super) fn followed_by_policy(&self, end: u32) -> bool {
        (self.policy.0..self.policy.1).contains(&end)
    }

    /// Whether a run goes on behind all of it; `open` tells whether one went on before.
    pub(super) fn leaves_open(&self, open: bool) -> bool {
        u64::from(open) + u64::from(self.begins) > u64::from(self.ends)
    }

    /// Whether the last run may never have been: the counter counts decisions, and who saw neither the last one carried out
    /// nor called off knows of one run less. A new pid proves one run, no more.
    pub(super) fn ends_in_doubt(&self, open: bool) -> bool {
        self.begins >= 2
            && self.policy.0 < self.policy.1
            && !self.leaves_open(open)
            && !self.followed_by_policy(self.ends - 1)
    }

    /// True where nothing began or ended.
    pub(super) fn is_empty(&self) -> bool {
        self.ends == 0 && self.begins == 0
    }
}

/// What changed between a row and a reading, in the terms the plan needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Whether another pid is there.
    pub(super) new_pid: bool,
    /// By how much the restart counter grew; from zero where it fell.
    pub(super) growth: u32,
    /// Whether the counter fell: the process was made anew.
    pub(super) fell: bool,
}

impl Step {
    pub(super) fn between(row: &Row, reading: &Reading<'_>) -> Self {
        let fell = reading.restarts < row.restarts;
        // A number below zero counts nothing.
        let counted = if fell { 0 } else { row.memory.counted.max(0) };
        let growth = reading.restarts.saturating_sub(counted).clamp(0, MOST);
        let new_pid = match (row.pid, reading.pid) {
            (Some(before), Some(now)) => before != now || is_reused(row, reading),
            // The pid of a run that is already told is merely learnt.
            (None, Some(_)) => !row.memory.open,
            (_, None) => false,
        };
        Self {
            new_pid,
            growth: u32::try_from(growth).unwrap_or_default(),
            fell,
        }
    }
}

/// How many runs began and ended between a row and a reading.
pub(super) fn plan(row: &Row, reading: &Reading<'_>, step: Step) -> Plan {
    // An unknown word says nothing of the run, but a new pid does: it belongs to a run that began.
    if reading.phase == Phase::Unknown && !step.new_pid {
        Plan::default()
    } else if row.memory.open {
        of_a_run_that_went_on(reading.phase, step)
    } else {
        of_a_run_that_had_ended(reading.phase, step)
    }
}

fn of_a_run_that_went_on(now: Phase, step: Step) -> Plan {
    let Step {
        new_pid, growth, ..
    } = step;
    let lead = u32::from(step.fell);
    let (ends, begins, policy) = match (now, new_pid) {
        (Phase::Up | Phase::Stopping, false) => return Plan::default(),
        (Phase::Up | Phase::Stopping | Phase::Unknown, true) => {
            let cycles = (growth + lead).max(1);
            let policy = if growth == 0 { (0, 0) } else { (lead, cycles) };
            (cycles, cycles, policy)
        }
        (Phase::BackingOff, _) => {
            let ends = if new_pid { (growth + lead).max(2) } else { 1 };
            (ends, ends - 1, (lead.min(ends - 1), ends))
        }
        (_, false) => (1, 0, (0, u32::from(growth > 0 && !step.fell))),
        (_, true) => {
            let ends = (growth + lead + 1).max(2);
            (ends, ends - 1, (lead, lead + growth))
        }
    };
    Plan {
        end_first: true,
        ends,
        begins,
        policy,
    }
}

fn of_a_run_that_had_ended(now: Phase, step: Step) -> Plan {
    let Step {
        new_pid, growth, ..
    } = step;
    let (ends, begins, policy) = match now {
        Phase::Up | Phase::Stopping | Phase::Unknown => (growth, growth + 1, growth),
        _ if !new_pid => return Plan::default(),
        Phase::BackingOff => {
            let pairs = growth.max(1);
            (pairs, pairs, pairs)
        }
        _ => (growth + 1, growth + 1, growth),
    };
    Plan {
        end_first: false,
        ends,
        begins,
        policy: (0, policy),
    }
}

/// Whether a reading must insist before it is believed: it contradicts itself, or it shows a run that cannot be told from
/// the one before.
///
/// A server may say so for the moment of the spawn, in which it shows the former pid still.
pub(super) fn is_doubtful(row: &Row, reading: &Reading<'_>) -> bool {
    let same_pid = reading.pid.is_some() && reading.pid == row.pid;
    let again = !row.memory.open && reading.phase == Phase::Up && same_pid;
    reading.torn || again || is_reused(row, reading)
}

/// Whether the counter says that the policy began a run, and the pid that it is the same one: pids come again.
fn is_reused(row: &Row, reading: &Reading<'_>) -> bool {
    row.memory.open
        && row.phase == Phase::Up
        && reading.phase == Phase::Up
        && reading.pid.is_some()
        && reading.pid == row.pid
        && reading.restarts > row.memory.counted
}
