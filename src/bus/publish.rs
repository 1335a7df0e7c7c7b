//! Committing: a root, the shards that changed and the events behind it, in one atomic batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_nats::{HeaderMap, Message, Subscriber};
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::time::{Instant, timeout, timeout_at};

use super::api::{Fault, code};
use super::connect::{ANSWER, Bus, CALL, Mark};
use super::error::{BusError, Refusal, clean};
use super::{head, stream};
use crate::event::envelope::{HEADER_ID, HEADER_ORIGIN, HEADER_SCHEMA, HEADER_SOURCE, SCHEMA};
use crate::event::store::{Commit, EventStore, Head, StoreError};
use crate::event::subject::Prefix;

/// The server drops the connection on a control line near 4 kB; ours hold a subject and an inbox.
const LONGEST_SUBJECT: usize = 3500;
/// An incomplete batch so many times in a row is no accident: some message of it never arrives.
const INCOMPLETE_IN_A_ROW: u32 = 3;
/// How long the word of a violation may lag behind the answer it caused.
const LAG: Duration = Duration::from_millis(200);

/// The events of one stream, written and read by sources' adapters.
#[derive(Debug, Clone)]
pub struct JetStreamStore {
    bus: Bus,
    stream: Arc<str>,
    prefix: Prefix,
    incomplete: Arc<AtomicU32>,
}

impl JetStreamStore {
    /// A store on a stream that [`super::stream::ensure`] has looked after.
    pub fn new(bus: Bus, stream: &str, prefix: Prefix) -> Self {
        Self {
            bus,
            stream: stream.into(),
            prefix,
            incomplete: Arc::default(),
        }
    }

    /// The connection.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    async fn store(&self, commit: &Commit<'_>) -> Result<u64, StoreError> {
        let batch_id = fresh_id();
        let messages = messages(commit, &self.prefix, &self.stream, &batch_id)?;
        for message in &messages {
            message.check(self.bus.client().max_payload())?;
        }
        if !self.bus.is_connected() {
            return Err(StoreError::Away);
        }
        let count = messages.len();
        let subjects: Vec<_> = messages
            .iter()
            .map(|message| message.subject.clone())
            .collect();
        let mark = self.bus.mark();
        let concerns = |denied: &str| subjects.iter().any(|subject| subject == denied);
        let verdict = tokio::select! {
            biased;
            verdict = timeout(CALL, self.send(messages)) => verdict.unwrap_or_else(|_| Err(no_answer())),
            denial = self.bus.denied(mark, concerns) => return Err(BusError::from(denial.refusal()).into()),
            () = self.bus.lost() => Err(BusError::Unknown("the connection broke".to_owned())),
        };
        let fault = match verdict? {
            Verdict::Stored(sequence) => {
                self.incomplete.store(0, Ordering::Relaxed);
                return Ok(sequence.saturating_sub(count as u64 - 1));
            }
            Verdict::NobodyListens => {
                return Err(stream::absence(&self.bus, &self.stream, &subjects[0])
                    .await
                    .into());
            }
            Verdict::Fault(fault) => fault,
        };
        self.judge(&fault, mark, &subjects).await
    }

    async fn judge(
        &self,
        fault: &Fault,
        mark: Mark,
        subjects: &[String],
    ) -> Result<u64, StoreError> {
        if fault.err_code != code::BATCH_INCOMPLETE {
            self.incomplete.store(0, Ordering::Relaxed);
            return Err(judge(fault, &self.stream));
        }
        // A message the server did not let through leaves the batch incomplete; the word of it takes another way.
        let concerns = |denied: &str| subjects.iter().any(|subject| subject == denied);
        if let Ok(denial) = timeout(LAG, self.bus.denied(mark, concerns)).await {
            return Err(BusError::from(denial.refusal()).into());
        }
        if self.incomplete.fetch_add(1, Ordering::Relaxed) + 1 < INCOMPLETE_IN_A_ROW {
            return Err(StoreError::Busy(fault.text()));
        }
        Err(self.uncovered(subjects).await.into())
    }

    /// Why a batch stays incomplete again and again.
    async fn uncovered(&self, subjects: &[String]) -> BusError {
        for subject in subjects {
            match stream::absence(&self.bus, &self.stream, subject).await {
                BusError::Busy(_) => {}
                found => return found,
            }
        }
        Refusal::new(
            format!(
                "stream {} left a batch incomplete {INCOMPLETE_IN_A_ROW} times in a row",
                self.stream
            ),
            "every message of a batch to arrive",
            "check the broker's subject mappings and this user's permissions",
        )
        .into()
    }

    /// Sends all and waits for the word on the last; the first is asked too, because its error is the true cause of the
    /// "incomplete" that the last then gets.
    async fn send(&self, messages: Vec<Outbound>) -> Result<Verdict, BusError> {
        let client = self.bus.client();
        let inbox = client.new_inbox();
        let mut answers = client
            .subscribe(format!("{inbox}.*"))
            .await
            .map_err(|error| BusError::Unknown(clean(&error.to_string())))?;
        let last = messages.len();
        for (number, message) in (1..).zip(messages) {
            let sent = if number == last {
                let reply = format!("{inbox}.last");
                client
                    .publish_with_reply_and_headers(
                        message.subject,
                        reply,
                        message.headers,
                        message.payload.into(),
                    )
                    .await
            } else if number == 1 {
                let reply = format!("{inbox}.first");
                client
                    .publish_with_reply_and_headers(
                        message.subject,
                        reply,
                        message.headers,
                        message.payload.into(),
                    )
                    .await
            } else {
                client
                    .publish_with_headers(message.subject, message.headers, message.payload.into())
                    .await
            };
            sent.map_err(|error| BusError::Unknown(clean(&error.to_string())))?;
        }
        verdict(&mut answers).await
    }
}

