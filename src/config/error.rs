//! What is wrong with a file, and where.

use serde_saphyr::{Error, Location};

use super::suggest::{known, nearest};

/// What is wrong with a file of settings; mend the file, reading it again does not help.
///
/// What of it came from the file is the name of a key or a value in quotes; whoever prints it lets it through a door.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct ConfigError {
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl ConfigError {
    pub(super) fn at(location: Location, message: impl Into<String>) -> Self {
        Self {
            line: location.line().max(1),
            column: location.column().max(1),
            message: message.into(),
        }
    }
}

impl From<Error> for ConfigError {
    fn from(error: Error) -> Self {
        let inner = error.without_snippet();
        let location = inner.location().unwrap_or(Location::UNKNOWN);
        Self::at(location, message(inner))
    }
}

fn message(error: &Error) -> String {
    match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => match nearest(field, expected) {
            Some(meant) => format!("there is no key {field:?}; did you mean {meant}?"),
            None => format!("there is no key {field:?} here, only {}", known(expected)),
        },
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => match nearest(variant, expected) {
            Some(meant) => format!("{variant:?} is none of the words here; did you mean {meant}?"),
            None => format!("{variant:?} is none of the words here: {}", known(expected)),
        },
        Error::SerdeMissingField { field, .. } => format!("the key {field} is missing"),
        other => {
            let text = other.to_string();
            let first = text.lines().next().unwrap_or("not a file of settings");
            // The place stands in front already.
            let first = first
                .rsplit_once(" at line ")
                .map_or(first, |(message, _)| message);
            first.to_owned()
        }
    }
}
