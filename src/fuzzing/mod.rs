//! Foreign bytes held against the laws of their rooms: one function for each reader.
//!
//! Whoever sends us bytes may send any. What must hold for each reader then stands beside it, in its room's `laws`: that
//! nothing panics, that what is kept is bounded, that an odd row hides no other, that what was written reads back. Two
//! drivers hold the readers to it: the property tests in `tests`, with every run of the suite, and the targets in
//! `fuzz/`, for as long as somebody lets them run. A crash that either finds becomes a named test in `found`.
//!
//! Nothing of this is in a program that anybody runs: it is compiled for tests and for fuzzing only. It holds no law
//! of its own but those that need more than one room.

use crate::adapter::settings::Acknowledged;
use crate::event::envelope::Envelope;
use crate::render::door::Charset;
use crate::render::json;
use crate::render::line::{Columns, Frame};
use crate::render::style::Style;
use crate::render::time::{TimeStyle, Times, Zone};

#[cfg(test)]
mod found;
#[cfg(test)]
mod mutate;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

/// What is done with the bytes of one input.
pub type Law = fn(&[u8]);

/// Every target: its name and what it does with bytes.
pub const TARGETS: &[(&str, Law)] = &[
    ("table", table),
    ("looks", looks),
    ("answers", answers),
    ("frames", frames),
    ("exchange", exchange),
    ("head", head),
    ("spool", spool),
    ("event", event),
    ("broker_answers", broker_answers),
    ("broker_files", broker_files),
    ("contexts", contexts),
    ("stack", stack),
    ("names", names),
];

/// What separates the parts of one input where a reader needs several.
const PART: u8 = 0x1e;

fn parts(bytes: &[u8]) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|byte| *byte == PART);
    at.map_or((&[], bytes), |at| (&bytes[..at], &bytes[at + 1..]))
}

/// The body of `GET /processes`.
pub fn table(bytes: &[u8]) {
    crate::process_compose::laws::table(bytes);
}

/// Bodies and frames one after another, behind the rows of a head: compared, told, shown.
pub fn looks(bytes: &[u8]) {
    let (head, bodies) = parts(bytes);
    for event in crate::process_compose::laws::looks(head, bodies) {
        shown(&event);
        let mut text = Vec::new();
        assert!(event.write_json(&mut text).is_ok());
        let back = crate::event::laws::event(&text);
        assert!(back.is_some(), "{}", String::from_utf8_lossy(&text));
    }
}

/// What a server answers to the rarer questions.
pub fn answers(bytes: &[u8]) {
    crate::process_compose::laws::answers(bytes);
}

/// The state stream.
pub fn frames(bytes: &[u8]) {
    crate::process_compose::laws::frames(bytes);
}

/// A connection.
pub fn exchange(bytes: &[u8]) {
    crate::process_compose::laws::exchange(bytes);
}

/// What an adapter finds at its start: what it remembers, and a root.
pub fn head(bytes: &[u8]) {
    let (memory, root) = parts(bytes);
    let remembered: Option<Acknowledged> = crate::adapter::laws::remembered(memory);
    if let Some(root) = crate::bus::laws::root(root) {
        crate::adapter::laws::beginning(&root, remembered.as_ref());
    }
}

/// What lies in a spool.
pub fn spool(bytes: &[u8]) {
    crate::adapter::laws::entry(bytes);
}

/// The text of an event.
pub fn event(bytes: &[u8]) {
    let Some(event) = crate::event::laws::event(bytes) else {
        return;
    };
    shown(&event);
    for line in [json::shown(bytes), json::raw(bytes)] {
        let inside = line.strip_suffix(b"\n");
        assert!(inside.is_some_and(|line| !line.contains(&b'\n')));
    }
    let line = String::from_utf8(json::shown(bytes));
    assert!(line.is_ok_and(|line| !line.trim_end_matches('\n').chars().any(char::is_control)));
}

/// What the broker answers, and what it delivers.
pub fn broker_answers(bytes: &[u8]) {
    crate::bus::laws::answer(bytes);
    crate::bus::laws::messages(bytes);
}

/// What lies in the folder of a managed broker.
pub fn broker_files(bytes: &[u8]) {
    crate::broker::laws::texts(bytes);
}

/// What lies in the folder of the `nats` command.
pub fn contexts(bytes: &[u8]) {
    crate::bus::laws::context(bytes);
}

/// A stack file, and a length of time.
pub fn stack(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    crate::simulate::laws::stack(&text);
    crate::simulate::laws::length(&text);
}

/// A name.
pub fn names(bytes: &[u8]) {
    crate::event::laws::name(&String::from_utf8_lossy(bytes));
}

/// An event as a person sees it: one line, with nothing in it that moves a cursor.
fn shown(event: &Envelope) {
    for (charset, terminal) in [(Charset::Utf8, Some(80)), (Charset::Ascii, None)] {
        let frame = Frame {
            style: Style {
                colored: false,
                charset,
            },
            times: Times {
                style: TimeStyle::Utc,
                zone: Zone::Utc,
            },
            columns: Columns::for_width(terminal, true),
        };
        let now = event.timestamp;
        for line in [frame.event(event, now), frame.wide_event(event, now)] {
            let inside = line.strip_suffix('\n');
            assert!(
                inside.is_some_and(|line| !line.chars().any(char::is_control)),
                "{line:?}"
            );
        }
    }
}