impl EventStore for JetStreamStore {
    async fn read_head(&self, source: &str) -> Result<Option<Head>, StoreError> {
        Ok(head::read_head(&self.bus, &self.stream, &self.prefix, source).await?)
    }

    async fn commit(&self, commit: Commit<'_>) -> Result<u64, StoreError> {
        self.store(&commit).await
    }

    fn is_connected(&self) -> bool {
        self.bus.is_connected()
    }
}

/// What the broker said to a commit.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Stored; the sequence of the last message.
    Stored(u64),
    Fault(Fault),
    NobodyListens,
}

#[derive(Deserialize)]
struct Ack {
    error: Option<Fault>,
    #[serde(default)]
    seq: u64,
}

async fn verdict(answers: &mut Subscriber) -> Result<Verdict, BusError> {
    let until = Instant::now() + ANSWER;
    let mut cause = None;
    loop {
        let Ok(answer) = timeout_at(until, answers.next()).await else {
            // The first message was refused and the last got no word: the refusal is the word.
            return cause.map(Verdict::Fault).ok_or_else(no_answer);
        };
        let Some(answer) = answer else {
            return Err(BusError::Unknown("the client closed".to_owned()));
        };
        let first = answer.subject.ends_with(".first");
        match (read(&answer)?, first) {
            (Some(Verdict::Fault(fault)), true) => cause = Some(fault),
            (Some(Verdict::Fault(fault)), false) if fault.err_code == code::BATCH_INCOMPLETE => {
                return Ok(Verdict::Fault(cause.unwrap_or(fault)));
            }
            (Some(verdict), false) => return Ok(verdict),
            // Note was taken of the batch; or nothing listens, which the last message is told too.
            (None, _) | (Some(_), true) => {}
        }
    }
}

