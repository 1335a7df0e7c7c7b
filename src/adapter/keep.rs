//! Keeping the head in a stream that drops its oldest messages when it is full, whoever filled it.

use tokio::time::Instant;

use crate::event::store::{EventStore, StoreError, refresh_every};
use crate::event::tell::{Rows, Tell};

use super::commit::Committer;

impl<St: EventStore, T: Tell, R: Rows> Committer<St, T, R> {
    /// Whether a part of the head would soon be dropped, so that it is to be written again now. The broker is asked as
    /// often as the root is refreshed: a source that tells nothing notices by this alone what others write.
    pub(super) async fn is_in_danger(&mut self) -> bool {
        let now = Instant::now();
        let has_head = self.base.root_sequence > 0 && self.base.seq > 0;
        if has_head && self.ground_due.is_some_and(|due| due <= now) {
            self.ground_due = Some(now + refresh_every(self.settings.interval));
            let ground = self
                .store
                .ground(&self.settings.source, self.table.count())
                .await;
            match ground {
                Ok(ground) => {
                    self.table.stand(&ground);
                    self.warn_of_small_stream(now);
                }
                Err(StoreError::Refused(why)) => {
                    tracing::warn!(%why, "the broker does not say how full its stream is; the head is kept by its age alone");
                    self.ground_due = None;
                }
                // The next commit finds out what this means.
                Err(error) => tracing::debug!(%error, "how the head stands is not known"),
            }
        }
        has_head
            && (self.table.has_shard_in_danger()
                || self.table.is_in_danger(self.base.root_sequence))
    }

    /// A root that lies in the older half so soon is no quiet source's: what is told fills the stream in no time.
    fn warn_of_small_stream(&mut self, now: Instant) {
        let young = now - self.moved_at < 2 * refresh_every(self.settings.interval);
        if young
            && self.table.is_in_danger(self.base.root_sequence)
            && !std::mem::replace(&mut self.said.small_stream, true)
        {
            tracing::warn!(
                "half of the stream is written anew within seconds; what is told may be lost before it is read: \
                 give it more room by --max-bytes"
            );
        }
    }
}
