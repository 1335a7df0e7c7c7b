//! Follows a stream into a view.

use tokio_util::sync::CancellationToken;

use crate::bus::connect::Bus;
use crate::bus::read::{Reader, Told};
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
    reader: &mut Reader,
    view: &mut View,
    broker: Broker<'_>,
    until: Until,
    token: &CancellationToken,
) -> Result<Option<Viewed>, Failure> {
    let left = view.reader();
    loop {
        let told = tokio::select! {
            told = reader.next() => told.map_err(broker_failure)?,
            () = left.left() => return Ok(Some(Viewed::ReaderLeft)),
            () = token.cancelled() => return Ok(Some(Viewed::Enough)),
        };
        match told {
            Told::Record(record) => {
                if let Err(viewed) = view.show(&record).await {
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
        Told::StreamRenewed => say("the stream is another than before: what it held may be gone"),
        Told::Hole {
            source,
            after,
            before,
            ..
        } => say(&format!(
            "{}: events {} to {} are missing and the stream does not have them",
            style.clean(&source, 60),
            after + 1,
            before - 1
        )),
        Told::Unreadable { sequence, why } => {
            say(&format!(
                "message {sequence} of the stream is no event: {}",
                style.clean(&why, 200)
            ));
        }
        Told::Record(_) | Told::CaughtUp(_) => {}
    }
}
