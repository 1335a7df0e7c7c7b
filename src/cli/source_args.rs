//! The flags that say which process-compose is meant, and the search for it where they do not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::config::file::Source;
use crate::config::parse::host_and_port;
use crate::config::text::Text;
use crate::process_compose::discovery::{
    Candidate, Discovery, Found, Given, Standing, Surroundings, candidates, find, own_entries,
};
use crate::process_compose::settings::{
    BaseUrl, Endpoint, Evidence, Secret, Settings, TokenSource,
};

use super::conf::in_force;
use super::contact::Patience;
use super::exit::{Exit, Failure, OrExit as _};
use super::terminal::say;

/// Pause between two searches.
const PAUSE: Duration = Duration::from_secs(1);

/// Which process-compose is meant.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Source")]
pub(super) struct SourceArgs {
    /// Host or address process-compose listens on [env: PC_ADDRESS]
    #[arg(short = 'a', long, value_name = "HOST")]
    pub(super) address: Option<String>,
    /// Port it listens on [env: PC_PORT_NUM]
    #[arg(short = 'p', long)]
    pub(super) port: Option<u16>,
    /// Unix socket it listens on [env: PC_SOCKET_PATH]
    #[arg(short = 'u', long, value_name = "PATH")]
    pub(super) unix_socket: Option<PathBuf>,
    /// Whole address, where it stands behind a proxy (http:// or https://)
    #[arg(long)]
    pub(super) url: Option<String>,
    /// File that holds its API token [env: PC_API_TOKEN_PATH; the token itself: PC_API_TOKEN]
    #[arg(long, value_name = "PATH")]
    pub(super) token_file: Option<PathBuf>,
    /// Whether to listen to its state stream, where it has one: auto or off
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = evidence)]
    pub(super) evidence: Evidence,
    /// Time between two looks, at least 250ms
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval, allow_hyphen_values = true)]
    pub(super) interval: Duration,
}

fn evidence(word: &str) -> Result<Evidence, String> {
    match word {
        "auto" => Ok(Evidence::Auto),
        "off" => Ok(Evidence::Off),
        _ => Err("there are auto and off".to_owned()),
    }
}

/// An interval in words; a bare number has no unit and is refused, because `2` could mean anything.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if interval < Duration::from_millis(250) {
        return Err(
            "looks come at most every 250ms; write 250ms or more, for example 2s".to_owned(),
        );
    }
    if interval > Duration::from_secs(3600) {
        return Err("an hour between two looks is the most".to_owned());
    }
    Ok(interval)
}

/// A duration in words.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| {
        let unit = text.parse::<f64>().is_ok();
        let why = if unit {
            "a number without a unit"
        } else {
            "no duration"
        };
        format!("{why}; write for example 500ms, 2s, 1m30s")
    })
}

/// Where the source is, and why there.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) settings: Settings,
    /// Where the choice came from, for people.
    pub(super) why: String,
    /// What the file of settings calls it, where it comes from there.
    pub(super) name: Option<String>,
}

/// The one name of several that a person gave, where it is only one.
pub(super) fn only(names: &[String]) -> Option<&str> {
    match names {
        [one] => Some(one),
        _ => None,
    }
}

impl SourceArgs {
    /// Finds the source: what was given is taken as it is, of several that the file of settings names the one of this name,
    /// everything else is asked whether it is alive.
    ///
    /// Nothing found is [`Exit::Source`], several are [`Exit::Usage`]: a person must choose.
    pub(super) async fn find_as(&self, name: Option<&str>) -> Result<Place, Failure> {
        if let Some(place) = self.configured(name)? {
            return Ok(place);
        }
        let (discovery, token) = self.discover().await?;
        match discovery {
            Discovery::One(found) => Ok(self.place(found, token)),
            several @ Discovery::Several(_) => Err(Failure::say(Exit::Usage, several)),
            none @ Discovery::None(_) => Err(Failure::say(Exit::Source, none)),
        }
    }

    /// What the search for the source comes to, and the token it is asked with.
    pub(super) async fn discover(&self) -> Result<(Discovery, Option<TokenSource>), Failure> {
        self.discover_as(None).await
    }

