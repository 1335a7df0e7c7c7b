//! Figures about processes, as a table for people.

use std::time::Duration;

use super::door::width;
use super::line::Line as Row;
use super::style::{Role, Style};
use super::time::Times;
use super::words::{count, signal, span};
use crate::stats::figures::{Bucket, Counted, Ended, Figures};
use crate::stats::report::{By, Line, Report, Sight};

/// The most columns a name takes.
const NAME: usize = 32;
/// The same, and the least, where the terminal is narrow.
const NARROW_NAME: usize = 16;
const LEAST_NAME: usize = 7;
/// From this width on the words about a line stand behind it, and not below.
const WIDE: usize = 120;
/// The columns of figures, with their widths.
const COLUMNS: [(&str, usize); 7] = [
    ("up", 6),
    ("crash", 5),
    ("restart", 7),
    ("stop", 4),
    ("MTBF", 5),
    ("MTTR", 5),
    ("longest", 7),
];
/// Between two columns.
const BLANK: &str = "  ";
/// How many of the most frequent exits are named.
const EXITS: usize = 4;
/// How many pieces the range is cut into; every width of a sparkline divides it.
pub const PIECES: usize = 48;
/// The widths that a sparkline may have.
const SPARKS: [usize; 4] = [48, 24, 12, 8];
/// The word of a sum.
const TOTAL: &str = "all";

/// How a table is written.
#[derive(Debug, Clone, Copy)]
pub struct Face {
    /// Colours and characters.
    pub style: Style,
    /// How times are shown.
    pub times: Times,
    /// The width of the terminal; without one nothing is cut.
    pub terminal: Option<usize>,
}

/// Where things stand in one table.
#[derive(Debug, Clone, Copy)]
struct Layout {
    name: usize,
    spark: usize,
    /// Whether words about a line stand behind it.
    beside: bool,
    /// What a full bar stands for.
    most: u64,
}

impl Face {
    /// The table, line by line; each with its line break.
    pub fn table(&self, report: &Report) -> Vec<String> {
        let names: Vec<String> = report.lines.iter().map(|line| name(report, line)).collect();
        let layout = self.layout(report, &names);
        let mut out = vec![self.heading(report, layout)];
        for (name, line) in names.iter().zip(&report.lines) {
            self.line(name, &line.figures, layout, &mut out);
        }
        if report.lines.len() > 1 {
            self.line(TOTAL, &report.total, layout, &mut out);
        }
        out
    }

    fn layout(&self, report: &Report, names: &[String]) -> Layout {
        let beside = self.terminal.is_none_or(|width| width >= WIDE);
        let shown = |name: &String| width(&self.style.clean(name, NAME));
        let longest = names.iter().map(shown).max().unwrap_or(0);
        let most = if beside { NAME } else { NARROW_NAME };
        let name = longest.clamp(LEAST_NAME.max(report.by.as_str().len()), most);
        let figures: usize = COLUMNS.iter().map(|(_, width)| width + BLANK.len()).sum();
        let left = self.terminal.map_or(SPARKS[1], |terminal| {
            let left = terminal.saturating_sub(name + figures + BLANK.len());
            // Words about a line want some room, too.
            if beside { left / 2 } else { left }
        });
        let spark = SPARKS.into_iter().find(|spark| *spark <= left).unwrap_or(0);
        let bars = report
            .lines
            .iter()
            .flat_map(|line| bars(&line.figures, spark));
        Layout {
            name,
            spark,
            beside,
            most: bars.map(|bar| bar.crashes).max().unwrap_or(0).max(8),
        }
    }

    fn heading(&self, report: &Report, layout: Layout) -> String {
        let mut row = self.row();
        row.push(Role::Quiet, &left(report.by.as_str(), layout.name));
        for (word, width) in COLUMNS {
            row.push(Role::Quiet, BLANK);
            row.push(Role::Quiet, &right(word, width));
        }
        if layout.spark > 0 {
            row.push(Role::Quiet, BLANK);
            row.push(Role::Quiet, "crashes");
        }
        row.finish()
    }

