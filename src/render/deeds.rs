//! What became of what was asked of processes: a line for each, and one object for machines.

use serde::Serialize;

use super::json::shown;
use super::style::Style;
use crate::event::envelope::SCHEMA;
use crate::process::control::Action;

/// JSON Schema (draft 2020-12) of the object that `observe process start|stop|restart|scale -o json` prints.
pub const PROCESS: &str = include_str!("../../docs/schema/process.v1.json");

/// The most columns a name takes here.
const NAME: usize = 60;
/// The most columns a reason takes here.
const REASON: usize = 300;

/// What became of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Became {
    /// Done.
    Done,
    /// Nothing had to be done.
    Unchanged,
    /// The supervisor said no, or does not know how.
    Refused,
    /// It was not heard.
    Unheard,
    /// No answer came: it may have been done.
    Unknown,
    /// Done, but what was waited for did not come true.
    Failed,
    /// Done, but what was waited for did not come true in time.
    Timeout,
}

impl Became {
    /// Whether all is well.
    pub fn is_well(self) -> bool {
        matches!(self, Self::Done | Self::Unchanged)
    }
}

/// What was asked of one process or group, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Deed {
    /// The process, or the group for `scale`.
    pub process: String,
    /// What became of it.
    pub outcome: Became,
    /// Why, in words for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[cfg_attr(test, schemars(default))]
    pub reason: String,
    /// The number of replicas before; only for `scale`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u32>,
    /// The number of replicas wanted; only for `scale`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
}

/// Everything that was asked by one command.
#[derive(Debug, Clone, Copy)]
pub struct Deeds<'a> {
    /// What was asked.
    pub action: Action,
    /// Of which source.
    pub source: &'a str,
    /// Whether the adapter took the intent, so that what follows is told as requested.
    pub intent: bool,
    /// Of each process.
    pub deeds: &'a [Deed],
}

impl Deeds<'_> {
    /// A line for a person.
    pub fn line(&self, deed: &Deed, style: Style) -> String {
        let name = style.clean(&deed.process, NAME);
        let reason = style.clean(&deed.reason, REASON);
        let because = if reason.is_empty() {
            String::new()
        } else {
            format!(": {reason}")
        };
        let action = self.action;
        match (deed.outcome, deed.from.zip(deed.to)) {
            (Became::Done, Some((from, to))) => format!("{name} scaled from {from} to {to}"),
            (Became::Done, None) => format!("{name} {}", action.done()),
            (Became::Unchanged, Some((_, to))) => format!("{name} has {to} already"),
            (Became::Unchanged, None) => format!("{name} unchanged{because}"),
            (Became::Refused, _) => format!("{name} not {}{because}", action.done()),
            (Became::Unheard, _) => format!("{name} not asked to {action}{because}"),
            (Became::Unknown, _) => format!("{name} may have been {}{because}", action.done()),
            (Became::Failed, _) => {
                format!(
                    "{name} was asked to {action}, but is not {}{because}",
                    action.proof()
                )
            }
            (Became::Timeout, _) => format!(
                "{name} was asked to {action}, but is not {} in time{because}",
                action.proof()
            ),
        }
    }

    /// One JSON object in one line.
    ///
    /// # Errors
    ///
    /// None that is known; it only says what the writer of JSON says.
    pub fn json(&self) -> serde_json::Result<Vec<u8>> {
        let object = Object {
            kind: "process",
            schema: SCHEMA,
            action: self.action.as_str(),
            source: self.source,
            intent: self.intent,
            processes: self.deeds,
        };
        Ok(shown(&serde_json::to_vec(&object)?))
    }
}

/// What became of what was asked.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Object<'a> {
    /// Always `process`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The number of the contract of events, which this object shares.
    schema: u32,
    /// `start`, `stop`, `restart` or `scale`.
    action: &'static str,
    /// The source.
    source: &'a str,
    /// Whether an adapter took note beforehand, so that it tells what follows as requested.
    intent: bool,
    /// Each process, or each group for `scale`.
    processes: &'a [Deed],
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn deed(process: &str, outcome: Became, reason: &str) -> Deed {
        Deed {
            process: process.to_owned(),
            outcome,
            reason: reason.to_owned(),
            from: None,
            to: None,
        }
    }

    fn scaled(outcome: Became) -> Deed {
        Deed {
            from: Some(1),
            to: Some(3),
            ..deed("web", outcome, "")
        }
    }

    #[test]
    fn each_outcome_has_a_line_of_its_own() {
        let line = |action, deed: Deed| {
            let deeds = Deeds {
                action,
                source: "shop",
                intent: true,
                deeds: &[],
            };
            deeds.line(&deed, Style::PLAIN)
        };
        for (action, deed, wanted) in [
            (
                Action::Restart,
                deed("api", Became::Done, ""),
                "api restarted",
            ),
            (
                Action::Scale,
                scaled(Became::Done),
                "web scaled from 1 to 3",
            ),
            (
                Action::Scale,
                scaled(Became::Unchanged),
                "web has 3 already",
            ),
            (
                Action::Start,
                deed("a\x1b[2J", Became::Refused, "is\nrunning"),
                "a\\x1b[2J not started: is\\nrunning",
            ),
            (
                Action::Stop,
                deed("api", Became::Unknown, "no answer within 60s"),
                "api may have been stopped: no answer within 60s",
            ),
            (
                Action::Restart,
                deed("api", Became::Failed, "ended with exit 3"),
                "api was asked to restart, but is not ready: ended with exit 3",
            ),
            (
                Action::Stop,
                deed("api", Became::Timeout, "stopping"),
                "api was asked to stop, but is not stopped in time: stopping",
            ),
            (
                Action::Stop,
                deed("api", Became::Unheard, "refused"),
                "api not asked to stop: refused",
            ),
        ] {
            assert_eq!(line(action, deed), wanted);
        }
    }

    #[test]
    fn the_object_is_one_line_with_everything() {
        let all = [deed("api", Became::Refused, "no"), scaled(Became::Done)];
        let deeds = Deeds {
            action: Action::Scale,
            source: "shop",
            intent: true,
            deeds: &all,
        };
        let bytes = deeds.json().unwrap();
        let first = bytes.iter().position(|&byte| byte == b'\n');
        assert_eq!(first, Some(bytes.len() - 1));
        assert_eq!(
            serde_json::from_slice::<Value>(&bytes).unwrap(),
            json!({
                "type": "process", "schema": 1, "action": "scale", "source": "shop", "intent": true,
                "processes": [
                    {"process": "api", "outcome": "refused", "reason": "no"},
                    {"process": "web", "outcome": "done", "from": 1, "to": 3},
                ],
            })
        );
    }

    #[test]
    fn the_schema_that_is_shipped_is_the_one_of_the_types() {
        let mut schema = schemars::schema_for!(Object<'_>).to_value();
        schema["$id"] = json!("urn:observe:schema:process:1");
        schema["title"] = json!("observe process, contract number 1");
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/process.v1.json");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(PROCESS, text, "UPDATE_SCHEMA=1 cargo test writes it");
    }
}
