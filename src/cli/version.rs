//! `observe version`: what this build is.

use clap::{Args, ValueEnum};

use crate::render::version::Build;

use super::exit::{Exit, OrExit as _, Outcome};
use super::terminal::Output;

const EXAMPLES: &str = "\
Examples:
  observe version
  observe version -o json | jq .schemas";

/// Prints the version, what it was built from and for, and the contracts it keeps.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Version {
    /// How it is written: text is one line, json one object
    #[arg(short = 'o', long, value_name = "FORMAT", value_enum, default_value_t)]
    output: As,
    /// The same as -o json
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum As {
    #[default]
    Text,
    Json,
}

/// Prints it.
pub(super) async fn run(args: Version) -> Outcome {
    let build = Build::THIS;
    let line = if args.json || args.output == As::Json {
        build.json().or_exit(Exit::Refused)?
    } else {
        (build.line() + "\n").into_bytes()
    };
    let output = Output::open();
    // A reader that left has had enough.
    drop(output.line(line).await);
    output.finish().await?;
    Ok(Exit::Done)
}
