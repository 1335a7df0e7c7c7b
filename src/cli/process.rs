//! `observe process`: start, stop, restart, scale, and what processes write.

use std::pin::Pin;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::adapter::settings::random_name;
use crate::process::control::{Action, Ask, Intent, Run};
use crate::process_compose::control::{Command, ControlError, ControlErrorKind};
use crate::process_compose::error::ClientError;
use crate::render::deeds::{Became, Deed, Deeds};

use super::awaited::{Awaited, Proof, wait_for};
use super::exit::{Exit, Failure, OrExit as _, Outcome};
use super::named::{Meant, Stack, confirm, look, meant, patterns};
use super::source_args::duration;
use super::target::{Need, Target, TargetArgs};
use super::terminal::{Output, say, words};
use super::{logs, scale};

/// So many commands are under way at once.
const AT_ONCE: usize = 8;

const EXAMPLES: &str = "\
Examples:
  observe process restart api                 and the events that follow say: requested
  observe process stop 'web*' --yes           all that match; on a terminal you are asked instead
  observe process start web --wait            until it is ready
  observe process scale web=3 --wait          a group, by its configured name
  observe process logs api --tail 20          the last lines it wrote
  observe process restart api -o json | jq .processes[].outcome";

/// Does something about processes, and shows what they write.
///
/// Before anything is done the adapter of the stack is told, so that it tells what follows as requested. NAME is a process,
/// a group (web for web-0, web-1) or a glob.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Process {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Begin a run of each process
    #[command(after_help = "Example:\n  observe process start web --wait")]
    Start(Asked),
    /// End the run of each process; nothing begins it again by itself
    #[command(after_help = "Example:\n  observe process stop web --wait")]
    Stop(Asked),
    /// End the run of each process, and begin another
    #[command(after_help = "Example:\n  observe process restart api worker --wait --timeout 2m")]
    Restart(Asked),
    /// Give groups another number of replicas
    #[command(after_help = "Example:\n  observe process scale web=3")]
    Scale(scale::Scale),
    /// Show what processes write
    #[command(after_help = logs::EXAMPLES)]
    Logs(logs::Logs),
}

#[derive(Debug, Args)]
struct Asked {
    /// Processes or groups, by name or glob
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Do not ask before a pattern that matches several
    #[arg(short = 'y', long)]
    yes: bool,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    target: TargetArgs,
}

/// How something is done, and what is said of it.
#[derive(Debug, Args)]
pub(super) struct How {
    /// Wait for the outcome: ready after start, restart and scale, stopped after stop
    #[arg(short = 'w', long)]
    pub(super) wait: bool,
    /// With --wait: how long it must hold without interruption
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub(super) stable: Duration,
    /// The most time it may take, with and without --wait
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(super) timeout: Duration,
    /// Act also where what the adapter saw last is older than three of its intervals
    #[arg(long)]
    pub(super) force: bool,
    /// What is written at the end: text is a line for each process, json is one object
    #[arg(short = 'o', long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(super) output: As,
    /// The same as -o json
    #[arg(long, conflicts_with = "output")]
    pub(super) json: bool,
}

/// What is written at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum As {
    #[default]
    Text,
    Json,
}

/// Does it.
pub(super) async fn run(args: Process, token: CancellationToken) -> Outcome {
    let cancelled = token.clone();
    let asked: Pin<Box<dyn Future<Output = Outcome>>> = match args.what {
        // It ends by itself when it is asked to, and what it has read is written first.
        What::Logs(args) => return Box::pin(logs::run(args, &token)).await,
        What::Start(asked) => Box::pin(act(Action::Start, asked, &token)),
        What::Stop(asked) => Box::pin(act(Action::Stop, asked, &token)),
        What::Restart(asked) => Box::pin(act(Action::Restart, asked, &token)),
        What::Scale(args) => Box::pin(scale::run(args, &token)),
    };
    let outcome = cancelled.run_until_cancelled(asked).await;
    outcome.unwrap_or(Ok(Exit::Done))
}

