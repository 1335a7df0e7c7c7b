//! How the sources stand, as their heads say it, and how they stood, as the stream remembers it.

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::bus::connect::Bus;
use crate::bus::error::BusError;
use crate::bus::head::{RootAt, heads, last_events, read_head_at};
use crate::bus::past::Extent;
use crate::bus::settings::BusSettings;
use crate::event::filter::Filter;
use crate::event::store::{Head, Root};
use crate::event::subject::{Token, decode_token};
use crate::process::fold::{Fold, Told};
use crate::process::moment::{Moment, Sighted};
use crate::process::table::Table;
use crate::render::time::since;

use super::exit::Failure;
use super::heads::rows_of;
use super::open::broker_failure;
use super::progress::Progress;
use super::walk::{Ground, Times, Walk};

/// A source that nobody has seen for so long is not shown unless it is asked for.
const FORGOTTEN: TimeDelta = TimeDelta::days(1);

/// One source, as its head says it.
pub(super) struct Recalled {
    pub(super) source: String,
    /// The subject of its root.
    pub(super) subject: String,
    /// The root and the rows; nothing where one of them cannot be read.
    pub(super) root: Option<Root>,
    pub(super) table: Option<Table>,
}

impl Recalled {
    /// How well the source is in sight.
    pub(super) fn sighted(&self, now: DateTime<Utc>) -> Sighted {
        match (&self.root, &self.table) {
            (Some(root), Some(_)) => sighted(root, since(root.looked_at, now) > root.stale_after()),
            _ => Sighted::Unreadable,
        }
    }

    /// How the source stands.
    pub(super) fn moment(&self, now: DateTime<Utc>) -> Moment {
        let sighted = self.sighted(now);
        match &self.table {
            Some(table) => Moment::of_table(&self.source, sighted, table, None),
            None => Moment {
                source: self.source.clone(),
                sighted,
                processes: Vec::new(),
            },
        }
    }
}

/// How well a source is in sight whose root says so, and stands still for too long or not.
pub(super) fn sighted(root: &Root, is_stale: bool) -> Sighted {
    match (root.connected, is_stale) {
        (false, _) => Sighted::Lost(root.looked_at),
        (true, true) => Sighted::Unwatched(root.looked_at),
        (true, false) => Sighted::Seen(Some(root.looked_at)),
    }
}

/// The heads of all sources that are wanted, in the order of their names.
pub(super) async fn recall(
    bus: &Bus,
    settings: &BusSettings,
    filter: &Filter,
) -> Result<Vec<Recalled>, Failure> {
    let roots = heads(bus, &settings.stream, &settings.prefix)
        .await
        .map_err(broker_failure)?;
    let mut found = Vec::new();
    for at in roots {
        let source = name(&at);
        if filter.wants_source(&source) {
            found.push(
                one(bus, settings, &at, source)
                    .await
                    .map_err(broker_failure)?,
            );
        }
    }
    found.sort_by(|one, other| one.source.cmp(&other.source));
    Ok(found)
}

async fn one(
    bus: &Bus,
    settings: &BusSettings,
    at: &RootAt,
    source: String,
) -> Result<Recalled, BusError> {
    let head = read_head_at(bus, &settings.stream, &at.subject).await?;
    let root = head.as_ref().and_then(|head| head.root.clone().ok());
    let whole = |(head, root): (&Head, &Root)| rows_of(head, root);
    Ok(Recalled {
        table: head.as_ref().zip(root.as_ref()).and_then(whole),
        source,
        subject: at.subject.clone(),
        root,
    })
}

/// The source a root is of; its subject says it where the root cannot.
fn name(at: &RootAt) -> String {
    if let Ok(root) = &at.root {
        return root.source.clone();
    }
    let token = at.subject.rsplit('.').next().unwrap_or_default();
    match decode_token(token) {
        Some(Token::Whole(name)) => name,
        _ => token.to_owned(),
    }
}

/// Takes age, memory and load of what is up from the last event of each.
pub(super) async fn recall_usage(
    bus: &Bus,
    settings: &BusSettings,
    moments: &mut [Moment],
) -> Result<(), Failure> {
    let mut up = Vec::new();
    for moment in moments {
        let source = &moment.source;
        let found = moment.processes.iter_mut().filter(|found| found.is_up());
        up.extend(found.map(|found| (source.clone(), found)));
    }
    let names = up.iter().map(|(_, found)| {
        let namespace = found.namespaces.first().map(ToString::to_string);
        (namespace.unwrap_or_default(), found.name.to_string())
    });
    let events = last_events(bus, &settings.stream, &settings.prefix, names.collect())
        .await
        .map_err(broker_failure)?;
    for ((source, found), event) in up.into_iter().zip(events) {
        // Another source may have a process of the same name.
        if let Some(event) = event.filter(|event| event.source == source) {
            found.used_as_of(&event);
        }
    }
    Ok(())
}

/// How the sources that are wanted stood at each of these moments; nothing where we were asked to end. The last moment
/// there is means the present.
pub(super) async fn fold_back(
    bus: &Bus,
    settings: &BusSettings,
    filter: &Filter,
    moments: &[DateTime<Utc>],
    token: &CancellationToken,
) -> Result<Option<Vec<Vec<Moment>>>, Failure> {
    let (stream, now) = (&settings.stream, Utc::now());
    // The heads first: whatever they contain is in the stream then.
    let heads = recall(bus, settings, filter).await?;
    let extent = Extent::of(bus, stream).await.map_err(broker_failure)?;
    let ground = Ground::new(bus, settings, filter, (&extent, None), Times::default());
    let mut walk = Walk::forward(ground);
    let mut folds: Vec<Fold> = moments.iter().map(|at| Fold::up_to(*at)).collect();
    let kept = extent.kept_since(bus, stream, now).await;
    let kept = kept.map_err(broker_failure)?;
    // Where nothing ever leaves the stream, nothing is missing.
    let by_limits = kept.unwrap_or(DateTime::<Utc>::MIN_UTC);
    let (mut first_stored, mut seen) = (None, 0);
    let mut progress = Progress::begin(extent.last);
    loop {
        let place = walk.place();
        let found = tokio::select! {
            biased;
            () = token.cancelled() => return Ok(None),
            found = walk.next() => Some(found.map_err(broker_failure)?),
            () = progress.due() => None,
        };
        progress.look(place, seen);
        match found {
            None => {}
            Some(None) => break,
            Some(Some(record)) => {
                seen += 1;
                first_stored.get_or_insert(record.position.stored_at);
                for fold in &mut folds {
                    fold.see(&record.envelope);
                }
            }
        }
    }
    progress.end();
    let kept_since = first_stored.into_iter().chain([by_limits]).min();
    let told: Vec<Told<'_>> = heads
        .iter()
        .filter_map(|head| {
            let root = head.root.as_ref()?;
            Some(Told {
                source: &head.source,
                journal: &root.journal,
                sighted: head.sighted(now),
                left_out: root.left_out.as_ref(),
                table: head.table.as_ref(),
            })
        })
        .collect();
    let closed = folds.into_iter().map(|fold| fold.close(&told, kept_since));
    Ok(Some(closed.collect()))
}

/// Leaves out sources that nobody had seen for a day then, and says how many.
pub(super) fn without_forgotten(moments: &mut Vec<Moment>, then: DateTime<Utc>) -> u64 {
    let before = moments.len();
    moments.retain(|moment| {
        let since = moment.sighted.blind_since();
        since.is_none_or(|since| then - since < FORGOTTEN)
    });
    u64::try_from(before - moments.len()).unwrap_or(u64::MAX)
}
