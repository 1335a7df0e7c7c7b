//! A push consumer of our own: an explicit start, a heartbeat, and a word whenever anything may have been lost on the way.
//!
//! It lives in the server's memory and answers for nothing: who reads through it keeps the position and makes a new one.

use std::time::Duration;

use async_nats::{Message, Subscriber};
use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};

use super::connect::{Bus, CALL};
use super::error::{BusError, clean};
use super::link::{Denial, Mark};

/// How often a silent consumer says that it lives.
pub(super) const BEAT: Duration = Duration::from_secs(5);
/// Silence of this length is no pause between two beats. A wrong guess costs a new consumer and loses nothing.
pub(super) const SILENCE: Duration = Duration::from_secs(7);
/// How long the server keeps a consumer whose reader is gone.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// Where a consumer begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    /// At this sequence, or the next one there is.
    At(u64),
    /// At what was stored then or later.
    Since(DateTime<Utc>),
}

impl Start {
    /// Writes it into a consumer's configuration.
    pub(super) fn write(&self, config: &mut Value) {
        match self {
            Self::At(sequence) => {
                config["deliver_policy"] = json!("by_start_sequence");
                config["opt_start_seq"] = json!((*sequence).max(1));
            }
            Self::Since(time) => {
                config["deliver_policy"] = json!("by_start_time");
                config["opt_start_time"] = json!(time.to_rfc3339_opts(SecondsFormat::Nanos, true));
            }
        }
    }
}

/// Nanoseconds, as the API counts durations.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Where a delivered message stands, as its reply subject says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) sequence: u64,
    pub(super) delivered: u64,
    pub(super) stored_at: DateTime<Utc>,
    pub(super) pending: u64,
}

impl Place {
    /// Reads `$JS.ACK.…` in its short form and in the long one, which names domain and account.
    pub(super) fn parse(reply: &str) -> Option<Self> {
        // By bytes, and each once: every message has one, and taking tokens from a text costs ten times as much.
        let mut rest = reply.strip_prefix("$JS.ACK.")?.as_bytes();
        let dots: usize = rest.iter().map(|byte| usize::from(*byte == b'.')).sum();
        let named = match dots + 1 {
            7 => 3,
            9.. => 5,
            _ => return None,
        };
        for _ in 0..named {
            let dot = rest.iter().position(|byte| *byte == b'.')?;
            rest = rest.get(dot + 1..)?;
        }
        let mut next = || number(&mut rest);
        Some(Self {
            sequence: next()?,
            delivered: next()?,
            stored_at: DateTime::from_timestamp_nanos(i64::try_from(next()?).ok()?),
            pending: next()?,
        })
    }
}

/// A number as the server writes one, up to the next dot, and that too.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let (mut number, mut digits) = (0_u64, 0);
    for byte in *rest {
        match byte {
            b'0'..=b'9' => {
                number = number
                    .checked_mul(10)?
                    .checked_add(u64::from(byte - b'0'))?;
                digits += 1;
            }
            b'.' => break,
            _ => return None,
        }
    }
    *rest = rest.get(digits + 1..).unwrap_or_default();
    (digits > 0).then_some(number)
}

/// What came from a consumer.
#[derive(Debug)]
pub(super) enum Heard {
    Message(Place, Message),
    /// It lives and nothing is missing.
    Beat,
    /// Something was lost or may be lost from here on.
    Broken(String),
}

/// A consumer that delivers by itself.
pub(super) struct Push {
    messages: Subscriber,
    delivered: u64,
    heard: Instant,
    /// What the violations of our rights were when it was made.
    mark: Mark,
    /// The last answer it was given so that it goes on.
    answered: Option<String>,
}

