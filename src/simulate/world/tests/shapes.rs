//! What is shown of it, and how true the truth is.

use super::*;

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
fn whatever_is_asked_every_program_that_began_ends_exactly_once() {
    for seed in 0..30 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let stack = Stack::parse(
            "processes: {a: {restart: always, life: [{run: 1s..9s, exit: 1}]}, b: {stop: {takes: 3s}}, c: {stop: {ignores: true, timeout: 2s}, namespace: x}, \
             d: {ready: {after: 2s, fails: [{at: 6s}]}, restart: on_failure}, e: {depends_on: {d: healthy}, namespace: x}, f: {daemon: true, liveness: {}, life: [{run: 5s..9s}]}, \
             g: {schedule: {interval: 3s}, life: [{run: 1s..5s, exit: 2}]}, h: {watch: {}}, w: {}, s: {stop: {ignores: true}}}",
        )
        .unwrap();
        let mut world = World::new(
            stack.clone(),
            Rules {
                seed,
                ..rules("v1.122")
            },
        );
        for second in 1..200 {
            world.advance(Duration::from_millis(second * 700));
            let names: Vec<String> = world
                .names
                .keys()
                .cloned()
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
            let Some(name) = dice.choice(&names).cloned() else {
                continue;
            };
            disturb(&mut world, &mut dice, &name, &stack);
        }
        world.shut_down(None);
        world.advance(Duration::from_secs(1_000));
        check_pids(seed, &world.take_facts());
    }
}

/// Asks something of the world; most of it will be refused, and that is part of it.
fn disturb(world: &mut World, dice: &mut fastrand::Rng, name: &str, stack: &Stack) {
    let taken = match dice.u8(0..14) {
        0 | 1 => world.start(name),
        2 | 3 => world.stop(name),
        4 | 5 => world.restart(name),
        6 => world
            .end(name, Exit::Signal(9), Because::OutsideSignal)
            .map(|()| Taken::Now),
        7 => world.namespace_restart("x"),
        8 => world.scale(name, dice.i64(1..12)),
        9 => world.touch(name, "file").map(|()| Taken::Now),
        10 => world.signal(name, 15),
        11 => {
            let mut other = stack.clone();
            other
                .processes
                .retain(|name, _| ["d", "e"].contains(&name.as_str()) || dice.u8(0..4) > 0);
            Ok(world.reload(other).1)
        }
        12 if dice.u8(0..6) == 0 => Ok(world.shut_down(Some(Duration::from_secs(2)))),
        _ => Ok(Taken::Now),
    };
    drop(taken);
}

fn check_pids(seed: u64, facts: &[Record]) {
    let launchers: BTreeSet<_> = facts
        .iter()
        .filter(|r| r.what == What::Launched)
        .filter_map(|r| r.pid)
        .collect();
    let mut alive = BTreeMap::new();
    for record in facts {
        let pid = record.pid.unwrap_or_default();
        match record.what {
            What::Spawned => assert!(
                alive.insert(pid, record.clone()).is_none(),
                "{seed}: {record:?} began twice"
            ),
            What::Exited if record.launcher.is_none() => assert!(
                alive.remove(&pid).is_some(),
                "{seed}: {record:?} never began"
            ),
            _ => {}
        }
    }
    alive.retain(|pid, record| {
        !launchers.contains(pid)
            && !record
                .process
                .as_deref()
                .is_some_and(|p| p.starts_with('s'))
    });
    assert!(alive.is_empty(), "{seed}: these never ended: {alive:?}");
}
