//! One process: whether it was up, as its events tell it, and what is counted of them.

use crate::event::envelope::Envelope;
use crate::event::payload::{Kind, Origin, State};

use super::figures::{Bucket, Ended, Figures};
use super::flap::flaps;
use super::span::{EVER, Millis, NEVER, Span, Spans, millis};

mod veiled;

/// Whether a run goes on, and since when that is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Now {
    /// Nothing has told it yet; what comes next tells it for the time since then as well.
    Open(Millis),
    /// It is not listed, or was not when it was first looked at.
    Absent,
    /// A run goes on.
    Up(Millis),
    /// None goes on.
    Down(Millis),
}

/// A crash behind which no run has begun yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Broken {
    /// When.
    at: Millis,
    /// The end of the look that told it.
    told: Millis,
    /// Whether the source itself gave the time.
    exact: bool,
}

/// What an event says about the time before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Up,
    Down,
}

/// When something happened, as well as it is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    at: Millis,
    told: Millis,
    exact: bool,
}

impl Moment {
    /// The source's own time where it gave one, else the latest at which it can have been.
    pub(super) fn of(event: &Envelope) -> Self {
        let told = millis(event.timestamp);
        let (exact, window) = (event.occurred.at, &event.occurred);
        let at = millis(exact.unwrap_or(window.before));
        let after = window.after.map_or(EVER, millis);
        Self {
            at: at.max(after).min(told),
            told,
            exact: exact.is_some(),
        }
    }

    pub(super) fn at(self) -> Millis {
        self.at
    }
}

/// What is asked about a life.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    /// The whole range.
    pub(super) range: Span,
    /// The part of it in which its source was looked at, but for the blind stretches.
    pub(super) watched: Span,
    /// The stretches that nobody knows anything about.
    pub(super) blind: &'a Spans,
    /// Those among them in which something about it may have been left out.
    pub(super) left_out: &'a Spans,
    /// Into how many pieces the range is cut.
    pub(super) buckets: usize,
}

/// Names that a process goes by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) namespaces: Vec<String>,
    pub(super) group: Option<String>,
}

impl Who {
    fn is(&self, state: &State) -> bool {
        let first = self.namespaces.first();
        first == Some(&state.namespace)
            && self.group == state.group
            && (state.namespaces.is_empty() || self.namespaces == state.namespaces)
    }

    fn of(state: &State) -> Self {
        let mut namespaces = state.namespaces.clone();
        if !namespaces.contains(&state.namespace) {
            namespaces.insert(0, state.namespace.clone());
        }
        Self {
            namespaces,
            group: state.group.clone(),
        }
    }
}

/// A process as it has been told so far.
#[derive(Debug, Clone)]
pub(super) struct Life {
    who: Who,
    now: Now,
    broken: Option<Broken>,
    /// Stretches with a run, and those without; no two overlap.
    stretches: Vec<(Span, bool)>,
    /// Where the last one ends.
    edge: Millis,
    /// From each crash in the range to the run behind it, where both times are known.
    repairs: Vec<Span>,
    /// When each crash in the range was, and each orderly end.
    crashes: Vec<Millis>,
    stops: Vec<Millis>,
    counted: Figures,
    told: Told,
}

/// How far the numbers of its events prove that all of them were told.
#[derive(Debug, Clone, Default)]
struct Told {
    /// The number of the last event, and when it was told.
    last: Option<(u64, Millis)>,
    /// Stretches in which nothing was left out.
    whole: Vec<Span>,
    /// Whether the head has it.
    is_listed: bool,
}

/// The state that goes over to another name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Estate(Now, Option<Broken>);

impl Life {
    /// One of which nothing is known yet, since that moment.
    pub(super) fn new(since: Millis) -> Self {
        Self {
            who: Who::default(),
            now: Now::Open(since),
            broken: None,
            stretches: Vec::new(),
            edge: EVER,
            repairs: Vec::new(),
            crashes: Vec::new(),
            stops: Vec::new(),
            counted: Figures::default(),
            told: Told::default(),
        }
    }

    pub(super) fn who(&self) -> &Who {
        &self.who
    }

    /// Takes over the names.
    pub(super) fn is_called(&mut self, state: &State) {
        if !self.who.is(state) {
            self.who = Who::of(state);
        }
    }

