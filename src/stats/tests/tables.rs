//! Lives of which every figure is known.

use serde_json::{Value, json};

use super::{Journal, at};
use crate::event::filter::Pattern;
use crate::stats::figures::{Counted, Ended, Figures};
use crate::stats::report::{By, Question, Report, Selection};

fn nothing() -> Value {
    json!({})
}

fn of<'a>(report: &'a Report, process: &str) -> &'a Figures {
    let line = report
        .lines
        .iter()
        .find(|line| line.process.as_deref() == Some(process));
    &line.unwrap_or_else(|| panic!("{report:#?}")).figures
}

/// Seconds up, down and unknown.
fn shares(figures: &Figures) -> (u64, u64, u64) {
    (
        figures.up / 1000,
        figures.down / 1000,
        figures.unknown / 1000,
    )
}

#[test]
fn a_life_in_full_sight_has_the_figures_that_a_person_would_reckon() {
    let mut journal = Journal::of(1000);
    journal.seq = 10;
    journal.tell(
        100,
        "crashed",
        "api",
        json!({"exit": {"code": 7, "signal": null, "expected": false}}),
    );
    journal.tell(110, "restarted", "api", nothing());
    journal.tell(
        400,
        "crashed",
        "api",
        json!({"exit": {"code": 137, "signal": 9, "expected": false}}),
    );
    journal.tell(430, "restarted", "api", nothing());
    journal.tell(
        900,
        "stopped",
        "api",
        json!({"exit": {"code": 0, "signal": null, "expected": true}}),
    );
    journal.looked_until(1000);
    let report = journal.told();
    let api = of(&report, "api");
    assert_eq!(shares(api), (100 + 290 + 470, 10 + 30 + 100, 0));
    assert_eq!(
        (api.crashes.total, api.restarts.total, api.stops.total),
        (2, 2, 1)
    );
    assert_eq!(api.mtbf(), Some(860_000 / 2));
    assert_eq!((api.mttr(), api.repairs), (Some(20_000), 2));
    assert_eq!(api.longest_run, 470_000);
    assert!((api.up_share().unwrap() - 0.86).abs() < 1e-9);
    let exits: Vec<_> = api
        .exits
        .iter()
        .map(|(ended, count)| (ended.code, *count))
        .collect();
    assert_eq!(exits, [(Some(0), 1), (Some(7), 1), (Some(137), 1)]);
    let crashes: Vec<_> = api.timeline.iter().map(|piece| piece.crashes).collect();
    let stops: Vec<_> = api.timeline.iter().map(|piece| piece.stops).collect();
    assert_eq!((crashes, stops), (vec![1, 1, 0, 0], vec![0, 0, 0, 1]));
}

#[test]
fn what_nobody_watched_is_unknown_and_mends_nothing() {
    let mut journal = Journal::of(1000);
    journal.seq = 10;
    journal.tell(100, "healthy", "api", nothing());
    journal.tell(200, "crashed", "api", nothing());
    journal.gap(Some(300), 500);
    journal.tell(500, "restarted", "api", json!({"origin": "resync"}));
    journal.looked_until(800);
    let report = journal.told();
    let api = of(&report, "api");
    assert_eq!(shares(api), (200 + 300, 100, 200 + 200));
    assert_eq!((api.repairs, api.mttr()), (0, None));
    let unknown: Vec<_> = api.timeline.iter().map(|piece| piece.unknown).collect();
    assert_eq!(unknown, [0, 200_000, 0, 200_000]);
    let shop = &report.sources[0];
    assert_eq!(shop.unknown, 400_000);
    let stretches: Vec<_> = shop
        .unwatched
        .iter()
        .map(|one| (one.from, one.to))
        .collect();
    assert_eq!(stretches, [(at(300), at(500)), (at(800), at(1000))]);
}

#[test]
fn a_gap_that_is_told_behind_the_range_and_reaches_into_it_counts() {
    let mut journal = Journal::of(1000);
    journal.seq = 10;
    journal.tell(100, "healthy", "api", nothing());
    journal.gap(Some(900), 1500);
    journal.tell(1600, "crashed", "api", nothing());
    journal.looked_until(2000);
    let report = journal.told();
    assert_eq!(shares(of(&report, "api")), (900, 0, 100));
    assert_eq!(of(&report, "api").crashes, Counted::default());
}

