//! How the program ends: the documented exit codes, and errors that know theirs.

use std::fmt;
use std::process::ExitCode;

/// Every way to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Done, condition met, or the reader of our pipe left.
    Done,
    /// Condition not met, or refused.
    Refused,
    /// Bad usage.
    Usage,
    /// The source cannot be reached.
    Source,
    /// The broker or its stream cannot be reached.
    Broker,
    /// The time was up.
    Timeout,
    /// What a command that was run came to.
    Of(u8),
    /// Ended by this signal.
    Signal(u8),
}

impl Exit {
    fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Usage => 2,
            Self::Source => 3,
            Self::Broker => 4,
            Self::Timeout => 124,
            Self::Of(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

/// An error that ends the program, and how.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) error: anyhow::Error,
}

impl Failure {
    pub(super) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: error.into(),
        }
    }

    /// A failure that is its own words.
    pub(super) fn say(exit: Exit, words: impl fmt::Display) -> Self {
        Self {
            exit,
            error: anyhow::anyhow!("{words}"),
        }
    }

    /// The whole chain in one line.
    pub(super) fn line(&self) -> String {
        format!("{:#}", self.error).replace('\n', " ")
    }
}

/// What a command comes to.
pub(super) type Outcome = Result<Exit, Failure>;

/// Gives an error the exit code it ends with.
pub(super) trait OrExit<T> {
    /// Ends with this exit code.
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(exit, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let codes = [
            Exit::Done,
            Exit::Refused,
            Exit::Usage,
            Exit::Source,
            Exit::Broker,
            Exit::Timeout,
            Exit::Of(7),
            Exit::Signal(2),
            Exit::Signal(15),
        ];
        assert_eq!(codes.map(Exit::number), [0, 1, 2, 3, 4, 124, 7, 130, 143]);
    }

    #[test]
    fn a_failure_is_one_line_with_its_causes_once() {
        let error = anyhow::anyhow!("inner\ncause").context("outer");
        assert_eq!(
            Failure {
                exit: Exit::Refused,
                error
            }
            .line(),
            "outer: inner cause"
        );
    }
}
