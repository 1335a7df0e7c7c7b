//! The stream: read, compared, and changed only where it is ours.
//!
//! The configuration is handled as JSON, because a change replaces the whole of it: what an operator or a later server
//! put there must come through untouched.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::api::{ApiError, code};
use super::connect::Bus;
use super::error::{BusError, Refusal, clean};
use super::settings::{BusSettings, DEFAULT_RETENTION, StreamSetup};
use super::shape::{
    MAX_BYTES, amended, check, covers_any, foreign_subjects, is_ours, room, wanted,
};

/// Below this, in bytes, a stream is not worth having: 16 MiB.
const LEAST_BYTES: i64 = 16 << 20;
/// How long a creation that fails for a passing reason is tried again.
const CREATING: Duration = Duration::from_secs(1);

/// What came of looking after the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ensured {
    /// True when it was created now.
    pub created: bool,
    /// The settings that were changed, in words.
    pub changed: Vec<String>,
    /// What is not as we would have it but does no harm, in words.
    pub notes: Vec<String>,
}

/// Sees to it that the stream can hold what is told.
///
/// # Errors
///
/// [`BusError::Refused`] where the broker, the stream or our rights cannot do it; [`BusError::NoStream`] where it is
/// missing and must not be created.
///
/// # Cancel safety
///
/// Every step may be repeated.
pub async fn ensure(bus: &Bus, settings: &BusSettings) -> Result<Ensured, BusError> {
    bus.check_version()?;
    if settings.setup == StreamSetup::Never {
        return Ok(Ensured::default());
    }
    // Twice: between our look and our creation somebody else may create it.
    for _ in 0..2 {
        let found = info(bus, &settings.stream).await?;
        match (found, settings.setup) {
            (Some(found), StreamSetup::Ensure) if is_ours(&found.config) => {
                return update(bus, settings, &found.config).await;
            }
            (Some(found), _) => return check(&found.config, settings),
            (None, StreamSetup::Ensure) => {
                if create(bus, settings).await? {
                    return Ok(Ensured {
                        created: true,
                        ..Ensured::default()
                    });
                }
            }
            (None, _) => return Err(BusError::NoStream(settings.stream.clone())),
        }
    }
    Err(BusError::Busy(format!(
        "stream {} is being created by somebody else",
        settings.stream
    )))
}

