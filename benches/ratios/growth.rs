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
    let (parse, told) = (
        "a plain parse",
        "a bare loop that writes those by serde_json and sends them",
    );
    let mut figures = beside("P1's CPU", parse, &looks);
    figures.extend(beside(
        "P3's CPU, two events for each process",
        told,
        &tells,
    ));
    figures
}

/// How the cost grows, how that of the reference does, and how what the one is of the other.
fn beside(what: &str, reference: &str, points: &Points) -> Vec<Figure> {
    let millis = |of: fn(&(f64, f64)) -> f64| -> Vec<_> {
        let seconds = side(points, of).into_iter();
        seconds.map(|(count, took)| (count, took * 1e3)).collect()
    };
    vec![
        row(
            what,
            ("–", " ms"),
            &millis(|both| both.0),
            Goal::AtMost(1.05),
        ),
        row(
            &format!("the CPU of {reference}"),
            ("–", " ms"),
            &millis(|both| both.1),
            Goal::Told,
        ),
        row(
            &format!("the ratio of {what}"),
            (reference, ""),
            &side(points, |both| both.0 / both.1),
            Goal::AtMost(0.05),
        ),
    ]
}

/// How one of the two costs at each count.
type Points = [(f64, (f64, f64))];

fn side(points: &Points, side: fn(&(f64, f64)) -> f64) -> Vec<(f64, f64)> {
    let points = points.iter();
    points.map(|(count, both)| (*count, side(both))).collect()
}

fn row(what: &str, (reference, unit): (&str, &str), points: &[(f64, f64)], goal: Goal) -> Figure {
    let words: Vec<_> = points
        .iter()
        .map(|(_, number)| format!("{number:.2}"))
        .collect();
    let slope = exponent(points);
    let last = exponent(&points[points.len() - 2..]);
    Figure {
        name: "P13",
        subject: format!(
            "growth of {what}, 100 to {} processes",
            points[points.len() - 1].0
        ),
        reference: reference.to_owned(),
        unit: Unit::Exponent,
        found: Ok(Spread {
            median: slope,
            least: slope.min(last),
            most: slope.max(last),
        }),
        goal,
        absolute: format!("{}{unit}; {last:.2} over the last decade", words.join(", ")),
    }
}
