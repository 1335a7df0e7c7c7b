//! Subjects: how names of any kind become tokens that no name can break out of, and back.
//!
//! NATS checks no wildcard in a published subject and drops the whole connection on a control line near 4 kB, so both
//! must be made impossible here. The escape is `=XX` (upper-case hex) for each byte outside `A-Z a-z 0-9 _ -`: legal in
//! subjects, consumer names, keys and file names alike, readable for ordinary names, and reversible.

use std::fmt;

use super::payload::Kind;

/// Longest token that is written whole, in bytes; a longer one is cut and carries a hash of the full name.
pub const MAX_TOKEN: usize = 255;

const HEX: &[u8; 16] = b"0123456789ABCDEF";
/// Bytes behind the cut: `==` and sixteen hexadecimal digits.
const CUT_MARK: usize = 18;

/// Encodes one name as one subject token of at most [`MAX_TOKEN`] bytes.
pub fn encode_token(name: &str) -> String {
    let mut token = String::with_capacity(name.len());
    push_token(&mut token, name);
    token
}

/// Appends one name as one subject token of at most [`MAX_TOKEN`] bytes to a subject under construction.
pub fn push_token(out: &mut String, name: &str) {
    if name.is_empty() {
        out.push('=');
        return;
    }
    // Nearly all names.
    if name.len() <= MAX_TOKEN && name.bytes().all(stands_for_itself) {
        out.push_str(name);
        return;
    }
    let start = out.len();
    // The last place where the cut may fall: behind a whole escape, with room for the mark.
    let mut cut = start;
    for &byte in name.as_bytes() {
        if stands_for_itself(byte) {
            out.push(char::from(byte));
        } else {
            out.push('=');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
        if out.len() - start <= MAX_TOKEN - CUT_MARK {
            cut = out.len();
        } else if out.len() - start > MAX_TOKEN {
            out.truncate(cut);
            out.push_str("==");
            let hash = fnv1a(name.as_bytes());
            for shift in (0..16).rev() {
                let nibble = usize::try_from((hash >> (4 * shift)) & 15).unwrap_or_default();
                out.push(char::from(HEX[nibble].to_ascii_lowercase()));
            }
            return;
        }
    }
}

/// What a token read from a subject says about the name it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// The whole name.
    Whole(String),
    /// The beginning of a name that was too long; the full name stands in the event's body.
    Cut {
        /// The bytes before the cut, with anything that is not UTF-8 at the very end left out.
        prefix: String,
        /// FNV-1a of the full name.
        hash: u64,
    },
}

/// Whether a byte of a name stands in its token as it is.
fn stands_for_itself(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Decodes one token; `None` when the text is no token that [`encode_token`] can have written.
pub fn decode_token(token: &str) -> Option<Token> {
    if token == "=" {
        return Some(Token::Whole(String::new()));
    }
    if token.is_empty() || token.len() > MAX_TOKEN {
        return None;
    }
    if let Some(at) = token.find("==") {
        let digits = &token[at + 2..];
        let lower = digits
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if digits.len() != 16 || !lower {
            return None;
        }
        let bytes = unescape(&token[..at])?;
        let whole = match std::str::from_utf8(&bytes) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return None,
        };
        let prefix = String::from_utf8(bytes[..whole].to_vec()).ok()?;
        return Some(Token::Cut {
            prefix,
            hash: u64::from_str_radix(digits, 16).ok()?,
        });
    }
    String::from_utf8(unescape(token)?).ok().map(Token::Whole)
}

fn unescape(token: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'=' {
            let [high, low, after @ ..] = tail else {
                return None;
            };
            let byte = (nibble(*high)? << 4) | nibble(*low)?;
            // One spelling per name: what needs no escape has none.
            if stands_for_itself(byte) {
                return None;
            }
            bytes.push(byte);
            rest = after;
        } else if stands_for_itself(*first) {
            bytes.push(*first);
            rest = tail;
        } else {
            return None;
        }
    }
    Some(bytes)
}

fn nibble(byte: u8) -> Option<u8> {
    HEX.iter()
        .position(|&h| h == byte)
        .and_then(|at| u8::try_from(at).ok())
}

/// FNV-1a, 64 bit, as its authors publish it (offset basis 14695981039346656037, prime 1099511628211): a hash that any
/// language has in five lines, because consumers may want to check a cut token.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Encodes what a person wrote as one token of a subject filter: a bare `*` stays a wildcard, everything else is a name.
pub fn encode_filter_token(text: &str) -> String {
    if text == "*" {
        "*".to_owned()
    } else {
        encode_token(text)
    }
}

/// The first tokens of every subject: `core`, unless rights are given per machine (`edge.web1`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prefix(String);

