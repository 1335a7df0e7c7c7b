//! Lines that are not events: what is watched, how it stands, what nobody saw. They go to a person beside the data.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::style::{Role, Style};
use super::time::since;
use super::words::{age, count, setting, span};
use crate::event::envelope::Envelope;
use crate::event::payload::Kind;

/// The most columns a name takes here.
const NAME: usize = 60;
/// The most columns an address takes here.
const ADDRESS: usize = 200;

/// How well a source is in sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It was looked at so long ago, which is in order.
    Looked(Duration),
    /// It was last looked at so long ago, which is too long.
    Stale(Duration),
    /// It cannot be seen since so long ago.
    Lost(Duration),
    /// Nobody ever looked.
    Never,
}

/// When the last event of a source was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastEvent {
    /// Nothing was ever told.
    Never,
    /// So long ago.
    Ago(Duration),
    /// Something was told, and nobody here knows when.
    NotKnown,
}

/// How a source stands when somebody begins to watch.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The source.
    pub source: &'a str,
    /// How many processes there are.
    pub processes: u64,
    /// How many of them are up.
    pub up: u64,
    /// How many of them are up and not ready.
    pub unhealthy: u64,
    /// How many of them ended badly.
    pub crashed: u64,
    /// When the last event was told.
    pub last_event: LastEvent,
    /// How well it is in sight.
    pub sight: Sight,
}

impl Standing<'_> {
    /// One line with its line break: `shop: 12 processes, 10 up, 1 crashed; last event 14 min ago; looked 1 s ago`.
    pub fn line(&self, style: Style) -> String {
        let mut out = String::new();
        style.paint(Role::Strong, &style.clean(self.source, NAME), &mut out);
        out.push_str(": ");
        let (before, words, role) = match self.sight {
            Sight::Never => ("", "nobody has looked yet".to_owned(), Role::Warning),
            Sight::Looked(ago) => ("; ", format!("looked {} ago", age(ago)), Role::Quiet),
            Sight::Stale(ago) => (
                "; ",
                format!("nobody has looked for {}", age(ago)),
                Role::Warning,
            ),
            Sight::Lost(ago) => (
                "; ",
                format!("out of sight for {}", age(ago)),
                Role::Warning,
            ),
        };
        if self.sight != Sight::Never {
            self.counts(style, &mut out);
        }
        style.paint(Role::Quiet, before, &mut out);
        style.paint(role, &words, &mut out);
        out.push('\n');
        out
    }

    pub(super) fn counts(&self, style: Style, out: &mut String) {
        out.push_str(&count(self.processes, "process", "processes"));
        for (number, word, role) in [
            (self.up, "up", Role::Plain),
            (self.unhealthy, "unhealthy", Role::Warning),
            (self.crashed, "crashed", Role::Bad),
        ] {
            if number > 0 || word == "up" {
                out.push_str(", ");
                style.paint(role, &format!("{number} {word}"), out);
            }
        }
        let last = match self.last_event {
            LastEvent::Never => "; no event yet".to_owned(),
            LastEvent::Ago(ago) => format!("; last event {} ago", age(ago)),
            LastEvent::NotKnown => String::new(),
        };
        style.paint(Role::Quiet, &last, out);
    }
}

/// Adds up what nobody saw, for one closing line where the events themselves were not shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blindness {
    stretches: u64,
    total: Duration,
    unbounded: bool,
    events: u64,
    left_out: bool,
    lost: Vec<(String, DateTime<Utc>)>,
}

impl Blindness {
    /// Takes an event into account; those that say nothing about sight change nothing.
    pub fn see(&mut self, event: &Envelope) {
        match (&event.kind, &event.gap) {
            (Kind::Gap, Some(gap)) if gap.is_left_out() => self.left_out = true,
            (Kind::Gap, Some(gap)) => {
                self.stretches += 1;
                self.events += gap.events.unwrap_or(0);
                match gap.from {
                    Some(from) => self.total += since(from, gap.to),
                    None => self.unbounded = true,
                }
                self.seen_again(&event.source);
            }
            (Kind::Disconnected, _) => {
                self.seen_again(&event.source);
                let from = event.occurred.after.unwrap_or(event.timestamp);
                self.lost.push((event.source.clone(), from));
            }
            (Kind::Connected, _) => self.seen_again(&event.source),
            _ => {}
        }
    }

    fn seen_again(&mut self, source: &str) {
        self.lost.retain(|(name, _)| name != source);
    }

    /// What it says to a person who was shown no event.
    pub fn behind_silence(&self) -> String {
        let watched = if self.stretches > 0 || !self.lost.is_empty() {
            "not all of that time was watched"
        } else {
            "no interruption of the watching is told in that time"
        };
        let left_out = if self.left_out {
            "; events were left out in that time"
        } else {
            ""
        };
        format!("{watched}{left_out}")
    }

