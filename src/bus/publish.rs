//! Committing: a root, the shards that changed and the events behind it, in one atomic batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::api::{Fault, code};
use super::batch::{Dressed, Messages, Outbound, fresh_id};
use super::connect::{ANSWER, Bus, CALL};
use super::error::{BusError, Refusal, clean};
use super::ground::ground;
use super::intact::batch_of_root;
use super::link::Mark;
use super::shape::{covers_any, foreign_subjects, lacking};
use super::torn::Unsettled;
use super::{head, stream};
use crate::event::store::{Commit, EventStore, FoundRoot, Ground, Head, StoreError};
use crate::event::subject::Prefix;

use super::settings::{BusSettings, HeadLife};

/// An incomplete batch so many times in a row may be no accident: the stream may not take one of its messages.
const INCOMPLETE_IN_A_ROW: u32 = 3;
/// So many commits go at once through all clones of a store. The server takes 50 open batches of a stream and refuses
/// what is beyond, and it is hardly faster for more than a few.
const AT_ONCE: usize = 8;
/// How long the word of a violation may lag behind the answer it caused.
const LAG: Duration = Duration::from_millis(200);

/// The events of one stream, written and read by sources' adapters.
#[derive(Debug, Clone)]
pub struct JetStreamStore {
    pub(super) bus: Bus,
    pub(super) stream: Arc<str>,
    pub(super) prefix: Prefix,
    /// How the stream is made again; nobody may where these are not known.
    setup: Option<Arc<BusSettings>>,
    life: HeadLife,
    incomplete: Arc<AtomicU32>,
    turns: Arc<Semaphore>,
    /// Whether the stream was looked after.
    seen: Arc<AtomicBool>,
    pub(super) unsettled: Unsettled,
}

impl JetStreamStore {
    /// A store on a stream that [`super::stream::ensure`] has looked after.
    pub fn new(bus: Bus, stream: &str, prefix: Prefix) -> Self {
        Self {
            bus,
            stream: stream.into(),
            prefix,
            setup: None,
            life: HeadLife::Forever,
            incomplete: Arc::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            seen: Arc::new(AtomicBool::new(true)),
            unsettled: Unsettled::default(),
        }
    }

    /// Lets the stream be made again, by these settings, when it is found gone; heads live as long as these say.
    #[must_use]
    pub fn remade_by(mut self, settings: BusSettings) -> Self {
        self.life = settings.head_life;
        self.setup = Some(Arc::new(settings));
        self
    }

    /// Lets the stream be looked after before the first head is read, because nobody could do so yet.
    #[must_use]
    pub fn unseen(mut self) -> Self {
        self.seen = Arc::default();
        self
    }

    /// The connection.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    async fn store(&self, commit: &Commit<'_>) -> Result<u64, StoreError> {
        let batch = fresh_id();
        let place = (&*self.stream, self.life);
        let dressed = Dressed::new(commit, &self.prefix, place, &batch)?;
        let subject = self.prefix.head_root(commit.source);
        self.deliver((&subject, &batch), &dressed).await
    }

    /// Sends the messages of one commit; gives the sequence of the first.
    pub(super) async fn deliver(
        &self,
        (root, batch): (&str, &str),
        messages: &(impl Messages + ?Sized),
    ) -> Result<u64, StoreError> {
        let max_payload = self.bus.client().max_payload();
        for index in 0..messages.count() {
            messages.check(index, max_payload)?;
        }
        // Nobody closes it. Nothing was sent yet, so whoever waits here may still be told that the broker is away.
        let _turn = self.turns.acquire().await;
        if !self.bus.is_connected() {
            return Err(StoreError::Away);
        }
        let is_batch = messages.count() > 1;
        match self.offer(messages).await {
            Ok(sequence) => {
                self.unsettled.settle(root);
                Ok(sequence)
            }
            Err(Unstored::Full(why)) if is_batch => {
                // Refused at the first message, or stopped at a later one: the root says.
                let found = batch_of_root(&self.bus, &self.stream, root).await;
                if found.is_ok_and(|found| found.as_deref() != Some(batch)) {
                    return Err(StoreError::Busy(why));
                }
                self.unsettled.keep(root, batch, messages.all());
                Err(StoreError::Unknown(why))
            }
            Err(Unstored::Full(why)) => Err(StoreError::Busy(why)),
            Err(Unstored::For(error)) => {
                if is_batch && matches!(error, StoreError::Unknown(_)) {
                    self.unsettled.keep(root, batch, messages.all());
                }
                Err(error)
            }
        }
    }

    async fn offer(&self, messages: &(impl Messages + ?Sized)) -> Result<u64, Unstored> {
        let count = messages.count();
        let mark = self.bus.mark();
        let concerns = |denied: &str| (0..count).any(|index| messages.subject(index) == denied);
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
                let absence =
                    stream::absence(&self.bus, &self.stream, Some(messages.subject(0))).await;
                return Err(absence.into());
            }
            Verdict::Fault(fault) => fault,
        };
        let subjects: Vec<_> = (0..count).map(|index| messages.subject(index)).collect();
        match self.judge(&fault, mark, &subjects).await {
            StoreError::Busy(why) if code::stops_halfway(fault.err_code) => {
                Err(Unstored::Full(why))
            }
            error => Err(Unstored::For(error)),
        }
    }

    async fn judge(&self, fault: &Fault, mark: Mark, subjects: &[&str]) -> StoreError {
        if fault.err_code != code::BATCH_INCOMPLETE {
            self.incomplete.store(0, Ordering::Relaxed);
            return judge(fault, &self.stream);
        }
        // A message the server did not let through leaves the batch incomplete; the word of it takes another way.
        let concerns = |denied: &str| subjects.contains(&denied);
        if let Ok(denial) = timeout(LAG, self.bus.denied(mark, concerns)).await {
            return BusError::from(denial.refusal()).into();
        }
        if self.incomplete.fetch_add(1, Ordering::Relaxed) + 1 >= INCOMPLETE_IN_A_ROW
            && let Err(error) = self.check_subjects(subjects).await
        {
            return error.into();
        }
        // Whatever the broker cannot stage, for want of disk for instance, it drops without a word.
        StoreError::Busy(format!("{}; has it room on its disk?", fault.text()))
    }

    /// Whether the stream takes all of it; where it does, a batch that stays incomplete has a passing cause.
    async fn check_subjects(&self, subjects: &[&str]) -> Result<(), BusError> {
        let found = stream::info(&self.bus, &self.stream).await?;
        let found = found.ok_or_else(|| BusError::NoStream(self.stream.to_string()))?;
        match subjects
            .iter()
            .find(|subject| !covers_any(&found.config, subject))
        {
            Some(subject) => Err(foreign_subjects(&found.config, &self.stream, subject).into()),
            None => Ok(()),
        }
    }

    /// Sends all and waits for the word on the last; the first is asked too, because its error is the true cause of the
    /// "incomplete" that the last then gets.
    async fn send(&self, messages: &(impl Messages + ?Sized)) -> Result<Verdict, BusError> {
        let client = self.bus.client();
        let inbox = client.new_inbox();
        let mut answers = client
            .subscribe(format!("{inbox}.*"))
            .await
            .map_err(|error| BusError::Unknown(clean(&error.to_string())))?;
        let count = messages.count();
        for index in 0..count {
            let Outbound {
                subject,
                headers,
                payload,
            } = messages.message(index);
            let reply = match index {
                last if last + 1 == count => Some("last"),
                0 => Some("first"),
                _ => None,
            };
            let sent = match reply {
                Some(word) => {
                    let reply = format!("{inbox}.{word}");
                    client
                        .publish_with_reply_and_headers(subject, reply, headers, payload)
                        .await
                }
                None => client.publish_with_headers(subject, headers, payload).await,
            };
            sent.map_err(|error| BusError::Unknown(clean(&error.to_string())))?;
        }
        verdict(&mut answers).await
    }
}

