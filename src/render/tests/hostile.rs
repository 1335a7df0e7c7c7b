//! Whatever a process is called, a line stays one line in our own colours, and the columns stand still.

use chrono::FixedOffset;
use proptest::prelude::*;

use super::*;
use crate::event::payload::Word;
use crate::event::record::{Position, Record};
use crate::render::door::width;
use crate::render::format::{Face, Format};
use crate::render::line::Look;
use crate::render::notice::{LastEvent, Sight, Standing};

/// Takes out our own colours; whatever escape sequence is left was not ours.
fn without_own_colors(line: &str) -> String {
    let mut out = line.to_owned();
    for own in [
        "\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[7m", "\x1b[31m", "\x1b[32m", "\x1b[33m",
    ] {
        out = out.replace(own, "");
    }
    out
}

/// An event in which every text of foreign making is this one.
fn overgrown(text: &str, kind: Kind) -> Envelope {
    let mut event = event("03:00:00", kind, text, "status");
    let word: Word = text.to_owned().into();
    event.namespace = Some(text.to_owned());
    event.source = text.to_owned();
    event.id = text.to_owned();
    event.certainty = word.clone();
    let state = event.state.as_mut().unwrap();
    state.status = word.clone();
    state.namespace = text.to_owned();
    state.is_ready = word.clone();
    state.has_ready_probe = true;
    let previous = event.previous.as_mut().unwrap();
    previous.status = word;
    previous.name = Some(text.to_owned());
    event
}

fn all_lines(frame: &Frame, text: &str) -> Vec<String> {
    let now = at("03:00:01");
    let word: Word = text.to_owned().into();
    let mut events = vec![
        overgrown(text, Kind::Crashed),
        overgrown(text, Kind::StatusChanged),
        overgrown(text, Kind::Other(text.into())),
    ];
    for reason in ["renamed".into(), word.clone()] {
        let mut event = overgrown(text, Kind::StatusChanged);
        event.reason = reason;
        events.push(event);
    }
    for kind in Kind::SOURCE {
        let mut event = gap("03:00:00", Some("02:59:00"), "spool_full");
        event.gap.as_mut().unwrap().why = word.clone();
        event.reason = word.clone();
        event.source = text.to_owned();
        event.kind = kind;
        events.push(event);
    }
    let mut lines: Vec<_> = events
        .iter()
        .flat_map(|event| [frame.event(event, now), frame.wide_event(event, now)])
        .collect();
    let look = Look {
        source: text,
        state: events[0].state.as_ref().unwrap(),
        at: now,
    };
    lines.push(frame.snapshot(&look, now));
    lines
}

/// What may not reach a terminal, written down a second time so that the door cannot excuse itself.
fn is_harmful(c: char) -> bool {
    matches!(u32::from(c),
        0..=0x1f | 0x7f..=0x9f
        | 0x61c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x2069 | 0xfeff | 0xe0001..=0xe007f)
}

fn check(line: &str) {
    let body = line.strip_suffix('\n').expect("one line break at the end");
    let left = without_own_colors(body);
    assert!(!left.chars().any(is_harmful), "{left:?}");
}

const NAMES: [&str; 10] = [
    "\x1b[2J\x1b[H",
    "api\r03:00:00 X crashed",
    "a\nb",
    "\u{202e}ipa",
    "a.b *>",
    "🚀🚀🚀",
    "進程進程",
    "\u{9b}31m",
    "e\u{301}\u{301}\u{301}\u{301}",
    "",
];

