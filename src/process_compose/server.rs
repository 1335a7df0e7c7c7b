//! Who answers: the identity of a server, and what follows from its version.

use chrono::{DateTime, SecondsFormat, Utc};

use super::client::Client;
use super::error::ClientError;
use super::info::ProjectState;

/// The first version that shows a new run with a health of its own.
const FRESH_HEALTH: (u64, u64) = (1, 122);
/// The first version whose pages of logs are counted from the end.
const LOGS_FROM_END: (u64, u64) = (1, 78);

/// Who answers, as it said last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Server {
    /// Name of the project without its host part; empty where it says none.
    pub project: String,
    /// Name of its host; empty where it says none.
    pub host: String,
    /// Its version as it says it; empty where it says none.
    pub version: String,
    /// When its run began; absent before v0.75.
    pub started: Option<DateTime<Utc>>,
}

impl Server {
    pub(super) fn from_state(state: ProjectState) -> Self {
        Self {
            project: state.project.unwrap_or_default(),
            host: state.host.unwrap_or_default(),
            version: state.version.unwrap_or_default(),
            started: state.start_time,
        }
    }

    /// The name it goes by as a source where nobody gives another: its project's, made fit for an id.
    pub fn source_name(&self) -> String {
        let fit = |c: char| {
            if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') {
                c
            } else {
                '-'
            }
        };
        let name: String = self.project.chars().map(fit).take(100).collect();
        match name.trim_start_matches(['.', '-']) {
            "" => "process-compose".to_owned(),
            name => name.to_owned(),
        }
    }

    /// The epoch this server's run is, where it says when it began.
    pub fn epoch(&self) -> Option<String> {
        self.started
            .map(|started| started.to_rfc3339_opts(SecondsFormat::Millis, true))
    }

    /// Whether it shows a new run with the health of the former one. A version it does not tell is an older one.
    pub(super) fn has_sticky_health(&self) -> bool {
        self.release().is_none_or(|release| release < FRESH_HEALTH)
    }

    /// Whether its pages of logs are counted from the end. A version it does not tell is a newer one: those that do not
    /// tell theirs were built by hand.
    pub fn pages_logs_from_end(&self) -> bool {
        self.release()
            .is_none_or(|release| release >= LOGS_FROM_END)
    }

    fn release(&self) -> Option<(u64, u64)> {
        let mut parts = self
            .version
            .trim_start_matches('v')
            .split('.')
            .map(str::parse::<u64>);
        match (parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
            _ => None,
        }
    }
}

/// Asks a server who it is, before anything is compared.
///
/// # Errors
///
/// [`ClientError`] where it cannot be asked.
///
/// # Cancel safety
///
/// Asks only.
pub async fn identify(client: &Client) -> Result<Server, ClientError> {
    if let Some((state, _)) = client.project_state().await? {
        return Ok(Server::from_state(state));
    }
    // Before v0.75 there is no such route; but many a server that is no process-compose has none either.
    client.live().await?;
    Ok(Server::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_run_has_a_health_of_its_own_from_v1_122_on() {
        for (version, sticky) in [
            ("v1.122.0", false),
            ("1.122.0", false),
            ("v2.0.0", false),
            ("v1.122.1-0.20260901", false),
            ("v1.120.0", true),
            ("v0.75.0", true),
            ("undefined", true),
            ("", true),
        ] {
            let server = Server {
                version: version.to_owned(),
                ..Server::default()
            };
            assert_eq!(server.has_sticky_health(), sticky, "{version}");
        }
    }

    #[test]
    fn an_epoch_is_the_start_time_in_utc_to_the_millisecond() {
        let started = "2026-08-20T09:15:02.707767918+02:00"
            .parse::<DateTime<Utc>>()
            .ok();
        let server = Server {
            started,
            ..Server::default()
        };
        assert_eq!(server.epoch().as_deref(), Some("2026-08-20T07:15:02.707Z"));
        assert_eq!(Server::default().epoch(), None);
    }
}
