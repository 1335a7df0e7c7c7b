//! The first contact with a source: who answers there, and what it is to be called.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use crate::event::store::Identity;
use crate::observation::source::SourceId;
use crate::process_compose::client::Client;
use crate::process_compose::server::{Server, identify};
use crate::render::notice::{Away, Side};

use super::exit::{Exit, Failure, OrExit as _};
use super::source_args::Place;
use super::terminal::{say, words};

/// Pause between two attempts to reach a source that is away.
const PAUSE: Duration = Duration::from_secs(1);

/// What to do while somebody is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Wait, and say so once.
    Wait,
    /// End.
    End,
}

impl Patience {
    pub(super) fn from_flag(no_retry: bool) -> Self {
        if no_retry { Self::End } else { Self::Wait }
    }
}

/// A source that was reached.
#[derive(Clone)]
pub(super) struct Contact {
    pub(super) place: Place,
    pub(super) client: Arc<Client>,
    pub(super) server: Server,
    pub(super) source: SourceId,
}

/// Reaches a source, which goes by this name, else by that of the file of settings; `None` where the wait was cancelled.
pub(super) async fn reach(
    place: Place,
    name: Option<&str>,
    patience: Patience,
    token: &CancellationToken,
) -> Result<Option<Contact>, Failure> {
    let client = Arc::new(Client::new(&place.settings).or_exit(Exit::Usage)?);
    let address = client.place();
    let away = Away {
        side: Side::Source,
        name: &address,
    };
    let mut since = None;
    let server = loop {
        let Some(answer) = token.run_until_cancelled(identify(&client)).await else {
            return Ok(None);
        };
        match answer {
            Ok(server) => break server,
            Err(error) if error.is_fatal() || patience == Patience::End => {
                return Err(Failure::say(Exit::Source, error));
            }
            Err(error) => {
                if since.is_none() {
                    since = Some(tokio::time::Instant::now());
                    say(&format!(
                        "{}; waiting for it",
                        away.left(words(), error.found()).trim_end()
                    ));
                }
            }
        }
        if token
            .run_until_cancelled(tokio::time::sleep(PAUSE))
            .await
            .is_none()
        {
            return Ok(None);
        }
    };
    if let Some(since) = since {
        say(&away.back(words(), since.elapsed()));
    }
    let source = source_id(name.or(place.name.as_deref()), &server)?;
    Ok(Some(Contact {
        place,
        client,
        server,
        source,
    }))
}

/// The name a source goes by: the given one, else the project's, made fit for an id.
fn source_id(given: Option<&str>, server: &Server) -> Result<SourceId, Failure> {
    if let Some(name) = given {
        return check_name(name);
    }
    server.source_name().parse().or_exit(Exit::Usage)
}

/// A name that a person gave.
pub(super) fn check_name(name: &str) -> Result<SourceId, Failure> {
    name.parse().map_err(|error| {
        let error = anyhow::Error::from(error).context("--source cannot be used");
        Failure::new(Exit::Usage, error)
    })
}

impl Contact {
    /// Who is watched.
    pub(super) fn identity(&self) -> Identity {
        Identity {
            project: self.server.project.clone(),
            host: self.server.host.clone(),
            endpoint: self.client.place(),
        }
    }

    /// What answers there, with its version.
    pub(super) fn supervisor(&self) -> String {
        let version = self.server.version.trim();
        if version.is_empty() {
            "process-compose".to_owned()
        } else {
            format!("process-compose {version}")
        }
    }
}

/// The wall clock; made here and handed down.
pub(super) fn clock() -> crate::process_compose::nudge::Clock {
    Arc::new(Utc::now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_name_is_made_fit_for_an_id() {
        let name = |project: &str| {
            let server = Server {
                project: project.to_owned(),
                ..Server::default()
            };
            source_id(None, &server).unwrap().as_str().to_owned()
        };
        assert_eq!(name("shop"), "shop");
        assert_eq!(name("my shop/é"), "my-shop--");
        assert_eq!(name(""), "process-compose");
        assert_eq!(name("..x"), "x");
    }
}
