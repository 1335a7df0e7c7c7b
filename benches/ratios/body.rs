//! Bodies of `GET /processes` as process-compose 1.122 writes them, made up, of any size.

use std::fmt::Write as _;

/// When all of it happens.
pub const NOW: &str = "2026-08-20T07:18:04.120Z";

/// How a body differs from the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Only what moves all the time: age, memory, CPU.
    Vitals,
    /// Two in a hundred processes have crashed and run again as another pid.
    TwoPercent,
    /// Five of each hundred crash and run again from one look to the next, others each time.
    FiveAtATime,
    /// Each crashes and runs again from one look to the next.
    All,
    /// One of them is ready and not ready by turns.
    Readiness,
}

/// A body with so many processes; `look` makes the numbers that move all the time move.
pub fn body(processes: usize, look: u64, change: Change) -> Vec<u8> {
    let mut out = String::with_capacity(processes * 480);
    out.push_str(r#"{"data":["#);
    for (place, number) in shuffled(processes).into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        element(&mut out, number, look, change);
    }
    out.push_str("]}");
    out.into_bytes()
}

/// The server walks a hash map: no order, but here always the same.
fn shuffled(processes: usize) -> Vec<usize> {
    let mut numbers: Vec<_> = (0..processes).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut numbers);
    numbers
}

fn element(out: &mut String, number: usize, look: u64, change: Change) {
    let restarts = match change {
        Change::Vitals | Change::Readiness => 0,
        Change::TwoPercent => u64::from(number % 50 == 7),
        Change::FiveAtATime => (look + 20 - number as u64 % 20 - 1) / 20,
        Change::All => look,
    };
    let changed = restarts > 0;
    let probed = number.is_multiple_of(3)
        && matches!(
            change,
            Change::Vitals | Change::TwoPercent | Change::Readiness
        );
    let pid = 20_000 + number as u64 + 1_000_000 * restarts;
    let age = 181_004_000_000 + look * 2_000_000_000;
    let minute = if changed { 18 } else { 15 };
    let written = write!(
        out,
        r#"{{"name":"service-{number:05}","namespace":"team-{team}","status":"Running","system_time":"3m1s","age":{age},"is_ready":"{ready}","has_ready_probe":{probed},"restarts":{restarts},"exit_code":{code},"pid":{pid},"is_elevated":false,"password_provided":false,"mem":{mem},"cpu":{cpu:.2},"is_running":true,"process_start_time":"2026-08-20T09:{minute}:02.832895929+02:00","process_ready_time":"2026-08-20T09:{minute}:02.832895929+02:00"}}"#,
        team = number % 20,
        ready = match change {
            Change::Readiness if number == 0 && look % 2 == 1 => "Not Ready",
            _ if probed => "Ready",
            _ => "-",
        },
        code = 3 * u64::from(changed),
        mem = 20_185_088 + 4096 * (look + number as u64),
        cpu = (look + number as u64) as f64 % 100.0 / 7.0,
    );
    assert!(written.is_ok(), "a string takes everything");
}
