//! `observe doctor`: what is wrong, and the fix.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use crate::broker;
use crate::bus::rights::Role;
use crate::bus::settings::{BusSettings, FirstConnect};
use crate::bus::survey::stream_config;
use crate::doctor::broker::Chosen;
use crate::doctor::examine::{Case, examine};
use crate::doctor::finding::{Report, Severity};
use crate::doctor::source::Whereabouts;
use crate::doctor::{owner, page};
use crate::event::subject::Prefix;
use crate::process_compose::discovery::Discovery;
use crate::render::style::ColorChoice;

use super::broker_args::{BrokerArgs, StreamArgs, host, with_managed};
use super::conf::in_force;
use super::exit::{Exit, Failure, OrExit as _, Outcome};
use super::memory;
use super::source_args::{SourceArgs, configured_names};
use super::terminal::{self, Output};

const EXAMPLES: &str = "\
Examples:
  observe doctor                                  everything an adapter and a reader depend on
  observe doctor -s nats://broker:4222 -o json    the same for that broker, for programs
  observe doctor --print-stream nats              how the owner of a broker creates the stream
  observe doctor --print-permissions adapter --source shop --stream-setup check

It changes nothing, starts nothing, and takes five seconds at most. To learn what
a user may do it offers the broker messages that the broker looks at and drops;
each leaves a line in the broker's log, with observe.doctor in it.

Exit codes: 0 nothing worse than a warning, 1 an error was found, 2 usage.";

