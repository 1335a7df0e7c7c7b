//! Walking through what is stored: forward as it was told, or backward from the end in pieces.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::bus::connect::Bus;
use crate::bus::error::BusError;
use crate::bus::past::{Beginning, Extent, Passed, Past, Stored, Stretch};
use crate::bus::settings::BusSettings;
use crate::bus::text::Text;
use crate::event::filter::Filter;
use crate::event::record::Record;
use crate::render::moment::moment;
use crate::render::time::{TimeStyle, Times as Shown};

use super::exit::{Exit, Failure, OrExit as _};
use super::terminal::{say, words};

/// How far the clocks of an adapter and of its broker may be apart: what is stored so long before a moment was observed
/// before it. That something is stored late needs no such room, because it can only be stored behind its own time.
pub(super) const APART: TimeDelta = TimeDelta::minutes(5);
/// The first and the largest piece of a walk backward, in sequences.
const PIECES: (u64, u64) = (256, 4096);

/// The times that are wanted, both ends included.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    pub(super) since: Option<DateTime<Utc>>,
    pub(super) until: Option<DateTime<Utc>>,
}

impl Times {
    /// The times that are given, by the wall clock of that style.
    pub(super) fn given(
        since: Option<&str>,
        until: Option<&str>,
        style: TimeStyle,
        now: DateTime<Utc>,
    ) -> Result<Self, Failure> {
        let zone = Shown::new(style).zone;
        let read = |text: Option<&str>| {
            let found = text.map(|text| moment(text, now, zone));
            found.transpose().or_exit(Exit::Usage)
        };
        let times = Self {
            since: read(since)?,
            until: read(until)?,
        };
        let wrong = |words: &str| Err(Failure::say(Exit::Usage, words));
        match (times.since, times.until) {
            (Some(since), _) if since > now => wrong(
                "--since lies in the future; for the day before write for example 'yesterday 18:30'",
            ),
            (Some(since), Some(until)) if until < since => wrong("--until lies before --since"),
            _ => Ok(times),
        }
    }

    pub(super) fn hold(self, at: DateTime<Utc>) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at <= until)
    }

    /// Whether what was stored then, and all that was stored before it, is too old.
    fn are_behind(self, stored_at: DateTime<Utc>) -> bool {
        self.since.is_some_and(|since| stored_at < since - APART)
    }
}

/// What is walked through.
pub(super) struct Ground {
    bus: Bus,
    stretch: Stretch,
    first: u64,
    times: Times,
}

impl Ground {
    /// The ground behind this sequence.
    pub(super) fn new(
        bus: &Bus,
        settings: &BusSettings,
        filter: &Filter,
        (extent, behind): (&Extent, Option<u64>),
        times: Times,
    ) -> Self {
        let first = behind.map_or(extent.first, |behind| behind + 1).max(1);
        let from = match times.since {
            Some(since) if behind.is_none() => Beginning::Time(since - APART),
            _ => Beginning::Sequence(first),
        };
        let stretch = Stretch {
            stream: Arc::from(settings.stream.as_str()),
            prefix: settings.prefix.clone(),
            filter: filter.clone(),
            created: extent.created.clone(),
            from,
            until: extent.last,
        };
        Self {
            bus: bus.clone(),
            stretch,
            first,
            times,
        }
    }
}

/// A walk; gives one record after the other.
pub(super) enum Walk {
    Forward(Box<Past>, Times),
    Backward(Box<Backward>),
}

/// What a walk gives where the text of most events is enough.
pub(super) enum Found {
    Record(Box<Record>),
    Text(Text),
}

/// A walk from the end.
pub(super) struct Backward {
    ground: Ground,
    /// The sequence before which everything is still to be read.
    before: u64,
    piece: u64,
    /// What the last piece held, oldest first.
    found: Vec<Record>,
}

impl Walk {
    /// As it was told.
    pub(super) fn forward(ground: Ground) -> Self {
        let past = Past::new(&ground.bus, ground.stretch);
        Self::Forward(Box::new(past), ground.times)
    }

    /// As it was told, also what lies outside the times that are wanted, as far as it is read anyway.
    pub(super) fn everything(ground: Ground) -> Self {
        let past = Past::new(&ground.bus, ground.stretch);
        Self::Forward(Box::new(past), Times::default())
    }

    /// The newest first.
    pub(super) fn backward(ground: Ground) -> Self {
        Self::Backward(Box::new(Backward {
            before: ground.stretch.until + 1,
            piece: PIECES.0,
            found: Vec::new(),
            ground,
        }))
    }

    /// The sequence that was read last, for those who wait.
    pub(super) fn place(&self) -> u64 {
        match self {
            Self::Forward(past, _) => past.floor().unwrap_or(0),
            Self::Backward(backward) => backward.before,
        }
    }

    /// The next record of the times that are wanted, or nothing where all were given.
    ///
    /// # Cancel safety
    ///
    /// Forward nothing is lost; backward a piece is read again.
    pub(super) async fn next(&mut self) -> Result<Option<Record>, BusError> {
        match self {
            Self::Forward(past, times) => loop {
                match past.next().await? {
                    None => return Ok(None),
                    Some(passed) => {
                        if let Some(record) = readable(passed)
                            && times.hold(record.envelope.timestamp)
                        {
                            return Ok(Some(record));
                        }
                    }
                }
            },
            Self::Backward(backward) => backward.next().await,
        }
    }

    /// The same, with the bare text of events wherever that may be.
    ///
    /// # Cancel safety
    ///
    /// As [`Walk::next`].
    pub(super) async fn next_stored(&mut self) -> Result<Option<Found>, BusError> {
        let Self::Forward(past, times) = self else {
            let record = self.next().await?;
            return Ok(record.map(|record| Found::Record(Box::new(record))));
        };
        while let Some(stored) = past.next_stored().await? {
            let found = match stored {
                Stored::Text(text) => times.hold(text.timestamp).then_some(Found::Text(text)),
                Stored::Passed(passed) => readable(passed)
                    .filter(|record| times.hold(record.envelope.timestamp))
                    .map(|record| Found::Record(Box::new(record))),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

impl Backward {
    async fn next(&mut self) -> Result<Option<Record>, BusError> {
        loop {
            if let Some(record) = self.found.pop() {
                return Ok(Some(record));
            }
            if self.before <= self.ground.first {
                return Ok(None);
            }
            let from = self
                .before
                .saturating_sub(self.piece)
                .max(self.ground.first);
            let stretch = Stretch {
                from: Beginning::Sequence(from),
                until: self.before - 1,
                ..self.ground.stretch.clone()
            };
            let (mut past, mut found, mut behind) =
                (Past::new(&self.ground.bus, stretch), Vec::new(), false);
            let times = self.ground.times;
            while let Some(passed) = past.next().await? {
                let Some(record) = readable(passed) else {
                    continue;
                };
                behind |= times.are_behind(record.position.stored_at);
                if times.hold(record.envelope.timestamp) {
                    found.push(record);
                }
            }
            self.found = found;
            self.before = if behind { self.ground.first } else { from };
            self.piece = (self.piece * 2).min(PIECES.1);
        }
    }
}

/// The record; what is none is said.
fn readable(passed: Passed) -> Option<Record> {
    match passed {
        Passed::Record(record) => Some(*record),
        Passed::Unreadable { sequence, why } => {
            say(&format!(
                "message {sequence} of the stream is no event: {}",
                words().clean(&why, 200)
            ));
            None
        }
    }
}
