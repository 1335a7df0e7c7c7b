//! Commits that the broker stored in part, and how they are made whole.
//!
//! A server that stands alone takes the messages of a committed batch one by one, and asks at each whether the account and
//! the disk have room for it. Where there is none it stops, keeps what it has taken, and says nothing, because only the
//! last message has somebody who waits for an answer (nats-server 2.15.1, `processJetStreamAtomicBatchMsg`). The root comes
//! first: it stands then and counts events that are nowhere.
//!
//! So a batch without a clear answer is kept here until its root, read back, shows that all of it is there. If it is not,
//! the rest goes as a batch of its own. Who finds a torn commit that is not its own can only say that it is torn.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::batch::{Outbound, fresh_id, rest};
use super::head;
use super::intact::{Batch, stored_behind};
use super::publish::JetStreamStore;
use crate::event::store::{Head, StoreError};

/// A server may be at it still: only what stands like this for so long stays so.
const STILL: Duration = Duration::from_secs(1);
/// Batches kept per source. Only those can be stored that build on one root, and one of them at most.
const MOST: usize = 4;

/// Batches whose outcome is not known, by the subject of their root.
#[derive(Debug, Clone, Default)]
pub(super) struct Unsettled(Arc<Mutex<BTreeMap<String, Vec<Sent>>>>);

#[derive(Debug)]
struct Sent {
    batch: String,
    messages: Vec<Outbound>,
    /// How many stood behind its root when that was found torn, and since when.
    torn: Option<(u64, Instant)>,
}

impl Unsettled {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<String, Vec<Sent>>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps a batch until its root was read.
    pub(super) fn keep(&self, root: &str, batch: &str, messages: Vec<Outbound>) {
        let sent = Sent {
            batch: batch.to_owned(),
            messages,
            torn: None,
        };
        self.with(|all| {
            let kept = all.entry(root.to_owned()).or_default();
            if kept.len() == MOST {
                kept.remove(0);
            }
            kept.push(sent);
        });
    }

    /// The root has moved to where it should be: nothing of what came before can be stored any more.
    pub(super) fn settle(&self, root: &str) {
        self.with(|all| all.remove(root));
    }

    /// Whether this batch is ours.
    fn holds(&self, root: &str, batch: &str) -> bool {
        let is_it = |kept: &Vec<Sent>| kept.iter().any(|sent| sent.batch == batch);
        self.with(|all| all.get(root).is_some_and(is_it))
    }

    /// What is still to be stored of a batch, once it has stood still for long enough.
    fn rest(
        &self,
        root: &str,
        batch: &str,
        stored: u64,
        place: (u64, &str),
    ) -> Option<Vec<Outbound>> {
        self.with(|all| {
            let kept = all.get_mut(root)?;
            let sent = kept.iter_mut().find(|sent| sent.batch == batch)?;
            let now = Instant::now();
            match sent.torn {
                Some((before, since)) if before == stored && now - since >= STILL => {
                    let stored = usize::try_from(stored).unwrap_or(usize::MAX);
                    Some(rest(&sent.messages, stored, place.0, place.1))
                }
                Some((before, _)) if before == stored => None,
                _ => {
                    sent.torn = Some((stored, now));
                    None
                }
            }
        })
    }
}

impl JetStreamStore {
    /// The head; one that an unanswered batch of ours left torn is made whole before.
    pub(super) async fn whole_head(&self, source: &str) -> Result<Option<Head>, StoreError> {
        let found = head::read_head(&self.bus, &self.stream, &self.prefix, source).await?;
        let Some((head, batch)) = found else {
            return Ok(None);
        };
        let root = self.prefix.head_root(source);
        let Some(batch) = batch.filter(|batch| self.unsettled.holds(&root, &batch.id)) else {
            return Ok(Some(head));
        };
        if head.is_torn {
            Box::pin(self.complete(&root, head.root_sequence, &batch)).await?;
            let found = head::read_head(&self.bus, &self.stream, &self.prefix, source).await?;
            return Ok(found.map(|(head, _)| head));
        }
        self.unsettled.settle(&root);
        Ok(Some(head))
    }

    async fn complete(&self, root: &str, sequence: u64, batch: &Batch) -> Result<(), StoreError> {
        let stored = stored_behind(&self.bus, &self.stream, batch, sequence).await?;
        let id = fresh_id();
        let rest = self
            .unsettled
            .rest(root, &batch.id, stored, (sequence, &id));
        let Some(messages) = rest else {
            let missing = batch.messages - 1 - stored;
            let why = format!("it took a commit but for its last {missing} messages; has it room?");
            return Err(StoreError::Busy(why));
        };
        match self.deliver((root, &id), messages.as_slice()).await {
            // Somebody else went on from the root that stands there.
            Ok(_) | Err(StoreError::Fenced) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
