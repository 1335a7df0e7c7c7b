//! Asks one process-compose to do something, and keeps the intents that account for what follows.
//!
//! Nothing here is tried twice: a request whose answer was lost may have been heard. So each command has a connection of
//! its own, which no earlier question can have left half closed, and its error says whether it may have been done.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use hyper::{Method, StatusCode};

use crate::process::control::{Intent, Intents};

use super::client::{Answer, Client, percent_encoded};
use super::connect::Pipe;
use super::error::{ClientError, Kind};
use super::exchange::Kept;
use super::nudge::Clock;

/// Something to be done to one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// Begin a run of this process.
    Start(&'a str),
    /// End the run of this process.
    Stop(&'a str),
    /// End the run of this process, and begin another.
    Restart(&'a str),
    /// Give the group of this replica so many replicas.
    Scale(&'a str, u32),
}

impl Command<'_> {
    fn request(self) -> (Method, String) {
        let path = |verb: &str, name: &str| format!("/process/{verb}/{}", percent_encoded(name));
        match self {
            Self::Start(name) => (Method::POST, path("start", name)),
            Self::Stop(name) => (Method::PATCH, path("stop", name)),
            Self::Restart(name) => (Method::POST, path("restart", name)),
            Self::Scale(name, to) => (Method::PATCH, format!("{}/{to}", path("scale", name))),
        }
    }
}

/// What became of a command that was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlErrorKind {
    /// The server says no, for this process as it stands now.
    Refused,
    /// The server, or who stands before it, lets us do nothing; asking again does not help.
    Forbidden,
    /// The server has no such command; asking again does not help.
    Unsupported,
    /// It was not heard; asking again may help.
    Unreachable,
    /// No answer in time: it may have been done. Look before asking again.
    Late,
    /// No answer that says anything: it may have been done. Look before asking again.
    Unknown,
}

/// A command that was not done, or of which nobody knows.
#[derive(Debug)]
pub struct ControlError {
    kind: ControlErrorKind,
    found: String,
}

impl ControlError {
    fn new(kind: ControlErrorKind, found: impl Into<String>) -> Self {
        Self {
            kind,
            found: found.into(),
        }
    }

    fn of(kind: ControlErrorKind, error: &ClientError) -> Self {
        Self::new(kind, format!("{}; {}", error.found(), error.advice()))
    }

    /// What became of it.
    pub fn kind(&self) -> ControlErrorKind {
        self.kind
    }

    /// What was found, on one line that is safe to show.
    pub fn found(&self) -> &str {
        &self.found
    }

    /// Whether it may have been done all the same.
    pub fn may_be_done(&self) -> bool {
        matches!(
            self.kind,
            ControlErrorKind::Late | ControlErrorKind::Unknown
        )
    }

    /// Whether the same command may be given again without looking first.
    pub fn retry_helps(&self) -> bool {
        self.kind == ControlErrorKind::Unreachable
    }
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.found)
    }
}

impl std::error::Error for ControlError {}

impl Client {
    /// Gives a command and waits for its answer, which may come only when everything is done.
    ///
    /// # Errors
    /// [`ControlError`]; its kind says whether anything can have been done.
    /// # Cancel safety
    /// Dropping the future closes the connection; what the server has heard it does all the same.
    pub async fn command(&self, command: Command<'_>, limit: Duration) -> Result<(), ControlError> {
        let (method, path) = command.request();
        let pipe = self
            .connector()
            .connect()
            .await
            .map_err(|error| ControlError::of(ControlErrorKind::Unreachable, &error))?;
        let answer = self
            .once(pipe, method, &path, limit)
            .await
            .map_err(|error| ControlError::of(after(error.kind()), &error))?;
        judge(&answer)
    }

    /// Asks once, over a connection of its own, within a limit of its own.
    async fn once(
        &self,
        pipe: Box<dyn Pipe>,
        method: Method,
        path: &str,
        limit: Duration,
    ) -> Result<Answer, ClientError> {
        let exchange = async {
            let mut kept = Kept::new(pipe).await?;
            let request = self.request(method, path);
            kept.exchange(request, self.limits.body, 0).await
        };
        let late = format!("no answer within {}", humantime::format_duration(limit));
        let (head, bytes) = tokio::time::timeout(limit, exchange)
            .await
            .map_err(|_| ClientError::new(Kind::Timeout, self.connector().endpoint(), late))?
            .map_err(|problem| self.broken(problem))?;
        let (parts, ()) = head.into_parts();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            bytes,
            connection: 0,
        })
    }
}

/// What a failure behind the connection says about the command.
fn after(kind: Kind) -> ControlErrorKind {
    match kind {
        Kind::NotProcessCompose => ControlErrorKind::Unsupported,
        Kind::Timeout => ControlErrorKind::Late,
        _ => ControlErrorKind::Unknown,
    }
}

fn judge(answer: &Answer) -> Result<(), ControlError> {
    use ControlErrorKind::{Forbidden, Refused, Unknown, Unsupported};
    let status = answer.status;
    match status {
        StatusCode::OK if !answer.is_html() => Ok(()),
        StatusCode::UNAUTHORIZED => Err(ControlError::new(
            Forbidden,
            "it wants a token, and ours is missing or wrong (401); give it with --token-file or PC_API_TOKEN",
        )),
        StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => Err(ControlError::new(
            Forbidden,
            format!(
                "it may be looked at but not changed ({}); ask whoever runs the proxy in front of it",
                status.as_u16()
            ),
        )),
        StatusCode::BAD_REQUEST => {
            let text = answer.error_text();
            Err(ControlError::new(
                Refused,
                text.unwrap_or_else(|| "it answers 400".to_owned()),
            ))
        }
        status if status.is_server_error() => Err(ControlError::new(
            Unknown,
            format!(
                "it answers {}; look before you ask again, its own log says more",
                status.as_u16()
            ),
        )),
        status => Err(ControlError::new(
            Unsupported,
            format!(
                "it does not know this command, or not for this name ({}); a newer process-compose may",
                status.as_u16()
            ),
        )),
    }
}

/// The intents that commands left with whoever looks at the source; clones are one book.
#[derive(Clone)]
pub struct IntentBook {
    intents: Arc<Mutex<Intents>>,
    clock: Clock,
}

impl IntentBook {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            intents: Arc::default(),
            clock,
        }
    }

    /// Takes an intent that is left now.
    pub fn leave(&self, intent: &Intent) {
        self.with(|intents| intents.leave(intent, (self.clock)()));
    }

    /// Takes an intent back for the processes for which nothing was done.
    pub fn refuse(&self, id: &str, refused: &[String]) {
        self.with(|intents| intents.refuse(id, refused));
    }

    pub(super) fn account_for(
        &self,
        name: &str,
        pid: Option<i64>,
        since: Option<DateTime<Utc>>,
    ) -> bool {
        self.with(|intents| intents.account_for(name, pid, since))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Intents) -> T) -> T {
        work(&mut self.intents.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for IntentBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntentBook").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_method_and_a_path_that_no_name_leaves() {
        for (command, method, path) in [
            (Command::Start("api"), Method::POST, "/process/start/api"),
            (
                Command::Stop("a/../b"),
                Method::PATCH,
                "/process/stop/a%2F..%2Fb",
            ),
            (
                Command::Restart("a b+"),
                Method::POST,
                "/process/restart/a%20b%2B",
            ),
            (
                Command::Scale("w-0", 12),
                Method::PATCH,
                "/process/scale/w-0/12",
            ),
        ] {
            assert_eq!(command.request(), (method, path.to_owned()));
        }
    }
}
