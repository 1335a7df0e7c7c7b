//! What can go wrong with the broker, each in one line that says what to do.

use std::fmt;

use crate::event::store::StoreError;

/// Something that waiting does not mend: what was found, what is wanted, and the way from one to the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was found, and where.
    pub found: String,
    /// What is wanted.
    pub wanted: String,
    /// What a person can do.
    pub fix: String,
}

impl Refusal {
    pub(super) fn new(
        found: impl Into<String>,
        wanted: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            found: found.into(),
            wanted: wanted.into(),
            fix: fix.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; wanted: {}; {}", self.found, self.wanted, self.fix)
    }
}

/// Which way out an error leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nobody answers at the address; trying again later helps when somebody does.
    Unreachable,
    /// The broker, the stream or our rights cannot do it; waiting does not help.
    Refused,
    /// The broker does not know us; waiting does not help.
    Auth,
    /// Nothing happened; trying again helps.
    Busy,
    /// It is not known whether it happened; look before anything else.
    Unknown,
    /// What we were given cannot be used; waiting does not help.
    Invalid,
}

/// Why something with the broker did not work.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BusError {
    /// Nobody answers.
    #[error("no broker answers at {at}: {why}; observe up starts one, --server names another")]
    Unreachable {
        /// The address, without secrets.
        at: String,
        /// What the attempt said.
        why: String,
    },
    /// The broker does not know us.
    #[error(
        "the broker at {at} does not let us in: {why}; check user, password, token or credentials file"
    )]
    Auth {
        /// The address, without secrets.
        at: String,
        /// What the attempt said.
        why: String,
    },
    /// The broker, the stream or our rights cannot do it.
    #[error("{0}")]
    Refused(Refusal),
    /// The broker has no room for a stream.
    #[error("{0}")]
    NoRoom(Refusal),
    /// There is no such stream.
    #[error("there is no stream {0}; start observe adapter, or choose one by --stream")]
    NoStream(String),
    /// The broker cannot now.
    #[error("the broker is busy: {0}")]
    Busy(String),
    /// No answer.
    #[error("the broker did not answer: {0}")]
    Unknown(String),
    /// What we were given cannot be used.
    #[error("{0}")]
    Invalid(String),
}

impl BusError {
    /// Which way out it leaves.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Unreachable { .. } => Kind::Unreachable,
            Self::Auth { .. } => Kind::Auth,
            Self::Refused(_) | Self::NoRoom(_) => Kind::Refused,
            Self::NoStream(_) | Self::Busy(_) => Kind::Busy,
            Self::Unknown(_) => Kind::Unknown,
            Self::Invalid(_) => Kind::Invalid,
        }
    }

    /// Whether the same may work later without anybody doing anything about it.
    pub fn retry_helps(&self) -> bool {
        matches!(self.kind(), Kind::Unreachable | Kind::Busy | Kind::Unknown)
    }
}

impl From<Refusal> for BusError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<BusError> for StoreError {
    fn from(error: BusError) -> Self {
        match error {
            BusError::Unreachable { .. } => Self::Away,
            BusError::NoStream(_) => Self::NoStream,
            BusError::Busy(why) => Self::Busy(why),
            // At the start a person is there to ask for less. Later on, what filled the broker may go again.
            BusError::NoRoom(refusal) => Self::Busy(refusal.to_string()),
            BusError::Unknown(why) => Self::Unknown(why),
            BusError::Invalid(why) => Self::Invalid(why),
            refused @ (BusError::Auth { .. } | BusError::Refused(_)) => {
                Self::Refused(refused.to_string())
            }
        }
    }
}

/// The longest foreign text that is repeated, in characters.
const SHOWN: usize = 300;

/// Foreign text made fit for one line: no control or direction characters, not longer than a line bears.
pub(super) fn clean(text: &str) -> String {
    let unfit = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .map(|c| if unfit(c) { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_becomes_one_harmless_line() {
        assert_eq!(
            clean("a\nb\u{1b}[2J\u{202e}"),
            "a\u{fffd}b\u{fffd}[2J\u{fffd}"
        );
        assert_eq!(clean(&"x".repeat(1000)).chars().count(), SHOWN + 1);
    }

    #[test]
    fn a_broker_without_room_ends_a_start_but_not_an_adapter_that_runs() {
        let full = BusError::NoRoom(Refusal::new("a", "b", "c"));
        assert_eq!(full.kind(), Kind::Refused);
        assert!(
            matches!(StoreError::from(full), StoreError::Busy(why) if why == "a; wanted: b; c")
        );
    }

    #[test]
    fn every_error_says_whether_waiting_helps() {
        let refusal = Refusal::new("a", "b", "c");
        assert_eq!(
            BusError::from(refusal.clone()).to_string(),
            "a; wanted: b; c"
        );
        assert!(!BusError::from(refusal).retry_helps());
        assert!(BusError::NoStream("S".into()).retry_helps());
        assert!(BusError::Unknown("x".into()).retry_helps());
        assert!(!BusError::Invalid("x".into()).retry_helps());
    }
}