impl Push {
    /// Makes one; gives also how many messages wait for it already.
    pub(super) async fn open(
        bus: &Bus,
        stream: &str,
        start: &Start,
        subjects: &[String],
    ) -> Result<(Self, u64), BusError> {
        let mark = bus.mark();
        let inbox = bus.client().new_inbox();
        let name = format!("observe-{:016x}", fastrand::u64(..));
        let messages = timeout(CALL, bus.client().subscribe(inbox.clone()))
            .await
            .map_err(|_| BusError::Unknown("the client takes no subscription".to_owned()))?
            .map_err(|error| BusError::Unknown(clean(&error.to_string())))?;
        let mut config = json!({
            "name": name,
            "description": "a reader of observe",
            "deliver_subject": inbox,
            "ack_policy": "none",
            "replay_policy": "instant",
            "flow_control": true,
            "idle_heartbeat": nanos(BEAT),
            "inactive_threshold": nanos(FORGOTTEN_AFTER),
            "mem_storage": true,
            "num_replicas": 1,
            "filter_subjects": subjects,
        });
        start.write(&mut config);
        let body = json!({ "stream_name": stream, "config": config, "action": "create" });
        let answer: Value = bus
            .ask(&format!("CONSUMER.CREATE.{stream}.{name}"), &body)
            .await
            .map_err(|error| {
                error.into_bus(bus, &format!("create a consumer on stream {stream}"))
            })?;
        let push = Self {
            messages,
            delivered: 0,
            heard: Instant::now(),
            mark,
            answered: None,
        };
        Ok((push, answer["num_pending"].as_u64().unwrap_or(0)))
    }

    /// Waits for the word that it may not be answered: then it would stand still for ever, and seem alive.
    ///
    /// # Cancel safety
    ///
    /// Waits only.
    pub(super) fn denied(&self, bus: &Bus) -> impl Future<Output = Denial> + use<> {
        let (bus, mark, answered) = (bus.clone(), self.mark, self.answered.clone());
        async move {
            bus.denied(mark, |denied| answered.as_deref() == Some(denied))
                .await
        }
    }

    /// Waits for the next word.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost; an answer to flow control that was not sent is asked for again with the next beat.
    pub(super) async fn next(&mut self, bus: &Bus) -> Heard {
        let message = match timeout_at(self.heard + SILENCE, self.messages.next()).await {
            Ok(Some(message)) => message,
            Ok(None) => return Heard::Broken("the subscription ended".to_owned()),
            Err(_) => return Heard::Broken("the consumer fell silent".to_owned()),
        };
        self.heard = Instant::now();
        if let Some(status) = message.status {
            return self.note(bus, status.as_u16(), &message).await;
        }
        let Some(place) = message.reply.as_deref().and_then(Place::parse) else {
            return Heard::Beat;
        };
        if place.delivered != self.delivered + 1 {
            return Heard::Broken(format!(
                "delivery {} followed {}",
                place.delivered, self.delivered
            ));
        }
        self.delivered = place.delivered;
        Heard::Message(place, message)
    }

    async fn note(&mut self, bus: &Bus, status: u16, message: &Message) -> Heard {
        if status != 100 {
            let why = message.description.as_deref().unwrap_or_default();
            return Heard::Broken(format!("the consumer ended: {status} {}", clean(why)));
        }
        let header = |name: &str| {
            message
                .headers
                .as_ref()?
                .get(name)
                .map(|value| value.as_str().to_owned())
        };
        let asked = message
            .reply
            .as_deref()
            .map(str::to_owned)
            .or_else(|| header("Nats-Consumer-Stalled"));
        if let Some(reply) = asked {
            // An answer that is lost is asked for again, so its failure needs no word.
            self.answered = Some(reply.clone());
            drop(timeout(CALL, bus.client().publish(reply, Vec::new().into())).await);
        }
        match header("Nats-Last-Consumer").and_then(|last| last.parse::<u64>().ok()) {
            Some(last) if last != self.delivered => {
                Heard::Broken(format!("{last} were delivered, {} arrived", self.delivered))
            }
            _ => Heard::Beat,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_from_both_forms_of_the_reply() {
        let wanted = Place {
            sequence: 42,
            delivered: 7,
            stored_at: DateTime::from_timestamp_nanos(1_700_000_000_000_000_001),
            pending: 3,
        };
        for reply in [
            "$JS.ACK.S.c.1.42.7.1700000000000000001.3",
            "$JS.ACK.hub.ACC.S.c.1.42.7.1700000000000000001.3.rand",
            "$JS.ACK._.ACC.S.c.1.42.7.1700000000000000001.3",
        ] {
            assert_eq!(Place::parse(reply), Some(wanted), "{reply}");
        }
        for odd in [
            "",
            "_INBOX.x",
            "$JS.ACK.S.c.1.42.7",
            "$JS.ACK.S.c.1.x.7.1.3",
            "$JS.ACK.S.c.1..7.1.3",
            "$JS.ACK.S.c.1.18446744073709551616.7.1.3",
            "$JS.ACK.S.c.1.42.7.9223372036854775808.3",
        ] {
            assert_eq!(Place::parse(odd), None, "{odd}");
        }
    }
}
