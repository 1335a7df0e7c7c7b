//! Lines that processes wrote: whose they are stands before them, in a colour that stays.

use std::borrow::Cow;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Color};
use serde::Serialize;

use super::door::width;
use super::json::shown;
use super::style::Style;
use crate::event::envelope::SCHEMA;
use crate::event::subject::fnv1a;

/// JSON Schema (draft 2020-12) of the lines that `observe process logs -o json` prints.
pub const LOG: &str = include_str!("../../docs/schema/log.v1.json");

/// The most columns a name takes.
const NAME: usize = 40;
/// The most columns a line takes; what is longer loses its middle.
const LINE: usize = 64 * 1024;
/// Colours that can be told from each other and from what warns.
const COLORS: [AnsiColor; 10] = [
    AnsiColor::Cyan,
    AnsiColor::Green,
    AnsiColor::Yellow,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
    AnsiColor::BrightGreen,
    AnsiColor::BrightYellow,
    AnsiColor::BrightMagenta,
    AnsiColor::BrightBlue,
];

/// The colour of a name: the same one in every run of the program.
fn color(name: &str) -> AnsiColor {
    let count = u64::try_from(COLORS.len()).unwrap_or(1);
    let at = usize::try_from(fnv1a(name.as_bytes()) % count).unwrap_or(0);
    COLORS[at]
}

/// How lines are shown.
#[derive(Debug, Clone, Copy)]
pub struct LogFace {
    /// How the stream is written to.
    pub style: Style,
    /// Columns for the name; `None` where only one process is shown and no name stands before its lines.
    pub columns: Option<usize>,
}

impl LogFace {
    /// Columns that fit these names.
    pub fn columns_for<'n>(style: Style, names: impl Iterator<Item = &'n str>) -> usize {
        names
            .map(|name| width(&style.clean(name, NAME)))
            .max()
            .unwrap_or(0)
    }

    /// A line of text with its line break.
    pub fn line(&self, name: &str, text: &str) -> Vec<u8> {
        let mut out = String::with_capacity(text.len() + 48);
        if let Some(columns) = self.columns {
            let name = self.style.clean(name, NAME);
            let room = columns.saturating_sub(width(&name));
            let prefix = format!("{name}{:room$} {}", "", self.style.pick("│", "|"));
            if self.style.colored {
                let colored = anstyle::Style::new().fg_color(Some(Color::Ansi(color(&name))));
                // Writing to a string cannot fail.
                let _infallible = write!(out, "{colored}{prefix}{colored:#}");
            } else {
                out.push_str(&prefix);
            }
            out.push(' ');
        }
        out.push_str(&printable(text, self.style));
        out.push('\n');
        out.into_bytes()
    }
}

/// One line as one JSON object in one line.
///
/// # Errors
///
/// None that is known; it only says what the writer of JSON says.
pub fn json(source: &str, process: &str, message: &str) -> serde_json::Result<Vec<u8>> {
    let object = Line {
        kind: "log",
        schema: SCHEMA,
        source,
        process,
        message,
    };
    Ok(shown(&serde_json::to_vec(&object)?))
}

/// One line that a process wrote.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Line<'a> {
    /// Always `log`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The number of the contract of events, which this object shares.
    schema: u32,
    /// What is watched.
    source: &'a str,
    /// The process that wrote it.
    process: &'a str,
    /// The line as the supervisor keeps it, colours and all, without its line break.
    message: &'a str,
}