/// One answer; `None` for the empty one that merely takes note of a batch.
fn read(answer: &Message) -> Result<Option<Verdict>, BusError> {
    if answer.status == Some(async_nats::StatusCode::NO_RESPONDERS) {
        return Ok(Some(Verdict::NobodyListens));
    }
    if answer.payload.is_empty() {
        return Ok(None);
    }
    let ack: Ack = serde_json::from_slice(&answer.payload).map_err(|error| {
        BusError::Unknown(format!(
            "an answer that cannot be read: {}",
            clean(&error.to_string())
        ))
    })?;
    Ok(Some(
        ack.error.map_or(Verdict::Stored(ack.seq), Verdict::Fault),
    ))
}

fn no_answer() -> BusError {
    BusError::Unknown(format!(
        "no answer to a commit within {} s",
        ANSWER.as_secs()
    ))
}

/// What an error of the broker means for who commits.
fn judge(fault: &Fault, stream: &str) -> StoreError {
    let lacking = |what, key| StoreError::Refused(stream::lacking(stream, what, key).to_string());
    match (fault.err_code, fault.code) {
        (code::FENCE | code::FENCE_IN_FLIGHT, _) => StoreError::Fenced,
        (code::BATCH_DISABLED, _) => lacking("atomic batches", "allow_atomic"),
        (code::ROLLUP_FORBIDDEN, _) => lacking("rollup headers", "allow_rollup_hdrs"),
        (code::TTL_DISABLED, _) => lacking("message TTLs", "allow_msg_ttl"),
        (code::MESSAGE_TOO_LARGE | code::BATCH_TOO_LARGE, _) => StoreError::Invalid(format!(
            "stream {stream} does not take a message or batch of this size: {}; raise its max_msg_size",
            fault.text()
        )),
        (code::OTHER_STREAM, _) => StoreError::Refused(
            Refusal::new(
                format!(
                    "another stream than {stream} takes our subjects: {}",
                    fault.text()
                ),
                format!("them in stream {stream}"),
                "choose that stream by --stream, or other subjects by --subject-prefix",
            )
            .to_string(),
        ),
        (code::STREAM_NOT_FOUND, _) => StoreError::NoStream,
        (
            code::BATCH_INCOMPLETE
            | code::TOO_MANY_BATCHES
            | code::STORE_FAILED
            | code::INSUFFICIENT_STORAGE
            | code::INSUFFICIENT_RESOURCES,
            _,
        )
        | (_, 429 | 500..) => StoreError::Busy(fault.text()),
        _ => StoreError::Refused(
            Refusal::new(
                format!("stream {stream} refuses a commit: {}", fault.text()),
                "a stream that takes it",
                "see observe doctor",
            )
            .to_string(),
        ),
    }
}

/// One message on its way out.
#[derive(Debug)]
struct Outbound {
    subject: String,
    headers: HeaderMap,
    payload: Vec<u8>,
}

impl Outbound {
    /// What cannot be sent is found here, because a client that hands it over loses its connection.
    fn check(&self, max_payload: usize) -> Result<(), BusError> {
        let subject = &self.subject;
        if subject.len() > LONGEST_SUBJECT {
            return Err(BusError::Invalid(format!(
                "a subject of {} bytes is too long: {}; choose a shorter --subject-prefix",
                subject.len(),
                clean(subject)
            )));
        }
        let headers: usize = self
            .headers
            .iter()
            .flat_map(|(name, values)| {
                values
                    .iter()
                    .map(move |value| AsRef::<str>::as_ref(name).len() + value.as_str().len() + 4)
            })
            .sum();
        // Two line ends and the version line of the headers.
        let size = self.payload.len() + headers + 16;
        if size > max_payload {
            return Err(BusError::Invalid(format!(
                "a message of {size} bytes for {subject} is larger than the broker's max_payload of {max_payload}; raise it there"
            )));
        }
        Ok(())
    }
}

