//! How a broker, its stream and our rights stand, for whoever wants to know before anything goes wrong. Nothing here
//! stores, creates or changes anything.

use std::time::Duration;

use async_nats::HeaderMap;
use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::time::timeout;

use super::api::{ApiError, code};
use super::connect::{Bus, CALL};
use super::error::{BusError, Refusal, clean};
use super::rights::{Right, Verb};
use super::settings::{BusSettings, DEFAULT_RETENTION, StreamSetup};
use super::shape::{MARK, MAX_BYTES, amended, faults, is_ours, notes, wanted};

/// How long the server may take to say what it thinks of a subject.
const WORD: Duration = Duration::from_secs(1);
/// Replies that begin so are the server's own: it looks whether the subject is allowed, and then drops the message.
const DROPPED: &str = "_R_.observe.doctor.";

/// What the server says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its version.
    pub version: String,
    /// Its JetStream domain, where it has one.
    pub domain: Option<String>,
    /// Whether it wants TLS.
    pub tls: bool,
    /// Largest message it takes, in bytes.
    pub max_payload: usize,
}

/// What the account may store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Bytes in files, used or promised to streams, whichever is more.
    pub storage: u64,
    /// The most it may be; absent without a limit.
    pub max_storage: Option<u64>,
}

/// A setting of the stream that the next adapter changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The setting's key.
    pub key: String,
    /// What stands there.
    pub found: String,
    /// What will stand there.
    pub wanted: String,
}

/// The stream as it stands, compared with what we need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamState {
    /// Whether we created it.
    pub ours: bool,
    /// What must be otherwise before anything can be told into it.
    pub faults: Vec<Refusal>,
    /// What the next adapter changes by itself.
    pub changes: Vec<Change>,
    /// What is not as we would have it but does no harm.
    pub notes: Vec<String>,
    /// Messages in it.
    pub messages: u64,
    /// Bytes they take.
    pub bytes: u64,
    /// The most they may take; absent without a limit.
    pub max_bytes: Option<u64>,
    /// How long they are kept; absent without a limit.
    pub max_age: Option<Duration>,
    /// When the oldest was stored.
    pub oldest: Option<DateTime<Utc>>,
    /// Consumers on it.
    pub consumers: u64,
    /// The most there may be; absent without a limit.
    pub max_consumers: Option<u64>,
    /// The server's clock when it answered.
    pub now: Option<DateTime<Utc>>,
}

/// What came of trying a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granted {
    /// We have it, as far as one subject shows.
    Yes,
    /// We do not.
    No,
    /// The server said nothing about it.
    Unknown,
}

/// The server as it introduced itself; `None` before it did.
pub fn server(bus: &Bus) -> Option<Server> {
    let info = bus.client().try_server_info()?;
    Some(Server {
        version: clean(&info.version),
        domain: info.domain.as_deref().map(clean),
        tls: info.tls_required,
        max_payload: info.max_payload,
    })
}

/// Asks about the account; `None` where we may not.
///
/// # Errors
///
/// [`BusError::Refused`] where there is no JetStream; everything else passes.
///
/// # Cancel safety
///
/// Asks only.
pub async fn account(bus: &Bus) -> Result<Option<Account>, BusError> {
    let answer: Value = match bus.ask("INFO", &Value::Null).await {
        Ok(answer) => answer,
        Err(ApiError::Denied(_)) => return Ok(None),
        Err(error) => return Err(error.into_bus(bus, "describe the account")),
    };
    // With tiers the limits stand in the tier of unreplicated streams.
    let account = answer["tiers"].get("R1").unwrap_or(&answer);
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    Ok(Some(Account {
        storage: number(&account["storage"]).max(number(&account["reserved_storage"])),
        max_storage: limit(&account["limits"]["max_storage"]),
    }))
}

/// A limit of the API, where zero and less mean none.
fn limit(value: &Value) -> Option<u64> {
    value.as_u64().filter(|&limit| limit > 0)
}

