//! Values that stand in a file: texts that know their place, and spans of time.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Location, Spanned};

use super::error::ConfigError;

/// A text in which `${NAME}` stands for a variable of the environment.
///
/// Two are equal where they mean the same, wherever they stand.
#[derive(Clone)]
pub struct Text {
    written: String,
    meant: String,
    at: Location,
}

impl Text {
    /// What it means, with the variables replaced.
    pub fn as_str(&self) -> &str {
        &self.meant
    }

    /// What the person wrote: safe to show where a variable may hold a secret.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The same as a path; one that is not absolute begins in this folder.
    pub fn path(&self, folder: &Path) -> PathBuf {
        folder.join(&self.meant)
    }

    pub(super) fn wrong(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::at(self.at, message)
    }

    /// Replaces the variables.
    pub(super) fn expand(
        &mut self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), ConfigError> {
        let mut meant = String::new();
        let mut rest = self.written.as_str();
        while let Some((before, after)) = rest.split_once("${") {
            meant.push_str(before);
            let Some((name, behind)) = after.split_once('}') else {
                return Err(self.wrong("a ${ without its }"));
            };
            if !is_name(name) {
                return Err(self.wrong(format!(
                    "${{{name}}} names no variable; write for example ${{HOME}}"
                )));
            }
            let Some(value) = env(name).filter(|value| !value.is_empty()) else {
                return Err(self.wrong(format!(
                    "the variable {name} is not set; set it, or write the value here"
                )));
            };
            meant.push_str(&value);
            rest = behind;
        }
        meant.push_str(rest);
        self.meant = meant;
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() && name.chars().all(letter)
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.meant == other.meant
    }
}

impl Eq for Text {}

impl fmt::Debug for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What was written: the value of a variable may be a secret.
        fmt::Debug::fmt(&self.written, out)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned: Spanned<String> = Spanned::deserialize(deserializer)?;
        Ok(Self {
            meant: spanned.value.clone(),
            written: spanned.value,
            at: spanned.referenced,
        })
    }
}

/// A name, or a pattern for names with `*`, `?`, `[…]`, `{a,b}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// What the person wrote.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = String::deserialize(deserializer)?;
        if written.is_empty() {
            return Err(D::Error::custom("an empty pattern fits nothing"));
        }
        match globset::Glob::new(&written) {
            Ok(_) => Ok(Self(written)),
            Err(error) => Err(D::Error::custom(format!(
                "{written:?} is no pattern: {}; quote special characters like [*] or write the plain name",
                error.kind()
            ))),
        }
    }
}

/// A span of time in words, as a flag takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    written: String,
    span: Duration,
}

impl Span {
    /// How long.
    pub fn span(&self) -> Duration {
        self.span
    }

    /// What the person wrote.
    pub fn written(&self) -> &str {
        &self.written
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = String::deserialize(deserializer)?;
        let span = humantime::parse_duration(&written).map_err(|_| {
            D::Error::custom(format!(
                "{written:?} is no span of time; write for example 500ms, 2s, 1m30s"
            ))
        })?;
        Ok(Self { written, span })
    }
}

/// A time between two looks: from 250 ms to an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval(Span);

impl Interval {
    /// How long.
    pub fn span(&self) -> Duration {
        self.0.span
    }

    /// What the person wrote.
    pub fn written(&self) -> &str {
        &self.0.written
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let span = Span::deserialize(deserializer)?;
        if span.span < Duration::from_millis(250) {
            return Err(D::Error::custom(
                "looks come at most every 250ms; write 250ms or more, for example 2s",
            ));
        }
        if span.span > Duration::from_secs(3600) {
            return Err(D::Error::custom("an hour between two looks is the most"));
        }
        Ok(Self(span))
    }
}

#[cfg(test)]
mod schema {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    use super::{Glob, Interval, Span, Text};

    macro_rules! text {
        ($kind:ty, $name:literal, $description:literal) => {
            impl JsonSchema for $kind {
                fn schema_name() -> Cow<'static, str> {
                    $name.into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!({ "type": "string", "minLength": 1, "description": $description })
                }
            }
        };
    }

    text!(
        Text,
        "Text",
        "A text in which ${NAME} stands for a variable of the environment."
    );
    text!(
        Glob,
        "Glob",
        "A name, or a pattern for names with *, ?, [...] and {a,b}."
    );
    text!(
        Span,
        "Span",
        "A span of time with its unit: 500ms, 2s, 1m30s, 24h."
    );
    text!(
        Interval,
        "Interval",
        "A span of time from 250ms to 1h, with its unit: 500ms, 2s."
    );
}
