//! Asks one process-compose, over one kept connection.
//!
//! The connection is held by hand, without a pool and without a task of its own: it moves only while a question is
//! under way. So we always know whether an answer came over a connection that is new, after which the server may be
//! another one; and there is never more than one question under way.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, DATE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use serde::Deserialize as _;
use tokio::sync::Mutex;

use super::connect::Connector;
use super::error::{ClientError, Kind, clean};
use super::exchange::{Kept, Problem};
use super::info::{ProcessInfo, ProjectState, decode_project_name};
use super::settings::{Limits, Settings, SettingsError, TOKEN_HEADER, TokenReader};
use super::wire::{DecodeError, WireRow};

/// The client of one process-compose. Questions wait for each other.
pub struct Client {
    connector: Arc<Connector>,
    token: Arc<TokenReader>,
    pub(super) limits: Limits,
    line: Mutex<Line>,
}

/// The kept connection and what is remembered about it.
#[derive(Default)]
struct Line {
    kept: Option<Kept>,
    /// Connections made so far; the number of the newest one.
    made: u64,
    /// The connection the last table came over.
    last_table: u64,
    /// Length of the last table, so that the next one is read without growing.
    last_len: usize,
}

/// The undecoded answer to `GET /processes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The bytes as they came.
    pub bytes: Vec<u8>,
    /// The number of the connection they came over: 1, 2, 3 …
    pub connection: u64,
    /// Whether no table came over this connection before: the server may be another one than the last time. It is
    /// true only once for a connection, whatever becomes of these bytes; whoever may have to drop them compares
    /// `connection` with that of [`Client::project_state`].
    pub connection_is_new: bool,
}

/// An answer of any status, read whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Vec<u8>,
    pub(super) connection: u64,
}

