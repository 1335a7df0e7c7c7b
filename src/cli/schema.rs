//! `observe schema`: the contracts that others build on, as JSON Schema.

use clap::{Args, ValueEnum};

use crate::config::schema::CONFIG;
use crate::doctor::schema::REPORT;
use crate::event::schema::EVENT;
use crate::listen::LISTEN;
use crate::render::deeds::PROCESS;
use crate::render::difference::DIFF;
use crate::render::log::LOG;
use crate::render::outcome::WAIT;
use crate::render::settings::SETTINGS;
use crate::render::sources::SOURCES;
use crate::render::standings::STATE;
use crate::render::stats_json::STATS;
use crate::render::version::VERSION;

use super::exit::{Exit, Outcome};
use super::terminal::Output;

/// Prints a JSON Schema.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  observe schema event > event.v1.json")]
pub(super) struct Schema {
    /// What it describes
    #[arg(value_enum)]
    what: What,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// One event, as `watch --json` prints it and the stream holds it
    Event,
    /// One report, as `doctor -o json` prints it
    Doctor,
    /// What `wait -o json` prints
    Wait,
    /// What `stats -o json` prints
    Stats,
    /// What `version -o json` prints
    Version,
    /// What `state -o json` prints
    State,
    /// What `diff -o json` prints
    Diff,
    /// What `source ls -o json` prints
    Sources,
    /// What `process start|stop|restart|scale -o json` prints
    Process,
    /// A line of `process logs -o json`
    Log,
    /// What `adapter --listen` answers
    Listen,
    /// The file observe.yaml
    Config,
    /// What `config show -o json` prints
    Settings,
}

/// Prints it.
pub(super) async fn run(args: Schema) -> Outcome {
    let text = match args.what {
        What::Event => EVENT,
        What::Doctor => REPORT,
        What::Wait => WAIT,
        What::Stats => STATS,
        What::Version => VERSION,
        What::State => STATE,
        What::Diff => DIFF,
        What::Sources => SOURCES,
        What::Process => PROCESS,
        What::Log => LOG,
        What::Listen => LISTEN,
        What::Config => CONFIG,
        What::Settings => SETTINGS,
    };
    let output = Output::open();
    // A reader that left has had enough.
    drop(output.line(text.as_bytes().to_vec()).await);
    output.finish().await?;
    Ok(Exit::Done)
}
