//! `observe config`: the file of settings, checked, shown and described.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Args, Command, Subcommand};

use crate::config::file::{Config as File, Directory, Evidence, Source};
use crate::config::schema::CONFIG;
use crate::render::settings::{Setting, Settings, Stack};
use crate::render::words::count;

use super::conf::{self, InForce, is_said, without_user};
use super::exit::{Exit, Failure, OrExit as _, Outcome};
use super::settings_file::sieve;
use super::standing_args::{As, TableArgs};
use super::terminal::{Output, say, words};

const EXAMPLES: &str = "\
Examples:
  observe config show                      what is in force, and where each value came from
  observe config show -o json | jq -r '.settings[] | select(.from != \"default\") | .key'
  observe config check observe.yaml        whether the file is sound, and where not
  observe config schema > observe.schema.json

The file is observe.yaml, found from here upward, or what --config names. A flag goes before a variable of the
environment, that before the file, and that before what is usual.";

/// Checks, shows and describes the file of settings.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say whether the file is sound, or what is wrong in which line
    Check(Check),
    /// Show what is in force and where each value came from
    Show(Show),
    /// Print the JSON Schema of the file
    #[command(after_help = "Example:\n  observe config schema > observe.schema.json")]
    Schema,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  observe config check observe.yaml")]
struct Check {
    /// The file; without it, the one that is found
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  observe config show -o wide")]
struct Show {
    #[command(flatten)]
    table: TableArgs,
}

/// Runs it. `named` is what `--config` says.
pub(super) async fn run(args: Config, named: Option<&Path>, program: Command) -> Outcome {
    let text = match args.action {
        Action::Check(check) => checked(check.file.as_deref().or(named))?,
        Action::Show(show) => shown(&show.table, named, &program)?,
        Action::Schema => CONFIG.as_bytes().to_vec(),
    };
    let output = Output::open();
    // A reader that left has had enough.
    drop(output.line(text).await);
    output.finish().await?;
    Ok(Exit::Done)
}

fn checked(named: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let Some(found) = conf::load(named)? else {
        let words = "there is no observe.yaml of ours from here upward; name one, or write one that begins with version: 1";
        return Err(Failure::say(Exit::Refused, words));
    };
    let (sources, directories) = (&found.config.sources, &found.config.directories);
    let line = format!(
        "{} is sound: {}, {}",
        found.path.display(),
        count(number(sources.len()), "source", "sources"),
        count(number(directories.len()), "directory", "directories"),
    );
    Ok((words().clean(&line, 1000).into_owned() + "\n").into_bytes())
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn shown(table: &TableArgs, named: Option<&Path>, program: &Command) -> Result<Vec<u8>, Failure> {
    let found = conf::load(named)?;
    let settings = in_force(found.as_ref(), program)?;
    if let (Some(found), Some(variable)) = (&found, place_in_environment())
        && !(found.config.sources.is_empty() && found.config.directories.is_empty())
    {
        say(&format!(
            "{variable} is set and names a stack: the sources of the file do not count"
        ));
    }
    if let (Some(found), true) = (&found, std::io::stdout().is_terminal()) {
        // The table has no room for it there.
        let line = format!("settings of {}", found.path.display());
        say(&words().clean(&line, 1000));
    }
    match table.format() {
        As::Json => settings.json().or_exit(Exit::Refused),
        As::Text | As::Wide => Ok(settings.lines(&table.drawing()).concat().into_bytes()),
    }
}

/// The variable that says where the stack is, if one does.
pub(super) fn place_in_environment() -> Option<&'static str> {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let mut names = ["PC_SOCKET_PATH", "PC_ADDRESS", "PC_PORT_NUM"].into_iter();
    names.find(is_set)
}

/// What an adapter and a watch that are called without a flag would take.
fn in_force(found: Option<&InForce>, program: &Command) -> Result<Settings, Failure> {
    let usual = File::usual();
    let (config, folder) = found.map_or((&usual, Path::new("/")), |found| {
        (&found.config, found.folder())
    });
    let adapter = Called::of(program, "adapter")?;
    let watch = Called::of(program, "watch")?;
    let mut shown = Settings::none();
    let path = found.map(|found| found.path.display().to_string());
    for setting in conf::settings(config, folder) {
        let view = setting.key.starts_with("output.");
        let called = if view { &watch } else { &adapter };
        let file = path.as_deref();
        let Some((value, from)) = called.value(&setting, file) else {
            continue;
        };
        shown.settings.push(Setting {
            key: setting.key,
            flag: called.flag(setting.flag),
            value,
            from,
        });
    }
    shown.file = path;
    shown.sources = config.sources.iter().map(stack).collect();
    shown.directories = config.directories.iter().map(directory).collect();
    Ok(shown)
}

/// A command that is called without a flag.
struct Called {
    command: Command,
    given: ArgMatches,
}

impl Called {
    fn of(program: &Command, name: &str) -> Result<Self, Failure> {
        let parsed = program.clone().try_get_matches_from(["observe", name]);
        let mut parsed = parsed.or_exit(Exit::Usage)?;
        let found = program.find_subcommand(name).cloned();
        match (parsed.remove_subcommand(), found) {
            (Some((_, given)), Some(command)) => Ok(Self { command, given }),
            _ => Err(Failure::say(Exit::Refused, "a command is missing")),
        }
    }

