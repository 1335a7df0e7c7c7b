//! Runs between two looks, with `restarts` grown by n; each test bears the words of its case. The code that is still there
//! is that of the last end.

use super::stage::{a, before};

#[test]
fn restarting_to_up_n_plus_one_beginnings_and_n_ends_beginning_first() {
    let was = || before([a("Restarting").pid(5).restarts(1).code(3)]);
    was()
        .after([a("Running").pid(7).restarts(2).code(3)])
        .tells([
            "restarted policy inferred",
            "crashed missed inferred code 3",
            "restarted policy",
        ]);
    was()
        .after([a("Running").pid(9).restarts(4).code(3)])
        .tells([
            "restarted policy inferred x2",
            "crashed missed inferred x2",
            "restarted policy inferred",
            "crashed missed inferred code 3",
            "restarted policy",
        ]);
}

#[test]
fn restarting_to_restarting_n_of_each() {
    let was = || before([a("Restarting").pid(5).restarts(1).code(3)]);
    was()
        .after([a("Restarting").pid(6).restarts(2).code(3)])
        .tells(["restarted policy inferred", "crashed exit code 3"]);
    was()
        .after([a("Restarting").pid(7).restarts(3).code(3)])
        .tells([
            "restarted policy inferred",
            "crashed missed inferred",
            "restarted policy inferred",
            "crashed exit code 3",
        ]);
}

#[test]
fn restarting_to_ended_new_pid_n_plus_one_of_each() {
    before([a("Restarting").pid(5).restarts(1).code(3)])
        .after([a("Completed").pid(6).restarts(1).code(3)])
        .tells(["restarted policy inferred", "crashed exit ambiguous code 3"]);
    before([a("Restarting").pid(5).restarts(1).code(3)])
        .after([a("Completed").pid(7).restarts(2).code(3)])
        .tells([
            "restarted policy inferred",
            "crashed missed inferred",
            "restarted policy ambiguous",
            "crashed exit ambiguous code 3",
        ]);
}

#[test]
fn other_not_up_to_not_up_new_pid_n_plus_one_of_each() {
    before([a("Scheduled").pid(5).due(1000)])
        .after([a("Scheduled").pid(6).due(61_000).code(2)])
        .tells(["started schedule inferred", "crashed exit ambiguous code 2"]);
    before([a("Pending")])
        .after([a("Completed").pid(6).restarts(1)])
        .tells([
            "started dependency_met inferred",
            "stopped exited inferred",
            "restarted policy ambiguous",
            "stopped exited ambiguous code 0",
        ]);
}

#[test]
fn other_not_up_to_restarting_new_pid_n_at_least_one() {
    for restarts in [0, 1] {
        before([a("Pending")])
            .after([a("Restarting").pid(6).restarts(restarts).code(3)])
            .tells(["started dependency_met inferred", "crashed exit code 3"])
            .after([a("Running").pid(7).restarts(1).code(3)])
            .tells(["restarted policy"]);
    }
}

#[test]
fn up_to_ended_new_pid_n_plus_one_ends_n_beginnings_between() {
    before([a("Running").pid(5)])
        .after([a("Completed").pid(6).restarts(1).code(3)])
        .tells([
            "crashed missed inferred",
            "restarted policy inferred",
            "crashed exit ambiguous code 3",
        ]);
}

#[test]
fn where_the_last_restart_may_have_been_called_off_the_last_run_is_in_doubt() {
    let was = || before([a("Running").pid(5)]);
    was()
        .after([a("Completed").pid(7).restarts(2).code(3)])
        .tells([
            "crashed missed inferred",
            "restarted policy inferred",
            "crashed missed inferred",
            "restarted policy ambiguous",
            "crashed exit ambiguous code 3",
        ]);
    // A run that was heard is in none, nor is one that goes on.
    before([a("Restarting").pid(5).restarts(1).code(3)])
        .frame(100, &a("Running").restarts(1))
        .frame(200, &a("Restarting").restarts(2).code(3))
        .frame(1200, &a("Running").restarts(2))
        .frame(1300, &a("Completed").restarts(2).code(3))
        .after([a("Completed").pid(7).restarts(2).code(3)])
        .tells([
            "restarted policy",
            "crashed exit code 3",
            "restarted policy",
            "crashed exit ambiguous code 3",
        ]);
    was()
        .after([a("Running").pid(7).restarts(2).code(3)])
        .tells([
            "crashed missed inferred",
            "restarted policy inferred",
            "crashed missed inferred code 3",
            "restarted policy",
        ]);
}

#[test]
fn up_to_ended_new_pid_restarts_same_two_ends_one_beginning() {
    before([a("Running").pid(5)])
        .after([a("Completed").pid(6).code(3)])
        .tells([
            "stopped replaced inferred",
            "restarted unknown inferred",
            "crashed exit ambiguous code 3",
        ]);
}

#[test]
fn up_to_restarting_new_pid_n_ends_n_minus_one_beginnings() {
    before([a("Running").pid(5)])
        .after([a("Restarting").pid(7).restarts(3).code(3)])
        .tells([
            "crashed missed inferred x2",
            "restarted policy inferred x2",
            "crashed exit code 3",
        ]);
}

