//! `observe man`: the manual, made of the same words as the help.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_mangen::Man;

use super::exit::{Exit, Failure, OrExit as _, Outcome};
use super::terminal::Output;

const EXAMPLES: &str = "\
Examples:
  observe man > observe.1                    the page of the program
  observe man watch > observe-watch.1        the page of a command; read it with: man -l observe-watch.1
  observe man broker start | head -3
  observe man --dir man1                     every page, each in a file of that folder";

/// Prints a page of the manual.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Manual {
    /// The command, word by word; without one the program itself
    #[arg(value_name = "COMMAND")]
    words: Vec<String>,
    /// Write every page into this folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "words")]
    dir: Option<PathBuf>,
}

/// Prints a page, or writes all of them.
pub(super) async fn run(args: Manual, program: Command) -> Outcome {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    if let Some(folder) = &args.dir {
        write_all(&program, folder).or_exit(Exit::Refused)?;
        return Ok(Exit::Done);
    }
    let mut command = &program;
    for word in &args.words {
        command = visible(command)
            .find(|command| command.get_name() == word)
            .ok_or_else(|| unknown(command, word))?;
    }
    let output = Output::open();
    // A reader that left has had enough.
    drop(output.line(page(command).or_exit(Exit::Refused)?).await);
    output.finish().await?;
    Ok(Exit::Done)
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    let all = command.get_subcommands();
    all.filter(|command| !command.is_hide_set())
}

fn unknown(command: &Command, word: &str) -> Failure {
    let known: Vec<&str> = visible(command).map(Command::get_name).collect();
    let known = match known.as_slice() {
        [] => "no commands".to_owned(),
        known => known.join(", "),
    };
    let name = command.get_bin_name().unwrap_or("observe");
    Failure::say(
        Exit::Usage,
        format!("{name} has no command `{word}`; there are {known}"),
    )
}

fn write_all(command: &Command, folder: &std::path::Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    let path = folder.join(Man::new(command.clone()).get_filename());
    std::fs::write(&path, page(command)?)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    visible(command).try_for_each(|command| write_all(command, folder))
}

/// A page. The words behind the flags are set as they stand, because they are tables and commands to copy.
fn page(command: &Command) -> std::io::Result<Vec<u8>> {
    let man = Man::new(command.clone())
        .source(concat!("observe ", env!("CARGO_PKG_VERSION")))
        .manual("observe");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    if command.get_arguments().any(|arg| !arg.is_hide_set()) {
        man.render_options_section(&mut out)?;
    }
    if visible(command).next().is_some() {
        man.render_subcommands_section(&mut out)?;
    }
    if let Some(text) = command.get_after_help() {
        out.extend(as_it_stands(&text.to_string()).into_bytes());
    }
    Ok(out)
}

/// A section of text whose lines are left alone.
fn as_it_stands(text: &str) -> String {
    let mut lines = text.lines().peekable();
    let mut out = String::new();
    let title = match lines.peek() {
        Some(first) if first.starts_with("Example") => {
            lines.next();
            "EXAMPLES"
        }
        _ => "NOTES",
    };
    // Writing to a string cannot fail.
    let _infallible = writeln!(out, ".SH {title}\n.nf");
    for line in lines {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        let guard = if line.starts_with(['.', '\'']) {
            "\\&"
        } else {
            ""
        };
        let _infallible = writeln!(out, "{guard}{line}");
    }
    out.push_str(".fi\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_as_they_are_and_none_is_taken_for_a_request() {
        let text =
            "Examples:\n  observe watch -s x\n\n.5 is no request, 'nor is this\n'nor this \\n";
        assert_eq!(
            as_it_stands(text),
            ".SH EXAMPLES\n.nf\n  observe watch \\-s x\n\n\\&.5 is no request, 'nor is this\n\\&'nor this \\en\n.fi\n"
        );
    }
}
