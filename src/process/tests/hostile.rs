//! What a hostile reality can do: torn readings, unknown words, names and pids that come again, clocks that step.

use std::time::Duration;

use chrono::TimeDelta;

use crate::event::payload::Origin;
use crate::process::table::Table;

use super::stage::{a, before, named, nothing};

#[test]
fn a_torn_reading_waits_for_the_next_look() {
    before([a("Running").pid(5)])
        .after([a("Completed").pid(5).code(3).torn()])
        .tells([])
        .after([a("Completed").pid(5).code(3)])
        .tells(["crashed exit ambiguous code 3"]);
    before([a("Completed").pid(5)])
        .after([a("Running").torn()])
        .tells([])
        .after([a("Running").pid(6)])
        .tells(["started requested"]);
}

#[test]
fn a_row_that_is_torn_for_ever_is_believed_at_last_and_then_quiet() {
    let stage = before([a("Running").pid(5)])
        .after([a("Completed").pid(5).code(3).torn()])
        .after([a("Completed").pid(5).code(3).torn()])
        .tells([])
        .after([a("Completed").pid(5).code(3).torn()])
        .tells(["crashed exit ambiguous code 3"]);
    let revision = stage.table.row("a").unwrap().revision;
    let stage = (0..5).fold(stage, |stage, _| {
        stage
            .after([a("Completed").pid(5).code(3).torn()])
            .tells([])
    });
    assert_eq!(stage.table.row("a").unwrap().revision, revision);
}

#[test]
fn a_new_process_that_is_torn_for_ever_is_told_at_the_second_look() {
    before([])
        .after([a("Running").torn()])
        .tells([])
        .after([a("Running").torn()])
        .tells(["started added"])
        .after([a("Running").pid(5)])
        .tells([]);
    // the announcement of a run that could not be begun
    before([])
        .after([a("Running").torn()])
        .after([a("Error")])
        .tells(["crashed spawn_failed"]);
}

#[test]
fn a_first_look_and_a_new_epoch_do_not_wait() {
    nothing()
        .after([a("Running").torn()])
        .tells(["started present"])
        .after([a("Running").pid(5)])
        .tells([]);
    before([a("Running").pid(5)])
        .new_epoch()
        .after([a("Running").torn()])
        .tells(["restarted source_restarted"])
        .after([a("Running").pid(5)])
        .tells([]);
}

#[test]
fn up_again_under_the_pid_of_an_ended_run_must_insist() {
    // the moment of the spawn, in which the former pid still stands
    before([a("Restarting").pid(5).restarts(1)])
        .after([a("Running").pid(5).restarts(1)])
        .tells([])
        .after([a("Running").pid(6).restarts(1)])
        .tells(["restarted policy"]);
    // the kernel gave the same pid again
    before([a("Completed").pid(5)])
        .after([a("Running").pid(5)])
        .after([a("Running").pid(5)])
        .tells([])
        .after([a("Running").pid(5)])
        .tells(["started requested"]);
}

#[test]
fn a_counter_that_grew_under_the_same_pid_must_insist() {
    let was = || before([a("Running").pid(5)]).after([a("Running").pid(5).restarts(1).code(3)]);
    was()
        .tells([])
        .after([a("Running").pid(6).restarts(1).code(3)])
        .tells(["crashed missed inferred code 3", "restarted policy"]);
    was()
        .after([a("Running").pid(5).restarts(1).code(3)])
        .tells([])
        .after([a("Running").pid(5).restarts(1).code(3)])
        .tells(["crashed missed inferred code 3", "restarted policy"])
        .after([a("Running").pid(5).restarts(1).code(3)])
        .tells([]);
}

#[test]
fn an_unknown_word_is_kept_and_ends_nothing() {
    for status in [
        "Running",
        "Terminating",
        "Restarting",
        "Completed",
        "Scheduled",
        "Error",
    ] {
        let stage = before([a(status).pid(5)])
            .after([a("Hibernating").pid(5)])
            .tells(["status_changed status"]);
        assert_eq!(&*stage.table.row("a").unwrap().status, "Hibernating");
    }
    before([a("Running").pid(5)])
        .after([a("Hibernating").pid(5)])
        .after([a("Running").pid(5)])
        .tells(["status_changed status"])
        .after([a("Completed").pid(5).code(3)])
        .tells(["crashed exit ambiguous code 3"]);
    before([a("Pending")])
        .after([a("Hibernating")])
        .after([a("Running").pid(5)])
        .tells(["started requested"]);
}

