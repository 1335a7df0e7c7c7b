//! What becomes of a process by itself.

use super::*;

#[test]
fn a_life_ends_and_stays_ended_without_a_policy() {
    let mut s = Stage::new("job: {life: [{run: 3s, exit: 4}]}");
    s.to(10_000);
    assert_eq!(s.told("job"), ["0 spawned boot", "3000 exited own_exit 4"]);
    assert_eq!(s.framed("job"), ["Running 0 0", "Completed 0 4"]);
    let state = s.look("job");
    assert_eq!(
        (&state["status"], &state["exit_code"], &state["is_running"]),
        (
            &Value::from("Completed"),
            &Value::from(4),
            &Value::from(false)
        )
    );
}

#[test]
fn a_policy_restarts_with_the_old_count_first_and_never_sooner_than_a_second() {
    let mut s = Stage::new(
        "loop: {life: [{run: 3s, exit: 9}], restart: on_failure, backoff: 100ms, max_restarts: 2}",
    );
    let first = s.look("loop");
    s.to(20_000);
    assert_eq!(
        s.told("loop"),
        [
            "0 spawned boot",
            "3000 exited own_exit 9",
            "4000 spawned policy",
            "7000 exited own_exit 9",
            "8000 spawned policy",
            "11000 exited own_exit 9"
        ]
    );
    assert_eq!(
        s.framed("loop"),
        [
            "Running 0 0",
            "Restarting 0 9",
            "Running 1 9",
            "Restarting 1 9",
            "Running 2 9",
            "Completed 2 9"
        ]
    );
    // The frame of the new life was taken before there was a new pid.
    assert_eq!(s.frames[2]["pid"], first["pid"]);
    assert_ne!(s.look("loop")["pid"], first["pid"]);
}

#[test]
fn on_failure_leaves_success_alone_and_always_does_not() {
    let mut s = Stage::new(
        "fine: {life: [{run: 1s, exit: 0}], restart: on_failure}\nallowed: {life: [{run: 1s, exit: 3}], restart: on_failure, success_exit_codes: [3]}\n\
         again: {life: [{run: 1s, exit: 0}], restart: always}",
    );
    s.to(1_500);
    assert_eq!(s.look("fine")["status"], "Completed");
    assert_eq!(s.look("allowed")["status"], "Completed");
    assert_eq!(s.look("again")["status"], "Restarting");
}

#[test]
fn a_kill_from_outside_has_no_terminating() {
    let mut s = Stage::new("web: {}");
    s.ask(2_000, |w| {
        w.end("web", Exit::Signal(9), Because::OutsideSignal)
    })
    .unwrap();
    assert_eq!(s.framed("web"), ["Running 0 0", "Completed 0 -1"]);
    assert_eq!(s.told("web")[1], "2000 exited outside_signal by 9");
}

#[test]
fn a_probe_goes_up_and_down_and_kills_when_it_gives_up() {
    let mut s = Stage::new(
        "web: {restart: always, backoff: 2s, ready: {after: 2s, period: 1s, threshold: 3, fails: [{at: 5s, for: 2s}, {at: 10s}]}}",
    );
    s.to(15_000);
    assert_eq!(
        s.told("web"),
        [
            "0 spawned boot",
            "15 became_unready probe_starting",
            "2015 became_ready probe",
            "5015 became_unready probe",
            "7015 became_ready probe",
            "10015 became_unready probe",
            "12017 exited readiness_kill by 15",
            "14017 spawned policy",
            "14032 became_unready probe_starting",
        ]
    );
    assert_eq!(
        s.framed("web")[6..],
        [
            "Terminating 0 0",
            "Restarting 0 -1",
            "Running 1 -1",
            "Running 1 -1"
        ]
    );
}

