//! P13: how the costs grow with the number of processes. (That of memory stands in `source.rs`, with P10.)

use super::Size;
use super::body::Change;
use super::commit;
use super::figure::{Figure, Goal, Unit};
use super::look;
use super::measure::{Spread, exponent, medians};
use super::outlet::block_on;

const COUNTS: [usize; 4] = [100, 1_000, 10_000, 100_000];

/// P13's CPU.
pub fn figures(size: Size) -> Vec<Figure> {
    let looks: Vec<_> = COUNTS
        .iter()
        .map(|&count| {
            let pairs = look::pairs(count, Change::TwoPercent, 5);
            (count as f64, medians(&pairs))
        })
        .collect();
    let counts = if size == Size::Quick {
        &COUNTS[..3]
    } else {
        &COUNTS
    };
    let tells: Vec<_> = counts
        .iter()
        .map(|&count| {
            (
                count as f64,
                block_on(commit::cpu(count, size.repetitions())),
            )
        })
        .collect();
    vec![
        row("P1's CPU", &side(&looks, |both| both.0), Goal::AtMost(1.05)),
        row(
            "the CPU of P1's reference, a plain parse",
            &side(&looks, |both| both.1),
            Goal::Told,
        ),
        row(
            "P3's CPU, two events for each process",
            &side(&tells, |both| both.0),
            Goal::AtMost(1.05),
        ),
        row(
            "the CPU of a bare loop that writes those by serde_json and sends them",
            &side(&tells, |both| both.1),
            Goal::Told,
        ),
    ]
}

/// How one of the two costs at each count.
type Points = [(f64, (f64, f64))];

fn side(points: &Points, side: fn(&(f64, f64)) -> f64) -> Vec<(f64, f64)> {
    let points = points.iter();
    points.map(|(count, both)| (*count, side(both))).collect()
}

fn row(what: &str, points: &[(f64, f64)], goal: Goal) -> Figure {
    let slope = exponent(points);
    let last = exponent(&points[points.len() - 2..]);
    let words: Vec<_> = points
        .iter()
        .map(|(_, seconds)| format!("{:.2}", seconds * 1e3))
        .collect();
    Figure {
        name: "P13",
        subject: format!(
            "growth of {what}, 100 to {} processes",
            points[points.len() - 1].0
        ),
        reference: "–".to_owned(),
        unit: Unit::Exponent,
        found: Ok(Spread {
            median: slope,
            least: slope.min(last),
            most: slope.max(last),
        }),
        goal,
        absolute: format!("{} ms; {last:.2} over the last decade", words.join(", ")),
    }
}
