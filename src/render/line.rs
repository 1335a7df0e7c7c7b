//! One event, one process, one line: columns that stand still in a stream, and the text behind them.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::detail::{Detail, memory, processor, standing};
use super::door::{shorten, width};
use super::style::{Role, Style};
use super::time::{Times, since};
use super::words::{count, span};
use crate::event::envelope::Envelope;
use crate::event::payload::{Gap, Kind, Occurred, Origin, State};
use crate::event::sieve::Sieve;

/// The most columns a name takes where nothing else bounds it.
const LONGEST: usize = 255;
/// The most columns a foreign word takes within a text.
const WORD: usize = 40;
/// The most columns that the rules take by which events are left out.
const RULES: usize = 200;
/// The widest of the words in a text line (`restarted`, `unhealthy`).
const KIND: usize = 9;
/// The widest of the process types.
const WIDE_KIND: usize = 14;
/// The column of sources, where there are several.
const SOURCE: usize = 10;

/// The columns of a stream of lines; chosen once, so that they stand still.
#[derive(Debug, Clone, Copy)]
pub struct Columns {
    /// Whether lines come from several sources, so that each must name its own.
    pub several_sources: bool,
    /// The width of the column of names.
    pub name: usize,
    /// The width of the terminal; without one nothing is cut.
    pub terminal: Option<usize>,
}

impl Columns {
    /// Columns for a terminal of this width, or for a pipe.
    pub fn for_width(terminal: Option<usize>, several_sources: bool) -> Self {
        let name = terminal.map_or(20, |width| (width / 4).clamp(10, 32));
        Self {
            several_sources,
            name,
            terminal,
        }
    }
}

/// What all lines of one stream have in common.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Colours and characters.
    pub style: Style,
    /// How times are shown.
    pub times: Times,
    /// Where things stand.
    pub columns: Columns,
}

/// A line in the making; neighbours of one role share one pair of colour codes.
pub(super) struct Line {
    style: Style,
    room: Option<usize>,
    used: usize,
    run: (Role, String),
    out: String,
}

impl Line {
    pub(super) fn new(style: Style, room: Option<usize>) -> Self {
        Self {
            style,
            room,
            used: 0,
            run: (Role::Plain, String::new()),
            out: String::with_capacity(160),
        }
    }

    pub(super) fn left(&self) -> usize {
        self.room
            .map_or(usize::MAX, |room| room.saturating_sub(self.used))
    }

    pub(super) fn push(&mut self, role: Role, text: &str) {
        let left = self.left();
        if left == 0 || text.is_empty() {
            return;
        }
        let text = shorten(self.style.charset, text, left);
        self.used += width(&text);
        if self.run.0 != role {
            self.flush();
            self.run.0 = role;
        }
        self.run.1.push_str(&text);
    }

    fn flush(&mut self) {
        self.style.paint(self.run.0, &self.run.1, &mut self.out);
        self.run.1.clear();
    }

    /// A column: at least this wide, two blanks behind it; blanks are never coloured.
    fn column(&mut self, role: Role, text: &str, at_least: usize) {
        self.push(role, text);
        let blanks = at_least.saturating_sub(width(text)) + 2;
        self.push(Role::Plain, &" ".repeat(blanks));
    }

    pub(super) fn finish(mut self) -> String {
        self.flush();
        let end = self.out.trim_end_matches(' ').len();
        self.out.truncate(end);
        self.out.push('\n');
        self.out
    }
}

impl Frame {
    /// One event as one line of text, with its line break.
    pub fn event(&self, event: &Envelope, now: DateTime<Utc>) -> String {
        self.event_told(event, None, now)
    }

    /// The same of an event that was told so long after it was observed, where that is worth a word.
    pub(super) fn event_told(
        &self,
        event: &Envelope,
        late: Option<Duration>,
        now: DateTime<Utc>,
    ) -> String {
        if event.process.is_some() {
            self.process_event(event, late, now)
        } else {
            self.source_event(event, late, now)
        }
    }

    /// One event with everything in it: nothing is cut, nothing is left out.
    pub fn wide_event(&self, event: &Envelope, now: DateTime<Utc>) -> String {
        let mut line = Line::new(self.style, None);
        let time = self.times.full(event.timestamp, now);
        if !time.is_empty() {
            line.push(Role::Quiet, &time);
            line.push(Role::Plain, " ");
        }
        let word = self.style.clean(event.kind.as_str(), WORD);
        self.kind(&mut line, event, &word, WIDE_KIND);
        line.column(
            Role::Quiet,
            &self.style.clean(&event.source, LONGEST),
            SOURCE,
        );
        let state = event.state.as_ref();
        if let Some(process) = &event.process {
            let namespace = event.namespace.as_deref().unwrap_or_default();
            line.column(Role::Quiet, &self.style.clean(namespace, LONGEST), SOURCE);
            let name = self.style.clean(visible(process), LONGEST);
            line.column(name_role(event), &name, self.columns.name);
            let pid = state.and_then(|s| s.pid).map(|pid| pid.to_string());
            line.column(Role::Quiet, &format!("{:>7}", or_dash(pid)), 7);
            line.column(
                Role::Quiet,
                &format!("{:>8}", or_dash(state.and_then(memory))),
                8,
            );
            line.column(
                Role::Quiet,
                &format!("{:>7}", or_dash(state.and_then(processor))),
                7,
            );
            self.detail(&mut line, event, &Detail::of(event, self.style, self.times));
        } else {
            line.push(Role::Quiet, &self.blindness(event));
        }
        line.push(
            Role::Quiet,
            &format!("  [{}]", self.window(&event.occurred, event.timestamp)),
        );
        let reason = self.style.clean(&event.reason, WORD);
        line.push(Role::Quiet, &format!("  reason={reason}"));
        if let Some(code) = event.exit.and_then(|exit| exit.code) {
            line.push(Role::Quiet, &format!(" exit={code}"));
        }
        line.push(
            Role::Quiet,
            &format!("  {}", self.style.clean(&event.id, LONGEST)),
        );
        line.finish()
    }

