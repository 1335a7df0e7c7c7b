//! Reading the stream live: no hole, no repeat, across whatever happens to the broker or the connection.
//!
//! The floor, which is the stream's creation time and the last sequence handed out, is ours. Consumers are thrown away
//! at the least doubt and made anew right behind the floor; they are cheap, a lost event is not.

mod take;

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::Stream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::anchor::Anchor;
use super::connect::Bus;
use super::consumer::{Heard, Place, Push, Start};
use super::error::{BusError, clean};
use super::link::Link;
use super::opening::{Floor, Numbers, Opening, Tail};
use super::retry::Retry;
use super::stream::{self, StreamInfo};
use super::text::Text;
use crate::event::envelope::Envelope;
use crate::event::filter::Filter;
use crate::event::record::{Position, Record};
use crate::event::subject::Prefix;

/// The most events that [`Begin::Last`] gives.
pub const MOST_LAST: usize = 10_000;

/// Where reading begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// Behind what is stored now.
    Now,
    /// At this sequence of the stream.
    Sequence(u64),
    /// At what was stored at this time or later.
    Time(DateTime<Utc>),
    /// At the last so many events that match, at most [`MOST_LAST`].
    Last(usize),
}

/// What a reader tells.
#[derive(Debug, Clone)]
pub enum Told {
    /// An event that matches.
    Record(Box<Record>),
    /// An event that matches and says nothing about sight, as its text; told only where [`Reader::with_texts`] asked for it.
    Text(Text),
    /// Events of a source are missing and the stream does not have them; told only where the server
    /// hands over all events of a source: where not exactly one type of process events is wanted.
    Hole {
        /// What is watched.
        source: String,
        /// The journal the numbers belong to.
        journal: String,
        /// The last number before the hole.
        after: u64,
        /// The first number behind it.
        before: u64,
    },
    /// What the stream held behind `after` and before `before` left it unread; whether there was an event among it that
    /// matches, nobody can tell. Told only where no number proves it.
    Expired {
        /// The last sequence that was read.
        after: u64,
        /// The first sequence that is left.
        before: u64,
    },
    /// The stream is another than before, or lost its end: what it held may be gone, and reading goes on in the new one.
    StreamRenewed,
    /// The stream cannot be read at the moment; reading goes on by itself.
    LinkLost {
        /// Why, in one line.
        why: String,
    },
    /// The stream can be read again, from where reading stopped.
    LinkBack,
    /// Everything stored up to this sequence was read; what follows is live. Told once.
    CaughtUp(u64),
    /// Something is stored there that is no event.
    Unreadable {
        /// The sequence in the stream.
        sequence: u64,
        /// What is wrong with it, in one line.
        why: String,
    },
}

/// A live reader. Nothing runs unless [`Reader::next`] is awaited.
pub struct Reader {
    bus: Bus,
    stream: Arc<str>,
    subjects: [String; 2],
    filter: Filter,
    from: Begin,
    floor: Option<Floor>,
    anchor: Option<Anchor>,
    created: String,
    push: Option<Push>,
    /// When the connection had last come back when the place was taken.
    placed: Option<Instant>,
    link: watch::Receiver<Link>,
    ready: VecDeque<Told>,
    texts: bool,
    numbers: Numbers,
    tail: Option<Tail>,
    window: u64,
    caught_up: bool,
    retry: Retry,
}

impl Reader {
    /// A reader of what `filter` lets by.
    pub fn live(bus: &Bus, stream: &str, prefix: &Prefix, filter: Filter, from: Begin) -> Self {
        let from = match from {
            Begin::Last(0) => Begin::Now,
            Begin::Last(count) => Begin::Last(count.min(MOST_LAST)),
            other => other,
        };
        let window = match from {
            Begin::Last(count) => (4 * count as u64).max(256),
            _ => 0,
        };
        Self {
            link: bus.link(),
            bus: bus.clone(),
            stream: stream.into(),
            subjects: filter.subjects(prefix),
            numbers: Numbers::new(&filter),
            filter,
            from,
            floor: None,
            anchor: None,
            created: String::new(),
            push: None,
            placed: None,
            ready: VecDeque::new(),
            texts: false,
            tail: None,
            window,
            caught_up: false,
            retry: Retry::new(),
        }
    }

