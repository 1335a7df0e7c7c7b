//! A life of which a part was left out on purpose: what happened then is not known, unless the numbers of its events prove
//! that nothing of it was.

use crate::event::payload::Kind;
use crate::event::sieve::{Veils, Whom};

use super::{Life, Moment};
use crate::stats::span::{EVER, Millis, NEVER, Span, Spans, millis};

/// What figures are made of; health alone makes none.
const COUNTED: [Kind; 5] = [
    Kind::Started,
    Kind::Stopped,
    Kind::Crashed,
    Kind::Restarted,
    Kind::StatusChanged,
];

impl Life {
    /// Takes the number of the next event: where it does not follow the one before, and events may have been left out in
    /// between, nothing is known of how it stood from then on.
    pub(in crate::stats) fn follows(
        &mut self,
        number: Option<u64>,
        when: Moment,
        veils: &Veils,
        name: &str,
    ) {
        let before = self.told.last.map_or(0, |(last, _)| last);
        if number == Some(before + 1) {
            self.is_whole(when.told);
        } else {
            self.loses_sight(veils, name, when.at);
        }
        self.told.last = number.map(|number| (number, when.told));
    }

    /// Takes the number of its last event as the head has it.
    pub(in crate::stats) fn ends_with(&mut self, number: u64, veils: &Veils, name: &str) {
        self.told.is_listed = true;
        if number == self.told.last.map_or(0, |(last, _)| last) {
            self.is_whole(NEVER);
        } else {
            self.loses_sight(veils, name, NEVER);
        }
    }

    /// The stretches in which something about it may have been left out.
    pub(in crate::stats) fn veiled(&mut self, veils: &Veils, name: &str) -> Spans {
        if veils.is_empty() {
            return Spans::default();
        }
        if !self.told.is_listed {
            self.loses_sight(veils, name, NEVER);
        }
        let whole = Spans::of(self.told.whole.clone());
        let over = Spans::of(self.over(veils, name));
        Spans::of(over.all().flat_map(|span| whole.without(span)).collect())
    }

    /// Everything that happened since the event before was told.
    fn is_whole(&mut self, to: Millis) {
        let from = self.told.last.map_or(EVER, |(_, at)| at);
        match self.told.whole.last_mut() {
            Some(last) if last.to == from => last.to = to,
            _ => self.told.whole.push(Span::new(from, to)),
        }
    }

    fn loses_sight(&mut self, veils: &Veils, name: &str, at: Millis) {
        let from = self.told.last.map_or(EVER, |(_, at)| at);
        let over = self.over(veils, name).into_iter();
        let last = over
            .filter(|span| span.to > from && span.from < at)
            .map(|span| span.to);
        if let Some(last) = last.max() {
            self.forget(last.min(at));
        }
    }

    fn over(&self, veils: &Veils, name: &str) -> Vec<Span> {
        let whom = Whom {
            name,
            group: self.who.group.as_deref(),
            namespaces: self.who.namespaces.iter().map(String::as_str).collect(),
        };
        let over = veils.over(&whom, &COUNTED).into_iter();
        // A veil without an end, or without a beginning that is known, lies beyond what milliseconds since 1970 hold.
        over.map(|(from, to)| Span::new(millis(from).max(EVER), millis(to).min(NEVER)))
            .collect()
    }
}
