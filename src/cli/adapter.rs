//! `observe adapter`: look, compare, tell.

use std::sync::Arc;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::bus::settings::{BusSettings, FirstConnect, HeadLife};

use super::broker_args::{BrokerArgs, StreamArgs};
use super::contact::{Patience, reach};
use super::durable::{Plan, claim, run as run_adapter};
use super::exit::{Exit, Failure, Outcome};
use super::fleet::{Base, common_prefix, run as run_fleet};
use super::lines::Common;
use super::listening::{ListenArgs, Listening, listening};
use super::many_args::ManyArgs;
use super::open::open_or_away;
use super::service::Service;
use super::signals::Hangups;
use super::source_args::SourceArgs;
use super::spool_args::SpoolArgs;
use super::stacks::Stacks;
use super::terminal::say;

/// How it is while there is nothing to look at yet.
const AWAY: &str = "waiting for a stack to look at";

const EXAMPLES: &str = "\
Examples:
  observe adapter                                the stack that is found, into nats://127.0.0.1:4222
  observe adapter -p 9090 -s nats://broker:4222  this stack, into that broker
  observe adapter --source shop --interval 5s    under a name of its own, a look every five seconds
  observe -v adapter                             one line for each commit
  observe adapter --listen 127.0.0.1:9464        health, events and metrics for those who ask there
  observe adapter --stack shop=9090 --stack lab=/run/lab.sock    several stacks, in one process
  observe adapter --source-dir \"$XDG_RUNTIME_DIR/devenv-*\"      every stack whose socket is there

The stacks may also stand in observe.yaml, which is read again when it changes or on SIGHUP.

It waits for a stack that is away, and says so once. While the broker is away it goes on looking;
what it would have told waits on the disk and is told when the broker is back, also by the next
start. Several adapters on one stack are as good as one: one looks and tells, the others stand by
and take over when it stands still.";

/// Looks at a process-compose and tells what changed, durably.
///
/// Every change becomes an event on core.process.<namespace>.<name>.<type> in the stream PROCESS_EVENTS, once.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Adapter {
    #[command(flatten)]
    source: SourceArgs,
    /// Name of the source; by default the project's. Of several in the file of settings, the one to look at
    #[arg(long = "source", value_name = "NAME", help_heading = "Source")]
    name: Option<String>,
    #[command(flatten)]
    many: ManyArgs,
    /// Take the name over from another server that no longer looks
    #[arg(long, help_heading = "Source")]
    adopt: bool,
    /// Let the source be forgotten a day after the last adapter ended; for stacks that come once and never again
    #[arg(long, help_heading = "Source")]
    ephemeral: bool,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    stream: StreamArgs,
    #[command(flatten)]
    spool: SpoolArgs,
    /// End when the stack or the broker is away, instead of waiting
    #[arg(long)]
    no_retry: bool,
    #[command(flatten)]
    listen: ListenArgs,
}

/// Runs until it is asked to end, or something that waiting does not mend.
pub(super) async fn run(
    args: Adapter,
    verbose: bool,
    hangups: Hangups,
    token: CancellationToken,
) -> Outcome {
    let service = Service::of_environment();
    let stacks = args
        .many
        .stacks(&args.source, args.name.as_deref(), args.adopt)?;
    if stacks.is_some() && args.no_retry {
        let words =
            "--no-retry is for one stack: of several, one that is away does not end the others";
        return Err(Failure::say(Exit::Usage, words));
    }
    let listen = args.listen.clone();
    let work = listening(&listen, &token, |listening| async {
        match stacks {
            None => Box::pin(work(args, (verbose, listening), &service, &token)).await,
            Some(stacks) => {
                let aside = (verbose, listening, &service);
                Box::pin(work_for_many(args, stacks, aside, &hangups, &token)).await
            }
        }
    });
    service.during(&token, Box::pin(work)).await
}

async fn work_for_many(
    args: Adapter,
    (stacks, whence): (Stacks, String),
    (verbose, listening, service): (bool, Option<Listening>, &Service),
    hangups: &Hangups,
    token: &CancellationToken,
) -> Outcome {
    let prefix = common_prefix(&args.broker)?;
    let choice = args
        .broker
        .choose("observe adapter", prefix, FirstConnect::MayWait)
        .await?;
    let why = choice.why();
    let (broker, lease) = choice.into_parts();
    let broker = BusSettings {
        head_life: args.head_life(),
        ..args.stream.apply(broker)
    };
    say(&format!(
        "looking at {whence}, telling into {} at {} ({why})",
        broker.stream,
        broker.display_url()
    ));
    let Some(way) = open_or_away(&broker, Patience::Wait, token).await? else {
        return Ok(Exit::Done);
    };
    let base = Base {
        broker,
        args: args.broker,
        managed: lease.is_some(),
        verbose,
        spool: args.spool,
        service: service.clone(),
        listening,
    };
    Box::pin(run_fleet(Arc::new(stacks), way, base, hangups, token)).await?;
    drop(lease);
    Ok(Exit::Done)
}

impl Adapter {
    fn head_life(&self) -> HeadLife {
        if self.ephemeral {
            HeadLife::Day
        } else {
            HeadLife::Forever
        }
    }
}

async fn work(
    args: Adapter,
    (verbose, listening): (bool, Option<Listening>),
    service: &Service,
    token: &CancellationToken,
) -> Outcome {
    let patience = Patience::from_flag(args.no_retry);
    // Without patience nothing is waited for, and so nothing is ready before the first look.
    let waits = match patience {
        Patience::Wait => service.clone(),
        Patience::End => Service::none(),
    };
    let find = args.source.find_patiently(patience, token);
    let place = waits.patiently(AWAY, find).await?;
    let Some(place) = place else {
        return Ok(Exit::Done);
    };
    let reach = Box::pin(reach(place, args.name.as_deref(), patience, token));
    let Some(contact) = waits.patiently(AWAY, reach).await? else {
        return Ok(Exit::Done);
    };
    let prefix = args.broker.writing_prefix(contact.source.as_str())?;
    let name = format!("observe adapter {}", contact.source.as_str());
    let choice = args
        .broker
        .choose(&name, prefix, FirstConnect::MayWait)
        .await?;
    tracing::info!(broker = %choice.why(), source = %contact.place.why, "chosen");
    let (broker, lease) = choice.into_parts();
    let broker = BusSettings {
        head_life: args.head_life(),
        ..args.stream.apply(broker)
    };
    let Some(way) = open_or_away(&broker, patience, token).await? else {
        return Ok(Exit::Done);
    };
    let claim = claim(args.adopt, args.name.is_some());
    let plan = Plan {
        args: args.source,
        broker,
        claim,
        sieve: None,
        managed: lease.is_some(),
        patience,
        verbose,
        announce: true,
        spool: args.spool,
        service: service.clone(),
        listening,
        common: Common::default(),
    };
    Box::pin(run_adapter(contact, way, plan, token)).await?;
    drop(lease);
    Ok(Exit::Done)
}