    /// One line with its line break, or nothing where all was seen.
    pub fn line(&self, style: Style, now: DateTime<Utc>) -> Option<String> {
        let mut parts = Vec::new();
        if self.stretches > 0 {
            let least = if self.unbounded { "at least " } else { "" };
            parts.push(format!(
                "{} not seen ({least}{} in all)",
                count(self.stretches, "stretch was", "stretches were"),
                span(self.total)
            ));
        }
        if self.events > 0 {
            parts.push(format!("{} lost", count(self.events, "event", "events")));
        }
        for (source, from) in &self.lost {
            let ago = age(since(*from, now));
            parts.push(format!(
                "{} is out of sight for {ago}",
                style.clean(source, NAME)
            ));
        }
        if self.left_out {
            parts.push("an adapter left events out".to_owned());
        }
        if parts.is_empty() {
            return None;
        }
        let mut out = String::new();
        let text = format!("{}; what happened then is not shown", parts.join("; "));
        style.paint(Role::Warning, &text, &mut out);
        out.push('\n');
        Some(out)
    }
}

/// What an adapter says when it begins.
#[derive(Debug, Clone, Copy)]
pub struct Beginning<'a> {
    /// The source.
    pub source: &'a str,
    /// Where it is looked at.
    pub address: &'a str,
    /// What answers there, with its version.
    pub supervisor: &'a str,
    /// What is known beside the looks (`state stream`, `looks only`).
    pub evidence: &'a str,
    /// The address of the broker, without secrets.
    pub broker: &'a str,
    /// The stream.
    pub stream: &'a str,
    /// The time between two looks.
    pub interval: Duration,
}

impl Beginning<'_> {
    /// One line with its line break.
    pub fn line(&self, style: Style) -> String {
        let mut out = String::new();
        style.paint(Role::Strong, &style.clean(self.source, NAME), &mut out);
        let looks = format!(
            ": {} at {}, every {}, {}",
            style.clean(self.supervisor, NAME),
            style.clean(self.address, ADDRESS),
            setting(self.interval),
            style.clean(self.evidence, NAME),
        );
        style.paint(Role::Plain, &looks, &mut out);
        let tells = format!(
            " {} {} at {}",
            style.pick("→", "->"),
            style.clean(self.stream, NAME),
            style.clean(self.broker, ADDRESS)
        );
        style.paint(Role::Quiet, &tells, &mut out);
        out.push('\n');
        out
    }
}

/// What an adapter says about one committed delta.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The source.
    pub source: &'a str,
    /// The numbers of the first and the last event.
    pub seq: (u64, u64),
    /// How many events of which type, in the order in which they are to be shown.
    pub kinds: &'a [(Kind, u64)],
    /// From the end of the look to the acknowledgement.
    pub took: Duration,
}

impl Told<'_> {
    /// One line with its line break: `shop: told 42–44 in 12 ms: 1 crashed, 2 healthy`.
    pub fn line(&self, style: Style) -> String {
        let (first, last) = self.seq;
        let numbers = if first == last {
            first.to_string()
        } else {
            format!("{first}{}{last}", style.pick("–", "-"))
        };
        let kinds: Vec<_> = self
            .kinds
            .iter()
            .map(|(kind, number)| format!("{number} {}", style.clean(kind.as_str(), NAME)))
            .collect();
        let colon = if kinds.is_empty() { "" } else { ": " };
        format!(
            "{}: told {numbers} in {}{colon}{}\n",
            style.clean(self.source, NAME),
            span(self.took),
            kinds.join(", ")
        )
    }
}

/// Which of several adapters looks at a source and tells.
#[derive(Debug, Clone, Copy)]
pub struct Standby<'a> {
    /// The source.
    pub source: &'a str,
    /// The other adapter.
    pub other: &'a str,
}

impl Standby<'_> {
    /// The other one does: `shop: web1-3f9a1c22 looks and tells; this adapter stands by`.
    pub fn begins(&self, style: Style) -> String {
        let (source, other) = self.names(style);
        format!("{source}: {other} looks and tells; this adapter stands by\n")
    }

    /// We do from now on: `shop: web1-3f9a1c22 stood still for 14 s; this adapter looks and tells`.
    pub fn takes_over(&self, style: Style, still: Duration) -> String {
        let (source, other) = self.names(style);
        let still = span(still);
        format!("{source}: {other} stood still for {still}; this adapter looks and tells\n")
    }

    /// Both do, until it is clear who is faster.
    pub fn looks_again(&self, style: Style) -> String {
        let (source, _) = self.names(style);
        format!("{source}: this adapter stands by no longer and looks as well\n")
    }

    fn names(&self, style: Style) -> (String, String) {
        let clean = |name| style.clean(name, NAME).to_string();
        (clean(self.source), clean(self.other))
    }
}

/// What is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The source.
    Source,
    /// The broker.
    Broker,
}

/// One line when a side leaves, and one when it is back; each with its line break.
#[derive(Debug, Clone, Copy)]
pub struct Away<'a> {
    /// Which one.
    pub side: Side,
    /// Its name or address, without secrets.
    pub name: &'a str,
}

impl Away<'_> {
    fn begin(&self, style: Style) -> String {
        let side = match self.side {
            Side::Source => "source",
            Side::Broker => "broker",
        };
        format!("{side} {}", style.clean(self.name, ADDRESS))
    }

    /// It left, and why.
    pub fn left(&self, style: Style, why: &str) -> String {
        let mut out = String::new();
        let text = format!(
            "{} is away: {}",
            self.begin(style),
            style.clean(why.trim(), ADDRESS)
        );
        style.paint(Role::Warning, &text, &mut out);
        out.push('\n');
        out
    }

    /// It is back, after so long.
    pub fn back(&self, style: Style, after: Duration) -> String {
        format!("{} is back after {}\n", self.begin(style), span(after))
    }
}
