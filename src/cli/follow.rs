//! Follows a stream into a view.

use std::pin::pin;

use tokio_util::sync::CancellationToken;

use crate::bus::connect::Bus;
use crate::bus::durable_reader::DurableReader;
use crate::bus::error::BusError;
use crate::bus::read::{Reader, Told};
use crate::event::record::Record;
use crate::event::store::Root;
use crate::render::notice::{Away, Side};

use super::exit::Failure;
use super::open::broker_failure;
use super::terminal::{say, words};
use super::view::{View, Viewed};

/// The broker that is read from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Broker<'a> {
    pub(super) bus: &'a Bus,
    /// Its address, without secrets.
    pub(super) address: &'a str,
    pub(super) says: Says,
}

/// Whether the reader says that the broker left and is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// It does.
    Links,
    /// An adapter beside it does.
    Nothing,
}

/// What is read from.
pub(super) enum Tape {
    /// The stream, from a place of our own.
    Live(Box<Reader>),
    /// The stream, from where the broker remembers that we stopped.
    Durable(Box<DurableReader>),
}

impl Tape {
    /// Tells how far a source's numbers went when the place had just been taken.
    pub(super) fn knows(&mut self, root: &Root) {
        if let Self::Live(reader) = self {
            reader.knows(&root.source, &root.journal, root.seq);
        }
    }

    /// Begins to read ahead, behind a place that is taken.
    pub(super) async fn read_ahead(&mut self) {
        if let Self::Live(reader) = self {
            reader.read_ahead().await;
        }
    }

    async fn next(&mut self) -> Result<Told, BusError> {
        match self {
            Self::Live(reader) => reader.next().await,
            Self::Durable(reader) => reader.next().await,
        }
    }

    /// Shows a record. One that the broker waits for is acknowledged when its line is written, and not before.
    async fn show(&mut self, view: &mut View, record: &Record) -> Result<(), Viewed> {
        let shown = view.show(record).await;
        if let Self::Durable(reader) = self
            && shown != Err(Viewed::ReaderLeft)
        {
            view.written().await?;
            reader.done().await;
        }
        shown
    }

    /// Ends in order.
    pub(super) async fn leave(self) {
        if let Self::Durable(reader) = self {
            reader.leave().await;
        }
    }
}

/// How long to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Until everything that is stored has been shown.
    CaughtUp,
    /// Until the view is over.
    Ever,
}

/// Shows what a reader tells; `None` where all that was stored has been shown and no more was wanted.
pub(super) async fn follow(
    tape: &mut Tape,
    view: &mut View,
    broker: Broker<'_>,
    until: Until,
    token: &CancellationToken,
) -> Result<Option<Viewed>, Failure> {
    let reader = view.reader();
    // Made once: each beginning anew would look after the reader again, which is a system call for each event.
    let (mut left, mut asked) = (pin!(reader.left()), pin!(token.cancelled()));
    loop {
        let told = tokio::select! {
            told = tape.next() => told.map_err(broker_failure)?,
            () = &mut left => return Ok(Some(Viewed::ReaderLeft)),
            () = &mut asked => return Ok(Some(Viewed::Asked)),
        };
        match told {
            Told::Record(record) => {
                // A reader that stands still must not keep us from ending.
                let Some(shown) = token.run_until_cancelled(tape.show(view, &record)).await else {
                    return Ok(Some(Viewed::Asked));
                };
                if let Err(viewed) = shown {
                    return Ok(Some(viewed));
                }
            }
            Told::Text(text) => {
                let Some(shown) = token.run_until_cancelled(view.show_live(&text)).await else {
                    return Ok(Some(Viewed::Asked));
                };
                if let Err(viewed) = shown {
                    return Ok(Some(viewed));
                }
            }
            Told::CaughtUp(_) if until == Until::CaughtUp => return Ok(None),
            other => note(other, broker),
        }
    }
}

/// What a reader tells that is no event.
fn note(told: Told, broker: Broker<'_>) {
    let style = words();
    match told {
        Told::LinkLost { .. } | Told::LinkBack if broker.says == Says::Nothing => {}
        Told::LinkLost { why } if broker.bus.link().borrow().is_connected() => say(&format!(
            "the stream cannot be read: {}; waiting for it",
            style.clean(&why, 200)
        )),
        Told::LinkLost { why } => say(&Away {
            side: Side::Broker,
            name: broker.address,
        }
        .left(style, &why)),
        Told::LinkBack => say("the stream can be read again, from where reading stopped"),
        Told::Expired { after, before } => say(&format!(
            "what the stream held from {} to {} expired before it was read; whether events were among it is not known",
            after + 1,
            before - 1
        )),
        Told::StreamRenewed => say("the stream is another than before: what it held may be gone"),
        Told::Hole {
            source,
            after,
            before,
            ..
        } => say(&format!(
            "{}: {} events ({} to {}) are missing: the stream does not have them any more",
            style.clean(&source, 60),
            before - after - 1,
            after + 1,
            before - 1
        )),
        Told::Unreadable { sequence, why } => {
            say(&format!(
                "message {sequence} of the stream is no event: {}",
                style.clean(&why, 200)
            ));
        }
        Told::Record(_) | Told::Text(_) | Told::CaughtUp(_) => {}
    }
}
