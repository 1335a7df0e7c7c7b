//! The faces a stream of events can have, and the one place where a line is written.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::cloudevents;
use super::door::{Charset, clean_for};
use super::json;
use super::line::{Columns, Frame, Look, told_late};
use super::style::Style;
use super::template::{Template, TemplateError};
use super::time::{Times, since};
use crate::event::record::Record;

/// What was asked for by `--output`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Format {
    /// One line for a person.
    #[default]
    Text,
    /// The stored JSON, one object per line, safe to look at.
    Json,
    /// One long line with everything in it.
    Wide,
    /// The stored bytes as they are.
    Raw,
    /// One CloudEvent per line, in the structured form.
    CloudEvents,
    /// One line per event, as a template has it.
    Template(Template),
}

/// Why a format cannot be understood; the message has the fix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// There is no such format.
    #[error(transparent)]
    Unknown(#[from] UnknownWord),
    /// The template cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(word: &str) -> Result<Self, FormatError> {
        if let Some(template) = word.strip_prefix("template=") {
            return Ok(Self::Template(Template::parse(template)?));
        }
        match word {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            "wide" => Ok(Self::Wide),
            "raw" => Ok(Self::Raw),
            "cloudevents" => Ok(Self::CloudEvents),
            _ => Err(UnknownWord::new(
                "output",
                word,
                "text, json, wide, raw, cloudevents, template=TEXT",
            )
            .into()),
        }
    }
}

impl Format {
    /// Whether a line of it shows the stored text and nothing else, so that nobody need understand it.
    pub fn shows_text_alone(&self) -> bool {
        matches!(self, Self::Json | Self::Raw)
    }
}

/// A word that names nothing here; trying again does not help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownWord {
    what: &'static str,
    word: Box<str>,
    known: &'static str,
}

impl UnknownWord {
    pub(super) fn new(what: &'static str, word: &str, known: &'static str) -> Self {
        Self {
            what,
            word: clean_for(Charset::Ascii, word, 40).into(),
            known,
        }
    }
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, word, known } = self;
        write!(f, "there is no {what} `{word}`; there are {known}")
    }
}

impl std::error::Error for UnknownWord {}

/// An event that reaches the stream later than this after it was observed is late.
const LATE: Duration = Duration::from_secs(5);

/// How late it was told, where that is worth a word.
fn late(record: &Record) -> Option<Duration> {
    let late = since(record.envelope.timestamp, record.position.stored_at);
    (late > LATE).then_some(late)
}

/// Everything that decides how a stream of events looks.
#[derive(Debug, Clone)]
pub struct Face {
    format: Format,
    frame: Frame,
}

impl Face {
    /// A face; the columns mean something to text and wide only.
    pub fn new(format: Format, style: Style, times: Times, columns: Columns) -> Self {
        let frame = Frame {
            style,
            times,
            columns,
        };
        Self { format, frame }
    }

    /// What was asked for.
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// Writes one event as one line in one `write`.
    ///
    /// # Errors
    ///
    /// Whatever the stream fails with; a closed pipe is one of them.
    pub fn write(
        &self,
        record: &Record,
        now: DateTime<Utc>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let line = match &self.format {
            Format::Text => self
                .frame
                .event_told(&record.envelope, late(record), now)
                .into_bytes(),
            Format::Wide => self.wide(record, now).into_bytes(),
            Format::Json => json::shown(&record.raw),
            Format::Raw => json::raw(&record.raw),
            Format::CloudEvents => cloudevents::structured(record)?,
            Format::Template(template) => {
                let time = self.frame.times.full(record.envelope.timestamp, now);
                template.line(&record.raw, (&time, self.frame.style))?
            }
        };
        out.write_all(&line)
    }

    fn wide(&self, record: &Record, now: DateTime<Utc>) -> String {
        let mut line = self.frame.wide_event(&record.envelope, now);
        if let Some(late) = late(record) {
            line.truncate(line.trim_end_matches('\n').len());
            line.push_str("  ");
            line.push_str(&told_late(late));
            line.push('\n');
        }
        line
    }

    /// Writes one event as one line by its text, as [`Face::write`] does where [`Format::shows_text_alone`].
    pub fn write_text(&self, stored: &[u8], out: &mut Vec<u8>) {
        if self.format == Format::Raw {
            json::write_raw(stored, out);
        } else {
            json::write_shown(stored, out);
        }
    }

    /// Writes one process of a snapshot as one line in one `write`.
    ///
    /// # Errors
    ///
    /// Whatever the stream fails with; a closed pipe is one of them.
    pub fn write_snapshot(
        &self,
        look: &Look<'_>,
        now: DateTime<Utc>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let line = match &self.format {
            Format::Text | Format::Wide => self.frame.snapshot(look, now).into_bytes(),
            Format::Json | Format::Raw | Format::CloudEvents => json::snapshot(look)?,
            Format::Template(template) => {
                let time = self.frame.times.full(look.at, now);
                template.line(&json::snapshot(look)?, (&time, self.frame.style))?
            }
        };
        out.write_all(&line)
    }
}
