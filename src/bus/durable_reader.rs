//! Reading from where the broker remembers that we stopped: each event is acknowledged once it was dealt with, in order.
//!
//! One reader at a time. The broker gives a message that was handed out and not acknowledged again only after a while,
//! and newer ones before it; so what is owed from an earlier reader is waited for first, and the order is kept.

mod beginning;
mod consumer;
mod order;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Message;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::anchor::Anchor;
use super::connect::Bus;
use super::consumer::{Place, Start};
use super::error::BusError;
use super::link::{Link, Mark};
use super::opening::Numbers;
use super::pull::{Pull, Pulled};
use super::read::{Begin, Told, record};
use super::retry::Retry;
use super::stream::{self, StreamInfo};
use super::subscribe::is_name;
use crate::event::filter::Filter;
use crate::event::subject::Prefix;
pub(super) use beginning::first_start;
use consumer::{Consumer, Found};
use order::Order;

/// Messages asked for at once.
const AT_ONCE: u64 = 64;
/// What is not acknowledged within this time is given again, as soon as somebody asks.
const AGAIN: Duration = Duration::from_secs(5);
/// How often the numbers are noted while events come.
const NOTES: Duration = Duration::from_secs(30);
/// How long a request of our own may stand at the broker after we lost the connection it came by.
const OWN_REQUEST: Duration = Duration::from_secs(35);

/// Where a durable reader stands when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nobody read under this name; it begins behind this sequence, or at a time.
    New {
        /// The sequence it begins behind, where that is known.
        behind: Option<u64>,
    },
    /// It goes on where it stood.
    GoesOn {
        /// The sequence everything was dealt with up to.
        behind: u64,
        /// How many events wait, before the filter.
        waiting: u64,
    },
}

/// What a durable reader reads.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The stream.
    pub stream: String,
    /// The first tokens of the subjects.
    pub prefix: Prefix,
    /// Which events.
    pub filter: Filter,
    /// Where to begin the first time.
    pub from: Begin,
    /// The name the place is remembered under.
    pub name: String,
}

/// A reader whose place the broker remembers. Nothing runs unless its methods are awaited.
pub struct DurableReader {
    bus: Bus,
    stream: Arc<str>,
    wanted: Wanted,
    consumer: Consumer,
    created: String,
    floor: u64,
    anchor: Option<Anchor>,
    pull: Option<Pull>,
    link: watch::Receiver<Link>,
    order: Order,
    asked: Mark,
    counted: u64,
    barren: bool,
    progress: Instant,
    pending: u64,
    ready: VecDeque<Told>,
    unacknowledged: VecDeque<String>,
    told: bool,
    taken: Option<Instant>,
    numbers: Numbers,
    noted: (u64, Instant),
    retry: Retry,
}

impl DurableReader {
    /// Looks the name up, creates it where it is missing, and says where it stands.
    ///
    /// # Errors
    ///
    /// [`BusError::Invalid`] for a name that cannot be one, [`BusError::Refused`] where the name stands for another
    /// filter or somebody else reads under it; otherwise as everywhere, and `retry_helps` says whether to wait.
    ///
    /// # Cancel safety
    ///
    /// Dropped, at most the consumer exists.
    pub async fn open(bus: &Bus, wanted: Wanted) -> Result<(Self, Standing), BusError> {
        if !is_name(&wanted.name) {
            return Err(BusError::Invalid(
                "the name of a durable reader has letters, digits, '-' and '_'".to_owned(),
            ));
        }
        let mut reader = Self {
            link: bus.link(),
            bus: bus.clone(),
            stream: wanted.stream.as_str().into(),
            numbers: Numbers::new(&wanted.filter),
            consumer: Consumer::new(bus, &wanted),
            wanted,
            created: String::new(),
            floor: 0,
            anchor: None,
            pull: None,
            order: Order::default(),
            asked: bus.mark(),
            counted: 0,
            barren: false,
            progress: Instant::now(),
            pending: 0,
            ready: VecDeque::new(),
            unacknowledged: VecDeque::new(),
            told: false,
            taken: None,
            noted: (0, Instant::now()),
            retry: Retry::new(),
        };
        let standing = reader.attach().await?;
        Ok((reader, standing))
    }

