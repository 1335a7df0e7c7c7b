//! Reads what processes wrote: the kept lines by REST, the lines to come by WebSocket.
//!
//! The server keeps the last lines of each process, without times and without saying which stream they came from. It
//! loses the newest lines of a long tail on the WebSocket, and it counts its REST pages in two ways, depending on its
//! version. So what is kept is always read by REST, and a socket is asked for a short tail only, which [`Seam`] lays
//! over what was read before.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use hyper::StatusCode;
use hyper::header::HeaderName;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use tokio_websockets::{ClientBuilder, Error as SocketError, Limits, Message, WebSocketStream};

use super::client::{Client, percent_encoded};
use super::connect::Pipe;
use super::error::{ClientError, Kind, clean};
use super::settings::TOKEN_HEADER;
use super::wire::DecodeError;

/// The tail a socket is asked for, in lines; beyond 256 the server loses the newest.
pub const OVERLAP: usize = 200;
/// More lines than any server keeps, but a number that every server reads.
pub const ALL: usize = 1_000_000;
/// The longest frame that is read, in bytes.
const FRAME_LIMIT: usize = 4 * 1024 * 1024;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// What comes within this time after the last line of a socket's beginning belongs to its tail,
const QUIET: Duration = Duration::from_millis(50);
/// but no longer than this.
const BUSY: Duration = Duration::from_millis(300);
/// How long the lines that must come may take.
const SLOW: Duration = Duration::from_secs(2);

/// A socket on which the lines of one process come.
pub struct LogSocket(WebSocketStream<Box<dyn Pipe>>);

impl std::fmt::Debug for LogSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogSocket").finish_non_exhaustive()
    }
}

impl Client {
    /// The last lines that are kept of a process, `None` for all of them; nothing where the server does not know the
    /// name. `from_end` says how this server counts, see [`super::server::Server::pages_logs_from_end`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn kept_lines(
        &self,
        name: &str,
        tail: Option<usize>,
        from_end: bool,
    ) -> Result<Option<Vec<String>>, ClientError> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(default)]
            logs: Option<Vec<String>>,
        }
        if tail == Some(0) || name.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let tail = tail.unwrap_or(ALL).min(ALL);
        let page = if from_end {
            format!("0/{tail}")
        } else {
            format!("{tail}/0")
        };
        let path = format!("/process/logs/{}/{page}", percent_encoded(name));
        let answer = self.get(&path).await?;
        if answer.status == StatusCode::BAD_REQUEST {
            return Ok(None);
        }
        self.expect_ok(&answer)?;
        let page: Page = serde_json::from_slice(&answer.bytes)
            .map_err(|error| self.undecodable(DecodeError::of(&answer.bytes, error)))?;
        Ok(Some(page.logs.unwrap_or_default()))
    }

    /// Opens a socket on which the last [`OVERLAP`] lines of a process come, and then whatever it writes. The server
    /// says nothing to a name it does not know, so that must be asked before.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn follow_lines(&self, name: &str) -> Result<LogSocket, ClientError> {
        let endpoint = self.connector().endpoint();
        let broken = |found: String| ClientError::new(Kind::Truncated, endpoint, found);
        let pipe = self.connector().connect().await?;
        let uri = format!(
            "ws://{}{}/process/logs/ws?name={}&offset={OVERLAP}&follow=true",
            endpoint.authority(),
            endpoint.prefix(),
            percent_encoded(name)
        );
        let odd = |_| broken("its address makes no WebSocket URL".into());
        let mut builder = ClientBuilder::new()
            .uri(&uri)
            .map_err(odd)?
            .limits(Limits::default().max_payload_len(Some(FRAME_LIMIT)));
        if let Some(token) = self.token().current() {
            let named = builder.add_header(HeaderName::from_static(TOKEN_HEADER), token);
            builder = named.map_err(|error| broken(clean(&error.to_string(), 200)))?;
        }
        match tokio::time::timeout(HANDSHAKE, builder.connect_on(pipe)).await {
            Ok(Ok((socket, _))) => Ok(LogSocket(socket)),
            Ok(Err(error)) => Err(self.no_socket(&error)),
            Err(_) => Err(ClientError::new(
                Kind::Timeout,
                endpoint,
                "no answer to the handshake of a log",
            )),
        }
    }

    fn no_socket(&self, error: &SocketError) -> ClientError {
        use tokio_websockets::upgrade::Error as Upgrade;
        let status = match error {
            SocketError::Upgrade(Upgrade::DidNotSwitchProtocols(status)) => Some(*status),
            _ => None,
        };
        let kind = match status {
            Some(401) => Kind::Unauthorized,
            Some(403) => Kind::Forbidden,
            Some(404) => Kind::NotProcessCompose,
            _ => Kind::Truncated,
        };
        let found = match status {
            Some(status) => format!("it does not let us follow a log ({status})"),
            None => clean(&error.to_string(), 200),
        };
        ClientError::new(kind, self.connector().endpoint(), found)
    }
}

impl LogSocket {
    /// The tail a socket begins with: what comes at once, at most [`OVERLAP`] lines; for `expected` of them it is waited a
    /// little. What comes later is not lost, it is the next line.
    ///
    /// # Cancel safety
    /// Lines may be lost; open another socket.
    pub async fn tail(&mut self, expected: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let (slow, mut busy) = (Instant::now() + SLOW, None);
        while lines.len() < OVERLAP {
            let now = Instant::now();
            let end = if lines.len() < expected {
                slow
            } else {
                // A process that writes all the time is never quiet.
                (now + QUIET).min(*busy.get_or_insert(now + BUSY))
            };
            match timeout_at(end, self.next()).await {
                Ok(Some(line)) => lines.push(line),
                Ok(None) | Err(_) => break,
            }
        }
        lines
    }

