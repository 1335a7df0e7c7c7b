//! An event on its way to its text: what it says, borrowed from where it stands.
//!
//! An adapter that tells thousands of events writes each once and keeps the text; an [`Envelope`] of its own for each would be
//! twenty strings that are thrown away. What is written, and in which order, is said here for both.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use super::envelope::{Envelope, SCHEMA, Stamp};
use super::glance::{Glance, Names};
use super::json;
use super::payload::{
    Exit, Gap, Kind, Occurred, Origin, Payload, Previous, Severity, State, millis,
};

/// One event as it is written. Its keys are those of an [`Envelope`], in the order of the contract.
#[derive(Debug, Clone, Serialize)]
pub struct Draft<'a> {
    #[serde(rename = "type")]
    kind: &'a Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(with = "millis")]
    timestamp: DateTime<Utc>,
    subject: Cow<'a, str>,
    severity: Severity,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a State>,
    schema: u32,
    id: Cow<'a, str>,
    source: &'a str,
    journal: &'a str,
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    process_seq: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    epoch: &'a str,
    origin: Origin,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    certainty: &'a str,
    occurred: &'a Occurred,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<&'a Exit>,
    count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<&'a Previous>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<&'a Gap>,
}

impl<'a> Draft<'a> {
    /// Dresses an event about a process, as [`Envelope::dress`] does.
    pub fn dress(payload: &'a Payload, stamp: &Stamp<'a>) -> Self {
        let state = &payload.state;
        let subject = stamp
            .prefix
            .process_event(&state.namespace, &state.name, &payload.kind);
        Self {
            kind: &payload.kind,
            process: Some(&state.name),
            namespace: Some(&state.namespace),
            timestamp: stamp.timestamp,
            subject: subject.into(),
            severity: stamp.severity(payload.severity),
            state: Some(state),
            schema: SCHEMA,
            id: stamp.id().into(),
            source: stamp.source,
            journal: stamp.journal,
            seq: stamp.seq,
            process_seq: Some(payload.process_seq),
            epoch: stamp.epoch,
            origin: stamp.origin,
            reason: &payload.reason,
            certainty: &payload.certainty,
            occurred: &payload.occurred,
            exit: payload.exit.as_ref(),
            count: payload.count,
            previous: payload.previous.as_ref(),
            gap: None,
        }
    }

    /// Appends the event as one JSON object without a line break.
    ///
    /// # Errors
    ///
    /// None of its parts refuses to be written, so there are none; a number that is not finite becomes null.
    pub fn write_json(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        json::write(out, self)
    }

    /// What a filter asks about it.
    pub fn glance(&self) -> Glance<'_> {
        let namespaces = self.state.map_or(&[][..], |state| &state.namespaces);
        Glance {
            kind: Cow::Borrowed(self.kind),
            process: self.process,
            group: self.state.and_then(|state| state.group.as_deref()),
            namespace: self.namespace,
            namespaces: Names::List(namespaces),
            timestamp: self.timestamp,
            severity: self.severity,
            source: self.source,
            journal: self.journal,
            seq: self.seq,
            origin: self.origin,
            reason: self.reason,
            certainty: self.certainty,
        }
    }

    /// Its subject.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it was compared with.
    pub fn origin(&self) -> Origin {
        self.origin
    }
}

impl Envelope {
    /// The same, as it is written.
    pub fn draft(&self) -> Draft<'_> {
        // Each by name, so that none is read back and never written.
        let Self {
            kind,
            process,
            namespace,
            timestamp,
            subject,
            severity,
            state,
            schema,
            id,
            source,
            journal,
            seq,
            process_seq,
            epoch,
            origin,
            reason,
            certainty,
            occurred,
            exit,
            count,
            previous,
            gap,
        } = self;
        Draft {
            kind,
            process: process.as_deref(),
            namespace: namespace.as_deref(),
            timestamp: *timestamp,
            subject: subject.as_str().into(),
            severity: *severity,
            state: state.as_ref(),
            schema: *schema,
            id: id.as_str().into(),
            source,
            journal,
            seq: *seq,
            process_seq: *process_seq,
            epoch,
            origin: *origin,
            reason,
            certainty,
            occurred,
            exit: exit.as_ref(),
            count: *count,
            previous: previous.as_ref(),
            gap: gap.as_ref(),
        }
    }
}

impl Serialize for Envelope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.draft().serialize(serializer)
    }
}
