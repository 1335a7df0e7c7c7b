//! The plan of the house, and the proof that the code keeps it: who may import whom, how long a file may grow, and
//! that what the documents point at exists.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Which modules each module may import besides itself. A change of this table is a decision: it goes together with a
/// page in `docs/decisions/`.
const PLAN: &[(&str, &[&str])] = &[
    ("observation", &[]),
    ("event", &[]),
    ("process", &["event"]),
    ("process_compose", &["observation", "process", "event"]),
    ("bus", &["event"]),
    ("adapter", &["observation", "event"]),
    (
        "listen",
        &["observation", "event", "process", "adapter", "render"],
    ),
    ("broker", &[]),
    ("config", &[]),
    ("simulate", &[]),
    ("stats", &["event", "process"]),
    ("render", &["event", "process", "stats"]),
    (
        "doctor",
        &[
            "observation",
            "event",
            "process",
            "process_compose",
            "bus",
            "adapter",
            "broker",
            "render",
        ],
    ),
    ("cli", EVERYTHING),
    ("fuzzing", EVERYTHING),
];

const EVERYTHING: &[&str] = &["*"];

/// How many lines a file may have before its tests.
const LONGEST: usize = 450;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The parts of a program that matter here: words and single marks; no comments, no literals.
fn words(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if let Some(length) = literal(rest) {
            length
        } else if c.is_alphanumeric() || c == '_' {
            let end = |c: char| !(c.is_alphanumeric() || c == '_');
            let length = rest.find(end).unwrap_or(rest.len());
            out.push(&rest[..length]);
            length
        } else {
            if !c.is_whitespace() {
                out.push(&rest[..c.len_utf8()]);
            }
            c.len_utf8()
        };
        rest = &rest[length..];
    }
    out
}

/// The length of the string or character that begins here.
fn literal(text: &str) -> Option<usize> {
    let raw = text.strip_prefix("br").or_else(|| text.strip_prefix('r'));
    if let Some(raw) = raw {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let begin = text.len() - raw.len() + hashes + 1;
            return Some(
                text[begin..]
                    .find(&close)
                    .map_or(text.len(), |at| begin + at + close.len()),
            );
        }
    }
    let quote = if text.starts_with('"') { '"' } else { '\'' };
    let inner = text.strip_prefix(quote)?;
    if quote == '\'' && !inner.starts_with('\\') {
        // A lifetime has no closing mark behind its first character.
        let first = inner.chars().next()?.len_utf8();
        return inner[first..].starts_with('\'').then_some(first + 2);
    }
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + 2),
            _ => {}
        }
    }
    Some(text.len())
}

/// What a file reaches for outside of itself.
#[derive(Default)]
struct Reach {
    /// First steps of `crate::…`.
    steps: BTreeSet<String>,
    /// True where `super::` climbs out of the top-level folder.
    climbs_out: bool,
}

fn reach(text: &str, depth: usize) -> Reach {
    let words = words(text);
    let mut reach = Reach::default();
    let mut braces: Vec<bool> = Vec::new();
    let is_path = |at: usize| words.get(at..at + 2) == Some(&[":", ":"]);
    let mut at = 0;
    while at < words.len() {
        match words[at] {
            "{" => braces.push(at >= 2 && words[at - 2] == "mod"),
            "}" => drop(braces.pop()),
            "crate" if is_path(at + 1) => reach.steps.extend(first_steps(&words[at + 3..])),
            "super" => {
                let mut climbed = 1;
                while is_path(at + 1) && words.get(at + 3) == Some(&"super") {
                    climbed += 1;
                    at += 3;
                }
                let inline = braces.iter().filter(|is_module| **is_module).count();
                reach.climbs_out |= climbed >= depth + inline;
            }
            _ => {}
        }
        at += 1;
    }
    reach
}

/// The first step of a path, or of each path of a `{…}`.
fn first_steps(words: &[&str]) -> Vec<String> {
    if words.first() != Some(&"{") {
        return words.first().map(|w| (*w).to_owned()).into_iter().collect();
    }
    let mut found = Vec::new();
    let mut level = 0;
    let mut is_first = false;
    for word in words {
        match *word {
            "{" => {
                level += 1;
                is_first = level == 1;
            }
            "}" => level -= 1,
            "," if level == 1 => is_first = true,
            word if is_first && level == 1 => {
                found.push(word.to_owned());
                is_first = false;
            }
            _ => {}
        }
        if level == 0 {
            break;
        }
    }
    found
}

/// What is wrong with one file: lines like `a → b: not in the plan`.
fn breaches(module: &str, text: &str, depth: usize) -> Vec<String> {
    let Some((_, allowed)) = PLAN.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{module}: no such room in the plan")];
    };
    let reach = reach(text, depth);
    let mut wrong = Vec::new();
    for step in &reach.steps {
        if !PLAN.iter().any(|(name, _)| name == step) {
            wrong.push(format!(
                "{module} → crate::{step}: not a room; inside the crate import by module path"
            ));
        } else if step != module
            && !allowed.contains(&step.as_str())
            && !std::ptr::eq(*allowed, EVERYTHING)
        {
            wrong.push(format!("{module} → {step}: not in the plan"));
        }
    }
    if reach.climbs_out {
        wrong.push(format!("{module}: `super::` leaves the room"));
    }
    wrong
}