/// The stream as it stands.
#[derive(Debug, Clone)]
pub(super) struct StreamInfo {
    pub(super) config: Value,
    /// When it was created, verbatim: with the name, its identity.
    pub(super) created: String,
    pub(super) first: u64,
    pub(super) last: u64,
    /// When the last message was stored; nothing where there was none yet, or the server does not say.
    pub(super) last_at: Option<DateTime<Utc>>,
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

/// Reads the stream; `None` where there is none.
pub(super) async fn info(bus: &Bus, stream: &str) -> Result<Option<StreamInfo>, BusError> {
    let found = info_with(bus, stream, &Value::Null).await?;
    Ok(found.map(|(info, _)| info))
}

/// The same together with the subjects of what it holds that match `subjects`. They are those of the moment at which it
/// stood so, or of a later one.
pub(super) async fn info_and_subjects(
    bus: &Bus,
    stream: &str,
    subjects: &str,
) -> Result<Option<(StreamInfo, Vec<String>)>, BusError> {
    info_with(bus, stream, &json!({ "subjects_filter": subjects })).await
}

async fn info_with(
    bus: &Bus,
    stream: &str,
    body: &Value,
) -> Result<Option<(StreamInfo, Vec<String>)>, BusError> {
    let answer = bus
        .ask::<Value>(&format!("STREAM.INFO.{stream}"), body)
        .await;
    match answer {
        Ok(answer) => {
            let number = |key: &str| answer["state"][key].as_u64().unwrap_or(0);
            let info = StreamInfo {
                config: answer["config"].clone(),
                created: answer["created"].as_str().unwrap_or_default().to_owned(),
                first: number("first_seq"),
                last: number("last_seq"),
                last_at: answer["state"]["last_ts"]
                    .as_str()
                    .and_then(|text| text.parse().ok())
                    // The server's word for never is the year 1.
                    .filter(|time| *time > DateTime::UNIX_EPOCH),
                messages: number("messages"),
                bytes: number("bytes"),
            };
            Ok(Some((info, subjects_in(&answer))))
        }
        Err(error) if error.err_code() == code::STREAM_NOT_FOUND => Ok(None),
        Err(error) => Err(error.into_bus(bus, &format!("describe stream {stream}"))),
    }
}

/// The subjects that an answer lists, in their order.
pub(super) fn subjects_in(answer: &Value) -> Vec<String> {
    let listed = answer["state"]["subjects"].as_object();
    let mut subjects: Vec<String> = listed
        .into_iter()
        .flatten()
        .map(|(subject, _)| subject.clone())
        .collect();
    subjects.sort_unstable();
    subjects
}

/// Which of two absences a "nobody listens" on a publish was: a missing stream, or a passing one.
pub(super) async fn absence(bus: &Bus, stream: &str, subject: Option<&str>) -> BusError {
    match info(bus, stream).await {
        Ok(None) => BusError::NoStream(stream.to_owned()),
        Ok(Some(found)) => match subject.filter(|subject| !covers_any(&found.config, subject)) {
            Some(subject) => foreign_subjects(&found.config, stream, subject).into(),
            None => BusError::Busy(format!("stream {stream} has no leader right now")),
        },
        Err(error) => error,
    }
}

/// Creates it; false when somebody else did in the meantime.
async fn create(bus: &Bus, settings: &BusSettings) -> Result<bool, BusError> {
    let stream = &settings.stream;
    let retention = settings.retention.unwrap_or(DEFAULT_RETENTION);
    let mut max_bytes = match settings.max_bytes {
        Some(asked) => asked,
        None => allowed(bus).await?,
    };
    let until = Instant::now() + CREATING;
    loop {
        let config = wanted(stream, &settings.prefix, retention, max_bytes);
        let path = format!("STREAM.CREATE.{stream}");
        let Err(error) = bus.ask::<Value>(&path, &config).await else {
            return Ok(true);
        };
        match error.err_code() {
            code::NAME_IN_USE => return Ok(false),
            code::SUBJECTS_OVERLAP => return Err(overlap(bus, settings).await.into()),
            full if code::is_full(full)
                && settings.max_bytes.is_none()
                && max_bytes / 2 >= LEAST_BYTES =>
            {
                max_bytes /= 2;
                continue;
            }
            full if code::is_full(full) => {
                return Err(BusError::NoRoom(no_room(bus, stream, max_bytes, &error)));
            }
            code::STREAM_CREATE_FAILED | code::STORE_FAILED => {}
            _ if matches!(error, ApiError::NobodyListens) || is_passing(&error) => {}
            _ => return Err(error.into_bus(bus, &format!("create stream {stream}"))),
        }
        if Instant::now() >= until {
            return Err(error.into_bus(bus, &format!("create stream {stream}")));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn is_passing(error: &ApiError) -> bool {
    matches!(error, ApiError::Fault(fault) if fault.code == 503
        && fault.err_code != code::ACCOUNT_WITHOUT_JETSTREAM
        && fault.err_code != code::SERVER_WITHOUT_JETSTREAM)
}

fn no_room(bus: &Bus, stream: &str, max_bytes: i64, error: &ApiError) -> Refusal {
    let said = match error {
        ApiError::Fault(fault) => fault.text(),
        _ => String::new(),
    };
    Refusal::new(
        format!(
            "the broker at {} has no room for stream {stream}: {said}",
            bus.at()
        ),
        format!("{max_bytes} bytes"),
        "ask for less by --max-bytes, or give JetStream more storage",
    )
}

/// 1 GiB, or half of what the account still allows where that is less.
async fn allowed(bus: &Bus) -> Result<i64, BusError> {
    let account = match bus.ask::<Value>("INFO", &Value::Null).await {
        Ok(account) => account,
        // Not to be told about the account is no reason to give up: the server knows its limits itself.
        Err(ApiError::Denied(_)) => return Ok(MAX_BYTES),
        Err(error) => return Err(error.into_bus(bus, "describe the account")),
    };
    Ok(room(&account).unwrap_or(MAX_BYTES))
}

async fn overlap(bus: &Bus, settings: &BusSettings) -> Refusal {
    let mut owners = Vec::new();
    for subject in settings.prefix.stream_subjects() {
        let answer = bus
            .ask::<Value>("STREAM.NAMES", &json!({ "subject": subject }))
            .await;
        if let Some(names) = answer.ok().as_ref().and_then(|a| a["streams"].as_array()) {
            owners.extend(names.iter().filter_map(Value::as_str).map(clean));
        }
    }
    owners.sort_unstable();
    owners.dedup();
    let prefix = &settings.prefix;
    let owner = match owners.as_slice() {
        [] => "another stream".to_owned(),
        some => format!("stream {}", some.join(", ")),
    };
    Refusal::new(
        format!("{owner} already takes subjects under {prefix}"),
        format!(
            "{} for stream {}",
            prefix.stream_subjects().join(", "),
            settings.stream
        ),
        "choose that stream by --stream, or other subjects by --subject-prefix",
    )
}

/// Brings a stream of our own up to date; touches nothing that is not ours to say.
async fn update(bus: &Bus, settings: &BusSettings, config: &Value) -> Result<Ensured, BusError> {
    let stream = &settings.stream;
    let (next, changed) = amended(config, settings);
    if !changed.is_empty() {
        match bus
            .ask::<Value>(&format!("STREAM.UPDATE.{stream}"), &next)
            .await
        {
            Ok(_) => {}
            Err(error) if error.err_code() == code::SUBJECTS_OVERLAP => {
                return Err(overlap(bus, settings).await.into());
            }
            Err(error) => {
                return Err(error.into_bus(
                    bus,
                    &format!("update stream {stream} ({})", changed.join(", ")),
                ));
            }
        }
    }
    let mut ensured = check(&next, settings)?;
    ensured.changed = changed;
    Ok(ensured)
}
