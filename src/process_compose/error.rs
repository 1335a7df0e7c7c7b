//! What can go wrong when a process-compose is asked, in words a person can act on.

use std::error::Error;
use std::fmt;
use std::io;

/// The kinds of failure, for whoever must choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Nobody listens there, or the socket does not exist; passes when the stack is started.
    Refused,
    /// The host cannot be found or reached, the socket may not be opened, or TLS failed.
    Unreachable,
    /// No answer in time; may pass.
    Timeout,
    /// 401: the token is missing or wrong; trying again does not help.
    Unauthorized,
    /// 403: somebody between us and the server says no; trying again does not help.
    Forbidden,
    /// Something answers that is no process-compose.
    NotProcessCompose,
    /// The server answers with an error of its own; may pass.
    ServerError,
    /// The answer is larger than the limit.
    TooLarge,
    /// The answer ends before its end; may pass.
    Truncated,
    /// The answer is no JSON, or JSON of another shape.
    Malformed,
    /// A process-compose of another project answers than before; passes when the first one is back.
    OtherProject,
}

impl Kind {
    /// The short word for it on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotProcessCompose => "not_process_compose",
            Self::ServerError => "server_error",
            Self::TooLarge => "too_large",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::OtherProject => "other_project",
        }
    }

    /// Whether looking again cannot help.
    pub fn is_fatal(self) -> bool {
        matches!(self, Self::Unauthorized | Self::Forbidden)
    }

    fn advice(self) -> &'static str {
        match self {
            Self::Refused => {
                "start the stack, or name its address with --port, --address, --unix-socket or --url"
            }
            Self::Unreachable => "check the address, the network and the rights on the socket",
            Self::Timeout => {
                "is the server overloaded or stopped, or is it another kind of server?"
            }
            Self::Unauthorized => "give its token with --token-file or PC_API_TOKEN",
            Self::Forbidden => "ask whoever runs the proxy in front of it",
            Self::NotProcessCompose => {
                "name the address of process-compose with --port, --address, --unix-socket or --url"
            }
            Self::ServerError => "its own log says more",
            Self::TooLarge => "is this process-compose? Nothing of it was used",
            Self::Truncated | Self::Malformed => "nothing of it was used",
            Self::OtherProject => {
                "nothing is told of it; watch it under a name of its own with --source"
            }
        }
    }
}

/// A question that got no usable answer: what was found, where, and what to do.
#[derive(Debug)]
pub struct ClientError {
    kind: Kind,
    place: String,
    found: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ClientError {
    /// A failure of `kind` at `place`; `found` is a lowercase fragment that is already safe to show.
    pub(super) fn new(kind: Kind, place: &impl fmt::Display, found: impl Into<String>) -> Self {
        Self {
            kind,
            place: place.to_string(),
            found: found.into(),
            source: None,
        }
    }

    pub(super) fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Which kind of failure it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether looking again cannot help.
    pub fn is_fatal(&self) -> bool {
        self.kind.is_fatal()
    }

    /// What was found, without place and advice.
    pub fn found(&self) -> &str {
        &self.found
    }

    /// What a person can do about it.
    pub fn advice(&self) -> &'static str {
        self.kind.advice()
    }

    /// A connection that could not be made.
    pub(super) fn from_connect(
        place: &impl fmt::Display,
        is_socket: bool,
        error: io::Error,
    ) -> Self {
        let (kind, found) = match error.kind() {
            io::ErrorKind::ConnectionRefused if is_socket => (
                Kind::Refused,
                "the socket file was left behind, nobody answers there",
            ),
            io::ErrorKind::ConnectionRefused => {
                (Kind::Refused, "connection refused, nobody listens there")
            }
            io::ErrorKind::NotFound if is_socket => (Kind::Refused, "there is no such socket"),
            io::ErrorKind::PermissionDenied => (Kind::Unreachable, "no permission to connect"),
            io::ErrorKind::TimedOut => (Kind::Timeout, "no connection in time"),
            _ => {
                // the system's words are all there is to say, so they are told and not kept as a source as well
                let found = format!("cannot connect: {}", clean(&error.to_string(), 200));
                return Self::new(Kind::Unreachable, place, found);
            }
        };
        Self::new(kind, place, found).with_source(error)
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.found, self.kind.advice())
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| &**source as &(dyn Error + 'static))
    }
}

/// Makes foreign text fit for one line: control, format and bidirectional characters become `?`, runs of white space one
/// space, and at most `limit` characters remain.
pub fn clean(text: &str, limit: usize) -> String {
    let mut out = String::new();
    let mut left = limit;
    let mut space = false;
    for character in text.trim().chars() {
        if character.is_whitespace() {
            space = true;
            continue;
        }
        if left == 0 {
            out.push('…');
            return out;
        }
        if std::mem::take(&mut space) && !out.is_empty() {
            out.push(' ');
            left = left.saturating_sub(1);
        }
        out.push(if is_tricky(character) { '?' } else { character });
        left = left.saturating_sub(1);
    }
    out
}

fn is_tricky(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_fits_on_one_line_and_moves_no_cursor() {
        assert_eq!(clean("a\n\tb  c", 10), "a b c");
        assert_eq!(clean("\u{1b}[31mred\u{202e}", 20), "?[31mred?");
        assert_eq!(clean("abcdef", 3), "abc…");
        assert_eq!(clean("abc", 3), "abc");
    }

    #[test]
    fn an_error_says_what_was_found_where_and_what_to_do() {
        let gone = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = ClientError::from_connect(&"/tmp/x.sock", true, gone);
        assert_eq!(error.kind(), Kind::Refused);
        let text = error.to_string();
        assert!(
            text.starts_with("/tmp/x.sock: the socket file was left behind"),
            "{text}"
        );
        assert!(text.contains("start the stack"), "{text}");
        assert!(error.source().is_some());
    }

    #[test]
    fn only_a_missing_permission_ends_the_watch() {
        assert!(Kind::Unauthorized.is_fatal() && Kind::Forbidden.is_fatal());
        assert!(!Kind::Refused.is_fatal() && !Kind::NotProcessCompose.is_fatal());
    }
}
