//! The bare way into a stream: atomic batches of bytes that were made before.

use async_nats::{Client, HeaderMap};
use hyper::body::Bytes;
use tokio::time::Instant;

/// A message whose bytes are there already.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub payload: Bytes,
    /// What an event of ours says of itself in its headers; none are sent where it is empty.
    pub told: Vec<(&'static str, String)>,
}

/// Sends batches, one after the other, and gives the seconds it took.
pub async fn send(client: &Client, batches: &[Vec<Ready>]) -> f64 {
    let began = Instant::now();
    for messages in batches {
        let id = format!("{:032x}", fastrand::u128(..));
        for (number, message) in (1..).zip(messages) {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Batch-Id", id.as_str());
            headers.insert("Nats-Batch-Sequence", number.to_string());
            for (name, value) in &message.told {
                headers.insert(*name, value.as_str());
            }
            put(client, message, headers, number == messages.len()).await;
        }
    }
    began.elapsed().as_secs_f64()
}

/// Sends one head with its fence and one event, in one batch, and gives the head's sequence.
pub async fn send_pair(client: &Client, head: &Ready, event: &Ready, expected: u64) -> u64 {
    let id = format!("{:032x}", fastrand::u128(..));
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Batch-Id", id.as_str());
    headers.insert("Nats-Batch-Sequence", "1");
    headers.insert("Nats-Rollup", "sub");
    headers.insert("Nats-TTL", "never");
    headers.insert("Nats-Expected-Last-Subject-Sequence", expected.to_string());
    put(client, head, headers, false).await;
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Batch-Id", id.as_str());
    headers.insert("Nats-Batch-Sequence", "2");
    put(client, event, headers, true).await - 1
}

/// Hands one over; the last one of a batch is answered with its sequence.
async fn put(client: &Client, message: &Ready, mut headers: HeaderMap, is_last: bool) -> u64 {
    let (subject, payload) = (message.subject.clone(), message.payload.clone());
    if !is_last {
        client
            .publish_with_headers(subject, headers, payload)
            .await
            .expect("a connection");
        return 0;
    }
    headers.insert("Nats-Batch-Commit", "1");
    let answer = client
        .request_with_headers(subject, headers, payload)
        .await
        .expect("an answer");
    let answer: serde_json::Value =
        serde_json::from_slice(&answer.payload).expect("an answer in JSON");
    answer["seq"]
        .as_u64()
        .unwrap_or_else(|| panic!("not stored: {answer}"))
}