#[test]
fn equal_neighbours_are_told_once_with_count() {
    let stage = before([a("Running").pid(5)]).after([a("Running").pid(60).restarts(50).code(3)]);
    let counts: Vec<u32> = stage.told().iter().map(|event| event.count).collect();
    assert_eq!(counts, [49, 49, 1, 1]);
}

#[test]
fn frames_add_whole_runs_that_no_look_can_know_of() {
    before([])
        .covered()
        .after([a("Completed").pid(5)])
        .frame(100, &a("Running"))
        .frame(200, &a("Completed").code(3))
        .frame(300, &a("Running"))
        .frame(400, &a("Completed").code(0))
        .after([a("Completed").pid(7)])
        .tells([
            "started requested",
            "crashed exit code 3",
            "restarted requested",
            "stopped exited code 0",
        ]);
}

#[test]
fn frames_of_a_run_that_was_told_without_them_add_none_when_they_come() {
    let told = || {
        before([a("Scheduled").pid(5).due(1000)])
            .covered()
            .after([a("Scheduled").pid(6).due(61_000).code(2).ended_at(1500)])
            .tells(["started schedule inferred", "crashed exit ambiguous code 2"])
            .frame(100, &a("Running"))
            .frame(110, &a("Scheduled").code(2).ended_at(1500))
    };
    told()
        .frame(500, &a("Running"))
        .frame(900, &a("Scheduled").code(3).ended_at(2900))
        .after([a("Scheduled").pid(7).due(121_000).code(3).ended_at(2900)])
        .tells(["started schedule", "crashed exit code 3"]);
    told()
        .frame(500, &a("Running"))
        .after([a("Running").pid(7).due(121_000).code(2)])
        .tells(["started schedule"])
        .frame(500, &a("Scheduled").code(3).ended_at(4500))
        .after([a("Scheduled").pid(7).due(121_000).code(3).ended_at(4500)])
        .tells(["crashed exit code 3"]);
    told()
        .after([a("Scheduled").pid(6).due(61_000).code(2).ended_at(1500)])
        .tells([])
        .after([a("Running").pid(7).due(121_000).code(2)])
        .tells(["started schedule"]);
}

#[test]
fn frames_of_a_run_that_was_over_before_this_one_began_do_not_end_it() {
    let up = || a("Running").pid(6).due(61_000).started_at(1500);
    before([a("Running").pid(5).due(1000)])
        .covered()
        .after([up()])
        .tells(["stopped replaced inferred", "started schedule"])
        // Held up until after that look, and the end of this run right behind.
        .frame(10, &a("Scheduled").code(0).ended_at(900))
        .frame(30, &a("Running"))
        .frame(400, &a("Scheduled").code(0).ended_at(2400))
        .after_ms(500, [a("Scheduled").pid(6).due(61_000).ended_at(2400)])
        .tells(["stopped exited code 0"]);
}

#[test]
fn a_counter_that_comes_after_its_status_is_not_counted_twice() {
    before([a("Running").pid(5)])
        .after([a("Restarting").pid(5).restarts(0).code(3)])
        .tells(["crashed exit code 3"])
        .after([a("Restarting").pid(5).restarts(1).code(3)])
        .tells([])
        .after([a("Running").pid(6).restarts(1).code(3)])
        .tells(["restarted policy"]);
}

#[test]
fn a_counter_that_fell_means_that_the_process_was_made_anew() {
    before([a("Running").pid(5).restarts(7)])
        .after([a("Running").pid(6).restarts(0)])
        .tells(["stopped replaced inferred", "restarted unknown"]);
    before([a("Running").pid(5).restarts(7)])
        .after([a("Running").pid(7).restarts(1).code(3)])
        .tells([
            "stopped replaced inferred",
            "restarted unknown inferred",
            "crashed missed inferred code 3",
            "restarted policy",
        ]);
}

#[test]
fn frames_that_count_a_restart_nobody_heard_of_end_no_run_before_it() {
    before([a("Running").pid(5)])
        .frame(900, &a("Terminating").restarts(1))
        .frame(901, &a("Completed").restarts(1).code(-1))
        .after([a("Terminating").pid(6).restarts(1)])
        .tells(["stopped exited inferred code 0", "restarted policy"])
        .after([a("Completed").pid(6).restarts(1).code(-1)])
        .tells(["stopped requested code -1"]);
    // Nor does the frame of the later beginning take the place of the end before it.
    before([a("Running").pid(5)])
        .frame(400, &a("Running").restarts(1))
        .frame(900, &a("Terminating").restarts(1))
        .frame(901, &a("Completed").restarts(1).code(3))
        .after([a("Completed").pid(6).restarts(1).code(3)])
        .tells([
            "crashed missed inferred",
            "restarted policy",
            "stopped requested code 3",
        ]);
}

#[test]
fn an_end_heard_while_a_look_shows_a_run_of_the_policy_is_the_end_of_that_run() {
    for announced in [1, 2] {
        before([a("Running").pid(5)])
            .frame(2000, &a("Restarting").restarts(announced).code(3))
            .after([a("Running").pid(6).restarts(1).code(1)])
            .tells(["crashed missed inferred code 1", "restarted policy"])
            .after_ms(250, [a("Restarting").pid(6).restarts(2).code(3)])
            .tells(["crashed exit code 3"]);
    }
}