    fn line(&self, name: &str, figures: &Figures, layout: Layout, out: &mut Vec<String>) {
        let mut row = self.row();
        let broken = figures.crashes.total > 0;
        let role = if broken { Role::Strong } else { Role::Plain };
        let name = self.style.clean(name, layout.name);
        row.push(role, &left(&name, layout.name));
        let cells = [
            (Role::Plain, figures.up_share().map_or_else(dash, percent)),
            (bad(broken, Role::Bad), number(figures.crashes)),
            (
                bad(figures.restarts.total > 0, Role::Warning),
                number(figures.restarts),
            ),
            (Role::Plain, number(figures.stops)),
            (Role::Plain, figures.mtbf().map_or_else(dash, short)),
            (Role::Plain, figures.mttr().map_or_else(dash, short)),
            (Role::Plain, short_or_dash(figures.longest_run)),
        ];
        for ((role, text), (_, width)) in cells.into_iter().zip(COLUMNS) {
            row.push(Role::Plain, BLANK);
            row.push(role, &right(&text, width));
        }
        if layout.spark > 0 {
            row.push(Role::Plain, BLANK);
            self.spark(figures, layout, &mut row);
        }
        let mut is_first = true;
        for (role, note) in self.notes(figures) {
            // Beside a line they follow each other, below it they take as many lines as they need.
            let fits = row.left() >= width(&note) + BLANK.len();
            if !layout.beside && (is_first || !fits) {
                out.push(std::mem::replace(&mut row, self.row()).finish());
                row.push(Role::Quiet, BLANK);
            } else {
                row.push(Role::Quiet, if is_first { BLANK } else { "; " });
            }
            row.push(role, &note);
            is_first = false;
        }
        out.push(row.finish());
    }

    fn row(&self) -> Row {
        Row::new(self.style, self.terminal)
    }

    fn spark(&self, figures: &Figures, layout: Layout, row: &mut Row) {
        let bars = bars(figures, layout.spark);
        let all = figures.up + figures.down + figures.unknown;
        let whole = all / u64::try_from(layout.spark.max(1)).unwrap_or(1);
        for bar in bars {
            // A millisecond is lost where a piece is cut.
            let blind = bar.unknown > 0 && bar.unknown + figures.processes >= whole;
            let (role, text) = match bar {
                _ if bar.crashes > 0 => (Role::Bad, self.level(bar.crashes, layout.most)),
                _ if blind => (Role::Warning, self.style.pick("┄", "~")),
                _ if bar.stops > 0 => (Role::Plain, "-"),
                _ => (Role::Quiet, self.style.pick("·", ".")),
            };
            row.push(role, text);
        }
    }

    fn level(&self, crashes: u64, most: u64) -> &'static str {
        const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
        const DIGITS: [&str; 9] = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
        let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let bar = (crashes * 8).div_ceil(most.max(1)).max(1) - 1;
        let bar = BARS[at(bar).min(BARS.len() - 1)];
        let digit = DIGITS.get(at(crashes - 1)).copied().unwrap_or("#");
        self.style.pick(bar, digit)
    }

    /// What was looked at, in a line without its line break: `24 h up to 14:20:03: 8 processes`.
    pub fn summary(&self, report: &Report) -> String {
        let range = report.range;
        let stretch = self.times.stretch(range.from, range.to, self.dash());
        let processes = count(report.total.processes, "process", "processes");
        format!("{stretch}: {processes}")
    }

    /// A line for a source of which not all is known, without its line break.
    pub fn unwatched(&self, sight: &Sight) -> Option<String> {
        let last = sight.unwatched.last()?;
        let name = self.style.clean(&sight.source, NAME);
        let unknown = span(Duration::from_millis(sight.unknown));
        let stretch = self.times.stretch(last.from, last.to, self.dash());
        Some(match sight.unwatched.len() {
            1 => format!("{name}: unknown {stretch}"),
            several => {
                format!("{name}: unknown for {unknown} in {several} stretches, the last {stretch}")
            }
        })
    }

    /// A line where events were left out, without its line break.
    pub fn left_out(&self, report: &Report) -> Option<String> {
        let some = match report.total.left_out {
            0 => return None,
            some => count(some, "process", "processes"),
        };
        Some(format!(
            "of {some} the adapter left events out (include and exclude in its observe.yaml): at least this happened, and how long they were up then is unknown"
        ))
    }

    /// What is to be said about a line beside its figures, the gravest first.
    fn notes(&self, figures: &Figures) -> Vec<(Role, String)> {
        let mut notes = Vec::new();
        match (figures.flapping, figures.flaps) {
            (0, 0) => {}
            (0, flaps) => notes.push((Role::Warning, format!("flapped{}", self.times(flaps)))),
            (number, _) if figures.processes > 1 => {
                notes.push((Role::Worst, format!("{number} flapping")));
            }
            _ => notes.push((Role::Worst, "flapping".to_owned())),
        }
        if figures.unknown > 0 {
            let share = percent(figures.unknown_share());
            notes.push((Role::Warning, format!("unknown {share} of the time")));
        }
        match figures.left_out {
            0 => {}
            _ if figures.processes == 1 => notes.push((Role::Warning, "not all told".to_owned())),
            some => notes.push((Role::Warning, format!("not all told of {some}"))),
        }
        if let Some(exits) = self.exits(figures) {
            notes.push((Role::Quiet, exits));
        }
        let all = [figures.crashes, figures.restarts, figures.stops];
        let sum = |doubt: fn(&Counted) -> u64| all.iter().map(doubt).sum::<u64>();
        let doubts = [
            (sum(|counted| counted.inferred), "inferred"),
            (sum(|counted| counted.ambiguous), "ambiguous"),
        ];
        let doubts = doubts.iter().filter(|(number, _)| *number > 0);
        let doubts: Vec<String> = doubts
            .map(|(number, word)| format!("{number} {word}"))
            .collect();
        if !doubts.is_empty() {
            notes.push((Role::Quiet, format!("~ {}", doubts.join(", "))));
        }
        notes
    }

    /// The exits other than the good one, the most frequent first.
    fn exits(&self, figures: &Figures) -> Option<String> {
        let bad = |(ended, _): &(&Ended, &u64)| ended.code != Some(0);
        let mut exits: Vec<_> = figures.exits.iter().filter(bad).collect();
        exits.sort_by_key(|(ended, number)| (std::cmp::Reverse(**number), **ended));
        let more = exits.len().saturating_sub(EXITS);
        let shown = exits.into_iter().take(EXITS);
        let mut words: Vec<String> = shown
            .map(|(ended, number)| format!("{}{}", end(*ended), self.times(*number)))
            .collect();
        if more > 0 {
            words.push(format!("{more} more"));
        }
        (!words.is_empty()).then(|| words.join(", "))
    }

    fn times(&self, number: u64) -> String {
        match number {
            1 => String::new(),
            number => format!(" {}{number}", self.style.pick("×", "x")),
        }
    }

    fn dash(&self) -> &'static str {
        self.style.pick("–", "-")
    }
}

