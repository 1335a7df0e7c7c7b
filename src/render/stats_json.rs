//! Figures about processes, as one object for machines.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::json::shown;
use crate::event::envelope::SCHEMA;
use crate::event::payload::millis;
use crate::stats::figures::{Bucket, Counted, Figures};
use crate::stats::report::{Line, Report, Sight};

/// JSON Schema (draft 2020-12) of the object that `observe stats -o json` prints.
pub const STATS: &str = include_str!("../../docs/schema/stats.v1.json");

/// One JSON object in one line.
///
/// # Errors
///
/// Only where a share is not finite, which it always is; trying again does not help.
pub fn object(report: &Report) -> serde_json::Result<Vec<u8>> {
    let object = Object {
        kind: "stats",
        schema: SCHEMA,
        from: report.range.from,
        to: report.range.to,
        by: report.by.as_str(),
        lines: report.lines.iter().map(One::of).collect(),
        total: Numbers::of(&report.total),
        sources: report.sources.iter().map(Watched::of).collect(),
    };
    Ok(shown(&serde_json::to_vec(&object)?))
}

/// Figures about processes in a stretch of time. Whatever ends in `_ms` is in milliseconds.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Object<'a> {
    /// Always `stats`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The number of the contract of events, which this object shares.
    schema: u32,
    /// The beginning of the time that was looked at.
    #[serde(with = "millis")]
    #[cfg_attr(test, schemars(with = "DateTime<Utc>"))]
    from: DateTime<Utc>,
    /// Its end.
    #[serde(with = "millis")]
    #[cfg_attr(test, schemars(with = "DateTime<Utc>"))]
    to: DateTime<Utc>,
    /// What a line is about: `process`, `namespace` or `source`.
    by: &'static str,
    /// The figures of each of them.
    lines: Vec<One<'a>>,
    /// All lines added up.
    total: Numbers,
    /// What of that time nobody knows, by source.
    sources: Vec<Watched<'a>>,
}

/// The figures of one process, namespace or source.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct One<'a> {
    /// What is watched.
    source: &'a str,
    /// The first namespace; absent where the line is about a source.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    /// The process; absent where the line is about several.
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<&'a str>,
    /// The figures.
    figures: Numbers,
}

impl<'a> One<'a> {
    fn of(line: &'a Line) -> Self {
        Self {
            source: &line.source,
            namespace: line.namespace.as_deref(),
            process: line.process.as_deref(),
            figures: Numbers::of(&line.figures),
        }
    }
}

/// The figures. `up_ms`, `down_ms` and `unknown_ms` add up to the whole time, once for each process.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Numbers {
    /// How many processes they are about.
    processes: u64,
    /// How long a run went on.
    up_ms: u64,
    /// How long none did, whether it had crashed, was stopped or had done its work.
    down_ms: u64,
    /// How long nobody knows: nobody looked, what was told is missing, or the process was not listed.
    unknown_ms: u64,
    /// `up_ms` as a share of the time that is known, from 0 to 1; absent where none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    up_share: Option<f64>,
    /// Runs that ended badly or could not begin.
    crashes: Number,
    /// Runs that began anew.
    restarts: Number,
    /// Runs that ended in order.
    stops: Number,
    /// Runs that began otherwise.
    starts: Number,
    /// Mean time between failures: `up_ms` for each crash; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    mtbf_ms: Option<u64>,
    /// Mean time from a crash to the next run; absent where it was never measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    mttr_ms: Option<u64>,
    /// How often that time was measured.
    repairs: u64,
    /// The longest time that one run was seen up.
    longest_run_ms: u64,
    /// How often a process began to flap: a fifth crash within ten minutes, where ten minutes without one end it.
    flaps: u64,
    /// How many of the processes flap at the end of the time.
    flapping: u64,
    /// Of how many processes events were left out by the adapter: of them at least this was counted. Absent where it is none.
    #[serde(skip_serializing_if = "is_zero")]
    left_out: u64,
    /// How the runs ended.
    exits: Vec<Exits>,
    /// What happened when, in pieces of equal length.
    timeline: Timeline,
}

