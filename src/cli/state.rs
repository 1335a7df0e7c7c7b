//! `observe state`: how every process of every source stands, or stood at a moment.

use std::io::IsTerminal as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::broker::Lease;
use crate::event::filter::Filter;
use crate::process::moment::{Choice, Moment};
use crate::render::standings::Standings;

use super::broker_args::BrokerArgs;
use super::choose::{Question, Way, way};
use super::contact::{Patience, reach};
use super::exit::{Exit, Failure, OrExit as _, Outcome};
use super::kept::kept;
use super::overheard::overhear;
use super::recall::{fold_back, recall, recall_usage, without_forgotten};
use super::redraw::{Screen, redraw};
use super::source_args::SourceArgs;
use super::sources::Own;
use super::standing_args::{As, ChoiceArgs, TableArgs};
use super::terminal::{Output, say, words};

/// How long the first look of our own may take.
const FIRST_LOOK: Duration = Duration::from_secs(10);
/// How long it may take to learn which processes are a group, where somebody asks for one.
const LEARNING: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
Examples:
  observe state                                 every process of every source
  observe state api 'web-*'                     these processes or groups
  observe state -N prod --source shop -o wide   one namespace of one source, with every column
  observe state --watch                         redrawn in place as it changes; Ctrl-C ends it
  observe state --at '1 min ago'                as it was observed by then; all forms of history --since
  observe state --json | jq '.sources[].processes[] | select(.crashed) | .process'

By a broker it shows what was told last, with cpu and mem as of each process's last event, or of the last look where the
adapter runs on this machine with a bare --listen; without a broker it looks at the stack itself. What nobody looks at any
more is shown as it was, never as it is. A NAME that nothing is called is exit 1. In a pipe --watch needs -o json, and
writes one object for each change; its cpu and mem are always those of events.";

/// Shows how every process stands, or stood at a moment.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct State {
    /// Processes or groups, by name or glob
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// As it stood then: 1h, '10 min ago', today, 18:30, 'yesterday 18:30', 2026-08-20T18:30:05Z …
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with_all = ["watch", "direct"])]
    at: Option<String>,
    /// Redraw it as it changes
    #[arg(short = 'w', long)]
    watch: bool,
    /// Also sources that nobody has seen for a day
    #[arg(long)]
    all: bool,
    /// Look at the stack itself, without a broker
    #[arg(long)]
    direct: bool,
    #[command(flatten)]
    choice: ChoiceArgs,
    #[command(flatten)]
    table: TableArgs,
    #[command(flatten)]
    place: SourceArgs,
    #[command(flatten)]
    broker: BrokerArgs,
}

/// Shows it.
pub(super) async fn run(args: State, token: CancellationToken) -> Outcome {
    let choice = args.choice.choice(&args.names)?;
    let filter = args.choice.sources()?;
    let now = Utc::now();
    let at = args.at.as_deref().map(|text| args.table.moment(text, now));
    let at = at.transpose()?;
    if args.watch && args.table.format() != As::Json && !std::io::stdout().is_terminal() {
        return Err(Failure::say(
            Exit::Usage,
            "--watch redraws a terminal; in a pipe write --watch -o json (an object for each change), or observe watch",
        ));
    }
    let shown = match at {
        Some(at) => Box::pin(args.at(at, &filter, &token)).await?,
        None if args.watch => return Box::pin(args.follow(&choice, &filter, &token)).await,
        None => Box::pin(token.run_until_cancelled(args.now(&filter, &choice, &token)))
            .await
            .transpose()?,
    };
    let Some(mut moments) = shown else {
        return Ok(Exit::Done);
    };
    let hidden = args.hide(&mut moments, at.unwrap_or_else(Utc::now));
    moments = chosen(moments, &choice);
    let standings = Standings {
        moments: &moments,
        at,
        now: Utc::now(),
        hidden,
    };
    args.print(&standings).await?;
    for line in standings.left_out(words()) {
        say(&line);
    }
    missing(&choice, &moments)
}

impl State {
    /// Leaves out what nobody has seen for a day, unless it is asked for.
    fn hide(&self, moments: &mut Vec<Moment>, then: DateTime<Utc>) -> u64 {
        if self.all || self.choice.names_sources() {
            return 0;
        }
        without_forgotten(moments, then)
    }

    async fn print(&self, standings: &Standings<'_>) -> Result<(), Failure> {
        let output = Output::open();
        let text = match self.table.format() {
            As::Json => standings.json().or_exit(Exit::Refused)?,
            As::Text | As::Wide => standings.lines(&self.table.drawing()).concat().into_bytes(),
        };
        // A reader that left has had enough.
        drop(output.line(text).await);
        output.finish().await
    }

    /// How everything stood at a moment.
    async fn at(
        &self,
        at: DateTime<Utc>,
        filter: &Filter,
        token: &CancellationToken,
    ) -> Result<Option<Vec<Moment>>, Failure> {
        let kept = Box::pin(kept("observe state", &self.broker));
        let Some(kept) = token.run_until_cancelled(kept).await else {
            return Ok(None);
        };
        let (bus, settings, _lease) = kept?;
        let folded = fold_back(&bus, &settings, filter, &[at], token).await?;
        let moments = folded.map(|mut folded| folded.pop().unwrap_or_default());
        if moments.as_ref().is_some_and(Vec::is_empty) {
            say("nothing was ever told of such a source here");
        }
        Ok(moments)
    }

