//! The program: parse, run, print the error, end.

use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;

use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::detach::FLAG;
use super::exit::{Exit, Failure, OrExit as _, Outcome};
use super::signals::{Hangups, Signals};
use super::terminal::{say, words};
use super::{
    adapter, broker, completions, conf, config, diff, doctor, down, history, man, process, run,
    schema, simulate, source, state, stats, up, version, wait, watch,
};

const EXAMPLES: &str = "\
Examples:
  observe watch            live events of the stack on this machine, nothing else needed
  observe up               the same, kept in a broker of its own; up -d in the background, until observe down
  observe adapter          tell what a stack does into a broker, for as long as it runs
  observe history -S 1h    what happened in the last hour
  observe state            how every process stands; --at 1h how it stood an hour ago
  observe stats            how often each process crashed, and how long it was up
  observe doctor           what is wrong, and the fix
  observe wait             until every process of the stack is ready
  observe process restart api   do something, and have it told as requested
  observe watch --type crashed --json | jq .process

Exit codes: 0 done or the reader left, 1 refused, 2 usage, 3 source unreachable, 4 broker unreachable, 124 time is up, 130/143 by signal.";

/// Tells what your processes did, exactly once, and never lies about what it did not see.
#[derive(Debug, Parser)]
#[command(name = "observe", version, after_help = EXAMPLES, max_term_width = 110)]
struct Observe {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    own: Own,
}

// What goes with every command.
#[derive(Debug, Args)]
struct Own {
    /// Say more: one line for each commit, then what happens inside (RUST_LOG decides in detail)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[arg(long = FLAG, value_name = "LOG", hide = true)]
    background: Option<PathBuf>,
    /// File of settings; by default the observe.yaml that is found from here upward
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "OBSERVE_CONFIG",
        help_heading = "Settings"
    )]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything on this machine in one command: broker, adapter, live view
    Up(Box<up::Up>),
    /// End what up -d left in the background
    Down(Box<down::Down>),
    /// Look at a process-compose and tell what changed into a broker
    Adapter(Box<adapter::Adapter>),
    /// Print events as they happen
    Watch(Box<watch::Watch>),
    /// Print past events
    History(Box<history::History>),
    /// Show how every process stands, or stood at a moment
    State(Box<state::State>),
    /// Show what differs between two moments
    Diff(Box<diff::Diff>),
    /// Print crashes, restarts and uptime per process
    Stats(Box<stats::Stats>),
    /// Say what is wrong, and the fix
    Doctor(Box<doctor::Doctor>),
    /// Wait until processes are ready, or whatever else is waited for
    Wait(Box<wait::Wait>),
    /// Wait until processes are ready, run a command, and watch them meanwhile
    Run(Box<run::Run>),
    /// Start, stop, restart and scale processes, and show what they write
    Process(Box<process::Process>),
    /// Play a process-compose, for people who write consumers
    Simulate(Box<simulate::Simulate>),
    /// List the sources a broker knows, or forget one
    Source(Box<source::Source>),
    /// Start, stop or show the managed broker
    Broker(Box<broker::Broker>),
    /// Check, show or describe the file of settings
    Config(Box<config::Config>),
    /// Print a JSON Schema
    Schema(Box<schema::Schema>),
    /// Print a script that completes commands and names in a shell
    Completions(Box<completions::Completions>),
    /// Print a page of the manual
    Man(Box<man::Manual>),
    /// Print the version and the contracts it keeps
    Version(Box<version::Version>),
}

/// Gives a command its flags.
type Flags = fn(clap::Command) -> clap::Command;

/// The commands that are called alone, and their flags.
const ALONE: [(&str, Flags); 15] = [
    ("up", up::Up::augment_args),
    ("down", down::Down::augment_args),
    ("adapter", adapter::Adapter::augment_args),
    ("watch", watch::Watch::augment_args),
    ("history", history::History::augment_args),
    ("state", state::State::augment_args),
    ("diff", diff::Diff::augment_args),
    ("stats", stats::Stats::augment_args),
    ("doctor", doctor::Doctor::augment_args),
    ("wait", wait::Wait::augment_args),
    ("run", run::Run::augment_args),
    ("process", process::Process::augment_args),
    ("simulate", simulate::Simulate::augment_args),
    ("source", source::Source::augment_args),
    ("broker", broker::Broker::augment_args),
];

/// Runs the program and gives its exit code.
pub fn main() -> ExitCode {
    if let Some(exit) = completions::answer(Observe::command) {
        return exit;
    }
    let (program, matches) = match given() {
        Ok(given) => given,
        Err(error) => return usage(&error),
    };
    log(matches.get_count("verbose"));
    match arguments(&program, matches).and_then(begin) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            say(&format!(
                "observe: {}",
                words().clean(&failure.line(), 4000)
            ));
            failure.exit.into()
        }
    }
}

/// What was given, and the program as far as that needs it: the flags of all commands would take a third of the time until
/// the first line, and most of the memory. Whatever is not plainly a call of one command is for the whole program to judge.
fn given() -> clap::error::Result<(clap::Command, ArgMatches)> {
    let first = std::env::args_os().nth(1);
    if let Some(program) = first.and_then(|name| alone(name.to_str()?))
        && let Ok(matches) = program.clone().try_get_matches()
    {
        return Ok((program, matches));
    }
    let program = Observe::command();
    let matches = program.clone().try_get_matches()?;
    Ok((program, matches))
}

/// The program with this command only.
fn alone(name: &str) -> Option<clap::Command> {
    let (name, with) = ALONE.into_iter().find(|(known, _)| *known == name)?;
    let command = with(clap::Command::new(name));
    Some(Own::augment_args(clap::Command::new("observe")).subcommand(command))
}

