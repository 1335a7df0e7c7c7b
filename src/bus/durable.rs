//! A consumer that the broker remembers by name, asked for records.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::Message;
use async_nats::client::Request;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::anchor::{Anchor, Known};
use super::api::code;
use super::connect::{ANSWER, Bus, CALL};
use super::consumer::{Place, Start, nanos};
use super::durable_reader::{Wanted, first_start};
use super::error::{BusError, Refusal, clean};
use super::link::Link;
use super::pull::{Pull, Pulled};
use super::read::{Begin, record};
use super::stream::{self, StreamInfo};
use super::subscribe::{Delivery, Subscription};

/// Records asked for at once: few, because the last of them waits for the work on all before it.
const AT_ONCE: u64 = 16;
/// Records that may be under work in all programs of one name together.
const UNDER_WORK: u64 = 256;
/// A record that is not acknowledged within this time is given again.
const WORK: Duration = Duration::from_secs(30);
/// Pause before the broker is asked again after it could not.
const PAUSE: Duration = Duration::from_millis(500);

/// What was given and not acknowledged, by its sequence.
type Open = Arc<Mutex<BTreeMap<u64, Anchor>>>;

#[derive(Debug)]
pub(super) struct Ack {
    bus: Bus,
    reply: String,
    sequence: u64,
    open: Open,
}

impl Ack {
    /// Waits until the broker has noted it.
    pub(super) async fn send(&self) -> Result<(), BusError> {
        if !self.bus.is_connected() {
            return Err(self.bus.away());
        }
        let request = Request::new().payload("+ACK".into()).timeout(Some(ANSWER));
        let answer = self.bus.client().send_request(self.reply.clone(), request);
        match timeout(CALL, answer).await {
            Ok(Ok(_)) => {
                lock(&self.open).remove(&self.sequence);
                Ok(())
            }
            Ok(Err(error)) => Err(BusError::Unknown(clean(&error.to_string()))),
            Err(_) => Err(BusError::Unknown(
                "no answer to an acknowledgement".to_owned(),
            )),
        }
    }
}

/// Nothing that holds this lock can leave it half done.
fn lock(open: &Mutex<BTreeMap<u64, Anchor>>) -> MutexGuard<'_, BTreeMap<u64, Anchor>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A durable consumer that is asked for records.
pub(super) struct Durable {
    bus: Bus,
    stream: Arc<str>,
    subjects: [String; 2],
    wanted: Wanted,
    created: String,
    last: Option<u64>,
    anchor: Option<Anchor>,
    open: Open,
    pull: Option<Pull>,
    link: watch::Receiver<Link>,
}

impl Durable {
    /// One that is not opened yet.
    pub(super) fn new(subscription: Subscription, name: String) -> Self {
        Self {
            subjects: subscription.filter.subjects(&subscription.prefix),
            stream: subscription.stream.as_str().into(),
            link: subscription.bus.link(),
            bus: subscription.bus,
            wanted: Wanted {
                stream: subscription.stream,
                prefix: subscription.prefix,
                filter: subscription.filter,
                from: subscription.from,
                name,
            },
            created: String::new(),
            last: None,
            anchor: None,
            open: Arc::default(),
            pull: None,
        }
    }

