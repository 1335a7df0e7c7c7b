//! Finds the process-compose nobody named.
//!
//! What a person gave, as a flag or in process-compose's own variables, is taken as it is. Else the places where one
//! usually listens are listed in order ([`candidates`], pure) and asked all at once ([`find`]).

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;

use super::client::Client;
use super::error::{Kind, clean};
use super::settings::{BaseUrl, Endpoint, Limits, Settings, SettingsError, TokenSource};

/// How long one place is given to answer.
pub const PROBE_LIMIT: Duration = Duration::from_millis(1500);

/// Sockets taken from one folder at most; nobody runs more stacks.
const SOCKETS: usize = 64;

/// What a person gave on the command line; at most one of socket, URL and TCP is meant, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// `--unix-socket`.
    pub unix_socket: Option<PathBuf>,
    /// `--url`.
    pub url: Option<BaseUrl>,
    /// `--address`.
    pub address: Option<String>,
    /// `--port`.
    pub port: Option<u16>,
}

/// All that the list of candidates is made from.
pub struct Surroundings<'a> {
    /// The flags.
    pub given: &'a Given,
    /// Looks up a variable of the environment.
    pub env: &'a (dyn Fn(&str) -> Option<String> + Sync),
    /// The folder we stand in, absolute.
    pub here: &'a Path,
    /// The folder for temporary files.
    pub temp: &'a Path,
    /// The entries of a folder that are ours; [`own_entries`] outside tests.
    pub list: &'a (dyn Fn(&Path) -> Vec<PathBuf> + Sync),
}

/// How much is to be believed of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Said by a person: it is not asked first, and nothing else is tried.
    Given,
    /// Said by the environment we stand in: chosen if it answers, whatever answers elsewhere.
    Activated,
    /// A place where one usually is.
    Usual,
}

/// A place where a process-compose may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The place.
    pub endpoint: Endpoint,
    /// Where the choice came from, for people.
    pub why: String,
    /// How much it is to be believed.
    pub standing: Standing,
}

/// A candidate that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The place.
    pub endpoint: Endpoint,
    /// Where the choice came from, for people.
    pub why: String,
    /// Name of its project, where it says one.
    pub project: Option<String>,
}

/// A candidate that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The place.
    pub endpoint: Endpoint,
    /// Which kind of failure it was.
    pub kind: Kind,
    /// What was found there, safe to show.
    pub found: String,
}

/// What the search came to. Its text says it in one line, or in one line for each server where there are several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discovery {
    /// The one to watch. `project` is unknown where it was given, for then it was not asked.
    One(Found),
    /// Several answer and a person must choose.
    Several(Vec<Found>),
    /// Nobody answers; what was tried.
    None(Vec<Tried>),
}

/// The places to try, best first.
///
/// # Errors
/// [`SettingsError::Port`] where `PC_PORT_NUM` is no port.
pub fn candidates(around: &Surroundings<'_>) -> Result<Vec<Candidate>, SettingsError> {
    if let Some(one) = given(around)? {
        return Ok(vec![one]);
    }
    let mut list = Vec::new();
    let mut seen = BTreeSet::new();
    let mut add = |path: PathBuf, why: &str, standing| {
        if seen.insert(path.clone()) {
            list.push(Candidate {
                endpoint: Endpoint::Unix(path),
                why: why.to_owned(),
                standing,
            });
        }
    };
    if let Some(path) = variable(around, "_FLOX_SERVICES_SOCKET") {
        add(path.into(), "_FLOX_SERVICES_SOCKET", Standing::Activated);
    }
    if let Some(folder) = variable(around, "DEVENV_RUNTIME") {
        add(
            Path::new(&folder).join("pc.sock"),
            "DEVENV_RUNTIME",
            Standing::Activated,
        );
    }
    for folder in around.here.ancestors() {
        let devenv = folder.join(".devenv/run");
        for path in (around.list)(&devenv)
            .into_iter()
            .filter(|path| *path == devenv.join("pc.sock"))
        {
            add(path, "devenv's socket", Standing::Usual);
        }
        for path in sockets(around, &folder.join(".flox/cache"), "") {
            add(path, "flox's socket", Standing::Usual);
        }
    }
    for path in sockets(around, around.temp, "process-compose-") {
        add(path, "a socket in the temporary folder", Standing::Usual);
    }
    list.push(Candidate {
        endpoint: Endpoint::standard(),
        why: "the usual address".to_owned(),
        standing: Standing::Usual,
    });
    Ok(list)
}

fn given(around: &Surroundings<'_>) -> Result<Option<Candidate>, SettingsError> {
    let one = |endpoint, why: &str| {
        Ok(Some(Candidate {
            endpoint,
            why: why.to_owned(),
            standing: Standing::Given,
        }))
    };
    let flags = around.given;
    if let Some(path) = &flags.unix_socket {
        return one(Endpoint::Unix(path.clone()), "--unix-socket");
    }
    if let Some(url) = &flags.url {
        return one(Endpoint::Url(url.clone()), "--url");
    }
    let by_flag = match (&flags.address, flags.port) {
        (Some(_), Some(_)) => Some("--address and --port"),
        (Some(_), None) => Some("--address"),
        (None, Some(_)) => Some("--port"),
        (None, None) => None,
    };
    if by_flag.is_none()
        && let Some(path) = variable(around, "PC_SOCKET_PATH")
    {
        return one(Endpoint::Unix(path.into()), "PC_SOCKET_PATH");
    }
    let (address, number) = (
        variable(around, "PC_ADDRESS"),
        variable(around, "PC_PORT_NUM"),
    );
    let why = by_flag.or(match (&address, &number) {
        (Some(_), Some(_)) => Some("PC_ADDRESS and PC_PORT_NUM"),
        (Some(_), None) => Some("PC_ADDRESS"),
        (None, Some(_)) => Some("PC_PORT_NUM"),
        (None, None) => None,
    });
    let Some(why) = why else { return Ok(None) };
    let port = match (flags.port, number) {
        (Some(port), _) => port,
        (None, None) => 8080,
        (None, Some(text)) => match text.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err(SettingsError::Port(clean(&text, 40))),
        },
    };
    let host = reachable(flags.address.as_deref().or(address.as_deref()));
    one(Endpoint::Tcp { host, port }, why)
}

