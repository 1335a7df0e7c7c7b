//! What a waiting cannot hear of, because events are left out on purpose.

use std::collections::BTreeSet;

use super::Followed;
use crate::event::sieve::Sieve;
use crate::process::condition::Ill;
use crate::process::table::Row;

impl Followed {
    /// Notes how far the row has come. What nobody heard of may have been an interruption.
    pub(super) fn reach(&mut self, row: &Row) {
        let number = row.memory.process_seq;
        if self.number.is_some_and(|heard| heard < number) {
            self.met_since = None;
        }
        self.number = self.number.max(Some(number));
        let first = self.first.get_or_insert(FirstRun::of(row));
        if first.pid.is_none() && first.restarts == row.restarts {
            // It had not begun when it was first seen.
            first.pid = row.pid;
        }
    }

    /// Whether another run goes on than when the process was first seen.
    pub(super) fn is_in_other_run(&self, row: &Row) -> bool {
        let first = self.first.as_ref();
        first.is_none_or(|first| first.pid != row.pid)
    }
}

/// The run that went on when a process was first seen, or the first one where it had not begun.
#[derive(Debug)]
pub(super) struct FirstRun {
    /// Nothing where it has none.
    pid: Option<i64>,
    restarts: i64,
}

impl FirstRun {
    fn of(row: &Row) -> Self {
        Self {
            pid: row.pid,
            restarts: row.restarts,
        }
    }
}

/// Why it cannot be promised that the waiting ends when one of these happens to a process.
pub(super) fn deaf(fail_on: &BTreeSet<Ill>, row: &Row, sieve: &Sieve) -> Option<String> {
    let mut ills = fail_on.iter();
    let ill = ills.find(|ill| ill.may_be_left_out(row, sieve))?.as_str();
    Some(format!(
        "the adapter leaves events about it out ({sieve}), so --fail-on {ill} cannot be kept"
    ))
}
