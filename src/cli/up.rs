//! `observe up`: everything on this machine in one command.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::broker::{self, Lease};
use crate::bus::connect::Bus;
use crate::bus::read::{Begin, Reader};
use crate::bus::settings::{BusSettings, FirstConnect};
use crate::event::filter::Filter;
use crate::event::subject::Prefix;

use super::broker::warden_command;
use super::broker_args::{BrokerArgs, StreamArgs, with_managed};
use super::contact::{Contact, Patience, reach};
use super::durable::{Plan, claim, run as run_adapter};
use super::exit::{Exit, Failure, OrExit as _, Outcome};
use super::face_args::FaceArgs;
use super::fleet::{Base, common_prefix, run as run_fleet};
use super::follow::{Broker, Says, Tape, Until, follow};
use super::lines::Common;
use super::many_args::ManyArgs;
use super::open::{Way, open};
use super::opening::{arrive, opening};
use super::service::Service;
use super::signals::Hangups;
use super::source_args::SourceArgs;
use super::spool_args::SpoolArgs;
use super::stacks::Stacks;
use super::terminal::say;
use super::view::{Blind, Sources, View, Viewed};

/// How many past events come first.
const LAST: usize = 10;
/// How long a broker of our own may be away before somebody looks whether it still runs.
const OWN_BROKER: Duration = Duration::from_secs(1);
/// So many deaths, with less than this between two of them, are enough.
const DEATHS: u32 = 5;
const QUIET: Duration = Duration::from_secs(60);

const EXAMPLES: &str = "\
Examples:
  observe up                                the stack that is found, a broker of its own, and a live view
  observe up -p 9090                        this stack
  observe up -s nats://broker:4222          into a broker that runs already
  observe up --stack shop=9090 --stack lab=/run/lab.sock    several stacks

It neither starts nor stops the stack. Ctrl-C ends the adapter and the view; a broker of its own ends half a minute
after its last user, and keeps what was told.";

/// Brings a broker if none is configured, runs the adapter and shows what it tells.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Up {
    /// Show only these processes or groups, by name or glob
    #[arg(value_name = "NAME")]
    names: Vec<String>,
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
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    stream: StreamArgs,
    #[command(flatten)]
    spool: SpoolArgs,
    #[command(flatten)]
    face: FaceArgs,
}

/// What is looked at.
enum Whom {
    One(Box<Contact>, Box<Plan>),
    Several(Arc<Stacks>, Box<Base>, Hangups),
}

