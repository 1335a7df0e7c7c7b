//! What was told, from where somebody stopped reading.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::event::envelope::SCHEMA;

use super::ring::{Lost, Page};

/// Events, and where to go on.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Reading<'a> {
    /// Always `events`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The number of the contract of events, which this object shares.
    schema: u32,
    /// Where to go on: the `after` of the next question. It belongs to this run of the program.
    cursor: &'a str,
    /// Whether there is more by now.
    more: bool,
    /// Events told before these in this run that are no longer kept; never more than 0 where `after` said where to begin.
    dropped: u64,
    /// The events as they stand in the stream, in the order in which the broker took them.
    #[cfg_attr(test, schemars(with = "Vec<crate::event::envelope::Envelope>"))]
    events: Vec<&'a RawValue>,
}

impl<'a> Reading<'a> {
    pub(super) fn of(page: &'a Page) -> Self {
        // What was told is JSON: this program wrote it.
        let texts = page
            .events
            .iter()
            .map(|told| serde_json::from_slice(&told.text));
        Self {
            kind: "events",
            schema: SCHEMA,
            cursor: &page.cursor,
            more: page.more,
            dropped: page.dropped,
            events: texts.filter_map(Result::ok).collect(),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Problem {
    /// Always `error`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The number of the contract of events, which this object shares.
    schema: u32,
    /// One word: `gone` (what followed the cursor is no longer kept), `other_run` (the cursor is one of another run of the
    /// program), `bad_request`, `forbidden`, `not_found`, `method_not_allowed`, `failed`.
    error: &'static str,
    /// What is wrong, and what helps.
    message: String,
    /// For `gone` and `other_run`: the `after` that gives all that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<String>,
    /// For `gone`: how many events, of all sources, are missing before that.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<u64>,
}

impl Problem {
    pub(super) fn new(error: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind: "error",
            schema: SCHEMA,
            error,
            message: message.into(),
            oldest: None,
            missing: None,
        }
    }

    pub(super) fn lost(lost: Lost) -> Self {
        const STREAM: &str =
            "the stream has them (observe history); after=oldest goes on with what is kept here";
        match lost {
            Lost::Odd => Self::new(
                "bad_request",
                "after is no cursor: take it from an answer of /events",
            ),
            Lost::OtherRun { oldest } => Self {
                oldest: Some(oldest),
                ..Self::new(
                    "other_run",
                    format!(
                        "the adapter was started again since, and what it told between is not here; {STREAM}"
                    ),
                )
            },
            Lost::Gone { missing, oldest } => Self {
                oldest: Some(oldest),
                missing: Some(missing),
                ..Self::new(
                    "gone",
                    format!("{missing} events behind this cursor are no longer kept; {STREAM}"),
                )
            },
        }
    }

    pub(super) fn error(&self) -> &'static str {
        self.error
    }
}
