//! The stream: read, compared, and changed only where it is ours.
//!
//! The configuration is handled as JSON, because a change replaces the whole of it: what an operator or a later server
//! put there must come through untouched.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::api::{ApiError, code};
use super::connect::Bus;
use super::error::{BusError, Refusal, clean};
use super::settings::{BusSettings, DEFAULT_RETENTION, StreamSetup};
use crate::event::subject::Prefix;

/// The key in the stream's metadata that says that we created it.
pub const MARK: &str = "observe.created_by";
/// Size of a stream unless something else is asked for or allowed: 1 GiB.
const MAX_BYTES: i64 = 1 << 30;
/// Below this, in bytes, a stream is not worth having: 16 MiB.
const LEAST_BYTES: i64 = 16 << 20;
/// A limit must be named (none means 1,000 since 2.15) and cannot be raised later.
const MAX_CONSUMERS: i64 = 10_000;
/// What the server is told to remember message ids for; nothing here relies on it.
const DUPLICATES: Duration = Duration::from_secs(120);
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
}

/// Reads the stream; `None` where there is none.
pub(super) async fn info(bus: &Bus, stream: &str) -> Result<Option<StreamInfo>, BusError> {
    let answer = bus
        .ask::<Value>(&format!("STREAM.INFO.{stream}"), &Value::Null)
        .await;
    match answer {
        Ok(answer) => Ok(Some(StreamInfo {
            config: answer["config"].clone(),
            created: answer["created"].as_str().unwrap_or_default().to_owned(),
            first: answer["state"]["first_seq"].as_u64().unwrap_or(0),
            last: answer["state"]["last_seq"].as_u64().unwrap_or(0),
        })),
        Err(error) if error.err_code() == code::STREAM_NOT_FOUND => Ok(None),
        Err(error) => Err(error.into_bus(bus, &format!("describe stream {stream}"))),
    }
}

/// Which of two absences a "nobody listens" on a publish was: a missing stream, or a passing one.
pub(super) async fn absence(bus: &Bus, stream: &str, subject: &str) -> BusError {
    match info(bus, stream).await {
        Ok(None) => BusError::NoStream(stream.to_owned()),
        Ok(Some(found)) if !covers_any(&found.config, subject) => {
            foreign_subjects(&found.config, stream, subject).into()
        }
        Ok(Some(_)) => BusError::Busy(format!("stream {stream} has no leader right now")),
        Err(error) => error,
    }
}

fn is_ours(config: &Value) -> bool {
    config["metadata"][MARK].is_string()
}

