//! What is owed from before comes first. Pure.

use std::collections::BTreeMap;

use async_nats::Message;

use super::Place;

/// Holds messages back until everything that was handed out earlier and not acknowledged was given again.
#[derive(Debug, Default)]
pub(super) struct Order {
    owed: u64,
    until: u64,
    held: BTreeMap<u64, (Place, Message)>,
}

impl Order {
    /// So many messages up to this sequence were handed out and not acknowledged.
    pub(super) fn owing(owed: u64, until: u64) -> Self {
        Self {
            owed,
            until,
            held: BTreeMap::new(),
        }
    }

    /// How many are still owed.
    pub(super) fn owed(&self) -> u64 {
        self.owed
    }

    /// Takes one as it comes, and gives those whose turn it is.
    pub(super) fn take(&mut self, place: Place, message: Message) -> Vec<(Place, Message)> {
        if self.owed == 0 {
            return vec![(place, message)];
        }
        // A payload is a slice of the read buffer; what is kept must not hold all of that.
        let payload = message.payload.to_vec().into();
        let kept = (place, Message { payload, ..message });
        let known = self.held.insert(place.sequence, kept).is_some();
        if !known && place.sequence <= self.until {
            self.owed -= 1;
        }
        if self.owed > 0 {
            return Vec::new();
        }
        std::mem::take(&mut self.held).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(order: &mut Order, sequence: u64) -> Vec<u64> {
        let place = Place {
            sequence,
            delivered: 1,
            stored_at: chrono::DateTime::UNIX_EPOCH,
            pending: 0,
        };
        let message = Message {
            subject: "s".into(),
            reply: None,
            payload: Vec::new().into(),
            headers: None,
            status: None,
            description: None,
            length: 0,
        };
        let given = order.take(place, message);
        given.into_iter().map(|(place, _)| place.sequence).collect()
    }

    #[test]
    fn newer_messages_wait_for_those_that_are_owed() {
        let mut order = Order::owing(2, 7);
        assert!(take(&mut order, 9).is_empty());
        assert!(take(&mut order, 7).is_empty());
        // Given twice is given once.
        assert!(take(&mut order, 7).is_empty());
        assert_eq!(take(&mut order, 5), [5, 7, 9]);
        assert_eq!(take(&mut order, 10), [10]);
    }
}