#[test]
fn a_new_pid_under_an_unknown_word_is_a_new_run() {
    before([a("Running").pid(5)])
        .after([a("Hibernating").pid(6).restarts(1).code(3)])
        .tells(["crashed missed inferred code 3", "restarted policy"])
        .after([a("Running").pid(6).restarts(1).code(3)])
        .tells(["status_changed status"]);
    before([a("Completed").pid(5)])
        .after([a("Hibernating").pid(6)])
        .tells(["started requested"])
        .after([a("Completed").pid(6)])
        .tells(["stopped exited code 0"]);
}

#[test]
fn a_counter_that_grew_under_an_unknown_word_is_not_forgotten() {
    before([a("Running").pid(5)])
        .after([a("Hibernating").pid(5).restarts(1).code(3)])
        .tells(["status_changed status"])
        .after([a("Running").pid(6).restarts(1).code(3)])
        .tells(["crashed missed inferred code 3", "restarted policy"]);
}

#[test]
fn a_stop_during_the_backoff_is_not_a_second_end() {
    before([a("Running").pid(5)])
        .after([a("Restarting").pid(5).restarts(0).code(3)])
        .tells(["crashed exit code 3"])
        .after([a("Completed").pid(5).restarts(1).code(3)])
        .tells(["status_changed restart_cancelled"])
        .after([a("Running").pid(6).restarts(1)])
        .tells(["started requested"]);
}

#[test]
fn a_rename_with_a_crash_at_the_same_time() {
    before([named("w", "Running").pid(5)])
        .after([named("w-0", "Restarting").pid(5).restarts(1).code(3)])
        .tells([
            "w-0: status_changed renamed from w",
            "w-0: crashed exit code 3",
        ]);
    // a new pid under a new name: nothing says that they are one
    before([named("w", "Running").pid(5)])
        .after([named("w-0", "Running").pid(6)])
        .tells(["w: stopped removed inferred", "w-0: started added"]);
}

#[test]
fn a_renamed_process_keeps_its_count_and_an_added_one_starts_at_one() {
    let stage = before([named("w", "Running").pid(5)]).after([
        named("w-0", "Running").pid(5),
        named("w-1", "Running").pid(6),
    ]);
    let counts: Vec<u64> = stage.told().iter().map(|event| event.process_seq).collect();
    assert_eq!(counts, [2, 1]);
}

#[test]
fn a_renamed_process_that_is_torn_is_found_under_its_new_name() {
    let stage = before([named("b", "Running").pid(5), named("c", "Running").pid(6)])
        .after([
            named("c", "Running").pid(6),
            named("x", "Completed").pid(5).torn(),
        ])
        .tells(["x: status_changed renamed from b"]);
    let names: Vec<&str> = stage.table.rows().map(|row| &*row.name).collect();
    assert_eq!(names, ["c", "x"]);
    stage
        .after([named("c", "Running").pid(6), named("x", "Completed").pid(5)])
        .tells(["x: stopped exited code 0"]);
}

#[test]
fn a_new_process_under_the_pid_of_a_removed_dead_one_is_no_rename() {
    before([named("old", "Completed").pid(5)])
        .after([named("new", "Running").pid(5)])
        .tells(["new: started added", "old: status_changed removed"]);
}

#[test]
fn of_two_vanished_rows_with_one_pid_the_one_that_went_on_was_renamed() {
    for names in [["p", "q"], ["q", "p"]] {
        let stage = before([
            named(names[0], "Completed").pid(5),
            named(names[1], "Running").pid(5),
        ])
        .after([named("z", "Running").pid(5)]);
        let wanted = format!("z: status_changed renamed from {}", names[1]);
        assert!(stage.lines().contains(&wanted), "{:?}", stage.lines());
    }
}

