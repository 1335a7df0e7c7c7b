//! Whether somebody looks, sees and tells; and if not, why.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::adapter::pulse::Doing;
use crate::event::envelope::SCHEMA;
use crate::event::payload::millis;
use crate::observation::freshness::{Freshness, Observed};
use crate::render::door::clean;
use crate::render::time::since;
use crate::render::words::{age, count, span};

use super::board::{Entry, Missing};

/// The most columns of an error that are shown.
const WORDS: usize = 300;
/// What is said where nothing is watched.
const NOTHING: &str = "nothing is watched yet";
/// What is said of a place whose source has no name yet.
const NAMELESS: &str = "not looked at yet: it has not answered, and so not said what it is called";
/// What is said of a source that is not watched and was not refused either.
const MISSING: &str = "not looked at yet: it or the broker has not answered";

/// How a source stands, in the words that health, snapshot and figures share.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Standing {
    /// What is watched.
    pub(super) source: String,
    /// Whether looks come to an end: good ones, failed ones, and those another adapter makes in our place.
    pub(super) live: bool,
    /// Whether it looks, sees and tells, or stands by for another adapter that does.
    pub(super) ready: bool,
    /// Whether source and broker are both there.
    pub(super) connected: bool,
    /// `beginning`; `telling`; `waiting`, where it looks and what it would tell waits for the broker; `blind`, where it looks
    /// and cannot know yet what was told last; `standing_by`, where another adapter looks.
    pub(super) doing: &'static str,
    /// What the last table is worth: `unseen`, `fresh`, `stale`, `failing`, `no source`, `held` (nobody here looks at
    /// present), `ended`.
    pub(super) freshness: &'static str,
    /// The end of the last look that succeeded; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none", with = "millis::option")]
    #[cfg_attr(test, schemars(with = "Option<DateTime<Utc>>", default))]
    pub(super) seen_at: Option<DateTime<Utc>>,
    /// How long ago that was, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) age_ms: Option<u64>,
    /// Events that wait for the broker.
    pub(super) waiting: u64,
    /// Why it is not live, not ready or not connected, in words for people; empty where it is all of that.
    pub(super) reasons: Vec<String>,
}

impl Standing {
    /// How a source stands now.
    pub(super) fn of<T>(entry: &Entry, observed: &Observed<T>, now: DateTime<Utc>) -> Self {
        let pulse = &entry.account.pulse;
        let (doing, freshness) = (pulse.doing(), observed.freshness());
        let quiet = pulse.since_beat().unwrap_or_default();
        let live = quiet <= entry.patience && !matches!(freshness, Freshness::Ended);
        let has_broker = pulse.has_broker();
        let seen = sees(freshness, doing);
        let connected = seen && has_broker;
        let mut reasons: Vec<String> = why_unseen(freshness, doing, seen).into_iter().collect();
        if !live {
            reasons.push(format!("no look has come to an end for {}", span(quiet)));
        }
        reasons.extend(why_untold(doing, has_broker, pulse.waiting()));
        let ago = observed.seen_at().map(|at| since(at, now));
        Self {
            source: entry.source().to_owned(),
            live,
            ready: live && connected && matches!(doing, Doing::Telling | Doing::StandingBy),
            connected,
            doing: doing.as_str(),
            freshness: freshness.as_str(),
            seen_at: observed.seen_at(),
            age_ms: ago.map(in_millis),
            waiting: pulse.waiting(),
            reasons,
        }
    }

    /// How a source stands that is to be watched and is not. It lives: who looks is there, and tries again.
    pub(super) fn missing(missing: &Missing) -> Self {
        let why = missing.why.as_deref().map(|why| clean(why, WORDS));
        let reason = match why {
            None => MISSING.to_owned(),
            Some(why) if missing.tried => format!("{MISSING}; the last time: {why}"),
            Some(why) => format!("not looked at: {why}"),
        };
        Self {
            source: missing.source.as_str().to_owned(),
            live: true,
            ready: false,
            connected: false,
            doing: Doing::Beginning.as_str(),
            freshness: Freshness::Unseen.as_str(),
            seen_at: None,
            age_ms: None,
            waiting: 0,
            reasons: vec![reason],
        }
    }
}

