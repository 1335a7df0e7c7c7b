//! The figures of one process, or of several added up.

use std::collections::BTreeMap;

use crate::event::envelope::Envelope;
use crate::event::payload::{AMBIGUOUS, INFERRED};

/// How often something happened, and how much of that is in doubt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// All of them; an event that stands for several counts as that many.
    pub total: u64,
    /// Those of the total that must have happened though nobody saw them.
    pub inferred: u64,
    /// Those of the total of which the source does not tell whether they were this or something else.
    pub ambiguous: u64,
}

impl Counted {
    /// Counts an event.
    pub(super) fn count(&mut self, event: &Envelope) {
        let times = u64::from(event.count);
        self.total += times;
        if event.certainty == INFERRED {
            self.inferred += times;
        } else if event.certainty == AMBIGUOUS {
            self.ambiguous += times;
        }
    }

    /// Whether any of it is in doubt.
    pub fn is_doubtful(self) -> bool {
        self.inferred + self.ambiguous > 0
    }

    fn add(&mut self, other: Self) {
        self.total += other.total;
        self.inferred += other.inferred;
        self.ambiguous += other.ambiguous;
    }
}

/// How a run ended; ordered by code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ended {
    /// The exit code as the source says it; −1 = by a signal; nothing where it is not known or there was no run.
    pub code: Option<i64>,
    /// The number of the signal, where the code tells it.
    pub signal: Option<i64>,
}

/// A piece of the range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Crashes in it.
    pub crashes: u64,
    /// Orderly ends in it.
    pub stops: u64,
    /// How much of it is unknown, in milliseconds, added up over the processes.
    pub unknown: u64,
}

/// The figures. All times are in milliseconds and lie within the range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// How many processes they are about.
    pub processes: u64,
    /// How long a run went on.
    pub up: u64,
    /// How long none did, whether it had crashed, was stopped or had done its work.
    pub down: u64,
    /// How long nobody knows: nobody looked, what was told is missing, or the process was not listed.
    pub unknown: u64,
    /// Runs that ended badly or could not begin.
    pub crashes: Counted,
    /// Runs that began anew.
    pub restarts: Counted,
    /// Runs that ended in order.
    pub stops: Counted,
    /// Runs that began otherwise.
    pub starts: Counted,
    /// How often a crash was followed by a run, where the time between is known.
    pub repairs: u64,
    /// How long that took, added up.
    pub repairing: u64,
    /// The longest time one run was seen up.
    pub longest_run: u64,
    /// How often flapping began.
    pub flaps: u64,
    /// How many of the processes flap at the end of the range.
    pub flapping: u64,
    /// Of how many processes not everything may have been told: of them at least this was counted.
    pub left_out: u64,
    /// How many runs ended how.
    pub exits: BTreeMap<Ended, u64>,
    /// What happened when: pieces of equal length.
    pub timeline: Vec<Bucket>,
}

impl Figures {
    /// The share of the known time that it was up, from 0 to 1; nothing where no time is known.
    pub fn up_share(&self) -> Option<f64> {
        let known = self.up + self.down;
        (known > 0).then(|| ratio(self.up, known))
    }

    /// The share of the whole time that is unknown, from 0 to 1.
    pub fn unknown_share(&self) -> f64 {
        ratio(self.unknown, (self.up + self.down + self.unknown).max(1))
    }

    /// Mean time between failures: the time up for each crash, in milliseconds; nothing where none crashed.
    pub fn mtbf(&self) -> Option<u64> {
        self.up.checked_div(self.crashes.total)
    }

    /// Mean time to repair: from a crash to the next run, in milliseconds; nothing where that was never measured.
    pub fn mttr(&self) -> Option<u64> {
        self.repairing.checked_div(self.repairs)
    }

    /// Adds those of others.
    pub fn add(&mut self, other: &Self) {
        self.processes += other.processes;
        self.up += other.up;
        self.down += other.down;
        self.unknown += other.unknown;
        self.crashes.add(other.crashes);
        self.restarts.add(other.restarts);
        self.stops.add(other.stops);
        self.starts.add(other.starts);
        self.repairs += other.repairs;
        self.repairing += other.repairing;
        self.longest_run = self.longest_run.max(other.longest_run);
        self.flaps += other.flaps;
        self.flapping += other.flapping;
        self.left_out += other.left_out;
        for (ended, times) in &other.exits {
            *self.exits.entry(*ended).or_default() += times;
        }
        let longer = self.timeline.len().max(other.timeline.len());
        self.timeline.resize(longer, Bucket::default());
        for (own, other) in self.timeline.iter_mut().zip(&other.timeline) {
            own.crashes += other.crashes;
            own.stops += other.stops;
            own.unknown += other.unknown;
        }
    }
}

/// One number as a share of another one.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of a stream's life are far below 2^53"
)]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}
