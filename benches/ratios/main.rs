//! `make bench`: what observe costs, as ratios against references measured in the same run on the same machine.
//!
//! An absolute time proves nothing about another machine; a ratio nearly does. Each figure is measured in turn with its
//! reference, so that a machine that slows down slows both; the table shows the median and the spread of the pairs.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    clippy::cast_precision_loss,
    reason = "a program that measures and prints, and may stop where it cannot"
)]

mod bare;
mod batches;
mod body;
mod bounds;
mod children;
mod commit;
mod figure;
mod growth;
mod instructions;
mod live;
mod look;
mod measure;
mod nats;
mod outlet;
mod past;
mod pause;
mod picture;
mod replay;
mod report;
mod server;
mod size;
mod source;
mod stack;
mod traffic;

use figure::Figure;
use tokio::time::Instant;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Enough to see a regression.
    Quick,
    /// Enough to quote.
    Full,
}

impl Size {
    /// Pairs of what costs milliseconds.
    fn pairs(self) -> usize {
        match self {
            Self::Quick => 7,
            Self::Full => 21,
        }
    }

    /// Pairs of what takes about a second, and scatters.
    fn rounds(self) -> usize {
        match self {
            Self::Quick => 3,
            Self::Full => 15,
        }
    }

    /// Repetitions of what takes seconds.
    fn repetitions(self) -> usize {
        match self {
            Self::Quick => 3,
            Self::Full => 5,
        }
    }
}

/// What one file measures.
type Measure = fn(Size) -> Vec<Figure>;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some((bare::MARK, rest)) = args.split_first().map(|(mark, rest)| (mark.as_str(), rest)) {
        return bare::play(rest);
    }
    let quick = std::env::var("QUICK").is_ok_and(|value| value == "1");
    let size = if quick { Size::Quick } else { Size::Full };
    let all: [(&str, Measure); 10] = [
        ("look", look::figures),
        ("instructions", instructions::figures),
        ("commit", commit::figures),
        ("replay", replay::figures),
        ("live", live::figures),
        ("past", past::figures),
        ("source", source::figures),
        ("growth", growth::figures),
        ("bounds", bounds::figures),
        ("size", size::figures),
    ];
    // `cargo bench --bench ratios -- replay` measures only that.
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let (ground, began, mut figures) = (report::Ground::find(size), Instant::now(), Vec::new());
    for (name, measure) in all {
        if wanted.is_empty() || wanted.iter().any(|wanted| *wanted == name) {
            let began = Instant::now();
            figures.extend(measure(size));
            println!("{name}: measured in {:.1} s", began.elapsed().as_secs_f64());
        }
    }
    report::tell(&ground, &figures, began.elapsed());
}
