//! The same for machines: one object.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Standings;
use crate::event::envelope::SCHEMA;
use crate::event::payload::{State, millis};
use crate::process::moment::{Found, Known, Moment, Sighted};
use crate::render::json::shown;
use crate::render::time::since;

impl Standings<'_> {
    /// One JSON object in one line.
    ///
    /// # Errors
    ///
    /// Only where a number of a state is not finite; trying again does not help.
    pub fn json(&self) -> serde_json::Result<Vec<u8>> {
        let object = Object {
            kind: "state",
            schema: SCHEMA,
            at: self.then(),
            hidden: self.hidden,
            sources: self
                .moments
                .iter()
                .map(|moment| self.source(moment))
                .collect(),
        };
        Ok(shown(&serde_json::to_vec(&object)?))
    }

    fn source<'m>(&self, moment: &'m Moment) -> OneSource<'m> {
        let (sight, since) = sight_word(moment.sighted);
        OneSource {
            source: &moment.source,
            sight,
            since,
            processes: moment
                .processes
                .iter()
                .map(|found| OneProcess::of(found, self.then()))
                .collect(),
        }
    }
}

/// The word for how well a source was in sight, and since when.
pub(in crate::render) fn sight_word(sighted: Sighted) -> (&'static str, Option<DateTime<Utc>>) {
    match sighted {
        Sighted::Seen(at) => ("seen", at),
        Sighted::Unwatched(since) => ("unwatched", Some(since)),
        Sighted::Lost(since) => ("lost", Some(since)),
        Sighted::NotYet(until) => ("not_yet", Some(until)),
        Sighted::NotKept => ("not_kept", None),
        Sighted::Unreadable => ("unreadable", None),
    }
}

/// How every process of every source stood at one moment.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Object<'a> {
    /// Always `state`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The number of the contract of events, which this object shares.
    schema: u32,
    /// The moment: the present, or what --at means.
    #[serde(with = "millis")]
    #[cfg_attr(test, schemars(with = "DateTime<Utc>"))]
    at: DateTime<Utc>,
    /// How many sources are left out, because nobody has seen them for a day.
    hidden: u64,
    /// Each source.
    sources: Vec<OneSource<'a>>,
}

/// One source.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct OneSource<'a> {
    /// What is watched.
    source: &'a str,
    /// How well it was in sight: `seen`; `unwatched` or `lost`, where nobody looked or it could not be seen since `since`;
    /// `not_yet`, where it was watched only from `since` on; `not_kept`, where what was told of that time is gone;
    /// `unreadable`.
    sight: &'static str,
    /// The last look, where it is seen; else what `sight` says.
    #[serde(skip_serializing_if = "Option::is_none", with = "millis::option")]
    #[cfg_attr(test, schemars(with = "Option<DateTime<Utc>>", default))]
    since: Option<DateTime<Utc>>,
    /// Each process, in name order.
    processes: Vec<OneProcess<'a>>,
}

/// One process.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OneProcess<'a> {
    /// The process.
    process: &'a str,
    /// Its first namespace.
    namespace: &'a str,
    /// `now`, where its state is known; `was`, where only how it stood before is known; `nothing`.
    known: &'static str,
    /// Whether it stands still after a bad end that nobody asked for; means something only where its state is known.
    crashed: bool,
    /// The exit code of the run that ended last; -1 = by a signal. Absent where none has ended or nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i64>,
    /// How long the run has lasted that goes on, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_ms: Option<u64>,
    /// The time that `age_ms`, `mem_bytes` and `cpu_percent` of the state are of.
    #[serde(skip_serializing_if = "Option::is_none", with = "millis::option")]
    #[cfg_attr(test, schemars(with = "Option<DateTime<Utc>>", default))]
    usage_at: Option<DateTime<Utc>>,
    /// The full state at that moment, as in an event; absent where it is not known. Its exit code means something only where
    /// there is one beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a State>,
    /// The state that was known last, where it is not known for that moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_known: Option<&'a State>,
    /// True where that is so because the adapter left events about it out; absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(test, schemars(default))]
    left_out: bool,
}

impl<'a> OneProcess<'a> {
    /// What is known of it at a moment.
    pub fn of(found: &'a Found, then: DateTime<Utc>) -> Self {
        let (known, state, last_known) = match found.known {
            Known::Now => ("now", found.state.as_ref(), None),
            Known::Was => ("was", None, found.state.as_ref()),
            Known::Nothing => ("nothing", None, None),
        };
        let begun = found.begun_at.filter(|_| found.is_up());
        let uptime = begun.map(|at| since(at, then).as_millis());
        Self {
            process: &found.name,
            namespace: found.namespaces.first().map_or("", |name| &**name),
            known,
            crashed: found.crashed,
            exit_code: found.exit,
            uptime_ms: uptime.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
            usage_at: found.usage_at,
            state,
            last_known,
            left_out: found.left_out,
        }
    }
}