    /// One process of a snapshot as one line of text, with its line break.
    pub fn snapshot(&self, look: &Look<'_>, now: DateTime<Utc>) -> String {
        let state = look.state;
        let unhealthy = state.is_running && state.has_ready_probe && state.is_ready == "Not Ready";
        let (kind, word, role) = match (state.is_running, unhealthy) {
            (true, true) => (Kind::Unhealthy, "unhealthy", Role::Warning),
            (true, false) => (Kind::Started, "up", Role::Good),
            (false, _) if state.exit_code != 0 => (Kind::Stopped, "not up", Role::Warning),
            (false, _) => (Kind::Stopped, "not up", Role::Quiet),
        };
        let mut line = self.begin(look.at, now);
        line.push(role, self.style.symbol(&kind));
        line.push(Role::Plain, " ");
        line.column(role, word, KIND);
        self.source(&mut line, look.source);
        self.name(&mut line, &state.name, Role::Plain);
        let detail = standing(state, self.style);
        line.push(Role::Plain, &detail.news.join(", "));
        self.notes(&mut line, &detail);
        line.finish()
    }

    fn process_event(
        &self,
        event: &Envelope,
        late: Option<Duration>,
        now: DateTime<Utc>,
    ) -> String {
        let mut line = self.begin(event.timestamp, now);
        let word = match &event.kind {
            // The whole word would push every name aside.
            Kind::StatusChanged => "changed".into(),
            kind => self.style.clean(kind.as_str(), KIND),
        };
        self.kind(&mut line, event, &word, KIND);
        self.source(&mut line, &event.source);
        let name = event.process.as_deref().unwrap_or_default();
        self.name(&mut line, name, name_role(event));
        let mut detail = Detail::of(event, self.style, self.times);
        detail.notes.extend(late.map(told_late));
        detail
            .notes
            .extend(self.times.other_day(event.timestamp, now));
        self.detail(&mut line, event, &detail);
        line.finish()
    }

    /// A line about a source is never cut: that nobody looked must not fall off the edge.
    fn source_event(&self, event: &Envelope, late: Option<Duration>, now: DateTime<Utc>) -> String {
        let mut line = self.begin(event.timestamp, now);
        line.room = None;
        let word = self.style.clean(event.kind.as_str(), WIDE_KIND);
        self.kind(&mut line, event, &word, KIND);
        self.source(&mut line, &event.source);
        line.push(Role::Quiet, &self.blindness(event));
        if let Some(late) = late {
            line.push(Role::Quiet, &format!(", {}", told_late(late)));
        }
        if let Some(day) = self.times.other_day(event.timestamp, now) {
            line.push(Role::Quiet, &format!(", {day}"));
        }
        line.finish()
    }

    fn begin(&self, at: DateTime<Utc>, now: DateTime<Utc>) -> Line {
        let mut line = Line::new(self.style, self.columns.terminal);
        let time = self.times.column(at, now);
        if !time.is_empty() {
            line.push(Role::Quiet, &time);
            line.push(Role::Plain, " ");
        }
        line
    }

    fn kind(&self, line: &mut Line, event: &Envelope, word: &str, at_least: usize) {
        let role = Role::of(event);
        line.push(role, self.style.symbol(&event.kind));
        line.push(Role::Plain, " ");
        line.column(role, word, at_least);
    }

    fn source(&self, line: &mut Line, source: &str) {
        if self.columns.several_sources {
            let most = self.columns.terminal.map_or(LONGEST, |_| SOURCE);
            line.column(Role::Quiet, &self.style.clean(source, most), SOURCE);
        }
    }

    fn name(&self, line: &mut Line, name: &str, role: Role) {
        // In a pipe the whole name stays, because somebody greps for it.
        let most = self.columns.terminal.map_or(LONGEST, |_| self.columns.name);
        let name = self.style.clean(visible(name), most);
        line.column(role, &name, self.columns.name);
    }

