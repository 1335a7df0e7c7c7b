//! Trouble on demand: what a consumer has to survive besides the truth.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::time::Instant;

use super::line::Peer;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status with this body, as plain text.
    Status(u16, String),
    /// 200 with a page of HTML, as a proxy in between gives.
    Html,
    /// 200 with the first half of the right body: HTTP in order, JSON cut.
    HalfJson,
    /// The connection closes in the middle of the body.
    CutOff,
    /// The request is taken and never answered.
    Hang,
    /// 200 with so many bytes of valid JSON.
    Huge(usize),
    /// The connection closes before an answer.
    Drop,
    /// The right answer, this much later.
    Slow(Duration),
}

/// How long it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// For so many requests.
    Times(u32),
    /// For so long.
    For(Duration),
    /// Until it is lifted.
    Always,
}

/// A fault, for requests whose path begins with something.
#[derive(Debug)]
pub(super) struct Trouble {
    fault: Fault,
    path: String,
    left: Option<u32>,
    until: Option<Instant>,
}

impl Trouble {
    pub(super) fn new(fault: Fault, path: &str, lasting: Lasting) -> Self {
        let (left, until) = match lasting {
            Lasting::Times(times) => (Some(times), None),
            Lasting::For(length) => (None, Some(Instant::now() + length)),
            Lasting::Always => (None, None),
        };
        Self {
            fault,
            path: path.to_owned(),
            left,
            until,
        }
    }

    fn is_over(&self) -> bool {
        self.left == Some(0) || self.until.is_some_and(|at| at <= Instant::now())
    }

    /// The fault this request meets, if any; counts it.
    pub(super) fn meet(troubles: &mut Vec<Self>, path: &str) -> Option<Fault> {
        troubles.retain(|t| !t.is_over());
        let trouble = troubles.iter_mut().find(|t| path.starts_with(&t.path))?;
        if let Some(left) = &mut trouble.left {
            *left -= 1;
        }
        Some(trouble.fault.clone())
    }
}

/// Answers a request that meets a fault.
pub(super) async fn spoil(fault: Fault, request: Request, next: Next) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    match fault {
        Fault::Status(status, body) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, body).into_response()
        }
        Fault::Html => {
            let page = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Sign in</h1></body></html>";
            ([(header::CONTENT_TYPE, "text/html")], page).into_response()
        }
        Fault::Huge(bytes) => {
            let filler = "x".repeat(bytes.saturating_sub(23));
            (json, format!("{{\"data\":[],\"filler\":\"{filler}\"}}")).into_response()
        }
        Fault::Hang => std::future::pending().await,
        Fault::Slow(length) => {
            tokio::time::sleep(length).await;
            next.run(request).await
        }
        Fault::Drop => {
            if let Some(peer) = Peer::of(&request) {
                peer.hang_up();
            }
            std::future::pending().await
        }
        Fault::HalfJson => {
            let body = whole(request, next).await;
            (json, body.slice(..body.len() / 2)).into_response()
        }
        Fault::CutOff => {
            let peer = Peer::of(&request);
            let body = whole(request, next).await;
            let (half, length) = (body.slice(..body.len() / 2), body.len());
            let parts = stream::unfold((Some(half), peer), |(half, peer)| async move {
                if let Some(half) = half {
                    return Some((Ok::<_, std::io::Error>(half), (None, peer)));
                }
                // Long enough for the first half to be on its way.
                tokio::time::sleep(Duration::from_millis(20)).await;
                if let Some(peer) = &peer {
                    peer.hang_up();
                }
                std::future::pending().await
            });
            (
                json,
                [(header::CONTENT_LENGTH, length.to_string())],
                Body::from_stream(parts),
            )
                .into_response()
        }
    }
}

async fn whole(request: Request, next: Next) -> Bytes {
    let answer = next.run(request).await;
    to_bytes(answer.into_body(), usize::MAX)
        .await
        .unwrap_or_default()
}
