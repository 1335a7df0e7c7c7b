//! What machines read: the stored text itself, one object per line.

use std::borrow::Cow;
use std::io::Write as _;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::door::is_unseen;
use super::line::Look;
use crate::event::payload::{State, millis};
use crate::event::plain::is_plain;

/// The stored text as one line; line breaks between its keys, which mean nothing there, become blanks.
pub fn raw(stored: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(stored.len() + 1);
    write_raw(stored, &mut out);
    out
}

/// Appends what [`raw`] gives.
pub(super) fn write_raw(stored: &[u8], out: &mut Vec<u8>) {
    out.extend(stored.iter().map(|byte| match byte {
        b'\n' | b'\r' => b' ',
        other => *other,
    }));
    out.push(b'\n');
}

/// The stored text as one line that is safe to look at: what cannot be seen stands escaped within its strings, so that
/// the value stays the same. Text without such characters, which is nearly all text, is handed on byte for byte.
pub fn shown(stored: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(stored.len() + 1);
    write_shown(stored, &mut out);
    out
}

/// Appends what [`shown`] gives.
pub(super) fn write_shown(stored: &[u8], out: &mut Vec<u8>) {
    if is_plain(stored) {
        out.extend_from_slice(stored);
        out.push(b'\n');
        return;
    }
    // A key that nobody reads may hold bytes that are no text.
    let text = String::from_utf8_lossy(stored);
    if matches!(text, Cow::Borrowed(_)) && !text.chars().any(is_unseen) {
        return write_raw(stored, out);
    }
    let (mut units, mut bytes) = ([0; 2], [0; 4]);
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => out.push(b' '),
            c if is_unseen(c) => {
                for unit in c.encode_utf16(&mut units) {
                    // Writing to a vector cannot fail.
                    let _infallible = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.extend_from_slice(c.encode_utf8(&mut bytes).as_bytes()),
        }
    }
    out.push(b'\n');
}

/// One process of a snapshot as one JSON object; its first keys are those of an event, its type is `snapshot`.
///
/// # Errors
///
/// Only where a number of the state is not finite; trying again does not help.
pub fn snapshot(look: &Look<'_>) -> serde_json::Result<Vec<u8>> {
    let object = Snapshot {
        kind: "snapshot",
        process: &look.state.name,
        namespace: &look.state.namespace,
        timestamp: look.at,
        state: look.state,
        source: look.source,
    };
    Ok(shown(&serde_json::to_vec(&object)?))
}

#[derive(Serialize)]
struct Snapshot<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    process: &'a str,
    namespace: &'a str,
    #[serde(with = "millis")]
    timestamp: DateTime<Utc>,
    state: &'a State,
    source: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_text_is_handed_on_byte_for_byte() {
        let stored = r#"{"process":"größe \n 進程","count":1}"#.as_bytes();
        let mut wanted = stored.to_vec();
        wanted.push(b'\n');
        assert_eq!(raw(stored), wanted);
        assert_eq!(shown(stored), wanted);
    }

    #[test]
    fn a_line_break_between_keys_does_not_break_the_line() {
        let out = raw(b"{\n\"a\":1,\r\n\"b\":2}\n");
        assert_eq!(out, b"{ \"a\":1,  \"b\":2} \n");
    }

    #[test]
    fn what_cannot_be_seen_is_escaped_and_the_value_stays() {
        let name = "a\u{9b}31m\u{202e}\u{7f}\u{e0041}";
        let stored = format!("{{\t\"process\":\"{name}\"}}");
        let out = String::from_utf8(shown(stored.as_bytes())).unwrap();
        assert!(!out.trim_end().chars().any(is_unseen), "{out:?}");
        let back: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(back["process"], name);
    }
}
