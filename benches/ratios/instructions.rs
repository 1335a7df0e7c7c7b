//! P1, P2 once more, in instructions: they are the same on a busy machine, so they show what a time cannot.

use std::process::Command;

use observe::process::table::Table;

use super::Size;
use super::bare::MARK;
use super::body::{Change, body};
use super::figure::{Figure, Goal, Unit};
use super::look::{look, parsed};
use super::measure::Spread;

const PROCESSES: usize = 1_000;
const CHANGED: &str = "changed";
const SAME: &str = "same";
const PARSE: &str = "parse";

/// P1 and P2, where there is a valgrind.
pub fn figures(_: Size) -> Vec<Figure> {
    let reference = "serde_json into a vector of plain structs";
    let subject = |words| format!("the same in instructions, {PROCESSES} processes, {words}");
    let rows = [
        ("P1", CHANGED, "two in a hundred changed", 1.25),
        ("P2", SAME, "nothing changed", 1.10),
    ];
    rows.into_iter()
        .map(
            |(name, what, words, goal)| match (count(what), count(PARSE)) {
                (Some(ours), Some(theirs)) => Figure {
                    name,
                    subject: subject(words),
                    reference: reference.to_owned(),
                    unit: Unit::Times,
                    found: Ok(Spread::of([ours / theirs])),
                    goal: Goal::AtMost(goal),
                    absolute: format!("{:.2} against {:.2} million", ours / 1e6, theirs / 1e6),
                },
                _ => Figure::missing(name, &subject(words), reference, "no valgrind on PATH"),
            },
        )
        .collect()
}

/// The instructions of one call: those of three, less those of one.
fn count(what: &str) -> Option<f64> {
    Some((counted(what, 3)? - counted(what, 1)?) / 2.0)
}

/// The instructions of a run with so many calls.
fn counted(what: &str, times: u32) -> Option<f64> {
    let program = std::env::current_exe().ok()?;
    let output = Command::new("valgrind")
        .args([
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
        ])
        .arg(program)
        .args([MARK, "count", what, &times.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text
        .lines()
        .find(|line| line.contains("I refs:") || line.contains("I   refs:"))?;
    let digits: String = line
        .split(':')
        .next_back()?
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

/// The calls that are counted.
pub fn play(what: &str, times: u32) {
    let first = body(PROCESSES, 0, Change::Vitals);
    let mut room = Vec::new();
    let (table, _) = look(&Table::default(), &first, &mut room);
    let change = if what == CHANGED {
        Change::TwoPercent
    } else {
        Change::Vitals
    };
    let next = body(PROCESSES, 1, change);
    for _ in 0..times {
        if what == PARSE {
            std::hint::black_box(parsed(&next));
        } else {
            std::hint::black_box(look(&table, &next, &mut room));
        }
    }
}
