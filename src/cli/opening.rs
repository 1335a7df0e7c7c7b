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
use crate::event::tell::{Restored, Rows as _};
use crate::process::rows::ProcessRows;
use crate::process::table::Table;
use crate::render::notice::{Away, LastEvent, Side};
use crate::render::time::since;

use super::exit::Failure;
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

/// How each source in view stands; says one line for each. Where the subjects of their roots are not listed already, they
/// are asked for.
pub(super) async fn opening(
    bus: &Bus,
    settings: &BusSettings,
    filter: &Filter,
    listed: Option<Vec<String>>,
) -> Result<Vec<(Root, Table)>, Failure> {
    let unread = |root: &Root| {
        let name = words().clean(&root.source, 60).into_owned();
        say(&format!("{name}: its head cannot be read"));
    };
    let (stands, last) = tokio::join!(
        stands_of(bus, settings, filter, (listed, unread)),
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
    for (root, table) in &stands {
        let now = Utc::now();
        let told = when(last.as_ref(), root, now);
        say(&standing(&root.source, table, told, sight_of_root(root, now)).line(words()));
        tell_left_out(root, filter);
    }
    Ok(stands)
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
    stands_of(bus, settings, filter, (None, unread)).await
}

async fn stands_of(
    bus: &Bus,
    settings: &BusSettings,
    filter: &Filter,
    (listed, mut unread): (Option<Vec<String>>, impl FnMut(&Root)),
) -> Result<Vec<(Root, Table)>, BusError> {
    let mut stands = Vec::new();
    let (stream, wanted) = (&settings.stream, |source: &str| filter.wants_source(source));
    let heads = match listed {
        Some(listed) => read_heads_at(bus, stream, listed, wanted).await?,
        None => read_heads(bus, stream, &settings.prefix, wanted).await?,
    };
    for head in heads {
        let Ok(root) = &head.root else { continue };
        match table(&head, root) {
            Some(table) => stands.push((root.clone(), table)),
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

/// The rows of a head; nothing where they cannot be read.
pub(super) fn table(head: &Head, root: &Root) -> Option<Table> {
    head.shards.as_ref()?;
    let restored = Restored {
        epoch: &root.epoch,
        resync: false,
        first: false,
        looked_at: root.looked_at,
    };
    ProcessRows.decode(&mut head.rows(), restored).ok()
}
