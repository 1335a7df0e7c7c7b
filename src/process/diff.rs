//! The comparison: (rows before, reading after, evidence, times) → (rows after, events). Pure, total, in a fixed order.
//!
//! Processes go in name order. Per process: what happened in the order in which it happened, then the health of the
//! newest run, else a status that nothing else told.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::event::payload::Origin;
use crate::event::room::{make_room, trim};

use super::epoch;
use super::event::ProcessEvent;
use super::evidence::{Evidence, Unused};
use super::first;
use super::names::{Names, Pair, in_name_order};
use super::phase::{Health, Phase};
use super::plan::is_doubtful;
use super::reading::{Reading, Vitals};
use super::removed;
use super::renamed::{renames, tell_new_name};
use super::table::{Beginning, Inner, Row, Table, epoch_tag};
use super::tale::Tale;

/// The circumstances of a look.
#[derive(Debug, Clone)]
pub struct Circumstances<'a> {
    /// Identity of the supervisor's run.
    pub epoch: &'a str,
    /// When the look began.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub ended: DateTime<Utc>,
    /// The time between two looks.
    pub interval: Duration,
    /// Whether this server shows a new run with the health of the former one.
    pub sticky_health: bool,
    /// What of the look could not be read.
    pub unread: Unread<'a>,
}

/// What of a look could not be read: a process that is listed and not understood is not gone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unread<'a> {
    /// The names of processes that could not be read.
    pub names: &'a [String],
    /// Whether there was something of which not even the name could be read.
    pub nameless: bool,
}

/// The circumstances of a look, together with what the table says of the look before.
#[derive(Debug, Clone)]
pub(super) struct Look<'a> {
    pub(super) epoch: &'a str,
    pub(super) tag: u32,
    pub(super) started: DateTime<Utc>,
    pub(super) ended: DateTime<Utc>,
    pub(super) interval: Duration,
    pub(super) sticky_health: bool,
    /// Nothing that this look shows and the look before did not is older: the beginning of the look before, since it may
    /// have been answered long before it ended. Only its end is known where another program run made it.
    pub(super) after: Option<DateTime<Utc>>,
    /// The beginning of the look before, where this program run made it.
    pub(super) before_from: Option<DateTime<Utc>>,
    pub(super) beginning: Beginning,
}

/// What a comparison yields.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The rows after.
    pub table: Table,
    /// What is to be told, in order.
    pub events: Vec<ProcessEvent>,
    /// Where the differences come from.
    pub origin: Origin,
}

/// How many doubtful looks in a row are not believed.
const DOUBTS: u8 = 2;

/// Compares what was last told with what a look saw.
pub fn compare(
    before: &Table,
    readings: &[Reading<'_>],
    evidence: &dyn Evidence,
    circumstances: &Circumstances<'_>,
) -> Comparison {
    let pairs = in_name_order(before, readings);
    let evidence = &unused(before, evidence);
    let look = look(before, circumstances);
    let new_epoch = !before.epoch().is_empty() && **before.epoch() != *look.epoch;
    let origin = match before.beginning() {
        Beginning::Never => Origin::Initial,
        Beginning::Lost | Beginning::Resync => Origin::Resync,
        Beginning::Followed if new_epoch => Origin::Resync,
        Beginning::Followed => Origin::Change,
    };
    let mut merge = Merge {
        look: &look,
        evidence,
        unread: circumstances.unread,
        renames: renames(before, readings, &pairs, look.tag),
        next: Inner {
            rows: Vec::with_capacity(readings.len()),
            vitals: Vec::with_capacity(readings.len()),
            names: Names::default(),
            epoch: if new_epoch || before.epoch().is_empty() {
                look.epoch.into()
            } else {
                before.epoch().clone()
            },
            looked_at: Some(look.ended),
            looked_from: Some(look.started),
            beginning: Beginning::Followed,
            revision: before.revision() + 1,
            // What is shown from here on is compared with this look, whatever is missing before it.
            told_until: if evidence.is_torn {
                Some(look.started)
            } else {
                before.inner().told_until
            },
            unclear: Vec::new(),
        },
        unclear: &before.inner().unclear,
        events: Vec::new(),
    };
    merge.run(before, readings, &pairs);
    // They may be remembered for long.
    trim(&mut merge.events);
    merge.next.names = Names::of(&merge.next.rows, before);
    Comparison {
        table: Table::from_inner(merge.next),
        events: merge.events,
        origin,
    }
}

fn unused<'a>(before: &Table, all: &'a dyn Evidence) -> Unused<'a> {
    let told_until = before.inner().told_until;
    let is_restored = before.inner().looked_from.is_none();
    let released = all.released().zip(told_until);
    Unused {
        all,
        told_until,
        is_torn: is_restored && released.is_some_and(|(released, until)| released > until),
    }
}

