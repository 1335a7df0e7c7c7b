//! From a text to settings, or to the first mistake.

use std::collections::BTreeSet;

use super::error::ConfigError;
use super::file::{Config, Source};
use super::text::Text;

/// The number that makes a file ours.
pub const VERSION: u32 = 1;

/// The longest name of a source, in bytes.
const LONGEST: usize = 100;

/// The words for a format; behind `template=` stands what the person wants.
const FORMATS: [&str; 5] = ["text", "json", "wide", "raw", "cloudevents"];

/// Reads a text. `env` looks up a variable of the environment.
///
/// # Errors
/// The first mistake: bad YAML, an unknown key, a wrong value, a variable that is not set, two sources of one name.
pub fn parse(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
    // Without it a source named y would be a truth value.
    let options = serde_saphyr::options! { strict_booleans: true };
    let mut config: Config = serde_saphyr::from_str_with_options(text, options)?;
    if config.version != VERSION {
        return Err(ConfigError {
            line: version_line(text).unwrap_or(1),
            column: 1,
            message: format!(
                "version {} is not known to this build, which reads version {VERSION}",
                config.version
            ),
        });
    }
    for text in texts(&mut config) {
        text.expand(env)?;
    }
    check(&config)?;
    Ok(config)
}

/// Whether a text says that it is meant for us: `version: 1` at its top level, also where the rest of it is broken.
pub fn is_ours(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Probe {
        version: u32,
    }
    match serde_saphyr::from_str::<Probe>(text) {
        Ok(probe) => probe.version == VERSION,
        Err(_) => version_line(text).is_some(),
    }
}

/// The line in which `version: 1` stands.
fn version_line(text: &str) -> Option<u64> {
    let is_it = |line: &str| {
        let value = line.strip_prefix("version:")?;
        let value = value.split('#').next()?.trim().trim_matches(['"', '\'']);
        value.parse().ok().filter(|number: &u32| *number == VERSION)
    };
    let at = text.lines().position(|line| is_it(line).is_some())?;
    u64::try_from(at + 1).ok()
}

/// Every text in which variables are replaced.
fn texts(config: &mut Config) -> Vec<&mut Text> {
    let mut all = Vec::new();
    for source in &mut config.sources {
        all.extend([
            &mut source.address,
            &mut source.url,
            &mut source.socket,
            &mut source.token_file,
        ]);
    }
    let mut paths = Vec::new();
    for directory in &mut config.directories {
        paths.push(&mut directory.path);
        all.push(&mut directory.token_file);
    }
    let broker = &mut config.broker;
    all.extend([
        &mut broker.server,
        &mut broker.user,
        &mut broker.password_file,
        &mut broker.token_file,
        &mut broker.creds,
        &mut broker.nkey,
        &mut broker.tls.ca,
        &mut broker.tls.cert,
        &mut broker.tls.key,
        &mut config.spool.dir,
    ]);
    paths.extend(all.into_iter().flatten());
    paths
}

fn check(config: &Config) -> Result<(), ConfigError> {
    let mut names = BTreeSet::new();
    for source in &config.sources {
        check_name(source)?;
        check_place(source)?;
        if !names.insert(source.name.as_str()) {
            return Err(source.name.0.wrong(format!(
                "two sources are called {:?}; give one another name",
                source.name.as_str()
            )));
        }
    }
    let broker = &config.broker;
    if let (Some(_), Some(file)) = (&broker.password_file, &broker.token_file) {
        return Err(file.wrong("there is a password_file already; a broker wants one of the two"));
    }
    if let Some(format) = &config.output.format {
        let word = format.written();
        if !FORMATS.contains(&word) && !word.starts_with("template=") {
            return Err(format.wrong(format!(
                "{word:?} is no format; there are {} and template=…",
                FORMATS.join(", ")
            )));
        }
    }
    Ok(())
}

fn check_name(source: &Source) -> Result<(), ConfigError> {
    let name = source.name.as_str();
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let is_good = !name.is_empty()
        && name.len() <= LONGEST
        && !name.starts_with(['.', '-'])
        && name.chars().all(letter);
    if is_good {
        return Ok(());
    }
    Err(source.name.0.wrong(format!(
        "{name:?} cannot be the name of a source: up to {LONGEST} of A-Z a-z 0-9 _ . - and no dot or hyphen in front"
    )))
}

fn check_place(source: &Source) -> Result<(), ConfigError> {
    let given: Vec<&Text> = [&source.address, &source.url, &source.socket]
        .into_iter()
        .flatten()
        .collect();
    match given.as_slice() {
        [_] => {}
        [] => {
            return Err(source.name.0.wrong(format!(
                "nothing says where {} is; give it one of address, url and socket",
                source.name.as_str()
            )));
        }
        [_, second, ..] => {
            return Err(second.wrong(format!(
                "{} is said to be in two places; give it one of address, url and socket",
                source.name.as_str()
            )));
        }
    }
    let Some(address) = &source.address else {
        return Ok(());
    };
    host_and_port(address.as_str()).map(|_| ()).ok_or_else(|| {
        let is_path = address.as_str().contains('/');
        address.wrong(if is_path {
            "no address but a path; a unix socket is written as socket: and an http address as url:"
        } else {
            "no address; write HOST:PORT, or the port alone"
        })
    })
}

/// The host and the port of an address: `HOST:PORT`, or the port alone, which means this machine.
pub fn host_and_port(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':').unwrap_or(("localhost", address));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().ok().filter(|port| *port > 0)?;
    (!host.is_empty() && !host.contains(['/', '@'])).then(|| (host.to_owned(), port))
}
