//! Asking the adapters of a source, and being asked: plain requests beside the stream, of which nothing is kept.

use std::time::Duration;

use async_nats::{StatusCode, Subject, Subscriber};
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use super::connect::{Bus, CALL};
use super::error::BusError;

/// The longest request and the longest answer that is read, in bytes.
const LONGEST: usize = 256 * 1024;

/// Requests that others send to a subject.
#[derive(Debug)]
pub struct Requests {
    bus: Bus,
    subscriber: Subscriber,
}

/// One request.
#[derive(Debug)]
pub struct Request {
    /// What was sent.
    pub payload: Vec<u8>,
    reply: Option<Subject>,
}

impl Requests {
    /// Begins to listen; also over connections that are made anew later.
    ///
    /// # Errors
    ///
    /// [`BusError::Unknown`] where the client takes nothing any more. That we may not listen is not learnt here: then no
    /// request comes.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it listens no more.
    pub async fn listen(bus: &Bus, subject: String) -> Result<Self, BusError> {
        let subscriber = bus
            .client()
            .subscribe(subject)
            .await
            .map_err(|error| BusError::Unknown(error.to_string()))?;
        Ok(Self {
            bus: bus.clone(),
            subscriber,
        })
    }

    /// The next request; `None` where none will come any more.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<Request> {
        loop {
            let message = self.subscriber.next().await?;
            if message.payload.len() <= LONGEST {
                return Some(Request {
                    payload: message.payload.to_vec(),
                    reply: message.reply,
                });
            }
        }
    }

    /// Answers a request, where an answer is wanted and the connection stands.
    ///
    /// # Cancel safety
    ///
    /// Dropped, there may be no answer.
    pub async fn answer(&self, request: &Request, payload: Vec<u8>) {
        let Some(reply) = request.reply.clone().filter(|_| self.bus.is_connected()) else {
            return;
        };
        let sent = self.bus.client().publish(reply, payload.into());
        if !matches!(tokio::time::timeout(CALL, sent).await, Ok(Ok(()))) {
            tracing::debug!("an answer to a request could not be sent");
        }
    }
}

/// Sends a request and gathers answers until `enough` says so of the last one, nobody listens, or the limit is reached.
///
/// # Errors
///
/// [`BusError`]: the connection, or the right to ask. No answer is no error.
///
/// # Cancel safety
///
/// Dropped, the request may have been heard.
pub async fn ask(
    bus: &Bus,
    subject: &str,
    payload: Vec<u8>,
    limit: Duration,
    mut enough: impl FnMut(&[u8]) -> bool,
) -> Result<Vec<Vec<u8>>, BusError> {
    if !bus.is_connected() {
        return Err(bus.away());
    }
    let (mark, client) = (bus.mark(), bus.client());
    let unknown = |error: &dyn std::fmt::Display| BusError::Unknown(error.to_string());
    let inbox = client.new_inbox();
    let mut answers = client
        .subscribe(inbox.clone())
        .await
        .map_err(|error| unknown(&error))?;
    client
        .publish_with_reply(subject.to_owned(), inbox, payload.into())
        .await
        .map_err(|error| unknown(&error))?;
    let (mut found, end) = (Vec::new(), Instant::now() + limit);
    let denied = bus.denied(mark, |denied| denied == subject);
    tokio::pin!(denied);
    loop {
        let message = tokio::select! {
            biased;
            message = timeout_at(end, answers.next()) => message,
            denial = &mut denied => return Err(denial.refusal().into()),
        };
        let Ok(Some(message)) = message else { break };
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            break;
        }
        if message.payload.len() > LONGEST {
            continue;
        }
        let is_enough = enough(&message.payload);
        found.push(message.payload.to_vec());
        if is_enough {
            break;
        }
    }
    Ok(found)
}
