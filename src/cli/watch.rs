//! `observe watch`: live events, from the stream or, without a broker, straight from the source.

use std::io::IsTerminal as _;
use std::time::Duration;

use chrono::Utc;
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::broker::Lease;
use crate::bus::connect::Bus;
use crate::bus::error::BusError;
use crate::bus::head::{heads, last_event, read_head_at};
use crate::bus::read::{Begin, Reader};
use crate::bus::settings::{BusSettings, FirstConnect};
use crate::event::envelope::Envelope;
use crate::event::filter::Filter;
use crate::event::store::{Head, Root};
use crate::event::tell::{Restored, Rows as _};
use crate::process::rows::ProcessRows;
use crate::process::table::Table;
use crate::render::format::Format;
use crate::render::notice::{Away, LastEvent, Side};
use crate::render::time::since;

use super::broker_args::{BrokerArgs, Choice};
use super::contact::{Contact, Patience, reach};
use super::direct;
use super::exit::{Exit, Failure, Outcome};
use super::face_args::{FaceArgs, FilterArgs};
use super::follow::{Broker, Says, Until, follow};
use super::open::{broker_failure, connect_or_wait};
use super::source_args::SourceArgs;
use super::standing::{sight, sight_of_root, standing};
use super::terminal::{say, words};
use super::view::{Blind, View, Viewed};

/// How many past events a terminal shows first.
const LAST: usize = 10;
/// How long the first look may take before the opening line goes without it.
const FIRST_LOOK: Duration = Duration::from_secs(3);

const EXAMPLES: &str = "\
Examples:
  observe watch                             everything, as it happens
  observe watch api 'web-*'                 these processes or groups
  observe watch --type crashed,unhealthy    only these types
  observe watch --type crashed --json | jq .process
  observe watch --severity warning -N prod  what matters in one namespace
  observe watch -n 20 -o wide               the last twenty first, everything in one line
  observe watch --count 1 --type crashed    wait for one crash

Without a broker it looks at the stack itself; nothing is kept then. A stretch that nobody saw is always shown.";

/// Prints events as they happen.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Watch {
    #[command(flatten)]
    filter: FilterArgs,
    /// Look at the stack itself, without a broker
    #[arg(long)]
    direct: bool,
    /// Print one line per process first
    #[arg(long)]
    snapshot: bool,
    /// Print the last so many events first; ten on a terminal
    #[arg(short = 'n', long, value_name = "N")]
    last: Option<usize>,
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// In JSON, also print the events that tell of an unwatched stretch
    #[arg(long, conflicts_with = "no_gaps")]
    gaps: bool,
    /// In text, leave unwatched stretches out
    #[arg(long)]
    no_gaps: bool,
    /// End when the stack or the broker is away, instead of waiting
    #[arg(long)]
    no_retry: bool,
    #[command(flatten)]
    face: FaceArgs,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    broker: BrokerArgs,
}

/// Runs until the reader leaves, the count is reached, or it is asked to end.
pub(super) async fn run(args: Watch, token: CancellationToken) -> Outcome {
    let filter = args.filter.filter()?;
    let Some(way) = token.run_until_cancelled(args.way()).await else {
        return Ok(Exit::Done);
    };
    match way? {
        Way::Direct => direct_way(&args, filter, &token).await,
        Way::Bus(bus, settings, _lease) => bus_way(&args, filter, &bus, &settings, &token).await,
    }
}

/// Where events come from.
enum Way {
    Direct,
    Bus(Bus, Box<BusSettings>, Option<Lease>),
}

