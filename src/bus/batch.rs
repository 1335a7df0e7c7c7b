//! The messages of a commit: what is sent, in which order, under which headers.

use async_nats::Subject;
use async_nats::header::{
    HeaderMap, HeaderName, NATS_BATCH_COMMIT, NATS_BATCH_ID, NATS_BATCH_SEQUENCE,
    NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_EXPECTED_STREAM, NATS_MESSAGE_TTL, NATS_ROLLUP,
};
use bytes::Bytes;

use super::error::{BusError, clean};
use super::settings::HeadLife;
use crate::event::envelope::{HEADER_ID, HEADER_ORIGIN, HEADER_SCHEMA, HEADER_SOURCE, SCHEMA};
use crate::event::plain::is_plain;
use crate::event::store::{Commit, Outgoing};
use crate::event::subject::Prefix;

/// The server drops the connection on a control line near 4 kB; ours hold a subject and an inbox.
const LONGEST_SUBJECT: usize = 3500;

/// More than all headers of an event have, besides its id and its source.
const HEADERS_MOST: usize = 2048;

/// Which batch a message belongs to.
pub(super) const HEADER_BATCH: &str = "Nats-Batch-Id";
/// On a root: how many messages its batch has. Who finds the root can tell whether the stream took them all.
pub(super) const HEADER_MESSAGES: &str = "Observe-Messages";

/// One message on its way out.
#[derive(Debug, Clone)]
pub(super) struct Outbound {
    pub(super) subject: Subject,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
}

impl Outbound {
    /// What cannot be sent is found here, because a client that hands it over loses its connection.
    pub(super) fn check(&self, max_payload: usize) -> Result<(), BusError> {
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

/// The messages of one batch. Each is made when its turn comes, so that the broker works on those before it meanwhile.
pub(super) trait Messages {
    /// How many.
    fn count(&self) -> usize;

    /// The subject of one.
    fn subject(&self, index: usize) -> &str;

    /// One of them.
    fn message(&self, index: usize) -> Outbound;

    /// Whether the broker takes one of this size; as [`Outbound::check`], and without making most of them.
    fn check(&self, index: usize, max_payload: usize) -> Result<(), BusError> {
        self.message(index).check(max_payload)
    }

    /// All of them at once.
    fn all(&self) -> Vec<Outbound> {
        (0..self.count()).map(|index| self.message(index)).collect()
    }
}

impl Messages for [Outbound] {
    fn count(&self) -> usize {
        self.len()
    }

    fn subject(&self, index: usize) -> &str {
        &self[index].subject
    }

    fn message(&self, index: usize) -> Outbound {
        self[index].clone()
    }
}

/// A commit as messages in their order: root, shards, events.
pub(super) struct Dressed<'a> {
    commit: &'a Commit<'a>,
    root: Bytes,
    /// The subjects of root and shards.
    subjects: Vec<Subject>,
    /// What root and shards say, but for what only the root does.
    head: HeaderMap,
    /// What every event says. There is none in a commit of a root alone, so it lies in a batch.
    event: HeaderMap,
}

impl<'a> Dressed<'a> {
    pub(super) fn new(
        commit: &'a Commit<'_>,
        prefix: &Prefix,
        (stream, life): (&str, HeadLife),
        batch_id: &str,
    ) -> Result<Self, BusError> {
        let root = serde_json::to_vec(commit.root)
            .map_err(|error| BusError::Invalid(format!("a root cannot be written: {error}")))?;
        let shards = commit.shards.keys();
        let shards = shards.map(|number| prefix.head_shard(commit.source, *number));
        let root_subject = prefix.head_root(commit.source);
        let mut head = head_headers(stream, life);
        // A root alone is a plain publish: a batch of one would cost ten times as much.
        if 1 + commit.shards.len() + commit.events.len() > 1 {
            head.insert(NATS_BATCH_ID, batch_id);
        }
        let mut event = HeaderMap::new();
        event.insert(NATS_EXPECTED_STREAM, stream);
        event.insert(NATS_BATCH_ID, batch_id);
        event.insert(named(HEADER_SCHEMA), SCHEMA.to_string());
        event.insert(named(HEADER_SOURCE), one_line(commit.source));
        Ok(Self {
            root: root.into(),
            subjects: std::iter::once(root_subject)
                .chain(shards)
                .map(Subject::from)
                .collect(),
            head,
            event,
            commit,
        })
    }

