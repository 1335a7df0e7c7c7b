//! What becomes of what people ask for.

use super::*;

#[test]
fn a_stop_passes_through_terminating_and_ends_as_minus_one_or_as_the_program_likes() {
    let mut s = Stage::new(
        "plain: {restart: always}\npolite: {stop: {exit: 143}}\nstubborn: {stop: {ignores: true, timeout: 3s}}",
    );
    assert_eq!(s.ask(1_000, |w| w.stop("plain")), Ok(Taken::Now));
    assert_eq!(s.ask(1_000, |w| w.stop("polite")), Ok(Taken::Now));
    let Ok(Taken::Later(ticket)) = s.ask(1_000, |w| w.stop("stubborn")) else {
        panic!("the server waits for this one")
    };
    s.to(3_900);
    assert!(!s.answers.contains(&ticket));
    s.to(4_000);
    assert!(s.answers.contains(&ticket));
    assert_eq!(s.told("plain")[1], "1002 exited user_stop by 15");
    assert_eq!(s.told("polite")[1], "1002 exited user_stop 143");
    assert_eq!(s.told("stubborn")[1], "4000 exited user_stop by 9");
    assert_eq!(
        s.framed("plain"),
        ["Running 0 0", "Terminating 0 0", "Completed 0 -1"]
    );
    assert_eq!(s.framed("polite")[2], "Completed 0 143");
    assert!(s.ask(5_000, |w| w.stop("plain")).is_err());
    assert!(s.ask(5_000, |w| w.stop("nobody")).is_err());
}

#[test]
fn a_restart_answers_a_second_after_the_stop_and_calls_that_overlap_are_one() {
    let mut s = Stage::new("web: {}");
    let old = s.look("web")["pid"].clone();
    let Ok(Taken::Later(ticket)) = s.ask(2_000, |w| w.restart("web")) else {
        panic!("answered later")
    };
    assert_eq!(s.ask(2_100, |w| w.restart("web")), Ok(Taken::Later(ticket)));
    assert_eq!(s.look("web")["status"], "Completed");
    s.to(2_999);
    assert!(s.answers.is_empty());
    s.to(3_000);
    assert_eq!(s.answers, [ticket]);
    assert_eq!(
        s.framed("web"),
        [
            "Running 0 0",
            "Terminating 0 0",
            "Completed 0 -1",
            "Running 0 0"
        ]
    );
    assert_eq!(
        s.told("web")[1..],
        [
            "2002 exited user_restart by 15",
            "3000 spawned user_restart"
        ]
    );
    let new = s.look("web");
    assert_ne!(new["pid"], old);
    assert_eq!(
        (&new["restarts"], &new["exit_code"]),
        (&Value::from(0), &Value::from(0))
    );
    assert!(new.get("process_end_time").is_none());
}

#[test]
fn older_releases_keep_the_former_life_in_a_new_one() {
    let mut s = Stage::of("v1.110", "processes: {web: {ready: {period: 60s}}}");
    s.to(100);
    let first = s.look("web");
    s.ask(2_000, |w| w.end("web", Exit::Code(3), Because::OwnExit))
        .unwrap();
    s.ask(3_000, |w| w.start("web")).unwrap();
    let again = s.look("web");
    assert_eq!(again["status"], "Running");
    assert_eq!(again["exit_code"], 3);
    assert!(again.get("process_end_time").is_some());
    assert_eq!(again["process_start_time"], first["process_start_time"]);
    assert_eq!(again["is_ready"], "Ready");
}

#[test]
fn a_restart_that_does_not_wait_leaves_an_orphan_whose_end_is_still_told() {
    let mut s = Stage::new("slow: {stop: {takes: 5s, exit: 0}}");
    s.ask(1_000, |w| w.restart("slow")).unwrap();
    s.to(7_000);
    assert_eq!(
        s.told("slow"),
        [
            "0 spawned boot",
            "2000 spawned user_restart",
            "6000 exited user_restart 0"
        ]
    );
    assert_eq!(s.look("slow")["status"], "Running");
}