impl Watch {
    async fn way(&self) -> Result<Way, Failure> {
        if self.direct || (self.source.is_given() && !self.broker.is_configured()) {
            return Ok(Way::Direct);
        }
        let prefix = self.broker.reading_prefix()?;
        let choice = self
            .broker
            .choose("observe watch", prefix, FirstConnect::MustSucceed)
            .await?;
        let is_usual = matches!(choice, Choice::Usual(_));
        let (mut settings, lease) = choice.into_parts();
        if !is_usual && !self.no_retry {
            settings.first_connect = FirstConnect::MayWait;
        }
        let bus = match connect_or_wait(&settings).await {
            Ok(bus) => bus,
            Err(BusError::Unreachable { .. }) if is_usual => {
                say(
                    "no broker is configured or found: looking at the stack itself, nothing is kept",
                );
                return Ok(Way::Direct);
            }
            Err(error) => return Err(broker_failure(error)),
        };
        if is_usual
            && matches!(
                heads(&bus, &settings.stream, &settings.prefix).await,
                Err(BusError::NoStream(_))
            )
        {
            say(&format!(
                "the broker at {} has no stream {}: looking at the stack itself, nothing is kept",
                settings.display_url(),
                settings.stream
            ));
            return Ok(Way::Direct);
        }
        Ok(Way::Bus(bus, Box::new(settings), lease))
    }

    fn blind(&self) -> Blind {
        let text = matches!(self.face.format(), Format::Text | Format::Wide);
        if (text && !self.no_gaps) || self.gaps {
            Blind::Show
        } else {
            Blind::AddUp
        }
    }

    fn view(&self, filter: Filter, several_sources: bool) -> View {
        View::open(
            self.face.face(several_sources),
            filter,
            self.blind(),
            self.count,
        )
    }

    fn begin(&self) -> Begin {
        let person = std::io::stdout().is_terminal() && self.face.format() == Format::Text;
        match self.last {
            Some(count) => Begin::Last(count),
            None if person && self.count.is_none() && !self.snapshot => Begin::Last(LAST),
            None => Begin::Now,
        }
    }
}

async fn direct_way(args: &Watch, filter: Filter, token: &CancellationToken) -> Outcome {
    let patience = Patience::from_flag(args.no_retry);
    let Some(place) = args.source.find_patiently(patience, token).await? else {
        return Ok(Exit::Done);
    };
    let Some(contact) = reach(place, None, patience, token).await? else {
        return Ok(Exit::Done);
    };
    say(&format!(
        "watching {} at {} ({}), every {}",
        contact.source.as_str(),
        contact.client.place(),
        contact.place.why,
        humantime::format_duration(args.source.interval)
    ));
    let ending = token.child_token();
    let mut direct = direct::begin(&contact, &args.source, patience, &ending)?;
    let mut view = args.view(filter, false);
    let reader = view.reader();
    let viewed = tokio::select! {
        viewed = direct_view(args, &contact, &mut direct, &mut view) => viewed,
        () = reader.left() => Viewed::ReaderLeft,
        () = token.cancelled() => Viewed::Enough,
    };
    ending.cancel();
    let ended = direct.join().await;
    view.finish(viewed)?;
    ended.map(|()| Exit::Done)
}

async fn direct_view(
    args: &Watch,
    contact: &Contact,
    direct: &mut direct::Direct,
    view: &mut View,
) -> Viewed {
    // The first look tells the first events; the opening line goes before them.
    if tokio::time::timeout(FIRST_LOOK, direct.handle.ready())
        .await
        .is_ok()
    {
        let observed = direct.handle.latest();
        let (seen_at, freshness) = (observed.seen_at(), observed.freshness().clone());
        if let Some(table) = observed.into_parts().0 {
            let now = Utc::now();
            let sight = sight(&freshness, seen_at, now);
            say(&standing(contact.source.as_str(), &table, LastEvent::Never, sight).line(words()));
            if args.snapshot
                && let Err(viewed) = view.snapshot(contact.source.as_str(), &table, now).await
            {
                return viewed;
            }
        }
    }
    while let Some(record) = direct.records.recv().await {
        if let Err(viewed) = view.show(&record).await {
            return viewed;
        }
    }
    Viewed::Enough
}