    fn detail(&self, line: &mut Line, event: &Envelope, detail: &Detail) {
        let role = if event.kind == Kind::Crashed {
            Role::Plain
        } else {
            Role::Quiet
        };
        line.push(role, &detail.news.join(", "));
        self.notes(line, detail);
    }

    /// Notes come whole or not at all; where some are left out, that is marked if there is room for the mark.
    fn notes(&self, line: &mut Line, detail: &Detail) {
        let mut first = detail.news.is_empty();
        for note in &detail.notes {
            let comma = if first { "" } else { ", " };
            first = false;
            let note = format!("{comma}{note}");
            if width(&note) > line.left() {
                let mark = format!(" {}", self.style.charset.ellipsis());
                if width(&mark) <= line.left() {
                    line.push(Role::Quiet, &mark);
                }
                return;
            }
            line.push(Role::Quiet, &note);
        }
    }

    fn blindness(&self, event: &Envelope) -> String {
        let source = self.style.clean(&event.source, WORD);
        let reason = self.style.clean(&event.reason, WORD).replace('_', " ");
        let because = |text: String| {
            if reason.is_empty() {
                text
            } else {
                format!("{text}: {reason}")
            }
        };
        let occurred = &event.occurred;
        match (&event.kind, &event.gap) {
            (Kind::Gap, Some(gap)) => self.gap(gap),
            (Kind::Connected, _) => match occurred.after {
                Some(after) => format!(
                    "{source} is in sight again, away {}",
                    self.stretch(after, event.timestamp)
                ),
                None => because(format!("{source} is in sight")),
            },
            (Kind::Disconnected, _) => {
                let last = occurred.after.unwrap_or(occurred.before);
                because(format!(
                    "{source} not seen since {} ({})",
                    self.times.clock(last),
                    span(since(last, event.timestamp))
                ))
            }
            (Kind::Restarted, _) => {
                let at = occurred
                    .at
                    .map(|at| format!(" at {}", self.times.clock(at)));
                let at = at.unwrap_or_default();
                format!("the supervisor of {source} was restarted{at}")
            }
            _ => because(source.into_owned()),
        }
    }

    /// Only of a stretch in which nobody looked may be said that nobody looked.
    fn gap(&self, gap: &Gap) -> String {
        if gap.is_left_out() {
            return self.left_out(gap);
        }
        let what = match &*gap.why {
            "adapter_down" => "nobody looked",
            "source_unreachable" => "unseen",
            "rolled_back" | "stream_lost" => "not kept",
            "spool_full" | "spool_corrupt" | "superseded" | "fell_behind" => "not told",
            _ => "not known",
        };
        let why = match &*gap.why {
            "adapter_down" => "adapter down".into(),
            other => self.style.clean(other, WORD).replace('_', " "),
        };
        let stretch = match gap.from {
            Some(from) => self.stretch(from, gap.to),
            None => format!("until {}", self.times.clock(gap.to)),
        };
        let lost = match gap.events {
            Some(events) if events > 0 => {
                format!(", {} lost", count(events, "event", "events"))
            }
            _ => String::new(),
        };
        format!("{what} {stretch}: {why}{lost}")
    }

    fn left_out(&self, gap: &Gap) -> String {
        let clean = |sieve: &Sieve| self.style.clean(&sieve.to_string(), RULES).into_owned();
        let now = match &gap.next_sieve {
            Some(sieve) => format!("left out from now on: {}", clean(sieve)),
            None => "nothing is left out any more".to_owned(),
        };
        let before = |sieve| {
            let stretch = match gap.from {
                Some(from) => self.stretch(from, gap.to),
                None => format!("until {}", self.times.clock(gap.to)),
            };
            format!("; left out {stretch}: {}", clean(sieve))
        };
        now + &gap.sieve.as_ref().map(before).unwrap_or_default()
    }

    fn stretch(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> String {
        self.times.stretch(from, to, self.style.pick("–", "-"))
    }

    fn window(&self, occurred: &Occurred, seen: DateTime<Utc>) -> String {
        let time = |at| self.times.moment(at, seen);
        let after = occurred.after.map(time).unwrap_or_default();
        let before = time(occurred.before);
        match occurred.at {
            Some(at) => format!("{after}..{before} at {}", time(at)),
            None => format!("{after}..{before}"),
        }
    }
}

/// One process of a snapshot, and when and where it was seen.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The source.
    pub source: &'a str,
    /// What was seen.
    pub state: &'a State,
    /// The end of the look.
    pub at: DateTime<Utc>,
}

fn name_role(event: &Envelope) -> Role {
    match event.kind {
        Kind::Crashed => Role::Strong,
        _ if event.origin == Origin::Initial => Role::Quiet,
        _ => Role::Plain,
    }
}

/// That an event reached the stream long after it was observed.
pub(super) fn told_late(late: Duration) -> String {
    format!("told {} late", span(late))
}

/// An empty name would look like a missing one.
fn visible(name: &str) -> &str {
    if name.is_empty() { "\"\"" } else { name }
}

fn or_dash(value: Option<String>) -> String {
    value.unwrap_or_else(|| "-".to_owned())
}