#[test]
fn a_stop_in_the_backoff_completes_and_one_while_waiting_is_terminating_for_good() {
    let mut s = Stage::new(
        "held: {life: [{run: 1s, exit: 5}], restart: on_failure, backoff: 9s}\ndb: {ready: {after: 60s, threshold: 99}}\nedge: {depends_on: {db: healthy}}",
    );
    s.ask(3_000, |w| w.stop("held")).unwrap();
    s.ask(3_000, |w| w.stop("edge")).unwrap();
    assert_eq!(s.told("held")[2], "3000 cancelled user_stop");
    assert_eq!(s.told("edge"), ["3000 cancelled user_stop"]);
    assert_eq!(s.framed("held").last().unwrap(), "Completed 1 5");
    let edge = s.look("edge");
    assert_eq!(
        (&edge["status"], &edge["pid"]),
        (&Value::from("Terminating"), &Value::from(0))
    );
    assert!(edge.get("process_end_time").is_some());
    s.ask(4_000, |w| w.start("edge")).unwrap();
    assert_eq!(s.look("edge")["status"], "Pending");
    s.to(61_000);
    assert_eq!(s.told("edge")[1], "60015 spawned user_start");
}

#[test]
fn a_daemon_without_a_command_that_ends_it_cannot_be_stopped() {
    let mut s = Stage::new("stuck: {daemon: true, stop: {command: false}}\nfine: {daemon: true}");
    assert!(s.ask(1_000, |w| w.stop("stuck")).is_err());
    assert_eq!(s.look("stuck")["status"], "Terminating");
    assert!(matches!(
        s.ask(1_000, |w| w.stop("fine")),
        Ok(Taken::Later(_))
    ));
    s.to(2_000);
    assert_eq!(
        s.told("fine").last().unwrap(),
        "1002 exited user_stop by 15"
    );
    assert_eq!(s.framed("fine").last().unwrap(), "Completed 0 0");
}

#[test]
fn scaling_renames_what_runs_and_removes_the_highest() {
    let mut s = Stage::new("w: {}");
    let pid = s.look("w")["pid"].clone();
    assert!(s.ask(1_000, |w| w.scale("w", 0)).is_err());
    assert_eq!(s.ask(4_000, |w| w.scale("w", 3)), Ok(Taken::Now));
    assert_eq!(s.names(), ["w-0", "w-1", "w-2"]);
    assert_eq!(s.look("w-0")["pid"], pid);
    assert_eq!(s.told("w-0"), ["4000 renamed scale"]);
    assert_eq!(s.world.info("w-0").unwrap()["replicas"], 3);
    assert_eq!(s.told("w-1"), ["4000 added scale", "4000 spawned scale"]);
    assert_eq!(
        s.ask(5_000, |w| w.scale("w", 2)).unwrap_err().to_string(),
        "no such process: w"
    );
    assert!(matches!(
        s.ask(6_000, |w| w.scale("w-2", 10)),
        Ok(Taken::Now)
    ));
    assert_eq!(s.names()[9], "w-09");
    let Ok(Taken::Later(ticket)) = s.ask(7_000, |w| w.scale("w-00", 1)) else {
        panic!("waits for those removed")
    };
    s.to(7_100);
    assert!(s.answers.contains(&ticket));
    assert_eq!(s.names(), ["w"]);
    assert_eq!(s.look("w")["pid"], pid);
    assert_eq!(s.told("w-09").last().unwrap(), "7002 removed scale");
}

