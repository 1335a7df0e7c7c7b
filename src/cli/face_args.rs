//! The flags that say which events are wanted and how they look.

use std::io::IsTerminal as _;

use clap::Args;

use crate::event::filter::Filter;
use crate::render::format::{Face, Format};
use crate::render::line::Columns;
use crate::render::style::ColorChoice;
use crate::render::time::{TimeStyle, Times};

use super::exit::{Exit, Failure, OrExit as _};
use super::terminal;

/// Which events are wanted. Values of one flag are alternatives; different flags must all hold.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Filter")]
pub(super) struct FilterArgs {
    /// Processes or groups, by name or glob
    #[arg(value_name = "NAME")]
    pub(super) names: Vec<String>,
    /// The same as a NAME
    #[arg(long, value_name = "NAME")]
    pub(super) process: Vec<String>,
    /// Event types, with commas between them
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    pub(super) kind: Vec<String>,
    /// Namespaces, by name or glob
    #[arg(short = 'N', long, value_name = "NAMESPACE", value_delimiter = ',')]
    pub(super) namespace: Vec<String>,
    /// This severity or a higher one: info, warning, error, critical
    #[arg(long, value_name = "SEVERITY")]
    pub(super) severity: Option<String>,
    /// Sources, by name or glob
    #[arg(long, value_name = "SOURCE", value_delimiter = ',')]
    pub(super) source: Vec<String>,
    /// Anything as KEY=VALUE: process, type, namespace, source, severity, reason, certainty, origin
    #[arg(short = 'f', long = "filter", value_name = "KEY=VALUE")]
    pub(super) filter: Vec<String>,
    /// A regular expression that fits what is said of an event: type, names, severity, reason, status, 'exit 7'; without upper case it fits both
    #[arg(short = 'g', long, value_name = "REGEX")]
    pub(super) grep: Vec<String>,
}

impl FilterArgs {
    /// The filter these flags mean.
    pub(super) fn filter(&self) -> Result<Filter, Failure> {
        let mut filter = Filter::all();
        for name in self.names.iter().chain(&self.process) {
            filter = filter.process(name).or_exit(Exit::Usage)?;
        }
        for kind in &self.kind {
            filter = filter.kind(kind.trim()).or_exit(Exit::Usage)?;
        }
        for namespace in &self.namespace {
            filter = filter.namespace(namespace).or_exit(Exit::Usage)?;
        }
        for source in &self.source {
            filter = filter.source(source).or_exit(Exit::Usage)?;
        }
        if let Some(severity) = &self.severity {
            filter = filter.at_least(severity).or_exit(Exit::Usage)?;
        }
        for pair in &self.filter {
            filter = filter.key_value(pair).or_exit(Exit::Usage)?;
        }
        for text in &self.grep {
            filter = filter.grep(text).or_exit(Exit::Usage)?;
        }
        Ok(filter)
    }
}

/// How events look.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct FaceArgs {
    /// How events are written: text, json, wide, raw, cloudevents or template='{time} {type} {process}'
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "text")]
    pub(super) output: Format,
    /// The same as -o json
    #[arg(long, conflicts_with = "output")]
    pub(super) json: bool,
    /// Times as local, utc, relative or none
    #[arg(long, value_name = "HOW", default_value = "local")]
    pub(super) time: TimeStyle,
    /// When to use colour: auto, always or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(super) color: ColorChoice,
}

impl FaceArgs {
    /// What was asked for.
    pub(super) fn format(&self) -> Format {
        if self.json {
            Format::Json
        } else {
            self.output.clone()
        }
    }

    /// The face these flags mean on this stdout.
    pub(super) fn face(&self, several_sources: bool) -> Face {
        let style = terminal::style(self.color, std::io::stdout().is_terminal());
        let columns = Columns::for_width(terminal::width(), several_sources);
        Face::new(self.format(), style, Times::new(self.time), columns)
    }
}
