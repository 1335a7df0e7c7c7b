//! Serving whoever comes, without ever waiting for them.
//!
//! One question for each connection, which is over after a while whatever the other side does. There are never more than
//! so many at a time: who comes then is served, and the one who came first is sent away. So those who say nothing, read
//! nothing or come in crowds cost a bounded number of descriptors and some memory, and hold up nobody.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::board::Board;
use super::door::{Door, Listener};
use super::error::ListenError;
use super::host::Reach;
use super::place::Place;
use super::route::{Answer, Question, Router};

/// So many connections at a time, for each door.
const MOST: usize = 32;
/// How long a question may take to arrive.
const ASKING: Duration = Duration::from_secs(5);
/// How long a connection may last.
const LIFE: Duration = Duration::from_secs(30);
/// The most that a question may be, in bytes.
const LONGEST: usize = 16 * 1024;
/// So many headers at the most.
const HEADERS: usize = 64;
/// Doors that may wait until the server looks at them.
const DOORS: usize = 16;
/// Pause after nobody could be let in.
const PAUSE: Duration = Duration::from_millis(50);

/// Answers from a board at every door that is opened.
#[derive(Debug)]
pub struct Server {
    router: Arc<Router>,
    doors: mpsc::Receiver<(Door, CancellationToken)>,
}

/// Opens doors for a server.
#[derive(Debug, Clone)]
pub struct Reception {
    doors: mpsc::Sender<(Door, CancellationToken)>,
}

/// A door that is open until this is dropped.
#[derive(Debug)]
#[must_use = "dropped, the door is closed"]
pub struct Open {
    /// The place, with the port that was given.
    pub place: Place,
    _closes: DropGuard,
}

/// A server that does nothing until it is run, and what opens its doors.
pub fn server(board: Board) -> (Server, Reception) {
    let (sender, doors) = mpsc::channel(DOORS);
    let router = Arc::new(Router::new(board));
    (Server { router, doors }, Reception { doors: sender })
}

impl Reception {
    /// Takes a place; who comes there is answered as soon as the server runs.
    ///
    /// # Errors
    ///
    /// The place cannot be had; [`ListenError::kind`] says whether another one is needed.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the place is given back.
    pub async fn open(&self, place: &Place) -> Result<Open, ListenError> {
        let door = Door::open(place).await?;
        let (place, token) = (door.place.clone(), CancellationToken::new());
        let sent = self.doors.send((door, token.clone())).await;
        sent.map_err(|_| ListenError::System {
            place: place.to_string(),
            source: io::Error::other("the server has ended"),
        })?;
        Ok(Open {
            place,
            _closes: token.drop_guard(),
        })
    }
}

impl Server {
    /// Serves until the token is cancelled; sockets are removed by then.
    ///
    /// # Cancel safety
    ///
    /// Dropped, every door is closed and every connection is cut.
    pub async fn run(mut self, token: CancellationToken) {
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = token.cancelled() => break,
                Some(ended) = open.join_next(), if !open.is_empty() => report(ended),
                Some((door, closing)) = self.doors.recv() => {
                    let router = Arc::clone(&self.router);
                    let token = token.child_token();
                    open.spawn(async move {
                        tokio::select! {
                            biased;
                            () = closing.cancelled() => {}
                            () = token.cancelled() => {}
                            () = attend(&door, router) => {}
                        }
                    });
                }
                else => {
                    // Nobody can open another door any more.
                    token.cancelled().await;
                    break;
                }
            }
        }
        while let Some(ended) = open.join_next().await {
            report(ended);
        }
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "what served somebody ended badly");
    }
}

/// Serves at one door, for ever.
async fn attend(door: &Door, router: Arc<Router>) {
    let mut guests = Guests::default();
    loop {
        let come = match &door.listener {
            Listener::Tcp(listener) => {
                let come = listener.accept().await;
                come.map(|(stream, _)| guests.serve(stream, door.reach, &router))
            }
            Listener::Unix(listener) => {
                let come = listener.accept().await;
                come.map(|(stream, _)| guests.serve(stream, door.reach, &router))
            }
        };
        if let Err(error) = come {
            tracing::debug!(%error, "nobody can be let in");
            sleep(PAUSE).await;
        }
    }
}

/// Those who are served; all of them are sent away when it is dropped.
#[derive(Default)]
struct Guests {
    tasks: JoinSet<()>,
    /// In the order in which they came.
    order: VecDeque<AbortHandle>,
}

impl Guests {
    fn serve(
        &mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        reach: Reach,
        router: &Arc<Router>,
    ) {
        while let Some(ended) = self.tasks.try_join_next() {
            report(ended);
        }
        self.order.retain(|guest| !guest.is_finished());
        if self.order.len() >= MOST
            && let Some(first) = self.order.pop_front()
        {
            first.abort();
        }
        let task = serve(stream, reach, Arc::clone(router));
        self.order.push_back(self.tasks.spawn(task));
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    reach: Reach,
    router: Arc<Router>,
) {
    let answers = service_fn(move |request: Request<Incoming>| {
        let answer = router.answer(Question {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            reach,
        });
        std::future::ready(Ok::<_, Infallible>(response(answer)))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ASKING)
        .max_buf_size(LONGEST)
        .max_headers(HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answers);
    if let Ok(Err(error)) = timeout(LIFE, connection).await {
        tracing::trace!(%error, "a connection broke off");
    }
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    let caching = if answer.tag.is_some() {
        "no-cache"
    } else {
        "no-store"
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if answer.status != StatusCode::NOT_MODIFIED {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.media));
    }
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    if let Some(tag) = answer.tag.and_then(|tag| tag.parse().ok()) {
        headers.insert(ETAG, tag);
    }
    response
}