#[test]
fn before_the_first_look_ever_nothing_is_known_and_what_stood_then_is_no_news() {
    let mut journal = Journal::of(1000);
    let found = |reason: &str| json!({"origin": "initial", "reason": reason, "previous": null});
    journal.tell(
        400,
        "connected",
        "",
        json!({"origin": "initial", "reason": "first_contact"}),
    );
    journal.tell(400, "started", "api", found("present"));
    journal.tell(400, "crashed", "job", found("exit"));
    journal.stands("quiet", false);
    journal.looked_until(1000);
    let report = journal.told();
    assert_eq!(shares(of(&report, "api")), (600, 0, 400));
    assert_eq!(shares(of(&report, "job")), (0, 600, 400));
    assert_eq!(shares(of(&report, "quiet")), (0, 600, 400));
    assert_eq!(report.total.crashes.total + report.total.starts.total, 0);
    assert!(report.total.exits.is_empty());
}

#[test]
fn how_it_was_before_its_first_event_is_told_by_that_event_or_by_the_head() {
    let mut journal = Journal::of(1000);
    journal.seq = 10;
    journal.tell(600, "started", "down", nothing());
    journal.tell(600, "stopped", "up", nothing());
    journal.tell(600, "crashed", "broken", json!({"reason": "spawn_failed"}));
    journal.tell(600, "unhealthy", "sick", nothing());
    journal.tell(600, "status_changed", "odd", nothing());
    journal.tell(
        600,
        "started",
        "new",
        json!({"reason": "added", "previous": null}),
    );
    journal.tell(
        600,
        "status_changed",
        "idle",
        json!({"reason": "added", "previous": null}),
    );
    journal.tell(
        600,
        "restarted",
        "both",
        json!({"reason": "source_restarted", "origin": "resync"}),
    );
    journal.stands("odd", true);
    journal.stands("still", true);
    journal.looked_until(1000);
    let report = journal.told();
    for (process, wanted) in [
        ("down", (400, 600, 0)),
        ("up", (600, 400, 0)),
        ("broken", (0, 1000, 0)),
        ("sick", (1000, 0, 0)),
        ("odd", (1000, 0, 0)),
        ("still", (1000, 0, 0)),
        ("new", (400, 0, 600)),
        ("idle", (0, 400, 600)),
        ("both", (1000, 0, 0)),
    ] {
        assert_eq!(shares(of(&report, process)), wanted, "{process}");
    }
    assert_eq!(of(&report, "both").longest_run, 600_000);
}

#[test]
fn what_is_not_listed_any_more_is_neither_up_nor_down_and_a_new_name_goes_on() {
    let mut journal = Journal::of(1000);
    journal.seq = 10;
    journal.tell(100, "healthy", "api", nothing());
    let previous =
        json!({"name": "api", "status": "Running", "is_ready": "-", "restarts": 0, "pid": 7});
    journal.tell(
        300,
        "status_changed",
        "api-0",
        json!({"reason": "renamed", "previous": previous}),
    );
    journal.tell(500, "stopped", "api-0", json!({"reason": "removed"}));
    journal.tell(500, "stopped", "job", nothing());
    journal.tell(600, "status_changed", "job", json!({"reason": "removed"}));
    journal.looked_until(1000);
    let report = journal.told();
    assert_eq!(shares(of(&report, "api")), (300, 0, 700));
    assert_eq!(shares(of(&report, "api-0")), (200, 0, 800));
    assert_eq!(shares(of(&report, "job")), (500, 100, 400));
}

#[test]
fn an_event_that_stands_for_several_counts_as_that_many_and_doubts_are_counted() {
    let mut journal = Journal::of(1000);
    journal.seq = 10;
    let doubt = |certainty: &str| json!({"count": 3, "certainty": certainty, "exit": {"code": 1, "signal": null, "expected": false}});
    journal.tell(100, "crashed", "api", doubt("inferred"));
    journal.tell(100, "restarted", "api", doubt("inferred"));
    journal.tell(200, "crashed", "api", doubt("ambiguous"));
    journal.looked_until(1000);
    let report = journal.told();
    let api = of(&report, "api");
    let wanted = Counted {
        total: 6,
        inferred: 3,
        ambiguous: 3,
    };
    assert_eq!(api.crashes, wanted);
    assert_eq!(api.restarts.total, 3);
    let code = Ended {
        code: Some(1),
        signal: None,
    };
    assert_eq!(api.exits[&code], 6);
    // Of what one look found, nobody knows how long it took.
    assert_eq!(api.repairs, 0);
    assert_eq!((api.flaps, api.flapping), (1, 0));
}

