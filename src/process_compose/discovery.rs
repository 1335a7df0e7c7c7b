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
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The folder we stand in, absolute.
    pub here: &'a Path,
    /// The folder for temporary files.
    pub temp: &'a Path,
    /// The entries of a folder that are ours; [`own_entries`] outside tests.
    pub list: &'a dyn Fn(&Path) -> Vec<PathBuf>,
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
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Default)]
    struct World {
        given: Given,
        env: BTreeMap<&'static str, &'static str>,
        files: Vec<&'static str>,
    }

    impl World {
        fn candidates(&self) -> Result<Vec<Candidate>, SettingsError> {
            candidates(&Surroundings {
                given: &self.given,
                env: &|name| self.env.get(name).map(|value| (*value).to_owned()),
                here: Path::new("/home/me/app/web"),
                temp: Path::new("/tmp"),
                list: &|folder| {
                    let files = self.files.iter().map(PathBuf::from);
                    files.filter(|path| path.parent() == Some(folder)).collect()
                },
            })
        }

        fn told(&self) -> Vec<(String, String)> {
            let all = self.candidates().unwrap();
            all.into_iter()
                .map(|one| (one.endpoint.to_string(), one.why))
                .collect()
        }

        fn only(&self) -> (String, String) {
            let mut told = self.told();
            assert_eq!(told.len(), 1, "{told:?}");
            told.remove(0)
        }
    }

    fn pair(place: &str, why: &str) -> (String, String) {
        (place.to_owned(), why.to_owned())
    }

    #[test]
    fn a_flag_outranks_the_environment_and_is_never_second_guessed() {
        let mut world = World {
            env: BTreeMap::from([
                ("PC_SOCKET_PATH", "/run/pc.sock"),
                ("PC_ADDRESS", "box"),
                ("PC_PORT_NUM", "9000"),
            ]),
            ..World::default()
        };
        assert_eq!(world.only(), pair("/run/pc.sock", "PC_SOCKET_PATH"));
        world.given.port = Some(9100);
        assert_eq!(world.only(), pair("box:9100", "--port"));
        world.given.address = Some("::1".into());
        assert_eq!(world.only(), pair("[::1]:9100", "--address and --port"));
        world.given.url = Some(BaseUrl::parse("https://edge/pc").unwrap());
        assert_eq!(world.only(), pair("https://edge/pc", "--url"));
        world.given.unix_socket = Some("/x.sock".into());
        assert_eq!(world.only(), pair("/x.sock", "--unix-socket"));
    }

    #[test]
    fn the_variables_of_process_compose_are_taken_as_its_own_client_takes_them() {
        let world = |env: &[(&'static str, &'static str)]| World {
            env: env.iter().copied().collect(),
            ..World::default()
        };
        assert_eq!(
            world(&[("PC_PORT_NUM", "9000")]).only(),
            pair("localhost:9000", "PC_PORT_NUM")
        );
        assert_eq!(
            world(&[("PC_ADDRESS", "0.0.0.0")]).only(),
            pair("localhost:8080", "PC_ADDRESS")
        );
        let refused = world(&[("PC_PORT_NUM", "eighty\u{1b}")])
            .candidates()
            .unwrap_err();
        assert!(refused.to_string().contains("eighty?"), "{refused}");
        assert!(world(&[("PC_PORT_NUM", "0")]).candidates().is_err());
        assert_eq!(
            world(&[("PC_SOCKET_PATH", "")]).told(),
            [pair("localhost:8080", "the usual address")]
        );
    }

    #[test]
    fn the_usual_places_come_in_their_order_each_once() {
        let world = World {
            env: BTreeMap::from([
                ("DEVENV_RUNTIME", "/home/me/.devenv/run"),
                ("_FLOX_SERVICES_SOCKET", "/f.sock"),
            ]),
            files: vec![
                "/tmp/process-compose-7.sock",
                "/tmp/other.sock",
                "/tmp/process-compose-5.sock",
                "/home/me/.devenv/run/pc.sock",
                "/home/me/app/.devenv/run/pc.sock",
                "/home/me/app/.devenv/run/gc.sock",
                "/home/me/app/.flox/cache/services.1.sock",
                "/home/me/app/.flox/cache/log",
            ],
            ..World::default()
        };
        let places: Vec<_> = world.told().into_iter().map(|(place, _)| place).collect();
        assert_eq!(
            places,
            [
                "/f.sock",
                "/home/me/.devenv/run/pc.sock",
                "/home/me/app/.devenv/run/pc.sock",
                "/home/me/app/.flox/cache/services.1.sock",
                "/tmp/process-compose-5.sock",
                "/tmp/process-compose-7.sock",
                "localhost:8080",
            ]
        );
    }

    fn found(place: &str, project: &str) -> Result<Found, Tried> {
        Ok(Found {
            endpoint: Endpoint::Unix(place.into()),
            why: "devenv's socket".into(),
            project: Some(project.into()),
        })
    }

    #[test]
    fn several_are_listed_with_their_projects_and_one_is_taken() {
        let tried = || {
            Err(Tried {
                endpoint: Endpoint::standard(),
                kind: Kind::NotProcessCompose,
                found: "a web page answers there (200), not a process-compose".into(),
            })
        };
        let two = judge(vec![
            (Standing::Usual, found("/a.sock", "shop")),
            (Standing::Usual, found("/b.sock", "bl\u{1b}og")),
            (Standing::Usual, tried()),
        ]);
        assert_eq!(
            two.to_string(),
            "several process-composes answer; name one of them:\n  --unix-socket /a.sock  shop\n  --unix-socket /b.sock  bl?og"
        );
        let inside = judge(vec![
            (Standing::Activated, found("/a.sock", "shop")),
            (Standing::Usual, found("/b.sock", "blog")),
        ]);
        assert_eq!(inside.to_string(), "/a.sock (devenv's socket)");
        let nobody = judge(vec![(Standing::Usual, tried())]).to_string();
        assert!(
            nobody.starts_with("no process-compose found; tried localhost:8080 (a web page"),
            "{nobody}"
        );
    }
}