async fn act(action: Action, asked: Asked, token: &CancellationToken) -> Outcome {
    let patterns = patterns(&asked.names)?;
    let Some(target) = asked.target.find(&patterns, Need::Adapter, token).await? else {
        return Ok(Exit::Done);
    };
    let began = Instant::now();
    let client = &target.contact.client;
    let stack = look(client).await.map_err(|error| unseen(&error))?;
    let meant = meant(client, &target.source, &stack, &patterns).await?;
    if !asked.how.force {
        target.is_recent().await?;
    }
    if meant.is_broad && !asked.yes && !confirm(action.as_str(), &target.source, &meant).await? {
        return Err(Failure::say(Exit::Refused, "nothing was done"));
    }
    let intent = intent(action, asked.how.timeout, runs(&stack, &meant));
    let left = target.leave(&intent, false).await;
    let mut done = Done::new(action, &target.source, left);
    let results: Vec<_> = stream::iter(&meant.names)
        .map(|name| one(action, name, &target, asked.how.timeout))
        .buffered(AT_ONCE)
        .collect()
        .await;
    for (name, result) in meant.names.iter().zip(results) {
        done.add(deed(name), result);
    }
    target.over(&intent.id, done.refused()).await;
    if asked.how.wait {
        let names = done.well();
        let rest = asked.how.timeout.saturating_sub(began.elapsed());
        let proof = Proof::new(action, &asked.how, rest);
        let awaited = wait_for(&proof, &names, &target.contact, &asked.target.place);
        done.weigh(awaited.await?);
    }
    done.tell(&asked.how).await
}

async fn one(
    action: Action,
    name: &str,
    target: &Target,
    limit: Duration,
) -> Result<(), ControlError> {
    let command = match action {
        Action::Stop => Command::Stop(name),
        Action::Restart => Command::Restart(name),
        Action::Start | Action::Scale => Command::Start(name),
    };
    target.contact.client.command(command, limit).await
}

/// A stack that cannot be looked at.
pub(super) fn unseen(error: &ClientError) -> Failure {
    Failure::say(Exit::Source, error)
}

/// The runs that an action on these processes ends.
fn runs(stack: &Stack, meant: &Meant) -> Vec<Run> {
    let run = |name: &String| {
        let pid = stack.get(name)?.pid?;
        Some(Run {
            name: name.clone(),
            pid,
        })
    };
    meant.names.iter().filter_map(run).collect()
}

/// An intent that accounts for the ends of these runs.
pub(super) fn intent(action: Action, limit: Duration, runs: Vec<Run>) -> Intent {
    Intent {
        id: random_name(),
        action,
        runs: if action.ends_runs() { runs } else { Vec::new() },
        limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
    }
}

/// What is to be filled in of one process.
pub(super) fn deed(name: &str) -> Deed {
    Deed {
        process: name.to_owned(),
        outcome: Became::Done,
        reason: String::new(),
        from: None,
        to: None,
    }
}

impl Target {
    /// Refuses where the adapter's data, by which a person may have chosen, is old.
    pub(super) async fn is_recent(&self) -> Result<(), Failure> {
        match &self.adapter {
            Some(adapter) => adapter.is_recent().await,
            None => Ok(()),
        }
    }

    /// Leaves an intent with the adapter; whether it took it.
    pub(super) async fn leave(&self, intent: &Intent, hold: bool) -> bool {
        let Some(adapter) = &self.adapter else {
            return false;
        };
        let asked = Ask::Intent {
            intent: intent.clone(),
            hold,
        };
        let answer = adapter.ask(&asked).await;
        if answer.is_none() {
            let name = words().clean(&self.source, 60).into_owned();
            say(&format!(
                "the adapter of {name} does not answer: what follows may be told as if nobody had asked for it"
            ));
        }
        answer.is_some()
    }

    /// Says that what was intended was tried.
    pub(super) async fn over(&self, id: &str, refused: Vec<String>) {
        if let Some(adapter) = &self.adapter {
            let id = id.to_owned();
            drop(adapter.ask(&Ask::Over { id, refused }).await);
        }
    }
}

