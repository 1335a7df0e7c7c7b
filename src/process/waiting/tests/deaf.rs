//! What only an event tells is not waited for where it may be left out.

use super::*;
use crate::event::sieve::Wording;
use crate::process::table::Memory;

fn leaving_out(kinds: &[&str]) -> Sieve {
    let exclude = Wording {
        names: vec!["api".to_owned()],
        types: kinds.iter().map(|&kind| kind.to_owned()).collect(),
        ..Default::default()
    };
    Sieve::new(None, Some(exclude)).unwrap()
}

fn counted(number: u64, row: Row) -> Row {
    let memory = Memory {
        process_seq: number,
        ..row.memory.clone()
    };
    Row { memory, ..row }
}

#[test]
fn what_only_an_event_tells_that_is_left_out_is_refused_and_what_a_head_tells_is_waited_for() {
    for (condition, kinds, wanted) in [
        ("restarted", &["restarted"][..], Decision::Failed),
        ("crashed", &["crashed"], Decision::Failed),
        ("crashed", &["restarted"], Decision::Wait),
        ("restarted", &[], Decision::Failed),
        ("ready", &[], Decision::Met),
        ("stopped", &[], Decision::Wait),
        ("completed", &[], Decision::Wait),
        ("exited=3", &["crashed", "stopped"], Decision::Wait),
        ("gone", &[], Decision::Wait),
    ] {
        let mut scene = Scene::new(condition, &["api"], |_| ());
        scene.1 = Some(leaving_out(kinds));
        let outlook = scene.at(1, &table(vec![up("api")]));
        assert_eq!(outlook.decision, wanted, "{condition} {kinds:?}");
        if wanted == Decision::Failed {
            let said = format!("{:?}", outlook.entries[0].verdict);
            assert!(said.contains("leaves events about it out"), "{said}");
        }
        scene.1 = None;
        let mut other = Scene::new(condition, &["web"], |_| ());
        other.1 = Some(leaving_out(kinds));
        let decision = other.at(1, &table(vec![up("web")])).decision;
        assert_ne!(decision, Decision::Failed, "nobody leaves web out");
    }
}

#[test]
fn the_end_of_a_job_is_seen_in_the_head_unless_another_run_hid_it() {
    let pid = |pid, row| Row {
        pid: Some(pid),
        ..row
    };
    for condition in ["completed", "exited=0"] {
        let mut scene = Scene::new(condition, &["api"], |_| ());
        scene.1 = Some(leaving_out(&[]));
        let running = table(vec![pid(7, up("api"))]);
        assert_eq!(scene.at(1, &running).decision, Decision::Wait);
        let over = table(vec![pid(7, ended("api", 0))]);
        assert_eq!(scene.at(2, &over).decision, Decision::Met);
        let mut scene = Scene::new(condition, &["api"], |_| ());
        scene.1 = Some(leaving_out(&[]));
        assert_eq!(scene.at(1, &running).decision, Decision::Wait);
        let again = table(vec![pid(8, up("api"))]);
        assert_eq!(scene.at(2, &again).decision, Decision::Failed);
    }
}

#[test]
fn what_it_is_to_fail_on_must_not_be_left_out() {
    for (ill, kinds, wanted) in [
        (Ill::Crashed, &["crashed"][..], Decision::Failed),
        (Ill::Unhealthy, &["unhealthy"], Decision::Failed),
        (Ill::Restarted, &["crashed"], Decision::Met),
    ] {
        let mut scene = Scene::new("ready", &["api"], |wish| {
            wish.fail_on.insert(ill);
        });
        scene.1 = Some(leaving_out(kinds));
        let outlook = scene.at(1, &table(vec![up("api")]));
        assert_eq!(outlook.decision, wanted, "{ill:?}");
        assert_eq!(outlook.entries[0].is_deaf, wanted == Decision::Failed);
    }
    // A crash is never left out for being too harmless.
    let mut scene = Scene::new("ready", &["api"], |wish| {
        wish.fail_on.insert(Ill::Crashed);
    });
    let harmless = Wording {
        severity: Some("warning".to_owned()),
        ..Default::default()
    };
    scene.1 = Some(Sieve::new(None, Some(harmless)).unwrap());
    assert_eq!(scene.at(1, &table(vec![up("api")])).decision, Decision::Met);
}

#[test]
fn what_nobody_heard_of_interrupts_what_is_to_hold() {
    let mut scene = Scene::new("ready", &["api"], |wish| wish.stable = s(5));
    let before = table(vec![counted(3, up("api"))]);
    let after = table(vec![counted(5, up("api"))]);
    assert_eq!(scene.at(1, &before).decision, Decision::Wait);
    assert_eq!(scene.at(5, &after).decision, Decision::Wait);
    assert_eq!(scene.at(7, &after).decision, Decision::Wait);
    assert_eq!(scene.at(10, &after).decision, Decision::Met);
}

#[test]
fn the_first_run_of_a_job_that_had_not_begun_is_no_other_run() {
    let run = |pid, restarts, row| Row {
        restarts,
        pid,
        ..row
    };
    let pending = || named("api", row("Pending", Phase::Waiting));
    for (runs, wanted) in [
        (&[(7, 0)][..], Decision::Wait),
        (&[(7, 0), (7, 0)], Decision::Wait),
        (&[(7, 0), (8, 0)], Decision::Failed),
        // Between the looks it began, ended badly, and was begun again.
        (&[(7, 1)], Decision::Failed),
    ] {
        let mut scene = Scene::new("completed", &["api"], |_| ());
        scene.1 = Some(leaving_out(&[]));
        let first = table(vec![run(None, 0, pending())]);
        assert_eq!(scene.at(1, &first).decision, Decision::Wait);
        let mut decision = Decision::Wait;
        for (at, &(pid, restarts)) in (2..).zip(runs) {
            let table = table(vec![run(Some(pid), restarts, up("api"))]);
            decision = scene.at(at, &table).decision;
        }
        assert_eq!(decision, wanted, "{runs:?}");
    }
}