pub(super) fn in_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whether the source is in sight; looks that are held for a moment, or made by another adapter, leave it there.
fn sees(freshness: &Freshness, doing: Doing) -> bool {
    match freshness {
        Freshness::Fresh => true,
        Freshness::Held(_) => doing != Doing::Beginning,
        _ => false,
    }
}

fn why_unseen(freshness: &Freshness, doing: Doing, seen: bool) -> Option<String> {
    if seen {
        return None;
    }
    Some(match freshness {
        Freshness::Failing { count, error, .. } => {
            let looks = match count {
                1 => "the last look".to_owned(),
                count => format!("the last {count} looks"),
            };
            format!("{looks} failed: {}", clean(&error.to_string(), WORDS))
        }
        Freshness::Stale(ago) => format!("the last look was {} ago", age(*ago)),
        Freshness::NoSource { .. } => "there is nothing to look at".to_owned(),
        Freshness::Ended => "the looks have ended".to_owned(),
        _ if doing == Doing::StandingBy => return None,
        Freshness::Unseen | Freshness::Fresh | Freshness::Held(_) => "not looked yet".to_owned(),
    })
}

fn why_untold(doing: Doing, has_broker: bool, waiting: u64) -> Option<String> {
    match doing {
        Doing::Beginning => Some("nothing is told yet".into()),
        Doing::Blind => {
            Some("the broker was away from the start: what was told last is not known".into())
        }
        _ if !has_broker && waiting > 0 => Some(format!(
            "the broker is away; {} for it",
            count(waiting, "event waits", "events wait")
        )),
        _ if !has_broker => Some("the broker is away".to_owned()),
        _ => None,
    }
}

/// Whether somebody looks, sees and tells.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Health {
    /// Always `health`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The number of the contract of events, which this object shares.
    schema: u32,
    /// The present.
    #[serde(with = "millis")]
    #[cfg_attr(test, schemars(with = "DateTime<Utc>"))]
    at: DateTime<Utc>,
    /// Whether every source is; also where nothing is watched yet.
    pub(super) live: bool,
    /// Whether every source is, and there is one, and none whose name is not known yet.
    pub(super) ready: bool,
    /// Whether every source is, and there is one, and none whose name is not known yet.
    connected: bool,
    /// Everything that keeps it from being ready, each with the name of its source, or with the place of one whose name is
    /// not known yet.
    reasons: Vec<String>,
    /// Each source, by name.
    sources: Vec<Standing>,
}

impl Health {
    /// Of these sources, and of what is to be watched at places that have told no name yet.
    pub(super) fn of(sources: Vec<Standing>, nameless: &[String], at: DateTime<Utc>) -> Self {
        let each = |standing: &Standing| {
            let named = |reason: &String| format!("{}: {reason}", standing.source);
            standing.reasons.iter().map(named).collect::<Vec<_>>()
        };
        let mut reasons: Vec<String> = sources.iter().flat_map(each).collect();
        let unnamed = |place: &String| format!("{}: {NAMELESS}", clean(place, WORDS));
        reasons.extend(nameless.iter().map(unnamed));
        if reasons.is_empty() && sources.is_empty() {
            reasons.push(NOTHING.to_owned());
        }
        let is_whole = !sources.is_empty() && nameless.is_empty();
        let all = |is: fn(&Standing) -> bool| is_whole && sources.iter().all(is);
        Self {
            kind: "health",
            schema: SCHEMA,
            at,
            live: sources.iter().all(|standing| standing.live),
            ready: all(|standing| standing.ready),
            connected: all(|standing| standing.connected),
            reasons,
            sources,
        }
    }
}