    /// The next line; `None` where the socket is closed, which is how every log ends.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let message = self.0.next().await?.ok()?;
            if let Some(line) = line(&message) {
                return Some(line);
            }
        }
    }
}

/// The line of a frame; older servers end with a frame that holds nothing, not even a name.
fn line(message: &Message) -> Option<String> {
    #[derive(Deserialize)]
    struct Frame {
        message: String,
        #[serde(default)]
        process_name: String,
    }
    let frame: Frame = serde_json::from_str(message.as_text()?).ok()?;
    (!frame.process_name.is_empty() || !frame.message.is_empty()).then_some(frame.message)
}

/// No line begins with a time of its own, so nobody knows when they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "process-compose keeps no times with the lines, and none of these begins with one of its own"
)]
pub struct NoTimes;

/// The first of these lines that was written at `since` or later, by the times the lines begin with (RFC 3339); lines
/// without one belong to the one before.
///
/// # Errors
/// [`NoTimes`]; trying again does not help.
pub fn first_since(lines: &[String], since: DateTime<Utc>) -> Result<usize, NoTimes> {
    if lines.is_empty() {
        return Ok(0);
    }
    let mut times = lines.iter().map(|line| own_time(line)).enumerate();
    let mut found = false;
    for (at, time) in times.by_ref() {
        found |= time.is_some();
        if time.is_some_and(|time| time >= since) {
            return Ok(at);
        }
    }
    if found { Ok(lines.len()) } else { Err(NoTimes) }
}

/// The time a line begins with.
fn own_time(line: &str) -> Option<DateTime<Utc>> {
    let text = line.trim_start_matches(['[', ' ']);
    let end = text.find([' ', ']', '\t', '|']).unwrap_or(text.len());
    let time = DateTime::parse_from_rfc3339(text.get(..end)?).ok()?;
    Some(time.to_utc())
}

/// What was last shown of a process, so that a tail that is read anew repeats nothing. Lines have no identity: of two
/// runs of equal lines the longer overlap is believed.
#[derive(Debug, Clone, Default)]
pub struct Seam(VecDeque<String>);

impl Seam {
    /// Notes a line that was shown.
    pub fn note(&mut self, line: &str) {
        if self.0.len() == OVERLAP {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }

    /// How many lines it remembers, which a fresh tail of the same log has too.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was shown yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many lines at the beginning of a fresh tail were shown already. Of a log that was begun anew it remembers
    /// nothing of the former one.
    pub fn lay_over(&mut self, fresh: &[String]) -> usize {
        // Only such a one holds less than was shown of it.
        if fresh.len() < self.0.len() {
            self.0.clear();
            return 0;
        }
        let most = self.0.len().min(fresh.len());
        let fits = |count: &usize| {
            let shown = self.0.iter().skip(self.0.len() - count);
            shown.eq(fresh[..*count].iter())
        };
        (1..=most).rev().find(fits).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn seam(text: &str) -> Seam {
        let mut seam = Seam::default();
        for line in lines(text) {
            seam.note(&line);
        }
        seam
    }

    #[test]
    fn a_fresh_tail_repeats_nothing_and_loses_nothing() {
        for (shown, fresh, wanted) in [
            ("", "a b", 0),
            ("a b", "a b", 2),
            ("a b", "a b c", 2),
            ("a b c d", "c d e f g", 2),
            ("a b", "x y z", 0),
            ("s c s c", "s c s c s", 4),
            ("s s s", "s s s s", 3),
        ] {
            let found = seam(shown).lay_over(&lines(fresh));
            assert_eq!(found, wanted, "{shown} | {fresh}");
        }
    }

    #[test]
    fn a_log_that_was_begun_anew_is_shown_from_its_beginning() {
        let mut seam = seam("start ready work");
        assert_eq!(seam.lay_over(&lines("start ready")), 0);
        for line in lines("start ready") {
            seam.note(&line);
        }
        assert_eq!(seam.lay_over(&lines("start ready")), 2, "and only once");
    }

    #[test]
    fn only_the_last_lines_are_remembered() {
        let mut seam = Seam::default();
        for number in 0..1000 {
            seam.note(&number.to_string());
        }
        let fresh: Vec<String> = (805..1005).map(|number| number.to_string()).collect();
        assert_eq!((seam.0.len(), seam.lay_over(&fresh)), (OVERLAP, 195));
    }

    #[test]
    fn lines_know_their_time_only_where_they_say_it_themselves() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let since = at("2026-08-20T10:00:00Z");
        let timed = [
            "2026-08-20T09:59:59.9Z old",
            "  at x.rs",
            "[2026-08-20T12:00:00+02:00] new",
            "more",
        ];
        let timed = timed.map(str::to_owned);
        assert_eq!(first_since(&timed, since), Ok(2));
        assert_eq!(first_since(&timed, at("2026-08-21T00:00:00Z")), Ok(4));
        assert_eq!(first_since(&timed, at("2020-01-01T00:00:00Z")), Ok(0));
        assert_eq!(first_since(&lines("a b"), since), Err(NoTimes));
        assert_eq!(first_since(&[], since), Ok(0));
    }

    #[test]
    fn a_frame_is_a_line_and_the_empty_one_at_the_end_is_none() {
        let frame = |text: &str| line(&Message::text(text.to_owned()));
        assert_eq!(
            frame(r#"{"message":"","process_name":"a"}"#),
            Some(String::new())
        );
        assert_eq!(frame(r#"{"message":"","process_name":""}"#), None);
        assert_eq!(frame("nonsense"), None);
    }
}
