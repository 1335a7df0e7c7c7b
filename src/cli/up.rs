//! `observe up`: everything on this machine in one command.

use std::path::PathBuf;

use chrono::Utc;
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::broker::{self, Lease};
use crate::bus::connect::Bus;
use crate::bus::read::{Begin, Reader};
use crate::bus::settings::{BusSettings, FirstConnect};
use crate::event::filter::Filter;

use super::background::Card;
use super::broker::warden_command;
use super::broker_args::{BrokerArgs, StreamArgs, with_managed};
use super::contact::{Patience, reach};
use super::detach::{Background, detach};
use super::durable::{Plan, claim, run as run_adapter};
use super::exit::{Exit, Failure, OrExit as _, Outcome};
use super::face_args::FaceArgs;
use super::follow::{Broker, Says, Tape, Until, follow};
use super::open::{Way, open, open_or_away};
use super::opening::{arrive, opening};
use super::own_broker::{Own, keep_own_broker};
use super::service::Service;
use super::source_args::SourceArgs;
use super::spool_args::SpoolArgs;
use super::terminal::say;
use super::view::{Blind, Sources, View, Viewed};

/// How many past events come first.
const LAST: usize = 10;

const EXAMPLES: &str = "\
Examples:
  observe up                                the stack that is found, a broker of its own, and a live view
  observe up -p 9090                        this stack
  observe up -s nats://broker:4222          into a broker that runs already
  observe up -d && make test; observe down  in the background, and its end

It neither starts nor stops the stack. Ctrl-C ends the adapter and the view; a broker of its own ends half a minute
after its last user, and keeps what was told. With -d it returns when the adapter tells, which then runs in the background
until observe down, and after a restart of the machine no more: a service manager is for that.";

/// Brings a broker if none is configured, runs the adapter and shows what it tells.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Up {
    /// Show only these processes or groups, by name or glob
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Run in the background and show nothing; observe down ends it
    #[arg(short, long, conflicts_with = "names")]
    detach: bool,
    #[command(flatten)]
    source: SourceArgs,
    /// Name of the source; by default the project's
    #[arg(long = "source", value_name = "NAME", help_heading = "Source")]
    name: Option<String>,
    /// Take the name over from another server that no longer looks
    #[arg(long, help_heading = "Source")]
    adopt: bool,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    stream: StreamArgs,
    #[command(flatten)]
    spool: SpoolArgs,
    #[command(flatten)]
    face: FaceArgs,
}

/// Runs until it is asked to end, or something that waiting does not mend; or begins one that does, in the background.
pub(super) async fn run(
    args: Up,
    verbose: bool,
    background: Option<PathBuf>,
    token: CancellationToken,
) -> Outcome {
    match background {
        Some(log) => Box::pin(behind(args, verbose, log, token)).await,
        None if args.detach => detach(&token).await,
        None => Box::pin(before(args, verbose, token)).await,
    }
}

/// In the foreground, with a view.
async fn before(args: Up, verbose: bool, token: CancellationToken) -> Outcome {
    let patience = Patience::Wait;
    let filter = named(&args.names)?;
    let Some(place) = args.source.find_patiently(patience, &token).await? else {
        return Ok(Exit::Done);
    };
    let Some(contact) = reach(place, args.name.as_deref(), patience, &token).await? else {
        return Ok(Exit::Done);
    };
    let (settings, lease) = broker(&args, contact.source.as_str()).await?;
    say(&format!(
        "watching {} at {} ({}), telling into {} at {} ({}); the stack is neither started nor stopped",
        contact.source.as_str(),
        contact.client.place(),
        contact.place.why,
        settings.stream,
        settings.display_url(),
        whose(lease.is_some())
    ));
    let Some(bus) = open(&settings, patience, &token).await? else {
        return Ok(Exit::Done);
    };
    let managed = own(&args, lease.as_ref());
    let view = View::open(&args.face, Sources::None, filter.clone(), Blind::Show, None);
    let plan = plan(args, &settings, lease.is_some(), verbose, Service::none());
    let outcome = Box::pin(together(
        Both {
            managed,
            contact,
            bus,
            plan,
            view,
            settings,
            filter,
        },
        &token,
    ))
    .await;
    drop(lease);
    outcome
}

