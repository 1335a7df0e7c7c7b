//! What this is, and what can be asked.

use serde::Serialize;

use crate::event::envelope::SCHEMA;
use crate::render::version::Build;

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Health,
    Live,
    Ready,
    Manifest,
    Snapshot,
    Events,
    Metrics,
}

impl Way {
    /// All of them.
    pub(super) const ALL: [Self; 7] = [
        Self::Health,
        Self::Live,
        Self::Ready,
        Self::Manifest,
        Self::Snapshot,
        Self::Events,
        Self::Metrics,
    ];

    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Health => "/health",
            Self::Live => "/health/live",
            Self::Ready => "/health/ready",
            Self::Manifest => "/manifest",
            Self::Snapshot => "/snapshot",
            Self::Events => "/events",
            Self::Metrics => "/metrics",
        }
    }

    /// What may stand behind the question mark.
    pub(super) const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Manifest | Self::Metrics => &[],
            Self::Events => &["after", "limit", "source"],
            _ => &["source"],
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Health => "200 where everything is ready, else 503; the reasons",
            Self::Live => "200 as long as looks come to an end, else 503",
            Self::Ready => "200 where every source is seen and told, else 503",
            Self::Manifest => "this",
            Self::Snapshot => "the last table of each source, its age and what it is worth",
            Self::Events => {
                "what was told, by cursor; 304 by If-None-Match, 410 where it is no longer kept"
            }
            Self::Metrics => "figures, in the text of Prometheus, format 0.0.4",
        }
    }
}

/// What this is, and what can be asked.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Manifest<'a> {
    /// Always `manifest`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The number of the contract of events, which this object shares.
    schema: u32,
    /// Always `observe`.
    name: &'static str,
    /// The version of the program.
    version: &'static str,
    /// The random name of this run of the program.
    run: &'a str,
    /// What is offered: `health`, `snapshot`, `events`, `metrics`. More may come.
    capabilities: [&'static str; 4],
    /// Each question that is answered.
    endpoints: Vec<Endpoint>,
    /// The build, with the number of each contract.
    build: Build,
}

/// A question.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Endpoint {
    /// Its path.
    path: &'static str,
    /// What may stand behind its question mark.
    query: &'static [&'static str],
    /// What it answers.
    answers: &'static str,
}

impl<'a> Manifest<'a> {
    pub(super) fn of(run: &'a str) -> Self {
        let endpoints = Way::ALL.map(|way| Endpoint {
            path: way.path(),
            query: way.keys(),
            answers: way.words(),
        });
        Self {
            kind: "manifest",
            schema: SCHEMA,
            name: "observe",
            version: Build::THIS.version(),
            run,
            capabilities: ["health", "snapshot", "events", "metrics"],
            endpoints: endpoints.into(),
            build: Build::THIS,
        }
    }
}