impl EventStore for JetStreamStore {
    async fn read_head(&self, source: &str) -> Result<Option<Head>, StoreError> {
        if !self.seen.load(Ordering::Relaxed) {
            self.recreate().await?;
            self.seen.store(true, Ordering::Relaxed);
        }
        self.whole_head(source).await
    }

    async fn read_root(&self, source: &str) -> Result<Option<FoundRoot>, StoreError> {
        Ok(head::read_root(&self.bus, &self.stream, &self.prefix, source).await?)
    }

    async fn commit(&self, commit: Commit<'_>) -> Result<u64, StoreError> {
        self.store(&commit).await
    }

    async fn recreate(&self) -> Result<(), StoreError> {
        let Some(settings) = &self.setup else {
            return Err(BusError::NoStream(self.stream.to_string()).into());
        };
        stream::ensure(&self.bus, settings).await?;
        Ok(())
    }

    async fn ground(&self, source: &str, shards: u32) -> Result<Ground, StoreError> {
        Ok(ground(&self.bus, &self.stream, &self.prefix, (source, shards)).await?)
    }

    fn is_connected(&self) -> bool {
        self.bus.is_connected()
    }

    fn returned_at(&self) -> Option<Instant> {
        self.bus.returned_at()
    }
}

/// Why a commit is not known to be stored.
enum Unstored {
    /// The broker has no room, and may have noticed in the middle.
    Full(String),
    For(StoreError),
}

impl From<BusError> for Unstored {
    fn from(error: BusError) -> Self {
        Self::For(error.into())
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
        if let Some(verdict) = weigh(&mut cause, read(&answer)?, first) {
            return Ok(verdict);
        }
    }
}

/// The word on a batch, once it is known: what the last message is told, unless that only repeats that an earlier one
/// was refused.
fn weigh(cause: &mut Option<Fault>, heard: Option<Verdict>, first: bool) -> Option<Verdict> {
    match (heard, first) {
        (Some(Verdict::Fault(fault)), true) => {
            *cause = Some(fault);
            None
        }
        (Some(Verdict::Fault(fault)), false) if fault.err_code == code::BATCH_INCOMPLETE => {
            Some(Verdict::Fault(cause.take().unwrap_or(fault)))
        }
        (verdict, false) => verdict,
        // Note was taken of the batch; or nothing listens, which the last message is told too.
        (None | Some(_), true) => None,
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
    let lacking = |what, key| StoreError::Refused(lacking(stream, what, key).to_string());
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
        (full, _) if code::is_full(full) => StoreError::Busy(fault.text()),
        (code::BATCH_INCOMPLETE | code::TOO_MANY_BATCHES | code::STORE_FAILED, _)
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

#[cfg(test)]
mod tests;