/// Reads the stream and compares it; `None` where there is none.
///
/// # Errors
///
/// [`BusError`]; its `retry_helps` says whether the same may work later.
///
/// # Cancel safety
///
/// Reads only.
pub async fn stream(bus: &Bus, settings: &BusSettings) -> Result<Option<StreamState>, BusError> {
    let name = &settings.stream;
    let answer = bus
        .ask::<Value>(&format!("STREAM.INFO.{name}"), &Value::Null)
        .await;
    match answer {
        Ok(answer) => Ok(Some(state(&answer, settings))),
        Err(error) if error.err_code() == code::STREAM_NOT_FOUND => Ok(None),
        Err(error) => Err(error.into_bus(bus, &format!("describe stream {name}"))),
    }
}

fn state(answer: &Value, settings: &BusSettings) -> StreamState {
    let (config, state) = (&answer["config"], &answer["state"]);
    let number = |key: &str| state[key].as_u64().unwrap_or(0);
    let time = |value: &Value| value.as_str()?.parse::<DateTime<Utc>>().ok();
    let ours = is_ours(config);
    let mut found = StreamState {
        ours,
        faults: Vec::new(),
        changes: Vec::new(),
        notes: notes(config, settings),
        messages: number("messages"),
        bytes: number("bytes"),
        max_bytes: limit(&config["max_bytes"]),
        max_age: limit(&config["max_age"]).map(Duration::from_nanos),
        oldest: time(&state["first_ts"]).filter(|_| number("messages") > 0),
        consumers: number("consumer_count"),
        max_consumers: limit(&config["max_consumers"]),
        now: time(&answer["ts"]),
    };
    if ours && settings.setup == StreamSetup::Ensure {
        let (next, changed) = amended(config, settings);
        found.faults = faults(&next, settings);
        found.notes = notes(&next, settings);
        found.changes = changed
            .into_iter()
            .map(|key| Change {
                found: shown(&key, &config[&key]),
                wanted: shown(&key, &next[&key]),
                key,
            })
            .collect();
    } else {
        found.faults = faults(config, settings);
    }
    found
}

/// A setting's value as a person writes it.
fn shown(key: &str, value: &Value) -> String {
    match (key, value) {
        ("max_age" | "duplicate_window", value) => {
            let time = Duration::from_nanos(value.as_u64().unwrap_or(0));
            humantime::format_duration(time).to_string()
        }
        (_, Value::Null) => "nothing".to_owned(),
        (_, Value::Array(items)) => {
            let items: Vec<_> = items.iter().filter_map(Value::as_str).collect();
            clean(&items.join(", "))
        }
        (_, value) => clean(&value.to_string()),
    }
}

/// Tries a right, without side effects: the server looks whether the subject is allowed before it sees that the message
/// is one it drops. Should a server ever not drop it, no stream stores it. Each try leaves a line in the server's log.
///
/// # Cancel safety
///
/// May be dropped at any point.
pub async fn try_right(bus: &Bus, right: &Right) -> Granted {
    let subject = sample(&right.subject);
    match right.verb {
        Verb::Publish => {
            let within = right.within.as_deref().map(sample);
            try_publish(bus, &subject, within.as_deref()).await
        }
        Verb::Subscribe => try_subscribe(bus, &subject).await,
    }
}

async fn try_publish(bus: &Bus, subject: &str, within: Option<&str>) -> Granted {
    let reply = format!("{DROPPED}{:032x}", fastrand::u128(..));
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Stream", "observe-doctor-stores-nothing");
    let mark = bus.mark();
    let client = bus.client();
    let sent = client.publish_with_reply_and_headers(
        subject.to_owned(),
        reply.clone(),
        headers,
        Vec::new().into(),
    );
    if !bus.is_connected() || !matches!(timeout(CALL, sent).await, Ok(Ok(()))) {
        return Granted::Unknown;
    }
    let is_it = |denied: &str| denied == subject || Some(denied) == within;
    let word = bus.denied(mark, |denied| denied == reply || is_it(denied));
    match timeout(WORD, word).await {
        Ok(denial) if denial.subject == reply => Granted::Yes,
        Ok(denial) if is_it(&denial.subject) => Granted::No,
        _ => Granted::Unknown,
    }
}

