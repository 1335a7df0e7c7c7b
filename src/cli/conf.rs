//! The file of settings in force: found, read, and laid under the flags.
//!
//! Each setting but the lists of stacks has a flag, and stands there as its default: so a flag goes before a variable of
//! the environment, that before the file, and that before what is usual. What belongs together goes together: where flag
//! or environment name a broker, nothing the file says of a broker counts, so that no password goes to another one.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use crate::config::file::{Broker, Color, Evidence, Setup, Time};
use crate::config::parse::parse;
use crate::config::search::{self, Found};
use crate::config::text::{Interval, Span, Text};
use crate::config::{Config, ConfigError};

use super::exit::{Exit, Failure, OrExit as _};
use super::terminal::{say, words};

/// Commands that look at nothing and ask nobody.
const APART: [&str; 8] = [
    "simulate",
    "schema",
    "completions",
    "man",
    "version",
    "broker",
    "config",
    "down",
];
/// Commands that write events.
const VIEWS: [&str; 3] = ["watch", "history", "up"];
/// Ways to be let into a broker.
const CREDENTIALS: [&str; 5] = ["user", "password", "nats_token", "creds", "nkey"];
/// Ways to another JetStream API.
const APIS: [&str; 2] = ["js_domain", "js_api_prefix"];

static IN_FORCE: OnceLock<InForce> = OnceLock::new();

/// A file that was read.
#[derive(Debug, Clone)]
pub(super) struct InForce {
    /// Its path, absolute.
    pub(super) path: PathBuf,
    pub(super) config: Config,
}

impl InForce {
    /// Where its relative paths begin.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}

/// The file in force, if there is one.
pub(super) fn in_force() -> Option<&'static InForce> {
    IN_FORCE.get()
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Plain(OsString),
    /// The file whose content it is.
    Secret(PathBuf),
}

/// A setting that has a flag.
#[derive(Debug)]
pub(super) struct Setting {
    /// Its key in the file.
    pub(super) key: &'static str,
    /// What clap calls its flag.
    pub(super) flag: &'static str,
    /// What the file says, and how that is shown.
    pub(super) said: Option<(Value, String)>,
}

/// Makes settings of what stands in a file.
struct Rows<'a> {
    folder: &'a Path,
    all: Vec<Setting>,
}

impl Rows<'_> {
    fn row(&mut self, key: &'static str, flag: &'static str, said: Option<(Value, String)>) {
        self.all.push(Setting { key, flag, said });
    }

    fn text(&mut self, key: &'static str, flag: &'static str, text: Option<&Text>) {
        let said = |text: &Text| {
            let value = Value::Plain(text.as_str().into());
            (value, text.written().to_owned())
        };
        self.row(key, flag, text.map(said));
    }

    fn path(&mut self, key: &'static str, flag: &'static str, text: Option<&Text>) {
        let said = |text: &Text| {
            let value = Value::Plain(text.path(self.folder).into());
            (value, text.written().to_owned())
        };
        self.row(key, flag, text.map(said));
    }

    fn secret(&mut self, key: &'static str, flag: &'static str, text: Option<&Text>) {
        let said = |text: &Text| (Value::Secret(text.path(self.folder)), "***".to_owned());
        self.row(key, flag, text.map(said));
    }

    fn word(&mut self, key: &'static str, flag: &'static str, word: Option<impl Into<String>>) {
        let said = word.map(|word| {
            let word = word.into();
            (Value::Plain(word.clone().into()), word)
        });
        self.row(key, flag, said);
    }
}

fn of_broker(rows: &mut Rows<'_>, broker: &Broker) {
    rows.text("broker.server", "server", broker.server.as_ref());
    rows.text("broker.user", "user", broker.user.as_ref());
    rows.secret(
        "broker.password_file",
        "password",
        broker.password_file.as_ref(),
    );
    rows.secret(
        "broker.token_file",
        "nats_token",
        broker.token_file.as_ref(),
    );
    rows.path("broker.creds", "creds", broker.creds.as_ref());
    rows.path("broker.nkey", "nkey", broker.nkey.as_ref());
    rows.path("broker.tls.ca", "tlsca", broker.tls.ca.as_ref());
    rows.path("broker.tls.cert", "tlscert", broker.tls.cert.as_ref());
    rows.path("broker.tls.key", "tlskey", broker.tls.key.as_ref());
    rows.word(
        "broker.tls.first",
        "tlsfirst",
        broker.tls.first.then_some("true"),
    );
    rows.word("broker.js_domain", "js_domain", broker.js_domain.as_deref());
    rows.word(
        "broker.js_api_prefix",
        "js_api_prefix",
        broker.js_api_prefix.as_deref(),
    );
    rows.word(
        "broker.inbox_prefix",
        "inbox_prefix",
        broker.inbox_prefix.as_deref(),
    );
}

