//! Intents of our own commands: each accounts for the end of the run it names, and for no other.

use super::stage::{a, before};

#[test]
fn the_end_of_the_run_that_was_meant_is_requested() {
    for code in [-1, 3, 143] {
        before([a("Running").pid(5)])
            .asked_of(5)
            .after([a("Completed").pid(5).code(code)])
            .tells([&*match code {
                143 => "stopped requested signal 15".to_owned(),
                code => format!("stopped requested code {code}"),
            }]);
    }
    before([a("Running").pid(5)])
        .after([a("Completed").pid(5).code(-1)])
        .tells(["crashed signal ambiguous code -1"]);
}

#[test]
fn a_run_that_was_not_meant_has_crashed() {
    before([a("Running").pid(5)])
        .asked_of(4)
        .after([a("Completed").pid(5).code(-1)])
        .tells(["crashed signal ambiguous code -1"]);
    // It was begun again as asked, and the new run crashed before the next look.
    before([a("Running").pid(5)])
        .asked_of(5)
        .after([a("Completed").pid(6).code(9)])
        .tells([
            "stopped requested inferred",
            "restarted requested inferred",
            "crashed exit ambiguous code 9",
        ]);
}

#[test]
fn a_run_between_two_looks_may_have_been_meant() {
    before([a("Completed").pid(5)])
        .asked_of(6)
        .after([a("Completed").pid(6).code(-1)])
        .tells(["started requested inferred", "stopped requested code -1"]);
    before([a("Completed").pid(5)])
        .after([a("Completed").pid(6).code(-1)])
        .tells([
            "started requested inferred",
            "crashed signal ambiguous code -1",
        ]);
}

#[test]
fn a_restart_that_nobody_saw_begin_is_told_as_asked_for() {
    before([a("Running").pid(5)])
        .asked_of(5)
        .after([a("Running").pid(6)])
        .tells(["stopped requested inferred", "restarted requested"]);
    before([a("Running").pid(5)])
        .after([a("Running").pid(6)])
        .tells(["stopped replaced inferred", "restarted unknown"]);
}

#[test]
fn what_the_policy_does_nobody_asked_for() {
    before([a("Running").pid(5)])
        .asked_of(5)
        .after([a("Restarting").pid(5).restarts(1).code(9)])
        .tells(["crashed exit code 9"]);
}
