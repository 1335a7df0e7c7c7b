//! The consumer that remembers the place: found, compared, made, and told what was read.

use std::time::Duration;

use async_nats::client::Request;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::super::api::code;
use super::super::connect::{ANSWER, Bus, CALL};
use super::super::consumer::{Start, nanos};
use super::super::error::{BusError, Refusal, clean};
use super::super::opening::{Known, Numbers};
use super::super::stream::{self, StreamInfo};
use super::{AGAIN, AT_ONCE, Wanted};

/// The most that may be handed out and not acknowledged: what was asked for before a break, and what is asked for after.
const UNDER_WORK: u64 = 4 * AT_ONCE;
/// How much longer than the stream keeps its events the broker keeps a place that nobody reads from: a week.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// The key in the metadata that holds the filter the consumer was made for.
const FILTER: &str = "observe-filter";
/// The key in the metadata that holds what was read.
const READ: &str = "observe-read";
/// The longest note, in bytes; the server takes 128 KiB of metadata.
const LONGEST_NOTE: usize = 64 << 10;

/// The consumer of one name.
pub(super) struct Consumer {
    bus: Bus,
    stream: String,
    name: String,
    subjects: [String; 2],
    filter: String,
}

/// It, as the broker describes it.
pub(super) struct Found {
    /// Everything up to here was acknowledged or passed over.
    pub(super) behind: u64,
    pub(super) delivered: u64,
    /// How many deliveries there were.
    pub(super) deliveries: u64,
    /// How many were handed out and not acknowledged.
    pub(super) owed: u64,
    pub(super) pending: u64,
    /// How many requests for messages stand.
    pub(super) asking: u64,
    /// Where nothing was delivered since. Only this says what was read: a purge moves the consumer's own place along.
    pub(super) note: Option<Note>,
}

/// What an earlier reader noted.
pub(super) struct Note {
    /// Everything stored up to here was dealt with.
    pub(super) behind: u64,
    /// How many deliveries there had been.
    deliveries: u64,
    /// The last number of each source.
    pub(super) numbers: Vec<Known>,
}

impl Note {
    fn parse(text: &str) -> Option<Self> {
        let (behind, deliveries, numbers) = serde_json::from_str(text).ok()?;
        Some(Self {
            behind,
            deliveries,
            numbers,
        })
    }
}

impl Consumer {
    pub(super) fn new(bus: &Bus, wanted: &Wanted) -> Self {
        Self {
            bus: bus.clone(),
            stream: wanted.stream.clone(),
            name: wanted.name.clone(),
            subjects: wanted.filter.subjects(&wanted.prefix),
            filter: wanted.filter.to_string(),
        }
    }

    /// Stream and name, as subjects of the API have them.
    pub(super) fn path(&self) -> String {
        format!("{}.{}", self.stream, self.name)
    }

