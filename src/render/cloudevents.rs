//! CloudEvents 1.0 in the structured form: the stored event as data, within attributes that any router understands.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;

use super::json::shown;
use crate::event::payload::millis;
use crate::event::record::Record;

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(with = "millis")]
    time: DateTime<Utc>,
    datacontenttype: &'static str,
    severity: &'static str,
    origin: &'static str,
    data: &'a RawValue,
}

/// One event as one line.
///
/// # Errors
///
/// Only where what is stored is no JSON; trying again does not help.
pub(super) fn structured(record: &Record) -> serde_json::Result<Vec<u8>> {
    let event = &record.envelope;
    // A key that nobody reads may hold bytes that are no text.
    let text = String::from_utf8_lossy(&record.raw);
    let data: &RawValue = serde_json::from_str(&text)?;
    let subject = event.process.as_ref().map(|process| {
        let namespace = event.namespace.as_deref().unwrap_or_default();
        format!("{namespace}/{process}")
    });
    let about = if subject.is_some() {
        "process"
    } else {
        "source"
    };
    let cloud = CloudEvent {
        specversion: "1.0",
        id: &event.id,
        source: format!("/observe/{}", path(&event.source)),
        kind: format!("observe.{about}.{}", event.kind.as_str()),
        subject,
        time: event.timestamp,
        datacontenttype: "application/json",
        severity: event.severity.as_str(),
        origin: event.origin.as_str(),
        data,
    };
    Ok(shown(&serde_json::to_vec(&cloud)?))
}

/// A name as one segment of a URI reference.
fn path(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::event::envelope::Envelope;
    use crate::event::record::Position;

    #[test]
    fn an_event_travels_whole_within_the_attributes_of_the_standard() {
        let stored = r#"{"type":"crashed","process":"a\u202eb","namespace":"default","timestamp":"2026-08-20T07:18:04Z","subject":"s",
            "severity":"error","schema":1,"id":"my shop.j.7","source":"my shop","journal":"j","seq":7,"origin":"change",
            "reason":"r","certainty":"certain","occurred":{"after":null,"before":"2026-08-20T07:18:04Z"},"count":1,"later":[1]}"#;
        let envelope = Envelope::parse(stored.as_bytes()).unwrap();
        let position = Position {
            stream: "S".into(),
            sequence: 9,
            stored_at: envelope.timestamp,
        };
        let record = Record {
            envelope,
            raw: stored.as_bytes().into(),
            position,
        };
        let line = String::from_utf8(structured(&record).unwrap()).unwrap();
        assert_eq!(line.matches('\n').count(), 1);
        assert!(!line.contains('\u{202e}'), "{line}");
        let mut event: Value = serde_json::from_str(&line).unwrap();
        let data = event["data"].take();
        assert_eq!(data, serde_json::from_str::<Value>(stored).unwrap());
        let wanted = json!({
            "specversion": "1.0", "id": "my shop.j.7", "source": "/observe/my%20shop", "type": "observe.process.crashed",
            "subject": "default/a\u{202e}b", "time": "2026-08-20T07:18:04.000Z", "datacontenttype": "application/json",
            "severity": "error", "origin": "change", "data": null
        });
        assert_eq!(event, wanted);
    }
}
