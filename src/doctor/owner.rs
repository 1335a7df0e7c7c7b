//! What the owner of a broker must set, as text to copy: the stream, and the rights of a user. Pure.

use std::fmt::Write as _;

use serde_json::Value;

use crate::bus::rights::{Right, Role, Verb, rights};
use crate::bus::settings::BusSettings;

/// The stream's configuration as the server's API and `nats stream add --config` take it.
pub fn stream_json(config: &Value) -> String {
    format!("{config:#}\n")
}

/// The command that creates the stream.
pub fn stream_command(config: &Value) -> String {
    let text = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
    let number = |key: &str| config[key].as_i64().unwrap_or(-1).to_string();
    let time = |key: &str| {
        let nanos = config[key].as_u64().unwrap_or(0);
        // The nats command reads no "days" of more than one unit, but every amount of seconds.
        format!("{}s", nanos.div_ceil(1_000_000_000))
    };
    let subjects: Vec<_> = config["subjects"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut flags = vec![
        ("description", quoted(&text("description"))),
        ("subjects", quoted(&subjects.join(","))),
        ("storage", text("storage")),
        ("retention", text("retention")),
        ("discard", text("discard")),
        ("replicas", number("num_replicas")),
        ("max-age", time("max_age")),
        ("max-bytes", number("max_bytes")),
        ("max-msgs", number("max_msgs")),
        ("max-msgs-per-subject", number("max_msgs_per_subject")),
        ("max-msg-size", number("max_msg_size")),
        ("max-consumers", number("max_consumers")),
        ("dupe-window", time("duplicate_window")),
    ];
    let republish = |key: &str| quoted(config["republish"][key].as_str().unwrap_or_default());
    flags.push(("republish-source", republish("src")));
    flags.push(("republish-destination", republish("dest")));
    let name = text("name");
    let mut out = format!(
        "# where the nats command does not know a flag: observe doctor --print-stream json > stream.json,\n\
         # then nats stream add {name} --config stream.json\n"
    );
    _ = writeln!(out, "nats stream add {name} \\");
    for (flag, value) in flags {
        _ = writeln!(out, "  --{flag}={value} \\");
    }
    for (key, flag) in SWITCHES {
        if config[key] == Value::Bool(true) {
            _ = writeln!(out, "  --{flag} \\");
        }
    }
    out.push_str("  --defaults\n");
    out
}

/// Settings that are on or off, and their flags.
const SWITCHES: [(&str, &str); 4] = [
    ("allow_atomic", "allow-batch"),
    ("allow_rollup_hdrs", "allow-rollup"),
    ("allow_msg_ttl", "allow-msg-ttl"),
    ("allow_direct", "allow-direct"),
];

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The rights of a role as a block for the server's configuration, each with a word on what it is for, and the same for
/// `nsc`.
pub fn permissions(role: Role, settings: &BusSettings, source: Option<&str>, who: &str) -> String {
    let rights = &rights(role, settings, source);
    let mut out = format!("# the least rights for {who}\npermissions {{\n");
    for (verb, word) in [(Verb::Publish, "publish"), (Verb::Subscribe, "subscribe")] {
        _ = writeln!(out, "  {word} {{\n    allow: [");
        let all = named(rights, verb);
        let longest = all.iter().map(|(subject, _)| subject.len()).max();
        for (subject, why) in all {
            let subject = format!("\"{subject}\"");
            let width = longest.unwrap_or(0) + 2;
            _ = writeln!(out, "      {subject:<width$}  # {why}");
        }
        out.push_str("    ]\n  }\n");
    }
    let mut answers = "";
    if role.answers() {
        out.push_str("  allow_responses: true  # answer observe process wherever it listens\n");
        answers = " --allow-pub-response";
    }
    out.push_str("}\n");
    let list = |verb| {
        let all = named(rights, verb);
        let subjects: Vec<_> = all.iter().map(|(subject, _)| *subject).collect();
        quoted(&subjects.join(","))
    };
    _ = writeln!(
        out,
        "# with nsc: nsc edit user NAME --allow-pub {} --allow-sub {}{answers}",
        list(Verb::Publish),
        list(Verb::Subscribe)
    );
    out
}

/// The subjects for a verb, each with what it is for; where a domain is named, also as its own servers see them.
fn named(rights: &[Right], verb: Verb) -> Vec<(&str, &str)> {
    let all = rights.iter().filter(|right| right.verb == verb);
    all.flat_map(|right| {
        let within = right.within.as_deref();
        let within =
            within.map(|subject| (subject, "the same, for a user of the domain's own server"));
        [Some((right.subject.as_str(), right.why)), within]
    })
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bus::survey::stream_config;

    #[test]
    fn the_command_says_every_setting_of_the_configuration() {
        let config = stream_config(&BusSettings::default());
        let text = stream_command(&config);
        insta::assert_snapshot!(text);
        let said = ["name", "metadata", "republish", "subjects"];
        let plain: Vec<_> = config
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .filter(|key| !said.contains(key) && !SWITCHES.iter().any(|(k, _)| k == key))
            .collect();
        // One flag for each plain setting, two for republish, one for subjects.
        let flags = text
            .lines()
            .filter(|line| line.starts_with("  --") && line.contains('='));
        let flags = flags.count();
        assert_eq!(flags, plain.len() + 3, "{plain:?}");
        let switched = text.matches("--allow-").count();
        let on = config
            .as_object()
            .unwrap()
            .values()
            .filter(|v| **v == json!(true))
            .count();
        assert_eq!(switched, on);
    }

    #[test]
    fn rights_are_a_block_to_copy() {
        let settings = BusSettings::default();
        let text = permissions(Role::Reader, &settings, None, "observe watch");
        insta::assert_snapshot!(text);
        let text = permissions(Role::Adapter, &settings, Some("shop"), "observe adapter");
        assert!(text.contains("  allow_responses: true"), "{text}");
        assert!(text.trim_end().ends_with(" --allow-pub-response"), "{text}");
    }
}