/// What a line is about.
fn name(report: &Report, line: &Line) -> String {
    let several = report.sources.len() > 1;
    let own = match report.by {
        By::Source => return line.source.clone(),
        By::Namespace => line.namespace.as_deref(),
        By::Process => line.process.as_deref(),
    };
    let own = own.unwrap_or_default();
    if several {
        format!("{}/{own}", line.source)
    } else {
        own.to_owned()
    }
}

/// The pieces of the range, as many as are shown.
fn bars(figures: &Figures, shown: usize) -> Vec<Bucket> {
    let each = figures
        .timeline
        .len()
        .checked_div(shown)
        .unwrap_or(0)
        .max(1);
    let sum = |pieces: &[Bucket]| Bucket {
        crashes: pieces.iter().map(|piece| piece.crashes).sum(),
        stops: pieces.iter().map(|piece| piece.stops).sum(),
        unknown: pieces.iter().map(|piece| piece.unknown).sum(),
    };
    let bars = figures.timeline.chunks(each).map(sum);
    bars.take(shown).collect()
}

fn end(ended: Ended) -> String {
    match (ended.signal, ended.code) {
        (Some(number), _) => {
            signal(number).map_or_else(|| format!("signal {number}"), str::to_owned)
        }
        (None, Some(-1)) => "by a signal".to_owned(),
        (None, Some(code)) => format!("exit {code}"),
        (None, None) => "exit unknown".to_owned(),
    }
}

fn bad(is_so: bool, role: Role) -> Role {
    if is_so { role } else { Role::Quiet }
}

fn dash() -> String {
    "-".to_owned()
}

fn number(counted: Counted) -> String {
    let doubt = if counted.is_doubtful() { "~" } else { "" };
    format!("{}{doubt}", counted.total)
}

fn short_or_dash(millis: u64) -> String {
    if millis == 0 { dash() } else { short(millis) }
}

/// A length in at most five columns, rounded down: `400ms`, `12s`, `3m29s`, `48m`, `8h20m`, `23h`, `2d4h`, `12d`.
fn short(millis: u64) -> String {
    let seconds = millis / 1000;
    let (large, small) = match seconds {
        0 => return format!("{millis}ms"),
        1..60 => return format!("{seconds}s"),
        60..3600 => ((seconds / 60, "m"), (seconds % 60, "s")),
        3600..172_800 => ((seconds / 3600, "h"), (seconds / 60 % 60, "m")),
        _ => ((seconds / 86400, "d"), (seconds / 3600 % 24, "h")),
    };
    let ((number, unit), (rest, small)) = (large, small);
    if number < 10 && rest > 0 {
        format!("{number}{unit}{rest}{small}")
    } else {
        format!("{number}{unit}")
    }
}

/// A share in at most six columns. Only all of it is 100%, and only none of it is 0%.
fn percent(share: f64) -> String {
    if share >= 1.0 {
        return "100%".to_owned();
    }
    if share <= 0.0 {
        return "0%".to_owned();
    }
    let floor = (share * 10_000.0).floor() / 100.0;
    format!("{:.2}%", floor.clamp(0.01, 99.99))
}

fn left(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

fn right(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(text))))
}

#[cfg(test)]
pub(super) mod tests;