async fn try_subscribe(bus: &Bus, subject: &str) -> Granted {
    let mark = bus.mark();
    let subscription = bus.client().subscribe(subject.to_owned());
    let Ok(Ok(_subscription)) = timeout(CALL, subscription).await else {
        return Granted::Unknown;
    };
    // Whatever the server has to say to it comes before its word on what is sent next.
    let next = try_publish(bus, subject, None);
    tokio::select! {
        biased;
        denial = bus.denied(mark, |denied| denied == subject) => {
            if denial.subscribing { Granted::No } else { Granted::Yes }
        }
        word = next => if word == Granted::Unknown { word } else { Granted::Yes },
    }
}

/// A subject that a pattern allows.
fn sample(pattern: &str) -> String {
    let tokens = pattern.split('.').map(|token| match token {
        "*" | ">" => "observe-doctor",
        token => token,
    });
    tokens.collect::<Vec<_>>().join(".")
}

/// The configuration an owner must give the stream, as JSON. It does not carry our mark, so no adapter changes it later.
pub fn stream_config(settings: &BusSettings) -> Value {
    let retention = settings.retention.unwrap_or(DEFAULT_RETENTION);
    let max_bytes = settings.max_bytes.unwrap_or(MAX_BYTES);
    let mut config = wanted(&settings.stream, &settings.prefix, retention, max_bytes);
    if let Some(metadata) = config["metadata"].as_object_mut() {
        metadata.remove(MARK);
    }
    config["republish"]["dest"] = Value::from(mapped(&settings.prefix.live_process_events()));
    config
}

/// A destination in which each wildcard of a prefix for several machines stands for what was found in its place.
fn mapped(dest: &str) -> String {
    let mut number = 0;
    let tokens = dest.split('.').map(|token| {
        if token == "*" {
            number += 1;
            format!("{{{{wildcard({number})}}}}")
        } else {
            token.to_owned()
        }
    });
    tokens.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::consumer::nanos;
    use super::*;

    #[test]
    fn a_sample_lies_within_its_pattern() {
        assert_eq!(sample("core.head.shop"), "core.head.shop");
        assert_eq!(sample("core.head.*"), "core.head.observe-doctor");
        assert_eq!(sample("core.process.>"), "core.process.observe-doctor");
    }

    #[test]
    fn a_prefix_for_several_machines_is_republished_under_each() {
        assert_eq!(mapped("core.live.process.>"), "core.live.process.>");
        assert_eq!(
            mapped("edge.*.x.*.live.process.>"),
            "edge.{{wildcard(1)}}.x.{{wildcard(2)}}.live.process.>"
        );
    }

    #[test]
    fn the_owners_configuration_is_ours_without_our_mark() {
        let settings = BusSettings {
            max_bytes: Some(7),
            ..BusSettings::default()
        };
        let config = stream_config(&settings);
        assert!(!is_ours(&config));
        assert_eq!(config["max_bytes"], 7);
        assert_eq!(config["max_age"], json!(nanos(DEFAULT_RETENTION)));
        assert_eq!(faults(&config, &settings), []);
    }

    #[test]
    fn every_difference_is_named_and_ours_are_mended_by_themselves() {
        let mut config = wanted(
            "S",
            &crate::event::subject::Prefix::default(),
            Duration::from_secs(60),
            9,
        );
        config["allow_atomic"] = json!(false);
        config["sealed"] = json!(true);
        let answer = json!({"config": config, "state": {}, "ts": "2026-08-20T07:18:04.1Z"});
        let settings = BusSettings {
            stream: "S".into(),
            retention: Some(Duration::from_secs(3600)),
            ..BusSettings::default()
        };
        let found = state(&answer, &settings);
        let changes: Vec<_> = found
            .changes
            .iter()
            .map(|c| (&*c.key, &*c.found, &*c.wanted))
            .collect();
        assert_eq!(
            changes,
            [("allow_atomic", "false", "true"), ("max_age", "1m", "1h")]
        );
        assert_eq!(found.faults.len(), 1, "{found:?}");

        let mut foreign = answer;
        foreign["config"]["metadata"] = json!({});
        let found = state(&foreign, &settings);
        assert_eq!(found.changes, []);
        assert_eq!(found.faults.len(), 2, "{found:?}");
        assert_eq!(found.notes.len(), 1, "{found:?}");
    }
}
