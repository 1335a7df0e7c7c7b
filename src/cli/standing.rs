//! How a source stands: the opening line of a view.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::observation::freshness::Freshness;
use crate::process::phase::{Health, Phase};
use crate::process::table::{Row, Table};
use crate::render::notice::{LastEvent, Sight, Standing};
use crate::render::time::since;

/// Puts together the opening line's facts from a table.
pub(super) fn standing<'a>(
    source: &'a str,
    table: &Table,
    last_event: LastEvent,
    sight: Sight,
) -> Standing<'a> {
    let count = |holds: fn(&Row) -> bool| {
        u64::try_from(table.rows().filter(|row| holds(row)).count()).unwrap_or(u64::MAX)
    };
    Standing {
        source,
        processes: count(|_| true),
        up: count(|row| row.phase == Phase::Up),
        unhealthy: count(|row| row.phase == Phase::Up && row.health == Health::NotReady),
        crashed: count(Row::is_broken),
        last_event,
        sight,
    }
}

/// How well a source is in sight, as an observation of our own says it.
pub(super) fn sight(
    freshness: &Freshness,
    seen_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Sight {
    let ago = seen_at.map(|at| since(at, now));
    match (freshness, ago) {
        (Freshness::Failing { since: from, .. }, _) => Sight::Lost(since(*from, now)),
        (_, None) => Sight::Never,
        (Freshness::Stale(age), _) => Sight::Stale(*age),
        (_, Some(ago)) => Sight::Looked(ago),
    }
}

/// How well a source is in sight, as the root of its head says it.
pub(super) fn sight_of_root(root: &crate::event::store::Root, now: DateTime<Utc>) -> Sight {
    let ago: Duration = since(root.looked_at, now);
    if !root.connected {
        Sight::Lost(ago)
    } else if ago > root.stale_after() {
        Sight::Stale(ago)
    } else {
        Sight::Looked(ago)
    }
}
