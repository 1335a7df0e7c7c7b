//! Templates: a line of one's own for each event, with the event's keys between braces.
//!
//! `{key}` stands for a key of the event, `{key.key}` for one within it, `{time}` for the time as the other faces show
//! it, `{{` and `}}` for the braces themselves, `\t` and `\n` for a tab and a line break. A key that an event lacks is
//! empty; a key that no event can have is an error, and so is anything else that is not closed.

use std::sync::Arc;

use serde_json::Value;

use super::style::Style;

/// Every field there is.
const FIELDS: [&str; 51] = [
    "time",
    "type",
    "process",
    "namespace",
    "timestamp",
    "subject",
    "severity",
    "schema",
    "id",
    "source",
    "journal",
    "seq",
    "process_seq",
    "epoch",
    "origin",
    "reason",
    "certainty",
    "count",
    "state.name",
    "state.namespace",
    "state.status",
    "state.is_ready",
    "state.has_ready_probe",
    "state.restarts",
    "state.exit_code",
    "state.is_running",
    "state.replicas",
    "state.group",
    "state.replica",
    "state.namespaces",
    "state.pid",
    "state.age_ms",
    "state.mem_bytes",
    "state.cpu_percent",
    "state.started_at",
    "state.ready_at",
    "state.ended_at",
    "occurred.after",
    "occurred.before",
    "occurred.at",
    "exit.code",
    "exit.signal",
    "exit.expected",
    "previous.status",
    "previous.is_ready",
    "previous.restarts",
    "previous.pid",
    "gap.from",
    "gap.to",
    "gap.why",
    "gap.events",
];
/// The most columns a value takes.
const LONGEST: usize = 1000;

/// Why a template cannot be used; the message has the fix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is nothing in it.
    #[error("a template is empty; write for example template='{{time}} {{type}} {{process}}'")]
    Empty,
    /// A brace has no other one.
    #[error(
        "a brace of the template has no other one; a brace itself is written twice, as {{{{ or }}}}"
    )]
    Brace,
    /// No event has such a field.
    #[error("'{0}' is no field of an event; there are {fields}", fields = FIELDS.join(", "))]
    Field(String),
    /// A backslash stands before something else than `t`, `n` or a backslash.
    #[error("a backslash of the template stands alone; there are \\t, \\n and \\\\")]
    Backslash,
}

/// A template that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Arc<[Piece]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Time,
    Field(&'static str),
}

impl Template {
    /// Reads and checks one.
    ///
    /// # Errors
    ///
    /// What is wrong with it; trying again does not help.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let (mut pieces, mut plain) = (Vec::new(), String::new());
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '{' | '}' if rest.next_if_eq(&c).is_some() => plain.push(c),
                '{' => {
                    let mut name = String::new();
                    loop {
                        match rest.next() {
                            Some('}') => break,
                            None | Some('{') => return Err(TemplateError::Brace),
                            Some(c) => name.push(c),
                        }
                    }
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::of(name.trim())?);
                }
                '}' => return Err(TemplateError::Brace),
                '\\' => plain.push(match rest.next() {
                    Some('t') => '\t',
                    Some('n') => '\n',
                    Some('\\') => '\\',
                    _ => return Err(TemplateError::Backslash),
                }),
                c => plain.push(c),
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        if pieces.is_empty() {
            return Err(TemplateError::Empty);
        }
        Ok(Self {
            pieces: pieces.into(),
        })
    }

    /// One event, as it is stored, as one line; foreign text is made safe to look at.
    pub(super) fn line(
        &self,
        stored: &[u8],
        (time, style): (&str, Style),
    ) -> serde_json::Result<Vec<u8>> {
        let event: Value = serde_json::from_str(&String::from_utf8_lossy(stored))?;
        let mut out = String::new();
        for piece in &*self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Time => out.push_str(time),
                Piece::Field(path) => {
                    let found = path.split('.').try_fold(&event, |at, key| at.get(key));
                    let text = match found {
                        None | Some(Value::Null) => continue,
                        Some(Value::String(text)) => text.clone(),
                        Some(other) => other.to_string(),
                    };
                    out.push_str(&style.clean(&text, LONGEST));
                }
            }
        }
        out.push('\n');
        Ok(out.into_bytes())
    }
}

impl Piece {
    fn of(name: &str) -> Result<Self, TemplateError> {
        let known = FIELDS.into_iter().find(|&field| field == name);
        match known {
            Some("time") => Ok(Self::Time),
            Some(field) => Ok(Self::Field(field)),
            None => {
                let shown: String = name
                    .chars()
                    .filter(char::is_ascii_graphic)
                    .take(40)
                    .collect();
                Err(TemplateError::Field(shown))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::door::Charset;

    const PLAIN: Style = Style {
        colored: false,
        charset: Charset::Utf8,
    };

    fn line(template: &str) -> String {
        let stored = r#"{"type":"crashed","process":"a\u001b[31mpi","seq":42,"exit":{"code":7,"signal":null},"state":{"namespaces":["a","b"]}}"#;
        let line = Template::parse(template)
            .unwrap()
            .line(stored.as_bytes(), ("09:18:04", PLAIN));
        String::from_utf8(line.unwrap()).unwrap()
    }

    #[test]
    fn fields_stand_where_their_braces_are() {
        assert_eq!(line("{time} {type}: {exit.code}"), "09:18:04 crashed: 7\n");
        assert_eq!(
            line("{{{ seq }}}\\t{exit.signal}{gap.why}|\\\\"),
            "{42}\t|\\\n"
        );
        assert_eq!(line("{state.namespaces}"), "[\"a\",\"b\"]\n");
        assert!(!line("{process}").contains('\u{1b}'));
    }

    #[test]
    fn a_template_that_cannot_be_says_why() {
        for (text, wanted) in [
            ("", TemplateError::Empty),
            ("{type", TemplateError::Brace),
            ("type}", TemplateError::Brace),
            ("{ty{pe}", TemplateError::Brace),
            ("a\\", TemplateError::Backslash),
            ("\\x", TemplateError::Backslash),
            ("{nmae}", TemplateError::Field("nmae".into())),
            ("{}", TemplateError::Field(String::new())),
        ] {
            assert_eq!(Template::parse(text), Err(wanted), "{text}");
        }
        let said = Template::parse("{nmae}").unwrap_err().to_string();
        assert!(
            said.contains("process") && said.contains("exit.code"),
            "{said}"
        );
        assert!(TemplateError::Brace.to_string().contains("{{ or }}"));
    }
}
