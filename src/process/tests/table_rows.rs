//! The contract's table, row by row; each test bears the words of its row.

use std::time::Duration;

use crate::event::payload::{Origin, Severity};
use crate::process::diff::Unread;

use super::stage::{a, before, named, nothing};

#[test]
fn first_look_ever_up() {
    let stage = nothing().after([a("Running").pid(5)]);
    stage.tells(["started present"]).from(Origin::Initial);
    nothing()
        .after([a("Running").pid(5).ready()])
        .tells(["started present", "healthy probe"]);
}

#[test]
fn first_look_ever_completed_scheduled_or_restarting_with_a_code_not_ok_or_error() {
    for status in ["Completed", "Scheduled", "Restarting"] {
        nothing()
            .after([a(status).pid(5).code(3)])
            .tells(["crashed exit ambiguous code 3"])
            .from(Origin::Initial);
    }
    nothing()
        .after([a("Completed").pid(5).code(-1)])
        .tells(["crashed signal ambiguous code -1"]);
    nothing()
        .after([a("Error")])
        .tells(["crashed spawn_failed ambiguous"]);
}

#[test]
fn first_look_ever_anything_else() {
    let rows = [
        named("done", "Completed").pid(5),
        named("allowed", "Completed").pid(6).code(2).allows(2),
        named("skipped", "Skipped").code(1),
        named("due", "Scheduled").pid(7),
        named("waits", "Pending"),
        named("off", "Disabled"),
        named("new", "Hibernating").pid(8),
    ];
    nothing().after(rows).tells([]);
}

#[test]
fn absent_to_up_and_absent_to_not_up() {
    before([])
        .after([a("Running").pid(5)])
        .tells(["started added"]);
    before([])
        .after([a("Pending")])
        .tells(["status_changed added"]);
    before([])
        .after([a("Skipped").code(1)])
        .tells(["status_changed added"]);
}

#[test]
fn absent_to_ended_with_a_pid_proves_a_run() {
    before([])
        .after([a("Completed").pid(5).code(3)])
        .tells(["started added inferred", "crashed exit ambiguous code 3"]);
    before([])
        .after([a("Restarting").pid(5).code(3)])
        .tells(["started added inferred", "crashed exit code 3"]);
}

#[test]
fn not_up_to_up_after_restarting() {
    before([a("Restarting").pid(5).code(3).restarts(1)])
        .after([a("Running").pid(6).code(3).restarts(1)])
        .tells(["restarted policy"]);
}

#[test]
fn not_up_to_up_within_the_restart_window_after_an_end_by_request() {
    let stopped = || {
        before([a("Running").pid(5)])
            .asked()
            .after([a("Completed").pid(5).code(-1)])
            .tells(["stopped requested code -1"])
    };
    stopped()
        .after([a("Running").pid(6)])
        .tells(["restarted requested"]);
    // backoff at least 1 s, and two looks
    stopped()
        .after_ms(5000, [a("Running").pid(6)])
        .tells(["restarted requested"]);
    stopped()
        .after_ms(5001, [a("Running").pid(6)])
        .tells(["started requested"]);
}

#[test]
fn the_restart_window_grows_with_the_backoff_however_long_that_is() {
    for backoff in [Duration::from_secs(60), Duration::MAX] {
        before([])
            .backoff(backoff)
            .after([a("Running").pid(5)])
            .asked()
            .after([a("Completed").pid(5).code(-1)])
            .after_ms(64_000, [a("Running").pid(6)])
            .tells(["restarted requested"]);
    }
}

#[test]
fn not_up_to_up_watch_trigger_time_moved() {
    before([a("Watching").pid(5).triggered(-9000)])
        .after([a("Running").pid(6).triggered(1000)])
        .tells(["restarted watch"]);
}

#[test]
fn not_up_to_up_schedule_run() {
    before([a("Scheduled").pid(5).due(1000)])
        .after([a("Running").pid(6).due(61_000)])
        .tells(["started schedule"]);
    // the next run is not known while this one goes on
    before([a("Scheduled").pid(5).due(1000)])
        .after([a("Running").pid(6)])
        .tells(["started schedule"]);
}

