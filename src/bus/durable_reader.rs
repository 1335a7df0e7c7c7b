//! Reading from where the broker remembers that we stopped: each event is acknowledged once it was dealt with, in order.
//!
//! One reader at a time. The broker gives a message that was handed out and not acknowledged again only after a while,
//! and newer ones before it; so what is owed from an earlier reader is waited for first, and the order is kept.

mod order;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Message;
use async_nats::client::Request;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::api::code;
use super::connect::{ANSWER, Bus, CALL};
use super::consumer::{Place, Start, nanos};
use super::error::{BusError, Refusal, clean};
use super::link::Link;
use super::opening::Numbers;
use super::pull::{Pull, Pulled};
use super::read::{Begin, Reader, Told, record};
use super::retry::Retry;
use super::stream::{self, StreamInfo};
use super::subscribe::is_name;
use crate::event::filter::Filter;
use crate::event::subject::Prefix;
use order::Order;

/// Messages asked for at once.
const AT_ONCE: u64 = 64;
/// The most that may be handed out and not acknowledged: what was asked for before a break, and what is asked for after.
const UNDER_WORK: u64 = 4 * AT_ONCE;
/// What is not acknowledged within this time is given again, as soon as somebody asks.
const AGAIN: Duration = Duration::from_secs(5);
/// How much longer than the stream keeps its events the broker keeps a place that nobody reads from: a week.
const KEPT: Duration = Duration::from_hours(7 * 24);
/// How long a request of our own may stand at the broker after we lost the connection it came by.
const OWN_REQUEST: Duration = Duration::from_secs(35);
/// The key in the consumer's metadata that holds the filter it was made for.
const FILTER: &str = "observe-filter";

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
    subjects: [String; 2],
    wanted: Wanted,
    created: String,
    floor: u64,
    pull: Option<Pull>,
    link: watch::Receiver<Link>,
    order: Order,
    counted: Option<u64>,
    progress: Instant,
    pending: u64,
    ready: VecDeque<Told>,
    unacknowledged: VecDeque<String>,
    told: bool,
    taken: Option<Instant>,
    numbers: Numbers,
    retry: Retry,
}