    /// Gives the bare text of events wherever that may be, for whoever needs nothing else of most of them.
    pub fn with_texts(mut self) -> Self {
        self.texts = true;
        self
    }

    /// Takes the place where reading begins now rather than with the first [`Reader::next`], so that whatever is stored
    /// from here on is told. Gives the subjects that match `subjects` of what the stream held there, or held a little later.
    /// Does nothing where the beginning does not depend on the moment, or nobody can be asked.
    ///
    /// # Errors
    ///
    /// Only what waiting does not mend.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn take_place(&mut self, subjects: &str) -> Result<Option<Vec<String>>, BusError> {
        if self.from != Begin::Now || self.floor.is_some() {
            return Ok(None);
        }
        self.placed = self.bus.returned_at();
        match stream::info_and_subjects(&self.bus, &self.stream, subjects).await {
            Ok(Some((info, listed))) => {
                self.anchor = Anchor::end(&info);
                self.created = info.created;
                self.raise(info.last);
                return Ok(Some(listed));
            }
            // Nothing is stored now: whatever the stream holds when it is there came later.
            Ok(None) => self.from = Begin::Sequence(1),
            Err(error) if error.retry_helps() => {}
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// Lets the server begin to deliver behind the place that was taken, while something else is asked; what it delivers is
    /// told by [`Reader::next`], which also makes good what fails here. Does nothing where no place was taken.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn read_ahead(&mut self) {
        let Some(floor) = self.floor.clone().filter(|_| self.push.is_none()) else {
            return;
        };
        self.link.mark_unchanged();
        if let Err(error) = self.open_ahead(&floor).await {
            tracing::debug!(%error, "nothing is read ahead");
        }
    }

    /// Makes a consumer behind a place that was taken just now, and looks afterwards whether it is the same stream still: so
    /// the server delivers while it is asked. What does not hold is dropped, and the long way is gone.
    async fn open_ahead(&mut self, floor: &Floor) -> Result<(), BusError> {
        let start = Start::At(floor.sequence + 1);
        let (push, pending) = Push::open(&self.bus, &self.stream, &start, &self.subjects).await?;
        let info = stream::info(&self.bus, &self.stream).await?;
        // A broker that came back with an older store broke the connection.
        let stands = self.placed == self.bus.returned_at()
            && info.is_some_and(|it| it.created == floor.created && it.last >= floor.sequence);
        if stands {
            self.push = Some(push);
            if pending == 0 {
                self.reach(floor.sequence, None);
            }
        }
        Ok(())
    }

    /// Takes over the last number of a source, as its head said after [`Reader::take_place`]: so a hole before the first
    /// event that is read is noticed too.
    pub fn knows(&mut self, source: &str, journal: &str, seq: u64) {
        if self.floor.is_some() {
            self.numbers.learn(&[(source.into(), journal.into(), seq)]);
        }
    }

    /// Waits for the next word; it does not end by itself.
    ///
    /// # Errors
    ///
    /// Only what waiting does not mend: [`BusError::Refused`], [`BusError::Auth`], [`BusError::Invalid`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost or told twice.
    pub async fn next(&mut self) -> Result<Told, BusError> {
        loop {
            if let Some(told) = self.ready.pop_front() {
                return Ok(told);
            }
            let Some(push) = &mut self.push else {
                self.open().await?;
                continue;
            };
            let denied = push.denied(&self.bus);
            let heard = tokio::select! {
                biased;
                denial = denied => return Err(denial.refusal().into()),
                // Whatever happened to the connection, deliveries may have been under way.
                _ = self.link.changed() => Heard::Broken("the connection broke".to_owned()),
                heard = push.next(&self.bus) => heard,
            };
            match heard {
                Heard::Beat => {}
                Heard::Message(place, message) => self.take(place, message),
                Heard::Broken(why) => {
                    tracing::debug!(%why, "the consumer is made anew");
                    self.push = None;
                    self.tail = None;
                }
            }
        }
    }

