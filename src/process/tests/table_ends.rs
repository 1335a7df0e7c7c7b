//! The contract's table, its rows about ends; each test bears the words of its row.

use crate::event::payload::Severity;

use super::stage::{a, before};

#[test]
fn up_to_restarting() {
    let after =
        |code| before([a("Running").pid(5)]).after([a("Restarting").pid(5).restarts(1).code(code)]);
    after(3).tells(["crashed exit code 3"]);
    after(-1).tells(["crashed signal code -1"]);
    after(137).tells(["crashed signal signal 9"]);
    after(0).tells(["stopped exited code 0"]);
}

#[test]
fn terminating_to_restarting() {
    before([a("Running").pid(5)])
        .after([a("Terminating").pid(5)])
        .tells(["status_changed status"])
        .after([a("Restarting").pid(5).restarts(1).code(-1)])
        .tells(["crashed unhealthy code -1"]);
}

#[test]
fn up_or_stopping_to_ended_ok_code() {
    before([a("Running").pid(5)])
        .after([a("Completed").pid(5)])
        .tells(["stopped exited code 0"]);
    before([a("Running").pid(5)])
        .after([a("Completed").pid(5).code(2).allows(2)])
        .tells(["stopped exited code 2"]);
    before([a("Running").pid(5)])
        .asked()
        .after([a("Completed").pid(5)])
        .tells(["stopped requested code 0"]);
    before([a("Running").pid(5)])
        .after([a("Terminating").pid(5)])
        .after([a("Completed").pid(5)])
        .tells(["stopped requested code 0"]);
}

#[test]
fn terminating_to_ended_not_ok_not_ready_for_long_enough_no_intent() {
    let stage = before([]).probed(3, 2).after([a("Running").pid(5).ready()]);
    let stage = stage
        .after([a("Running").pid(5).not_ready()])
        .after_ms(4000, [a("Running").pid(5).not_ready()])
        .after([a("Terminating").pid(5)])
        .after([a("Completed").pid(5).code(-1)]);
    stage.tells(["crashed unhealthy code -1"]);
}

#[test]
fn terminating_to_ended_not_ok_not_ready_for_long_enough_but_with_our_own_intent() {
    before([a("Running").pid(5).not_ready()])
        .probed(1, 2)
        .after_ms(9000, [a("Running").pid(5).not_ready()])
        .after([a("Terminating").pid(5)])
        .asked()
        .after([a("Completed").pid(5).code(-1)])
        .tells(["stopped requested code -1"]);
}

#[test]
fn the_same_not_ready_for_less_or_never() {
    before([a("Running").pid(5)])
        .probed(3, 60)
        .after([a("Running").pid(5).not_ready()])
        .after([a("Terminating").pid(5)])
        .after([a("Completed").pid(5).code(-1)])
        .tells(["stopped requested code -1"]);
    before([a("Running").pid(5)])
        .after([a("Terminating").pid(5)])
        .after([a("Completed").pid(5).code(-1)])
        .tells(["stopped requested code -1"]);
}

#[test]
fn the_same_duration_or_configuration_not_known() {
    // configuration
    before([a("Running").pid(5).not_ready()])
        .after([a("Terminating").pid(5)])
        .after([a("Completed").pid(5).code(-1)])
        .tells(["crashed unhealthy ambiguous code -1"]);
    // duration: it may be 0 s or 4 s, and 3.5 s are needed
    before([a("Running").pid(5)])
        .probed(3, 2)
        .after([a("Running").pid(5).not_ready()])
        .after([a("Terminating").pid(5)])
        .after([a("Completed").pid(5).code(-1)])
        .tells(["crashed unhealthy ambiguous code -1"]);
}

#[test]
fn frames_that_were_held_up_prove_no_long_wait() {
    // Looks at 0 s and 2 s, and the next, like the frames, four seconds late.
    let stage = before([]).probed(3, 2).covered();
    let stage = stage.after([a("Running").pid(5).not_ready()]);
    let ended = a("Completed").pid(5).code(-1).ended_at(2500);
    let late = |stage: super::stage::Stage| {
        stage
            .frame(4000, &a("Terminating"))
            .frame(4001, &ended)
            .after_ms(4100, [a("Completed").pid(5).code(-1).ended_at(2500)])
    };
    late(stage).tells(["crashed unhealthy ambiguous code -1"]);
}

