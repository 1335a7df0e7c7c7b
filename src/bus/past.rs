//! Reading a stretch of the stream once: what is stored when reading begins, asked for in large pieces, and no more.
//!
//! Asked for rather than pushed, so that a slow reader slows the broker and memory stays bounded: the next piece is asked for
//! when half of the last one is there, so that neither side waits for the other.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Message;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use super::connect::{Bus, CALL};
use super::consumer::{Place, Start, nanos};
use super::error::BusError;
use super::link::{Link, Mark};
use super::pull::{Pull, Pulled};
use super::read::record;
use super::shape::covers;
use super::stored::stored_at;
use super::stream;
use super::text::Text;
use crate::event::filter::Filter;
use crate::event::glance::Glance;
use crate::event::record::Record;
use crate::event::subject::Prefix;

/// Messages asked for at once.
const AT_ONCE: u64 = 1000;
/// How long the server keeps a consumer whose reader is gone.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);
/// How often reading is taken up again without a message between.
const ATTEMPTS: u32 = 3;

/// The stream as it stood when reading began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// When it was created, verbatim: with the name, its identity.
    pub created: String,
    /// The first sequence that is left.
    pub first: u64,
    /// The last sequence; below `first` where nothing is stored.
    pub last: u64,
}

impl Extent {
    /// Asks for it.
    ///
    /// # Errors
    ///
    /// [`BusError::NoStream`], or that nobody could be asked.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn of(bus: &Bus, stream: &str) -> Result<Self, BusError> {
        let info = stream::info(bus, stream).await?;
        let info = info.ok_or_else(|| BusError::NoStream(stream.to_owned()))?;
        Ok(Self {
            created: info.created,
            first: info.first,
            last: info.last,
        })
    }

    /// Since when the stream holds everything that was stored; nothing where nothing ever leaves it. Heads are replaced
    /// all the time, so that a first message that is young proves nothing: the limits say what leaves.
    ///
    /// # Errors
    ///
    /// As [`Extent::of`].
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn kept_since(
        &self,
        bus: &Bus,
        stream: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, BusError> {
        let info = stream::info(bus, stream).await?;
        let info = info.ok_or_else(|| BusError::NoStream(stream.to_owned()))?;
        let full = if is_full(&info.config, info.bytes, info.messages) {
            self.first_stored(bus, stream).await
        } else {
            None
        };
        Ok(full.max(aged(&info.config, now)))
    }

    /// When the first message that is left was stored; nothing where nothing is stored or nobody may ask.
    pub async fn first_stored(&self, bus: &Bus, stream: &str) -> Option<DateTime<Utc>> {
        stored_at(bus, stream, self.first).await.ok()?
    }
}

/// What was stored before leaves for its age.
fn aged(config: &Value, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let age = config["max_age"].as_i64().filter(|age| *age > 0)?;
    now.checked_sub_signed(TimeDelta::nanoseconds(age))
}

/// Whether the oldest may leave for want of room.
fn is_full(config: &Value, bytes: u64, messages: u64) -> bool {
    let reached = |limit: &Value, used: u64| {
        let limit = limit.as_u64().filter(|limit| *limit > 0);
        // One commit more may be what does not fit any more.
        limit.is_some_and(|limit| used >= limit / 10 * 9)
    };
    reached(&config["max_bytes"], bytes) || reached(&config["max_msgs"], messages)
}

/// Where a stretch begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beginning {
    /// At this sequence, or the next one there is.
    Sequence(u64),
    /// At what was stored at this time or later.
    Time(DateTime<Utc>),
}

/// What is read.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// The stream.
    pub stream: Arc<str>,
    /// The first tokens of the subjects.
    pub prefix: Prefix,
    /// Which events.
    pub filter: Filter,
    /// The stream's identity: a stream that was made anew meanwhile is an error.
    pub created: String,
    /// Where it begins.
    pub from: Beginning,
    /// The last sequence that belongs to it.
    pub until: u64,
}

/// What was stored there.
#[derive(Debug, Clone)]
pub enum Passed {
    /// An event that matches.
    Record(Box<Record>),
    /// Something that is no event.
    Unreadable {
        /// The sequence in the stream.
        sequence: u64,
        /// What is wrong with it, in one line.
        why: String,
    },
}