/// The messages of a commit in their order: root, shards, events.
fn messages(
    commit: &Commit<'_>,
    prefix: &Prefix,
    stream: &str,
    batch_id: &str,
) -> Result<Vec<Outbound>, BusError> {
    let root = serde_json::to_vec(commit.root)
        .map_err(|error| BusError::Invalid(format!("a root cannot be written: {error}")))?;
    let mut headers = head_headers(stream);
    headers.insert(
        "Nats-Expected-Last-Subject-Sequence",
        commit.expected.to_string(),
    );
    let mut messages = vec![Outbound {
        subject: prefix.head_root(commit.source),
        headers,
        payload: root,
    }];
    messages.extend(commit.shards.iter().map(|(number, rows)| Outbound {
        subject: prefix.head_shard(commit.source, *number),
        headers: head_headers(stream),
        payload: rows.clone(),
    }));
    messages.extend(commit.events.iter().map(|event| {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Stream", stream);
        headers.insert(HEADER_SCHEMA, SCHEMA.to_string());
        headers.insert(HEADER_ID, one_line(&event.id));
        headers.insert(HEADER_SOURCE, one_line(commit.source));
        headers.insert(HEADER_ORIGIN, event.origin);
        Outbound {
            subject: event.subject.clone(),
            headers,
            payload: event.payload.clone(),
        }
    }));
    // A root alone is a plain publish: a batch of one would cost ten times as much.
    let count = messages.len();
    if count > 1 {
        for (number, message) in (1..).zip(&mut messages) {
            message.headers.insert("Nats-Batch-Id", batch_id);
            message
                .headers
                .insert("Nats-Batch-Sequence", number.to_string());
            if number == count {
                message.headers.insert("Nats-Batch-Commit", "1");
            }
        }
    }
    Ok(messages)
}

fn head_headers(stream: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Stream", stream);
    headers.insert("Nats-Rollup", "sub");
    headers.insert("Nats-TTL", "never");
    headers
}

/// A header ends at a line break, and the connection with it.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '_' } else { c })
        .collect()
}

