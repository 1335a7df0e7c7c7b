//! Where a reader goes on, and what proves that it missed nothing. Pure.

use std::collections::{HashMap, VecDeque};

use async_nats::Message;

use super::anchor::Anchor;
use super::consumer::{Place, Start};
use super::read::{Begin, Told};
use super::stream::StreamInfo;
use crate::event::filter::Filter;
use crate::event::glance::Glance;

/// The sources whose numbers are checked.
const SOURCES: usize = 4096;

/// How far was read, and in which stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Floor {
    pub(super) created: String,
    pub(super) sequence: u64,
}

/// The search for the last events that match: a stretch at the stream's end, widened until it holds enough.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) want: usize,
    /// True when the stretch begins where the stream does.
    pub(super) whole: bool,
    pub(super) until: u64,
    /// What was found, in order; holes among it belong to it.
    found: VecDeque<Found>,
    /// How many events are among it.
    pub(super) events: usize,
}

/// Something found at the stream's end.
#[derive(Debug)]
pub(super) enum Found {
    /// An event that matches.
    Event(Place, Message),
    /// What the numbers before the next event say, those of events that do not match among them.
    Said(Told),
}

impl Tail {
    fn new(want: usize, whole: bool, until: u64) -> Self {
        Self {
            want,
            whole,
            until,
            found: VecDeque::new(),
            events: 0,
        }
    }

    /// Keeps what is to be said before the next event.
    pub(super) fn say(&mut self, told: Told) {
        self.found.push_back(Found::Said(told));
    }

    /// Keeps an event, and gives up what comes before the last ones that are wanted.
    pub(super) fn keep(&mut self, place: Place, message: Message) {
        self.found.push_back(Found::Event(place, message));
        self.events += 1;
        while self.events > self.want {
            if let Some(Found::Event(..)) = self.found.pop_front() {
                self.events -= 1;
            }
            // What lies before the first event that is left is not shown either.
            while let Some(Found::Said(_)) = self.found.front() {
                self.found.pop_front();
            }
        }
    }

    /// What was found.
    pub(super) fn into_found(self) -> impl Iterator<Item = Found> {
        self.found.into_iter()
    }
}

/// Where a new consumer begins, and what that means.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) start: Start,
    pub(super) floor: Option<Floor>,
    pub(super) tail: Option<Tail>,
    pub(super) renewed: bool,
}

impl Opening {
    pub(super) fn find(
        from: &Begin,
        floor: Option<&Floor>,
        window: u64,
        info: &StreamInfo,
    ) -> Self {
        match (floor, from) {
            (Some(floor), _) if floor.created != info.created => Self::behind(0, true, info),
            // The same stream without its end, and nobody knows when what we read last was stored.
            (Some(floor), _) if floor.sequence > info.last => Self::behind(info.last, true, info),
            (Some(floor), _) => Self::behind(floor.sequence, false, info),
            (None, Begin::Now) => Self::behind(info.last, false, info),
            // A place behind the end was one in another stream.
            (None, Begin::Sequence(first)) if *first > info.last + 1 => Self::behind(0, true, info),
            (None, Begin::Sequence(first)) => Self::behind(first.saturating_sub(1), false, info),
            (None, Begin::Time(time)) => Self {
                start: Start::Since(*time),
                floor: None,
                tail: None,
                renewed: false,
            },
            (None, Begin::Last(want)) => {
                let start = (info.last + 1).saturating_sub(window);
                let whole = start <= info.first;
                let tail = Tail::new(*want, whole, info.last);
                Self {
                    start: Start::At(start),
                    floor: None,
                    tail: Some(tail),
                    renewed: false,
                }
            }
        }
    }

    /// Behind the last message we know, in a stream that has another history from there on than the one we read.
    pub(super) fn anew(anchor: Anchor) -> Self {
        Self {
            start: anchor.behind(),
            floor: None,
            tail: None,
            renewed: true,
        }
    }

    fn behind(sequence: u64, renewed: bool, info: &StreamInfo) -> Self {
        Self {
            start: Start::At(sequence + 1),
            floor: Some(Floor {
                created: info.created.clone(),
                sequence,
            }),
            tail: None,
            renewed,
        }
    }
}

/// The last number that is known of a source: its name, its journal, the number.
pub(super) type Known = (Box<str>, Box<str>, u64);

/// Whether the number of an event was held against the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbered {
    Checked,
    Unchecked,
}

/// The last number seen of each source; proves that nothing is missing where everything is handed over.
#[derive(Debug)]
pub(super) struct Numbers {
    wanted: Option<Filter>,
    last: HashMap<Box<str>, (Box<str>, u64)>,
}

impl Numbers {
    pub(super) fn new(filter: &Filter) -> Self {
        Self {
            wanted: filter.is_handed_everything().then(|| filter.clone()),
            last: HashMap::new(),
        }
    }

    pub(super) fn forget(&mut self) {
        self.last.clear();
    }

    /// Whether what is known proves, with the next event, that nothing is missing.
    pub(super) fn prove(&self) -> bool {
        self.wanted.is_some() && !self.last.is_empty()
    }

    /// Takes over what was known at the place where reading begins.
    pub(super) fn learn(&mut self, known: &[Known]) {
        for (source, journal, seq) in known.iter().take(SOURCES) {
            if self.wants(source) {
                let last = (journal.clone(), *seq);
                self.last.entry(source.clone()).or_insert(last);
            }
        }
    }

    /// What is known.
    pub(super) fn known(&self) -> Vec<Known> {
        let known = self.last.iter();
        known
            .map(|(source, (journal, seq))| (source.clone(), journal.clone(), *seq))
            .collect()
    }

    /// Of a source that is not wanted, not every event is handed over.
    fn wants(&self, source: &str) -> bool {
        let wanted = self.wanted.as_ref();
        wanted.is_some_and(|filter| filter.wants_source(source))
    }

    pub(super) fn check(&mut self, event: &Glance<'_>) -> Option<Told> {
        if !self.wants(event.source) {
            return None;
        }
        let hole = |after: u64| {
            (event.seq > after.saturating_add(1)).then(|| Told::Hole {
                source: event.source.to_owned(),
                journal: event.journal.to_owned(),
                after,
                before: event.seq,
            })
        };
        if let Some((journal, last)) = self.last.get_mut(event.source) {
            if **journal == *event.journal {
                let after = std::mem::replace(last, event.seq.max(*last));
                return hole(after);
            }
            // Each journal begins with 1.
            *journal = event.journal.into();
            *last = event.seq;
            return hole(0);
        }
        if self.last.len() < SOURCES {
            let last = (event.journal.into(), event.seq);
            self.last.insert(event.source.into(), last);
        }
        None
    }
}

#[cfg(test)]
mod tests;
