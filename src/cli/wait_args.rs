//! The flags that say what is waited for; shared by those who wait.

use std::time::Duration;

use clap::Args;

use crate::event::filter::{Filter, Pattern};
use crate::process::condition::{Condition, Ill};
use crate::process::waiting::{Quantity, Wish};

use super::broker_args::BrokerArgs;
use super::exit::{Exit, Failure, OrExit as _};
use super::source_args::{SourceArgs, duration, only};

/// What is waited for, and where it is looked for.
#[derive(Debug, Args)]
pub(super) struct WaitArgs {
    /// What is waited for: ready, running, healthy, stopped, completed, exited=CODE, crashed, restarted, gone
    ///
    /// Ready means: Ready where there is a readiness probe, running without one, ended well for a job.
    #[arg(long = "for", value_name = "CONDITION", default_value = "ready")]
    condition: Condition,
    /// The most time it may take
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(super) timeout: Duration,
    /// How long it must hold without interruption
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    stable: Duration,
    /// How long a stack or a NAME may be missing
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(super) grace: Duration,
    /// One of them is enough
    #[arg(long, overrides_with = "all")]
    any: bool,
    /// Every one of them must meet it; that is how it is without --any
    #[arg(long, overrides_with = "any")]
    all: bool,
    /// End with 1 as soon as one of them is: crashed, unhealthy, restarted; with commas between them
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    fail_on: Vec<Ill>,
    /// Namespaces, by name or glob
    #[arg(short = 'N', long, value_name = "NAMESPACE", value_delimiter = ',')]
    namespace: Vec<String>,
    /// Sources, by name or glob
    #[arg(long, value_name = "SOURCE", value_delimiter = ',')]
    source: Vec<String>,
    /// Look at the stack itself, without a broker
    #[arg(long)]
    pub(super) direct: bool,
    #[command(flatten)]
    pub(super) place: SourceArgs,
    #[command(flatten)]
    pub(super) broker: BrokerArgs,
}

impl WaitArgs {
    /// What these flags mean for processes or groups of these names.
    pub(super) fn wish(&self, names: &[String]) -> Result<Wish, Failure> {
        let patterns = |texts: &[String]| {
            let parsed = texts.iter().map(|text| Pattern::parse(text));
            parsed.collect::<Result<Vec<_>, _>>().or_exit(Exit::Usage)
        };
        Ok(Wish {
            condition: self.condition,
            names: patterns(names)?,
            namespaces: patterns(&self.namespace)?,
            quantity: if self.any {
                Quantity::Any
            } else {
                Quantity::All
            },
            stable: self.stable,
            grace: self.grace,
            fail_on: self.fail_on.iter().copied().collect(),
        })
    }

    /// Which sources are wanted; everything they tell is read, so that nothing can be missing.
    pub(super) fn sources(&self) -> Result<Filter, Failure> {
        let mut filter = Filter::all();
        for source in &self.source {
            filter = filter.source(source).or_exit(Exit::Usage)?;
        }
        Ok(filter)
    }

    /// Whether anything is to end it early.
    pub(super) fn fails_on_something(&self) -> bool {
        !self.fail_on.is_empty()
    }

    /// The one source that is wanted, where it is only one.
    pub(super) fn only_source(&self) -> Option<&str> {
        only(&self.source)
    }

    /// Whether somebody said which sources are wanted.
    pub(super) fn is_chosen(&self) -> bool {
        !self.source.is_empty()
    }
}