    /// Waits for the next word; it does not end by itself.
    ///
    /// # Errors
    ///
    /// Only what waiting does not mend.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost or told twice.
    pub async fn next(&mut self) -> Result<Told, BusError> {
        loop {
            if let Some(told) = self.ready.pop_front() {
                self.told |= matches!(told, Told::Record(_));
                return Ok(told);
            }
            if !self.told {
                self.acknowledge().await;
            }
            if self.pull.is_none() {
                // Also where an acknowledgement got no answer.
                self.allowed()?;
                self.open_again().await?;
                continue;
            }
            if self.pending == 0 && self.noted.0 < self.floor && self.noted.1.elapsed() > NOTES {
                self.note().await;
            }
            match self.hear().await {
                Ok(()) => {
                    if std::mem::take(&mut self.barren) {
                        self.ready.extend(self.retry.succeeded());
                    }
                }
                Err(error) if error.retry_helps() => {
                    self.allowed()?;
                    tracing::debug!(%error, "the durable reader begins anew behind its floor");
                    self.drop_pull();
                    // Found, and yet nothing comes: at once again would be for ever again.
                    if self.barren {
                        self.ready.extend(self.retry.failed(&error));
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Says that everything told so far was dealt with.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the broker may give it again; it is not told again by this reader.
    pub async fn done(&mut self) {
        self.told = false;
        if self.ready.is_empty() {
            self.acknowledge().await;
        }
    }

    /// Ends in order: what was acknowledged has reached the broker when this returns, or it cannot be reached.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the broker may not have noted the last acknowledgements.
    pub async fn leave(mut self) {
        if self.pull.is_some() {
            self.note().await;
        }
    }

    /// Has the broker remember the last number of each source too, so that the next reader proves that it missed nothing.
    async fn note(&mut self) {
        self.noted = (self.floor, Instant::now());
        // An answer on the same connection comes after everything that was sent before the question.
        if let Err(error) = self.consumer.note(&self.numbers).await {
            tracing::debug!(%error, "the numbers of a durable reader are not noted");
        }
    }

    fn drop_pull(&mut self) {
        self.pull = None;
        // Their deliveries are over; what the broker gives again has new ones.
        self.unacknowledged.clear();
    }

    async fn acknowledge(&mut self) {
        let confirmed = self.pull.as_ref().is_none_or(|pull| pull.left() == 0);
        while let Some(reply) = self.unacknowledged.pop_front() {
            let last = confirmed && self.unacknowledged.is_empty();
            if !self.consumer.acknowledge(reply, last).await {
                self.drop_pull();
            }
        }
    }

    async fn hear(&mut self) -> Result<(), BusError> {
        let Some(pull) = &mut self.pull else {
            return Ok(());
        };
        if pull.left() == 0 {
            let path = self.consumer.path();
            let batch = (self.pending + self.order.owed()).clamp(1, AT_ONCE);
            self.asked = self.bus.mark();
            pull.ask(&self.bus, &path, batch).await?;
        }
        let next = pull.next(&self.wanted.name, &mut self.link);
        let pulled = if self.order.owed() > 0 {
            // What is owed may have left the stream, and then it never comes.
            let patience = self.progress + AGAIN + AGAIN / 2;
            timeout_at(patience, next).await.map_err(|_| {
                BusError::Unknown("what is owed from an earlier reader does not come".to_owned())
            })??
        } else {
            next.await?
        };
        let Pulled::Message(message) = pulled else {
            return Ok(());
        };
        let Some(place) = message.reply.as_deref().and_then(Place::parse) else {
            return Ok(());
        };
        self.progress = Instant::now();
        self.pending = place.pending;
        if place.delivered != self.counted + 1 {
            return Err(BusError::Unknown(
                "deliveries went elsewhere or were lost".to_owned(),
            ));
        }
        self.counted = place.delivered;
        for (place, message) in self.order.take(place, message) {
            self.take(place, &message);
        }
        Ok(())
    }

    /// A right that is missing answers nothing; the word of it takes another way.
    fn allowed(&self) -> Result<(), BusError> {
        let asking = format!("CONSUMER.MSG.NEXT.{}", self.consumer.path());
        match self.bus.denial(self.asked, |denied| {
            self.bus.is_question(denied, &asking) || denied.starts_with("$JS.ACK.")
        }) {
            Some(denial) => Err(denial.refusal().into()),
            None => Ok(()),
        }
    }

    /// Takes one message in its order.
    fn take(&mut self, place: Place, message: &Message) {
        self.unacknowledged
            .extend(message.reply.as_deref().map(str::to_owned));
        // Given again although it was told: only the acknowledgement was lost.
        if place.sequence <= self.floor {
            return;
        }
        self.floor = place.sequence;
        self.anchor = Some(Anchor::event(place));
        match record(&self.stream, place, &message.payload) {
            Ok(record) => {
                self.ready
                    .extend(self.numbers.check(&record.envelope.glance()));
                if self.wanted.filter.matches(&record.envelope) {
                    self.ready.push_back(Told::Record(Box::new(record)));
                }
            }
            Err(why) => self.ready.push_back(Told::Unreadable {
                sequence: place.sequence,
                why,
            }),
        }
    }

    async fn open_again(&mut self) -> Result<(), BusError> {
        if let Some(lost) = self.retry.due(&self.bus).await {
            self.ready.push_back(lost);
            return Ok(());
        }
        match self.attach().await {
            Ok(_) if std::mem::replace(&mut self.barren, true) => {}
            Ok(_) => {
                if let Some(back) = self.retry.succeeded() {
                    self.ready.push_front(back);
                }
            }
            Err(error) if error.retry_helps() => self.ready.extend(self.retry.failed(&error)),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Looks the consumer up or makes it, and listens.
    async fn attach(&mut self) -> Result<Standing, BusError> {
        self.link.mark_unchanged();
        let info = stream::info(&self.bus, &self.stream).await?;
        let info = info.ok_or_else(|| BusError::NoStream(self.stream.to_string()))?;
        let mut renewed = self.is_another(&info).await?;
        let found = match self.consumer.find().await? {
            // Its place lies behind the end, in a stream that lost it; it names nothing any more.
            Some(found) if found.behind > info.last => {
                self.consumer.forget().await?;
                renewed = true;
                None
            }
            found => found,
        };
        if let Some(found) = &found {
            self.alone(found.asking)?;
        }
        let pull = Pull::open(&self.bus).await?;
        let standing = if let Some(found) = &found {
            Standing::GoesOn {
                behind: found.behind,
                waiting: found.pending + found.owed,
            }
        } else {
            let start = self.start(&info, renewed).await?;
            self.consumer.create(&info, &start).await?;
            let behind = match start {
                Start::At(sequence) => Some(sequence.max(1) - 1),
                Start::Since(_) => None,
            };
            Standing::New { behind }
        };
        // From here on nothing waits: what was found counts whole or not at all.
        self.settle(&info, found.as_ref(), &standing, renewed);
        self.pull = Some(pull);
        Ok(standing)
    }

    fn settle(
        &mut self,
        info: &StreamInfo,
        found: Option<&Found>,
        standing: &Standing,
        renewed: bool,
    ) {
        if renewed {
            self.floor = 0;
            self.anchor = self.anchor.map(Anchor::moment);
            // Behind an anchor a new journal still begins with 1, and that is proved.
            if found.is_some() || self.created != info.created {
                self.numbers.forget();
                self.anchor = None;
            }
            self.ready.push_back(Told::StreamRenewed);
        }
        let behind = match standing {
            Standing::GoesOn { behind, .. } => *behind,
            Standing::New { behind } => behind.unwrap_or(0),
        };
        let behind = behind.max(self.floor);
        if let Some(found) = found {
            let seen = found.note.as_ref().map_or(behind, |note| note.behind);
            if let Some(note) = found.note.as_ref().filter(|_| self.created.is_empty()) {
                self.numbers.learn(&note.numbers);
            }
            if info.first > seen + 1 && !self.numbers.prove() {
                self.ready.push_back(Told::Expired {
                    after: seen,
                    before: info.first,
                });
            }
        }
        self.floor = behind;
        if found.map_or(behind == info.last, |f| f.pending + f.owed == 0) {
            self.anchor = self.anchor.or(Anchor::end(info));
        }
        self.created.clone_from(&info.created);
        // From the broker's own count: a message that goes elsewhere before our first one is noticed too.
        self.counted = found.map_or(0, |found| found.deliveries);
        self.progress = Instant::now();
        self.pending = found.map_or(1, |found| found.pending);
        self.order = found.map_or_else(Order::default, |f| Order::owing(f.owed, f.delivered));
    }

    /// Sees to it that nobody else reads under this name. Right after a break it may be we ourselves who still ask.
    fn alone(&mut self, asking: u64) -> Result<(), BusError> {
        if asking == 0 {
            self.taken = None;
            return Ok(());
        }
        let since = *self.taken.get_or_insert_with(Instant::now);
        if self.created.is_empty() || since.elapsed() > OWN_REQUEST {
            return Err(self.consumer.taken().into());
        }
        Err(BusError::Busy(format!(
            "a request of durable {} still stands",
            self.wanted.name
        )))
    }
}