#[test]
fn a_reload_adds_removes_and_makes_anew() {
    let mut s = Stage::new(
        "keep: {}\napi: {restart: always, life: [{run: 1s, exit: 1}, {run: forever}]}\nold: {}\ndone: {life: [{run: 2s}]}",
    );
    let other = Stack::parse(
        "processes: {keep: {}, api: {namespace: x}, fresh: {}, later: {disabled: true}}",
    )
    .unwrap();
    let (answer, _) = s.ask(6_000, |w| w.reload(other.clone()));
    let words: Vec<_> = answer
        .iter()
        .map(|(name, word)| format!("{name} {word}"))
        .collect();
    assert_eq!(
        words,
        [
            "api updated",
            "done removed",
            "fresh added",
            "later added",
            "old removed"
        ]
    );
    s.to(7_000);
    assert_eq!(s.names(), ["api", "fresh", "keep", "later"]);
    assert_eq!(
        s.told("api")[3..],
        ["6002 exited reload by 15", "6002 spawned reload"]
    );
    assert_eq!(s.look("api")["restarts"], 0);
    assert_eq!(
        s.told("old")[1..],
        ["6002 exited reload by 15", "6002 removed reload"]
    );
    assert_eq!(s.told("keep").len(), 1);
    assert!(s.world.ghost("old").unwrap().contains("Completed"));
    assert!(s.ask(8_000, |w| w.reload(other)).0.is_empty());
}

#[test]
fn a_server_that_restarts_ends_everything_and_begins_anew() {
    let mut s = Stage::new("web: {stop: {exit: 0}}\njob: {life: [{run: 1s}]}");
    s.ask(5_000, |w| w.shut_down(Some(Duration::from_secs(3))));
    s.to(6_000);
    assert!(s.names().is_empty());
    s.to(9_000);
    assert_eq!(
        s.told("web"),
        [
            "0 spawned boot",
            "5002 exited server_stop 0",
            "8002 spawned boot"
        ]
    );
    assert_eq!(s.presence, [(true, true), (false, true), (true, true)]);
    let server: Vec<_> = s
        .facts
        .iter()
        .filter(|r| r.process.is_none())
        .map(|r| (r.t_ms, r.what))
        .collect();
    assert_eq!(
        server,
        [
            (0, What::ServerStarted),
            (5_002, What::ServerGone),
            (8_002, What::ServerStarted)
        ]
    );
    assert!(s.world.project_state(false)["upTime"].as_i64().unwrap() < 1_000_000_000);
}

#[test]
fn without_keep_the_server_leaves_with_its_last_process() {
    let mut s = Stage::of(
        "v1.122",
        "keep: false\nprocesses: {a: {life: [{run: 2s}]}, b: {life: [{run: 3s, exit: 1}]}, c: {disabled: true}}",
    );
    s.to(10_000);
    assert_eq!(s.presence, [(true, true), (false, false)]);
    assert_eq!(s.facts.last().unwrap().t_ms, 3_000);
    let mut kept = Stage::new("a: {life: [{run: 2s}]}");
    assert_eq!(kept.to(10_000).presence, [(true, true)]);
}

#[test]
fn a_namespace_restart_stops_all_waits_and_starts_all() {
    let mut s =
        Stage::new("a: {namespace: pool}\nb: {namespace: [pool, x], stop: {takes: 2s}}\nc: {}");
    let Ok(Taken::Later(ticket)) = s.ask(5_000, |w| w.namespace_restart("pool")) else {
        panic!("answered later")
    };
    s.to(8_000);
    assert_eq!(s.answers, [ticket]);
    assert_eq!(
        s.told("a")[1..],
        [
            "5002 exited user_restart by 15",
            "7100 spawned user_restart"
        ]
    );
    assert_eq!(
        s.told("b")[1..],
        [
            "7000 exited user_restart by 15",
            "7100 spawned user_restart"
        ]
    );
    assert_eq!(s.told("c").len(), 1);
    assert_eq!(s.world.namespaces(), ["default", "pool", "x"]);
    assert!(s.ask(9_000, |w| w.namespace_stop("nowhere")).is_err());
}