/// The room a file lies in and how many modules deep, counted from the crate.
fn place(path: &Path) -> Option<(String, usize)> {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let mut parts: Vec<&str> = inside.iter().map(|p| p.to_str().unwrap()).collect();
    let file = parts.pop().unwrap().trim_end_matches(".rs");
    if file != "mod" {
        parts.push(file);
    }
    let is_root = parts == ["lib"] || parts == ["main"];
    (!is_root).then(|| (parts[0].to_owned(), parts.len()))
}

fn told(wrong: &[(String, String)]) -> String {
    wrong.iter().fold(String::new(), |mut text, (file, what)| {
        write!(text, "\n  {what}   ({file})").unwrap();
        text
    })
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

#[test]
fn every_import_is_in_the_plan() {
    let mut wrong = Vec::new();
    for path in files(&root().join("src"), "rs") {
        let Some((module, depth)) = place(&path) else {
            continue;
        };
        let text = fs::read_to_string(&path).unwrap();
        let found = breaches(&module, &text, depth);
        wrong.extend(found.into_iter().map(|what| (name(&path), what)));
    }
    assert!(
        wrong.is_empty(),
        "imports that the plan does not have:{}",
        told(&wrong)
    );
}

#[test]
fn every_room_of_the_plan_exists() {
    for (room, allowed) in PLAN {
        let src = root().join("src");
        let exists = src.join(room).is_dir() || src.join(format!("{room}.rs")).is_file();
        assert!(exists, "{room} is in the plan but not in src/");
        for other in allowed.iter().filter(|other| **other != "*") {
            assert!(
                PLAN.iter().any(|(name, _)| name == other),
                "{room} may import {other}, which is no room"
            );
        }
    }
}

#[test]
fn no_file_is_longer_than_a_person_reads() {
    let mut wrong = Vec::new();
    for path in files(&root().join("src"), "rs") {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let tests = lines
            .windows(2)
            .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests {"));
        let length = tests.unwrap_or(lines.len());
        let is_test = name(&path).contains("/tests/") || path.ends_with("tests.rs");
        if !is_test && length > LONGEST {
            wrong.push((
                name(&path),
                format!("{length} lines, {LONGEST} are the most"),
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "files that want to be two:{}",
        told(&wrong)
    );
}

/// The paths a document names: its links to files, and every `src/…` or the like between backticks.
fn pointed_at(text: &str) -> (Vec<&str>, Vec<&str>) {
    let links = text.split("](").skip(1).filter_map(|rest| {
        let target = rest.split(')').next()?.split('#').next()?;
        (!target.is_empty() && !target.contains("://")).then_some(target)
    });
    let roots = ["src/", "tests/", "docs/", "examples/", "scripts/", ".ci/"];
    let quoted = text.split('`').filter(|part| {
        roots.iter().any(|root| part.starts_with(root))
            && !part.contains(|c: char| c.is_whitespace() || "*…<{".contains(c))
    });
    (links.collect(), quoted.collect())
}

#[test]
fn every_path_in_the_documents_exists() {
    let mut documents = files(&root().join("docs"), "md");
    documents.push(root().join("README.md"));
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in &documents {
        let text = fs::read_to_string(path).unwrap();
        let (links, quoted) = pointed_at(&text);
        let here = path.parent().unwrap();
        let all = links.iter().map(|link| (here.join(link), link));
        let all = all.chain(quoted.iter().map(|part| (root().join(part), part)));
        for (target, written) in all {
            seen += 1;
            if !target.exists() {
                wrong.push((name(path), format!("{written} does not exist")));
            }
        }
    }
    assert!(seen > 30, "only {seen} paths found: is the search broken?");
    assert!(wrong.is_empty(), "paths to nowhere:{}", told(&wrong));
}

#[test]
fn an_import_that_is_not_in_the_plan_is_found_in_every_spelling() {
    let not_in_plan = ["bus → adapter: not in the plan"];
    for text in [
        "use crate::adapter::commit;",
        "use crate::{event::store, adapter::{commit, gap}};",
        "use crate::{\n    event::store::{Head, Root},\n    adapter,\n};",
        "fn f() { crate::adapter::commit::go(); }",
        "fn f<'a>(x: &'a str) -> char { let _ = \"// \\\" \"; crate::adapter::go(x, '\"') }",
        "pub use crate :: adapter;",
    ] {
        assert_eq!(breaches("bus", text, 2), not_in_plan, "{text}");
    }
    for text in [
        "//! See [`crate::adapter`].",
        "/* crate::adapter */ use crate::event::store;",
        "const X: &str = \"crate::adapter\"; const Y: &str = r#\"crate::adapter \" \"#;",
        "use crate::{bus::link, event::{record, store}};",
        "use super::link; mod tests { use super::super::head; }",
    ] {
        assert_eq!(breaches("bus", text, 2), [""; 0], "{text}");
    }
    assert_eq!(
        breaches("bus", "use crate::Record;", 2),
        ["bus → crate::Record: not a room; inside the crate import by module path"]
    );
    for text in [
        "use super::super::adapter;",
        "mod tests { use super::super::super::adapter; }",
    ] {
        assert_eq!(
            breaches("bus", text, 2),
            ["bus: `super::` leaves the room"],
            "{text}"
        );
    }
    assert_eq!(
        breaches("attic", "", 2),
        ["attic: no such room in the plan"]
    );
}