/// The configuration of a stream of our own.
pub fn wanted(stream: &str, prefix: &Prefix, retention: Duration, max_bytes: i64) -> Value {
    json!({
        "name": stream,
        "description": "what processes did: events, and the heads they were told from (written by observe)",
        "subjects": prefix.stream_subjects(),
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "num_replicas": 1,
        "max_age": nanos(retention),
        "max_bytes": max_bytes,
        "max_msgs": -1,
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "max_consumers": MAX_CONSUMERS,
        "duplicate_window": nanos(DUPLICATES.min(retention)),
        "allow_atomic": true,
        "allow_rollup_hdrs": true,
        "allow_msg_ttl": true,
        "allow_direct": true,
        "republish": { "src": prefix.all_process_events(), "dest": prefix.live_process_events() },
        "metadata": { MARK: format!("observe {}", env!("CARGO_PKG_VERSION")) },
    })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
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
            code::INSUFFICIENT_STORAGE | code::INSUFFICIENT_RESOURCES
                if settings.max_bytes.is_none() && max_bytes / 2 >= LEAST_BYTES =>
            {
                max_bytes /= 2;
                continue;
            }
            code::INSUFFICIENT_STORAGE | code::INSUFFICIENT_RESOURCES => {
                return Err(no_room(bus, stream, max_bytes, &error).into());
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

fn room(account: &Value) -> Option<i64> {
    // With tiers the limits stand in the tier of unreplicated streams.
    let account = account["tiers"].get("R1").unwrap_or(account);
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    let limits = &account["limits"];
    let total = number(&limits["max_storage"]);
    let used = number(&account["storage"]).max(number(&account["reserved_storage"]));
    let one = number(&limits["storage_max_stream_bytes"]);
    let left = (total > 0).then(|| (total.saturating_sub(used) / 2).max(1));
    let one = (one > 0).then_some(one);
    left.into_iter().chain(one).chain([MAX_BYTES]).min()
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

/// What must be so, in words; nothing that a stream of somebody else may not have otherwise.
fn check(config: &Value, settings: &BusSettings) -> Result<Ensured, BusError> {
    let stream = &settings.stream;
    for subject in settings.prefix.stream_subjects() {
        if !covers_any(config, &subject) {
            return Err(foreign_subjects(config, stream, &subject).into());
        }
    }
    for (key, what) in [
        ("allow_atomic", "atomic batches"),
        ("allow_rollup_hdrs", "rollup headers"),
        ("allow_msg_ttl", "message TTLs"),
    ] {
        if config[key] != json!(true) {
            return Err(lacking(stream, what, key).into());
        }
    }
    let barred = [
        (
            config["mirror"].is_object(),
            "is a mirror, which cannot be written to",
        ),
        (config["sealed"] == json!(true), "is sealed"),
        (
            config["no_ack"] == json!(true),
            "acknowledges nothing (no_ack)",
        ),
        (
            config["retention"] != json!("limits"),
            "drops what was read (its retention is not \"limits\")",
        ),
        (
            config["persist_mode"] == json!("async"),
            "is written to disk late (persist_mode async)",
        ),
        (
            config["subject_transform"].is_object(),
            "renames its subjects (subject_transform)",
        ),
    ];
    if let Some((_, why)) = barred.into_iter().find(|(so, _)| *so) {
        return Err(Refusal::new(
            format!("stream {stream} {why}"),
            "a plain stream",
            other_stream(),
        )
        .into());
    }
    Ok(Ensured {
        notes: notes(config, settings),
        ..Ensured::default()
    })
}

fn other_stream() -> &'static str {
    "choose another by --stream, or ask its owner to change it (observe doctor --print-stream shows how)"
}

/// The refusal for a stream that does not allow something.
pub(super) fn lacking(stream: &str, what: &str, key: &str) -> Refusal {
    Refusal::new(
        format!("stream {stream} does not allow {what}"),
        format!("{key}: true"),
        other_stream(),
    )
}

fn foreign_subjects(config: &Value, stream: &str, wanted: &str) -> Refusal {
    let subjects: Vec<_> = subjects(config).map(clean).collect();
    let takes = if subjects.is_empty() {
        "nothing".to_owned()
    } else {
        clean(&subjects.join(", "))
    };
    Refusal::new(
        format!("stream {stream} takes {takes}, not {wanted}"),
        format!("a stream that takes {wanted}"),
        other_stream(),
    )
}

fn notes(config: &Value, settings: &BusSettings) -> Vec<String> {
    let stream = &settings.stream;
    let mut notes = Vec::new();
    if config["storage"] != json!("file") {
        notes.push(format!(
            "stream {stream} lives in memory: a restart of the broker empties it"
        ));
    }
    let per_subject = config["max_msgs_per_subject"].as_i64().unwrap_or(-1);
    if per_subject > 0 {
        notes.push(format!(
            "stream {stream} keeps only {per_subject} messages of each subject"
        ));
    }
    if settings
        .retention
        .is_some_and(|asked| config["max_age"].as_u64() != Some(nanos(asked)))
    {
        notes.push(format!(
            "the retention of stream {stream} is its owner's; --retention does not change it"
        ));
    }
    if config["republish"]["dest"] != json!(settings.prefix.live_process_events()) {
        notes.push(format!(
            "stream {stream} does not publish again to {}",
            settings.prefix.live_process_events()
        ));
    }
    notes
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

fn amended(config: &Value, settings: &BusSettings) -> (Value, Vec<String>) {
    let mut next = config.clone();
    let mut changed = Vec::new();
    let mut set = |key: &str, value: Value, word: &str| {
        if next[key] != value {
            next[key] = value;
            changed.push(word.to_owned());
        }
    };
    let mut all: Vec<_> = subjects(config).map(str::to_owned).collect();
    all.extend(
        settings
            .prefix
            .stream_subjects()
            .into_iter()
            .filter(|subject| !covers_any(config, subject)),
    );
    set("subjects", json!(all), "subjects");
    for key in [
        "allow_atomic",
        "allow_rollup_hdrs",
        "allow_msg_ttl",
        "allow_direct",
    ] {
        set(key, json!(true), key);
    }
    let republish = wanted("", &settings.prefix, DEFAULT_RETENTION, 0)["republish"].clone();
    if config["republish"]["dest"] != republish["dest"]
        || config["republish"]["src"] != republish["src"]
    {
        set("republish", republish, "republish");
    }
    if let Some(retention) = settings.retention {
        set("max_age", json!(nanos(retention)), "max_age");
        let window = config["duplicate_window"]
            .as_u64()
            .unwrap_or(0)
            .min(nanos(retention));
        set("duplicate_window", json!(window), "duplicate_window");
    }
    if let Some(max_bytes) = settings.max_bytes {
        set("max_bytes", json!(max_bytes), "max_bytes");
    }
    (next, changed)
}

fn subjects(config: &Value) -> impl Iterator<Item = &str> {
    config["subjects"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

fn covers_any(config: &Value, subject: &str) -> bool {
    subjects(config).any(|pattern| covers(pattern, subject))
}

/// Whether everything that matches `subject` (itself perhaps with wildcards) matches `pattern`.
fn covers(pattern: &str, subject: &str) -> bool {
    let (mut patterns, mut tokens) = (pattern.split('.'), subject.split('.'));
    loop {
        match (patterns.next(), tokens.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(pattern), Some(token)) if pattern == token => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Value {
        wanted("S", &Prefix::default(), DEFAULT_RETENTION, MAX_BYTES)
    }

    fn settings() -> BusSettings {
        BusSettings {
            stream: "S".into(),
            ..BusSettings::default()
        }
    }

    #[test]
    fn a_pattern_covers_what_lies_within_it() {
        for (pattern, subject, yes) in [
            (">", "core.process.>", true),
            ("core.>", "core.process.>", true),
            ("core.process.>", "core.process.>", true),
            ("core.*.>", "core.head.a", true),
            ("core.*", "core.process.>", false),
            ("core.process.*.*.*", "core.process.>", false),
            ("core.process.a", "core.process.*", false),
            ("orders.>", "core.process.>", false),
            ("core.process.>", "core.process", false),
        ] {
            assert_eq!(covers(pattern, subject), yes, "{pattern} {subject}");
        }
    }

    #[test]
    fn our_own_configuration_passes_its_check_and_needs_no_change() {
        assert_eq!(check(&config(), &settings()).unwrap(), Ensured::default());
        assert_eq!(amended(&config(), &settings()).1, Vec::<String>::new());
    }

    #[test]
    fn what_a_stream_lacks_is_said_with_the_way_out() {
        for (key, value, word) in [
            ("allow_atomic", json!(false), "atomic batches"),
            ("allow_rollup_hdrs", json!(false), "rollup"),
            ("allow_msg_ttl", Value::Null, "TTL"),
            ("retention", json!("workqueue"), "retention"),
            ("mirror", json!({"name": "O"}), "mirror"),
            ("sealed", json!(true), "sealed"),
            (
                "subjects",
                json!(["orders.>"]),
                "takes orders.>, not core.process.>",
            ),
        ] {
            let mut config = config();
            config[key] = value;
            let line = check(&config, &settings()).unwrap_err().to_string();
            assert!(
                line.contains(word) && line.contains("--stream") && !line.contains('\n'),
                "{line}"
            );
        }
    }

    #[test]
    fn an_update_keeps_what_an_operator_added() {
        let mut config = config();
        config["subjects"] = json!(["core.process.>", "core.source.>", "extra.>"]);
        config["allow_atomic"] = json!(false);
        config["num_replicas"] = json!(3);
        config["from_the_future"] = json!({"x": 1});
        let settings = BusSettings {
            retention: Some(Duration::from_secs(60)),
            ..settings()
        };
        let (next, changed) = amended(&config, &settings);
        assert_eq!(
            changed,
            ["subjects", "allow_atomic", "max_age", "duplicate_window"]
        );
        assert_eq!(
            next["subjects"],
            json!(["core.process.>", "core.source.>", "extra.>", "core.head.>"])
        );
        assert_eq!(next["num_replicas"], 3);
        assert_eq!(next["from_the_future"]["x"], 1);
        assert_eq!(next["max_bytes"], MAX_BYTES);
    }

    #[test]
    fn the_size_is_half_of_what_the_account_still_allows() {
        let account = |total: i64, used: i64, one: i64| json!({"storage": used, "reserved_storage": 0, "limits": {"max_storage": total, "storage_max_stream_bytes": one}});
        assert_eq!(room(&account(-1, 0, 0)), Some(MAX_BYTES));
        assert_eq!(room(&account(1000, 200, -1)), Some(400));
        assert_eq!(room(&account(1000, 200, 300)), Some(300));
        let tiers = json!({"limits": {}, "tiers": {"R1": account(1000, 0, 0)}});
        assert_eq!(room(&tiers), Some(500));
    }
}
