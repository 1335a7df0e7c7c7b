//! `observe watch`: live events, from the stream or, without a broker, straight from the source.

use std::io::IsTerminal as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::bus::connect::Bus;
use crate::bus::durable_reader::Wanted;
use crate::bus::read::{Begin, Reader};
use crate::bus::settings::BusSettings;
use crate::event::filter::Filter;
use crate::event::store::Root;
use crate::process::rows::census::Census;
use crate::process::table::Table;
use crate::render::format::Format;
use crate::render::moment::moment;
use crate::render::notice::LastEvent;
use crate::render::time::Times;

use super::broker_args::BrokerArgs;
use super::choose::{Question, Way, way};
use super::contact::{Contact, Patience, reach};
use super::direct;
use super::durable_watch::begin as begin_durable;
use super::exit::{Exit, Failure, OrExit as _, Outcome};
use super::face_args::{FaceArgs, FilterArgs};
use super::follow::{Broker, Says, Tape, Until, follow};
use super::open::broker_failure;
use super::opening::{Depth, arrive, opening};
use super::source_args::{SourceArgs, only};
use super::standing::{sight, standing};
use super::terminal::{say, words};
use super::view::{Blind, Sources, View, Viewed};
use super::walk::APART;

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
  observe watch --since 1h                  the last hour first, then what comes
  observe watch --since 1h --no-follow -g 'exit 1.*'    the last hour alone, searched
  observe watch --count 1 --type crashed    wait for one crash
  observe watch --durable mailer --json     go on where the last watch of that name stopped

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
    /// End when everything that is stored has been shown, instead of waiting for what comes
    #[arg(long, conflicts_with_all = ["direct", "durable"])]
    no_follow: bool,
    /// Print one line per process first
    #[arg(long)]
    snapshot: bool,
    /// Print the last so many events first; ten on a terminal
    #[arg(short = 'n', long, value_name = "N")]
    last: Option<usize>,
    /// Print what was observed since this time first: 1h, '10 min ago', today, 18:30, 2026-08-20 …
    #[arg(short = 'S', long, value_name = "TIME", allow_hyphen_values = true, conflicts_with_all = ["direct", "last", "snapshot", "durable"])]
    since: Option<String>,
    /// Let the broker remember under this name what was written, so that the next watch of that name goes on there
    #[arg(long, value_name = "NAME", conflicts_with = "direct")]
    durable: Option<String>,
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
    args.since()?;
    if args.snapshot && args.face.format() == Format::CloudEvents {
        let words = "--snapshot has no cloudevents form; use json";
        return Err(Failure::say(Exit::Usage, words));
    }
    let Some(way) = token.run_until_cancelled(args.way()).await else {
        return Ok(Exit::Done);
    };
    match way? {
        Way::Direct => direct_way(&args, filter, &token).await,
        Way::Bus(bus, settings, _lease) => bus_way(&args, filter, &bus, &settings, &token).await,
    }
}

impl Watch {
    async fn way(&self) -> Result<Way, Failure> {
        let question = Question {
            name: "observe watch",
            direct: self.direct,
            kept: self.durable.is_some() || self.since.is_some() || self.no_follow,
            patience: Patience::from_flag(self.no_retry),
            fallback: "looking at the stack itself, nothing is kept",
        };
        way(question, &self.source, &self.broker).await
    }

    fn blind(&self) -> Blind {
        let text = matches!(self.face.format(), Format::Text | Format::Wide);
        if (text && !self.no_gaps) || self.gaps {
            Blind::Show
        } else {
            Blind::AddUp
        }
    }

    fn view(&self, filter: Filter, sources: Sources) -> View {
        View::open(&self.face, sources, filter, self.blind(), self.count)
    }

