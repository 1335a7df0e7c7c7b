//! What is made of each message that the consumer hands over.

use async_nats::Message;

use super::super::anchor::Anchor;
use super::super::consumer::Place;
use super::super::opening::{Floor, Found, Numbered};
use super::super::text::Text;
use super::{Reader, Told, record};
use crate::event::envelope::Envelope;
use crate::event::glance::Glance;

impl Reader {
    /// Takes one message from the consumer.
    pub(super) fn take(&mut self, place: Place, message: Message) {
        if self
            .floor
            .as_ref()
            .is_some_and(|floor| place.sequence <= floor.sequence)
        {
            return;
        }
        match &mut self.tail {
            None => {
                self.tell(place, &message, Numbered::Unchecked);
                if place.pending == 0 {
                    self.reach(place.sequence, Some(Anchor::event(place)));
                }
            }
            Some(tail) => {
                let ended = place.pending == 0 || place.sequence >= tail.until;
                if let Ok(envelope) = Envelope::parse(&message.payload) {
                    // What does not match counts too: without it the numbers of what does would have holes.
                    if let Some(hole) = self.numbers.check(&envelope.glance()) {
                        tail.say(hole);
                    }
                    if self.filter.matches(&envelope) {
                        // A payload is a slice of the read buffer; what is kept must not hold all of that.
                        let payload = message.payload.to_vec().into();
                        tail.keep(place, Message { payload, ..message });
                    }
                }
                if ended {
                    self.reach(place.sequence, Some(Anchor::event(place)));
                }
            }
        }
    }

    /// Notes that everything up to `sequence` was seen; what stands there is an anchor where nothing better is told.
    pub(super) fn reach(&mut self, sequence: u64, end: Option<Anchor>) {
        if let Some(tail) = self.tail.take() {
            if tail.events < tail.want && !tail.whole {
                self.window = self.window.saturating_mul(8);
                self.push = None;
                return;
            }
            for found in tail.into_found() {
                match found {
                    Found::Event(place, message) => {
                        self.tell(place, &message, Numbered::Checked);
                    }
                    Found::Said(told) => self.ready.push_back(told),
                }
            }
            self.raise(sequence);
            self.anchor = self.anchor.or(end);
        }
        if !std::mem::replace(&mut self.caught_up, true) {
            self.ready.push_back(Told::CaughtUp(sequence));
        }
    }

    pub(super) fn raise(&mut self, sequence: u64) {
        match &mut self.floor {
            Some(floor) if floor.created == self.created => floor.sequence = sequence,
            floor => {
                *floor = Some(Floor {
                    created: self.created.clone(),
                    sequence,
                });
            }
        }
    }

    fn tell(&mut self, place: Place, message: &Message, numbered: Numbered) {
        self.raise(place.sequence);
        self.anchor = Some(Anchor::event(place));
        // What is not wanted, or wanted as it stands, need not be read whole.
        let glances = self.texts || !self.filter.is_open();
        let glance = glances.then(|| Glance::of(&message.payload)).flatten();
        if let Some(glance) = &glance {
            self.number(glance, numbered);
            if !self.filter.suits(glance) {
                return;
            }
            if self.texts
                && let Some(text) = Text::enough(&self.filter, glance, place, message)
            {
                self.ready.push_back(Told::Text(text));
                return;
            }
        }
        match record(&self.stream, place, &message.payload) {
            Ok(record) => {
                if glance.is_none() {
                    self.number(&record.envelope.glance(), numbered);
                }
                if self.filter.matches(&record.envelope) {
                    self.ready.push_back(Told::Record(Box::new(record)));
                }
            }
            Err(why) => {
                let sequence = place.sequence;
                self.ready.push_back(Told::Unreadable { sequence, why });
            }
        }
    }

    /// Holds the number of an event against the one before it.
    fn number(&mut self, event: &Glance<'_>, numbered: Numbered) {
        if numbered == Numbered::Unchecked {
            self.ready.extend(self.numbers.check(event));
        }
    }
}