#[test]
fn not_up_to_up_otherwise() {
    before([a("Pending")])
        .after([a("Running").pid(5)])
        .tells(["started dependency_met"]);
    before([a("Completed").pid(5)])
        .after([a("Running").pid(6)])
        .tells(["started requested"]);
    before([a("Scheduled").pid(5).due(60_000)])
        .after([a("Running").pid(6).due(60_000)])
        .tells(["started requested"]);
}

#[test]
fn up_or_stopping_to_up_new_pid_by_policy_one_per_growth() {
    before([a("Running").pid(5).restarts(1)])
        .after([a("Running").pid(6).restarts(2).code(3)])
        .tells(["crashed missed inferred code 3", "restarted policy"]);
    before([a("Running").pid(5)])
        .after([a("Running").pid(6).restarts(1).code(0)])
        .tells(["stopped exited inferred code 0", "restarted policy"]);
    before([a("Running").pid(5)])
        .after([a("Running").pid(9).restarts(3).code(3)])
        .tells([
            "crashed missed inferred x2",
            "restarted policy inferred x2",
            "crashed missed inferred code 3",
            "restarted policy",
        ]);
}

#[test]
fn up_or_stopping_to_up_new_pid_without_growth() {
    // where the code is gone
    before([a("Running").pid(5)])
        .after([a("Running").pid(6)])
        .tells(["stopped replaced inferred", "restarted unknown"]);
    // with evidence
    before([a("Running").pid(5)])
        .after([a("Terminating").pid(5)])
        .after([a("Running").pid(6)])
        .tells(["stopped requested inferred", "restarted requested"]);
    before([a("Running").pid(5)])
        .asked()
        .after([a("Running").pid(6)])
        .tells(["stopped requested inferred", "restarted requested"]);
    // a missed crash that no policy proves may have been a stop: ambiguous says more than inferred
    before([a("Running").pid(5)])
        .after([a("Running").pid(6).code(-1)])
        .tells(["crashed missed ambiguous code -1", "restarted requested"]);
    before([a("Running").pid(5).triggered(-9)])
        .after([a("Running").pid(6).triggered(1500)])
        .tells(["stopped replaced inferred", "restarted watch"]);
    // the recordings call a scheduled run a start, whatever it follows
    before([a("Running").pid(5).due(1000)])
        .after([a("Running").pid(6).due(61_000)])
        .tells(["stopped replaced inferred", "started schedule"]);
}

#[test]
fn name_gone_same_pid_under_a_new_name() {
    before([named("w", "Running").pid(5)])
        .after([
            named("w-0", "Running").pid(5),
            named("w-1", "Running").pid(6),
        ])
        .tells(["w-0: status_changed renamed from w", "w-1: started added"]);
    // and back
    before([
        named("w-0", "Running").pid(5),
        named("w-1", "Running").pid(6),
    ])
    .after([named("w", "Running").pid(5)])
    .tells([
        "w: status_changed renamed from w-0",
        "w-1: stopped removed inferred",
    ]);
}

#[test]
fn name_gone_otherwise() {
    before([a("Running").pid(5)])
        .after([])
        .tells(["stopped removed inferred"]);
    before([a("Completed").pid(5)])
        .after([])
        .tells(["status_changed removed"]);
}

#[test]
fn name_gone_after_an_end_of_its_own() {
    before([])
        .covered()
        .after([a("Running").pid(5)])
        .frame(500, &a("Completed").code(3))
        .after([])
        .tells(["crashed exit code 3", "status_changed removed"]);
    before([])
        .covered()
        .after([a("Running").pid(5)])
        .frame(500, &a("Terminating"))
        .frame(600, &a("Completed").code(-1))
        .after([])
        .tells(["stopped removed code -1"]);
}

