//! The card: what runs now, where, and how to get in. And the token, which shows itself to nobody.

use std::fmt;
use std::io::{self, Read};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The broker's password. It has no `Display` and its `Debug` says nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Draws 128 random bits.
    pub(super) fn draw() -> io::Result<Self> {
        // Other users of this machine reach the port, so the token has to be unguessable; the crate's other
        // dice are quick, not secret.
        let mut bits = [0; 16];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut bits)?;
        Ok(Self(format!("{:032x}", u128::from_be_bytes(bits))))
    }

    /// The secret itself, for a connection or a configuration file and for nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// What `server.json` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Card {
    /// Process id of the server.
    pub(super) pid: u32,
    /// Process id of its warden.
    pub(super) warden: u32,
    /// Address without secrets, `nats://127.0.0.1:PORT`.
    pub(super) url: String,
    pub(super) token: Token,
    /// The name the server greets with, drawn anew for each start.
    pub(super) name: String,
    pub(super) version: String,
    pub(super) started: DateTime<Utc>,
}

impl Card {
    /// The port in the address.
    pub(super) fn port(&self) -> Option<u16> {
        self.url.rsplit(':').next()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_32_hex_digits_and_no_two_are_the_same() {
        let (one, two) = (Token::draw().unwrap(), Token::draw().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.reveal().len(), 32);
        assert!(one.reveal().bytes().all(|b| b.is_ascii_hexdigit()));
    }

    #[test]
    fn no_debug_output_shows_the_token() {
        let token = Token::draw().unwrap();
        let card = Card {
            pid: 1,
            warden: 2,
            url: "nats://127.0.0.1:4".into(),
            token: token.clone(),
            name: "n".into(),
            version: "2.15.1".into(),
            started: DateTime::UNIX_EPOCH,
        };
        for shown in [
            format!("{token:?}"),
            format!("{card:?}"),
            format!("{card:#?}"),
        ] {
            assert!(!shown.contains(token.reveal()), "{shown}");
        }
    }
}
