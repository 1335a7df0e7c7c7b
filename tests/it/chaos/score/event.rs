//! One event as it stands in the stream.

use std::fmt;

use serde_json::Value;

use super::super::truth::{Time, time};
use super::SLACK;

/// One event of the stream, as far as it matters here.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) seq: u64,
    pub(super) kind: String,
    pub(super) process: Option<String>,
    pub(super) at: Time,
    /// The window; it begins nowhere where nobody looked before.
    pub(super) after: Option<Time>,
    pub(super) before: Time,
    pub(super) certainty: String,
    pub(super) count: u64,
    pub(super) epoch: String,
    pub(super) raw: Value,
}

impl Event {
    pub(super) fn of(raw: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            seq: raw["seq"].as_u64().unwrap_or_default(),
            kind: text(&raw["type"]),
            process: raw["process"].as_str().map(str::to_owned),
            at: time(raw["timestamp"].as_str().unwrap()),
            after: raw["occurred"]["after"].as_str().map(time),
            before: time(raw["occurred"]["before"].as_str().unwrap()),
            certainty: text(&raw["certainty"]),
            count: raw["count"].as_u64().unwrap_or(1).max(1),
            epoch: text(&raw["epoch"]),
            raw: raw.clone(),
        }
    }

    pub(super) fn is_begin(&self) -> bool {
        self.kind == "started" || self.kind == "restarted"
    }

    pub(super) fn is_end(&self) -> bool {
        self.kind == "stopped" || self.kind == "crashed"
    }

    pub(super) fn is_health(&self) -> bool {
        self.kind == "healthy" || self.kind == "unhealthy"
    }

    pub(super) fn reason(&self) -> &str {
        self.raw["reason"].as_str().unwrap_or_default()
    }

    pub(super) fn origin(&self) -> &str {
        self.raw["origin"].as_str().unwrap_or_default()
    }

    pub(super) fn holds(&self, at: Time) -> bool {
        self.after.is_none_or(|after| after - SLACK <= at) && at <= self.before + SLACK
    }

    /// Whether a stretch lies whole within its window.
    pub(super) fn spans(&self, from: Time, to: Time) -> bool {
        self.holds(from) && self.holds(to)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.process.as_deref().unwrap_or("(source)");
        write!(
            f,
            "seq {} {name} {} {} {} count {} of {:?}..{} told {} pid {} (before {})",
            self.seq,
            self.kind,
            self.reason(),
            self.certainty,
            self.count,
            self.after,
            self.before,
            self.at,
            self.raw["state"]["pid"],
            self.raw["previous"]["pid"],
        )
    }
}
