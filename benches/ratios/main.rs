//! `make bench`: what observe costs, as ratios against references measured in the same run on the same machine.
//!
//! An absolute time proves nothing about another machine; a ratio nearly does. Each figure is measured in turn with its
//! reference, so that a machine that slows down slows both; the table shows the median and the spread of the pairs.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    unreachable_pub,
    clippy::cast_precision_loss,
    reason = "a program that measures and prints, and may stop where it cannot"
)]

mod body;
mod look;
mod measure;
mod replay;
mod server;

use measure::Figure;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Enough to see a regression.
    Quick,
    /// Enough to quote.
    Full,
}

impl Size {
    fn pairs(self) -> usize {
        match self {
            Self::Quick => 7,
            Self::Full => 21,
        }
    }
}

/// What one file measures.
type Measure = fn(Size) -> Vec<Figure>;

fn main() {
    let quick = std::env::var("QUICK").is_ok_and(|value| value == "1");
    let size = if quick { Size::Quick } else { Size::Full };
    let all: [(&str, Measure); 2] = [("look", look::figures), ("replay", replay::figures)];
    // `cargo bench --bench ratios -- replay` measures only that.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    for (name, figures) in all {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            figures(size).iter().for_each(print);
        }
    }
}

fn print(figure: &Figure) {
    let goal = match figure.goal {
        Some(goal) => format!("≤ {goal:.2}"),
        None => "–".to_owned(),
    };
    println!(
        "{:<4} {:<75} {:>6.2} ({:.2}–{:.2})  {goal:<7} {:<8}  [{}, against {}]",
        figure.name,
        figure.subject,
        figure.ratio,
        figure.spread.0,
        figure.spread.1,
        if figure.is_held() { "held" } else { "NOT HELD" },
        figure.absolute,
        figure.reference,
    );
}
