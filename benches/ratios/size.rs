//! P15: how large the program is, and what it is made of.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::Size;
use super::children::observe_size;
use super::figure::{Figure, Goal, Unit};
use super::measure::Spread;

/// P15.
pub fn figures(_: Size) -> Vec<Figure> {
    let bytes = observe_size() as f64;
    let tree = tree(&[]);
    let direct: BTreeSet<_> = tree_of_depth_one();
    let reasons = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/decisions/0006-dependencies.md");
    let reasons = std::fs::read_to_string(reasons).unwrap_or_default();
    let bare: Vec<_> = direct
        .iter()
        .filter(|name| !reasons.contains(&format!("`{name}`")))
        .collect();
    let row = |subject: &str, unit, number: f64, goal, absolute| Figure {
        name: "P15",
        subject: subject.to_owned(),
        reference: "–".to_owned(),
        unit,
        found: Ok(Spread::of([number])),
        goal,
        absolute,
    };
    let without = if bare.is_empty() {
        String::new()
    } else {
        format!("without a reason: {bare:?}")
    };
    vec![
        row(
            "the program, stripped",
            Unit::Megabytes,
            bytes / 1e6,
            Goal::AtMost(12.0),
            String::new(),
        ),
        row(
            "crates in it, itself counted",
            Unit::Count,
            tree.len() as f64,
            Goal::Told,
            String::new(),
        ),
        row(
            "direct dependencies without a written reason",
            Unit::Count,
            bare.len() as f64,
            Goal::AtMost(0.0),
            format!("{} direct ones; {without}", direct.len())
                .trim_end_matches([' ', ';'])
                .to_owned(),
        ),
    ]
}

fn tree_of_depth_one() -> BTreeSet<String> {
    let mut found = tree(&["--depth", "1"]);
    found.remove("observe");
    found
}

/// The names in `cargo tree`.
fn tree(more: &[&str]) -> BTreeSet<String> {
    let args = ["tree", "--offline", "-e", "normal", "--prefix", "none"];
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(args)
        .args(more)
        .output()
        .expect("cargo");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}
