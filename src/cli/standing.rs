//! How a source stands: the opening line of a view.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::observation::freshness::Freshness;
use crate::process::rows::census::Census;
use crate::render::notice::{LastEvent, Sight, Standing};
use crate::render::time::since;

/// Puts together the opening line's facts.
pub(super) fn standing(
    source: &str,
    census: Census,
    last_event: LastEvent,
    sight: Sight,
) -> Standing<'_> {
    Standing {
        source,
        processes: census.processes,
        up: census.up,
        unhealthy: census.unhealthy,
        crashed: census.crashed,
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