    /// The same; of several that the file of settings names, the one of this name.
    pub(super) async fn discover_as(
        &self,
        name: Option<&str>,
    ) -> Result<(Discovery, Option<TokenSource>), Failure> {
        let candidates = self.candidates()?;
        if !is_said(&candidates)
            && let Some(configured) = configured(name)
        {
            let (found, token) = configured?;
            return Ok((Discovery::One(found), token));
        }
        let token = self.own_token();
        let find = Box::pin(find(candidates, token.as_ref()));
        let discovery = find.await.or_exit(Exit::Usage)?;
        Ok((discovery, token))
    }

    /// The place that the file of settings names, where flags and environment name none; of several the one of this name.
    pub(super) fn configured(&self, name: Option<&str>) -> Result<Option<Place>, Failure> {
        if is_said(&self.candidates()?) {
            return Ok(None);
        }
        let Some((found, token)) = configured(name).transpose()? else {
            return Ok(None);
        };
        let name = found.project.clone();
        let place = self.place(found, token);
        Ok(Some(Place { name, ..place }))
    }

    /// Where the source may be.
    fn candidates(&self) -> Result<Vec<Candidate>, Failure> {
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let url = self
            .url
            .as_deref()
            .map(BaseUrl::parse)
            .transpose()
            .or_exit(Exit::Usage)?;
        let given = Given {
            unix_socket: self.unix_socket.clone(),
            url,
            address: self.address.clone(),
            port: self.port,
        };
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let around = Surroundings {
            given: &given,
            env: &env,
            here: &here,
            temp: &std::env::temp_dir(),
            list: &|folder: &Path| own_entries(folder),
        };
        candidates(&around).or_exit(Exit::Usage)
    }

    /// Whether flags say where the source is.
    pub(super) fn is_given(&self) -> bool {
        self.address.is_some()
            || self.port.is_some()
            || self.unix_socket.is_some()
            || self.url.is_some()
    }

    /// Finds the source, but waits for one that is not there yet; `None` where the wait was cancelled.
    pub(super) async fn find_patiently(
        &self,
        patience: Patience,
        token: &CancellationToken,
    ) -> Result<Option<Place>, Failure> {
        self.find_patiently_as(None, patience, token).await
    }

    /// The same; of several that the file of settings names, the one of this name.
    pub(super) async fn find_patiently_as(
        &self,
        name: Option<&str>,
        patience: Patience,
        token: &CancellationToken,
    ) -> Result<Option<Place>, Failure> {
        let mut said = false;
        loop {
            let Some(found) = token.run_until_cancelled(self.find_as(name)).await else {
                return Ok(None);
            };
            match found {
                Err(failure) if failure.exit == Exit::Source && patience == Patience::Wait => {
                    if !said {
                        say(&format!("{}; waiting for one", failure.line()));
                        said = true;
                    }
                }
                found => return found.map(Some),
            }
            if token
                .run_until_cancelled(tokio::time::sleep(PAUSE))
                .await
                .is_none()
            {
                return Ok(None);
            }
        }
    }

    /// The token that flags and environment give, for whatever they name.
    pub(super) fn own_token(&self) -> Option<TokenSource> {
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        self.token(&env)
    }

    fn token(&self, env: &dyn Fn(&str) -> Option<String>) -> Option<TokenSource> {
        let file = self.token_file.clone().map(TokenSource::File);
        file.or_else(|| env("PC_API_TOKEN").map(|token| TokenSource::Value(Secret::new(&token))))
            .or_else(|| env("PC_API_TOKEN_PATH").map(|path| TokenSource::File(path.into())))
    }

    /// A place that stands in a head. The token of the environment is for a stack that a person named, so of these places
    /// only those on this machine are shown it; whether it was kept back.
    pub(super) fn at(&self, endpoint: Endpoint, why: String) -> (Place, bool) {
        let token = self.own_token();
        self.believed(endpoint, why, token)
    }

    fn believed(
        &self,
        endpoint: Endpoint,
        why: String,
        token: Option<TokenSource>,
    ) -> (Place, bool) {
        let may_know = endpoint.is_local() || self.token_file.is_some();
        let is_kept_back = token.is_some() && !may_know;
        let found = Found {
            endpoint,
            why,
            project: None,
        };
        let place = self.place(found, token.filter(|_| may_know));
        (place, is_kept_back)
    }

    pub(super) fn place(&self, found: Found, token: Option<TokenSource>) -> Place {
        let mut settings = Settings::new(found.endpoint);
        settings.token = token;
        settings.evidence = self.evidence;
        // A look must end before the next one is due, but a slow server gets its five seconds.
        settings.limits.read = self.interval.max(Duration::from_secs(5));
        Place {
            settings,
            why: found.why,
            name: None,
        }
    }
}