#[test]
fn a_forced_probe_finds_what_it_is_told_and_a_log_line_makes_ready_without_a_probe() {
    let mut s =
        Stage::new("web: {ready: {threshold: 99}}\nqueue: {ready_log_line: {after: 2s, line: up}}");
    s.ask(1_500, |w| w.set_ready("web", Some(false))).unwrap();
    s.to(2_500);
    assert_eq!(s.look("web")["is_ready"], "Not Ready");
    assert_eq!(s.told("queue")[1], "2000 became_ready log_line");
    let queue = s.look("queue");
    assert_eq!(
        (&queue["is_ready"], &queue["has_ready_probe"]),
        (&Value::from("Ready"), &Value::from(false))
    );
    s.ask(2_600, |w| w.set_ready("web", None)).unwrap();
    s.to(3_100);
    assert_eq!(s.look("web")["is_ready"], "Ready");
    assert!(s.ask(3_000, |w| w.set_ready("queue", None)).is_err());
}

#[test]
fn dependents_wait_for_what_they_asked_for_and_are_skipped_when_it_never_comes() {
    let mut s = Stage::new(
        "db: {ready: {after: 7s, threshold: 99}}\nweb: {depends_on: {db: healthy}}\nmigrate: {life: [{run: 4s, exit: 0}]}\n\
         app: {depends_on: {migrate: completed_successfully, web: started}}\nimport: {life: [{run: 5s, exit: 6}]}\n\
         report: {depends_on: {import: completed_successfully}}\nmailer: {depends_on: {report: completed_successfully}}\nafter: {depends_on: {import: completed}}",
    );
    assert_eq!(s.look("app")["status"], "Pending");
    s.to(8_000);
    assert_eq!(s.told("web"), ["7015 spawned dependency"]);
    assert_eq!(s.told("app"), ["7015 spawned dependency"]);
    assert_eq!(s.told("report"), ["5000 skipped dependency"]);
    assert_eq!(s.told("mailer"), ["5000 skipped dependency"]);
    assert_eq!(s.told("after"), ["5000 spawned dependency"]);
    assert_eq!(s.look("mailer")["exit_code"], 1);
    let skipped = s
        .facts
        .iter()
        .find(|r| r.process.as_deref() == Some("mailer"))
        .unwrap();
    assert_eq!(skipped.dependency.as_deref(), Some("report"));
}

#[test]
fn an_end_before_ready_writes_a_false_one_into_the_dependency() {
    let mut s = Stage::new(
        "db: {life: [{run: 2s, exit: 0}], ready: {after: 60s, threshold: 99}}\nweb: {depends_on: {db: healthy}}",
    );
    s.to(3_000);
    assert_eq!(s.framed("db").last().unwrap(), "Completed 0 0");
    assert_eq!(s.look("db")["exit_code"], 1);
    assert_eq!(s.told("db").last().unwrap(), "2000 exited own_exit 0");
    assert_eq!(s.look("web")["status"], "Skipped");
}

#[test]
fn what_cannot_be_started_is_an_error_with_code_zero() {
    let mut s = Stage::new(
        "nodir: {cannot_start: no_directory, restart: always}\ntypo: {cannot_start: no_program}",
    );
    s.to(5_000);
    assert_eq!(s.framed("nodir"), ["Error 0 0"]);
    assert_eq!(s.framed("typo"), ["Running 0 0", "Error 0 0"]);
    assert_eq!(s.told("nodir"), ["0 spawn_failed boot"]);
    assert_eq!(s.look("nodir")["pid"], 0);
}

