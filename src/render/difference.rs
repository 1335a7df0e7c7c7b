//! What differs between two moments: a line for each process, and one object for machines.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::json::shown;
use super::outlay::{Cell, Outlay};
use super::standings::object::OneProcess as Stood;
use super::standings::{Drawing, Titles};
use super::style::{Role, Style};
use crate::event::envelope::SCHEMA;
use crate::event::payload::millis;
use crate::process::difference::Difference;
use crate::process::moment::{Found, Known};

/// JSON Schema (draft 2020-12) of the object that `observe diff -o json` prints.
pub const DIFF: &str = include_str!("../../docs/schema/diff.v1.json");

/// The most columns a name takes where nothing else bounds it.
const NAME: usize = 255;
/// The most columns a status takes.
const STATUS: usize = 24;

/// What differs between two moments.
#[derive(Debug, Clone, Copy)]
pub struct Differences<'a> {
    /// The first moment.
    pub from: DateTime<Utc>,
    /// The second moment.
    pub to: DateTime<Utc>,
    /// What differs.
    pub found: &'a [Difference],
}

impl Differences<'_> {
    /// The lines, each with its line break; none where nothing differs.
    pub fn lines(&self, drawing: &Drawing) -> Vec<String> {
        let mut sources: Vec<&str> = self
            .found
            .iter()
            .map(|found| found.source.as_str())
            .collect();
        sources.dedup();
        let several = sources.len() > 1;
        let mut titles = vec!["", "NAME", "BEFORE", "", "AFTER", "RESTARTS"];
        if several {
            titles.push("SOURCE");
        }
        let outlay = Outlay {
            titles,
            elastic: 1,
            numbers: vec!["RESTARTS"],
        };
        let rows: Vec<Vec<Cell>> = self
            .found
            .iter()
            .map(|found| row(found, several, drawing.style))
            .collect();
        if rows.is_empty() {
            return Vec::new();
        }
        let titled = drawing.titles == Titles::Shown;
        let widths = outlay.widths(rows.iter(), titled, drawing.terminal);
        let head = titled.then(|| outlay.head(&widths, drawing.style));
        let rows = rows
            .iter()
            .map(|row| outlay.line(row, &widths, drawing.style));
        head.into_iter().chain(rows).collect()
    }

    /// One JSON object in one line.
    ///
    /// # Errors
    ///
    /// Only where a number of a state is not finite; trying again does not help.
    pub fn json(&self) -> serde_json::Result<Vec<u8>> {
        let differences = self.found.iter().map(|found| One {
            source: &found.source,
            process: found.name(),
            restarts: found.restarts(),
            another_run: found.is_another_run(),
            before: found
                .before
                .as_ref()
                .map(|found| Stood::of(found, self.from)),
            after: found.after.as_ref().map(|found| Stood::of(found, self.to)),
        });
        let object = Object {
            kind: "diff",
            schema: SCHEMA,
            from: self.from,
            to: self.to,
            differences: differences.collect(),
        };
        Ok(shown(&serde_json::to_vec(&object)?))
    }
}

fn row(found: &Difference, several: bool, style: Style) -> Vec<Cell> {
    let (symbol, role) = match (&found.before, &found.after) {
        (None, _) => ("+", Role::Good),
        (_, None) => ("-", Role::Warning),
        (Some(before), Some(after)) if before.now().is_some() && after.now().is_some() => {
            ("~", after_role(after))
        }
        _ => ("?", Role::Quiet),
    };
    let mut after = words(found.after.as_ref(), style);
    if found.is_another_run() && found.after.as_ref().is_some_and(Found::is_up) {
        after.push_str(", another run");
    }
    let restarts = match found.restarts() {
        None | Some(0) => "-".to_owned(),
        Some(restarts) => format!("{restarts:+}"),
    };
    let name = if found.name().is_empty() {
        "\"\""
    } else {
        found.name()
    };
    let mut cells = vec![
        (role, symbol.to_owned()),
        (Role::Plain, style.clean(name, NAME).into_owned()),
        (Role::Quiet, words(found.before.as_ref(), style)),
        (Role::Quiet, style.pick("→", "->").to_owned()),
        (role, after),
        (Role::Plain, restarts),
    ];
    if several {
        cells.push((Role::Quiet, style.clean(&found.source, NAME).into_owned()));
    }
    cells
}

fn after_role(after: &Found) -> Role {
    if after.crashed {
        Role::Bad
    } else if after.is_unhealthy() {
        Role::Warning
    } else if after.is_up() {
        Role::Good
    } else {
        Role::Plain
    }
}

/// How a process stood, in words.
fn words(found: Option<&Found>, style: Style) -> String {
    let Some(found) = found else {
        return "absent".to_owned();
    };
    let Some(state) = &found.state else {
        return "unknown".to_owned();
    };
    let mut out = style.clean(&state.status, STATUS).into_owned();
    if found.known == Known::Was {
        return format!("unknown, was {out}");
    }
    if state.is_running && state.has_ready_probe {
        match &*state.is_ready {
            "Ready" => out.push_str(", ready"),
            "Not Ready" => out.push_str(", not ready"),
            _ => {}
        }
    }
    match found.exit.filter(|_| !state.is_running) {
        None => {}
        Some(-1) => out.push_str(", by a signal"),
        Some(code) => {
            out.push_str(", exit ");
            out.push_str(&code.to_string());
        }
    }
    out
}

/// What differs between two moments.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Object<'a> {
    /// Always `diff`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The number of the contract of events, which this object shares.
    schema: u32,
    /// The first moment.
    #[serde(with = "millis")]
    #[cfg_attr(test, schemars(with = "DateTime<Utc>"))]
    from: DateTime<Utc>,
    /// The second moment.
    #[serde(with = "millis")]
    #[cfg_attr(test, schemars(with = "DateTime<Utc>"))]
    to: DateTime<Utc>,
    /// Each process that stood differently, by source and name.
    differences: Vec<One<'a>>,
}

/// One process.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct One<'a> {
    /// What is watched.
    source: &'a str,
    /// The process.
    process: &'a str,
    /// How many restarts of the supervisor's policy lie between, below zero where counting began anew; absent where one of
    /// the two is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    restarts: Option<i64>,
    /// Whether another run goes on, or ended last.
    another_run: bool,
    /// How it stood at the first moment; absent where there was no such process.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Stood<'a>>,
    /// How it stood at the second moment; absent where there was no such process.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Stood<'a>>,
}

#[cfg(test)]
mod tests;