/// The host to connect to for an address to listen on.
fn reachable(address: Option<&str>) -> String {
    match address.map(|text| text.trim_start_matches('[').trim_end_matches(']')) {
        None | Some("" | "0.0.0.0" | "::") => "localhost".to_owned(),
        Some(host) => host.to_owned(),
    }
}

fn variable(around: &Surroundings<'_>, name: &str) -> Option<String> {
    (around.env)(name).filter(|value| !value.is_empty())
}

fn sockets(around: &Surroundings<'_>, folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let named = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(prefix))
            && path.extension().is_some_and(|end| end == "sock")
    };
    let mut paths: Vec<_> = (around.list)(folder).into_iter().filter(named).collect();
    paths.sort_unstable();
    paths.truncate(SOCKETS);
    paths
}

/// The entries of a folder that belong to us; none where it cannot be read. A socket of somebody else is not for us,
/// and would be handed our token.
pub fn own_entries(folder: &Path) -> Vec<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let me = rustix::process::geteuid().as_raw();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| {
            std::fs::symlink_metadata(path).is_ok_and(|about| about.uid() == me || me == 0)
        })
        .collect()
}

/// Asks all candidates at once. One that was given is not asked: if it is away, it is waited for.
///
/// # Errors
/// [`SettingsError`] where the token cannot be read.
/// # Cancel safety
/// Dropping the future closes all connections.
pub async fn find(
    candidates: Vec<Candidate>,
    token: Option<&TokenSource>,
) -> Result<Discovery, SettingsError> {
    if let [one] = candidates.as_slice()
        && one.standing == Standing::Given
    {
        return Ok(Discovery::One(Found {
            endpoint: one.endpoint.clone(),
            why: one.why.clone(),
            project: None,
        }));
    }
    let mut asked = Vec::new();
    for candidate in candidates {
        let settings = Settings {
            token: token.cloned(),
            limits: Limits {
                connect: PROBE_LIMIT,
                read: PROBE_LIMIT,
                body: 1024 * 1024,
            },
            ..Settings::new(candidate.endpoint.clone())
        };
        asked.push(probe(Client::new(&settings)?, candidate));
    }
    Ok(judge(join_all(asked).await))
}

async fn probe(client: Client, candidate: Candidate) -> (Standing, Result<Found, Tried>) {
    let answer = client.live().await;
    let result = match answer {
        Ok(()) => Ok(Found {
            project: client.project_name().await,
            endpoint: candidate.endpoint,
            why: candidate.why,
        }),
        Err(error) => Err(Tried {
            endpoint: candidate.endpoint,
            kind: error.kind(),
            found: error.found().to_owned(),
        }),
    };
    (candidate.standing, result)
}

fn judge(answers: Vec<(Standing, Result<Found, Tried>)>) -> Discovery {
    let (mut activated, mut usual, mut tried) = (None, Vec::new(), Vec::new());
    for (standing, answer) in answers {
        match answer {
            Ok(found) if standing == Standing::Activated => {
                activated.get_or_insert(found);
            }
            Ok(found) => usual.push(found),
            Err(failure) => tried.push(failure),
        }
    }
    match (activated, usual.len()) {
        (Some(found), _) => Discovery::One(found),
        (None, 0) => Discovery::None(tried),
        (None, 1) => Discovery::One(usual.remove(0)),
        (None, _) => Discovery::Several(usual),
    }
}

impl fmt::Display for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(found) => write!(f, "{} ({})", found.endpoint, found.why),
            Self::Several(all) => {
                write!(f, "several process-composes answer; name one of them:")?;
                for found in all {
                    let (flag, place) = match &found.endpoint {
                        Endpoint::Unix(_) => ("--unix-socket", found.endpoint.to_string()),
                        Endpoint::Url(_) => ("--url", found.endpoint.to_string()),
                        Endpoint::Tcp { port, .. } => ("--port", port.to_string()),
                    };
                    let project = found
                        .project
                        .as_deref()
                        .map_or("?".to_owned(), |name| clean(name, 80));
                    write!(f, "\n  {flag} {place}  {project}")?;
                }
                Ok(())
            }
            Self::None(tried) => {
                write!(f, "no process-compose found; tried ")?;
                for (n, one) in tried.iter().enumerate() {
                    let comma = if n == 0 { "" } else { ", " };
                    write!(f, "{comma}{} ({})", one.endpoint, one.found)?;
                }
                write!(
                    f,
                    "; start the stack, or name it with --port, --unix-socket or --url"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