/// An id no attempt ever had: a straggler of another must never fall into this one.
fn fresh_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::event::store::{HEAD_FORMAT, Identity, Outgoing, Root};

    fn root() -> Root {
        Root {
            format: HEAD_FORMAT,
            source: "shop".into(),
            journal: "j".into(),
            seq: 1,
            epoch: "e".into(),
            connected: true,
            adapter: "a".into(),
            commit: "c".into(),
            looked_at: "2026-08-20T07:18:04Z".parse().unwrap(),
            interval_ms: 2000,
            shards: Vec::new(),
            identity: Identity::default(),
        }
    }

    fn header<'m>(message: &'m Outbound, name: &str) -> Option<&'m str> {
        message
            .headers
            .get(name)
            .map(async_nats::HeaderValue::as_str)
    }

    #[test]
    fn a_commit_is_root_then_shards_then_events_in_one_batch() {
        let event = Outgoing {
            subject: "core.process.n.p.started".into(),
            id: "shop.j.1".into(),
            origin: "change",
            payload: b"{}".to_vec(),
        };
        let shards = BTreeMap::from([(0, b"r".to_vec()), (3, b"s".to_vec())]);
        let (root, events) = (root(), [event.clone(), event]);
        let commit = Commit {
            source: "shop",
            root: &root,
            expected: 7,
            shards: &shards,
            events: &events,
        };
        let messages = messages(&commit, &Prefix::default(), "S", "id").unwrap();
        let subjects: Vec<_> = messages.iter().map(|m| m.subject.as_str()).collect();
        assert_eq!(
            subjects,
            [
                "core.head.shop",
                "core.head.shop.0",
                "core.head.shop.3",
                "core.process.n.p.started",
                "core.process.n.p.started"
            ]
        );
        for (number, message) in (1..).zip(&messages) {
            assert_eq!(header(message, "Nats-Batch-Id"), Some("id"));
            assert_eq!(
                header(message, "Nats-Batch-Sequence"),
                Some(number.to_string().as_str())
            );
            assert_eq!(
                header(message, "Nats-Batch-Commit"),
                (number == 5).then_some("1")
            );
            assert_eq!(header(message, "Nats-Expected-Stream"), Some("S"));
            assert_eq!(
                header(message, "Nats-Rollup"),
                (number <= 3).then_some("sub")
            );
            assert_eq!(
                header(message, "Nats-TTL"),
                (number <= 3).then_some("never")
            );
            let expected = (number == 1).then_some("7");
            assert_eq!(
                header(message, "Nats-Expected-Last-Subject-Sequence"),
                expected
            );
            assert_eq!(header(message, "Nats-Msg-Id"), None);
        }
        assert_eq!(header(&messages[3], "Observe-Id"), Some("shop.j.1"));
        assert_eq!(header(&messages[3], "Observe-Schema"), Some("1"));
        assert_eq!(header(&messages[3], "Observe-Source"), Some("shop"));
        assert_eq!(header(&messages[3], "Observe-Origin"), Some("change"));
    }

    #[test]
    fn a_root_alone_is_no_batch_but_still_fenced() {
        let (root, shards) = (root(), BTreeMap::new());
        let commit = Commit {
            source: "shop",
            root: &root,
            expected: 0,
            shards: &shards,
            events: &[],
        };
        let messages = messages(&commit, &Prefix::default(), "S", "id").unwrap();
        assert_eq!(messages.len(), 1);
        assert_eq!(header(&messages[0], "Nats-Batch-Id"), None);
        assert_eq!(
            header(&messages[0], "Nats-Expected-Last-Subject-Sequence"),
            Some("0")
        );
        assert_eq!(header(&messages[0], "Nats-Rollup"), Some("sub"));
    }

    #[test]
    fn what_would_cost_the_connection_is_not_sent() {
        let message = |subject: &str, bytes| Outbound {
            subject: subject.to_owned(),
            headers: head_headers("S"),
            payload: vec![0; bytes],
        };
        assert!(message("a", 10).check(1000).is_ok());
        let line = message("a", 1000).check(1000).unwrap_err().to_string();
        assert!(line.contains("max_payload"), "{line}");
        assert!(message(&"a".repeat(4000), 0).check(1000).is_err());
        assert_eq!(
            one_line(
                "a
Nats-TTL: 1s"
            ),
            "a__Nats-TTL: 1s"
        );
    }

    #[test]
    fn every_code_of_the_failure_table_has_its_way_out() {
        let judged = |code, err_code| {
            judge(
                &Fault {
                    code,
                    err_code,
                    description: "why".into(),
                },
                "S",
            )
        };
        for fenced in [10071, 10164] {
            assert!(
                matches!(judged(400, fenced), StoreError::Fenced),
                "{fenced}"
            );
        }
        for (code, busy) in [
            (400, 10176),
            (429, 10210),
            (503, 10008),
            (500, 10077),
            (503, 10023),
            (500, 10047),
            (429, 1),
        ] {
            assert!(matches!(judged(code, busy), StoreError::Busy(_)), "{busy}");
        }
        for (refused, key) in [
            (10174, "allow_atomic"),
            (10111, "allow_rollup_hdrs"),
            (10166, "allow_msg_ttl"),
        ] {
            let StoreError::Refused(line) = judged(400, refused) else {
                panic!("{refused}")
            };
            assert!(
                line.contains(key) && line.contains("stream S") && line.contains("--stream"),
                "{line}"
            );
        }
        assert!(matches!(judged(400, 10060), StoreError::Refused(_)));
        assert!(matches!(judged(404, 10059), StoreError::NoStream));
        assert!(matches!(judged(400, 10054), StoreError::Invalid(_)));
        assert!(matches!(judged(400, 10999), StoreError::Refused(line) if line.contains("why")));
    }
}
