//! Everything that is counted, as figures.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::adapter::pulse::{Doing, Pulse, Rejection};
use crate::event::payload::Kind;
use crate::process::moment::{Found, Moment};
use crate::process::table::Table;
use crate::render::time::since;
use crate::render::version::Build;

use super::board::{Entry, Listed};
use super::health::Standing;
use super::looks::Looks;
use super::snapshot::moment;
use super::tally::{About, Ends, Tally};
use super::text::Type::{Counter, Gauge, Histogram};
use super::text::{Text, Type};

/// One source at the moment of the question.
struct One {
    /// What is counted of it; nothing while it is not watched.
    entry: Option<Arc<Entry>>,
    standing: Standing,
    moment: Option<Moment>,
}

impl One {
    fn of(listed: Listed, now: DateTime<Utc>) -> Self {
        let entry = match listed {
            Listed::Watched(entry) => entry,
            Listed::Missing(missing) => {
                return Self {
                    entry: None,
                    standing: Standing::missing(&missing),
                    moment: None,
                };
            }
        };
        let observed = entry.handle.latest();
        if let (Some(table), _) = observed.parts() {
            know(&mut entry.tally(), table);
        }
        Self {
            standing: Standing::of(&entry, &observed, now),
            moment: moment(entry.source(), &observed),
            entry: Some(entry),
        }
    }

    fn source(&self) -> &str {
        &self.standing.source
    }

    fn pulse(&self) -> Option<&Pulse> {
        Some(&self.entry.as_ref()?.account.pulse)
    }

    fn looks(&self) -> Option<&Looks> {
        Some(&self.entry.as_ref()?.account.looks)
    }

    fn processes(&self, holds: impl Fn(&Found) -> bool) -> f64 {
        let all = self.moment.iter().flat_map(|moment| &moment.processes);
        number(all.filter(|found| holds(found)).count() as u64)
    }
}

fn know(tally: &mut Tally, table: &Table) {
    let names = table.rows().map(|row| {
        let namespace = row.namespaces.first().map_or("default", |name| name);
        (namespace, &*row.name)
    });
    tally.know(names.collect::<Vec<_>>().into_iter());
}

/// As a figure; none of ours is large enough to lose anything.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn number(value: u64) -> f64 {
    value as f64
}

/// The figures of these sources.
pub(super) fn figures(listed: Vec<Listed>, now: DateTime<Utc>) -> Vec<u8> {
    let all: Vec<One> = listed
        .into_iter()
        .map(|listed| One::of(listed, now))
        .collect();
    let mut text = Text::default();
    text.family(
        "observe_build_info",
        Gauge,
        "The program that answers; always 1.",
    );
    text.count(
        &[
            ("version", Build::THIS.version()),
            ("target", Build::THIS.target()),
        ],
        1,
    );
    text.family(
        "observe_sources",
        Gauge,
        "Sources that are watched here or are to be.",
    );
    text.count(&[], all.len() as u64);
    standing(&mut text, &all, now);
    looks(&mut text, &all);
    told(&mut text, &all);
    broker(&mut text, &all, now);
    processes(&mut text, &all);
    text.into_bytes()
}

/// One figure for each source that has it.
fn each(
    text: &mut Text,
    (name, is, help): (&'static str, Type, &'static str),
    all: &[One],
    value: impl Fn(&One) -> Option<f64>,
) {
    text.family(name, is, help);
    for one in all {
        if let Some(value) = value(one) {
            text.measure(&[("source", one.source())], value);
        }
    }
}

fn standing(text: &mut Text, all: &[One], now: DateTime<Utc>) {
    let yes = |is: bool| Some(f64::from(u8::from(is)));
    let family = (
        "observe_source_live",
        Gauge,
        "1 as long as looks come to an end, also failed ones.",
    );
    each(text, family, all, |one| yes(one.standing.live));
    let family = (
        "observe_source_ready",
        Gauge,
        "1 where the source is seen and told, or another adapter does it.",
    );
    each(text, family, all, |one| yes(one.standing.ready));
    let family = (
        "observe_source_fresh",
        Gauge,
        "1 where the last table may be taken for the present.",
    );
    each(text, family, all, |one| {
        yes(one.standing.freshness == "fresh")
    });
    let family = (
        "observe_source_seen_age_seconds",
        Gauge,
        "How long ago the last look ended that succeeded.",
    );
    each(text, family, all, |one| {
        Some(since(one.standing.seen_at?, now).as_secs_f64())
    });
    let family = (
        "observe_broker_connected",
        Gauge,
        "1 where the broker takes what is told.",
    );
    each(text, family, all, |one| {
        yes(one.pulse().is_some_and(Pulse::has_broker))
    });
    text.family(
        "observe_adapter_doing",
        Gauge,
        "1 for what the adapter is doing, 0 for everything else.",
    );
    for one in all {
        for doing in Doing::ALL {
            let is = u64::from(one.standing.doing == doing.as_str());
            text.count(&[("source", one.source()), ("doing", doing.as_str())], is);
        }
    }
}