    /// Takes an event that tells something of a run.
    pub(super) fn see(&mut self, event: &Envelope, when: Moment, range: Span) {
        if event.origin != Origin::Initial && range.holds(when.told) {
            self.count(event, when);
        }
        let told = event.reason.as_ref();
        match event.kind {
            Kind::Started | Kind::Restarted => {
                self.turn(before_begin(event), Now::Up, when.at);
                if event.origin == Origin::Initial {
                    // It was found going on; when it began nobody saw.
                    self.broken = None;
                }
                self.repaired(when, range);
            }
            Kind::Stopped | Kind::Crashed => {
                self.turn(before_end(event), Now::Down, when.at);
                if event.kind == Kind::Crashed && event.origin != Origin::Initial {
                    self.broken.get_or_insert(Broken {
                        at: when.at,
                        told: when.told,
                        exact: when.exact,
                    });
                }
            }
            Kind::Healthy | Kind::Unhealthy => {
                if matches!(self.now, Now::Open(_)) {
                    self.turn(before_end(event), Now::Up, when.at);
                }
            }
            Kind::StatusChanged if told == "removed" => {
                self.turn(Before::Down, Now::Down, when.at);
            }
            Kind::StatusChanged if event.previous.is_none() => {
                self.turn(Before::Nothing, Now::Down, when.at);
            }
            _ => {}
        }
        if told == "removed" {
            self.leave(when.at);
        }
    }

    fn count(&mut self, event: &Envelope, when: Moment) {
        let times = usize::try_from(event.count).unwrap_or(1);
        let counted = &mut self.counted;
        match event.kind {
            Kind::Started => counted.starts.count(event),
            Kind::Restarted => counted.restarts.count(event),
            Kind::Stopped => {
                counted.stops.count(event);
                self.stops.extend(std::iter::repeat_n(when.at, times));
            }
            Kind::Crashed => {
                counted.crashes.count(event);
                self.crashes.extend(std::iter::repeat_n(when.at, times));
            }
            _ => {}
        }
        if event.kind.is_end() {
            let exit = event.exit.as_ref();
            let ended = Ended {
                code: exit.and_then(|exit| exit.code),
                signal: exit.and_then(|exit| exit.signal),
            };
            *self.counted.exits.entry(ended).or_default() += u64::from(event.count);
        }
    }

    /// Closes what went on until then, and begins what goes on now.
    fn turn(&mut self, before: Before, now: fn(Millis) -> Now, at: Millis) {
        let (since, up) = match (self.now, before) {
            (Now::Up(since), _) | (Now::Open(since), Before::Up) => (since, true),
            (Now::Down(since), _) | (Now::Open(since), Before::Down) => (since, false),
            (Now::Open(_), Before::Nothing) | (Now::Absent, _) => (at, false),
        };
        let at = at.max(since);
        self.stretch(Span::new(since, at), up);
        self.now = now(at);
    }

    fn stretch(&mut self, span: Span, up: bool) {
        // Clocks step back; no moment counts twice.
        let span = Span::new(span.from.max(self.edge), span.to);
        if span.from < span.to {
            self.edge = span.to;
            self.stretches.push((span, up));
        }
    }

    /// A run has begun: a crash before it is mended.
    fn repaired(&mut self, when: Moment, range: Span) {
        let Some(broken) = self.broken.take() else {
            return;
        };
        // Of what one look found, only the source's own times tell how long it took.
        let seen = broken.told < when.told || (broken.exact && when.exact);
        if seen && range.holds(broken.told) && range.holds(when.told) {
            let span = Span::new(broken.at, when.at.max(broken.at));
            self.repairs.push(span);
        }
    }

    /// It is not listed any more.
    fn leave(&mut self, at: Millis) {
        self.close(at);
        self.now = Now::Absent;
        self.broken = None;
    }

    /// What went on until then is kept.
    fn close(&mut self, at: Millis) {
        match self.now {
            Now::Up(since) => self.stretch(Span::new(since, at), true),
            Now::Down(since) => self.stretch(Span::new(since, at), false),
            Now::Open(_) | Now::Absent => {}
        }
    }

    /// Goes on under another name from then on.
    pub(super) fn give_up_name(&mut self, at: Millis) -> Estate {
        let estate = Estate(self.now, self.broken);
        self.leave(at);
        estate
    }