fn look<'a>(before: &Table, circumstances: &Circumstances<'a>) -> Look<'a> {
    Look {
        epoch: circumstances.epoch,
        tag: epoch_tag(circumstances.epoch),
        started: circumstances.started,
        ended: circumstances.ended,
        interval: circumstances.interval,
        sticky_health: circumstances.sticky_health,
        after: before.inner().looked_from.or(before.looked_at()),
        before_from: before.inner().looked_from,
        beginning: before.beginning(),
    }
}

/// The one step that is made without a look: what frames say of runs that were going on when the source left.
///
/// Nothing where no frame tells an end.
pub fn compare_frames(
    before: &Table,
    evidence: &dyn Evidence,
    at: DateTime<Utc>,
    interval: Duration,
) -> Option<Comparison> {
    let evidence = &unused(before, evidence);
    let epoch = before.epoch().clone();
    let circumstances = Circumstances {
        epoch: &epoch,
        started: at,
        ended: at,
        interval,
        sticky_health: false,
        unread: Unread::default(),
    };
    let look = look(before, &circumstances);
    let inner = before.inner();
    let mut next = Inner {
        rows: inner.rows.clone(),
        vitals: inner.vitals.clone(),
        names: inner.names.clone(),
        epoch: epoch.clone(),
        looked_at: inner.looked_at,
        looked_from: inner.looked_from,
        beginning: inner.beginning,
        revision: before.revision() + 1,
        told_until: inner.told_until,
        unclear: inner.unclear.clone(),
    };
    let mut events = Vec::new();
    for (slot, vitals) in next.rows.iter_mut().zip(&inner.vitals) {
        if let Some((row, told)) = removed::ended_by_frames(slot, *vitals, evidence, &look) {
            *slot = Arc::new(Row {
                revision: next.revision,
                ..row
            });
            events.extend(told);
        }
    }
    (!events.is_empty()).then(|| Comparison {
        table: Table::from_inner(next),
        events,
        origin: Origin::Change,
    })
}

struct Merge<'a> {
    look: &'a Look<'a>,
    evidence: &'a dyn Evidence,
    unread: Unread<'a>,
    renames: HashMap<String, Arc<Row>>,
    next: Inner,
    /// Names the look before passed over.
    unclear: &'a [Arc<str>],
    events: Vec<ProcessEvent>,
}