/// The consumer as the broker describes it.
struct Found {
    /// Everything up to here was acknowledged or passed over.
    behind: u64,
    delivered: u64,
    owed: u64,
    pending: u64,
    asking: u64,
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
            subjects: wanted.filter.subjects(&wanted.prefix),
            numbers: Numbers::new(wanted.filter.is_complete()),
            wanted,
            created: String::new(),
            floor: 0,
            pull: None,
            order: Order::default(),
            counted: None,
            progress: Instant::now(),
            pending: 0,
            ready: VecDeque::new(),
            unacknowledged: VecDeque::new(),
            told: false,
            taken: None,
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
                self.open_again().await?;
                continue;
            }
            match self.hear().await {
                Ok(()) => {}
                Err(error) if error.retry_helps() => {
                    tracing::debug!(%error, "the durable reader begins anew behind its floor");
                    self.drop_pull();
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
    pub async fn leave(self) {
        if self.pull.is_some() {
            // An answer on the same connection comes after everything that was sent before the question.
            drop(
                self.bus
                    .ask::<Value>(&self.path("INFO"), &Value::Null)
                    .await,
            );
        }
    }

    fn path(&self, verb: &str) -> String {
        format!("CONSUMER.{verb}.{}.{}", self.stream, self.wanted.name)
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
            if !self.send(reply, last).await {
                self.drop_pull();
            }
        }
    }

    async fn send(&self, reply: String, confirmed: bool) -> bool {
        if !self.bus.is_connected() {
            return false;
        }
        let client = self.bus.client();
        if confirmed {
            let request = Request::new().payload("+ACK".into()).timeout(Some(ANSWER));
            matches!(
                timeout(CALL, client.send_request(reply, request)).await,
                Ok(Ok(_))
            )
        } else {
            let sent = client.publish(reply, "+ACK".into());
            matches!(timeout(CALL, sent).await, Ok(Ok(())))
        }
    }

    async fn hear(&mut self) -> Result<(), BusError> {
        let Some(pull) = &mut self.pull else {
            return Ok(());
        };
        if pull.left() == 0 {
            let path = format!("{}.{}", self.stream, self.wanted.name);
            let batch = (self.pending + self.order.owed()).clamp(1, AT_ONCE);
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
        if self
            .counted
            .is_some_and(|counted| place.delivered != counted + 1)
        {
            return Err(BusError::Unknown(
                "deliveries went elsewhere or were lost".to_owned(),
            ));
        }
        self.counted = Some(place.delivered);
        for (place, message) in self.order.take(place, message) {
            self.take(place, message);
        }
        Ok(())
    }

    /// Takes one message in its order.
    fn take(&mut self, place: Place, message: Message) {
        self.unacknowledged
            .extend(message.reply.as_deref().map(str::to_owned));
        // Given again although it was told: only the acknowledgement was lost.
        if place.sequence <= self.floor {
            return;
        }
        self.floor = place.sequence;
        match record(&self.stream, place, &message.payload) {
            Ok(record) => {
                let wanted = &self.wanted.filter;
                if wanted.wants_source(&record.envelope.source) {
                    self.ready.extend(self.numbers.check(&record.envelope));
                }
                if wanted.matches(&record.envelope) {
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
        let first = self.created.is_empty();
        let renewed = !first && (self.created != info.created || self.floor > info.last);
        let found = match self.find().await? {
            // Its place lies behind the end, in a stream that lost it; it names nothing any more.
            Some(found) if found.behind > info.last => {
                self.forget().await?;
                None
            }
            found => found,
        };
        let pull = Pull::open(&self.bus).await?;
        let standing = match &found {
            Some(found) => Standing::GoesOn {
                behind: found.behind,
                waiting: found.pending + found.owed,
            },
            None => self.create(&info, first, renewed).await?,
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
            self.numbers.forget();
            self.floor = 0;
            self.ready.push_back(Told::StreamRenewed);
        }
        let behind = match standing {
            Standing::GoesOn { behind, .. } => Some(*behind),
            Standing::New { behind } => *behind,
        };
        let behind = behind.unwrap_or(0).max(self.floor);
        if found.is_some() && info.first > behind + 1 {
            self.ready.push_back(Told::Expired {
                after: behind,
                before: info.first,
            });
        }
        self.floor = behind.max(self.floor);
        self.created.clone_from(&info.created);
        self.counted = None;
        self.progress = Instant::now();
        self.pending = found.map_or(1, |found| found.pending);
        self.order = found.map_or_else(Order::default, |f| Order::owing(f.owed, f.delivered));
    }

    async fn find(&mut self) -> Result<Option<Found>, BusError> {
        let found = match self
            .bus
            .ask::<Value>(&self.path("INFO"), &Value::Null)
            .await
        {
            Ok(found) => found,
            Err(error) if error.err_code() == code::CONSUMER_NOT_FOUND => return Ok(None),
            Err(error) => {
                let doing = format!("describe consumer {}", self.wanted.name);
                return Err(error.into_bus(&self.bus, &doing));
            }
        };
        self.compare(&found["config"])?;
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let owed = number(&found["num_ack_pending"]);
        let delivered = number(&found["delivered"]["stream_seq"]);
        let acknowledged = number(&found["ack_floor"]["stream_seq"]);
        let found = Found {
            behind: if owed == 0 { delivered } else { acknowledged },
            delivered,
            owed,
            pending: number(&found["num_pending"]),
            asking: number(&found["num_waiting"]),
        };
        self.alone(found.asking)?;
        Ok(Some(found))
    }

    /// Sees to it that nobody else reads under this name. Right after a break it may be we ourselves who still ask.
    fn alone(&mut self, asking: u64) -> Result<(), BusError> {
        if asking == 0 {
            self.taken = None;
            return Ok(());
        }
        let since = *self.taken.get_or_insert_with(Instant::now);
        if self.created.is_empty() || since.elapsed() > OWN_REQUEST {
            return Err(self.refusal().into());
        }
        Err(BusError::Busy(format!(
            "a request of durable {} still stands",
            self.wanted.name
        )))
    }

    fn refusal(&self) -> Refusal {
        let name = &self.wanted.name;
        Refusal::new(
            format!(
                "another program reads as durable {name} of stream {}",
                self.stream
            ),
            "one reader of that name, because the broker gives each event to one of them",
            "end the other one, or choose another name",
        )
    }

    fn compare(&self, config: &Value) -> Result<(), BusError> {
        let listed = config["filter_subjects"].as_array().into_iter().flatten();
        let mut subjects: Vec<_> = listed.filter_map(Value::as_str).collect();
        let mut wanted: Vec<_> = self.subjects.iter().map(String::as_str).collect();
        subjects.sort_unstable();
        wanted.sort_unstable();
        let reads = config["metadata"][FILTER].as_str();
        let filter = self.wanted.filter.to_string();
        let explicit = config["ack_policy"] == json!("explicit");
        if explicit && subjects == wanted && reads.is_none_or(|reads| reads == filter) {
            return Ok(());
        }
        let (name, stream) = (&self.wanted.name, &self.stream);
        let reads = reads.map_or_else(|| subjects.join(", "), str::to_owned);
        Err(Refusal::new(
            format!("durable {name} of stream {stream} reads {}", clean(&reads)),
            filter,
            format!(
                "ask for the same as before, choose another name, or forget its place by: nats consumer rm {stream} {name}"
            ),
        )
        .into())
    }

    async fn forget(&self) -> Result<(), BusError> {
        match self
            .bus
            .ask::<Value>(&self.path("DELETE"), &Value::Null)
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if error.err_code() == code::CONSUMER_NOT_FOUND => Ok(()),
            Err(error) => {
                let doing = format!("delete consumer {}", self.wanted.name);
                Err(error.into_bus(&self.bus, &doing))
            }
        }
    }

    async fn create(
        &self,
        info: &StreamInfo,
        first: bool,
        renewed: bool,
    ) -> Result<Standing, BusError> {
        let start = if first {
            self.first_start(info).await?
        } else if renewed && self.created == info.created {
            Start::At(info.last + 1)
        } else if renewed {
            Start::At(1)
        } else {
            Start::At(self.floor + 1)
        };
        let kept = info.config["max_age"].as_u64().unwrap_or(0);
        let mut config = json!({
            "durable_name": self.wanted.name,
            "description": "a reader of observe",
            "ack_policy": "explicit",
            "ack_wait": nanos(AGAIN),
            "max_ack_pending": UNDER_WORK,
            "max_deliver": -1,
            "replay_policy": "instant",
            "filter_subjects": self.subjects,
            "metadata": { FILTER: self.wanted.filter.to_string() },
        });
        // A stream that keeps everything gives no measure for how long a place is worth keeping.
        if kept > 0 {
            config["inactive_threshold"] = json!(kept + nanos(KEPT));
        }
        start.write(&mut config);
        let body = json!({ "stream_name": &*self.stream, "config": config, "action": "create" });
        if let Err(error) = self.bus.ask::<Value>(&self.path("CREATE"), &body).await {
            let doing = format!("create consumer {}", self.wanted.name);
            return Err(error.into_bus(&self.bus, &doing));
        }
        let behind = match start {
            Start::At(sequence) => Some(sequence.max(1) - 1),
            Start::Since(_) => None,
        };
        Ok(Standing::New { behind })
    }

    /// Where to begin the first time.
    async fn first_start(&self, info: &StreamInfo) -> Result<Start, BusError> {
        let Wanted {
            stream,
            prefix,
            filter,
            ..
        } = &self.wanted;
        match self.wanted.from {
            Begin::Now | Begin::Last(0) => Ok(Start::At(info.last + 1)),
            Begin::Sequence(first) => Ok(Start::At(first)),
            Begin::Time(time) => Ok(Start::Since(time)),
            Begin::Last(count) => {
                let last = Begin::Last(count);
                let mut reader = Reader::live(&self.bus, stream, prefix, filter.clone(), last);
                loop {
                    match reader.next().await? {
                        Told::Record(first) => return Ok(Start::At(first.position.sequence)),
                        Told::CaughtUp(sequence) => return Ok(Start::At(sequence + 1)),
                        _ => {}
                    }
                }
            }
        }
    }
}
