//! Where a reader goes on, and what proves that it missed nothing. Pure.

use std::collections::{HashMap, VecDeque};

use async_nats::Message;

use super::consumer::{Place, Start};
use super::read::{Begin, Told};
use super::stream::StreamInfo;
use crate::event::envelope::Envelope;

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
    pub(super) found: VecDeque<(Place, Message)>,
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
            // The same stream without its end: what we read beyond it will be written anew.
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
                let tail = Tail {
                    want: *want,
                    whole,
                    until: info.last,
                    found: VecDeque::new(),
                };
                Self {
                    start: Start::At(start),
                    floor: None,
                    tail: Some(tail),
                    renewed: false,
                }
            }
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

/// The last number seen of each source; proves that nothing is missing where everything is read.
#[derive(Debug)]
pub(super) struct Numbers {
    checked: bool,
    last: HashMap<Box<str>, (Box<str>, u64)>,
}

impl Numbers {
    pub(super) fn new(checked: bool) -> Self {
        Self {
            checked,
            last: HashMap::new(),
        }
    }

    pub(super) fn forget(&mut self) {
        self.last.clear();
    }

    pub(super) fn check(&mut self, event: &Envelope) -> Option<Told> {
        if !self.checked {
            return None;
        }
        if let Some((journal, last)) = self.last.get_mut(event.source.as_str()) {
            if **journal == *event.journal {
                let after = std::mem::replace(last, event.seq.max(*last));
                return (event.seq > after.saturating_add(1)).then(|| Told::Hole {
                    source: event.source.clone(),
                    journal: event.journal.clone(),
                    after,
                    before: event.seq,
                });
            }
        } else if self.last.len() >= SOURCES {
            return None;
        }
        let (source, journal) = (event.source.as_str().into(), event.journal.as_str().into());
        self.last.insert(source, (journal, event.seq));
        None
    }
}

#[cfg(test)]
mod tests;