/// What was stored there, for whoever needs nothing of most events but their text.
#[derive(Debug, Clone)]
pub enum Stored {
    /// An event that matches and says nothing about sight, as its text.
    Text(Text),
    /// Anything else.
    Passed(Passed),
}

/// A reader of a stretch. Nothing runs unless [`Past::next`] is awaited.
pub struct Past {
    bus: Bus,
    stretch: Stretch,
    /// What is wanted; told apart here, because a server that has to look for two subjects among many takes a hundred
    /// times as long for each message as one that hands over all.
    subjects: [String; 2],
    /// Whether the filter leaves anything out.
    chooses: bool,
    floor: Option<u64>,
    name: String,
    pull: Option<Pull>,
    pending: u64,
    attempt: u32,
    /// Whether the last request brought anything.
    came: bool,
    /// What the violations of our rights were before the last request.
    asked: Mark,
    link: watch::Receiver<Link>,
}

impl Past {
    /// A reader of that stretch.
    pub fn new(bus: &Bus, stretch: Stretch) -> Self {
        Self {
            link: bus.link(),
            bus: bus.clone(),
            subjects: stretch.filter.subjects(&stretch.prefix),
            chooses: !stretch.filter.is_open(),
            stretch,
            floor: None,
            name: String::new(),
            pull: None,
            pending: 0,
            attempt: 0,
            came: false,
            asked: bus.mark(),
        }
    }

    /// The sequence up to which everything was told; nothing before the first message.
    pub fn floor(&self) -> Option<u64> {
        self.floor
    }

    /// The next event of the stretch, or nothing at its end.
    ///
    /// # Errors
    ///
    /// Whatever went wrong three times in a row, and what waiting does not mend.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost or told twice.
    pub async fn next(&mut self) -> Result<Option<Passed>, BusError> {
        while let Some((place, message)) = self.arrived().await? {
            // Most of what is not wanted is passed over at a glance.
            let glance = self.chooses.then(|| Glance::of(&message.payload));
            if glance
                .flatten()
                .is_some_and(|glance| !self.stretch.filter.suits(&glance))
            {
                continue;
            }
            if let Some(passed) = self.pass(place, &message) {
                return Ok(Some(passed));
            }
        }
        Ok(None)
    }

    /// The same, with the bare text of events wherever that may be.
    ///
    /// # Errors
    ///
    /// As [`Past::next`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost or told twice.
    pub async fn next_stored(&mut self) -> Result<Option<Stored>, BusError> {
        while let Some((place, message)) = self.arrived().await? {
            let filter = &self.stretch.filter;
            if let Some(glance) = Glance::of(&message.payload) {
                if !filter.suits(&glance) {
                    continue;
                }
                if let Some(text) = Text::enough(filter, &glance, place, &message) {
                    return Ok(Some(Stored::Text(text)));
                }
            }
            if let Some(passed) = self.pass(place, &message) {
                return Ok(Some(Stored::Passed(passed)));
            }
        }
        Ok(None)
    }

    /// The next message of the stretch that is about what is wanted.
    async fn arrived(&mut self) -> Result<Option<(Place, Message)>, BusError> {
        loop {
            match self.step().await {
                Ok(Step::End) => {
                    self.forget().await;
                    return Ok(None);
                }
                Ok(Step::Arrived(place, message)) => return Ok(Some((place, message))),
                Ok(Step::Nothing) => {}
                Err(error) => self.again(error).await?,
            }
        }
    }

    /// What a message says, read whole.
    fn pass(&self, place: Place, message: &Message) -> Option<Passed> {
        match record(&self.stretch.stream, place, &message.payload) {
            Ok(record) => {
                let matches = self.stretch.filter.matches(&record.envelope);
                matches.then(|| Passed::Record(Box::new(record)))
            }
            Err(why) => Some(Passed::Unreadable {
                sequence: place.sequence,
                why,
            }),
        }
    }

    /// Begins anew behind the floor where that may help.
    async fn again(&mut self, error: BusError) -> Result<(), BusError> {
        // A right that is missing answers nothing; the word of it takes another way.
        let path = format!("{}.{}", self.stretch.stream, self.name);
        let asking = self.bus.api_subject(&format!("CONSUMER.MSG.NEXT.{path}"));
        if let Some(denial) = self.bus.denial(self.asked, |denied| denied == asking) {
            return Err(denial.refusal().into());
        }
        if !error.retry_helps() || self.attempt >= ATTEMPTS {
            return Err(error);
        }
        tracing::debug!(%error, "the stretch is taken up again behind its floor");
        self.attempt += 1;
        self.pull = None;
        // Who is not back by then is away, and the next attempt says so.
        drop(timeout(CALL, self.bus.connected()).await);
        Ok(())
    }