#[test]
fn names_that_are_swapped_are_two_replaced_runs() {
    before([named("p", "Running").pid(5), named("q", "Running").pid(6)])
        .after([named("p", "Running").pid(6), named("q", "Running").pid(5)])
        .tells([
            "p: stopped replaced inferred",
            "p: restarted unknown",
            "q: stopped replaced inferred",
            "q: restarted unknown",
        ]);
}

#[test]
fn of_two_readings_of_one_name_the_same_one_counts_in_whatever_order_they_came() {
    let one = || named("a", "Running").pid(5);
    let other = || named("a", "Completed").pid(4).code(3);
    before([one()]).after([one(), other()]).tells([]);
    before([one()]).after([other(), one()]).tells([]);
}

#[test]
fn a_clock_that_steps_back_makes_no_backward_window_and_no_panic() {
    before([a("Running").pid(5)])
        .asked()
        .after([a("Completed").pid(5).code(-1)])
        .clock_steps(TimeDelta::hours(-3))
        .after([a("Running").pid(6).not_ready()])
        .tells(["restarted requested", "unhealthy starting"])
        .clock_steps(TimeDelta::days(40_000))
        .after([a("Completed").pid(6).code(3)])
        .tells(["stopped requested code 3"]);
}

#[test]
fn counters_and_codes_at_the_ends_of_their_range() {
    for restarts in [i64::MAX, i64::MIN, -1] {
        let stage = before([a("Running").pid(5)])
            .after([a("Restarting").pid(6).restarts(restarts).code(i64::MIN)])
            .after([a("Running").pid(i64::MAX).restarts(restarts)]);
        let told: u64 = stage.told().iter().map(|e| u64::from(e.count)).sum();
        assert!(told <= 2, "{:?}", stage.lines());
    }
}

#[test]
fn a_name_of_ten_kilobytes_is_a_name() {
    let name = "x\n*> ".repeat(2000);
    let stage = before([named(&name, "Running").pid(5)]).after([named(&name, "Error")]);
    assert_eq!(stage.told().len(), 2);
    assert!(stage.told().iter().all(|event| event.state.name == name));
}

#[test]
fn an_exit_code_that_changes_later_is_not_news() {
    before([a("Completed").pid(5)])
        .after([a("Completed").pid(5).code(1)])
        .tells([]);
}

#[test]
fn told_to_end_and_then_up_again_is_told_to_end_no_longer() {
    before([a("Running").pid(5)])
        .after([a("Terminating").pid(5)])
        .after([a("Running").pid(5)])
        .tells(["status_changed status"])
        .after([a("Completed").pid(5).code(3)])
        .tells(["crashed exit ambiguous code 3"]);
}

#[test]
fn stopped_while_pending_began_nothing_and_ends_nothing() {
    before([a("Pending")])
        .after([a("Terminated").ended_at(1000)])
        .tells(["status_changed status"])
        .after([a("Terminated").ended_at(1000)])
        .tells([]);
}

#[test]
fn up_to_pending_ends_the_run_and_what_follows_is_the_other_half() {
    before([a("Running").pid(5)])
        .asked()
        .after([a("Pending")])
        .tells(["stopped requested inferred"])
        .after([a("Running").pid(6)])
        .tells(["restarted requested"]);
}

#[test]
fn after_a_stretch_unwatched_what_differs_is_a_resync() {
    before([a("Running").pid(5)])
        .restored(true)
        .after_ms(600_000, [a("Running").pid(9).restarts(2).code(3)])
        .tells([
            "crashed missed inferred",
            "restarted policy inferred",
            "crashed missed inferred code 3",
            "restarted policy",
        ])
        .from(Origin::Resync)
        .after([a("Completed").pid(9).restarts(2)])
        .from(Origin::Change);
}

#[test]
fn not_ready_before_and_after_a_stretch_unwatched_may_have_been_ready_between() {
    let killed = |resync: bool| {
        before([])
            .probed(3, 2)
            .after([a("Running").pid(5).not_ready()])
            .restored(resync)
            .after_ms(60_000, [a("Running").pid(5).not_ready()])
            .after([a("Terminating").pid(5)])
            .after([a("Completed").pid(5).code(-1)])
    };
    killed(false).tells(["crashed unhealthy code -1"]);
    killed(true).tells(["crashed unhealthy ambiguous code -1"]);
}