    /// The event at this place, where it is one.
    fn event_at(&self, index: usize) -> Option<&Outgoing> {
        self.commit
            .events
            .get(index.checked_sub(self.subjects.len())?)
    }
}

impl Messages for Dressed<'_> {
    fn count(&self) -> usize {
        self.subjects.len() + self.commit.events.len()
    }

    fn subject(&self, index: usize) -> &str {
        match self.event_at(index) {
            Some(event) => event.subject(),
            None => &self.subjects[index],
        }
    }

    fn message(&self, index: usize) -> Outbound {
        let (subject, mut headers, payload) = match (self.event_at(index), index) {
            (Some(event), _) => {
                let mut headers = self.event.clone();
                headers.insert(named(HEADER_ID), one_line(event.id()));
                headers.insert(named(HEADER_ORIGIN), event.origin());
                // Its bytes are those of a text; a copy of them is no other one.
                let subject = Subject::try_from(event.shared_subject());
                let subject = subject.unwrap_or_else(|_| event.subject().into());
                (subject, headers, event.shared_payload())
            }
            (None, 0) => {
                let mut headers = self.head.clone();
                headers.insert(
                    NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
                    self.commit.expected.to_string(),
                );
                (self.subjects[0].clone(), headers, self.root.clone())
            }
            (None, _) => {
                let text = self.commit.shards.values().nth(index - 1).cloned();
                let subject = self.subjects[index].clone();
                (subject, self.head.clone(), text.unwrap_or_default())
            }
        };
        number(&mut headers, index + 1, self.count());
        Outbound {
            subject,
            headers,
            payload,
        }
    }

    fn check(&self, index: usize, max_payload: usize) -> Result<(), BusError> {
        if let Some(event) = self.event_at(index) {
            let most = event.size() + self.commit.source.len();
            if most + HEADERS_MOST <= max_payload && event.subject().len() <= LONGEST_SUBJECT {
                return Ok(());
            }
        }
        self.message(index).check(max_payload)
    }
}

/// What is still to be stored of a batch, as a batch of its own: the root again, behind the one at `root_sequence`, its
/// shards again, because it says how far they stand behind it, and the events that are not among the `stored` messages
/// behind the former root.
pub(super) fn rest(
    sent: &[Outbound],
    stored: usize,
    root_sequence: u64,
    batch_id: &str,
) -> Vec<Outbound> {
    let is_event = |message: &Outbound| message.headers.get(HEADER_ID).is_some();
    let heads = sent.iter().take_while(|message| !is_event(message)).count();
    let told = (stored + 1).max(heads);
    let mut messages: Vec<_> = sent[..heads].iter().chain(&sent[told..]).cloned().collect();
    messages[0].headers.insert(
        NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
        root_sequence.to_string(),
    );
    let count = messages.len();
    for (place, message) in (1..).zip(&mut messages) {
        message.headers.insert(NATS_BATCH_ID, batch_id);
        number(&mut message.headers, place, count);
    }
    messages
}

/// Gives a message its place in its batch.
fn number(headers: &mut HeaderMap, number: usize, count: usize) {
    if count == 1 {
        return;
    }
    if number == 1 {
        headers.insert(named(HEADER_MESSAGES), count.to_string());
    }
    headers.insert(NATS_BATCH_SEQUENCE, number.to_string());
    if number == count {
        headers.insert(NATS_BATCH_COMMIT, "1");
    }
}

fn head_headers(stream: &str, life: HeadLife) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_EXPECTED_STREAM, stream);
    headers.insert(NATS_ROLLUP, "sub");
    headers.insert(NATS_MESSAGE_TTL, life.header());
    headers
}

/// The name of a header of ours, as text of the program and no copy of it.
fn named(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

/// A header ends at a line break, and the connection with it.
fn one_line(text: &str) -> String {
    if is_plain(text.as_bytes()) {
        return text.to_owned();
    }
    text.replace(char::is_control, "_")
}

/// An id no attempt ever had: a straggler of another must never fall into this one.
pub(super) fn fresh_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

#[cfg(test)]
mod tests;
