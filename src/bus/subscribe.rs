//! The short way for programs of others: subscribe, take records, acknowledge them.

use futures_util::Stream;

use super::connect::Bus;
use super::durable::{Ack, Durable};
use super::error::BusError;
use super::read::{Begin, Reader, Told};
use super::settings::DEFAULT_STREAM;
use crate::event::filter::Filter;
use crate::event::record::Record;
use crate::event::subject::Prefix;

/// Begins a subscription to the events that `filter` lets by.
pub fn subscribe(bus: &Bus, filter: Filter) -> Subscription {
    Subscription {
        bus: bus.clone(),
        filter,
        stream: DEFAULT_STREAM.to_owned(),
        prefix: Prefix::default(),
        from: Begin::Now,
        durable: None,
    }
}

/// A subscription before it is opened.
#[derive(Debug)]
pub struct Subscription {
    pub(super) bus: Bus,
    pub(super) filter: Filter,
    pub(super) stream: String,
    pub(super) prefix: Prefix,
    pub(super) from: Begin,
    pub(super) durable: Option<String>,
}

impl Subscription {
    /// Another stream than `PROCESS_EVENTS`.
    pub fn stream(mut self, name: &str) -> Self {
        name.clone_into(&mut self.stream);
        self
    }

    /// Other first tokens of the subjects than `core`.
    pub fn prefix(mut self, prefix: Prefix) -> Self {
        self.prefix = prefix;
        self
    }

    /// Where to begin; for a durable subscription only the first time.
    pub fn from(mut self, from: Begin) -> Self {
        self.from = from;
        self
    }

    /// Lets the broker remember under this name what was acknowledged, so that a restart goes on where it stopped.
    pub fn durable(mut self, name: &str) -> Self {
        self.durable = Some(name.to_owned());
        self
    }

    /// Opens it.
    ///
    /// # Errors
    ///
    /// A durable subscription is looked up at once, so everything [`BusError`] knows; else nothing.
    ///
    /// # Cancel safety
    ///
    /// Dropped, at most the durable consumer exists.
    pub async fn open(self) -> Result<Deliveries, BusError> {
        let Some(name) = self.durable.clone() else {
            let reader = Reader::live(
                &self.bus,
                &self.stream,
                &self.prefix,
                self.filter,
                self.from,
            );
            return Ok(Deliveries(Way::Live(Box::new(reader))));
        };
        if !is_name(&name) {
            return Err(BusError::Invalid(
                "the name of a durable subscription has letters, digits, '-' and '_'".to_owned(),
            ));
        }
        let mut durable = Durable::new(self, name);
        durable.open().await?;
        Ok(Deliveries(Way::Durable(Box::new(durable))))
    }
}

/// Whether the broker may remember something under this name.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '=');
    !name.is_empty() && name.len() <= 200 && name.chars().all(allowed)
}

/// A record and the right to acknowledge it.
#[derive(Debug)]
pub struct Delivery {
    /// The record.
    pub record: Record,
    pub(super) ack: Option<Ack>,
}

impl Delivery {
    /// Says that the record was dealt with, and waits until the broker has noted it; nothing to do unless durable.
    ///
    /// # Errors
    ///
    /// [`BusError::Unknown`] and [`BusError::Unreachable`]: the record may be given again.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the record may be given again.
    pub async fn ack(&self) -> Result<(), BusError> {
        match &self.ack {
            Some(ack) => ack.send().await,
            None => Ok(()),
        }
    }
}

/// The records of a subscription, one after the other. Nothing runs unless they are awaited.
pub struct Deliveries(Way);

enum Way {
    Live(Box<Reader>),
    Durable(Box<Durable>),
}

impl Deliveries {
    /// Waits for the next record; it does not end by itself. Notices of a reader (a hole, a lost link) go to the log.
    ///
    /// # Errors
    ///
    /// Only what waiting does not mend.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost; what was not acknowledged is given again.
    pub async fn next(&mut self) -> Result<Delivery, BusError> {
        match &mut self.0 {
            Way::Durable(durable) => durable.next().await,
            Way::Live(reader) => loop {
                match reader.next().await? {
                    Told::Record(record) => {
                        return Ok(Delivery {
                            record: *record,
                            ack: None,
                        });
                    }
                    Told::CaughtUp(_) => {}
                    notice => tracing::warn!(?notice, "while reading the stream"),
                }
            },
        }
    }

    /// The same as a stream, which ends behind an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Delivery, BusError>> {
        futures_util::stream::unfold(Some(self), |deliveries| async {
            let mut deliveries = deliveries?;
            match deliveries.next().await {
                Ok(delivery) => Some((Ok(delivery), Some(deliveries))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}
