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
    let changed = change == Change::TwoPercent && number % 50 == 7;
    let probed = number.is_multiple_of(3);
    let (pid, restarts) = (20_000 + number, u8::from(changed));
    let pid = if changed { pid + 1_000_000 } else { pid };
    let age = 181_004_000_000 + look * 2_000_000_000;
    let minute = if changed { 18 } else { 15 };
    let written = write!(
        out,
        r#"{{"name":"service-{number:05}","namespace":"team-{team}","status":"Running","system_time":"3m1s","age":{age},"is_ready":"{ready}","has_ready_probe":{probed},"restarts":{restarts},"exit_code":{code},"pid":{pid},"is_elevated":false,"password_provided":false,"mem":{mem},"cpu":{cpu:.2},"is_running":true,"process_start_time":"2026-08-20T09:{minute}:02.832895929+02:00","process_ready_time":"2026-08-20T09:{minute}:02.832895929+02:00"}}"#,
        team = number % 20,
        ready = if probed { "Ready" } else { "-" },
        code = 3 * restarts,
        mem = 20_185_088 + 4096 * (look + number as u64),
        cpu = (look + number as u64) as f64 % 100.0 / 7.0,
    );
    assert!(written.is_ok(), "a string takes everything");
}