/// Runs until it is asked to end, or something that waiting does not mend.
pub(super) async fn run(
    args: Up,
    verbose: bool,
    hangups: Hangups,
    token: CancellationToken,
) -> Outcome {
    let filter = named(&args.names)?;
    let stacks = args
        .many
        .stacks(&args.source, args.name.as_deref(), args.adopt)?;
    let (whom, shown, settings, lease) = match stacks {
        Some((stacks, whence)) => {
            let prefix = common_prefix(&args.broker)?;
            let (broker, lease) = broker(&args, prefix).await?;
            let base = Base {
                broker: broker.clone(),
                args: args.broker.clone(),
                managed: lease.is_some(),
                verbose,
                spool: args.spool.clone(),
                service: Service::none(),
            };
            let whom = Whom::Several(Arc::new(stacks), Box::new(base), hangups);
            (whom, whence, broker, lease)
        }
        None => match Box::pin(one(&args, verbose, &token)).await? {
            Some(found) => found,
            None => return Ok(Exit::Done),
        },
    };
    say(&format!(
        "watching {shown}, telling into {} at {} ({}); the stack is neither started nor stopped",
        settings.stream,
        settings.display_url(),
        whose(lease.as_ref())
    ));
    let Some(bus) = open(&settings, Patience::Wait, &token).await? else {
        return Ok(Exit::Done);
    };
    let managed = lease.as_ref().map(|lease| Own {
        settings: args.broker.managed(),
        url: lease.url.clone(),
    });
    let view = View::open(&args.face, Sources::None, filter.clone(), Blind::Show, None);
    let both = Both {
        managed,
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

/// Reaches the one stack that is meant; `None` where the wait was cancelled.
async fn one(
    args: &Up,
    verbose: bool,
    token: &CancellationToken,
) -> Result<Option<(Whom, String, BusSettings, Option<Lease>)>, Failure> {
    let patience = Patience::Wait;
    let Some(place) = args.source.find_patiently(patience, token).await? else {
        return Ok(None);
    };
    let Some(contact) = reach(place, args.name.as_deref(), patience, token).await? else {
        return Ok(None);
    };
    let source = contact.source.as_str();
    let (settings, lease) = broker(args, args.broker.writing_prefix(source)?).await?;
    let shown = format!(
        "{source} at {} ({})",
        contact.client.place(),
        contact.place.why
    );
    let plan = Plan {
        args: args.source.clone(),
        broker: settings.clone(),
        claim: claim(args.adopt, args.name.is_some()),
        managed: lease.is_some(),
        patience,
        verbose,
        announce: false,
        spool: args.spool.clone(),
        service: Service::none(),
        common: Common::default(),
    };
    let whom = Whom::One(Box::new(contact), Box::new(plan));
    Ok(Some((whom, shown, settings, lease)))
}

impl Whom {
    /// The events it tells.
    fn events(&self, filter: Filter) -> Result<Filter, Failure> {
        match self {
            Self::One(contact, _) => filter.source(contact.source.as_str()).or_exit(Exit::Usage),
            // They come and go; what others tell into the same broker is shown too.
            Self::Several(..) => Ok(filter),
        }
    }

    async fn told(self, bus: Bus, token: &CancellationToken) -> Result<(), Failure> {
        match self {
            Self::One(contact, plan) => {
                Box::pin(run_adapter(*contact, Way::Open(bus), *plan, token)).await
            }
            Self::Several(stacks, base, hangups) => {
                Box::pin(run_fleet(stacks, Way::Open(bus), *base, &hangups, token)).await
            }
        }
    }
}

/// What is shown: these processes, or all.
fn named(names: &[String]) -> Result<Filter, Failure> {
    names.iter().try_fold(Filter::all(), |filter, name| {
        filter.process(name).or_exit(Exit::Usage)
    })
}

fn whose(lease: Option<&Lease>) -> &'static str {
    if lease.is_some() {
        "a broker of our own"
    } else {
        "as configured"
    }
}

/// The broker to tell into, and the lease that keeps it when it is our own.
async fn broker(args: &Up, prefix: Prefix) -> Result<(BusSettings, Option<Lease>), Failure> {
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

/// Keeps a broker of our own: one that died is started again, in its old place, with what it kept. Ends where a person
/// ended it, or where it cannot be had again.
async fn keep_own_broker(
    bus: &Bus,
    own: Option<&Own>,
    token: &CancellationToken,
) -> Option<Failure> {
    let Some(own) = own else {
        token.cancelled().await;
        return None;
    };
    let (mut link, mut deaths, mut last) = (bus.link(), 0, Instant::now());
    // Held until we end, beside the first.
    let mut _lease = None;
    loop {
        // The sender lives as long as the bus.
        let away = token
            .run_until_cancelled(link.wait_for(|link| !link.is_connected()))
            .await?;
        drop(away);
        token
            .run_until_cancelled(tokio::time::sleep(OWN_BROKER))
            .await?;
        if bus.is_connected() || !matches!(broker::find(&own.settings).await, Ok(None)) {
            continue;
        }
        if !matches!(broker::has_died(&own.settings), Ok(true)) {
            return Some(Failure::say(
                Exit::Broker,
                "our own broker was ended; run observe up again, what was told is kept",
            ));
        }
        if last.elapsed() > QUIET {
            deaths = 0;
        }
        (deaths, last) = (deaths + 1, Instant::now());
        let again = token.run_until_cancelled(start_again(own)).await?;
        match again {
            Ok(Some(lease)) => _lease = Some(lease),
            Ok(None) => {
                return Some(Failure::say(
                    Exit::Broker,
                    "our own broker died and its port is taken; run observe up again, what was told is kept",
                ));
            }
            Err(failure) if deaths >= DEATHS => return Some(failure),
            Err(failure) => tracing::warn!(error = %failure.line(), "our own broker"),
        }
        if deaths >= DEATHS {
            return Some(Failure::say(
                Exit::Broker,
                "our own broker dies again and again; see observe broker status and its log",
            ));
        }
    }
}

/// Starts a broker of our own again; nothing where it has another address, to which no connection comes back.
async fn start_again(own: &Own) -> Result<Option<Lease>, Failure> {
    let lease = broker::ensure(&own.settings, &warden_command()?)
        .await
        .or_exit(Exit::Broker)?;
    if lease.url != own.url {
        return Ok(None);
    }
    say("our own broker had died and was started again");
    Ok(Some(lease))
}

/// A broker of our own, and where the connection looks for it.
struct Own {
    settings: broker::Settings,
    url: String,
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
        opening(&bus, &settings, &mine).await
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
    let adapter = whom.told(bus, &ending);
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
