//! `observe completions`: a script that lets a shell ask this program what may follow.
//!
//! The script knows nothing by itself. At each key it runs the program again, with [`VARIABLE`] set and the words typed so
//! far behind `--`; so words never age, and names are those of this moment.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, Args, Command, ValueEnum};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{Bash, CompleteEnv, Elvish, EnvCompleter, Fish, Powershell, Zsh};

use crate::event::payload::{Kind, Severity};

use super::context;
use super::exit::{Exit, OrExit as _, Outcome};
use super::live_names::{self, Names};
use super::terminal::Output;

/// Says that a shell asks, and which.
const VARIABLE: &str = "OBSERVE_COMPLETE";

const EXAMPLES: &str = "\
Examples:
  observe completions bash > observe.bash      then: source observe.bash
  observe completions zsh > observe.zsh
  observe completions fish > observe.fish
  observe completions bash | head -2

To have it in each new shell, in ~/.bashrc, ~/.zshrc or ~/.config/fish/config.fish:
    eval \"$(observe completions bash)\"
    eval \"$(observe completions zsh)\"
    observe completions fish | source

Names of processes, namespaces and sources are asked of the broker and of the stack that the words typed so far mean, for
300 ms at most; where nobody answers, none are offered. Names of contexts are those that the nats command keeps.";

/// Prints a script that completes commands, flags and names in a shell.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Completions {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

impl Shell {
    fn completer(self) -> &'static dyn EnvCompleter {
        match self {
            Self::Bash => &Bash,
            Self::Zsh => &Zsh,
            Self::Fish => &Fish,
            Self::Elvish => &Elvish,
            Self::Powershell => &Powershell,
        }
    }
}

/// Prints the script.
pub(super) async fn run(args: Completions) -> Outcome {
    let mut script = Vec::new();
    args.shell
        .completer()
        .write_registration(VARIABLE, "observe", "observe", &program(), &mut script)
        .or_exit(Exit::Refused)?;
    let output = Output::open();
    // A reader that left has had enough.
    drop(output.line(script).await);
    output.finish().await?;
    Ok(Exit::Done)
}

/// How the script runs us: by name where that is how we were run, else by our whole path.
fn program() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    let by_name = Path::new(&called).components().count() == 1;
    match std::env::current_exe() {
        Ok(path) if !by_name => path.to_string_lossy().into_owned(),
        _ => "observe".to_owned(),
    }
}

/// Answers a shell, where it is one that asks. Whatever goes wrong is said to nobody: a person is typing.
pub(super) fn answer(command: fn() -> Command) -> Option<ExitCode> {
    std::env::var_os(VARIABLE).filter(|shell| !shell.is_empty())?;
    let asked = CompleteEnv::with_factory(|| with_names(command()))
        .var(VARIABLE)
        .try_complete(std::env::args_os(), std::env::current_dir().ok().as_deref());
    match asked {
        Ok(false) => None,
        Ok(true) => Some(ExitCode::SUCCESS),
        Err(_) => Some(Exit::Refused.into()),
    }
}

/// The same command, where each argument knows its candidates. They go by the argument's name, which means the same in
/// every subcommand.
fn with_names(command: Command) -> Command {
    command
        .mut_args(candidates)
        .mut_subcommands(with_names)
        .disable_help_subcommand(true)
}

fn candidates(arg: Arg) -> Arg {
    let live = |pick: fn(&Names) -> Vec<String>| {
        ArgValueCandidates::new(move || {
            let names = live_names::ask(&typed());
            offered(pick(&names))
        })
    };
    let words = |words: &'static [&'static str]| {
        ArgValueCandidates::new(move || words.iter().map(CompletionCandidate::new).collect())
    };
    // Some commands call what they look at, and others choose by what was told.
    if arg.get_long() == Some("source") {
        return arg.add(live(Names::sources));
    }
    match arg.get_id().as_str() {
        "names" | "process" => arg.add(live(Names::processes)),
        "namespace" => arg.add(live(Names::namespaces)),
        "context" => arg.add(ArgValueCandidates::new(|| offered(context::names()))),
        "kind" => arg.add(ArgValueCandidates::new(|| offered(kinds()))),
        "severity" => {
            let all = Severity::ALL.map(|severity| severity.as_str().to_owned());
            arg.add(ArgValueCandidates::new(move || offered(all.to_vec())))
        }
        "time" => arg.add(words(&["local", "utc", "relative", "none"])),
        "color" => arg.add(words(&["auto", "always", "never"])),
        "condition" => arg.add(words(&[
            "ready",
            "running",
            "healthy",
            "stopped",
            "completed",
            "exited=",
            "crashed",
            "restarted",
            "gone",
        ])),
        "fail_on" => arg.add(words(&["crashed", "unhealthy", "restarted"])),
        "output" if arg.get_possible_values().is_empty() => arg.add(words(&[
            "text",
            "json",
            "wide",
            "raw",
            "cloudevents",
            "template=",
        ])),
        _ => arg,
    }
}

fn kinds() -> Vec<String> {
    let kinds: BTreeSet<&Kind> = Kind::PROCESS.iter().chain(&Kind::SOURCE).collect();
    kinds.iter().map(|kind| kind.as_str().to_owned()).collect()
}

/// The words typed so far.
fn typed() -> Vec<OsString> {
    let words = std::env::args_os().skip_while(|word| word != "--");
    // The mark itself, and the name of the program.
    words.skip(2).collect()
}

/// What may stand on a command line as it is. A shell would take apart, or even run, anything else.
fn offered(names: Vec<String>) -> Vec<CompletionCandidate> {
    let plain = |name: &String| {
        let first = name.chars().next();
        first.is_some_and(|first| first.is_alphanumeric() || first == '_')
            && name.chars().all(|c| {
                c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@' | '+')
            })
    };
    let names = names.into_iter().filter(plain);
    names.map(CompletionCandidate::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_mean_nothing_to_a_shell_are_offered() {
        let names = [
            "api",
            "web-1",
            "größe",
            "a.b:c",
            "",
            "-rf",
            "$(reboot)",
            "a b",
            "a;b",
            "a\nb",
            "`id`",
            "*",
            "~",
        ];
        let offered = offered(names.map(str::to_owned).to_vec());
        let offered: Vec<_> = offered
            .iter()
            .map(|candidate| candidate.get_value().to_string_lossy())
            .collect();
        assert_eq!(offered, ["api", "web-1", "größe", "a.b:c"]);
    }

    #[test]
    fn every_type_is_offered_once() {
        let kinds = kinds();
        assert_eq!(kinds.len(), 10, "{kinds:?}");
    }
}