async fn bus_way(
    args: &Watch,
    filter: Filter,
    bus: &Bus,
    settings: &BusSettings,
    token: &CancellationToken,
) -> Outcome {
    let opening = opening(bus, settings, &filter);
    let stands = tokio::select! {
        stands = opening => stands?,
        () = token.cancelled() => return Ok(Exit::Done),
    };
    if stands.is_empty() {
        say(&format!(
            "no source tells anything into {} at {} yet; waiting for the first",
            settings.stream,
            settings.display_url()
        ));
    }
    let several = stands.len() > 1;
    let mut view = args.view(filter.clone(), several);
    for (root, table) in &stands {
        if args.snapshot
            && let Err(viewed) = view.snapshot(&root.source, table, root.looked_at).await
        {
            view.finish(viewed)?;
            return Ok(Exit::Done);
        }
    }
    let wanted = filter.and_blindness();
    let mut reader = Reader::live(
        bus,
        &settings.stream,
        &settings.prefix,
        wanted,
        args.begin(),
    );
    let broker = settings.display_url();
    let read = Broker {
        bus,
        address: &broker,
        says: Says::Links,
    };
    let lost = token.child_token();
    let ended = tokio::select! {
        ended = follow(&mut reader, &mut view, read, Until::Ever, &lost) => ended,
        () = gone(bus), if args.no_retry => Err(Failure::say(Exit::Broker, format!("the broker at {broker} is away"))),
    };
    view.finish(ended?.unwrap_or(Viewed::Enough))?;
    Ok(Exit::Done)
}

/// Waits until the broker is away.
async fn gone(bus: &Bus) {
    let mut link = bus.link();
    // The sender lives as long as the bus.
    drop(link.wait_for(|link| !link.is_connected()).await);
}

/// How each source in view stands; says one line for each.
pub(super) async fn opening(
    bus: &Bus,
    settings: &BusSettings,
    filter: &Filter,
) -> Result<Vec<(Root, Table)>, Failure> {
    let shown = settings.display_url();
    if tokio::time::timeout(Duration::from_secs(1), bus.connected())
        .await
        .is_err()
    {
        let away = Away {
            side: Side::Broker,
            name: &shown,
        };
        say(&format!(
            "{}; waiting for it",
            away.left(words(), "nobody answers there").trim_end()
        ));
        bus.connected().await;
    }
    let roots = match heads(bus, &settings.stream, &settings.prefix).await {
        Ok(roots) => roots,
        // That nobody tells anything yet is said by whoever waits for it.
        Err(BusError::NoStream(_)) => return Ok(Vec::new()),
        Err(error) if error.retry_helps() => {
            say(&format!("nothing is known of the sources yet: {error}"));
            return Ok(Vec::new());
        }
        // Neither does waiting help whoever reads on.
        Err(error) => return Err(broker_failure(error)),
    };
    let last = last_event(bus, &settings.stream, &settings.prefix)
        .await
        .ok()
        .flatten();
    let mut stands = Vec::new();
    for found in roots {
        let Ok(root) = found.root else { continue };
        if !filter.wants_source(&root.source) {
            continue;
        }
        let head = read_head_at(bus, &settings.stream, &found.subject)
            .await
            .ok()
            .flatten();
        let Some(table) = head.as_ref().and_then(|head| table(head, &root)) else {
            continue;
        };
        let now = Utc::now();
        let told = when(last.as_ref(), &root, now);
        say(&standing(&root.source, &table, told, sight_of_root(&root, now)).line(words()));
        stands.push((root, table));
    }
    Ok(stands)
}

fn when(last: Option<&Envelope>, root: &Root, now: chrono::DateTime<Utc>) -> LastEvent {
    match last {
        _ if root.seq == 0 => LastEvent::Never,
        Some(last) if last.source == root.source => LastEvent::Ago(since(last.timestamp, now)),
        _ => LastEvent::NotKnown,
    }
}

fn table(head: &Head, root: &Root) -> Option<Table> {
    let restored = Restored {
        epoch: &root.epoch,
        resync: false,
        first: false,
        looked_at: root.looked_at,
    };
    ProcessRows.decode(&mut head.rows(), restored).ok()
}
