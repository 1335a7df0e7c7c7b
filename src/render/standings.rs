//! How the processes of every source stand: a table for people, one object for machines.

use chrono::{DateTime, Utc};

use super::detail::{memory, processor};
use super::notice::{LastEvent, Sight, Standing};
use super::outlay::{Cell, Outlay};
use super::style::{Role, Style};
use super::time::{Times, since};
use super::words::{age, count};
use crate::event::payload::Kind;
use crate::process::moment::{Found, Known, Moment, Sighted};

pub(super) mod object;

pub use object::OneProcess;

/// JSON Schema (draft 2020-12) of the object that `observe state -o json` prints.
pub const STATE: &str = include_str!("../../docs/schema/state.v1.json");

/// The most columns a name takes where nothing else bounds it.
const NAME: usize = 255;
/// The most columns a status takes.
const STATUS: usize = 24;
/// The most columns a source takes in a line of its own.
const SOURCE: usize = 60;

/// How sources stood at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Standings<'a> {
    /// Each source.
    pub moments: &'a [Moment],
    /// The moment that was asked for; nothing for the present.
    pub at: Option<DateTime<Utc>>,
    /// The present.
    pub now: DateTime<Utc>,
    /// How many sources are left out, because nobody has seen them for a day.
    pub hidden: u64,
}

/// How a table is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Drawing {
    /// Colours and characters.
    pub style: Style,
    /// How times are shown.
    pub times: Times,
    /// The width of the terminal; without one nothing is cut.
    pub terminal: Option<usize>,
    /// Which columns there are.
    pub columns: Columns,
    /// Whether there are lines above the rows.
    pub titles: Titles,
}

/// Which columns there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// What fits into a usual terminal.
    Usual,
    /// Source, namespace and pid besides, and nothing is cut.
    Wide,
}

/// Whether there are lines above the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Titles {
    /// One for each source, and the titles of the columns.
    Shown,
    /// Rows alone.
    None,
}

