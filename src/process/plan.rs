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
        let counted = if fell {
            0
        } else {
            row.memory.counted.max(row.restarts)
        };
        let growth = reading.restarts.saturating_sub(counted).clamp(0, MOST);
        let new_pid = match (row.pid, reading.pid) {
            (Some(before), Some(now)) => before != now,
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
    let Step {
        new_pid,
        growth,
        fell,
    } = step;
    let lead = u32::from(fell);
    let open = row.memory.open;
    match (open, reading.phase) {
        (_, Phase::Unknown) => Plan::default(),
        (true, phase) if phase.is_alive() => {
            if !new_pid {
                return Plan::default();
            }
            let cycles = (growth + lead).max(1);
            let policy = if growth == 0 { (0, 0) } else { (lead, cycles) };
            Plan {
                end_first: true,
                ends: cycles,
                begins: cycles,
                policy,
            }
        }
        (true, Phase::BackingOff) => {
            let ends = if new_pid { (growth + lead).max(2) } else { 1 };
            Plan {
                end_first: true,
                ends,
                begins: ends - 1,
                policy: (lead.min(ends - 1), ends),
            }
        }
        (true, _) => {
            let ends = if new_pid {
                (growth + lead + 1).max(2)
            } else {
                1
            };
            let policy = if new_pid {
                (lead, lead + growth)
            } else {
                (0, u32::from(growth > 0 && !fell))
            };
            Plan {
                end_first: true,
                ends,
                begins: ends - 1,
                policy,
            }
        }
        (false, phase) if phase.is_alive() => Plan {
            end_first: false,
            ends: growth,
            begins: growth + 1,
            policy: (0, growth),
        },
        (false, _) if !new_pid => Plan::default(),
        (false, Phase::BackingOff) => {
            let pairs = growth.max(1);
            Plan {
                end_first: false,
                ends: pairs,
                begins: pairs,
                policy: (0, pairs),
            }
        }
        (false, _) => Plan {
            end_first: false,
            ends: growth + 1,
            begins: growth + 1,
            policy: (0, growth),
        },
    }
}

/// Whether a reading must be seen twice before it is believed: up again under the pid of a run that has ended.
///
/// A server may say so for the moment of the spawn, in which it still shows the former pid.
pub(super) fn is_doubtful(row: &Row, reading: &Reading<'_>) -> bool {
    let ghost = !row.memory.open
        && reading.phase == Phase::Up
        && reading.pid.is_some()
        && reading.pid == row.pid;
    reading.torn || ghost
}