/// How often something happened.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Number {
    /// All of them.
    total: u64,
    /// Those of the total that nobody saw, but that must have happened.
    inferred: u64,
    /// Those of the total of which the source does not tell whether they were this or something else.
    ambiguous: u64,
}

impl Number {
    fn of(counted: Counted) -> Self {
        let Counted {
            total,
            inferred,
            ambiguous,
        } = counted;
        Self {
            total,
            inferred,
            ambiguous,
        }
    }
}

/// How many runs ended in one way.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Exits {
    /// The exit code as the source says it; -1 = by a signal; null where it is not known or no run had begun.
    code: Option<i64>,
    /// The number of the signal where the code tells it; null otherwise.
    signal: Option<i64>,
    /// How many.
    count: u64,
}

/// What happened in each piece of the time; all lists are equally long.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Timeline {
    /// Crashes.
    crashes: Vec<u64>,
    /// Runs that ended in order.
    stops: Vec<u64>,
    /// How much of it is unknown, added up over the processes.
    unknown_ms: Vec<u64>,
}

impl Timeline {
    fn of(pieces: &[Bucket]) -> Self {
        let each = |figure: fn(&Bucket) -> u64| pieces.iter().map(figure).collect();
        Self {
            crashes: each(|piece| piece.crashes),
            stops: each(|piece| piece.stops),
            unknown_ms: each(|piece| piece.unknown),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Numbers {
    fn of(figures: &Figures) -> Self {
        let exits = figures.exits.iter().map(|(ended, count)| Exits {
            code: ended.code,
            signal: ended.signal,
            count: *count,
        });
        Self {
            processes: figures.processes,
            up_ms: figures.up,
            down_ms: figures.down,
            unknown_ms: figures.unknown,
            up_share: figures.up_share(),
            crashes: Number::of(figures.crashes),
            restarts: Number::of(figures.restarts),
            stops: Number::of(figures.stops),
            starts: Number::of(figures.starts),
            mtbf_ms: figures.mtbf(),
            mttr_ms: figures.mttr(),
            repairs: figures.repairs,
            longest_run_ms: figures.longest_run,
            flaps: figures.flaps,
            flapping: figures.flapping,
            left_out: figures.left_out,
            exits: exits.collect(),
            timeline: Timeline::of(&figures.timeline),
        }
    }
}

/// A source, and what nobody knows of it.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Watched<'a> {
    /// What is watched.
    source: &'a str,
    /// How long nobody looked at it, or what was told is missing.
    unknown_ms: u64,
    /// When that was, in order.
    unknown: Vec<Stretch>,
}

/// From one moment to another.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Stretch {
    /// The first.
    #[serde(with = "millis")]
    #[cfg_attr(test, schemars(with = "DateTime<Utc>"))]
    from: DateTime<Utc>,
    /// The second.
    #[serde(with = "millis")]
    #[cfg_attr(test, schemars(with = "DateTime<Utc>"))]
    to: DateTime<Utc>,
}

impl<'a> Watched<'a> {
    fn of(sight: &'a Sight) -> Self {
        let stretches = sight.unwatched.iter().map(|stretch| Stretch {
            from: stretch.from,
            to: stretch.to,
        });
        Self {
            source: &sight.source,
            unknown_ms: sight.unknown,
            unknown: stretches.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::render::stats::tests::report;

    #[test]
    fn the_object_is_one_line_and_says_everything() {
        let bytes = object(&report()).unwrap();
        assert_eq!(
            bytes.iter().position(|&byte| byte == b'\n'),
            Some(bytes.len() - 1)
        );
        insta::assert_json_snapshot!(serde_json::from_slice::<Value>(&bytes).unwrap());
    }

    #[test]
    fn the_schema_that_is_shipped_is_the_one_of_the_types() {
        let mut schema = schemars::schema_for!(Object<'_>).to_value();
        schema["$id"] = json!("urn:observe:schema:stats:1");
        schema["title"] = json!("observe stats, contract number 1");
        // These are written as null where they are not known, never left out.
        schema["$defs"]["Exits"]["required"] = json!(["code", "signal", "count"]);
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/stats.v1.json");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert!(STATS == text, "UPDATE_SCHEMA=1 cargo test writes it");
    }
}