/// In the background, with a log for what is said.
async fn behind(args: Up, verbose: bool, log: PathBuf, token: CancellationToken) -> Outcome {
    Background::leave_session();
    let patience = Patience::Wait;
    let Some(place) = args.source.find_patiently(patience, &token).await? else {
        return Ok(Exit::Done);
    };
    let reach = reach(place, args.name.as_deref(), patience, &token);
    let Some(contact) = Box::pin(reach).await? else {
        return Ok(Exit::Done);
    };
    let (settings, lease) = broker(&args, contact.source.as_str()).await?;
    let card = |log| Card {
        pid: rustix::process::getpid().as_raw_nonzero().get(),
        source: contact.source.as_str().to_owned(),
        place: contact.client.place(),
        stream: settings.stream.clone(),
        broker: settings.display_url(),
        managed: lease.is_some(),
        since: Utc::now(),
        log,
    };
    let Some(background) = Background::take(log, card)? else {
        return Ok(Exit::Done);
    };
    let Some(way) = Box::pin(open_or_away(&settings, patience, &token)).await? else {
        return Ok(Exit::Done);
    };
    let managed = own(&args, lease.as_ref());
    let service = background.service();
    let plan = plan(args, &settings, lease.is_some(), verbose, service);
    let (bus, ending) = (way.bus().clone(), token.child_token());
    let work = async {
        tokio::join!(
            ends(&ending, Box::pin(run_adapter(contact, way, plan, &ending))),
            ends(&ending, keep_own_broker(&bus, managed.as_ref(), &ending))
        )
    };
    let (ended, gone) = Box::pin(background.stay_during(work)).await;
    drop(lease);
    ended?;
    gone.map_or(Ok(Exit::Done), Err)
}

fn own(args: &Up, lease: Option<&Lease>) -> Option<Own> {
    lease.map(|lease| Own {
        settings: args.broker.managed(),
        url: lease.url.clone(),
    })
}

fn plan(args: Up, broker: &BusSettings, managed: bool, verbose: bool, service: Service) -> Plan {
    Plan {
        claim: claim(args.adopt, args.name.is_some()),
        args: args.source,
        broker: broker.clone(),
        managed,
        patience: Patience::Wait,
        verbose,
        announce: false,
        spool: args.spool,
        service,
        listening: None,
    }
}

/// What is shown: these processes, or all.
fn named(names: &[String]) -> Result<Filter, Failure> {
    names.iter().try_fold(Filter::all(), |filter, name| {
        filter.process(name).or_exit(Exit::Usage)
    })
}

/// Where the choice of a broker came from.
pub(super) fn whose(managed: bool) -> &'static str {
    if managed {
        "a broker of our own"
    } else {
        "as configured"
    }
}

/// The broker to tell into, and the lease that keeps it when it is our own.
async fn broker(args: &Up, source: &str) -> Result<(BusSettings, Option<Lease>), Failure> {
    let prefix = args.broker.writing_prefix(source)?;
    let settings = args
        .broker
        .settings("observe up", prefix, FirstConnect::MayWait);
    let settings = args.stream.apply(settings);
    if args.broker.is_configured() {
        return Ok((settings, None));
    }
    let lease = broker::ensure(&args.broker.managed(), &warden_command()?)
        .await
        .or_exit(Exit::Broker)?;
    Ok((
        with_managed(settings, &lease.url, lease.token.reveal()),
        Some(lease),
    ))
}

struct Both {
    managed: Option<Own>,
    contact: super::contact::Contact,
    bus: Bus,
    plan: Plan,
    view: View,
    settings: BusSettings,
    filter: Filter,
}

/// Whoever ends first ends the others.
async fn ends<T>(ending: &CancellationToken, work: impl Future<Output = T>) -> T {
    let ended = work.await;
    ending.cancel();
    ended
}

/// Runs the adapter and the view beside each other; whichever ends first ends the other.
async fn together(both: Both, token: &CancellationToken) -> Outcome {
    let Both {
        managed,
        contact,
        bus,
        plan,
        mut view,
        settings,
        filter,
    } = both;
    let source = contact.source.as_str().to_owned();
    let mine = Filter::all().source(&source).or_exit(Exit::Usage)?;
    let begin = async {
        arrive(&bus, &settings).await;
        opening(&bus, &settings, &mine).await
    };
    let opened = token.run_until_cancelled(begin).await;
    let Some(Ok(_)) = opened else {
        view.finish(Viewed::Asked, token).await?;
        return opened.map_or(Ok(Exit::Done), |failed| failed.map(|_| Exit::Done));
    };
    let wanted = filter.source(&source).or_exit(Exit::Usage)?.and_blindness();
    let mut tape = Tape::Live(Box::new(Reader::live(
        &bus,
        &settings.stream,
        &settings.prefix,
        wanted,
        Begin::Last(LAST),
    )));
    // The reader stands before the adapter begins, so that its first events are seen as they come.
    let (broker, reading) = (settings.display_url(), bus.clone());
    let read = Broker {
        bus: &reading,
        address: &broker,
        says: Says::Nothing,
    };
    if let Some(viewed) = follow(&mut tape, &mut view, read, Until::CaughtUp, token).await? {
        return view.finish(viewed, token).await.map(|()| Exit::Done);
    }
    let ending = token.child_token();
    let adapter = run_adapter(contact, Way::Open(bus), plan, &ending);
    let viewing = follow(&mut tape, &mut view, read, Until::Ever, &ending);
    let own = keep_own_broker(&reading, managed.as_ref(), &ending);
    let (ended, viewed, gone) = tokio::join!(
        ends(&ending, Box::pin(adapter)),
        ends(&ending, viewing),
        ends(&ending, own)
    );
    view.finish(viewed?.unwrap_or(Viewed::Enough), token)
        .await?;
    ended?;
    gone.map_or(Ok(Exit::Done), Err)
}
