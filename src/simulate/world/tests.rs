use serde_json::Value;

use super::*;

/// A world with its facts and frames as short words.
struct Stage {
    world: World,
    facts: Vec<Record>,
    frames: Vec<Value>,
    answers: Vec<Ticket>,
    presence: Vec<(bool, bool)>,
}

fn rules(profile: &str) -> Rules {
    Rules {
        profile: profile.parse().unwrap(),
        project: "devbox/test".to_owned(),
        file: "test.yaml".to_owned(),
        seed: 1,
        speed: 1.0,
        torn: 0.0,
        wall: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
    }
}

impl Stage {
    fn new(processes: &str) -> Self {
        Self::of(
            "v1.122",
            &format!("processes:\n  {}", processes.replace('\n', "\n  ")),
        )
    }

    fn of(profile: &str, yaml: &str) -> Self {
        let world = World::new(Stack::parse(yaml).unwrap(), rules(profile));
        let mut stage = Self {
            world,
            facts: Vec::new(),
            frames: Vec::new(),
            answers: Vec::new(),
            presence: Vec::new(),
        };
        stage.collect();
        stage
    }

    fn collect(&mut self) {
        for output in self.world.take_outputs() {
            match output {
                Output::Fact(record) => self.facts.push(record),
                Output::Frame { state, .. } => {
                    self.frames.push(serde_json::from_str(&state).unwrap());
                }
                Output::Answer(ticket) => self.answers.push(ticket),
                Output::Presence { here, returns } => self.presence.push((here, returns)),
                Output::Line { .. } | Output::Reread(_) => {}
            }
        }
    }

    fn to(&mut self, ms: u64) -> &mut Self {
        self.world.advance(Duration::from_millis(ms));
        self.collect();
        self
    }

    fn ask<R>(&mut self, ms: u64, deed: impl FnOnce(&mut World) -> R) -> R {
        self.to(ms);
        let result = deed(&mut self.world);
        self.collect();
        result
    }

    /// Everything told about a process: `ms what because exit`.
    fn told(&self, name: &str) -> Vec<String> {
        let exit = |r: &Record| {
            r.exit.map_or_else(String::new, |e| {
                format!(
                    " {}",
                    match e {
                        Exit::Code(code) => code.to_string(),
                        Exit::Signal(signal) => format!("by {signal}"),
                    }
                )
            })
        };
        let word = |w: &dyn erased::Word| w.word();
        self.facts
            .iter()
            .filter(|r| r.process.as_deref() == Some(name))
            .map(|r| {
                format!(
                    "{} {} {}{}",
                    r.t_ms,
                    word(&r.what),
                    word(&r.because),
                    exit(r)
                )
            })
            .collect()
    }

    /// The frames of a process: `status restarts exit_code`.
    fn framed(&self, name: &str) -> Vec<String> {
        let of = self.frames.iter().filter(|f| f["name"] == name);
        of.map(|f| {
            format!(
                "{} {} {}",
                f["status"].as_str().unwrap(),
                f["restarts"],
                f["exit_code"]
            )
        })
        .collect()
    }

    fn look(&mut self, name: &str) -> Value {
        let key = self.world.names[name];
        serde_json::from_str(&self.world.look(key).unwrap()).unwrap()
    }