    async fn info(&self) -> Result<Option<Value>, BusError> {
        let asked = format!("CONSUMER.INFO.{}", self.path());
        match self.bus.ask::<Value>(&asked, &Value::Null).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.err_code() == code::CONSUMER_NOT_FOUND => Ok(None),
            Err(error) => {
                let doing = format!("describe consumer {}", self.name);
                Err(error.into_bus(&self.bus, &doing))
            }
        }
    }

    /// Looks it up; refuses one that stands for something else.
    pub(super) async fn find(&self) -> Result<Option<Found>, BusError> {
        let Some(found) = self.info().await? else {
            return Ok(None);
        };
        self.compare(&found["config"])?;
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let owed = number(&found["num_ack_pending"]);
        let delivered = number(&found["delivered"]["stream_seq"]);
        let deliveries = number(&found["delivered"]["consumer_seq"]);
        let acknowledged = number(&found["ack_floor"]["stream_seq"]);
        let note = found["config"]["metadata"][READ].as_str();
        Ok(Some(Found {
            behind: if owed == 0 { delivered } else { acknowledged },
            delivered,
            deliveries,
            owed,
            pending: number(&found["num_pending"]),
            asking: number(&found["num_waiting"]),
            note: note
                .and_then(Note::parse)
                .filter(|note| owed == 0 && note.deliveries == deliveries),
        }))
    }

    fn compare(&self, config: &Value) -> Result<(), BusError> {
        let listed = config["filter_subjects"].as_array().into_iter().flatten();
        let mut subjects: Vec<_> = listed.filter_map(Value::as_str).collect();
        let mut wanted: Vec<_> = self.subjects.iter().map(String::as_str).collect();
        subjects.sort_unstable();
        wanted.sort_unstable();
        let reads = config["metadata"][FILTER].as_str();
        let explicit = config["ack_policy"] == json!("explicit");
        if explicit && subjects == wanted && reads.is_none_or(|reads| reads == self.filter) {
            return Ok(());
        }
        let Self { name, stream, .. } = self;
        let reads = reads.map_or_else(|| subjects.join(", "), str::to_owned);
        Err(Refusal::new(
            format!("durable {name} of stream {stream} reads {}", clean(&reads)),
            self.filter.clone(),
            format!(
                "ask for the same as before, choose another name, or forget its place by: nats consumer rm {stream} {name}"
            ),
        )
        .into())
    }

    /// Why nobody else may read under the name.
    pub(super) fn taken(&self) -> Refusal {
        let Self { name, stream, .. } = self;
        Refusal::new(
            format!("another program reads as durable {name} of stream {stream}"),
            "one reader of that name, because the broker gives each event to one of them",
            "end the other one, or choose another name",
        )
    }

    /// Deletes it, and with it the place.
    pub(super) async fn forget(&self) -> Result<(), BusError> {
        let asked = format!("CONSUMER.DELETE.{}", self.path());
        match self.bus.ask::<Value>(&asked, &Value::Null).await {
            Ok(_) => Ok(()),
            Err(error) if error.err_code() == code::CONSUMER_NOT_FOUND => Ok(()),
            Err(error) => {
                let doing = format!("delete consumer {}", self.name);
                Err(error.into_bus(&self.bus, &doing))
            }
        }
    }

    /// Makes it.
    pub(super) async fn create(&self, info: &StreamInfo, start: &Start) -> Result<(), BusError> {
        let mut config = json!({
            "durable_name": self.name,
            "description": "a reader of observe",
            "ack_policy": "explicit",
            "ack_wait": nanos(AGAIN),
            "max_ack_pending": UNDER_WORK,
            "max_deliver": -1,
            "replay_policy": "instant",
            "filter_subjects": self.subjects,
            "metadata": { FILTER: self.filter },
        });
        // A stream that keeps everything gives no measure for how long a place is worth keeping.
        if let Some(kept) = info.config["max_age"].as_u64().filter(|kept| *kept > 0) {
            config["inactive_threshold"] = json!(kept + nanos(KEPT));
        }
        if let Start::At(first) = start {
            let nothing: [Known; 0] = [];
            config["metadata"][READ] = json!(json!([first.max(&1) - 1, 0, nothing]).to_string());
        }
        start.write(&mut config);
        self.write(config, "create").await
    }

    async fn write(&self, config: Value, action: &str) -> Result<(), BusError> {
        let body = json!({ "stream_name": self.stream, "config": config, "action": action });
        let asked = format!("CONSUMER.CREATE.{}", self.path());
        match self.bus.ask::<Value>(&asked, &body).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let doing = format!("{action} consumer {}", self.name);
                Err(error.into_bus(&self.bus, &doing))
            }
        }
    }

    /// Acknowledges one delivery; true where that was sent, or, confirmed, where the broker has noted it.
    pub(super) async fn acknowledge(&self, reply: String, confirmed: bool) -> bool {
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

    /// Writes down what was read, where everything stored was dealt with.
    pub(super) async fn note(&self, numbers: &Numbers) -> Result<(), BusError> {
        // In this order: what is stored in between waits for the consumer, and then nothing is noted.
        let info = stream::info(&self.bus, &self.stream).await?;
        let (Some(info), Some(mut found)) = (info, self.info().await?) else {
            return Ok(());
        };
        if found["num_pending"] != 0 || found["num_ack_pending"] != 0 {
            return Ok(());
        }
        let mut config = found["config"].take();
        let deliveries = found["delivered"]["consumer_seq"].as_u64();
        let note = json!([info.last, deliveries, numbers.known()]).to_string();
        if note.len() > LONGEST_NOTE {
            return Ok(());
        }
        config["metadata"][READ] = json!(note);
        self.write(config, "update").await
    }
}
