//! The flags that say whose standing is wanted and how it is shown; shared by those who show a table.

use std::io::IsTerminal as _;

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};

use crate::event::filter::{Filter, Pattern};
use crate::process::moment::Choice;
use crate::render::moment::moment;
use crate::render::standings::{Columns, Drawing, Titles};
use crate::render::style::ColorChoice;
use crate::render::time::{TimeStyle, Times};

use super::exit::{Exit, Failure, OrExit as _};
use super::source_args::only;
use super::terminal;

/// Whose standing is wanted. Values of one flag are alternatives; different flags must all hold.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Filter")]
pub(super) struct ChoiceArgs {
    /// Processes or groups, by name or glob
    #[arg(long, value_name = "NAME")]
    process: Vec<String>,
    /// Namespaces, by name or glob
    #[arg(short = 'N', long, value_name = "NAMESPACE", value_delimiter = ',')]
    namespace: Vec<String>,
    /// Sources, by name or glob
    #[arg(long, value_name = "SOURCE", value_delimiter = ',')]
    source: Vec<String>,
}

impl ChoiceArgs {
    /// Which processes these flags mean, and names beside them.
    pub(super) fn choice(&self, names: &[String]) -> Result<Choice, Failure> {
        let patterns = |texts: &mut dyn Iterator<Item = &String>| {
            let parsed = texts.map(|text| Pattern::parse(text));
            parsed.collect::<Result<Vec<_>, _>>().or_exit(Exit::Usage)
        };
        Ok(Choice {
            names: patterns(&mut names.iter().chain(&self.process))?,
            namespaces: patterns(&mut self.namespace.iter())?,
        })
    }

    /// Which sources are wanted; everything they tell is read.
    pub(super) fn sources(&self) -> Result<Filter, Failure> {
        let mut filter = Filter::all();
        for source in &self.source {
            filter = filter.source(source).or_exit(Exit::Usage)?;
        }
        Ok(filter)
    }

    /// The one source that is wanted, where it is only one.
    pub(super) fn only_source(&self) -> Option<&str> {
        only(&self.source)
    }

    /// Whether somebody said which sources are wanted.
    pub(super) fn names_sources(&self) -> bool {
        !self.source.is_empty()
    }
}

/// How a table is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum As {
    /// A table that fits into the terminal
    #[default]
    Text,
    /// The same with more columns, and nothing cut
    Wide,
    /// One object
    Json,
}

/// How a table is shown.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct TableArgs {
    /// How it is written
    #[arg(short = 'o', long, value_name = "FORMAT", value_enum, default_value_t)]
    output: As,
    /// The same as -o json
    #[arg(long, conflicts_with = "output")]
    json: bool,
    /// Rows alone, without titles
    #[arg(long)]
    no_headers: bool,
    /// Times as local or utc
    #[arg(long, value_name = "HOW", default_value = "local")]
    time: TimeStyle,
    /// When to use colour: auto, always or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

impl TableArgs {
    /// How it is written.
    pub(super) fn format(&self) -> As {
        if self.json { As::Json } else { self.output }
    }

    /// How the table is drawn on this stdout.
    pub(super) fn drawing(&self) -> Drawing {
        Drawing {
            style: terminal::style(self.color, std::io::stdout().is_terminal()),
            times: Times::new(self.time),
            terminal: terminal::width(),
            columns: if self.format() == As::Wide {
                Columns::Wide
            } else {
                Columns::Usual
            },
            titles: if self.no_headers {
                Titles::None
            } else {
                Titles::Shown
            },
        }
    }

    /// The moment a text means, which must have come.
    pub(super) fn moment(&self, text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
        let at = moment(text, now, Times::new(self.time).zone).or_exit(Exit::Usage)?;
        if at > now {
            let words = format!(
                "{text} lies in the future; for the day before write for example 'yesterday 18:30'"
            );
            return Err(Failure::say(Exit::Usage, words));
        }
        Ok(at)
    }
}