/// Why a text is no subject prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// A token between two dots is empty.
    #[error("a subject prefix has no empty token; write something like core or edge.web1")]
    EmptyToken,
    /// A token holds a byte that subjects reserve.
    #[error(
        "a subject prefix consists of letters, digits, '_' and '-' between dots; {{source}} and {{host}} are replaced"
    )]
    BadByte,
    /// The whole prefix would leave too little room for names.
    #[error("a subject prefix has at most 128 bytes")]
    TooLong,
    /// The prefix begins with a token that the server keeps for itself.
    #[error("subjects that begin with '$' belong to the server")]
    Reserved,
}

impl Prefix {
    /// Checks a prefix for writing; `{source}` and `{host}` are replaced by these names, encoded.
    ///
    /// # Errors
    ///
    /// Says which rule the text breaks; trying again does not help.
    pub fn for_writing(text: &str, source: &str, host: &str) -> Result<Self, PrefixError> {
        let text = text
            .replace("{source}", &encode_token(source))
            .replace("{host}", &encode_token(host));
        Self::check(&text, false)
    }

    /// Checks a prefix for reading, where `*` may stand for a token.
    ///
    /// # Errors
    ///
    /// Says which rule the text breaks; trying again does not help.
    pub fn for_reading(text: &str) -> Result<Self, PrefixError> {
        Self::check(&text.replace("{source}", "*").replace("{host}", "*"), true)
    }

    fn check(text: &str, wildcards: bool) -> Result<Self, PrefixError> {
        if text.starts_with('$') {
            return Err(PrefixError::Reserved);
        }
        if text.len() > 128 {
            return Err(PrefixError::TooLong);
        }
        for token in text.split('.') {
            if token.is_empty() {
                return Err(PrefixError::EmptyToken);
            }
            let plain = token
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'='));
            let wild = wildcards && token == "*";
            if !(plain || wild) {
                return Err(PrefixError::BadByte);
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The prefix as it stands in a subject, without a dot at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many tokens the prefix has.
    pub fn tokens(&self) -> usize {
        self.0.split('.').count()
    }

    /// The subject of a process event.
    pub fn process_event(&self, namespace: &str, process: &str, kind: &Kind) -> String {
        let (word, names) = (kind.as_str(), namespace.len() + process.len());
        let mut subject = String::with_capacity(self.0.len() + names + word.len() + 11);
        subject.push_str(&self.0);
        subject.push_str(".process.");
        push_token(&mut subject, namespace);
        subject.push('.');
        push_token(&mut subject, process);
        subject.push('.');
        push_token(&mut subject, word);
        subject
    }

    /// The subjects of all events of one process.
    pub fn events_of(&self, namespace: &str, process: &str) -> String {
        let mut subject = format!("{}.process.", self.0);
        push_token(&mut subject, namespace);
        subject.push('.');
        push_token(&mut subject, process);
        subject.push_str(".*");
        subject
    }

    /// The subject of an event about the source itself.
    pub fn source_event(&self, source: &str, kind: &Kind) -> String {
        let mut subject = format!("{}.source.", self.0);
        push_token(&mut subject, source);
        subject.push('.');
        push_token(&mut subject, kind.as_str());
        subject
    }

    /// The subject of the root of a source's head.
    pub fn head_root(&self, source: &str) -> String {
        let mut subject = format!("{}.head.", self.0);
        push_token(&mut subject, source);
        subject
    }

    /// The subject of one shard of a source's head.
    pub fn head_shard(&self, source: &str, shard: u32) -> String {
        format!("{}.{shard}", self.head_root(source))
    }

    /// The subject on which the adapters of a source are asked to do something.
    pub fn control(&self, source: &str) -> String {
        let mut subject = format!("{}.control.", self.0);
        push_token(&mut subject, source);
        subject.push_str(".adapter");
        subject
    }

    /// The subjects a stream of this prefix must take: process events, source events, heads.
    pub fn stream_subjects(&self) -> [String; 3] {
        ["process", "source", "head"].map(|root| format!("{}.{root}.>", self.0))
    }

    /// The prefix under which the root of a source's head was written.
    ///
    /// # Errors
    ///
    /// The subject is that of no head.
    pub fn of_head(subject: &str) -> Result<Self, PrefixError> {
        let mut parts = subject.rsplitn(3, '.');
        let (_source, head, prefix) = (parts.next(), parts.next(), parts.next());
        match (head, prefix) {
            (Some("head"), Some(prefix)) => Self::check(prefix, false),
            _ => Err(PrefixError::EmptyToken),
        }
    }

    /// The filter that every process event matches.
    pub fn all_process_events(&self) -> String {
        format!("{}.process.>", self.0)
    }

    /// The filter that every event about a source matches.
    pub fn all_source_events(&self) -> String {
        format!("{}.source.>", self.0)
    }

    /// The filter that every root of a head matches, but no shard.
    pub fn all_head_roots(&self) -> String {
        format!("{}.head.*", self.0)
    }

    /// Where the server publishes process events again after they were stored.
    pub fn live_process_events(&self) -> String {
        format!("{}.live.process.>", self.0)
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("core".to_owned())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