/// Every setting that has a flag.
pub(super) fn settings(config: &Config, folder: &Path) -> Vec<Setting> {
    let all = Vec::new();
    let mut rows = Rows { folder, all };
    of_broker(&mut rows, &config.broker);
    let (stream, output) = (&config.stream, &config.output);
    rows.word("stream.name", "stream", stream.name.as_deref());
    rows.word(
        "stream.subject_prefix",
        "subject_prefix",
        stream.subject_prefix.as_deref(),
    );
    rows.word(
        "stream.setup",
        "stream_setup",
        stream.setup.map(Setup::word),
    );
    rows.word(
        "stream.retention",
        "retention",
        stream.retention.as_ref().map(Span::written),
    );
    rows.word(
        "stream.max_bytes",
        "max_bytes",
        stream.max_bytes.map(|it| it.to_string()),
    );
    rows.word(
        "spool.max",
        "spool_max",
        config.spool.max.map(|it| it.to_string()),
    );
    rows.path("spool.dir", "spool_dir", config.spool.dir.as_ref());
    rows.word(
        "interval",
        "interval",
        config.interval.as_ref().map(Interval::written),
    );
    rows.word("evidence", "evidence", config.evidence.map(Evidence::word));
    rows.text("output.format", "output", output.format.as_ref());
    rows.word("output.time", "time", output.time.map(Time::word));
    rows.word("output.color", "color", output.color.map(Color::word));
    rows.all
}

/// Reads the file that is named, else the one that is found; says what is passed over.
pub(super) fn load(named: Option<&Path>) -> Result<Option<InForce>, Failure> {
    if let Some(path) = named {
        return read(path).map(Some);
    }
    let Ok(here) = std::env::current_dir() else {
        return Ok(None);
    };
    let search = search::search(&here, rustix::process::geteuid().as_raw());
    for (path, why) in &search.passed_over {
        let line = format!("{} is passed over: {why}", path.display());
        say(&words().clean(&line, 1000));
    }
    let Some(Found { path, text }) = search.found else {
        return Ok(None);
    };
    of_text(path, &text).map(Some)
}

/// The file in force for somebody who is typing: nothing is said of what is wrong with it, it is as if it were not there.
pub(super) fn in_force_quietly(named: Option<&Path>) -> Option<&'static InForce> {
    let found = if let Some(path) = named {
        read(path).ok()
    } else {
        let here = std::env::current_dir().ok()?;
        let found = search::search(&here, rustix::process::geteuid().as_raw()).found;
        found.and_then(|Found { path, text }| of_text(path, &text).ok())
    };
    found.map(|found| IN_FORCE.get_or_init(|| found))
}

/// Reads one file.
pub(super) fn read(path: &Path) -> Result<InForce, Failure> {
    let text = search::read(path).or_exit(Exit::Usage)?;
    let path = std::path::absolute(path).or_exit(Exit::Usage)?;
    of_text(path, &text)
}

fn of_text(path: PathBuf, text: &str) -> Result<InForce, Failure> {
    let env = |name: &str| std::env::var(name).ok();
    let config = parse(text, &env).map_err(|error: ConfigError| {
        Failure::say(Exit::Usage, format!("{}:{error}", path.display()))
    })?;
    Ok(InForce { path, config })
}

/// The command that was called, and what was given to it.
pub(super) fn leaf(matches: &ArgMatches) -> (Vec<String>, &ArgMatches) {
    let (mut names, mut matches) = (Vec::new(), matches);
    while let Some((name, inner)) = matches.subcommand() {
        names.push(name.to_owned());
        matches = inner;
    }
    (names, matches)
}