#[test]
fn a_dead_daemon_is_noticed_by_its_liveness_probe_only() {
    let mut s = Stage::new(
        "kept: {daemon: true, restart: always, backoff: 3s, liveness: {period: 1s, threshold: 2}, life: [{run: 8s, killed: 9}]}\nlost: {daemon: true, life: [{run: 2s, exit: 3}]}",
    );
    s.to(9_000);
    assert_eq!(s.look("kept")["status"], "Launched");
    assert_eq!(s.told("kept")[2], "8000 exited outside_signal by 9");
    s.to(14_000);
    assert_eq!(
        s.framed("kept")[..5],
        [
            "Launching 0 0",
            "Launched 0 0",
            "Restarting 0 0",
            "Launching 1 0",
            "Launched 1 0"
        ]
    );
    assert_eq!(s.look("lost")["status"], "Launched");
    let ended = s
        .facts
        .iter()
        .find(|r| r.what == What::Exited && r.process.as_deref() == Some("lost"))
        .unwrap();
    assert_ne!(ended.launcher, ended.pid);
    assert_eq!(
        ended.launcher,
        s.facts
            .iter()
            .find(|r| r.what == What::Spawned && r.process.as_deref() == Some("lost"))
            .unwrap()
            .pid
    );
}

#[test]
fn a_schedule_hides_what_became_of_the_last_run_and_a_stop_disarms_it() {
    let mut s = Stage::new(
        "tick: {schedule: {interval: 7s}, life: [{run: 3s, exit: 3}]}\nboot: {schedule: {interval: 11s, run_on_start: true}, life: [{run: 1s}]}",
    );
    assert_eq!(s.look("tick")["status"], "Scheduled");
    assert_eq!(s.told("boot"), ["0 spawned boot"]);
    s.to(11_000);
    assert_eq!(
        s.told("tick"),
        ["7000 spawned schedule", "10000 exited own_exit 3"]
    );
    assert_eq!(s.framed("tick"), ["Running 0 0", "Completed 0 3"]);
    let tick = s.look("tick");
    assert_eq!(
        (&tick["status"], &tick["exit_code"]),
        (&Value::from("Scheduled"), &Value::from(3))
    );
    assert!(tick.get("next_run_time").is_some());
    assert_eq!(s.ask(12_000, |w| w.stop("tick")), Ok(Taken::Now));
    assert_eq!(s.look("tick")["status"], "Completed");
    s.to(40_000);
    assert_eq!(s.told("tick").len(), 2);
}

#[test]
fn a_changed_file_runs_a_process_anew_with_no_restarts() {
    let mut s = Stage::new(
        "web: {watch: {debounce: 200ms}}\nbuild: {watch: {debounce: 300ms}, life: [{run: 2s, exit: 0}]}",
    );
    s.to(3_000);
    assert_eq!(s.look("build")["status"], "Watching");
    s.ask(6_000, |w| w.touch("web", "a.txt")).unwrap();
    s.ask(6_100, |w| w.touch("web", "b.txt")).unwrap();
    s.ask(6_000, |w| w.touch("build", "x.txt")).unwrap();
    s.to(9_000);
    assert_eq!(
        s.told("web")[1..],
        ["6302 exited watch by 15", "6302 spawned watch"]
    );
    assert_eq!(
        s.framed("web")[1..],
        ["Terminating 0 0", "Completed 0 -1", "Running 0 0"]
    );
    assert_eq!(s.look("web")["watch_trigger_path"], "b.txt");
    assert_eq!(
        s.told("build")[2..],
        ["6400 spawned watch", "8400 exited own_exit 0"]
    );
}

#[test]
fn a_schedule_leaves_out_a_run_while_the_former_goes_on() {
    let mut s = Stage::new("long: {schedule: {interval: 5s}, life: [{run: 7s}]}");
    s.to(16_000);
    assert_eq!(
        s.told("long"),
        [
            "5000 spawned schedule",
            "12000 exited own_exit 0",
            "15000 spawned schedule"
        ]
    );
}

#[test]
fn a_shell_answers_the_end_of_its_child_with_a_code() {
    let mut s = Stage::new("pipe: {life: [{run: 1s, killed: 9, exit: 137}]}");
    s.to(2_000);
    assert_eq!(s.told("pipe")[1], "1000 exited outside_signal 137");
    assert_eq!(s.look("pipe")["exit_code"], 137);
}