impl Client {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// [`SettingsError`] where the token cannot be read or sent.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            connector: Arc::new(Connector::new(
                settings.endpoint.clone(),
                settings.limits.connect,
            )),
            token: Arc::new(TokenReader::new(settings.token.clone())?),
            limits: settings.limits,
            line: Mutex::new(Line::default()),
        })
    }

    /// Where it asks; safe to show.
    pub fn place(&self) -> String {
        self.connector.endpoint().to_string()
    }

    /// Whether a process-compose is alive there.
    ///
    /// # Errors
    /// [`ClientError`] where it is not, or something else answers.
    /// # Cancel safety
    /// Dropping the future drops the connection; nothing else is lost. So it is with every question.
    pub async fn live(&self) -> Result<(), ClientError> {
        #[derive(serde::Deserialize)]
        struct Live {
            status: String,
        }
        let answer = self.get("/live").await?;
        self.expect_ok(&answer)?;
        match serde_json::from_slice::<Live>(&answer.bytes) {
            Ok(live) if live.status == "alive" => Ok(()),
            _ => Err(self.stranger(&answer)),
        }
    }

    /// The table of all processes, undecoded.
    ///
    /// # Errors
    /// [`ClientError`]; a 400 while a rename is under way is a [`Kind::ServerError`] that passes.
    pub async fn processes(&self) -> Result<Body, ClientError> {
        let mut line = self.line.lock().await;
        let room = line.last_len + line.last_len / 8;
        let answer = self.ask(&mut line, "/processes", room).await?;
        self.expect_ok(&answer)?;
        line.last_len = answer.bytes.len();
        let connection_is_new = line.last_table != answer.connection;
        line.last_table = answer.connection;
        Ok(Body {
            bytes: answer.bytes,
            connection: answer.connection,
            connection_is_new,
        })
    }

    /// The project's state and the number of the connection it came over; nothing where the server has no such route
    /// (before v0.75).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn project_state(&self) -> Result<Option<(ProjectState, u64)>, ClientError> {
        let answer = self.get("/project/state").await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.expect_ok(&answer)?;
        let state = ProjectState::decode(&answer.bytes).map_err(|error| self.undecodable(error))?;
        Ok(Some((state, answer.connection)))
    }

    /// Name of the project, without its host part, where the server says one.
    pub(super) async fn project_name(&self) -> Option<String> {
        let answer = self.get("/project/name").await.ok()?;
        self.expect_ok(&answer).ok()?;
        decode_project_name(&answer.bytes)
    }

    /// One process; nothing where the server does not know the name or cannot be asked for it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn process(&self, name: &str) -> Result<Option<WireRow<'static>>, ClientError> {
        let Some(answer) = self.named("/process/", name).await? else {
            return Ok(None);
        };
        WireRow::deserialize(&mut serde_json::Deserializer::from_slice(&answer.bytes))
            .map(|row| Some(row.into_owned()))
            .map_err(|error| self.undecodable(DecodeError::of(&answer.bytes, error)))
    }

    /// The configuration of one process, without command and environment; nothing where the server does not know the
    /// name or cannot be asked for it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn process_info(&self, name: &str) -> Result<Option<ProcessInfo>, ClientError> {
        let Some(answer) = self.named("/process/info/", name).await? else {
            return Ok(None);
        };
        ProcessInfo::decode(&answer.bytes)
            .map(Some)
            .map_err(|error| self.undecodable(error))
    }

    /// Whether the server has a state stream (since v1.110).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn has_state_stream(&self) -> Result<bool, ClientError> {
        let answer = self.get("/process/states/ws").await?;
        match answer.status {
            StatusCode::BAD_REQUEST | StatusCode::UPGRADE_REQUIRED => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => self.expect_ok(&answer).map(|()| false),
        }
    }

    /// The server's clock, cut to whole seconds; nothing where it does not tell the time.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn clock(&self) -> Result<Option<DateTime<Utc>>, ClientError> {
        let answer = self.get("/live").await?;
        let said = answer.headers.get(DATE).and_then(|date| date.to_str().ok());
        Ok(said
            .and_then(|date| DateTime::parse_from_rfc2822(date).ok())
            .map(|date| date.to_utc()))
    }

    /// The failure that an undecodable answer is.
    pub fn undecodable(&self, error: DecodeError) -> ClientError {
        let kind = match error {
            DecodeError::Empty | DecodeError::Truncated(_) => Kind::Truncated,
            DecodeError::Html | DecodeError::OtherJson => Kind::NotProcessCompose,
            DecodeError::ServerError(_) => Kind::ServerError,
            DecodeError::NotJson(_) | DecodeError::NoRow { .. } => Kind::Malformed,
        };
        let failure = ClientError::new(kind, self.connector.endpoint(), error.to_string());
        match error {
            DecodeError::Truncated(source) | DecodeError::NotJson(source) => {
                failure.with_source(source)
            }
            _ => failure,
        }
    }

    pub(super) fn connector(&self) -> &Arc<Connector> {
        &self.connector
    }

    pub(super) fn token(&self) -> &Arc<TokenReader> {
        &self.token
    }

    pub(super) async fn named(
        &self,
        route: &str,
        name: &str,
    ) -> Result<Option<Answer>, ClientError> {
        let path = format!("{route}{}", percent_encoded(name));
        if name.is_empty() || self.uri(&path).is_none() {
            return Ok(None);
        }
        let answer = self.get(&path).await?;
        match answer.status {
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => return Ok(None),
            // a name of dots, taken for a way through folders
            status if status.is_redirection() => return Ok(None),
            _ => {}
        }
        self.expect_ok(&answer)?;
        Ok(Some(answer))
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, ClientError> {
        let mut line = self.line.lock().await;
        self.ask(&mut line, path, 0).await
    }

    /// Asks over the kept connection, and once more over a new one where the kept one turns out to be closed.
    async fn ask(&self, line: &mut Line, path: &str, room: usize) -> Result<Answer, ClientError> {
        if let Some(kept) = line.kept.take() {
            match self.limited(line, kept, path, room).await {
                Err(Problem::NoAnswer(_)) => {}
                outcome => return outcome.map_err(|problem| self.broken(problem)),
            }
        }
        let kept = self.open().await?;
        line.made += 1;
        self.limited(line, kept, path, room)
            .await
            .map_err(|problem| self.broken(problem))
    }

    async fn open(&self) -> Result<Kept, ClientError> {
        let pipe = self.connector.connect().await?;
        Kept::new(pipe)
            .await
            .map_err(|problem| self.broken(problem))
    }

    async fn limited(
        &self,
        line: &mut Line,
        mut kept: Kept,
        path: &str,
        room: usize,
    ) -> Result<Answer, Problem> {
        let request = self.request(Method::GET, path);
        let exchange = kept.exchange(request, self.limits.body, room);
        let (head, bytes) = match tokio::time::timeout(self.limits.read, exchange).await {
            Ok(result) => result?,
            Err(_) => return Err(Problem::Late),
        };
        if kept.is_usable() {
            line.kept = Some(kept);
        }
        let (parts, ()) = head.into_parts();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            bytes,
            connection: line.made,
        })
    }

    /// The path below the endpoint's prefix; nothing where it is too long for a request.
    fn uri(&self, path: &str) -> Option<Uri> {
        format!("{}{path}", self.connector.endpoint().prefix())
            .parse()
            .ok()
    }

    pub(super) fn request(&self, method: Method, path: &str) -> Request<Empty<Bytes>> {
        let endpoint = self.connector.endpoint();
        let mut request = Request::new(Empty::new());
        *request.method_mut() = method;
        *request.uri_mut() = self.uri(path).unwrap_or_default();
        let headers = request.headers_mut();
        if let Ok(host) = endpoint.authority().parse() {
            headers.insert(HOST, host);
        }
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("observe/", env!("CARGO_PKG_VERSION"))),
        );
        if let Some(token) = self.token.current() {
            headers.insert(TOKEN_HEADER, token);
        }
        request
    }

    pub(super) fn broken(&self, problem: Problem) -> ClientError {
        let place = self.connector.endpoint();
        match problem {
            Problem::NoAnswer(error) | Problem::Broken(error) if error.is_parse() => {
                ClientError::new(
                    Kind::NotProcessCompose,
                    place,
                    "what answers there does not speak HTTP",
                )
                .with_source(error)
            }
            Problem::NoAnswer(error) => ClientError::new(
                Kind::Truncated,
                place,
                "it closed the connection before it answered",
            )
            .with_source(error),
            Problem::Broken(error) => {
                ClientError::new(Kind::Truncated, place, "its answer broke off in the middle")
                    .with_source(error)
            }
            Problem::TooLarge => {
                let limit = self.limits.body / (1024 * 1024);
                ClientError::new(
                    Kind::TooLarge,
                    place,
                    format!("its answer is larger than {limit} MiB"),
                )
            }
            Problem::Late => {
                let limit = humantime::format_duration(self.limits.read);
                ClientError::new(
                    Kind::Timeout,
                    place,
                    format!("no whole answer within {limit}"),
                )
            }
        }
    }

    /// Turns every answer but a 200 in JSON into a failure.
    pub(super) fn expect_ok(&self, answer: &Answer) -> Result<(), ClientError> {
        let fail =
            |kind, found: &str| Err(ClientError::new(kind, self.connector.endpoint(), found));
        match answer.status {
            StatusCode::UNAUTHORIZED => fail(
                Kind::Unauthorized,
                "it wants a token, and ours is missing or wrong (401)",
            ),
            StatusCode::FORBIDDEN => fail(Kind::Forbidden, "access is forbidden (403)"),
            StatusCode::OK if !answer.is_html() => Ok(()),
            StatusCode::OK | StatusCode::NOT_FOUND => Err(self.stranger(answer)),
            status if status.is_redirection() => Err(self.stranger(answer)),
            status if answer.is_html() && !status.is_server_error() => Err(self.stranger(answer)),
            status => match answer.error_text() {
                Some(text) => fail(
                    Kind::ServerError,
                    &format!("it answers {}: {text}", status.as_u16()),
                ),
                None => fail(
                    Kind::ServerError,
                    &format!("it answers {}", status.as_u16()),
                ),
            },
        }
    }

    fn stranger(&self, answer: &Answer) -> ClientError {
        let status = answer.status.as_u16();
        let found = if answer.is_html() {
            format!("a web page answers there ({status}), not a process-compose")
        } else if answer.status.is_redirection() {
            format!("a server that redirects answers there ({status}), not a process-compose")
        } else {
            format!("a server answers there ({status}) that is no process-compose")
        };
        ClientError::new(Kind::NotProcessCompose, self.connector.endpoint(), found)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", self.connector.endpoint())
            .finish_non_exhaustive()
    }
}

impl Answer {
    pub(super) fn is_html(&self) -> bool {
        let named = self
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        named.is_some_and(|kind| kind.starts_with("text/html"))
            || self.bytes.trim_ascii_start().starts_with(b"<")
    }

    pub(super) fn error_text(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Refusal<'a> {
            #[serde(borrow)]
            error: std::borrow::Cow<'a, str>,
        }
        let refusal: Refusal<'_> = serde_json::from_slice(&self.bytes).ok()?;
        Some(clean(&refusal.error, 200))
    }
}

/// A name as one segment of a path or as a value of a query: everything outside the unreserved characters is escaped.
pub(super) fn percent_encoded(name: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // writing into a String cannot fail
            _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests;