/// Lays the file under what was given, and parses again; the same matches where there is no file.
pub(super) fn under(
    program: &Command,
    matches: ArgMatches,
    named: Option<&Path>,
) -> Result<ArgMatches, Failure> {
    let (names, given) = leaf(&matches);
    if names
        .first()
        .is_none_or(|name| APART.contains(&name.as_str()))
    {
        return Ok(matches);
    }
    let Some(in_force) = load(named)? else {
        return Ok(matches);
    };
    tracing::info!(path = %in_force.path.display(), "settings");
    let program = lay(program, &in_force, &names, given)?;
    let path = in_force.path.clone();
    IN_FORCE.get_or_init(|| in_force);
    program.try_get_matches().map_err(|error| {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        let line = line.strip_prefix("error: ").unwrap_or(line);
        Failure::say(Exit::Usage, format!("{}: {line}", path.display()))
    })
}

/// The program with the settings of a file as defaults of one of its commands.
pub(super) fn lay(
    program: &Command,
    in_force: &InForce,
    names: &[String],
    given: &ArgMatches,
) -> Result<Command, Failure> {
    let command = names
        .iter()
        .try_fold(program, |command, name| command.find_subcommand(name));
    let mut defaults = Vec::new();
    for setting in settings(&in_force.config, in_force.folder()) {
        let is_known = |command: &Command| {
            let mut flags = command.get_arguments();
            flags.any(|flag| flag.get_id() == setting.flag)
        };
        let Some((value, _)) = setting.said else {
            continue;
        };
        if command.is_some_and(is_known) && counts(setting.key, setting.flag, names, given) {
            defaults.push((setting.flag, leaked(value, setting.key)?));
        }
    }
    Ok(with(program.clone(), names, &defaults))
}

/// Whether somebody said it: as a flag, or in the environment.
pub(super) fn is_said(given: &ArgMatches, flag: &str) -> bool {
    let known = given.try_contains_id(flag).is_ok();
    let source = known.then(|| given.value_source(flag)).flatten();
    source.is_some_and(|source| source != ValueSource::DefaultValue)
}

/// Whether what the file says counts beside what was given to a command.
pub(super) fn counts(key: &str, flag: &str, names: &[String], given: &ArgMatches) -> bool {
    let said = |flags: &[&str]| flags.iter().any(|flag| is_said(given, flag));
    if key.starts_with("output.") && !names.iter().all(|name| VIEWS.contains(&name.as_str())) {
        return false;
    }
    let is_foreign = key.starts_with("broker.") && said(&["server", "context"]);
    let is_let_in = CREDENTIALS.contains(&flag) && said(&CREDENTIALS);
    let has_api = APIS.contains(&flag) && said(&APIS);
    !is_foreign && !is_let_in && !has_api
}

/// A value for the rest of the run, which is as long as clap wants it.
fn leaked(value: Value, key: &str) -> Result<&'static OsStr, Failure> {
    let value = match value {
        Value::Plain(value) => value,
        Value::Secret(path) => {
            let text = search::read(&path).map_err(|error| {
                Failure::new(
                    Exit::Usage,
                    anyhow::Error::from(error).context(format!("{key} cannot be used")),
                )
            })?;
            text.trim().into()
        }
    };
    Ok(Box::leak(value.into_boxed_os_str()))
}

fn with(
    command: Command,
    names: &[String],
    defaults: &[(&'static str, &'static OsStr)],
) -> Command {
    match names.split_first() {
        Some((first, rest)) => command.mut_subcommand(first, |inner| with(inner, rest, defaults)),
        None => defaults.iter().fold(command, |command, (flag, value)| {
            command.mut_arg(flag, |arg| {
                arg.default_value(*value).hide_default_value(true)
            })
        }),
    }
}

/// An address without the user and the password that may stand in it.
pub(super) fn without_user(addresses: &str) -> String {
    let one = |address: &str| match address.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, host)) => format!("{scheme}://***@{host}"),
            None => address.to_owned(),
        },
        None => match address.rsplit_once('@') {
            Some((_, host)) => format!("***@{host}"),
            None => address.to_owned(),
        },
    };
    let all: Vec<_> = addresses.split(',').map(one).collect();
    all.join(",")
}
