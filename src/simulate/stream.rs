//! The two WebSockets: states and logs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio_websockets::{Message, ServerBuilder};

use super::api::refuse;
use super::shared::Shared;

/// What RFC 6455 appends to the key before it is hashed.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

type Queries = Query<HashMap<String, String>>;

fn names(query: &HashMap<String, String>) -> Vec<String> {
    query
        .get("name")
        .map(|list| {
            list.split(',')
                .filter(|n| !n.is_empty())
                .map(str::to_owned)
                .collect()
        })
        .unwrap_or_default()
}

pub(super) async fn states(
    State(shared): State<Arc<Shared>>,
    Query(query): Queries,
    request: Request,
) -> Response {
    let only: HashSet<String> = names(&query).into_iter().collect();
    upgrade(&shared, request, |shared| shared.follow_states(only))
}

pub(super) async fn logs(
    State(shared): State<Arc<Shared>>,
    Query(query): Queries,
    request: Request,
) -> Response {
    let offset = query.get("offset").map_or("", String::as_str);
    let Ok(tail) = offset.parse::<i64>() else {
        return refuse(&format!("strconv.Atoi: parsing {offset:?}: invalid syntax"));
    };
    let (names, follow) = (
        names(&query),
        query.get("follow").is_some_and(|f| f == "true"),
    );
    upgrade(&shared, request, move |shared| {
        shared.follow_logs(&names, usize::try_from(tail).unwrap_or(0), follow)
    })
}

/// Answers the handshake, and pumps frames once the connection is ours.
fn upgrade(
    shared: &Arc<Shared>,
    mut request: Request,
    follow: impl FnOnce(&Shared) -> mpsc::Receiver<String>,
) -> Response {
    let head = request.headers();
    let text = |name| {
        head.get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    };
    let key = text(header::SEC_WEBSOCKET_KEY).to_owned();
    if key.is_empty() || !text(header::UPGRADE).eq_ignore_ascii_case("websocket") {
        return (StatusCode::BAD_REQUEST, "Bad Request\n").into_response();
    }
    let foreign = head.get(header::ORIGIN).is_some_and(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        origin.split_once("://").map_or(origin, |(_, host)| host) != text(header::HOST)
    });
    if foreign {
        return (StatusCode::FORBIDDEN, "Forbidden\n").into_response();
    }
    let frames = follow(shared);
    let upgraded = hyper::upgrade::on(&mut request);
    shared.tasks.spawn(async move {
        // The other side may have left between the handshake and now.
        if let Ok(connection) = upgraded.await {
            pump(TokioIo::new(connection), frames).await;
        }
    });
    let answer = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept(&key));
    answer
        .body(Body::empty())
        .unwrap_or_else(|_| StatusCode::BAD_REQUEST.into_response())
}

/// Sends frames until there are none or the other side leaves; then the connection just ends, as the real one does.
async fn pump(connection: TokioIo<hyper::upgrade::Upgraded>, mut frames: mpsc::Receiver<String>) {
    let mut socket = ServerBuilder::new().serve(connection);
    loop {
        tokio::select! {
            frame = frames.recv() => match frame {
                Some(frame) => if socket.send(Message::text(frame)).await.is_err() { return },
                None => return,
            },
            message = socket.next() => match message {
                Some(Ok(message)) if !message.is_close() => {}
                _ => return,
            },
        }
    }
}

fn accept(key: &str) -> String {
    let digest = ring::digest::digest(
        &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}{MAGIC}").as_bytes(),
    );
    base64(digest.as_ref())
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for position in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * position)) as usize & 63];
            text.push(if position > chunk.len() {
                '='
            } else {
                char::from(letter)
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_answers_the_example_of_the_rfc() {
        assert_eq!(
            accept("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert_eq!(base64(b"ab"), "YWI=");
        assert_eq!(base64(b"a"), "YQ==");
    }
}
