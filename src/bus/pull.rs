//! Asking a consumer for messages: one request at a time, or two for what is stored already, a heartbeat while it stands,
//! and an error at the least doubt.

use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::connect::{Bus, CALL};
use super::consumer::{BEAT, SILENCE, nanos};
use super::error::{BusError, clean};
use super::link::Link;

/// How long one request for messages stands.
const EXPIRES: Duration = Duration::from_secs(30);

/// The place where messages that were asked for arrive.
pub(super) struct Pull {
    inbox: String,
    messages: Subscriber,
    left: u64,
    /// How many messages the last request was for.
    last: u64,
    heard: Instant,
    /// Whether the request that stands is for what is stored already.
    stored: bool,
}

/// What came.
pub(super) enum Pulled {
    Message(Message),
    /// A heartbeat, or the end of a request that ran out.
    Quiet,
}

impl Pull {
    /// Begins to listen; nothing is asked for yet.
    pub(super) async fn open(bus: &Bus) -> Result<Self, BusError> {
        let inbox = bus.client().new_inbox();
        let messages = timeout(CALL, bus.client().subscribe(inbox.clone()))
            .await
            .map_err(|_| BusError::Unknown("the client takes no subscription".to_owned()))?
            .map_err(|error| BusError::Unknown(clean(&error.to_string())))?;
        Ok(Self {
            inbox,
            messages,
            left: 0,
            last: 0,
            heard: Instant::now(),
            stored: false,
        })
    }

    /// How many messages of the requests that stand have not come yet.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Asks for so many messages; only where nothing is left of an earlier request.
    pub(super) async fn ask(&mut self, bus: &Bus, path: &str, batch: u64) -> Result<(), BusError> {
        self.stored = false;
        self.left = 0;
        let body =
            json!({ "batch": batch, "expires": nanos(EXPIRES), "idle_heartbeat": nanos(BEAT) });
        self.send(bus, path, (batch, &body)).await
    }

    /// Asks for so many of the messages that are stored already; where there are fewer, that ends the request. It may follow
    /// while one request stands, so that the server need not wait for us.
    pub(super) async fn ask_stored(
        &mut self,
        bus: &Bus,
        path: &str,
        batch: u64,
    ) -> Result<(), BusError> {
        self.stored = true;
        let body = json!({ "batch": batch, "no_wait": true });
        self.send(bus, path, (batch, &body)).await
    }

    async fn send(
        &mut self,
        bus: &Bus,
        path: &str,
        (batch, body): (u64, &Value),
    ) -> Result<(), BusError> {
        let subject = bus.api_subject(&format!("CONSUMER.MSG.NEXT.{path}"));
        let request =
            bus.client()
                .publish_with_reply(subject, self.inbox.clone(), body.to_string().into());
        timeout(CALL, request)
            .await
            .map_err(|_| BusError::Unknown("the client takes no request".to_owned()))?
            .map_err(|error| BusError::Unknown(clean(&error.to_string())))?;
        self.left += batch;
        self.last = batch;
        // What passed while nothing was asked for was no silence.
        self.heard = Instant::now();
        Ok(())
    }

    /// Waits for what comes.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(super) async fn next(
        &mut self,
        name: &str,
        link: &mut watch::Receiver<Link>,
    ) -> Result<Pulled, BusError> {
        // What stands ready needs no timer.
        let message = if let Some(message) = self.messages.next().now_or_never() {
            message
        } else {
            tokio::select! {
                biased;
                message = timeout_at(self.heard + SILENCE, self.messages.next()) => message.ok().flatten(),
                // Whatever happened to the connection, the server knows nothing of our request any more.
                _ = link.changed() => return Err(BusError::Busy("the connection broke".to_owned())),
            }
        };
        let Some(message) = message else {
            return Err(BusError::Unknown(format!("consumer {name} fell silent")));
        };
        self.heard = Instant::now();
        match message.status.map(|status| status.as_u16()) {
            None => {
                self.left = self.left.saturating_sub(1);
                Ok(Pulled::Message(message))
            }
            Some(100) => Ok(Pulled::Quiet),
            // Of two requests nobody says which one ended, and how much of the other is still to come.
            Some(404 | 408) if self.stored && self.left > self.last => {
                Err(BusError::Busy(format!("consumer {name} ended a request")))
            }
            // The request ran out; the next one follows.
            Some(408) => {
                self.left = 0;
                Ok(Pulled::Quiet)
            }
            // Less is stored than was asked for.
            Some(404) if self.stored => {
                self.left = 0;
                Ok(Pulled::Quiet)
            }
            Some(status) => {
                let why = clean(message.description.as_deref().unwrap_or_default());
                Err(BusError::Busy(format!("consumer {name}: {status} {why}")))
            }
        }
    }
}