#[test]
fn frames_tell_how_long_it_was_not_ready() {
    let killed = |patience_ms: i64| {
        before([])
            .probed(3, 2)
            .covered()
            .after([a("Running").pid(5).ready()])
            .frame(100, &a("Running").not_ready())
            .frame(100 + patience_ms, &a("Terminating"))
            .frame(150 + patience_ms, &a("Completed").code(-1))
            .after_ms(8000, [a("Completed").pid(5).code(-1)])
    };
    killed(3500).tells(["crashed unhealthy code -1"]);
    killed(3499).tells(["stopped requested code -1"]);
}

#[test]
fn up_to_ended_not_ok_covered_no_terminating() {
    for (code, told) in [
        (3, "crashed exit code 3"),
        (139, "crashed signal signal 11"),
        (-1, "crashed signal code -1"),
    ] {
        before([])
            .covered()
            .after([a("Running").pid(5)])
            .frame(1000, &a("Completed").code(code))
            .after([a("Completed").pid(5).code(code)])
            .tells([told]);
    }
}

#[test]
fn up_to_ended_not_ok_not_covered() {
    before([a("Running").pid(5)])
        .after([a("Completed").pid(5).code(3)])
        .tells(["crashed exit ambiguous code 3"]);
    // connected, but its own end frame has not arrived
    before([])
        .covered()
        .after([a("Running").pid(5)])
        .after([a("Completed").pid(5).code(-1)])
        .tells(["crashed signal ambiguous code -1"]);
}

#[test]
fn up_to_ended_the_frame_knows_the_code_that_a_dependent_overwrote() {
    before([])
        .covered()
        .after([a("Running").pid(5)])
        .frame(1000, &a("Completed").code(0))
        .after([a("Completed").pid(5).code(1)])
        .tells(["stopped exited code 0"]);
}

#[test]
fn up_to_ended_same_pid_restarts_grew() {
    before([a("Running").pid(5)])
        .after([a("Completed").pid(5).restarts(1).code(3)])
        .tells(["crashed exit code 3"]);
}

#[test]
fn launched_to_ended() {
    before([a("Launched").pid(5)])
        .after([a("Completed").pid(5)])
        .tells(["stopped exited ambiguous code 0"]);
    before([a("Launched").pid(5)])
        .after([a("Completed").pid(5).code(3)])
        .tells(["crashed exit ambiguous code 3"]);
    before([a("Launched").pid(5)])
        .after([a("Restarting").pid(5).restarts(1)])
        .tells(["stopped exited ambiguous code 0"]);
    // it is a daemon still while it is told to end
    before([a("Launched").pid(5)])
        .after([a("Terminating").pid(5)])
        .after([a("Completed").pid(5)])
        .tells(["stopped requested ambiguous code 0"]);
}

#[test]
fn up_to_scheduled_or_watching() {
    for status in ["Scheduled", "Watching"] {
        before([a("Running").pid(5)])
            .after([a(status).pid(5)])
            .tells(["stopped exited code 0"]);
        before([a("Running").pid(5)])
            .after([a(status).pid(5).code(2)])
            .tells(["crashed exit ambiguous code 2"]);
    }
}

#[test]
fn restarting_to_ended_same_pid() {
    before([a("Restarting").pid(5).restarts(1).code(3)])
        .after([a("Completed").pid(5).restarts(1).code(3)])
        .tells(["status_changed restart_cancelled"]);
}

#[test]
fn any_to_error() {
    before([a("Pending")])
        .after([a("Error")])
        .tells(["crashed spawn_failed"]);
    before([a("Restarting").pid(5).restarts(1).code(3)])
        .after([a("Error").pid(5).restarts(1).code(3)])
        .tells(["crashed spawn_failed"]);
    // again, at another time
    before([a("Error").ended_at(-100)])
        .after([a("Error").ended_at(900)])
        .tells(["crashed spawn_failed"])
        .after([a("Error").ended_at(900)])
        .tells([]);
}

#[test]
fn up_to_error_tells_the_end_of_the_run_too() {
    before([a("Running").pid(5)])
        .after([a("Error")])
        .tells(["stopped replaced inferred", "crashed spawn_failed"]);
    before([a("Running").pid(5)])
        .after([a("Error").pid(5).restarts(1).code(3)])
        .tells(["crashed missed inferred code 3", "crashed spawn_failed"]);
}

#[test]
fn pending_to_skipped() {
    let stage = before([a("Pending")]).after([a("Skipped").code(1)]);
    assert_eq!(stage.told()[0].severity, Severity::Warning);
    stage.tells(["status_changed dependency_failed"]);
}

#[test]
fn up_to_skipped_tells_both() {
    before([a("Running").pid(5)])
        .after([a("Skipped").code(1)])
        .tells([
            "stopped replaced inferred",
            "status_changed dependency_failed",
        ]);
}