    /// Waits for the next record, over whatever passes by itself.
    pub(super) async fn next(&mut self) -> Result<Delivery, BusError> {
        loop {
            match self.heard().await {
                Ok(Some(delivery)) => return Ok(delivery),
                Ok(None) => {}
                Err(error) if error.retry_helps() => {
                    tracing::warn!(%error, "while reading the stream");
                    self.pull = None;
                    self.bus.connected().await;
                    sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn heard(&mut self) -> Result<Option<Delivery>, BusError> {
        let Some(pull) = &mut self.pull else {
            self.open().await?;
            return Ok(None);
        };
        if pull.left() == 0 {
            let path = format!("{}.{}", self.stream, self.wanted.name);
            pull.ask(&self.bus, &path, AT_ONCE).await?;
        }
        match pull.next(&self.wanted.name, &mut self.link).await? {
            Pulled::Message(message) => self.take(&message).await,
            Pulled::Quiet => Ok(None),
        }
    }

    async fn take(&mut self, message: &Message) -> Result<Option<Delivery>, BusError> {
        let Some(reply) = message.reply.as_deref() else {
            return Ok(None);
        };
        let Some(place) = Place::parse(reply) else {
            return Ok(None);
        };
        if self.last <= Some(place.sequence) {
            self.last = Some(place.sequence);
            self.anchor = Some(Anchor::event(place));
        }
        let record = record(&self.stream, place, &message.payload)
            .ok()
            .filter(|r| self.wanted.filter.matches(&r.envelope));
        let Some(record) = record else {
            // Not asked for: done with. Should the word be lost, it comes again and is passed over again.
            drop(
                timeout(
                    CALL,
                    self.bus.client().publish(reply.to_owned(), "+ACK".into()),
                )
                .await,
            );
            return Ok(None);
        };
        lock(&self.open).insert(place.sequence, Anchor::event(place));
        let ack = Ack {
            bus: self.bus.clone(),
            reply: reply.to_owned(),
            sequence: place.sequence,
            open: Arc::clone(&self.open),
        };
        Ok(Some(Delivery {
            record,
            ack: Some(ack),
        }))
    }

    /// Looks the consumer up, creates it where it is missing, and listens.
    pub(super) async fn open(&mut self) -> Result<(), BusError> {
        self.link.mark_unchanged();
        let info = stream::info(&self.bus, &self.stream).await?;
        let info = info.ok_or_else(|| BusError::NoStream(self.stream.to_string()))?;
        let path = format!("CONSUMER.INFO.{}.{}", self.stream, self.wanted.name);
        let known = Known {
            stream: &self.stream,
            created: &self.created,
            floor: self.last.unwrap_or(0),
            anchor: self.anchor,
        };
        let another = known.is_another(&self.bus, &info).await?;
        let (start, at_end) = match self.bus.ask::<Value>(&path, &Value::Null).await {
            Ok(found) => {
                self.compare(&found["config"])?;
                let behind = found["ack_floor"]["stream_seq"].as_u64().unwrap_or(0);
                let at_end = found["num_pending"] == 0 && found["num_ack_pending"] == 0;
                (Start::At(behind + 1), at_end)
            }
            Err(error) if error.err_code() == code::CONSUMER_NOT_FOUND => {
                let start = self.start(&info, another).await?;
                self.create(&start).await?;
                let at_end = start == Start::At(info.last + 1);
                (start, at_end)
            }
            Err(error) => {
                let doing = format!("describe consumer {}", self.wanted.name);
                return Err(error.into_bus(&self.bus, &doing));
            }
        };
        // From here on only the pull waits, and without it the consumer is found again.
        if another {
            self.forget();
        }
        if at_end {
            self.anchor = self.anchor.or(Anchor::end(&info));
        }
        // Should it be lost before it gave anything, what came in between is not skipped.
        match start {
            Start::At(first) => self.last = self.last.or(Some(first.max(1) - 1)),
            Start::Since(time) => self.wanted.from = Begin::Time(time),
        }
        self.created = info.created;
        self.pull = Some(Pull::open(&self.bus).await?);
        Ok(())
    }

    fn compare(&self, config: &Value) -> Result<(), BusError> {
        let mut found: Vec<_> = config["filter_subjects"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut wanted: Vec<_> = self.subjects.iter().map(String::as_str).collect();
        found.sort_unstable();
        wanted.sort_unstable();
        if found == wanted && config["ack_policy"] == json!("explicit") {
            return Ok(());
        }
        let (name, stream) = (&self.wanted.name, &self.stream);
        Err(Refusal::new(
            format!(
                "durable {name} of stream {stream} reads {}",
                clean(&found.join(", "))
            ),
            wanted.join(", "),
            "choose another name, or delete that consumer",
        )
        .into())
    }

    async fn create(&self, start: &Start) -> Result<(), BusError> {
        let name = &self.wanted.name;
        let mut config = json!({
            "durable_name": name,
            "description": "a subscription of observe",
            "ack_policy": "explicit",
            "ack_wait": nanos(WORK),
            "max_ack_pending": UNDER_WORK,
            "max_deliver": -1,
            "replay_policy": "instant",
            "filter_subjects": self.subjects,
        });
        start.write(&mut config);
        let body = json!({ "stream_name": &*self.stream, "config": config, "action": "create" });
        let path = format!("CONSUMER.CREATE.{}.{name}", self.stream);
        match self.bus.ask::<Value>(&path, &body).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.into_bus(&self.bus, &format!("create consumer {name}"))),
        }
    }

    /// Where a consumer that is missing begins: at what is not acknowledged, or where the subscription was told to.
    async fn start(&self, info: &StreamInfo, another: bool) -> Result<Start, BusError> {
        let first = lock(&self.open)
            .first_key_value()
            .map(|(at, it)| (*at, *it));
        if another {
            return Ok(match (first, self.anchor) {
                _ if self.created != info.created => Start::At(1),
                (Some((_, first)), _) => first.again(),
                (None, Some(last)) => last.behind(),
                (None, None) => Start::At(info.last + 1),
            });
        }
        match (first, self.last) {
            (Some((sequence, _)), _) => Ok(Start::At(sequence)),
            (None, Some(last)) => Ok(Start::At(last + 1)),
            (None, None) => first_start(&self.bus, &self.wanted, info).await,
        }
    }

    /// Forgets the place in a stream that is another now.
    fn forget(&mut self) {
        tracing::warn!(stream = %self.stream, "the stream is another than before: what it held may be gone");
        // Who still holds a delivery of the other one acknowledges nothing here.
        self.open = Arc::default();
        self.last = None;
        self.anchor = None;
    }
}
