//! Where events were left out on purpose: the time is unknown, and what is counted is the least.

use serde_json::json;

use super::*;
use crate::event::sieve::{LeftOut, Sieve, Wording};

fn sieve(kinds: &[&str]) -> Sieve {
    let exclude = Wording {
        names: vec!["api".to_owned()],
        types: kinds.iter().map(|&kind| kind.to_owned()).collect(),
        ..Wording::default()
    };
    Sieve::new(None, Some(exclude)).unwrap()
}

fn turn(journal: &mut Journal, from: i64, to: i64, sieves: (Option<&Sieve>, Option<&Sieve>)) {
    let gap = json!({
        "from": at(from), "to": at(to), "why": "left_out", "sieve": sieves.0, "next_sieve": sieves.1,
    });
    journal.tell(to, "gap", "", json!({ "gap": gap }));
}

fn tell(journal: &mut Journal, seconds: i64, kind: &str, process: &str, number: u64) {
    journal.tell(seconds, kind, process, json!({ "process_seq": number }));
}

/// Up, down, unknown, in seconds, and whether not all was told.
fn figures(report: &Report, process: &str) -> (u64, u64, u64, u64) {
    let is = |line: &&super::super::report::Line| line.process.as_deref() == Some(process);
    let figures = &report.lines.iter().find(is).unwrap().figures;
    let all = [figures.up, figures.down, figures.unknown].map(|ms| ms / 1000);
    (all[0], all[1], all[2], figures.left_out)
}

#[test]
fn what_was_left_out_is_unknown_and_nobody_else_is_touched() {
    let sieve = sieve(&[]);
    let mut journal = Journal::of(1000);
    for process in ["api", "web"] {
        tell(&mut journal, 0, "started", process, 1);
    }
    turn(&mut journal, 200, 200, (None, Some(&sieve)));
    turn(&mut journal, 200, 500, (Some(&sieve), None));
    // It crashed in between: the next that is told says that it was down.
    tell(&mut journal, 800, "restarted", "api", 3);
    journal.looked_until(1000);
    journal.stands_at("api", true, 3);
    journal.stands_at("web", true, 1);
    let report = journal.told();
    assert_eq!(figures(&report, "api"), (400, 300, 300, 1));
    assert_eq!(figures(&report, "web"), (1000, 0, 0, 0));
    assert_eq!(report.total.left_out, 1);
    assert!(
        report.sources[0].unwatched.is_empty(),
        "everything was seen"
    );
}

#[test]
fn what_is_still_left_out_is_unknown_up_to_now_unless_the_head_proves_that_nothing_was() {
    let left_out = LeftOut {
        since: at(400),
        sieve: sieve(&[]),
    };
    for (number, wanted) in [(1, (1000, 0, 0, 0)), (2, (400, 0, 600, 1))] {
        let mut journal = Journal::of(1000);
        tell(&mut journal, 0, "started", "api", 1);
        journal.leaves_out(&left_out);
        journal.looked_until(1000);
        journal.stands_at("api", true, number);
        assert_eq!(figures(&journal.told(), "api"), wanted, "{number}");
    }
}

#[test]
fn numbers_that_follow_each_other_prove_that_nothing_was_left_out() {
    let sieve = sieve(&[]);
    let mut journal = Journal::of(1000);
    tell(&mut journal, 0, "started", "api", 1);
    tell(&mut journal, 600, "crashed", "api", 2);
    turn(&mut journal, 200, 700, (Some(&sieve), None));
    journal.looked_until(1000);
    journal.stands_at("api", false, 2);
    assert_eq!(figures(&journal.told(), "api"), (600, 400, 0, 0));
}

#[test]
fn health_that_is_left_out_leaves_the_figures_as_they_are() {
    let sieve = sieve(&["healthy", "unhealthy"]);
    let mut journal = Journal::of(1000);
    tell(&mut journal, 0, "started", "api", 1);
    turn(&mut journal, 100, 900, (Some(&sieve), None));
    tell(&mut journal, 950, "crashed", "api", 6);
    journal.looked_until(1000);
    journal.stands_at("api", false, 6);
    assert_eq!(figures(&journal.told(), "api"), (950, 50, 0, 0));
}

#[test]
fn of_whom_nothing_is_left_in_the_stream_nothing_is_known_before_the_end_of_it() {
    let sieve = sieve(&[]);
    let mut journal = Journal::of(1000);
    turn(&mut journal, 200, 500, (Some(&sieve), None));
    journal.looked_until(1000);
    journal.stands_at("api", true, 5);
    assert_eq!(figures(&journal.told(), "api"), (500, 0, 500, 1));
}
