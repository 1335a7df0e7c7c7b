//! The last table of each source, with its age and what it is worth.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::event::envelope::SCHEMA;
use crate::event::payload::millis;
use crate::observation::freshness::{Freshness, Observed};
use crate::process::moment::{Moment, Sighted};
use crate::process::table::Table;
use crate::render::standings::OneProcess;

use super::board::Listed;
use super::health::Standing;

/// A source and its last table.
pub(super) struct Seen {
    standing: Standing,
    moment: Option<Moment>,
}

impl Seen {
    /// What was last seen of a source; a table that is not fresh is one of processes that were last seen so.
    pub(super) fn of(listed: &Listed, now: DateTime<Utc>) -> Self {
        let entry = match listed {
            Listed::Watched(entry) => entry,
            Listed::Missing(missing) => {
                return Self {
                    standing: Standing::missing(missing),
                    moment: None,
                };
            }
        };
        let observed = entry.handle.latest();
        let standing = Standing::of(entry, &observed, now);
        Self {
            moment: moment(entry.source(), &observed),
            standing,
        }
    }
}

/// The table as it may be shown; nothing before the first look.
pub(super) fn moment(source: &str, observed: &Observed<Arc<Table>>) -> Option<Moment> {
    let (table, freshness) = observed.parts();
    let (table, at) = (table?, observed.seen_at()?);
    let sighted = match freshness {
        Freshness::Fresh => Sighted::Seen(Some(at)),
        Freshness::Failing { .. } => Sighted::Lost(at),
        _ => Sighted::Unwatched(at),
    };
    Some(Moment::of_table(source, sighted, table, Some(at)))
}

/// The last table of each source.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Snapshot<'a> {
    /// Always `snapshot`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The number of the contract of events, which this object shares.
    schema: u32,
    /// When this was written; up to a quarter of a second ago.
    #[serde(with = "millis")]
    #[cfg_attr(test, schemars(with = "DateTime<Utc>"))]
    at: DateTime<Utc>,
    /// Each source, by name.
    sources: Vec<One<'a>>,
}

/// One source.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct One<'a> {
    /// How it stands.
    standing: &'a Standing,
    /// Each process of the last table, in name order: known `now` where that is fresh, else `was`. Absent before the first
    /// look.
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<Vec<OneProcess<'a>>>,
}

impl<'a> Snapshot<'a> {
    pub(super) fn of(seen: &'a [Seen], at: DateTime<Utc>) -> Self {
        let sources = seen.iter().map(|seen| One {
            standing: &seen.standing,
            processes: seen.moment.as_ref().map(|moment| {
                let all = moment.processes.iter();
                all.map(|found| OneProcess::of(found, at)).collect()
            }),
        });
        Self {
            kind: "snapshot",
            schema: SCHEMA,
            at,
            sources: sources.collect(),
        }
    }
}
