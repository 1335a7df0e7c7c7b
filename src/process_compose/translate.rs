//! Translates process-compose's words into those of the process floor.

use std::borrow::Cow;

use crate::process::phase::{Health, Phase};
use crate::process::reading::{Configuration, Probe, Reading, Vitals};

use super::info::{self, ProcessInfo};
use super::wire::{Namespaces, WireRow};

impl<'a> From<WireRow<'a>> for Reading<'a> {
    fn from(row: WireRow<'a>) -> Self {
        reading(row)
    }
}

/// What a status word means. `ended` says whether a `Terminating` one is over: it has no pid, or an end time.
pub(super) fn phase(status: &str, ended: bool) -> Phase {
    match status {
        "Pending" => Phase::Waiting,
        "Running" | "Launching" | "Launched" => Phase::Up,
        "Terminating" if ended => Phase::Ended,
        "Terminating" => Phase::Stopping,
        "Restarting" => Phase::BackingOff,
        "Scheduled" | "Watching" | "Disabled" | "Foreground" => Phase::Idle,
        "Completed" | "Skipped" => Phase::Ended,
        "Error" => Phase::Failed,
        _ => Phase::Unknown,
    }
}

/// One row in the words of the process floor. Nothing is copied that a look can lend.
pub(super) fn reading(row: WireRow<'_>) -> Reading<'_> {
    let ended_at = row.process_end_time.utc();
    // Up to v1.120 the end time of a former run stays; a process that is being stopped and has a pid is not over then.
    let ended = row.pid <= 0 || (ended_at.is_some() && !row.running() && started_before_end(&row));
    let torn = row.is_torn();
    let mut namespaces = match row.namespaces {
        Namespaces::One(name) => vec![name],
        Namespaces::Many(names) => names,
    }
    .into_iter();
    let namespace = namespaces.next().unwrap_or(Cow::Borrowed("default"));
    let age = (0..=i64::MAX - 1)
        .contains(&row.age)
        .then_some(row.age / 1_000_000);
    Reading {
        namespace,
        more_namespaces: namespaces.collect(),
        phase: phase(&row.status, ended),
        daemon: matches!(&*row.status, "Launching" | "Launched"),
        health: Health::parse(&row.is_ready),
        has_probe: row
            .has_ready_probe
            .unwrap_or(!matches!(&*row.is_ready, "" | "-" | "N/A")),
        restarts: row.restarts,
        exit_code: row.exit_code,
        pid: (row.pid > 0).then_some(row.pid),
        vitals: Vitals {
            age_ms: age,
            mem_bytes: (row.mem > 0).then_some(row.mem),
            cpu_percent: percent(row.cpu),
        },
        started_at: row.process_start_time.utc(),
        ready_at: row.process_ready_time.utc(),
        ended_at,
        schedule_at: row.next_run_time.utc(),
        watch_at: row.watch_trigger_time.utc(),
        unmet: row.status == "Skipped",
        torn,
        name: row.name,
        status: row.status,
        allowed_codes: row.success_exit_codes,
    }
}

/// Whether the end time belongs to the run whose start time stands beside it.
fn started_before_end(row: &WireRow<'_>) -> bool {
    match (row.process_start_time.utc(), row.process_end_time.utc()) {
        (Some(start), Some(end)) => end >= start,
        _ => true,
    }
}

/// What the process floor wants to know of a configuration.
pub(super) fn configuration(info: &ProcessInfo) -> Configuration {
    let probe = |probe: info::Probe| Probe {
        threshold: probe.threshold,
        period: probe.period,
        initial_delay: probe.initial_delay,
    };
    Configuration {
        group: Some(info.group.as_str().into()),
        replica: Some(info.replica.into()),
        replicas: Some(info.replicas.into()),
        backoff: info.backoff,
        readiness: Some(info.readiness.map(probe)),
    }
}

/// A load in hundredths of a percent, which every reader of JSON reads back as it was written; nothing where no machine
/// could have it.
fn percent(cpu: f64) -> Option<f64> {
    const MOST: f64 = 10_000_000.0;
    (0.0..=MOST)
        .contains(&cpu)
        .then(|| (cpu * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_word_has_its_phase_and_unknown_words_say_nothing() {
        for (word, wanted) in [
            ("Pending", Phase::Waiting),
            ("Running", Phase::Up),
            ("Launching", Phase::Up),
            ("Launched", Phase::Up),
            ("Restarting", Phase::BackingOff),
            ("Scheduled", Phase::Idle),
            ("Watching", Phase::Idle),
            ("Disabled", Phase::Idle),
            ("Foreground", Phase::Idle),
            ("Completed", Phase::Ended),
            ("Skipped", Phase::Ended),
            ("Error", Phase::Failed),
            ("Hibernating", Phase::Unknown),
            ("running", Phase::Unknown),
        ] {
            assert_eq!(phase(word, false), wanted, "{word}");
        }
        assert_eq!(phase("Terminating", false), Phase::Stopping);
        assert_eq!(phase("Terminating", true), Phase::Ended);
    }

    fn row(json: &str) -> Reading<'static> {
        let row: WireRow<'_> = serde_json::from_str(json).unwrap();
        reading(row.into_owned())
    }

    #[test]
    fn a_stop_of_a_run_that_began_after_the_end_time_shown_is_still_under_way() {
        let stopping = row(
            r#"{"name":"a","status":"Terminating","pid":7,"process_start_time":"2026-08-20T09:15:02+02:00","process_end_time":"2026-08-20T09:14:02+02:00"}"#,
        );
        assert_eq!(stopping.phase, Phase::Stopping);
        let over = row(
            r#"{"name":"a","status":"Terminating","pid":0,"process_end_time":"2026-08-20T09:14:02+02:00"}"#,
        );
        assert_eq!(over.phase, Phase::Ended);
    }

    #[test]
    fn numbers_that_are_not_known_are_absent() {
        let reading = row(
            r#"{"name":"a","status":"Running","pid":0,"mem":-1,"cpu":-1,"age":9223372036854775807}"#,
        );
        assert_eq!(reading.pid, None);
        assert_eq!(reading.vitals, Vitals::default());
        assert_eq!(reading.namespace, "default");
    }

    #[test]
    fn a_load_is_told_in_hundredths_and_no_machine_has_any_load() {
        for (said, told) in [
            (0.0, Some(0.0)),
            (2.345_678_901_234_567, Some(2.35)),
            (1e59, None),
            (-1.0, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ] {
            assert_eq!(percent(said), told, "{said}");
        }
    }
}