/// What was given, and below it what the file of settings says.
fn arguments(program: &clap::Command, matches: ArgMatches) -> Result<Observe, Failure> {
    let named = matches.get_one::<PathBuf>("config").cloned();
    let mut matches = conf::under(program, matches, named.as_deref())?;
    Observe::from_arg_matches_mut(&mut matches).or_exit(Exit::Usage)
}

/// Help and version are no errors; everything else is bad usage.
fn usage(error: &clap::Error) -> ExitCode {
    let exit = if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Done
    };
    // A reader that left has had enough of the help.
    drop(error.print());
    exit.into()
}

fn log(verbose: u8) {
    let default = match verbose {
        0 => "observe=warn",
        1 => "observe=info",
        2 => "observe=debug",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let colored = words().colored;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colored)
        .init();
}

/// One thread does all the work: it waits most of the time, and a second one would cost memory.
fn begin(mut args: Observe) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .or_exit(Exit::Refused)?;
    let verbose = args.own.verbose > 0;
    let background = args.own.background.take();
    let named = args.own.config.take();
    let outcome = runtime.block_on(async {
        let token = CancellationToken::new();
        if let Command::Broker(args) = &mut args.command
            && let Some(orders) = args.warden()
        {
            // It has its own way with signals.
            return broker::warden(orders).await;
        }
        // A command that is run has signals handed on to it.
        let own_way = matches!(args.command, Command::Run(_));
        let hangups = Hangups::default();
        let signals = (!own_way)
            .then(|| Signals::listen(hangups.clone()))
            .transpose()?;
        let work = work(
            args.command,
            (verbose, named),
            (background, hangups),
            &token,
        );
        match signals {
            Some(signals) => signals.run(token.clone(), work).await,
            None => work.await,
        }
    });
    runtime.shutdown_background();
    outcome
}

/// A command under way.
type Work = Pin<Box<dyn Future<Output = Outcome>>>;

/// Begins a command. All of them are made by themselves: else each would have its room on the stack for as long as the one
/// that is called runs.
fn work(
    command: Command,
    (verbose, named): (bool, Option<PathBuf>),
    (background, hangups): (Option<PathBuf>, Hangups),
    token: &CancellationToken,
) -> Work {
    let token = token.clone();
    match command {
        Command::Up(args) => apart(move || up::run(*args, verbose, (background, hangups), token)),
        Command::Down(args) => apart(move || down::run(*args, token)),
        Command::Adapter(args) => busy(move || adapter::run(*args, verbose, hangups, token)),
        Command::Watch(args) => busy(move || watch::run(*args, token)),
        Command::History(args) => busy(move || history::run(*args, token)),
        Command::State(args) => apart(move || state::run(*args, token)),
        Command::Diff(args) => busy(move || diff::run(*args, token)),
        Command::Source(args) => apart(move || source::run(*args, token)),
        Command::Stats(args) => busy(move || stats::run(*args, token)),
        Command::Doctor(args) => apart(move || doctor::run(*args, token)),
        Command::Wait(args) => apart(move || wait::run(*args, token)),
        Command::Run(args) => apart(move || run::run(*args)),
        Command::Process(args) => apart(move || process::run(*args, token)),
        Command::Simulate(args) => apart(move || simulate::run(*args, token)),
        Command::Broker(args) => apart(move || broker::run(*args, token)),
        Command::Schema(args) => apart(move || schema::run(*args)),
        Command::Config(args) => {
            apart(
                move || async move { config::run(*args, named.as_deref(), Observe::command()).await },
            )
        }
        Command::Completions(args) => apart(move || completions::run(*args)),
        Command::Man(args) => apart(move || man::run(*args, Observe::command())),
        Command::Version(args) => apart(move || version::run(*args)),
    }
}

#[inline(never)]
fn apart<F: Future<Output = Outcome> + 'static>(begin: impl FnOnce() -> F) -> Work {
    Box::pin(begin())
}

/// Runs what wakes often in a task of its own, because each wake of the future that the runtime blocks on is a system call.
/// The task is dropped with the runtime, should nobody wait for it any more.
#[inline(never)]
fn busy<F: Future<Output = Outcome> + Send + 'static>(begin: impl FnOnce() -> F) -> Work {
    let task = tokio::spawn(Box::pin(begin()));
    Box::pin(async {
        let joined = task.await.map_err(JoinError::try_into_panic);
        joined.unwrap_or_else(|error| match error {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(Failure::new(Exit::Refused, error)),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Observe::command().debug_assert();
    }

    #[test]
    fn a_command_alone_has_the_flags_that_it_has_in_the_whole_program() {
        let mut whole = Observe::command();
        whole.build();
        let mut found = 0;
        for command in whole.get_subcommands() {
            let Some(mut program) = alone(command.get_name()) else {
                continue;
            };
            found += 1;
            program.clone().debug_assert();
            program.build();
            let alone = program.find_subcommand(command.get_name()).unwrap();
            // Help, values, conflicts and defaults are in it.
            assert_eq!(arguments_of(alone), arguments_of(command));
        }
        assert_eq!(found, ALONE.len(), "the names are those of commands");
    }

    /// All that is known of the arguments of a command and of those within it.
    fn arguments_of(command: &clap::Command) -> String {
        let own = command
            .get_arguments()
            // The word for it depends on whether there is more to show.
            .filter(|arg| arg.get_id() != "help")
            .map(|arg| format!("{:#?}\n", arg.clone().display_order(0)));
        let inner = command.get_subcommands().map(arguments_of);
        own.chain(inner).collect()
    }
}
