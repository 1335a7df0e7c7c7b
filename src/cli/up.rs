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
use crate::event::subject::Prefix;

use super::background::Card;
use super::broker::warden_command;
use super::broker_args::{BrokerArgs, StreamArgs, configured, with_managed};
use super::contact::Patience;
use super::detach::{Background, detach};
use super::exit::{Exit, Failure, OrExit as _, Outcome};
use super::face_args::FaceArgs;
use super::follow::{Broker, Says, Tape, Until, follow};
use super::many_args::ManyArgs;
use super::open::{Way, open, open_or_away};
use super::opening::{Depth, arrive, opening};
use super::own_broker::{Own, keep_own_broker};
use super::signals::Hangups;
use super::source_args::SourceArgs;
use super::spool_args::SpoolArgs;
use super::terminal::say;
use super::view::{Blind, Sources, View, Viewed};
use super::whom::{Found, Whom, find};

/// How many past events come first.
const LAST: usize = 10;

const EXAMPLES: &str = "\
Examples:
  observe up                                the stack that is found, a broker of its own, and a live view
  observe up -p 9090                        this stack
  observe up -s nats://broker:4222          into a broker that runs already
  observe up -d && make test; observe down  in the background, and its end
  observe up --stack shop=9090 --stack lab=/run/lab.sock    several stacks

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
    pub(super) source: SourceArgs,
    /// Name of the source; by default the project's. Of several in the file of settings, the one to look at
    #[arg(long = "source", value_name = "NAME", help_heading = "Source")]
    pub(super) name: Option<String>,
    #[command(flatten)]
    pub(super) many: ManyArgs,
    /// Take the name over from another server that no longer looks
    #[arg(long, help_heading = "Source")]
    pub(super) adopt: bool,
    #[command(flatten)]
    pub(super) broker: BrokerArgs,
    #[command(flatten)]
    stream: StreamArgs,
    #[command(flatten)]
    pub(super) spool: SpoolArgs,
    #[command(flatten)]
    face: FaceArgs,
}

/// Runs until it is asked to end, or something that waiting does not mend; or begins one that does, in the background.
pub(super) async fn run(
    args: Up,
    verbose: bool,
    (background, hangups): (Option<PathBuf>, Hangups),
    token: CancellationToken,
) -> Outcome {
    match background {
        Some(log) => Box::pin(behind(args, verbose, (log, hangups), token)).await,
        None if args.detach => detach(&token).await,
        None => Box::pin(before(args, verbose, hangups, token)).await,
    }
}

/// In the foreground, with a view.
async fn before(args: Up, verbose: bool, hangups: Hangups, token: CancellationToken) -> Outcome {
    let filter = named(&args.names)?;
    let Some(found) = find(&args, verbose, hangups, &token).await? else {
        return Ok(Exit::Done);
    };
    let Found {
        whom,
        shown,
        settings,
        lease,
        ..
    } = found;
    say(&format!(
        "watching {shown}, telling into {} at {} ({}); the stack is neither started nor stopped",
        settings.stream,
        settings.display_url(),
        lease
            .as_ref()
            .map_or_else(|| configured(&settings), |_| whose(true).to_owned())
    ));
    let Some(bus) = open(&settings, Patience::Wait, &token).await? else {
        return Ok(Exit::Done);
    };
    let view = View::open(&args.face, Sources::None, filter.clone(), Blind::Show, None);
    let both = Both {
        managed: own(&args, lease.as_ref()),
        whom,
        bus,
        view,
        settings,
        filter,
    };
    let outcome = Box::pin(together(both, &token)).await;
    drop(lease);
    outcome
}

/// In the background, with a log for what is said.
async fn behind(
    args: Up,
    verbose: bool,
    (log, hangups): (PathBuf, Hangups),
    token: CancellationToken,
) -> Outcome {
    Background::leave_session();
    let Some(found) = find(&args, verbose, hangups, &token).await? else {
        return Ok(Exit::Done);
    };
    let Found {
        whom,
        source,
        key,
        shown,
        settings,
        lease,
    } = found;
    let card = |log: PathBuf| Card {
        pid: rustix::process::getpid().as_raw_nonzero().get(),
        mark: log.clone(),
        source,
        key: format!("{key}\n{}", settings.prefix.as_str()),
        what: shown,
        stream: settings.stream.clone(),
        broker: settings.display_url(),
        managed: lease.is_some(),
        since: Utc::now(),
        log,
    };
    let Some(background) = Background::take(log, card).await? else {
        return Ok(Exit::Done);
    };
    let Some(way) = Box::pin(open_or_away(&settings, Patience::Wait, &token)).await? else {
        return Ok(Exit::Done);
    };
    let managed = own(&args, lease.as_ref());
    let (bus, ending) = (way.bus().clone(), token.child_token());
    let whom = whom.attended(background.service());
    let work = async {
        tokio::join!(
            ends(&ending, Box::pin(whom.told(way, &ending))),
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
pub(super) async fn broker(
    args: &Up,
    prefix: Prefix,
) -> Result<(BusSettings, Option<Lease>), Failure> {
    let settings = args
        .broker
        .settings("observe up", prefix, FirstConnect::MayWait);
    let settings = args.stream.apply(settings);
    if args.broker.is_configured() {
        return Ok((args.broker.in_context(settings)?, None));
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
    whom: Whom,
    bus: Bus,
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
        whom,
        bus,
        mut view,
        settings,
        filter,
    } = both;
    let mine = whom.events(Filter::all())?;
    let begin = async {
        arrive(&bus, &settings).await;
        opening(&bus, &settings, &mine, (None, Depth::Counts)).await
    };
    let opened = token.run_until_cancelled(begin).await;
    let Some(Ok(_)) = opened else {
        view.finish(Viewed::Asked, token).await?;
        return opened.map_or(Ok(Exit::Done), |failed| failed.map(|_| Exit::Done));
    };
    let wanted = whom.events(filter)?.and_blindness();
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
    let adapter = whom.told(Way::Open(bus), &ending);
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