/// Whether flags or environment name the one place that counts.
fn is_said(candidates: &[Candidate]) -> bool {
    matches!(candidates, [one] if one.standing == Standing::Given)
}

/// What the file of settings says, where it names stacks: one is taken, of several a person chooses.
fn configured(name: Option<&str>) -> Option<Result<(Found, Option<TokenSource>), Failure>> {
    let in_force = in_force()?;
    let all = &in_force.config.sources;
    let named = |source: &&Source| name == Some(source.name.as_str());
    let sources: Vec<&Source> = match all.iter().find(named) {
        Some(one) => vec![one],
        None => all.iter().collect(),
    };
    let mut found = Vec::new();
    for &source in &sources {
        let endpoint = match endpoint(source, in_force.folder()) {
            Ok(endpoint) => endpoint,
            Err(failure) => return Some(Err(failure)),
        };
        found.push(Found {
            endpoint,
            why: in_force.path.display().to_string(),
            project: Some(source.name.as_str().to_owned()),
        });
    }
    let path = in_force.path.display();
    if found.len() > 1 {
        let names = found.iter().filter_map(|one| one.project.as_deref());
        let names: Vec<_> = names.collect();
        return Some(Err(Failure::say(
            Exit::Usage,
            format!(
                "{path} names several stacks ({}); say which one by --source, --port, --unix-socket or --url",
                names.join(", ")
            ),
        )));
    }
    let file = sources.first()?.token_file.as_ref();
    let token = file.map(|file| TokenSource::File(file.path(in_force.folder())));
    Some(Ok((found.remove(0), token)))
}

/// The names of the stacks in the file of settings.
pub(super) fn configured_names() -> Vec<String> {
    let sources = in_force().map(|in_force| in_force.config.sources.iter());
    let names = sources.into_iter().flatten();
    names
        .map(|source| source.name.as_str().to_owned())
        .collect()
}

/// Where a stack of the file is.
pub(super) fn endpoint(source: &Source, folder: &Path) -> Result<Endpoint, Failure> {
    if let Some(path) = &source.socket {
        return Ok(Endpoint::Unix(path.path(folder)));
    }
    if let Some(url) = &source.url {
        let url = BaseUrl::parse(url.as_str()).or_exit(Exit::Usage)?;
        return Ok(Endpoint::Url(url));
    }
    let address = source.address.as_ref().map(Text::as_str);
    let (host, port) = address.and_then(host_and_port).ok_or_else(|| {
        let name = source.name.as_str();
        Failure::say(Exit::Usage, format!("nothing says where {name} is"))
    })?;
    Ok(Endpoint::Tcp { host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_without_a_unit_or_below_the_floor_are_refused_with_the_fix() {
        for (text, wanted) in [
            ("2", "without a unit"),
            ("0", "at most every 250ms"),
            ("-1s", "no duration"),
            ("0s", "at most every 250ms"),
            ("100ms", "at most every 250ms"),
            ("2h", "an hour"),
        ] {
            let error = interval(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
        assert_eq!(interval("250ms"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn a_token_of_the_environment_goes_to_no_other_machine_that_stands_in_a_head() {
        let token = Some(TokenSource::Value(Secret::new("t0ken")));
        let here = [
            "/run/pc.sock",
            "localhost:1",
            "127.0.0.9:1",
            "[::1]:1",
            "http://localhost/x",
        ];
        let elsewhere = ["box:1", "10.0.0.1:1", "https://box", "127.0.0.1.box:1"];
        let cases = here.map(|place| (place, true)).into_iter();
        for (place, is_shown) in cases.chain(elsewhere.map(|place| (place, false))) {
            let by = |args: &SourceArgs, token: Option<TokenSource>| {
                let endpoint = Endpoint::read(place).unwrap();
                let (place, kept_back) = args.believed(endpoint, String::new(), token);
                (place.settings.token.is_some(), kept_back)
            };
            let nothing = SourceArgs::default();
            assert_eq!(
                by(&nothing, token.clone()),
                (is_shown, !is_shown),
                "{place}"
            );
            assert_eq!(by(&nothing, None), (false, false), "{place}");
            let flag = SourceArgs {
                token_file: Some("token".into()),
                ..SourceArgs::default()
            };
            assert_eq!(by(&flag, token.clone()), (true, false), "{place}");
        }
    }
}