#[test]
fn where_nothing_is_left_of_what_was_told_it_is_a_description_of_a_known_source() {
    let mut stage = nothing();
    stage.table = Table::lost();
    stage
        .after([a("Running").pid(5), named("b", "Completed").pid(6)])
        .tells(["started present"])
        .from(Origin::Resync)
        .after([named("b", "Completed").pid(6), named("c", "Running").pid(7)])
        .tells(["stopped removed inferred", "c: started added"]);
}

#[test]
fn a_probe_of_absurd_patience_makes_a_stop_of_every_kill() {
    before([])
        .probed(u32::MAX, u64::MAX)
        .after([a("Running").pid(5).not_ready()])
        .after([a("Terminating").pid(5)])
        .after([a("Completed").pid(5).code(-1)])
        .tells(["stopped requested code -1"]);
    before([])
        .backoff(Duration::MAX)
        .after([a("Completed").pid(5)])
        .after([a("Running").pid(6)])
        .tells(["started requested"]);
}

#[test]
fn times_that_no_head_can_carry_are_not_compared_with_those_that_it_lost() {
    let ages_ago = -62_000_000_000_000 - 1_787_000_000_000;
    let stage = before([a("Error").ended_at(ages_ago)]).restored(false);
    stage.after([a("Error").ended_at(ages_ago)]).tells([]);
}

#[test]
fn frames_that_a_head_has_accounted_for_are_not_told_again() {
    before([])
        .covered()
        .after([a("Running").pid(5)])
        .frame(500, &a("Restarting").code(3))
        .frame(1500, &a("Running").restarts(1))
        .after([a("Running").pid(6).restarts(1).code(3)])
        .tells(["crashed exit code 3", "restarted policy"])
        .restored(false)
        .frame(100, &a("Completed").restarts(1).code(0))
        .after_ms(300, [a("Completed").pid(6).restarts(1)])
        .tells(["stopped exited code 0"]);
}

#[test]
fn frames_left_over_by_a_table_that_was_given_up_end_no_other_run() {
    before([])
        .covered()
        .after([a("Running").pid(5)])
        .restored(false)
        // Used by looks that nobody was told of, and gone with them.
        .frame(500, &a("Restarting").code(9))
        .frame(1500, &a("Running").restarts(1))
        .released()
        .frame(1900, &a("Restarting").restarts(1).code(3))
        .after([a("Running").pid(6).restarts(1).code(9)])
        .tells(["crashed missed inferred code 9", "restarted policy"])
        .frame(100, &a("Restarting").restarts(1).code(3))
        .after_ms(300, [a("Restarting").pid(6).restarts(2).code(3)])
        .tells(["crashed exit code 3"]);
}

#[test]
fn a_frame_that_came_before_a_look_saw_the_run_up_does_not_end_it_when_the_source_leaves() {
    before([])
        .covered()
        .after([a("Running").pid(6).restarts(1)])
        .frame(1900, &a("Restarting").restarts(1).code(3))
        .after([a("Running").pid(6).restarts(1)])
        .tells([])
        .source_leaves()
        .tells([]);
}

#[test]
fn a_head_keeps_the_codes_of_success() {
    before([])
        .covered()
        .after([a("Running").pid(5).allows(3)])
        .restored(false)
        .frame(500, &a("Completed").code(3))
        .after([])
        .tells(["stopped removed code 3"]);
}

#[test]
fn the_fifth_crash_in_ten_minutes_is_critical() {
    use crate::event::payload::Severity;
    let stage = before([a("Running").pid(5)]);
    let stage = stage.after([a("Running").pid(9).restarts(4).code(3)]);
    assert!(stage.told().iter().all(|e| e.severity < Severity::Critical));
    let stage = stage.restored(false);
    let stage = stage.after([a("Restarting").pid(9).restarts(5).code(3)]);
    assert_eq!(stage.told()[0].severity, Severity::Critical);
}
