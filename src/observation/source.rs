//! What is looked at, and who says so.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;

/// The longest name of a source, in bytes.
const LONGEST: usize = 100;

/// The name of a source: 1 to 100 bytes of `A-Z a-z 0-9 _ . -`, not starting with `.` or `-`.
///
/// It is checked because it becomes part of message ids, of file names and of command lines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(Arc<str>);

impl SourceId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SourceId {
    type Err = SourceIdError;

    fn from_str(text: &str) -> Result<Self, SourceIdError> {
        if text.is_empty() {
            return Err(SourceIdError::Empty);
        }
        if text.len() > LONGEST {
            return Err(SourceIdError::TooLong { bytes: text.len() });
        }
        if text.starts_with(['.', '-']) {
            return Err(SourceIdError::BadStart);
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        match text.bytes().position(|byte| !allowed(byte)) {
            Some(at) => Err(SourceIdError::BadByte { at: at + 1 }),
            None => Ok(Self(Arc::from(text))),
        }
    }
}

impl TryFrom<&str> for SourceId {
    type Error = SourceIdError;

    fn try_from(text: &str) -> Result<Self, SourceIdError> {
        text.parse()
    }
}

impl TryFrom<String> for SourceId {
    type Error = SourceIdError;

    fn try_from(text: String) -> Result<Self, SourceIdError> {
        text.parse()
    }
}

impl AsRef<str> for SourceId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

/// Why a text is not the name of a source; trying the same text again never helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceIdError {
    /// There is no text.
    #[error("the name of a source is empty")]
    Empty,
    /// There is too much text.
    #[error("the name of a source has {bytes} bytes, at most {LONGEST} are allowed")]
    TooLong {
        /// How long the text is, in bytes.
        bytes: usize,
    },
    /// It would look like an option or a hidden file.
    #[error("the name of a source starts with a dot or a hyphen")]
    BadStart,
    /// A byte outside the allowed ones; it is not repeated here, for it may be anything.
    #[error("byte {at} of a source's name is none of A-Z a-z 0-9 _ . -")]
    BadByte {
        /// Which byte, counted from 1.
        at: usize,
    },
}

/// A named instance of something one can look at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSource<S> {
    /// Its name, unique within its set.
    pub id: SourceId,
    /// What the observer needs in order to look at it.
    pub source: S,
}

impl<S> ObservedSource<S> {
    /// Puts a name and what it names together.
    pub fn new(id: SourceId, source: S) -> Self {
        Self { id, source }
    }
}

/// Knows what there is to look at.
pub trait SourceProvider: Send + Sync + 'static {
    /// What an observer needs in order to look.
    type Source: Clone + Send + Sync + 'static;
    /// Why the set could not be told this time; it is always asked again.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Gives the whole set each time, in any order, never a change of it; an error keeps the former
    /// set. Of two sources with one name the first counts.
    fn sources(
        &self,
    ) -> impl Future<Output = Result<Vec<ObservedSource<Self::Source>>, Self::Error>> + Send;
}

/// A set of sources that never changes.
#[derive(Debug, Clone)]
pub struct FixedSources<S>(Vec<ObservedSource<S>>);

impl<S> FixedSources<S> {
    /// The set of exactly these.
    pub fn new(sources: Vec<ObservedSource<S>>) -> Self {
        Self(sources)
    }

    /// The set of exactly one.
    pub fn one(id: SourceId, source: S) -> Self {
        Self(vec![ObservedSource { id, source }])
    }
}

impl<S: Clone + Send + Sync + 'static> SourceProvider for FixedSources<S> {
    type Source = S;
    type Error = Infallible;

    async fn sources(&self) -> Result<Vec<ObservedSource<S>>, Infallible> {
        Ok(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_allowed_bytes_is_a_source_id() {
        for name in [
            "a",
            "shop",
            "shop-1.example_com",
            "_x",
            "7",
            &"x".repeat(100),
        ] {
            assert_eq!(SourceId::try_from(name).unwrap().to_string(), name);
        }
    }

    #[test]
    fn a_name_that_could_inject_anything_is_refused_with_the_place() {
        let refused = |name: &str| SourceId::try_from(name).unwrap_err();
        assert_eq!(refused(""), SourceIdError::Empty);
        assert_eq!(refused(".hidden"), SourceIdError::BadStart);
        assert_eq!(refused("--option"), SourceIdError::BadStart);
        assert_eq!(
            refused(&"x".repeat(101)),
            SourceIdError::TooLong { bytes: 101 }
        );
        for name in ["ab*", "ab>", "ab c", "ab/c", "ab\n", "abä", "ab\0"] {
            assert_eq!(refused(name), SourceIdError::BadByte { at: 3 }, "{name:?}");
        }
    }
}
