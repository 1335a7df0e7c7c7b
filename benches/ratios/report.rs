//! What is made of the figures: a table for people, JSON for machines, a picture and a page for the documents.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Size;
use super::children::first_line;
use super::figure::Figure;
use super::picture;

/// Between these lines of the page the table stands.
const MARKS: (&str, &str) = ("<!-- bench: begin -->", "<!-- bench: end -->");

/// The machine, and how much was measured.
#[derive(Debug)]
pub struct Ground {
    facts: Vec<(&'static str, String)>,
}

impl Ground {
    /// What stands here, before anything is measured.
    pub fn find(size: Size) -> Self {
        let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processor
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .map_or("an unknown processor", |rest| {
                rest.trim_start_matches([' ', '\t', ':'])
            });
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or_default();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let server = first_line(std::process::Command::new(super::server::program()).arg("-v"));
        Self {
            facts: vec![
                ("date", chrono::Utc::now().format("%Y-%m-%d").to_string()),
                ("machine", format!("{model}, {cores} cores")),
                ("kernel", kernel.trim().to_owned()),
                ("load before", load.to_owned()),
                ("broker", server.unwrap_or_default()),
                ("size", format!("{size:?}").to_lowercase()),
            ],
        }
    }

    fn line(&self) -> String {
        let words: Vec<_> = self
            .facts
            .iter()
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        words.join("; ")
    }
}

/// Prints the table and writes the files.
pub fn tell(ground: &Ground, figures: &[Figure], took: std::time::Duration) {
    println!("{}", table(figures));
    println!("{}; took: {:.0} s", ground.line(), took.as_secs_f64());
    let folder = target().join("bench");
    std::fs::create_dir_all(&folder).expect("a folder for the figures");
    let text = serde_json::to_string_pretty(&json_of(ground, figures)).expect("plain numbers");
    let picture = picture::draw(figures, &ground.line());
    write(&folder.join("ratios.json"), &text);
    write(&folder.join("ratios.svg"), &picture);
    println!("written: {}", folder.join("ratios.{json,svg}").display());
    if std::env::var("UPDATE_DOCS").is_ok_and(|value| value == "1") {
        update_docs(ground, figures, &picture);
    }
}

/// The figures as a table for a terminal.
fn table(figures: &[Figure]) -> String {
    let head = [
        "",
        "measure",
        "reference",
        "ratio",
        "spread",
        "goal",
        "",
        "absolute",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(figures.iter().map(cells));
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let blanks = width - cell.chars().count();
            line.push_str(cell);
            line.push_str(&" ".repeat(blanks + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// One row: name, measure, reference, figure, spread, goal, verdict, absolute.
pub fn cells(figure: &Figure) -> [String; 8] {
    let (number, spread, absolute) = match &figure.found {
        Ok(found) => (
            figure.unit.write(found.median),
            format!("{:.2}–{:.2}", found.least, found.most),
            figure.absolute.clone(),
        ),
        Err(why) => ("–".to_owned(), "–".to_owned(), why.clone()),
    };
    [
        figure.name.to_owned(),
        figure.subject.clone(),
        figure.reference.clone(),
        number,
        spread,
        figure.goal.write(figure.unit),
        figure.verdict().to_owned(),
        absolute,
    ]
}

fn json_of(ground: &Ground, figures: &[Figure]) -> Value {
    let facts: serde_json::Map<_, _> = ground
        .facts
        .iter()
        .map(|(key, value)| (key.replace(' ', "_"), json!(value)))
        .collect();
    let rows: Vec<_> = figures
        .iter()
        .map(|figure| {
            let found = figure.found.as_ref().ok();
            json!({
                "name": figure.name,
                "measure": figure.subject,
                "reference": figure.reference,
                "unit": figure.unit.word(),
                "median": found.map(|found| found.median),
                "least": found.map(|found| found.least),
                "most": found.map(|found| found.most),
                "goal": figure.goal.write(figure.unit),
                "held": figure.is_held(),
                "absolute": figure.absolute,
                "missing": figure.found.as_ref().err(),
            })
        })
        .collect();
    json!({ "ground": facts, "figures": rows })
}

fn update_docs(ground: &Ground, figures: &[Figure], picture: &str) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    write(&docs.join("performance.svg"), picture);
    let page = docs.join("performance.md");
    let text = std::fs::read_to_string(&page).expect("the page that shows the figures");
    let (before, rest) = text.split_once(MARKS.0).expect("where the table begins");
    let (_, after) = rest.split_once(MARKS.1).expect("where the table ends");
    let (line, table) = (ground.line(), markdown(figures));
    let text = format!(
        "{before}{}\n\n{line}.\n\n{table}\n{}{after}",
        MARKS.0, MARKS.1
    );
    write(&page, &text);
}

fn markdown(figures: &[Figure]) -> String {
    let mut out = String::from(
        "| | measure | reference | ratio | spread | goal | | absolute |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for figure in figures {
        let cells = cells(figure).map(|cell| cell.replace('|', "\\|"));
        // Writing to a string cannot fail.
        let _infallible = writeln!(out, "| {} |", cells.join(" | "));
    }
    out
}

/// Where everything that is built goes.
pub fn target() -> PathBuf {
    // target/release/deps/ratios-…
    let program = std::env::current_exe().expect("a program that knows where it is");
    let target = program.ancestors().nth(3);
    target.expect("a target folder").to_owned()
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a folder that takes a file");
}