fn looks(text: &mut Text, all: &[One]) {
    let sum = |looks: &Looks| looks.buckets().map(|(_, number)| number).sum();
    let family = ("observe_looks_total", Counter, "Looks that came to an end.");
    each(text, family, all, |one| Some(number(sum(one.looks()?))));
    let family = (
        "observe_looks_failed_total",
        Counter,
        "Looks that saw nothing.",
    );
    each(text, family, all, |one| Some(number(one.looks()?.failed())));
    text.family(
        "observe_look_duration_seconds",
        Histogram,
        "How long a look took, also one that failed.",
    );
    for one in all {
        let Some(looks) = one.looks() else { continue };
        let labels = [("source", one.source())];
        text.histogram(&labels, looks.buckets(), looks.took().as_secs_f64());
    }
}

fn told(text: &mut Text, all: &[One]) {
    text.family(
        "observe_events_total",
        Counter,
        "Events that the broker acknowledged.",
    );
    for one in all {
        let Some(entry) = &one.entry else { continue };
        let tally = entry.tally();
        let known: Vec<(About, &Kind, u64)> = tally.types().collect();
        let count = |about: About, kind: &Kind| {
            let found = known.iter().find(|(of, is, _)| (*of, *is) == (about, kind));
            found.map_or(0, |(_, _, number)| *number)
        };
        let process = Kind::PROCESS.map(|kind| (About::Process, kind));
        let source = Kind::SOURCE.map(|kind| (About::Source, kind));
        for (about, kind) in process.into_iter().chain(source) {
            let labels = [
                ("source", one.source()),
                ("about", about.as_str()),
                ("type", kind.as_str()),
            ];
            text.count(&labels, count(about, &kind));
        }
    }
}

fn broker(text: &mut Text, all: &[One], now: DateTime<Utc>) {
    let family = (
        "observe_commits_total",
        Counter,
        "Commits with events that the broker acknowledged.",
    );
    each(text, family, all, |one| {
        Some(number(one.pulse()?.commits()))
    });
    let family = (
        "observe_events_left_out_total",
        Counter,
        "Events about processes that were seen and, as the adapter was told to, not told.",
    );
    each(text, family, all, |one| {
        Some(number(one.pulse()?.left_out()))
    });
    let family = (
        "observe_head_refreshes_total",
        Counter,
        "Commits without events, which say that somebody looks.",
    );
    each(text, family, all, |one| {
        Some(number(one.pulse()?.refreshes()))
    });
    text.family(
        "observe_commits_rejected_total",
        Counter,
        "Commits that came to nothing, or whose answer is missing.",
    );
    for one in all {
        let Some(pulse) = one.pulse() else { continue };
        for why in Rejection::ALL {
            let labels = [("source", one.source()), ("reason", why.as_str())];
            text.count(&labels, pulse.rejected(why));
        }
    }
    let family = (
        "observe_waiting_events",
        Gauge,
        "Events that wait for the broker.",
    );
    each(text, family, all, |one| {
        Some(number(one.pulse()?.waiting()))
    });
    let family = (
        "observe_spool_bytes",
        Gauge,
        "What waits on the disk, in bytes.",
    );
    each(text, family, all, |one| {
        Some(number(one.pulse()?.spool_bytes()))
    });
    let family = (
        "observe_head_age_seconds",
        Gauge,
        "How long ago the look was that the head in the broker speaks of.",
    );
    each(text, family, all, |one| {
        Some(since(one.pulse()?.head_at()?, now).as_secs_f64())
    });
}

/// One of the numbers of a process.
type Of = fn(Ends) -> u64;

fn processes(text: &mut Text, all: &[One]) {
    let family = (
        "observe_processes",
        Gauge,
        "Processes in the last table, fresh or not.",
    );
    each(text, family, all, |one| {
        one.moment.is_some().then(|| one.processes(|_| true))
    });
    let family = (
        "observe_processes_up",
        Gauge,
        "Processes that are known to be up; absent where nothing is known.",
    );
    each(text, family, all, |one| {
        is_fresh(one).then(|| one.processes(Found::is_up))
    });
    let family = (
        "observe_processes_crashed",
        Gauge,
        "Processes that stand still after a bad end nobody asked for; absent where nothing is known.",
    );
    each(text, family, all, |one| {
        is_fresh(one).then(|| one.processes(|found| found.crashed))
    });
    let families: [(&'static str, &'static str, Of); 2] = [
        (
            "observe_process_crashes_total",
            "Crashes told; processes beyond the first 256 of a source are counted together.",
            |ends| ends.crashes,
        ),
        (
            "observe_process_restarts_total",
            "Restarts told; processes beyond the first 256 of a source are counted together.",
            |ends| ends.restarts,
        ),
    ];
    for (name, help, value) in families {
        text.family(name, Counter, help);
        for one in all {
            let Some(entry) = &one.entry else { continue };
            for (namespace, process, ends) in entry.tally().processes() {
                let labels = [
                    ("source", one.source()),
                    ("namespace", namespace),
                    ("process", process),
                ];
                text.count(&labels, value(ends));
            }
        }
    }
}

fn is_fresh(one: &One) -> bool {
    one.moment.is_some() && one.standing.freshness == "fresh"
}
