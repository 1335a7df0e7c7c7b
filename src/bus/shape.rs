//! The shape of a stream: what we would create, what must be so, and what may be changed. Pure.

use std::time::Duration;

use serde_json::{Value, json};

use super::consumer::nanos;
use super::error::{BusError, Refusal, clean};
use super::settings::{BusSettings, DEFAULT_RETENTION};
use super::stream::Ensured;
use crate::event::subject::Prefix;

/// The key in the stream's metadata that says that we created it.
pub const MARK: &str = "observe.created_by";
/// Size of a stream unless something else is asked for or allowed: 1 GiB.
pub(super) const MAX_BYTES: i64 = 1 << 30;
/// A limit must be named (none means 1,000 since 2.15) and cannot be raised later.
const MAX_CONSUMERS: i64 = 10_000;
/// What the server is told to remember message ids for; nothing here relies on it.
const DUPLICATES: Duration = Duration::from_secs(120);

pub(super) fn is_ours(config: &Value) -> bool {
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

pub(super) fn room(account: &Value) -> Option<i64> {
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

/// What must be so, in words; nothing that a stream of somebody else may not have otherwise.
pub(super) fn check(config: &Value, settings: &BusSettings) -> Result<Ensured, BusError> {
    match faults(config, settings).into_iter().next() {
        Some(fault) => Err(fault.into()),
        None => Ok(Ensured {
            notes: notes(config, settings),
            ..Ensured::default()
        }),
    }
}

/// Everything that must be otherwise before anything can be told into it, gravest first.
pub(super) fn faults(config: &Value, settings: &BusSettings) -> Vec<Refusal> {
    let stream = &settings.stream;
    let mut faults = Vec::new();
    for subject in settings.prefix.stream_subjects() {
        if !covers_any(config, &subject) {
            faults.push(foreign_subjects(config, stream, &subject));
        }
    }
    for (key, what) in [
        ("allow_atomic", "atomic batches"),
        ("allow_rollup_hdrs", "rollup headers"),
        ("allow_msg_ttl", "message TTLs"),
    ] {
        if config[key] != json!(true) {
            faults.push(lacking(stream, what, key));
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
    for (_, why) in barred.into_iter().filter(|(so, _)| *so) {
        faults.push(Refusal::new(
            format!("stream {stream} {why}"),
            "a plain stream",
            other_stream(),
        ));
    }
    faults
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

pub(super) fn foreign_subjects(config: &Value, stream: &str, wanted: &str) -> Refusal {
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

/// What is not as we would have it but does no harm, in words.
pub(super) fn notes(config: &Value, settings: &BusSettings) -> Vec<String> {
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

pub(super) fn amended(config: &Value, settings: &BusSettings) -> (Value, Vec<String>) {
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

pub(super) fn covers_any(config: &Value, subject: &str) -> bool {
    subjects(config).any(|pattern| covers(pattern, subject))
}

/// Whether everything that matches `subject` (itself perhaps with wildcards) matches `pattern`.
pub(super) fn covers<'a>(pattern: &'a str, subject: &'a str) -> bool {
    let tokens = |text: &'a str| text.as_bytes().split(|byte| *byte == b'.');
    let (mut patterns, mut tokens) = (tokens(pattern), tokens(subject));
    loop {
        match (patterns.next(), tokens.next()) {
            (Some(b">"), Some(_)) | (None, None) => return true,
            (Some(b"*"), Some(token)) if token != b">" => {}
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