impl Standings<'_> {
    /// The lines of the table, each with its line break.
    pub fn lines(&self, drawing: &Drawing) -> Vec<String> {
        let outlay = self.outlay(drawing);
        let is_aged = outlay.titles.contains(&AGED);
        let rows: Vec<Vec<Vec<Cell>>> = self
            .moments
            .iter()
            .map(|moment| self.rows(moment, drawing, is_aged))
            .collect();
        let titled = drawing.titles == Titles::Shown;
        let terminal = drawing
            .terminal
            .filter(|_| drawing.columns == Columns::Usual);
        let widths = outlay.widths(rows.iter().flatten(), titled, terminal);
        let mut lines = Vec::new();
        for (moment, rows) in self.moments.iter().zip(&rows) {
            if titled {
                if !lines.is_empty() {
                    lines.push("\n".to_owned());
                }
                lines.push(self.heading(moment, drawing));
                if !rows.is_empty() {
                    lines.push(outlay.head(&widths, drawing.style));
                }
            }
            lines.extend(
                rows.iter()
                    .map(|row| outlay.line(row, &widths, drawing.style)),
            );
        }
        if titled && self.hidden > 0 {
            let sources = count(self.hidden, "source", "sources");
            let text = format!("{sources} unseen for a day not shown; --all shows every one");
            lines.push(quiet(&text, drawing.style));
        }
        lines
    }

    /// A line for each source of which something was left out on purpose, so that it is not known how a process stood.
    pub fn left_out(&self, style: Style) -> Vec<String> {
        let line = |moment: &Moment| {
            let hidden = moment
                .processes
                .iter()
                .filter(|found| found.left_out)
                .count();
            let source = style.clean(&moment.source, SOURCE);
            let some = count(number(hidden), "process", "processes");
            let line = format!(
                "{source}: how {some} stood then is not known: the adapter left events out (include and exclude in its observe.yaml)"
            );
            (hidden > 0).then_some(line)
        };
        self.moments.iter().filter_map(line).collect()
    }

    /// A line for each source that was out of sight, and says why nothing is known of it.
    pub fn blind(&self, drawing: &Drawing) -> Vec<String> {
        let blind = |moment: &&Moment| !matches!(moment.sighted, Sighted::Seen(_));
        let moments = self.moments.iter().filter(blind);
        moments
            .map(|moment| self.heading(moment, drawing))
            .collect()
    }

    fn then(&self) -> DateTime<Utc> {
        self.at.unwrap_or(self.now)
    }

    fn outlay(&self, drawing: &Drawing) -> Outlay {
        // The age of the numbers is worth a column only where they have one.
        let has_age = |moment: &Moment| {
            let mut found = moment.processes.iter();
            found.any(|found| as_of(moment, found).is_some())
        };
        let mut titles = vec!["", "NAME", "STATUS", "HEALTH", "UPTIME", "RESTARTS", "EXIT"];
        // Before them, so that no terminal is too narrow for the age and shows what has it.
        if self.moments.iter().any(has_age) {
            titles.push(AGED);
        }
        titles.extend(["CPU", "MEM"]);
        if drawing.columns == Columns::Wide {
            titles.extend(["PID", "NAMESPACE", "SOURCE"]);
        }
        Outlay {
            titles,
            elastic: 1,
            numbers: vec!["UPTIME", "RESTARTS", "EXIT", "CPU", "MEM", AGED, "PID"],
        }
    }

    /// The line above the rows of a source.
    fn heading(&self, moment: &Moment, drawing: &Drawing) -> String {
        let Drawing { style, times, .. } = *drawing;
        let standing = standing(moment, self.now);
        if let (None, Sighted::Seen(Some(_))) = (self.at, moment.sighted) {
            return standing.line(style);
        }
        let mut out = String::new();
        style.paint(Role::Strong, &style.clean(&moment.source, SOURCE), &mut out);
        let clock = |at| times.clock_of(at, self.now);
        if let Some(at) = self.at {
            style.paint(Role::Plain, &format!(" at {}", clock(at)), &mut out);
        }
        out.push_str(": ");
        let had = if self.at.is_some() { "had" } else { "has" };
        let ago = |since_then| age(since(since_then, self.then()));
        let processes = count(number(moment.processes.len()), "process", "processes");
        let blind = match moment.sighted {
            Sighted::Seen(_) => {
                standing.counts(style, &mut out);
                let unknown = moment
                    .processes
                    .iter()
                    .filter(|found| found.known != Known::Now);
                let unknown = unknown.count();
                if unknown > 0 {
                    style.paint(Role::Warning, &format!(", {unknown} unknown"), &mut out);
                }
                out.push('\n');
                return out;
            }
            Sighted::Unwatched(since) => {
                format!(
                    "nobody {had} looked for {}; {processes} as last seen at {}",
                    ago(since),
                    clock(since)
                )
            }
            Sighted::Lost(since) => {
                format!(
                    "out of sight for {}; {processes} as last seen at {}",
                    ago(since),
                    clock(since)
                )
            }
            Sighted::NotYet(until) => format!("not watched before {}", clock(until)),
            Sighted::NotKept => "what was told of that time is not kept any more".to_owned(),
            Sighted::Unreadable => "its head cannot be read".to_owned(),
        };
        style.paint(Role::Warning, &blind, &mut out);
        out.push('\n');
        out
    }

    fn rows(&self, moment: &Moment, drawing: &Drawing, is_aged: bool) -> Vec<Vec<Cell>> {
        let rows = moment.processes.iter().map(|found| {
            let mut row = self.row(found, drawing);
            if is_aged {
                let ago = as_of(moment, found).map(|at| age(since(at, self.then())));
                row.push((Role::Quiet, or_dash(ago)));
            }
            let up = found.now().filter(|state| state.is_running);
            row.push((Role::Plain, or_dash(up.and_then(processor))));
            row.push((Role::Plain, or_dash(up.and_then(memory))));
            if drawing.columns == Columns::Wide {
                let pid = found.state.as_ref().and_then(|state| state.pid);
                let clean = |text: &str| drawing.style.clean(text, NAME).into_owned();
                let namespaces: Vec<&str> = found.namespaces.iter().map(|name| &**name).collect();
                row.extend(
                    [
                        or_dash(pid.map(|pid| pid.to_string())),
                        clean(&namespaces.join(",")),
                        clean(&moment.source),
                    ]
                    .map(|text| (Role::Quiet, text)),
                );
            }
            row
        });
        rows.collect()
    }

    fn row(&self, found: &Found, drawing: &Drawing) -> Vec<Cell> {
        let style = drawing.style;
        let (symbol, role) = mark(found, style);
        let state = found.state.as_ref();
        let status = state.map_or("unknown".into(), |state| style.clean(&state.status, STATUS));
        let status = match found.known {
            Known::Was => format!("was {status}"),
            Known::Now | Known::Nothing => status.into_owned(),
        };
        let health = match state {
            Some(state) if state.has_ready_probe && state.is_running => match &*state.is_ready {
                "Ready" => "ready".to_owned(),
                "Not Ready" => "not ready".to_owned(),
                other => style.clean(other, STATUS).into_owned(),
            },
            _ => "-".to_owned(),
        };
        let (name, health_role) = if found.known == Known::Now {
            let name = if found.crashed {
                Role::Strong
            } else {
                Role::Plain
            };
            (
                name,
                if found.is_unhealthy() {
                    Role::Warning
                } else {
                    Role::Plain
                },
            )
        } else {
            (Role::Quiet, Role::Quiet)
        };
        let begun = found.begun_at.filter(|_| found.is_up());
        let uptime = or_dash(begun.map(|at| age(since(at, self.then()))));
        let restarts = or_dash(state.map(|state| state.restarts.to_string()));
        let exit = or_dash(found.exit.map(|code| match code {
            -1 => "signal".to_owned(),
            code => code.to_string(),
        }));
        let shown = if found.name.is_empty() {
            "\"\""
        } else {
            &found.name
        };
        vec![
            (role, symbol.to_owned()),
            (name, style.clean(shown, NAME).into_owned()),
            (role, status),
            (health_role, health),
            (Role::Plain, uptime),
            (Role::Plain, restarts),
            (Role::Plain, exit),
        ]
    }
}

