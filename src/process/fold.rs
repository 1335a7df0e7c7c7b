//! Folding: how everything stood at a moment that has passed, from the events before and after it.
//!
//! The last event of a process up to the moment has its state. Where none is left, the first event after the moment says
//! what was before it; and where there is neither, nothing happened to the process since, so that its row in the head
//! says it. Each of these counts only as far as every event in between is there. Where nobody looked, the answer is what
//! was known last, and says so; so it is where events were left out on purpose, unless the numbers say that none of this
//! process was.

mod veiled;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::event::envelope::Envelope;
use crate::event::payload::{Kind, Origin};
use crate::event::sieve::{LeftOut, Veils};

use super::moment::{Found, Known, Moment, Sighted};
use super::table::Table;

/// The head of a source, for what no event tells.
#[derive(Debug)]
pub struct Told<'a> {
    /// What is watched.
    pub source: &'a str,
    /// The journal its numbers count in.
    pub journal: &'a str,
    /// How well the source is in sight now.
    pub sighted: Sighted,
    /// What is not told at present.
    pub left_out: Option<&'a LeftOut>,
    /// Its rows, where they can be read.
    pub table: Option<&'a Table>,
}

/// Folds events up to one moment.
#[derive(Debug)]
pub struct Fold {
    at: DateTime<Utc>,
    courses: BTreeMap<String, Course>,
}

/// What the events of one source say about the moment.
#[derive(Debug, Default)]
struct Course {
    /// The journal of the last event up to the moment.
    journal: Option<String>,
    /// Whether the first event that is left is the first one there ever was.
    is_from_the_beginning: bool,
    /// When the first event that is left was observed.
    first: DateTime<Utc>,
    /// When the last one up to the moment was observed.
    last: Option<DateTime<Utc>>,
    /// How each process stood after its last event.
    stood: BTreeMap<String, Stood>,
    /// The first event of each process after the moment.
    next: BTreeMap<String, Envelope>,
    /// Since when the source was out of sight at the moment.
    lost: Option<DateTime<Utc>>,
    /// Since when nobody looked at the moment.
    unwatched: Option<DateTime<Utc>>,
    /// Whether another journal begins after the moment.
    is_renewed: bool,
    /// When events were left out.
    veils: Veils,
}

/// How a process stood after its last event.
#[derive(Debug)]
struct Stood {
    /// Nothing where it was taken away.
    found: Option<Found>,
    /// The number of that event among those of the process; nothing where it counts in another journal.
    number: Option<u64>,
    /// When it was observed.
    at: DateTime<Utc>,
}

impl Fold {
    /// Begins a fold up to this moment.
    pub fn up_to(at: DateTime<Utc>) -> Self {
        Self {
            at,
            courses: BTreeMap::new(),
        }
    }

    /// Takes the next event; they come in the order of the stream, and all that is left of it.
    pub fn see(&mut self, event: &Envelope) {
        let at = self.at;
        let course = self
            .courses
            .entry(event.source.clone())
            .or_insert_with(|| Course {
                is_from_the_beginning: event.seq == 1 && event.kind != Kind::Gap,
                first: event.timestamp,
                ..Course::default()
            });
        if event.timestamp <= at {
            course.before(event);
        } else {
            course.after(event, at);
        }
    }

    /// How each source stood. Of the stream nothing is missing since `kept_since`; nothing is known of that where it is
    /// absent.
    pub fn close(self, heads: &[Told<'_>], kept_since: Option<DateTime<Utc>>) -> Vec<Moment> {
        let Self { at, mut courses } = self;
        for head in heads {
            courses.entry(head.source.to_owned()).or_default();
        }
        let moments = courses.into_iter().map(|(source, course)| {
            let head = heads.iter().find(|head| head.source == source);
            let is_kept = kept_since.is_some_and(|since| at >= since);
            course.close(source, at, head, is_kept)
        });
        moments.collect()
    }
}

impl Course {
    fn before(&mut self, event: &Envelope) {
        if self.journal.as_ref() != Some(&event.journal) {
            // Not everything is told again in a new journal: what is not, is not known any more.
            for stood in self.stood.values_mut() {
                stood.found = stood.found.take().map(Found::no_longer_seen);
                stood.number = None;
            }
            self.journal = Some(event.journal.clone());
        }
        self.last = self.last.max(Some(event.timestamp));
        if self.is_left_out(event) {
            return;
        }
        match event.kind {
            Kind::Disconnected => {
                self.lost = Some(event.occurred.after.unwrap_or(event.timestamp));
            }
            Kind::Connected | Kind::Gap => self.lost = None,
            _ => {}
        }
        let (Some(name), Some(state)) = (&event.process, &event.state) else {
            return;
        };
        let former = event.previous.as_ref().and_then(|p| p.name.as_ref());
        let (number, at) = (event.process_seq, event.timestamp);
        let stood = |found| Stood { found, number, at };
        let before = former.and_then(|former| self.stood.insert(former.clone(), stood(None)));
        let before = before.or_else(|| self.stood.remove(name));
        let was_broken = before
            .and_then(|before| before.found)
            .is_some_and(|it| it.crashed);
        let found =
            (event.reason != "removed").then(|| Found::of_event(state.clone(), event, was_broken));
        self.stood.insert(name.clone(), stood(found));
    }

