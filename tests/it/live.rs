//! The recorded scenarios once more, live: a real process-compose, the binary as a user runs it, the recorded actions.
//!
//! Every stack keeps its recorded times, so the scenarios run side by side and take as long as the longest. Where there
//! is no process-compose, one line says so: the recordings and the simulator stand in for it.
//!
//! Left out: recordings of older servers (`v87-*`, `v110-*`), because only the server at hand can run; `reload`, whose
//! later configurations were not recorded; `server-again`, whose facts before the first look need a server that is away
//! for a time nobody can promise.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread;

use self::stack::Stack;
use crate::support::score::{Facts, Mode};

mod stack;

const SCENARIOS: [&str; 12] = [
    "api-restart",
    "daemon",
    "dependencies",
    "fast-restarts",
    "file-watch",
    "outside-kills",
    "plain-exits",
    "policy-loops",
    "readiness",
    "scale-1-3-1",
    "schedule",
    "user-stops",
];

/// The real one: named by the environment, or on the path.
pub(crate) fn process_compose() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("OBSERVE_TEST_PROCESS_COMPOSE") {
        let named = PathBuf::from(named);
        assert!(
            named.is_file(),
            "OBSERVE_TEST_PROCESS_COMPOSE names no file: {}",
            named.display()
        );
        return Some(named);
    }
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&on_path)
        .map(|folder| folder.join("process-compose"))
        .find(|candidate| candidate.is_file())
}

/// Says one line on the real stderr, which the test harness does not hold back: `make test` shows it.
fn say(line: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "{line}").unwrap();
}

fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap())
        .collect();
    held.iter()
        .map(|listener| listener.local_addr().unwrap().port())
        .collect()
}

/// What was wrong in one scenario, in lines; empty where nothing was.
fn play(binary: &Path, name: &str, port: u16) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    let mut stack = Stack::up(binary, &folder, port);
    let mode = if stack.has_state_stream() {
        Mode::Stream
    } else {
        Mode::Poll
    };
    let events = stack.watched();
    let score = Facts::open(&folder).score(&events, mode);
    if score.is_perfect() && score.knowable > 0 {
        return String::new();
    }
    let mut wrong = format!("{name} ({mode:?}): {score}\n");
    for event in events {
        writeln!(wrong, "        {event}").unwrap();
    }
    wrong
}

#[test]
fn a_real_process_compose_lives_the_recorded_scenarios_and_every_event_is_true() {
    let Some(binary) = process_compose() else {
        say(
            "process-compose: none found (PATH, OBSERVE_TEST_PROCESS_COMPOSE); its recordings and the simulator stand in",
        );
        return;
    };
    say(&format!(
        "process-compose: the real one at {}, {} scenarios live",
        binary.display(),
        SCENARIOS.len()
    ));
    let ports = free_ports(SCENARIOS.len());
    let wrong: Vec<String> = thread::scope(|scope| {
        let running: Vec<_> = SCENARIOS
            .iter()
            .zip(ports)
            .map(|(name, port)| {
                let binary = &binary;
                (name, scope.spawn(move || play(binary, name, port)))
            })
            .collect();
        running
            .into_iter()
            .map(|(name, thread)| {
                thread
                    .join()
                    .unwrap_or_else(|_| format!("{name}: could not be played, see above\n"))
            })
            .collect()
    });
    let wrong = wrong.concat();
    assert!(wrong.is_empty(), "{wrong}");
}
