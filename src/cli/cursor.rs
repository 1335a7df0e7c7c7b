//! A cursor: a place in a stream as one word that is handed out, kept by somebody else and given back.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::Context as _;

use crate::bus::past::Extent;
use crate::event::subject::fnv1a;

use super::exit::{Exit, Failure, OrExit as _};

/// What every cursor begins with.
const BEGINNING: &str = "o1";

/// A place behind a message of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    stream: u64,
    sequence: u64,
}

impl Cursor {
    /// The place behind this sequence.
    pub(super) fn behind(sequence: u64, name: &str, extent: &Extent) -> Self {
        let stream = fnv1a([name, &extent.created].join("\n").as_bytes());
        Self { stream, sequence }
    }

    /// Reads one; the last part is a checksum, so that a word that was cut or mistyped is no other place.
    fn parse(text: &str) -> Option<Self> {
        let parts: Vec<_> = text.trim().split('-').collect();
        let [BEGINNING, stream, sequence, _] = parts.as_slice() else {
            return None;
        };
        let found = Self {
            stream: u64::from_str_radix(stream, 16).ok()?,
            sequence: sequence.parse().ok()?,
        };
        (found.text() == text.trim()).then_some(found)
    }

    /// Reads one that somebody gave.
    pub(super) fn given(text: &str) -> Result<Self, Failure> {
        Self::parse(text).ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            Failure::say(
                Exit::Usage,
                format!("'{shown}' is no cursor; give one whole, as --show-cursor says it"),
            )
        })
    }

    /// Reads the one that a file holds; nothing where there is no file yet.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, Failure> {
        match fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => Ok(None),
            Ok(text) => Self::given(text.trim()).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error)
                .with_context(|| format!("the cursor file {} cannot be read", path.display()))
                .or_exit(Exit::Refused),
        }
    }

    /// Writes it to a file, whole or not at all.
    pub(super) fn write(self, path: &Path) -> Result<(), Failure> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = path.with_file_name(name);
        let written = || -> std::io::Result<()> {
            let mut file = File::create(&new)?;
            file.write_all(format!("{}\n", self.text()).as_bytes())?;
            file.sync_data()?;
            fs::rename(&new, path)
        };
        written()
            .with_context(|| format!("the cursor file {} cannot be written", path.display()))
            .or_exit(Exit::Refused)
    }

    /// The sequence behind which it stands, where it is a place in this stream.
    pub(super) fn sequence(self, name: &str, extent: &Extent) -> Result<u64, Failure> {
        let same = Self::behind(self.sequence, name, extent) == self;
        if same && self.sequence <= extent.last {
            return Ok(self.sequence);
        }
        Err(Failure::say(
            Exit::Refused,
            format!(
                "the cursor is a place in another stream than this {name}, or in one that lost its end; begin with --since, and take a new cursor"
            ),
        ))
    }

    /// The word that is handed out.
    pub(super) fn text(self) -> String {
        let Self { stream, sequence } = self;
        let body = format!("{BEGINNING}-{stream:016x}-{sequence}");
        let check = fnv1a(body.as_bytes()) >> 32;
        format!("{body}-{check:08x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(created: &str, last: u64) -> Extent {
        Extent {
            created: created.into(),
            first: 1,
            last,
        }
    }

    #[test]
    fn a_cursor_that_is_given_back_is_the_same_place() {
        let extent = extent("2026-08-20T07:18:04Z", 42);
        let cursor = Cursor::behind(42, "S", &extent);
        let back = Cursor::given(&format!(" {}\n", cursor.text())).unwrap();
        assert_eq!(back.sequence("S", &extent).unwrap(), 42);
    }

    #[test]
    fn a_cursor_that_was_changed_is_none() {
        let text = Cursor::behind(42, "S", &extent("x", 42)).text();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'3' { b'4' } else { b'3' };
            let other = String::from_utf8(bytes).unwrap();
            assert_eq!(Cursor::parse(&other), None, "{other}");
            assert_eq!(Cursor::parse(&text[..at]), None);
        }
    }

    #[test]
    fn a_place_in_another_stream_or_behind_the_end_is_refused() {
        let now = extent("x", 42);
        let cursor = Cursor::behind(42, "S", &now);
        assert!(cursor.sequence("T", &now).is_err());
        assert!(cursor.sequence("S", &extent("y", 42)).is_err());
        assert!(cursor.sequence("S", &extent("x", 41)).is_err());
    }

    #[test]
    fn a_file_holds_it_and_a_missing_one_holds_none() {
        let path = std::env::temp_dir().join(format!("observe-cursor-{}", std::process::id()));
        assert_eq!(Cursor::read(&path).unwrap(), None);
        let cursor = Cursor::behind(7, "S", &extent("x", 42));
        cursor.write(&path).unwrap();
        assert_eq!(Cursor::read(&path).unwrap(), Some(cursor));
        fs::write(&path, "torn").unwrap();
        assert_eq!(Cursor::read(&path).unwrap_err().exit, Exit::Usage);
        fs::remove_file(path).unwrap();
    }
}