/// The column that says how old what a row says is.
const AGED: &str = "AS OF";

fn quiet(text: &str, style: Style) -> String {
    let mut line = String::new();
    style.paint(Role::Quiet, text, &mut line);
    line.push('\n');
    line
}

fn number(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

pub(super) fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

/// The moment that what a row says is of, where it is not the one the heading says: of one last seen that sight, else
/// of its numbers.
fn as_of(moment: &Moment, found: &Found) -> Option<DateTime<Utc>> {
    match (found.known, found.usage_at) {
        (Known::Nothing, _) => None,
        (Known::Was, _) => moment.sighted.blind_since(),
        (Known::Now, used) => {
            let state = found.state.as_ref().filter(|_| found.is_up());
            let has_numbers = state.is_some_and(|s| memory(s).or(processor(s)).is_some());
            let of_the_look = moment.sighted == Sighted::Seen(used);
            used.filter(|_| has_numbers && !of_the_look)
        }
    }
}

/// The symbol of a row, and the role of its status.
fn mark(found: &Found, style: Style) -> (&'static str, Role) {
    if found.known != Known::Now {
        return ("?", Role::Quiet);
    }
    if found.crashed {
        return (style.symbol(&Kind::Crashed), Role::Bad);
    }
    if found.is_unhealthy() {
        return (style.symbol(&Kind::Unhealthy), Role::Warning);
    }
    if found.is_up() {
        return (style.symbol(&Kind::Started), Role::Good);
    }
    (style.symbol(&Kind::Stopped), Role::Quiet)
}

fn standing(moment: &Moment, now: DateTime<Utc>) -> Standing<'_> {
    let holds = |holds: fn(&Found) -> bool| {
        number(moment.processes.iter().filter(|found| holds(found)).count())
    };
    Standing {
        source: &moment.source,
        processes: number(moment.processes.len()),
        up: holds(Found::is_up),
        unhealthy: holds(|found| found.is_up() && found.is_unhealthy()),
        crashed: holds(|found| found.known == Known::Now && found.crashed),
        last_event: LastEvent::NotKnown,
        sight: match moment.sighted {
            Sighted::Seen(Some(at)) => Sight::Looked(since(at, now)),
            _ => Sight::Never,
        },
    }
}

#[cfg(test)]
pub(in crate::render) mod tests;