    /// How everything stands.
    async fn now(
        &self,
        filter: &Filter,
        choice: &Choice,
        token: &CancellationToken,
    ) -> Result<Vec<Moment>, Failure> {
        match self.way(Patience::End).await? {
            Way::Direct => {
                let moment = self.look(filter, choice, token).await?;
                Ok(vec![moment])
            }
            Way::Bus(bus, settings, _lease) => {
                let heads = recall(&bus, &settings, filter).await?;
                let now = Utc::now();
                let mut moments: Vec<_> = heads.iter().map(|head| head.moment(now)).collect();
                recall_usage(&bus, &settings, &mut moments).await?;
                overhear(&mut moments).await;
                if moments.is_empty() {
                    say(&format!(
                        "no source that is wanted tells anything into the broker at {} (observe up and observe adapter do; --direct looks at the stack itself)",
                        settings.display_url()
                    ));
                }
                Ok(moments)
            }
        }
    }

    pub(super) async fn way(&self, patience: Patience) -> Result<Way, Failure> {
        let question = Question {
            name: "observe state",
            direct: self.direct,
            kept: false,
            patience,
            fallback: "looking at the stack itself",
        };
        way(question, &self.place, &self.broker).await
    }

    /// Begins to look at the stack itself.
    async fn own(&self, filter: &Filter, token: &CancellationToken) -> Result<Own, Failure> {
        let ended = || Failure::say(Exit::Source, "the search was ended");
        let place = self.place.find_as(self.choice.only_source()).await?;
        let contact = reach(place, None, Patience::End, token).await?;
        let contact = contact.ok_or_else(ended)?;
        if !filter.wants_source(contact.source.as_str()) {
            let (name, place) = (contact.source.as_str(), contact.client.place());
            return Err(Failure::say(
                Exit::Refused,
                format!("the stack at {place} is called {name}, which --source does not want"),
            ));
        }
        Own::begin(&contact, &self.place, token)
    }

    /// Looks once.
    async fn look(
        &self,
        filter: &Filter,
        choice: &Choice,
        token: &CancellationToken,
    ) -> Result<Moment, Failure> {
        let mut own = self.own(filter, token).await?;
        let begun = Instant::now();
        let looked = async {
            loop {
                own.next().await?;
                let Some(moment) = own.moment() else {
                    continue;
                };
                // Which processes are a group is learned after the first look.
                let waits = !choice.missing(std::slice::from_ref(&moment)).is_empty();
                if !waits || begun.elapsed() > LEARNING {
                    return Ok::<_, Failure>(moment);
                }
            }
        };
        let looked = timeout(FIRST_LOOK, looked).await;
        own.end().await?;
        let late = || Failure::say(Exit::Source, "no look at the stack succeeded in time");
        looked.map_err(|_| late())?
    }

    /// Redraws it as it changes.
    async fn follow(&self, choice: &Choice, filter: &Filter, token: &CancellationToken) -> Outcome {
        let begun = async {
            let mut lease: Option<Lease> = None;
            let live = match self.way(Patience::Wait).await? {
                Way::Direct => super::redraw::Live::Own(self.own(filter, token).await?),
                Way::Bus(bus, settings, kept) => {
                    lease = kept;
                    super::redraw::Live::told(bus, *settings, filter)
                }
            };
            Ok::<_, Failure>((live, lease))
        };
        let Some(begun) = token.run_until_cancelled(begun).await else {
            return Ok(Exit::Done);
        };
        let (live, _lease) = begun?;
        let screen = Screen {
            drawing: &|| self.table.drawing(),
            json: self.table.format() == As::Json,
            choose: &|mut moments, now| {
                let hidden = self.hide(&mut moments, now);
                (chosen(moments, choice), hidden)
            },
        };
        redraw(live, &screen, token).await
    }
}

/// What was chosen; a source without any of it is left out where something was chosen.
fn chosen(moments: Vec<Moment>, choice: &Choice) -> Vec<Moment> {
    let all = choice.names.is_empty() && choice.namespaces.is_empty();
    let chosen = moments.into_iter().map(|moment| moment.chosen(choice));
    chosen
        .filter(|moment| all || !moment.processes.is_empty())
        .collect()
}

/// Says which names nothing is called.
fn missing(choice: &Choice, moments: &[Moment]) -> Outcome {
    let missing = choice.missing(moments);
    if !missing.is_empty() {
        let words = format!("no process or group is called {}", missing.join(", "));
        return Err(Failure::say(Exit::Refused, words));
    }
    let none = moments.iter().all(|moment| moment.processes.is_empty());
    if none && !(choice.names.is_empty() && choice.namespaces.is_empty()) {
        say("no process matches");
    }
    Ok(Exit::Done)
}