#[test]
fn a_run_that_was_found_going_on_mends_nothing() {
    let mut journal = Journal::of(1000);
    journal.seq = 10;
    journal.tell(100, "crashed", "api", nothing());
    journal.tell(300, "started", "api", json!({"origin": "initial"}));
    journal.looked_until(1000);
    let report = journal.told();
    let api = of(&report, "api");
    assert_eq!((api.crashes.total, api.repairs), (1, 0));
    assert_eq!(shares(api), (800, 200, 0));
}

#[test]
fn the_source_s_own_times_are_taken_where_they_can_be_true() {
    let mut journal = Journal::of(1000);
    journal.seq = 10;
    let window =
        |at_: i64| json!({"occurred": {"after": at(100), "before": at(110), "at": at(at_)}});
    journal.tell(110, "crashed", "api", window(104));
    journal.tell(110, "restarted", "api", window(106));
    journal.tell(
        300,
        "stopped",
        "api",
        json!({"occurred": {"after": at(290), "before": at(300), "at": at(5)}}),
    );
    journal.looked_until(1000);
    let report = journal.told();
    let api = of(&report, "api");
    assert_eq!((api.repairs, api.mttr()), (1, Some(2000)));
    assert_eq!(shares(api), (104 + 290 - 106, 2 + 710, 0));
}

#[test]
fn what_is_missing_from_the_stream_is_unknown() {
    // A hole in the numbers.
    let mut journal = Journal::of(1000);
    journal.seq = 10;
    journal.tell(200, "healthy", "api", nothing());
    journal.seq += 1;
    journal.tell(500, "healthy", "api", nothing());
    journal.looked_until(1000);
    assert_eq!(shares(of(&journal.told(), "api")), (700, 0, 300));
    // Another journal, which begins with a gap from nobody knows when.
    let mut journal = Journal::of(1000);
    journal.seq = 10;
    journal.tell(200, "healthy", "api", nothing());
    journal.tell(200, "healthy", "gone", nothing());
    journal.anew("k");
    journal.gap(None, 500);
    journal.tell(
        500,
        "started",
        "api",
        json!({"origin": "initial", "previous": null}),
    );
    journal.looked_until(1000);
    let report = journal.told();
    assert_eq!(shares(of(&report, "api")), (700, 0, 300));
    assert_eq!(shares(of(&report, "gone")), (200, 0, 800));
    // What the stream does not hold any more.
    let mut journal = Journal::of(1000);
    journal.stands("api", true);
    journal.looked_until(1000);
    let report = journal.report(&Question {
        kept: Some(at(250)),
        ..Question::default()
    });
    assert_eq!(shares(of(&report, "api")), (750, 0, 250));
}

#[test]
fn what_was_read_already_counts_once() {
    let mut journal = Journal::of(1000);
    journal.seq = 10;
    journal.tell(100, "crashed", "api", nothing());
    journal.seq -= 1;
    journal.tell(100, "crashed", "api", nothing());
    journal.looked_until(1000);
    assert_eq!(of(&journal.told(), "api").crashes.total, 1);
}

#[test]
fn processes_are_chosen_by_name_and_namespace_and_lines_are_for_what_was_asked() {
    let asked = |by: By, names: &[&str], namespaces: &[&str]| {
        let mut journal = Journal::of(1000);
        for source in ["shop", "lab"] {
            journal.source(source);
            journal.seq = 10;
            for process in ["front/web", "front/api", "back/api", "back/db"] {
                let name = process.replace('/', "-");
                let process = format!("{}/{name}", process.split_once('/').unwrap().0);
                journal.tell(100, "crashed", &process, nothing());
            }
            journal.looked_until(1000);
        }
        let patterns = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| Pattern::parse(text).unwrap())
                .collect()
        };
        let selection = Selection {
            names: patterns(names),
            namespaces: patterns(namespaces),
        };
        let report = journal.report(&Question {
            selection,
            by,
            ..Question::default()
        });
        let name = |line: &crate::stats::report::Line| {
            let parts = [
                Some(line.source.as_str()),
                line.namespace.as_deref(),
                line.process.as_deref(),
            ];
            let parts: Vec<_> = parts.into_iter().flatten().collect();
            format!("{} {}", parts.join(" "), line.figures.crashes.total)
        };
        report.lines.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(asked(By::Source, &[], &[]), ["lab 4", "shop 4"]);
    assert_eq!(
        asked(By::Namespace, &[], &[]),
        ["lab back 2", "lab front 2", "shop back 2", "shop front 2"]
    );
    assert_eq!(
        asked(By::Process, &["*-api"], &["b*"]),
        ["lab back back-api 1", "shop back back-api 1"]
    );
}