/// A foreign line made safe: colours stay where colours are shown, every other sequence goes, what else cannot be seen
/// is spelled out.
pub fn printable(text: &str, style: Style) -> String {
    let mut out = String::with_capacity(text.len());
    let mut plain = String::new();
    let mut is_colored = false;
    let mut rest = text.trim_end_matches(['\r', '\n']);
    let flush = |plain: &mut String, out: &mut String| {
        let pieces = plain.split('\t').map(|piece| style.clean(piece, LINE));
        out.push_str(&pieces.collect::<Vec<Cow<'_, str>>>().join("\t"));
        plain.clear();
    };
    while let Some(c) = rest.chars().next() {
        let Some((sequence, after)) = sequence(rest) else {
            plain.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        if style.colored && is_color(sequence) {
            flush(&mut plain, &mut out);
            out.push_str(sequence);
            is_colored = true;
        }
        rest = after;
    }
    flush(&mut plain, &mut out);
    if is_colored {
        out.push_str("\x1b[0m");
    }
    out
}

/// A sequence that a terminal would obey, and what stands behind it.
fn sequence(text: &str) -> Option<(&str, &str)> {
    let mut chars = text.char_indices();
    let (_, first) = chars.next()?;
    let second = match first {
        '\x1b' => chars.next().map(|(_, c)| c),
        '\u{9b}' => Some('['),
        '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => Some(']'),
        _ => return None,
    };
    let end = match second {
        None => text.len(),
        Some('[') => {
            let parameter = |(_, c): &(usize, char)| matches!(c, ' '..='?');
            // What breaks off the sequence stays.
            match chars.find(|at| !parameter(at)) {
                Some((at, c @ '@'..='~')) => at + c.len_utf8(),
                Some((at, _)) => at,
                None => text.len(),
            }
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            let begins = if first == '\x1b' { 2 } else { first.len_utf8() };
            string_end(text, begins)
        }
        Some(' '..='/') => chars
            .find(|(_, c)| !matches!(c, ' '..='/'))
            .map_or(text.len(), |(at, c)| at + c.len_utf8()),
        Some(_) => chars.next().map_or(text.len(), |(at, _)| at),
    };
    Some(text.split_at(end))
}

/// Where a string for the terminal ends, which nothing but its own end does. One that does not end loses only what
/// begins it, so that no line is hidden.
fn string_end(text: &str, begins: usize) -> usize {
    let ends = ["\x07", "\x1b\\", "\u{9c}"];
    let found = ends
        .iter()
        .filter_map(|end| Some(text[begins..].find(end)? + begins + end.len()));
    found.min().unwrap_or(begins)
}

/// Whether a sequence sets colours and the like, and nothing else.
fn is_color(sequence: &str) -> bool {
    sequence
        .strip_prefix("\x1b[")
        .and_then(|rest| rest.strip_suffix('m'))
        .is_some_and(|inner| {
            inner.len() <= 64
                && inner
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':'))
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json as value;

    use super::*;
    use crate::render::door::{Charset, is_unseen};

    const COLORED: Style = Style {
        colored: true,
        charset: Charset::Utf8,
    };
    const BARE: Style = Style {
        colored: false,
        charset: Charset::Utf8,
    };

    #[test]
    fn colours_stay_on_a_terminal_and_everything_else_that_it_would_obey_goes() {
        for (text, colored, bare) in [
            ("plain", "plain", "plain"),
            ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m\x1b[0m", "red"),
            ("\x1b[38;2;1;2;3mx", "\x1b[38;2;1;2;3mx\x1b[0m", "x"),
            ("a\x1b[2Jb\x1b[1;1Hc", "abc", "abc"),
            ("\x1b]0;title\x07after", "after", "after"),
            ("\x1b]8;;http://x\x1b\\link", "link", "link"),
            ("\x1b]52;c;never ends", "52;c;never ends", "52;c;never ends"),
            ("a\x1b(0b\x1bcd\x1b7e", "abde", "abde"),
            ("\u{9b}31mC1", "C1", "C1"),
            ("\u{9d}0;t\u{9c}C1", "C1", "C1"),
            ("\x1b[>1m\x1b[?25l", "", ""),
            (
                "a\tb\rc\u{202e}\x08\r",
                "a\tb\\rc\\u{202e}\\x08",
                "a\tb\\rc\\u{202e}\\x08",
            ),
            ("\x1b[31\u{e9}", "\u{e9}", "\u{e9}"),
            ("\x1b", "", ""),
        ] {
            assert_eq!(printable(text, COLORED), colored, "{text:?}");
            assert_eq!(printable(text, BARE), bare, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_a_terminal_obeys_passes(text in "[\\x1b\\x9b\\x9d\\x9c\\[\\]0-9;mJ(\\\\\\x07a\\t\u{e9}]{0,40}") {
            let bare = printable(&text, BARE);
            prop_assert!(!bare.chars().any(|c| c != '\t' && is_unseen(c)), "{bare:?}");
            let colored = printable(&text, COLORED);
            for piece in colored.split("\x1b[").skip(1) {
                let end = piece.find('m').unwrap();
                prop_assert!(piece[..end].bytes().all(|b| b.is_ascii_digit() || b == b';'), "{colored:?}");
            }
        }
    }

    #[test]
    fn names_stand_in_a_column_and_their_colours_stay() {
        let face = |style| LogFace {
            style,
            columns: Some(LogFace::columns_for(style, ["api", "worker"].into_iter())),
        };
        let text = |bytes| String::from_utf8(bytes).unwrap();
        assert_eq!(text(face(BARE).line("api", "hello")), "api    │ hello\n");
        assert_eq!(
            text(face(Style::PLAIN).line("worker", "hello")),
            "worker | hello\n"
        );
        let colored = text(face(COLORED).line("api", "hello"));
        assert_eq!(colored, text(face(COLORED).line("api", "hello")));
        assert!(colored.starts_with("\x1b["), "{colored:?}");
        let one = LogFace {
            style: BARE,
            columns: None,
        };
        assert_eq!(text(one.line("api", "hello")), "hello\n");
        let colors: std::collections::BTreeSet<_> = ["api", "worker", "web", "db", "cron"]
            .map(|name| format!("{:?}", color(name)))
            .into();
        assert!(colors.len() >= 3, "{colors:?}");
    }

    #[test]
    fn a_line_is_an_object_that_keeps_every_character() {
        let bytes = json("shop", "api", "\x1b[31mred\u{202e}").unwrap();
        assert!(bytes.ends_with(b"}\n") && !bytes.contains(&0x1b));
        let back: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            back,
            value!({"type": "log", "schema": 1, "source": "shop", "process": "api", "message": "\x1b[31mred\u{202e}"})
        );
    }

    #[test]
    fn the_schema_that_is_shipped_is_the_one_of_the_types() {
        let mut schema = schemars::schema_for!(Line<'_>).to_value();
        schema["$id"] = value!("urn:observe:schema:log:1");
        schema["title"] = value!("A line of observe process logs, contract number 1");
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/log.v1.json");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(LOG, text, "UPDATE_SCHEMA=1 cargo test writes it");
    }
}