    /// Takes a gap that says what was left out: everything was seen then.
    fn is_left_out(&mut self, event: &Envelope) -> bool {
        let gap = event.gap.as_ref().filter(|gap| gap.is_left_out());
        gap.inspect(|gap| self.veils.see(gap)).is_some()
    }

    fn after(&mut self, event: &Envelope, at: DateTime<Utc>) {
        let is_left_out = self.is_left_out(event);
        let blind = match (&event.kind, &event.gap) {
            (Kind::Gap, _) if is_left_out => None,
            (Kind::Gap, Some(gap)) if gap.why == "source_unreachable" => gap.from,
            (Kind::Gap, Some(gap)) => {
                let from = gap.from.or(self.last).unwrap_or(at);
                self.unwatched = self.unwatched.or((from <= at).then_some(from));
                None
            }
            (Kind::Connected | Kind::Disconnected, _) => event.occurred.after,
            _ => None,
        };
        self.lost = self.lost.or(blind.filter(|from| *from < at));
        self.is_renewed |= self.journal.as_ref().is_some_and(|j| *j != event.journal);
        // Whatever a later journal says, says nothing of the time before it.
        if self.journal.is_none() {
            self.journal = Some(event.journal.clone());
        }
        let Some(name) = &event.process else {
            return;
        };
        if !self.is_renewed && !self.next.contains_key(name) {
            self.next.insert(name.clone(), event.clone());
        }
    }

    fn close(
        mut self,
        source: String,
        at: DateTime<Utc>,
        head: Option<&Told<'_>>,
        is_kept: bool,
    ) -> Moment {
        if self.is_from_the_beginning && at < self.first {
            return Moment {
                source,
                sighted: Sighted::NotYet(self.first),
                processes: Vec::new(),
            };
        }
        let is_kept = is_kept || self.is_from_the_beginning;
        let sighted = self.sighted(at, head, is_kept);
        let mut processes = self.stood_then(is_kept);
        if let Some((head, table)) = head.and_then(|head| Some((head, head.table?))) {
            let same = self.is_of(head.journal);
            for row in table.rows() {
                let told =
                    self.stood.contains_key(&*row.name) || self.next.contains_key(&*row.name);
                if !told {
                    let found = Found::of_row(row, None);
                    let is_known = is_kept && same;
                    let found = if is_known {
                        found
                    } else {
                        Found::nothing(found)
                    };
                    processes.insert(row.name.to_string(), found);
                }
            }
        }
        self.veils.stands(head.and_then(|head| head.left_out));
        if !self.veils.is_empty() {
            let table = head
                .filter(|head| self.is_of(head.journal))
                .and_then(|head| head.table);
            self.veil(&mut processes, at, table);
        }
        let is_blind = sighted.blind_since().is_some();
        let seen = |found: Found| {
            if is_blind {
                found.no_longer_seen()
            } else {
                found
            }
        };
        Moment {
            source,
            sighted,
            processes: processes.into_values().map(seen).collect(),
        }
    }

    /// Whether a head goes on with what was told up to the moment.
    fn is_of(&self, journal: &str) -> bool {
        let same = self.journal.as_deref().is_none_or(|own| own == journal);
        same && !self.is_renewed
    }

    fn sighted(&self, at: DateTime<Utc>, head: Option<&Told<'_>>, is_kept: bool) -> Sighted {
        if let Some(since) = self.unwatched {
            return Sighted::Unwatched(since);
        }
        if let Some(since) = self.lost {
            return Sighted::Lost(since);
        }
        let now = head.map(|head| head.sighted);
        match (now, self.last) {
            (Some(Sighted::Unwatched(since)), _) if since < at => Sighted::Unwatched(since),
            (Some(Sighted::Lost(since)), _) if since < at => Sighted::Lost(since),
            // Without a head nobody says that it was looked at after its last event.
            (None, Some(last)) if last < at && self.next.is_empty() => Sighted::Unwatched(last),
            _ if !is_kept && self.last.is_none() => Sighted::NotKept,
            _ => Sighted::Seen(None),
        }
    }

    /// What the events say.
    fn stood_then(&mut self, is_kept: bool) -> BTreeMap<String, Found> {
        let mut processes = BTreeMap::new();
        for (name, stood) in &self.stood {
            if let Some(found) = &stood.found {
                processes.insert(name.clone(), found.clone());
            }
        }
        for (name, event) in &self.next {
            let Some(state) = event
                .state
                .as_ref()
                .filter(|_| !self.stood.contains_key(name))
            else {
                continue;
            };
            let found = match &event.previous {
                Some(previous) => Found::before(state, event, previous),
                None if event.reason == "added" || event.origin == Origin::Initial => continue,
                None => Found::nothing(Found::of_event(state.clone(), event, false)),
            };
            // Its former name may be known already, or something that was told of it first.
            let is_first = |former: &Envelope| former.seq < event.seq;
            if self.stood.contains_key(&*found.name)
                || self.next.get(&*found.name).is_some_and(is_first)
            {
                continue;
            }
            let found = if is_kept && found.known == Known::Now {
                found
            } else {
                Found::nothing(found)
            };
            processes.insert(found.name.to_string(), found);
        }
        processes
    }
}

#[cfg(test)]
mod tests;