    fn flag(&self, id: &str) -> String {
        let arg = self.command.get_arguments().find(|arg| arg.get_id() == id);
        let long = arg.and_then(|arg| arg.get_long());
        long.map_or_else(String::new, |long| format!("--{long}"))
    }

    /// The value in force and where it came from, both fit to be shown.
    fn value(&self, setting: &conf::Setting, file: Option<&str>) -> Option<(String, String)> {
        let arg = self
            .command
            .get_arguments()
            .find(|arg| arg.get_id() == setting.flag)?;
        let show = |value: &str| match setting.flag {
            "password" | "nats_token" => "***".to_owned(),
            "server" => without_user(value),
            _ => value.to_owned(),
        };
        if is_said(&self.given, setting.flag) {
            let value = self.given.get_raw(setting.flag)?.next()?.to_string_lossy();
            let name = arg.get_env()?.to_string_lossy().into_owned();
            return Some((show(&value), name));
        }
        let counts = conf::counts(setting.key, setting.flag, &[], &self.given);
        if let (Some((_, written)), Some(file), true) = (&setting.said, file, counts) {
            return Some((show(written), file.to_owned()));
        }
        let usual = arg.get_default_values().first()?.to_string_lossy();
        let is_flag = !arg.get_action().takes_values();
        (!is_flag).then(|| (show(&usual), "default".to_owned()))
    }
}

fn stack(source: &Source) -> Stack {
    let places = [&source.address, &source.url, &source.socket];
    let at = places.into_iter().flatten().next();
    Stack {
        name: Some(source.name.as_str().to_owned()),
        at: at.map_or_else(String::new, |at| without_user(at.written())),
        token_file: source
            .token_file
            .as_ref()
            .map(|path| path.written().to_owned()),
        interval: source
            .interval
            .as_ref()
            .map(|span| span.written().to_owned()),
        evidence: source.evidence.map(Evidence::word),
        // It was read, so its patterns are sound.
        left_out: sieve(source).ok().flatten().map(|it| it.to_string()),
    }
}

fn directory(directory: &Directory) -> Stack {
    Stack {
        name: None,
        at: directory.path.written().to_owned(),
        token_file: directory
            .token_file
            .as_ref()
            .map(|path| path.written().to_owned()),
        interval: directory
            .interval
            .as_ref()
            .map(|span| span.written().to_owned()),
        evidence: directory.evidence.map(Evidence::word),
        left_out: None,
    }
}
