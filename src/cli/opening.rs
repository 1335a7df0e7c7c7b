//! The opening of a view: how each source stands, as its head says it.

use std::time::Duration;

use chrono::{SecondsFormat, Utc};

use crate::bus::connect::Bus;
use crate::bus::error::BusError;
use crate::bus::head::last_event;
use crate::bus::heads::{read_heads, read_heads_at};
use crate::bus::settings::BusSettings;
use crate::event::envelope::Envelope;
use crate::event::filter::Filter;
use crate::event::store::{Head, Root};
use crate::process::rows::census::Census;
use crate::process::table::Table;
use crate::render::notice::{Away, LastEvent, Side};
use crate::render::time::since;

use super::exit::Failure;
use super::heads::rows_of;
use super::open::broker_failure;
use super::standing::{sight_of_root, standing};
use super::terminal::{say, words};

/// Waits until the broker answers, and says so where that takes a while.
pub(super) async fn arrive(bus: &Bus, settings: &BusSettings) {
    if tokio::time::timeout(Duration::from_secs(1), bus.connected())
        .await
        .is_ok()
    {
        return;
    }
    let shown = settings.display_url();
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

/// How each source in view stands; says one line for each, and gives their tables where they are wanted. Where the subjects of
/// their roots are not listed already, they are asked for.
pub(super) async fn opening(
    bus: &Bus,
    settings: &BusSettings,
    filter: &Filter,
    (listed, depth): (Option<Vec<String>>, Depth),
) -> Result<Vec<(Root, Option<Table>)>, Failure> {
    let unread = |root: &Root| {
        let name = words().clean(&root.source, 60).into_owned();
        say(&format!("{name}: its head cannot be read"));
    };
    let read = match depth {
        Depth::Counts => counted,
        Depth::Tables => whole,
    };
    let (stands, last) = tokio::join!(
        stands_of(bus, settings, filter, (listed, read, unread)),
        last_event(bus, &settings.stream, &settings.prefix)
    );
    let stands = match stands {
        Ok(stands) => stands,
        // That nobody tells anything yet is said by whoever waits for it.
        Err(BusError::NoStream(_)) => return Ok(Vec::new()),
        Err(error) if error.retry_helps() => {
            say(&format!("nothing is known of the sources yet: {error}"));
            return Ok(Vec::new());
        }
        // Neither does waiting help whoever reads on.
        Err(error) => return Err(broker_failure(error)),
    };
    let last = last.ok().flatten();
    for (root, (census, _)) in &stands {
        let now = Utc::now();
        let told = when(last.as_ref(), root, now);
        say(&standing(&root.source, *census, told, sight_of_root(root, now)).line(words()));
        tell_left_out(root, filter);
    }
    let stands = stands.into_iter();
    Ok(stands.map(|(root, (_, table))| (root, table)).collect())
}

/// What is wanted of the heads besides the line that each is worth.
#[derive(Debug, Clone, Copy)]
pub(super) enum Depth {
    /// Nothing: their rows need only be counted.
    Counts,
    /// Their tables.
    Tables,
}

/// How many processes of a head are how, and its table where that was read.
type Stand = (Census, Option<Table>);

fn counted(head: &Head, _: &Root) -> Option<Stand> {
    head.shards.as_ref()?;
    Some((Census::read(head.rows()).ok()?, None))
}

fn whole(head: &Head, root: &Root) -> Option<Stand> {
    let table = rows_of(head, root)?;
    Some((Census::of(&table), Some(table)))
}

/// Says what a source does not tell, where any of it may have been wanted.
pub(super) fn tell_left_out(root: &Root, filter: &Filter) {
    let Some(left_out) = &root.left_out else {
        return;
    };
    if !filter.wants_source(&root.source) || !filter.may_miss(&left_out.sieve) {
        return;
    }
    let (style, sieve) = (words(), left_out.sieve.to_string());
    let since = left_out.since.to_rfc3339_opts(SecondsFormat::Secs, true);
    say(&format!(
        "{}: its adapter leaves events out since {since}: {}",
        style.clean(&root.source, 60),
        style.clean(&sieve, 400)
    ));
}

/// The heads of the wanted sources that can be read whole; the roots of the others go to `unread`.
pub(super) async fn stands(
    bus: &Bus,
    settings: &BusSettings,
    filter: &Filter,
    unread: impl FnMut(&Root),
) -> Result<Vec<(Root, Table)>, BusError> {
    stands_of(bus, settings, filter, (None, rows_of, unread)).await
}

/// Reads of a head what is wanted of it, where it can be read.
type Read<T> = fn(&Head, &Root) -> Option<T>;

async fn stands_of<T>(
    bus: &Bus,
    settings: &BusSettings,
    filter: &Filter,
    (listed, read, mut unread): (Option<Vec<String>>, Read<T>, impl FnMut(&Root)),
) -> Result<Vec<(Root, T)>, BusError> {
    let mut stands = Vec::new();
    let (stream, wanted) = (&settings.stream, |source: &str| filter.wants_source(source));
    let heads = match listed {
        Some(listed) => read_heads_at(bus, stream, listed, wanted).await?,
        None => read_heads(bus, stream, &settings.prefix, wanted).await?,
    };
    for head in heads {
        let Ok(root) = &head.root else { continue };
        match read(&head, root) {
            Some(found) => stands.push((root.clone(), found)),
            None => unread(root),
        }
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