#[test]
fn newest_incarnation_up_to_ready_and_to_not_ready() {
    let stage = before([a("Running").pid(5)])
        .after([a("Running").pid(5).not_ready()])
        .tells(["unhealthy starting"]);
    assert_eq!(stage.told()[0].severity, Severity::Info);
    let stage = stage
        .after([a("Running").pid(5).ready()])
        .tells(["healthy probe"])
        .after([a("Running").pid(5).not_ready()])
        .tells(["unhealthy probe"]);
    assert_eq!(stage.told()[0].severity, Severity::Warning);
}

#[test]
fn status_differs_and_none_of_the_above_tells_it() {
    before([a("Launching").pid(5)])
        .after([a("Launched").pid(5)])
        .tells(["status_changed status"]);
    before([a("Disabled")])
        .after([a("Pending")])
        .tells(["status_changed status"]);
}

#[test]
fn new_epoch() {
    let was = [
        named("both", "Running").pid(5),
        named("gone", "Running").pid(6),
        named("lost", "Running").pid(7),
        named("new", "Completed").pid(8),
        named("same", "Completed").pid(9),
    ];
    let stage = before(was).new_epoch().after([
        named("both", "Running").pid(5).ready(),
        named("lost", "Pending"),
        named("new", "Running").pid(8),
        named("same", "Completed"),
    ]);
    stage
        .tells([
            "both: restarted source_restarted",
            "both: healthy probe",
            "gone: stopped source_restarted inferred",
            "gone: status_changed removed",
            "lost: stopped source_restarted inferred",
            "new: started source_restarted",
        ])
        .from(Origin::Resync);
}

#[test]
fn new_epoch_in_which_a_run_has_ended_already() {
    before([a("Running").pid(5)])
        .new_epoch()
        .after([a("Completed").pid(7).code(3)])
        .tells([
            "restarted source_restarted inferred",
            "crashed exit ambiguous code 3",
        ]);
    before([a("Running").pid(5)])
        .new_epoch()
        .after([a("Skipped").code(1)])
        .tells([
            "stopped source_restarted inferred",
            "status_changed dependency_failed",
        ]);
}

#[test]
fn source_not_seen_tells_only_what_frames_told() {
    let stage = || before([]).covered().after([a("Running").pid(5)]);
    stage().source_leaves().tells([]);
    stage()
        .frame(100, &a("Completed").code(3))
        .source_leaves()
        .tells(["crashed exit code 3"])
        .after([a("Completed").pid(5).code(3)])
        .tells([]);
}

#[test]
fn an_end_that_only_frames_told_names_the_state_before_it() {
    let stage = before([])
        .covered()
        .after([a("Running").pid(5)])
        .frame(100, &a("Completed").code(3))
        .source_leaves()
        .tells(["crashed exit code 3"]);
    let event = &stage.told()[0];
    assert_eq!(event.state.status, "Completed");
    assert_eq!(event.previous.as_ref().unwrap().status, "Running");
}

#[test]
fn a_restart_announced_to_a_source_that_left_is_not_told_twice() {
    before([])
        .covered()
        .after([a("Running").pid(5)])
        .frame(100, &a("Restarting").code(3))
        .source_leaves()
        .tells(["crashed exit code 3"])
        .after([a("Running").pid(6).restarts(1).code(3)])
        .tells(["restarted policy"]);
}

#[test]
fn a_process_that_is_listed_and_cannot_be_read_is_not_gone() {
    let names = ["a".to_owned()];
    let unread = Unread {
        names: &names,
        nameless: false,
    };
    let stage = (0..5).fold(before([a("Running").pid(5)]), |stage, _| {
        stage.after_unread(2000, [], unread).tells([])
    });
    stage
        .after([a("Completed").pid(5).code(3)])
        .tells(["crashed exit ambiguous code 3"]);
}

#[test]
fn what_lost_even_its_name_hides_a_removal_for_two_looks() {
    let unread = Unread {
        names: &[],
        nameless: true,
    };
    before([a("Running").pid(5)])
        .after_unread(2000, [], unread)
        .tells([])
        .after_unread(2000, [], unread)
        .tells([])
        .after_unread(2000, [], unread)
        .tells(["stopped removed inferred"]);
}
