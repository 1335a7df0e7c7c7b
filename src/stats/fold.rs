//! From events to figures.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::event::envelope::Envelope;
use crate::event::payload::{Kind, State};
use crate::event::sieve::{LeftOut, Veils};

use super::figures::Figures;
use super::life::{Life, Moment, Scope};
use super::report::{By, Line, Question, Range, Report, Sight, Unwatched};
use super::span::{EVER, Span, Spans, millis, time};
use super::watched::{Place, Watched};

/// A source and its processes.
#[derive(Debug, Clone, Default)]
struct Source {
    watched: Watched,
    veils: Veils,
    lives: BTreeMap<String, Life>,
}

impl Source {
    /// The life of that name; a new one is as unknown as its source.
    fn life(&mut self, name: &str) -> &mut Life {
        self.life_and_veils(name).0
    }

    fn life_and_veils(&mut self, name: &str) -> (&mut Life, &Veils) {
        let life = self.lives.entry(name.to_owned());
        (life.or_insert_with(|| Life::new(EVER)), &self.veils)
    }
}

/// Makes figures of events. Everything that was told of a source is to be handed over, also what is behind the range and,
/// where it can be had, what is before it.
#[derive(Debug, Clone)]
pub struct Stats {
    range: Span,
    sources: BTreeMap<String, Source>,
}

impl Stats {
    /// Figures of that time.
    pub fn new(range: Range) -> Self {
        let from = millis(range.from);
        Self {
            range: Span::new(from, millis(range.to).max(from)),
            sources: BTreeMap::new(),
        }
    }

    /// Takes the next event, in the order of the stream.
    pub fn see(&mut self, event: &Envelope) {
        let range = self.range;
        let source = self.source(&event.source);
        let when = Moment::of(event);
        match source.watched.see(event) {
            Place::Again => return,
            Place::Next => {}
            Place::Anew => {
                let to = event.gap.as_ref().map_or(event.timestamp, |gap| gap.to);
                for life in source.lives.values_mut() {
                    life.forget(millis(to));
                }
            }
        }
        if let Some(gap) = &event.gap {
            source.veils.see(gap);
        }
        let (Some(name), Some(state)) = (&event.process, &event.state) else {
            return;
        };
        if event.kind == Kind::StatusChanged
            && event.reason == "renamed"
            && let Some(former) = event.previous.as_ref().and_then(|p| p.name.as_deref())
            && let Some(former) = source.lives.get_mut(former)
        {
            let at = when.at();
            let estate = former.give_up_name(at);
            source.life(name).inherit(estate, at);
        }
        let (life, veils) = source.life_and_veils(name);
        life.is_called(state);
        life.follows(event.process_seq, when, veils, name);
        life.see(event, when, range);
    }

    /// Takes what the head of a source says is not told; before how its processes stand.
    pub fn leaves_out(&mut self, source: &str, left_out: Option<&LeftOut>) {
        self.source(source).veils.stands(left_out);
    }

    /// Takes how a process stands in the head of its source: `up` where a run goes on, and the number of its last event, told
    /// or not. The head is not newer than the last event.
    pub fn stands(&mut self, source: &str, state: &State, (up, number): (bool, u64)) {
        let (life, veils) = self.source(source).life_and_veils(&state.name);
        life.is_called(state);
        life.ends_with(number, veils, &state.name);
        life.stands(up);
    }

    /// A source was looked at until then.
    pub fn is_known_until(&mut self, source: &str, at: DateTime<Utc>) {
        self.source(source).watched.is_known_until(millis(at));
    }

    fn source(&mut self, name: &str) -> &mut Source {
        self.sources.entry(name.to_owned()).or_default()
    }

    /// What comes of it.
    pub fn report(self, question: &Question) -> Report {
        let kept = question.kept.map(millis);
        let range = self.range;
        let mut found = Found::default();
        for (name, source) in self.sources {
            let (watched, blind) = (source.watched.within(range, kept), source.watched.blind());
            let scope = Scope {
                range,
                watched,
                blind: &blind,
                left_out: &Spans::default(),
                buckets: question.buckets,
            };
            let mut any = false;
            for (process, mut life) in source.lives {
                if question.selection.wants(&process, life.who()) {
                    any = true;
                    let veiled = life.veiled(&source.veils, &process);
                    let blind = blind.and(&veiled);
                    let scope = Scope {
                        blind: &blind,
                        left_out: &veiled,
                        ..scope
                    };
                    found.take(&name, process, life, scope, question.by);
                }
            }
            if any {
                found.sources.push(sight(name, scope));
            }
        }
        let mut total = Figures::default();
        for line in found.lines.values() {
            total.add(&line.figures);
        }
        Report {
            range: Range {
                from: time(range.from),
                to: time(range.to),
            },
            by: question.by,
            lines: found.lines.into_values().collect(),
            total,
            sources: found.sources,
        }
    }
}

/// Source, then namespace, then process.
type Key = (String, Option<String>, Option<String>);

#[derive(Default)]
struct Found {
    lines: BTreeMap<Key, Line>,
    sources: Vec<Sight>,
}

impl Found {
    fn take(&mut self, source: &str, process: String, life: Life, scope: Scope<'_>, by: By) {
        let namespace = life.who().namespaces.first().cloned();
        let figures = life.figures(scope);
        let source = source.to_owned();
        let (key, namespace, process) = match by {
            By::Process => {
                let key = (source.clone(), None, Some(process.clone()));
                (key, namespace, Some(process))
            }
            By::Namespace => ((source.clone(), namespace.clone(), None), namespace, None),
            By::Source => ((source.clone(), None, None), None, None),
        };
        let line = self.lines.entry(key).or_insert_with(|| Line {
            source,
            namespace,
            process,
            figures: Figures::default(),
        });
        line.figures.add(&figures);
    }
}

/// What of the range nobody knows about a source.
fn sight(source: String, scope: Scope<'_>) -> Sight {
    let known = Spans::of(scope.blind.without(scope.watched).collect());
    let unwatched: Vec<Span> = known.without(scope.range).collect();
    Sight {
        source,
        unknown: unwatched.iter().map(|span| span.length()).sum(),
        unwatched: unwatched
            .iter()
            .map(|span| Unwatched {
                from: time(span.from),
                to: time(span.to),
            })
            .collect(),
    }
}
