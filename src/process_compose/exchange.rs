//! One question and its answer on one connection.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Context;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use super::connect::Pipe;
use crate::event::room::make_room;

/// More of a connection's input than this is never buffered ahead of its reader, in bytes.
const READ_AHEAD: usize = 64 * 1024;

/// A connection that moves only while a question is under way.
pub(super) struct Kept {
    sender: SendRequest<Empty<Bytes>>,
    /// Gone when the connection has ended: only then does the sender learn of it.
    driver: Option<Driver>,
}

type Driver = http1::Connection<TokioIo<Box<dyn Pipe>>, Empty<Bytes>>;

/// Why an exchange on one connection came to nothing.
pub(super) enum Problem {
    /// No answer began: a kept connection was closed meanwhile.
    NoAnswer(hyper::Error),
    /// The answer began and broke off.
    Broken(hyper::Error),
    /// The answer is larger than the limit.
    TooLarge,
    /// The answer did not end in time.
    Late,
}

impl Kept {
    pub(super) async fn new(pipe: Box<dyn Pipe>) -> Result<Self, Problem> {
        let handshake = http1::Builder::new()
            .max_buf_size(READ_AHEAD)
            .handshake(TokioIo::new(pipe))
            .await;
        let (sender, driver) = handshake.map_err(Problem::NoAnswer)?;
        Ok(Self {
            sender,
            driver: Some(driver),
        })
    }

    /// Whether another question may be tried on it.
    pub(super) fn is_usable(&self) -> bool {
        self.driver.is_some() && !self.sender.is_closed()
    }

    /// Asks, and reads the answer whole. `room` bytes are set aside for it from the start.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Empty<Bytes>>,
        limit: usize,
        room: usize,
    ) -> Result<(Response<()>, Vec<u8>), Problem> {
        let Self { sender, driver } = self;
        let work = async move {
            sender.ready().await.map_err(Problem::NoAnswer)?;
            let answer = sender
                .send_request(request)
                .await
                .map_err(Problem::NoAnswer)?;
            let (parts, body) = answer.into_parts();
            let bytes = read_body(body, limit, room).await?;
            Ok((Response::from_parts(parts, ()), bytes))
        };
        let mut work = pin!(work);
        poll_fn(|context| {
            drive(driver, context);
            let outcome = work.as_mut().poll(context);
            if outcome.is_ready() {
                // the connection learns that the body is read, and becomes idle or closes
                drive(driver, context);
            }
            outcome
        })
        .await
    }
}

/// Moves the connection; its failure, if any, reaches the question under way.
fn drive(driver: &mut Option<Driver>, context: &mut Context<'_>) {
    if let Some(connection) = driver
        && pin!(connection).poll(context).is_ready()
    {
        *driver = None;
    }
}

async fn read_body(mut body: Incoming, limit: usize, room: usize) -> Result<Vec<u8>, Problem> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(Problem::TooLarge);
    }
    // an announcement is no reason to set memory aside
    let mut bytes = Vec::new();
    make_room(&mut bytes, announced.min(READ_AHEAD).max(room.min(limit)));
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(Problem::Broken)?.into_data() else {
            continue;
        };
        if bytes.len() + chunk.len() > limit {
            return Err(Problem::TooLarge);
        }
        make_room(&mut bytes, chunk.len());
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