/// Says what is wrong with source, broker, stream, rights and state folder, and what to do about it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Doctor {
    /// Print how the stream must be created by its owner, and nothing else
    #[arg(
        long,
        value_name = "AS",
        value_enum,
        conflicts_with = "print_permissions"
    )]
    print_stream: Option<As>,
    /// Print the least rights for this role, and nothing else
    #[arg(long, value_name = "ROLE", value_enum)]
    print_permissions: Option<Who>,
    /// How the report is written
    #[arg(
        short = 'o',
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    output: Format,
    /// The same as -o json
    #[arg(long, conflicts_with = "output", help_heading = "Output")]
    json: bool,
    /// When to use colour: auto, always or never
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Output"
    )]
    color: ColorChoice,
    #[command(flatten)]
    source: SourceArgs,
    /// Name of the source; by default the project's
    #[arg(long = "source", value_name = "NAME", help_heading = "Source")]
    name: Option<String>,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    stream: StreamArgs,
    /// The folder that the adapter was given for what waits for the broker
    #[arg(long, value_name = "DIR", help_heading = "While the broker is away")]
    spool_dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum As {
    /// The command of the nats program
    Nats,
    /// The configuration of the stream, for `nats stream add --config` or the server's API
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Who {
    /// Who tells: observe adapter
    Adapter,
    /// Who reads along: observe watch, wait, run, state, source ls
    Reader,
    /// Who reads along under a name that is remembered: observe watch --durable
    Durable,
    /// Who reads back: observe history
    History,
    /// Who reads back how everything stood: observe stats, state --at, diff
    Past,
    /// Who asks something of processes: observe process
    Process,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line for each finding, what to do below it
    #[default]
    Text,
    /// One JSON object
    Json,
}

/// Looks, and prints.
pub(super) async fn run(args: Doctor, token: CancellationToken) -> Outcome {
    if let Some(name) = &args.name {
        super::contact::check_name(name)?;
    }
    let (text, exit) = match (args.print_stream, args.print_permissions) {
        (Some(how), _) => (args.stream_of_owner(how)?, Exit::Done),
        (None, Some(who)) => (args.permissions(who)?, Exit::Done),
        (None, None) => {
            let Some(case) = token.run_until_cancelled(args.case()).await else {
                return Ok(Exit::Done);
            };
            let case = case?;
            let Some(report) = token.run_until_cancelled(Box::pin(examine(&case))).await else {
                return Ok(Exit::Done);
            };
            let exit = match report.worst {
                Severity::Error => Exit::Refused,
                _ => Exit::Done,
            };
            (args.written(&report)?, exit)
        }
    };
    let output = Output::open();
    // A reader that left has had enough.
    drop(output.line(text.into_bytes()).await);
    output.finish().await?;
    Ok(exit)
}

impl Doctor {
    fn written(&self, report: &Report) -> Result<String, Failure> {
        if self.json || self.output == Format::Json {
            let mut text = serde_json::to_string(report).or_exit(Exit::Refused)?;
            text.push('\n');
            return Ok(text);
        }
        let style = terminal::style(self.color, std::io::stdout().is_terminal());
        Ok(page::page(report, style, terminal::width()))
    }

    /// The prefix of one source where it is named, else of all.
    fn prefix(&self) -> Result<Prefix, Failure> {
        match &self.name {
            Some(name) => self.broker.writing_prefix(name),
            None => self.broker.reading_prefix(),
        }
    }

    fn settings(&self, prefix: Prefix) -> BusSettings {
        let settings = self
            .broker
            .settings("observe doctor", prefix, FirstConnect::MustSucceed);
        self.stream.apply(settings)
    }

    fn stream_of_owner(&self, how: As) -> Result<String, Failure> {
        let settings = self.settings(self.prefix()?);
        settings.check_stream().or_exit(Exit::Usage)?;
        let config = stream_config(&settings);
        Ok(match how {
            As::Json => owner::stream_json(&config),
            As::Nats => owner::stream_command(&config),
        })
    }

    fn permissions(&self, who: Who) -> Result<String, Failure> {
        let (role, whom) = match who {
            Who::Adapter => (Role::Adapter, "observe adapter"),
            Who::Reader => (Role::Reader, "observe watch"),
            Who::Durable => (Role::Durable, "observe watch --durable"),
            Who::History => (Role::History, "observe history"),
            Who::Past => (Role::Past, "observe stats, state --at and diff"),
            Who::Process => (Role::Process, "observe process"),
        };
        let prefix = match who {
            Who::Adapter => self.prefix()?,
            _ => self.broker.reading_prefix()?,
        };
        let settings = self.broker.in_context(self.settings(prefix))?;
        settings.check_stream().or_exit(Exit::Usage)?;
        let whom = format!("{whom} on stream {}", settings.stream);
        let source = self.name.as_deref();
        Ok(owner::permissions(role, &settings, source, &whom))
    }

    async fn case(&self) -> Result<Case, Failure> {
        let settings = self.settings(self.broker.reading_prefix()?);
        let (source, chosen) = tokio::join!(self.whereabouts(), self.choose(settings));
        let (broker, chosen) = chosen?;
        Ok(Case {
            source,
            name: self.name.clone(),
            broker,
            chosen,
            prefix: (self.broker.subject_prefix.clone(), host()),
            memory: memory::folder(),
            spool: self.spool_dir.clone(),
            variables: variables(),
        })
    }

    async fn whereabouts(&self) -> Whereabouts {
        match self.source.discover_as(self.name.as_deref()).await {
            Ok((Discovery::One(found), token)) => {
                let place = self.source.place(found, token);
                Whereabouts::One {
                    settings: Box::new(place.settings),
                    why: place.why,
                }
            }
            Ok((Discovery::Several(all), _)) => Whereabouts::Several(all),
            Ok((Discovery::None(tried), _)) => Whereabouts::Nowhere(tried),
            Err(failure) => match configured_names() {
                several if several.len() > 1 && self.name.is_none() => {
                    Whereabouts::Unchosen(several)
                }
                _ => Whereabouts::Unusable(failure.line()),
            },
        }
    }

    /// Chooses as every command does, but takes no share in a managed broker: that would keep it alive.
    async fn choose(&self, settings: BusSettings) -> Result<(BusSettings, Chosen), Failure> {
        let settings = self.broker.in_context(settings)?;
        let name = settings.context.clone();
        if let Some(server) = &self.broker.server {
            let by_variable = std::env::var("NATS_URL").is_ok_and(|url| url == *server);
            let in_file = in_force()
                .and_then(|file| file.config.broker.server.as_ref())
                .is_some_and(|said| said.as_str() == server);
            let by = match (by_variable, in_file) {
                (true, _) => "NATS_URL",
                (false, true) => "the file of settings",
                (false, false) => "--server",
            };
            let chosen = name.map_or(Chosen::By(by), |name| {
                Chosen::Context(format!("{name} with {by}"))
            });
            return Ok((settings, chosen));
        }
        if let Some(name) = name {
            return Ok((settings, Chosen::Context(name)));
        }
        if let Some(selected) = self.broker.under_selected(&settings) {
            let name = selected.context.clone().unwrap_or_default();
            return Ok((selected, Chosen::Selected(name)));
        }
        Ok(match broker::find(&self.broker.managed()).await {
            Ok(Some(running)) => {
                let token = running.token.reveal();
                (with_managed(settings, &running.url, token), Chosen::Managed)
            }
            Ok(None) | Err(_) => (settings, Chosen::Usual),
        })
    }
}

/// The names of the variables that are set and not empty; what they hold stays where it is.
fn variables() -> BTreeSet<String> {
    let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    set.map(|(name, _)| name.to_string_lossy().into_owned())
        .collect()
}