#[test]
fn a_bulk_stop_says_for_each_what_became_of_it() {
    let mut s = Stage::new("a: {}\nb: {disabled: true}");
    let (answers, well, _) = s.ask(1_000, |w| {
        w.stop_many(&["a".to_owned(), "b".to_owned(), "nobody".to_owned()])
    });
    assert!(!well);
    assert_eq!(answers["a"], "ok");
    assert_eq!(answers["nobody"], "process nobody does not exist");
    assert_ne!(answers["b"], "ok");
    assert!(s.world.stop_many(&[]).1);
}

#[test]
fn a_signal_must_be_in_range_and_meet_a_running_program() {
    let mut s = Stage::new("a: {}\nb: {disabled: true}");
    assert!(
        s.ask(1_000, |w| w.signal("a", 23)).is_err() && s.ask(1_000, |w| w.signal("b", 9)).is_err()
    );
    s.ask(1_000, |w| w.signal("a", 0)).unwrap();
    assert_eq!(s.look("a")["status"], "Running");
    s.ask(1_000, |w| w.signal("a", 9)).unwrap();
    assert_eq!(s.told("a")[1], "1000 exited user_signal by 9");
}

#[test]
fn disabled_and_foreground_do_not_start_by_themselves() {
    let mut s = Stage::new("spare: {disabled: true}\ntool: {foreground: true}");
    s.to(1_000);
    assert_eq!(
        (
            s.look("spare")["status"].clone(),
            s.look("tool")["status"].clone()
        ),
        ("Disabled".into(), "Foreground".into())
    );
    s.ask(2_000, |w| w.start("spare")).unwrap();
    assert!(
        s.ask(2_000, |w| w.start("tool")).is_err() && s.ask(2_000, |w| w.start("spare")).is_err()
    );
    assert_eq!(s.told("spare"), ["2000 spawned user_start"]);
}

#[test]
fn a_bulk_stop_waits_for_those_the_server_waits_for() {
    let mut s = Stage::new("a: {stop: {takes: 2s, timeout: 5s}}\nb: {}");
    let (_, well, taken) = s.ask(1_000, |w| w.stop_many(&["a".to_owned(), "b".to_owned()]));
    let Taken::Later(ticket) = taken else {
        panic!("answered later")
    };
    s.to(2_999);
    assert!(well && s.answers.is_empty());
    s.to(3_000);
    assert_eq!(s.answers, [ticket]);
}

#[test]
fn a_start_while_a_restart_pauses_is_left_alone() {
    let mut s = Stage::new("web: {}");
    s.ask(1_000, |w| w.restart("web")).unwrap();
    s.ask(1_500, |w| w.start("web")).unwrap();
    s.to(5_000);
    assert_eq!(
        s.told("web"),
        [
            "0 spawned boot",
            "1002 exited user_restart by 15",
            "1500 spawned user_start"
        ]
    );
    assert_eq!(s.answers.len(), 1);
    assert!(matches!(
        s.ask(6_000, |w| w.restart("web")),
        Ok(Taken::Later(_))
    ));
}

#[test]
fn nothing_outlives_its_server() {
    let mut s = Stage::new(
        "slow: {stop: {takes: 3s}}\nweb: {restart: always}\ntick: {schedule: {interval: 2s}}",
    );
    s.ask(1_000, |w| w.shut_down(None));
    s.ask(1_500, |w| w.start("web")).unwrap();
    s.to(9_000);
    assert_eq!(
        s.told("web").last().unwrap(),
        "4000 exited server_stop by 9"
    );
    assert_eq!(s.told("tick")[1], "4000 exited server_stop by 9");
    assert_eq!(s.facts.last().unwrap().what, What::ServerGone);
}

#[test]
fn what_is_started_while_a_reload_waits_ends_before_it_is_removed() {
    let mut s = Stage::new("old: {}\nslow: {stop: {takes: 3s}}");
    s.ask(1_000, |w| w.reload(Stack::default()));
    s.ask(2_000, |w| w.start("old")).unwrap();
    s.to(5_000);
    assert_eq!(
        s.told("old")[2..],
        [
            "2000 spawned user_start",
            "4000 exited reload by 9",
            "4000 removed reload"
        ]
    );
}