    /// The same as a stream, which ends behind an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Told, BusError>> {
        futures_util::stream::unfold(Some(self), |reader| async {
            let mut reader = reader?;
            match reader.next().await {
                Ok(told) => Some((Ok(told), Some(reader))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn open(&mut self) -> Result<(), BusError> {
        if let Some(lost) = self.retry.due(&self.bus).await {
            self.ready.push_back(lost);
            return Ok(());
        }
        self.link.mark_unchanged();
        match self.try_open().await {
            Ok(()) => {
                if let Some(back) = self.retry.succeeded() {
                    self.ready.push_front(back);
                }
            }
            Err(error) if error.retry_helps() => {
                if self.floor.is_none()
                    && self.from == Begin::Now
                    && matches!(error, BusError::NoStream(_))
                {
                    // Nothing is stored now: whatever the stream holds when it is there came later.
                    self.from = Begin::Sequence(1);
                }
                self.ready.extend(self.retry.failed(&error));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn try_open(&mut self) -> Result<(), BusError> {
        let info = stream::info(&self.bus, &self.stream).await?;
        let info = info.ok_or_else(|| BusError::NoStream(self.stream.to_string()))?;
        let opening = match self.other_history(&info).await? {
            Some(anchor) => Opening::anew(anchor),
            None => Opening::find(&self.from, self.floor.as_ref(), self.window, &info),
        };
        let (push, pending) =
            Push::open(&self.bus, &self.stream, &opening.start, &self.subjects).await?;
        // From here on nothing waits: what was found counts whole or not at all.
        self.push = Some(push);
        if opening.tail.is_some() {
            // It is read from its beginning, perhaps once more.
            self.numbers.forget();
        }
        self.floor = opening.floor;
        self.tail = opening.tail;
        if let Start::Since(time) = opening.start {
            // Should the consumer be lost before it gives anything.
            self.from = Begin::Time(time);
        }
        if opening.renewed {
            self.ready.push_back(Told::StreamRenewed);
        }
        if self.created != info.created {
            // In a store that went on from an older one a new journal still begins with 1, and that is proved.
            self.numbers.forget();
            self.anchor = None;
        }
        self.created.clone_from(&info.created);
        if self.floor.as_ref().is_some_and(|f| f.sequence == info.last) {
            self.anchor = self.anchor.or(Anchor::end(&info));
        }
        if pending == 0 {
            self.reach(info.last, Anchor::end(&info));
        }
        Ok(())
    }

    /// Where to go on in a stream that is the one we read, and yet does not hold what we read last.
    async fn other_history(&self, info: &StreamInfo) -> Result<Option<Anchor>, BusError> {
        let (Some(floor), Some(anchor)) = (&self.floor, self.anchor) else {
            return Ok(None);
        };
        if floor.created != info.created {
            return Ok(None);
        }
        let gone =
            floor.sequence > info.last || anchor.is_gone(&self.bus, &self.stream, info).await?;
        Ok(gone.then_some(anchor))
    }
}

/// Makes a record of a delivered message, copying what is kept.
pub(super) fn record(stream: &Arc<str>, place: Place, payload: &[u8]) -> Result<Record, String> {
    let envelope = Envelope::parse(payload).map_err(|error| clean(&error.to_string()))?;
    let position = Position {
        stream: Arc::clone(stream),
        sequence: place.sequence,
        stored_at: place.stored_at,
    };
    Ok(Record {
        envelope,
        raw: payload.into(),
        position,
    })
}