    /// The time since which past events are wanted.
    fn since(&self) -> Result<Option<DateTime<Utc>>, Failure> {
        let zone = Times::new(self.face.time).zone;
        let since = self.since.as_deref();
        let since = since.map(|text| moment(text, Utc::now(), zone));
        since.transpose().or_exit(Exit::Usage)
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

impl Watch {
    /// Shows each process as it stands, where that is wanted; what ended the viewing meanwhile, if anything did.
    async fn show_stands(
        &self,
        view: &mut View,
        stands: &[(Root, Option<Table>)],
        token: &CancellationToken,
    ) -> Option<Viewed> {
        if !self.snapshot {
            return None;
        }
        for (root, table) in stands {
            let Some(table) = table else { continue };
            let shown = view.snapshot(&root.source, table, root.looked_at);
            match token.run_until_cancelled(shown).await {
                Some(Ok(())) => {}
                Some(Err(viewed)) => return Some(viewed),
                None => return Some(Viewed::Asked),
            }
            // What happened between taking the place and reading the head is in the snapshot.
            if self.durable.is_none() && self.last.is_none() {
                view.told_up_to(&root.source, &root.journal, root.seq);
            }
        }
        None
    }

    /// Takes the place where reading begins; perhaps with the subjects of the roots that stood there.
    async fn tape(
        &self,
        bus: &Bus,
        settings: &BusSettings,
        filter: Filter,
    ) -> Result<(Tape, Option<Vec<String>>), Failure> {
        let (stream, prefix) = (&settings.stream, &settings.prefix);
        let filter = filter.and_blindness();
        let Some(name) = &self.durable else {
            let since = self.since()?.map(|since| Begin::Time(since - APART));
            let begin = since.unwrap_or_else(|| self.begin());
            let mut reader = Reader::live(bus, stream, prefix, filter, begin);
            if self.face.format().shows_text_alone() {
                reader = reader.with_texts();
            }
            let roots = prefix.all_head_roots();
            let listed = reader.take_place(&roots).await;
            let listed = listed.map_err(broker_failure)?;
            return Ok((Tape::Live(Box::new(reader)), listed));
        };
        let wanted = Wanted {
            stream: stream.clone(),
            prefix: prefix.clone(),
            filter,
            from: self.last.map_or(Begin::Now, Begin::Last),
            name: name.clone(),
        };
        let patience = Patience::from_flag(self.no_retry);
        let reader = begin_durable(bus, wanted, patience).await?;
        Ok((Tape::Durable(Box::new(reader)), None))
    }
}

async fn direct_way(args: &Watch, filter: Filter, token: &CancellationToken) -> Outcome {
    let patience = Patience::from_flag(args.no_retry);
    let name = only(&args.filter.source);
    let found = args.source.find_patiently_as(name, patience, token);
    let Some(place) = found.await? else {
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
    let mut view = args.view(filter, Sources::None);
    let reader = view.reader();
    let viewed = tokio::select! {
        viewed = direct_view(args, &contact, &mut direct, &mut view) => viewed,
        () = reader.left() => Viewed::ReaderLeft,
        () = token.cancelled() => Viewed::Asked,
    };
    ending.cancel();
    let ended = direct.join().await;
    view.finish(viewed, token).await?;
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
            let census = Census::of(&table);
            say(&standing(contact.source.as_str(), census, LastEvent::Never, sight).line(words()));
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
    let broker = settings.display_url();
    let lost = || Failure::say(Exit::Broker, format!("the broker at {broker} is away"));
    let watched = bus_watch(args, filter, bus, settings, token);
    tokio::select! {
        watched = watched => watched.map(|()| Exit::Done),
        () = gone(bus), if args.no_retry => Err(lost()),
    }
}

async fn bus_watch(
    args: &Watch,
    filter: Filter,
    bus: &Bus,
    settings: &BusSettings,
    token: &CancellationToken,
) -> Result<(), Failure> {
    let begin = async {
        arrive(bus, settings).await;
        // The place first, then how things stand: what happens in between is told, and nothing goes unseen. The consumer
        // behind that place is made meanwhile.
        let (mut tape, roots) = args.tape(bus, settings, filter.clone()).await?;
        let depth = if args.snapshot {
            Depth::Tables
        } else {
            Depth::Counts
        };
        let stands = Box::pin(opening(bus, settings, &filter, (roots, depth)));
        let ((), stands) = tokio::join!(Box::pin(tape.read_ahead()), stands);
        Ok::<_, Failure>((tape, stands?))
    };
    let Some(begun) = token.run_until_cancelled(begin).await else {
        return Ok(());
    };
    let (mut tape, stands) = begun?;
    for (root, _) in &stands {
        tape.knows(root);
    }
    let sources = stands.iter().fold(Sources::None, |sources, (root, _)| {
        sources.and(&root.source)
    });
    let broker = settings.display_url();
    if stands.is_empty() {
        say(&format!(
            "no source tells anything into {} at {broker} yet; waiting for the first",
            settings.stream,
        ));
    }
    let mut view = args.view(filter, sources);
    if let Some(since) = args.since()? {
        view.not_before(since);
    }
    let read = Broker {
        bus,
        address: &broker,
        says: Says::Links,
    };
    let until = if args.no_follow {
        Until::CaughtUp
    } else {
        Until::Ever
    };
    let viewed = if let Some(viewed) = args.show_stands(&mut view, &stands, token).await {
        viewed
    } else {
        let viewed = follow(&mut tape, &mut view, read, until, token).await?;
        viewed.unwrap_or(Viewed::Enough)
    };
    tape.leave().await;
    view.finish(viewed, token).await
}

/// Waits until the broker is away.
async fn gone(bus: &Bus) {
    let mut link = bus.link();
    // The sender lives as long as the bus.
    drop(link.wait_for(|link| !link.is_connected()).await);
}