    async fn step(&mut self) -> Result<Step, BusError> {
        let Some(pull) = &mut self.pull else {
            return self.open().await;
        };
        let left = pull.left();
        if left == 0 && self.pending == 0 {
            return Ok(Step::End);
        }
        // Of what is pending some is asked for already.
        let unasked = self.pending.saturating_sub(left);
        let early = left <= AT_ONCE / 2 && unasked >= AT_ONCE;
        if early || left == 0 {
            let path = format!("{}.{}", self.stretch.stream, self.name);
            self.asked = self.bus.mark();
            self.came = false;
            pull.ask_stored(&self.bus, &path, unasked.min(AT_ONCE))
                .await?;
        }
        let Pulled::Message(message) = pull.next(&self.name, &mut self.link).await? else {
            // A request that takes the server ten seconds ends with the same word, however much is left; only one that
            // brought nothing says that nothing is.
            if pull.left() == 0 && !self.came {
                self.pending = 0;
            }
            return Ok(Step::Nothing);
        };
        self.came = true;
        let Some(place) = message.reply.as_deref().and_then(Place::parse) else {
            return Ok(Step::Nothing);
        };
        self.attempt = 0;
        if place.sequence > self.stretch.until {
            return Ok(Step::End);
        }
        self.pending = place.pending;
        self.floor = Some(place.sequence);
        if !self
            .subjects
            .iter()
            .any(|wanted| covers(wanted, &message.subject))
        {
            return Ok(Step::Nothing);
        }
        Ok(Step::Arrived(place, message))
    }

    async fn open(&mut self) -> Result<Step, BusError> {
        let Stretch { stream, until, .. } = &self.stretch;
        let start = match (self.floor, &self.stretch.from) {
            (Some(floor), _) => Start::At(floor + 1),
            (None, Beginning::Sequence(first)) => Start::At(*first),
            (None, Beginning::Time(time)) => Start::Since(*time),
        };
        if matches!(start, Start::At(first) if first > *until) {
            return Ok(Step::End);
        }
        self.link.mark_unchanged();
        // Taken up again, it may be another stream.
        if self.attempt > 0 {
            let extent = Extent::of(&self.bus, stream).await?;
            if extent.created != self.stretch.created || extent.last < *until {
                return Err(BusError::Unknown(format!(
                    "stream {stream} was made anew while it was read"
                )));
            }
        }
        let pull = Pull::open(&self.bus).await?;
        self.name = format!("observe-{:016x}", fastrand::u64(..));
        let mut config = json!({
            "name": self.name,
            "description": "a reader of observe",
            "ack_policy": "none",
            "replay_policy": "instant",
            "inactive_threshold": nanos(FORGOTTEN_AFTER),
            "mem_storage": true,
            "num_replicas": 1,
            "filter_subject": format!("{}.>", self.stretch.prefix),
        });
        start.write(&mut config);
        let body = json!({ "stream_name": **stream, "config": config, "action": "create" });
        let answer: Value = self
            .bus
            .ask(&format!("CONSUMER.CREATE.{stream}.{}", self.name), &body)
            .await
            .map_err(|error| {
                error.into_bus(&self.bus, &format!("create a consumer on stream {stream}"))
            })?;
        self.pending = answer["num_pending"].as_u64().unwrap_or(0);
        self.pull = Some(pull);
        Ok(Step::Nothing)
    }

    /// The consumer is not needed any more; where nobody may delete it, the server forgets it soon.
    async fn forget(&mut self) {
        if self.pull.take().is_none() {
            return;
        }
        let subject = self.bus.api_subject(&format!(
            "CONSUMER.DELETE.{}.{}",
            self.stretch.stream, self.name
        ));
        drop(timeout(CALL, self.bus.client().publish(subject, Vec::new().into())).await);
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart at once, a hundred thousand times a second"
)]
enum Step {
    Arrived(Place, Message),
    Nothing,
    End,
}

#[cfg(test)]
mod tests;