impl Merge<'_> {
    /// Walks both sides in name order.
    fn run(&mut self, before: &Table, readings: &[Reading<'_>], pairs: &[Pair]) {
        let inner = before.inner();
        let moved: Vec<Arc<str>> = self
            .renames
            .values()
            .map(|row| Arc::clone(&row.name))
            .collect();
        for &(reading, row) in pairs {
            let row = row.map(|row| (&inner.rows[row], &inner.vitals[row]));
            match (reading, row) {
                (Some(reading), row) => self.present(row, &readings[reading]),
                (None, Some((row, _))) if moved.contains(&row.name) => {}
                (None, Some((row, vitals))) => self.missing(row, vitals),
                (None, None) => {}
            }
        }
    }

    /// A process that the look does not show.
    fn missing(&mut self, row: &Arc<Row>, vitals: &Vitals) {
        if self.unread.names.iter().any(|name| **name == *row.name) {
            return self.keep(Arc::clone(row), *vitals);
        }
        // It may be the one whose name could not be read; but not for ever.
        if self.unread.nameless && row.memory.doubts < DOUBTS {
            return self.keep(self.doubted(row), *vitals);
        }
        let told = removed::removed(row, *vitals, self.evidence, self.look);
        self.tell(told);
    }

    fn present(&mut self, before: Option<(&Arc<Row>, &Vitals)>, reading: &Reading<'_>) {
        if let Some((row, _)) = before
            && self.is_unchanged(row, reading)
        {
            self.keep(Arc::clone(row), reading.vitals);
            return;
        }
        let renamed = before
            .is_none()
            .then(|| self.renames.remove(&*reading.name))
            .flatten();
        let known = before.map(|(row, _)| row).or(renamed.as_ref());
        match self.belief(known, reading) {
            Belief::Believed => {}
            Belief::PassedOver => return self.next.unclear.push((*reading.name).into()),
            Belief::Doubted(row) => {
                let vitals = before.map_or(reading.vitals, |(_, vitals)| *vitals);
                return match &renamed {
                    None => self.keep(row, vitals),
                    Some(former) => self.doubted_under_a_new_name(&row, former, reading),
                };
            }
        }
        let mut tale = Tale::new(self.look, self.evidence, reading, known.map(AsRef::as_ref));
        tale.former_name = renamed.as_ref().map(|row| row.name.to_string());
        match known {
            None => first::seen(&mut tale),
            Some(row) if row.epoch != self.look.tag => epoch::entered(&mut tale, row),
            Some(row) => tale.continued(row),
        }
        let Tale { row, events, .. } = tale;
        let changed = known.is_none_or(|before| is_other(before, &row));
        let revision = if changed {
            self.next.revision
        } else {
            known.map_or(0, |row| row.revision)
        };
        self.tell(events);
        self.keep(Arc::new(Row { revision, ..row }), reading.vitals);
    }

    /// The new name is told at once; what else the reading says has to wait.
    fn doubted_under_a_new_name(&mut self, row: &Row, former: &Row, reading: &Reading<'_>) {
        let mut row = row.clone();
        row.name = (*reading.name).into();
        row.revision = self.next.revision;
        let event = tell_new_name(&mut row, former, reading.vitals, self.look);
        self.tell(vec![event]);
        self.keep(Arc::new(row), reading.vitals);
    }

    fn tell(&mut self, events: Vec<ProcessEvent>) {
        make_room(&mut self.events, events.len());
        self.events.extend(events);
    }

    fn keep(&mut self, row: Arc<Row>, vitals: Vitals) {
        self.next.rows.push(row);
        self.next.vitals.push(vitals);
    }

    fn is_unchanged(&self, row: &Row, reading: &Reading<'_>) -> bool {
        let silent = row.phase == Phase::Up
            && row.health != Health::Unknown
            && row.health != row.memory.told_health;
        row.says(reading)
            && !silent
            && self.look.beginning == Beginning::Followed
            && row.epoch == self.look.tag
            && row.memory.doubts == 0
            && (row.configuration.is_some() || self.evidence.configuration(&row.name).is_none())
            && !self.evidence.has_news(&row.name, row.memory.mark)
    }

    /// Whether a reading is to be believed yet.
    fn belief(&self, known: Option<&Arc<Row>>, reading: &Reading<'_>) -> Belief {
        let Some(row) = known else {
            // A process never seen before can wait one look; but not where nothing was ever told.
            let waits = reading.torn
                && self.look.beginning == Beginning::Followed
                && reading.phase == Phase::Up
                && !self.unclear.iter().any(|name| **name == *reading.name);
            return if waits {
                Belief::PassedOver
            } else {
                Belief::Believed
            };
        };
        if row.epoch != self.look.tag || !is_doubtful(row, reading) || row.memory.doubts >= DOUBTS {
            return Belief::Believed;
        }
        Belief::Doubted(self.doubted(row))
    }

    /// The row as it was, one doubt the more.
    fn doubted(&self, row: &Row) -> Arc<Row> {
        let mut row = row.clone();
        if row.memory.doubts == 0 && row.phase == Phase::Up {
            row.memory.seen_up_at = self.look.before_from;
        }
        row.memory.doubts += 1;
        Arc::new(row)
    }
}

/// What a reading is worth.
enum Belief {
    /// It says what is.
    Believed,
    /// It contradicts itself or what is known: the row it leaves standing.
    Doubted(Arc<Row>),
    /// It contradicts itself, and there is no row yet: the next look will tell.
    PassedOver,
}

/// Whether a row differs in something that must survive a restart.
fn is_other(before: &Row, after: &Row) -> bool {
    let mut same = before.clone();
    same.revision = after.revision;
    same.memory.mark = after.memory.mark;
    same.memory.seen_up_at = after.memory.seen_up_at;
    same.memory.doubts = after.memory.doubts;
    same != *after
}