#[test]
fn hostile_names_as_a_person_sees_them() {
    let frame = frame(UTF8, Some(80));
    let ascii = super::frame(Style::PLAIN, Some(80));
    let long = "long-".repeat(2000);
    let mut out = String::new();
    for name in NAMES.into_iter().chain([long.as_str()]) {
        let event = ended(event("03:00:00", Kind::Crashed, name, "exit"), 7, None);
        out += &frame.event(&event, at("03:00:01"));
        out += &ascii.event(&event, at("03:00:01"));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn the_detail_begins_in_one_column() {
    let frame = frame(UTF8, Some(80));
    let long = "long-".repeat(2000);
    for name in NAMES.into_iter().chain([long.as_str()]) {
        for kind in Kind::PROCESS {
            let event = event("03:00:00", kind, name, "moonlight");
            let line = frame.event(&event, at("03:00:01"));
            let before = &line[..line.find("moonlight").unwrap()];
            assert_eq!(width(before), 44, "{line}");
        }
    }
}

#[test]
fn a_pipe_keeps_a_long_name_whole() {
    let name = "a-name-that-is-longer-than-its-column-and-is-searched-for";
    let event = event("03:00:00", Kind::Started, name, "added");
    let line = frame(UTF8, None).event(&event, at("03:00:01"));
    assert!(line.contains(name), "{line}");
    let line = frame(UTF8, Some(80)).wide_event(&event, at("03:00:01"));
    assert!(line.contains(name), "{line}");
}

#[test]
fn the_status_line_cleans_its_source() {
    let standing = Standing {
        source: "\x1b]0;owned\x07\n",
        processes: 0,
        up: 0,
        unhealthy: 0,
        crashed: 0,
        last_event: LastEvent::Never,
        sight: Sight::Never,
    };
    check(&standing.line(COLOR));
}

/// Counts the writes it gets.
#[derive(Default)]
struct Writes(Vec<Vec<u8>>);

impl std::io::Write for Writes {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn one_event_is_one_write_in_every_format() {
    let envelope = overgrown("a\nb\u{202e}", Kind::Crashed);
    let mut raw = Vec::new();
    envelope.write_json(&mut raw).unwrap();
    let record = Record {
        envelope,
        raw: raw.clone().into(),
        position: Position {
            stream: "PROCESS_EVENTS".into(),
            sequence: 7,
            stored_at: at("03:00:00"),
        },
    };
    let look = Look {
        source: "shop",
        state: record.envelope.state.as_ref().unwrap(),
        at: at("03:00:00"),
    };
    let template = "template={time} {process} {state.name} {reason}".parse();
    for format in [
        Format::Text,
        Format::Wide,
        Format::Json,
        Format::Raw,
        Format::CloudEvents,
        template.unwrap(),
    ] {
        let inner = frame(COLOR, Some(80));
        let face = Face::new(format.clone(), inner.style, inner.times, inner.columns);
        let mut out = Writes::default();
        face.write(&record, at("03:00:01"), &mut out).unwrap();
        face.write_snapshot(&look, at("03:00:01"), &mut out)
            .unwrap();
        assert_eq!(out.0.len(), 2, "{format:?}");
        for line in &out.0 {
            let breaks = line.split(|byte| *byte == b'\n').count() - 1;
            assert!(breaks == 1 && line.ends_with(b"\n"));
        }
        let first = out.0.swap_remove(0);
        match format {
            Format::Raw => assert_eq!(first, [&raw[..], b"\n"].concat()),
            Format::Json => {
                check(std::str::from_utf8(&first).unwrap());
                assert_eq!(Envelope::parse(&first).unwrap(), record.envelope);
            }
            Format::Text | Format::Wide | Format::CloudEvents | Format::Template(_) => {
                check(std::str::from_utf8(&first).unwrap());
            }
        }
    }
}

/// Any text, and texts that are nothing but harm.
fn evil() -> impl Strategy<Value = String> {
    let harm = "[a\u{1}-\u{1f}\u{7f}-\u{9f}\u{61c}\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{2069}\u{feff}進]{0,300}";
    prop_oneof![any::<String>(), harm]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_the_name_a_line_is_one_line_in_our_own_colours(
        text in evil(), colored: bool, ascii: bool, several: bool, terminal in proptest::option::of(20_usize..200),
    ) {
        let charset = if ascii { Charset::Ascii } else { Charset::Utf8 };
        let mut frame = frame(Style { colored, charset }, terminal);
        frame.columns = Columns::for_width(terminal, several);
        for line in all_lines(&frame, &text) {
            check(&line);
            prop_assert!(colored || !line.contains('\x1b'));
            prop_assert!(!ascii || line.is_ascii());
        }
    }

    #[test]
    fn the_detail_begins_where_it_always_does(text in "\\PC{0,20}") {
        prop_assume!(width(&crate::render::door::clean(&text, 999)) <= 20);
        let event = event("03:00:00", Kind::Started, &text, "schedule");
        let line = frame(UTF8, None).event(&event, at("03:00:01"));
        let before = &line[..line.rfind("on schedule").unwrap()];
        prop_assert_eq!(width(before), 44);
    }

    #[test]
    fn a_line_about_a_process_never_leaves_its_terminal(text in any::<String>(), columns in 1_usize..200) {
        let frame = frame(UTF8, Some(columns));
        for kind in [Kind::Crashed, Kind::StatusChanged] {
            let line = frame.event(&overgrown(&text, kind), at("03:00:01"));
            prop_assert!(width(line.trim_end_matches('\n')) <= columns, "{}", line);
        }
    }
}

#[test]
fn a_distance_from_utc_is_told_in_wide() {
    let mut frame = frame(UTF8, None);
    frame.times.zone = Zone::Fixed(FixedOffset::east_opt(7200).unwrap());
    let line = frame.wide_event(
        &event("03:00:00", Kind::Started, "api", "added"),
        at("03:00:01"),
    );
    assert!(line.starts_with("2026-08-20T05:00:00.000+02:00"), "{line}");
}