    /// Goes on with what another name was.
    pub(super) fn inherit(&mut self, estate: Estate, at: Millis) {
        self.close(at);
        let Estate(now, broken) = estate;
        self.broken = broken;
        self.now = match now {
            Now::Open(_) => Now::Open(at),
            Now::Absent => Now::Absent,
            Now::Up(_) => Now::Up(at),
            Now::Down(_) => Now::Down(at),
        };
    }

    /// What was told before belongs to a memory that is gone; nothing is known any more since then.
    pub(super) fn forget(&mut self, at: Millis) {
        self.close(at);
        self.now = Now::Open(at);
        self.broken = None;
        self.told.last = None;
    }

    /// How it stands at the end, as the head says it, where nothing else has told it.
    pub(super) fn stands(&mut self, up: bool) {
        if let Now::Open(since) = self.now {
            self.now = if up { Now::Up(since) } else { Now::Down(since) };
        }
    }

    /// The figures.
    pub(super) fn figures(mut self, scope: Scope<'_>) -> Figures {
        self.close(NEVER);
        let mut figures = std::mem::take(&mut self.counted);
        figures.processes = 1;
        let mut known = Vec::new();
        for &(stretch, up) in &self.stretches {
            let seen = stretch.within(scope.watched);
            let pieces = seen.into_iter().flat_map(|span| scope.blind.without(span));
            let from = known.len();
            known.extend(pieces);
            let length = known[from..].iter().map(|piece| piece.length()).sum();
            if up {
                figures.up += length;
                figures.longest_run = figures.longest_run.max(length);
            } else {
                figures.down += length;
            }
        }
        figures.left_out = u64::from(scope.left_out.touches(scope.range));
        let told = figures.up + figures.down;
        figures.unknown = scope.range.length().saturating_sub(told);
        for &repair in &self.repairs {
            if !scope.blind.touches(repair) {
                figures.repairs += 1;
                figures.repairing += repair.length();
            }
        }
        self.crashes.sort_unstable();
        let (times, goes_on) = flaps(&self.crashes, scope.range.to);
        figures.flaps = times;
        figures.flapping = u64::from(goes_on);
        figures.timeline = self.timeline(&Spans::of(known), scope);
        figures
    }

    fn timeline(&self, known: &Spans, scope: Scope<'_>) -> Vec<Bucket> {
        let pieces = pieces(scope.range, scope.buckets);
        let mut timeline: Vec<Bucket> = pieces
            .iter()
            .map(|&piece| Bucket {
                unknown: known.without(piece).map(Span::length).sum(),
                ..Bucket::default()
            })
            .collect();
        // What was told within the range may have been before it.
        let place = |at: Millis| {
            let behind = pieces.partition_point(|piece| piece.to <= at);
            behind.min(pieces.len().saturating_sub(1))
        };
        for &at in &self.crashes {
            if let Some(bucket) = timeline.get_mut(place(at)) {
                bucket.crashes += 1;
            }
        }
        for &at in &self.stops {
            if let Some(bucket) = timeline.get_mut(place(at)) {
                bucket.stops += 1;
            }
        }
        timeline
    }
}

/// A range in so many pieces.
pub(super) fn pieces(range: Span, count: usize) -> Vec<Span> {
    let whole = i128::from(range.to) - i128::from(range.from);
    let number = |index: usize| i128::try_from(index).unwrap_or(0);
    let edge = |index: usize| {
        let offset = whole * number(index) / number(count).max(1);
        range.from + Millis::try_from(offset).unwrap_or(0)
    };
    (0..count)
        .map(|index| Span::new(edge(index), edge(index + 1)))
        .collect()
}

/// What the beginning of a run says about the time before it.
fn before_begin(event: &Envelope) -> Before {
    match event.reason.as_ref() {
        _ if event.origin == Origin::Initial || event.previous.is_none() => Before::Nothing,
        "source_restarted" if event.kind == Kind::Restarted => Before::Up,
        _ => Before::Down,
    }
}

/// What the end of a run, or its health, says about the time before it.
fn before_end(event: &Envelope) -> Before {
    match event.reason.as_ref() {
        _ if event.origin == Origin::Initial || event.previous.is_none() => Before::Nothing,
        "spawn_failed" => Before::Down,
        _ => Before::Up,
    }
}