/// What became of everything that was asked.
pub(super) struct Done<'a> {
    action: Action,
    source: &'a str,
    left: bool,
    deeds: Vec<Deed>,
    worst: Option<Exit>,
}

impl<'a> Done<'a> {
    pub(super) fn new(action: Action, source: &'a str, left: bool) -> Self {
        Self {
            action,
            source,
            left,
            deeds: Vec::new(),
            worst: None,
        }
    }

    /// Notes what became of one request.
    pub(super) fn add(&mut self, mut deed: Deed, result: Result<(), ControlError>) {
        if let Err(error) = result {
            let (outcome, exit) = match error.kind() {
                ControlErrorKind::Refused | ControlErrorKind::Unsupported => {
                    (Became::Refused, Exit::Refused)
                }
                ControlErrorKind::Forbidden => (Became::Refused, Exit::Source),
                ControlErrorKind::Unreachable => (Became::Unheard, Exit::Source),
                ControlErrorKind::Late => (Became::Unknown, Exit::Timeout),
                ControlErrorKind::Unknown => (Became::Unknown, Exit::Refused),
            };
            error.found().clone_into(&mut deed.reason);
            deed.outcome = outcome;
            self.worse(exit);
        }
        self.deeds.push(deed);
    }

    /// A refusal outweighs a source that is away, and that outweighs time.
    fn worse(&mut self, exit: Exit) {
        let weight = |exit: Exit| match exit {
            Exit::Refused => 3,
            Exit::Source => 2,
            _ => 1,
        };
        if self.worst.is_none_or(|worst| weight(exit) > weight(worst)) {
            self.worst = Some(exit);
        }
    }

    /// The processes for which certainly nothing was done.
    fn refused(&self) -> Vec<String> {
        let nothing = |deed: &&Deed| matches!(deed.outcome, Became::Refused | Became::Unheard);
        let refused = self.deeds.iter().filter(nothing);
        refused.map(|deed| deed.process.clone()).collect()
    }

    /// Whether all is well with what was asked of this one.
    pub(super) fn is_well(&self, name: &str) -> bool {
        let deed = self.deeds.iter().find(|deed| deed.process == name);
        deed.is_some_and(|deed| deed.outcome.is_well())
    }

    /// Notes that an adapter took an intent.
    pub(super) fn note(&mut self, left: bool) {
        self.left |= left;
    }

    fn well(&self) -> Vec<String> {
        let well = self.deeds.iter().filter(|deed| deed.outcome.is_well());
        well.map(|deed| deed.process.clone()).collect()
    }

    /// Takes what was waited for into account; `Deed::process` says whom it is about.
    pub(super) fn weigh(&mut self, awaited: Vec<Awaited>) {
        for one in awaited {
            let (outcome, exit) = if one.in_time {
                (Became::Failed, Exit::Refused)
            } else {
                (Became::Timeout, Exit::Timeout)
            };
            self.worse(exit);
            let known = self.deeds.iter_mut().find(|deed| deed.process == one.name);
            match known {
                Some(deed) => {
                    deed.outcome = outcome;
                    deed.reason = one.reason;
                }
                None => self.deeds.push(Deed {
                    outcome,
                    reason: one.reason,
                    ..deed(&one.name)
                }),
            }
        }
    }

    /// Writes it, and gives the exit code.
    pub(super) async fn tell(self, how: &How) -> Outcome {
        let deeds = Deeds {
            action: self.action,
            source: self.source,
            intent: self.left,
            deeds: &self.deeds,
        };
        let output = Output::open();
        if how.json || how.output == As::Json {
            let object = deeds.json().or_exit(Exit::Refused)?;
            // A reader that left has had enough.
            drop(output.line(object).await);
        }
        for deed in &self.deeds {
            let line = deeds.line(deed, words());
            if !deed.outcome.is_well() {
                say(&format!("observe: {line}"));
            } else if !how.json && how.output == As::Text {
                drop(output.line(format!("{line}\n").into_bytes()).await);
            }
        }
        output.finish().await?;
        Ok(self.worst.unwrap_or(Exit::Done))
    }
}
