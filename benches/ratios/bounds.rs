//! P14: a million looks, in simulated time, by the code that looks, compares and commits; in a process of its own.

#[path = "../../tests/bounds/flapping.rs"]
#[expect(clippy::unwrap_used, reason = "a test's harness")]
mod flapping;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Size;
use super::children::{bare, first_line};
use super::figure::{Figure, Goal, Unit};
use super::measure::Spread;

/// P14.
pub fn figures(size: Size) -> Vec<Figure> {
    let (looks, times) = match size {
        Size::Quick => (50_000, 1),
        Size::Full => (1_000_000, 1),
    };
    let found: Vec<(f64, f64)> = (0..times)
        .map(|_| {
            let line = first_line(&mut bare(&["looks", &looks.to_string()]));
            let line = line.expect("looks that end");
            let (before, now) = line.split_once(' ').expect("two numbers");
            (
                now.parse().expect("a number"),
                before.parse().expect("a number"),
            )
        })
        .collect();
    let (now, before) = found[0];
    vec![Figure {
        name: "P14",
        subject: format!("{looks} looks at 10 processes, resident at the end"),
        reference: "after the first thousand".to_owned(),
        unit: Unit::Times,
        found: Ok(Spread::of_ratios(&found)),
        goal: Goal::AtMost(1.05),
        absolute: format!("{:.2} against {:.2} MB", now / 1e6, before / 1e6),
    }]
}

/// The looks themselves: prints the resident bytes after the first thousand and at the end.
pub fn play(looks: u64) {
    let (store, after) = (Arc::default(), Arc::new(AtomicU64::new(0)));
    let first = Arc::clone(&after);
    let note = move |look| {
        if look == 1_000 {
            first.store(flapping::resident() as u64, Ordering::Relaxed);
        }
    };
    flapping::watch(&store, 10, looks, flapping::now_and_then, Box::new(note));
    println!("{} {}", after.load(Ordering::Relaxed), flapping::resident());
}
