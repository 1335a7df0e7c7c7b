//! What a waiting cannot hear of, because events are left out on purpose.

use std::collections::BTreeSet;

use super::{FirstRun, Followed};
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
        self.first.get_or_insert(FirstRun(row.pid));
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