    fn names(&mut self) -> Vec<String> {
        let mut names: Vec<String> = self
            .world
            .look_at_all()
            .iter()
            .map(|s| {
                serde_json::from_str::<Value>(s).unwrap()["name"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        names.sort();
        names
    }
}

mod erased {
    /// The snake_case word of a fact.
    pub(super) trait Word {
        fn word(&self) -> String;
    }

    impl<T: serde::Serialize> Word for T {
        fn word(&self) -> String {
            serde_json::to_value(self)
                .unwrap()
                .as_str()
                .unwrap()
                .to_owned()
        }
    }
}

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
fn live_frames_are_as_stale_as_the_real_ones() {
    let mut s = Stage::new("web: {restart: always, life: [{run: 5s, exit: 1}]}");
    s.to(3_000);
    let seen = s.look("web");
    s.to(7_000);
    let restarting = s
        .frames
        .iter()
        .find(|f| f["status"] == "Restarting")
        .unwrap();
    assert_eq!(restarting["age"], seen["age"]);
    assert_eq!(restarting["is_running"], true);
    let running = s.frames.last().unwrap();
    assert_eq!(
        (&running["status"], &running["pid"], &running["age"]),
        (&Value::from("Running"), &seen["pid"], &seen["age"])
    );
    let fresh = Stage::new("web: {}");
    assert_eq!(
        (
            &fresh.frames[0]["pid"],
            &fresh.frames[0]["is_running"],
            &fresh.frames[0]["system_time"]
        ),
        (&Value::from(0), &Value::from(false), &Value::from("-"))
    );
}

#[test]
fn each_profile_has_its_own_keys() {
    let yaml = "processes: {w: {namespace: [a, b], success_exit_codes: [2], schedule: {interval: 9s, run_on_start: true}, watch: {}}}";
    let keys = |profile: &str| {
        let mut s = Stage::of(profile, yaml);
        let state = s.look("w");
        let has = |key: &str| state.get(key).is_some();
        assert_eq!(
            state["namespace"].is_array(),
            profile == "v1.122",
            "{profile}"
        );
        [
            has("IsRunning"),
            has("is_running"),
            has("has_ready_probe"),
            has("next_run_time"),
            has("process_start_time"),
            has("success_exit_codes"),
            has("is_watched"),
        ]
    };
    assert_eq!(
        keys("v1.46"),
        [true, false, false, false, false, false, false]
    );
    assert_eq!(
        keys("v1.75"),
        [false, true, true, false, false, false, false]
    );
    assert_eq!(
        keys("v1.87"),
        [false, true, true, true, false, false, false]
    );
    assert_eq!(
        keys("v1.110"),
        [false, true, true, true, true, false, false]
    );
    assert_eq!(keys("v1.120"), [false, true, true, true, true, true, false]);
    assert_eq!(keys("v1.122"), [false, true, true, true, true, true, true]);
}

#[test]
fn looks_come_in_no_order_and_change_nothing_about_the_truth() {
    let dice = crate::simulate::random::Dice {
        processes: 30,
        rate: 3.0,
        seed: 5,
    };
    let play = |looks: bool| {
        let mut world = World::new(crate::simulate::random::stack(dice), rules("v1.122"));
        let mut orders = BTreeSet::new();
        for second in 0..120 {
            world.advance(Duration::from_secs(second));
            if looks {
                orders.insert(
                    world
                        .look_at_all()
                        .iter()
                        .map(|s| s[..16].to_owned())
                        .collect::<Vec<_>>(),
                );
            }
        }
        (world.take_facts(), orders.len())
    };
    let ((looked, orders), (unseen, _)) = (play(true), play(false));
    assert_eq!(looked, unseen);
    assert!(orders > 100);
    let ends = looked.iter().filter(|r| r.what == What::Exited).count();
    assert!(
        (240..480).contains(&ends),
        "three a second for two minutes, not {ends}"
    );
}

#[test]
fn torn_looks_contradict_themselves_and_are_right_again_the_next_time() {
    let mut s = Stage::new("web: {restart: always, life: [{run: 2s, exit: 1}]}");
    s.world.rules.torn = 1.0;
    let torn = s.look("web");
    assert_eq!(
        (
            &torn["status"],
            &torn["pid"],
            &torn["age"],
            &torn["system_time"]
        ),
        (
            &Value::from("Running"),
            &Value::from(0),
            &Value::from(i64::MAX),
            &Value::from("292y")
        )
    );
    s.to(1_500);
    assert_eq!(s.look("web")["is_running"], false);
    s.to(2_500);
    assert_eq!(s.look("web")["restarts"], 0);
    s.world.rules.torn = 0.0;
    assert_eq!(s.look("web")["restarts"], 1);
}

#[test]
fn speed_shortens_what_the_stack_says_and_leaves_clocks_true() {
    let mut fast = rules("v1.122");
    fast.speed = 10.0;
    let mut world = World::new(
        Stack::parse(
            "processes: {a: {life: [{run: 5s, exit: 1}], restart: always, ready: {after: 2s}}}",
        )
        .unwrap(),
        fast,
    );
    world.advance(Duration::from_millis(700));
    let facts: Vec<_> = world
        .take_facts()
        .iter()
        .map(|r| (r.t_ms, r.what))
        .collect();
    assert!(
        facts.contains(&(201, What::BecameReady))
            && facts.contains(&(500, What::Exited))
            && facts.contains(&(600, What::Spawned)),
        "{facts:?}"
    );
}

#[test]
fn the_script_does_what_it_says_when_it_says_it() {
    let mut s = Stage::of(
        "v1.122",
        "processes: {a: {}, b: {ready: {threshold: 99}}}\nscript:\n  - {at: 2s, do: kill, process: a, signal: 15}\n  - {at: 4s, every: 5s, do: start, process: a}\n  \
         - {at: 3s, do: unready, process: b}\n  - {at: 6s, do: scale, process: a, to: 2}\n  - {at: 7s, do: exit, process: a-1, code: 7}\n  - {at: 8s, do: stop, process: nobody}",
    );
    s.to(12_000);
    assert_eq!(
        s.told("a"),
        [
            "0 spawned boot",
            "2000 exited outside_signal by 15",
            "4000 spawned user_start"
        ]
    );
    assert_eq!(s.told("a-1")[2], "7000 exited own_exit 7");
    assert_eq!(s.told("b")[2], "3015 became_unready probe");
}

#[test]
fn log_buffers_keep_their_newest_lines() {
    let mut s = Stage::new("a: {log: {every: 1s, lines: [\"line {n}\"]}}");
    s.to(1_005_500);
    let process = &s.world.processes[&s.world.names["a"]];
    assert_eq!(process.lines.len(), 1_000);
    assert_eq!(process.lines.back().unwrap(), "line 1005");
    assert_eq!(process.lines.front().unwrap(), "line 6");
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
