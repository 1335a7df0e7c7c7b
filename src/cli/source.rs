//! `observe source`: the sources a broker knows, and how one is forgotten.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use chrono::Utc;
use clap::{Args, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::bus::connect::Bus;
use crate::bus::forget::forget;
use crate::bus::settings::BusSettings;
use crate::event::filter::Filter;
use crate::event::store::Root;
use crate::render::sources::{Listed, Sources};
use crate::render::time::since;
use crate::render::words::{age, count};

use super::broker_args::BrokerArgs;
use super::exit::{Exit, Failure, OrExit as _, Outcome};
use super::kept::kept;
use super::recall::{Recalled, recall};
use super::standing_args::{As, TableArgs};
use super::terminal::{Output, say, words};

const EXAMPLES: &str = "\
Examples:
  observe source ls                    every source, who tells it, and when it was looked at last
  observe source ls -o wide            with project, host, address and interval
  observe source ls --json | jq -r '.sources[] | select(.sight == \"unwatched\") | .source'
  observe source forget lab --yes      a source that will not come back";

const FORGET: &str = "\
Example:
  observe source forget lab --yes

What is forgotten is what was told last, so that the source is in no table any more. Its events stay in the stream until
they expire. An adapter that comes back later tells everything anew. A source that an adapter still tells is refused.
On a terminal it asks first; elsewhere --yes is needed.";

/// Lists the sources a broker knows, or forgets one.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Source {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List every source: who tells it, when it was looked at last
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Forget a source that will not come back
    Forget(Forget),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  observe source ls -o wide")]
struct Ls {
    #[command(flatten)]
    table: TableArgs,
    #[command(flatten)]
    broker: BrokerArgs,
}

#[derive(Debug, Args)]
#[command(after_help = FORGET)]
struct Forget {
    /// The source, by its name
    #[arg(value_name = "NAME")]
    name: String,
    /// Do not ask
    #[arg(short = 'y', long)]
    yes: bool,
    /// Also where an adapter still tells it
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    broker: BrokerArgs,
}

/// Does it.
pub(super) async fn run(args: Source, token: CancellationToken) -> Outcome {
    let work = async {
        match args.action {
            Action::Ls(args) => ls(&args).await,
            Action::Forget(args) => args.run().await,
        }
    };
    let done = token.run_until_cancelled(work).await;
    done.unwrap_or(Ok(Exit::Done))
}

async fn ls(args: &Ls) -> Outcome {
    let (bus, settings, _lease) = Box::pin(kept("observe source", &args.broker)).await?;
    let heads = recall(&bus, &settings, &Filter::all()).await?;
    let now = Utc::now();
    let listed: Vec<_> = heads
        .iter()
        .map(|head| Listed {
            source: &head.source,
            sighted: head.sighted(now),
            root: head.root.as_ref(),
            processes: head.table.as_ref().map(|table| number(table.rows().len())),
        })
        .collect();
    let sources = Sources {
        listed: &listed,
        now,
    };
    let text = match args.table.format() {
        As::Json => sources.json().or_exit(Exit::Refused)?,
        As::Text | As::Wide => sources.lines(&args.table.drawing()).concat().into_bytes(),
    };
    let output = Output::open();
    if !text.is_empty() {
        // A reader that left has had enough.
        drop(output.line(text).await);
    }
    output.finish().await?;
    if listed.is_empty() {
        say("no source tells anything into this broker");
    }
    Ok(Exit::Done)
}

impl Forget {
    async fn run(&self) -> Outcome {
        let (bus, settings, _lease) = Box::pin(kept("observe source", &self.broker)).await?;
        let heads = recall(&bus, &settings, &Filter::all()).await?;
        let mut found = heads.into_iter().filter(|head| head.source == self.name);
        let Some(head) = found.next() else {
            return refuse(format!("this broker knows no source {}", self.name));
        };
        let teller = head.root.as_ref().filter(|root| is_told(root));
        if let Some(root) = teller.filter(|_| !self.force) {
            return refuse(format!(
                "{} still tells {}: end it first, or write --force",
                root.adapter, self.name
            ));
        }
        if !self.yes && !self.agreed(&head).await? {
            return refuse(format!("{} is not forgotten", self.name));
        }
        self.forget(&bus, &settings, &head).await?;
        for head in found {
            self.forget(&bus, &settings, &head).await?;
        }
        Ok(Exit::Done)
    }

    async fn forget(
        &self,
        bus: &Bus,
        settings: &BusSettings,
        head: &Recalled,
    ) -> Result<(), Failure> {
        let gone = forget(bus, &settings.stream, &head.subject)
            .await
            .map_err(super::open::broker_failure)?;
        tracing::info!(messages = gone, subject = head.subject, "taken out");
        let name = words().clean(&self.name, 60).into_owned();
        say(&format!(
            "{name} is forgotten; its events stay until they expire"
        ));
        Ok(())
    }

    /// Whether a person agrees.
    async fn agreed(&self, head: &Recalled) -> Result<bool, Failure> {
        if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
            let words = format!(
                "nobody can be asked here; write --yes to forget {}",
                self.name
            );
            return Err(Failure::say(Exit::Usage, words));
        }
        let processes = head
            .table
            .as_ref()
            .map_or(0, |table| number(table.rows().len()));
        let looked = head
            .root
            .as_ref()
            .map(|root| age(since(root.looked_at, Utc::now())));
        let question = format!(
            "Forget {}, {}, last looked at {} ago? [y/N] ",
            words().clean(&self.name, 60),
            count(processes, "process", "processes"),
            looked.as_deref().unwrap_or("a long time")
        );
        // Where nobody can be asked, nobody agrees.
        drop(std::io::stderr().write_all(question.as_bytes()));
        let answer = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map(|_| line)
        });
        let line = answer
            .await
            .or_exit(Exit::Refused)?
            .or_exit(Exit::Refused)?;
        Ok(matches!(line.trim(), "y" | "Y" | "yes"))
    }
}

/// Whether somebody looked so lately that an adapter must be taken for living. One whose source is away cannot be told
/// from a dead one.
fn is_told(root: &Root) -> bool {
    since(root.looked_at, Utc::now()) <= root.stale_after()
}

fn refuse(words: String) -> Outcome {
    Err(Failure::say(Exit::Refused, words))
}

fn number(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
