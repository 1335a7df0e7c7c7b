//! Several adapters on one source: one looks and tells, the others stand by.
//!
//! Nothing is agreed on. Whoever wrote the root last goes on; whoever was too late so many times in a row, without a
//! commit of its own in between, stops looking and reads the root instead, once an interval. So the last one to write is
//! always one that looks, and two can never stand by for each other. A root that stands still, while the broker could be
//! asked all that time, is taken over; several who take over at once are sorted by the fence as before.
//!
//! The other courtesy between adapters is here as well: after the broker was away, a head that another one wrote is left
//! alone for a while by those who have nothing to tell from that time, because the other one may have.

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::event::store::{EventStore, Head, Root, StoreError};
use crate::event::tell::{Rows, Tell};

use super::commit::{Base, Committer, Progress, Sight};
use super::error::AdapterError;
use super::gap::{self, Owed, is_rolled_back, owe};
use super::settings::{Notice, RebaseCause};

/// So many losses in a row, without a commit of our own between them, are enough.
const LOSSES: u32 = 3;

/// How we stand among the adapters of one source.
#[derive(Debug, Default)]
pub(super) struct Rivalry {
    /// How often in a row another adapter was faster.
    losses: u32,
    standby: Option<Standby>,
    /// True where the head found lacks a shard, which only a commit mends.
    damaged: bool,
    /// Until when a head that another adapter wrote is left alone.
    grace: Option<Instant>,
    /// The return of the broker that was last considered.
    returned: Option<Instant>,
}

/// The root of the adapter that looks, as far as we have seen it.
#[derive(Debug)]
struct Standby {
    owner: String,
    sequence: u64,
    /// The look it speaks of.
    looked_at: DateTime<Utc>,
    /// Journal and number it had told.
    told: (String, u64),
    /// Since when it stands still, by our clock; none while the broker could not be asked.
    still_since: Option<Instant>,
}

impl Rivalry {
    /// A commit of ours is in.
    pub(super) fn won(&mut self) {
        self.losses = 0;
        self.damaged = false;
    }

    /// The head that was found lacks nothing, or something.
    pub(super) fn found(&mut self, is_whole: bool) {
        self.damaged = !is_whole;
    }

    /// The look that the head of the adapter in our place speaks of, while it looks.
    pub(super) fn looked_at(&self) -> Option<DateTime<Utc>> {
        self.standby.as_ref().map(|standby| standby.looked_at)
    }

    /// True while another adapter looks in our place.
    pub(super) fn is_standing_by(&self) -> bool {
        self.standby.is_some()
    }
}

impl<St: EventStore, T: Tell, R: Rows> Committer<St, T, R> {
    /// True where another adapter wrote the root that our next commit builds on.
    pub(super) fn is_foreign(&self) -> bool {
        self.base.owner != self.settings.adapter
    }

    /// Another adapter was faster; its root is our base now. `epoch` is what we last looked at.
    pub(super) fn lost(&mut self, epoch: &str) {
        // Two servers of one name are no rivals; and what only we can tell is told first.
        if !self.is_foreign() || *epoch != *self.base.standing.epoch {
            self.rivalry.losses = 0;
            return;
        }
        self.rivalry.losses += 1;
        if self.rivalry.losses < LOSSES || !self.owed.is_empty() || !self.pending.is_empty() {
            return;
        }
        let owner = self.base.owner.clone();
        self.rivalry.standby = Some(Standby {
            owner: owner.clone(),
            sequence: self.base.root_sequence,
            looked_at: self.base.standing.looked_at,
            told: (self.base.journal.clone(), self.base.seq),
            still_since: Some(Instant::now()),
        });
        // What we know of the source by ourselves ends here.
        (self.source, self.looked_at) = (Sight::There, None);
        self.say(Notice::StandingBy { owner });
    }

    /// After a fence: true where another adapter had refreshed the root just before we wanted to, so that there is nothing
    /// left for us to do.
    pub(super) fn lost_refresh(&mut self) -> bool {
        if !self.is_foreign() || self.rivalry.damaged || !self.pending.is_silent() {
            return false;
        }
        self.forget_silent();
        if !self.pending.is_empty() {
            return false;
        }
        let epoch = self.base.standing.epoch.clone();
        self.lost(&epoch);
        true
    }

    /// One interval without a look is over: the root says whether another one still looks.
    pub(super) async fn held(&mut self) -> Result<Progress<R::State>, AdapterError> {
        if !self.store.is_connected() {
            return Ok(self.out_of_touch("not connected"));
        }
        match self.store.read_root(&self.settings.source).await {
            Ok(Some((Ok(root), sequence))) => {
                self.back();
                self.watch(&root, sequence).await
            }
            Ok(_) | Err(StoreError::NoStream) => self.look_again().await,
            Err(error) => self.unread(error),
        }
    }

    async fn watch(
        &mut self,
        root: &Root,
        sequence: u64,
    ) -> Result<Progress<R::State>, AdapterError> {
        let now = Instant::now();
        let Some(standby) = &mut self.rivalry.standby else {
            return Ok(Progress::Done);
        };
        if sequence == standby.sequence {
            let since = *standby.still_since.get_or_insert(now);
            // A connection that broke and came back between two questions: others may have something to tell first.
            let since = since.max(self.store.returned_at().unwrap_or(since));
            if since.elapsed() < root.stale_after() {
                return Ok(Progress::Done);
            }
            return self.take_over(since).await;
        }
        let went_back = went_back(root, &standby.told);
        self.same_project(root)?;
        if went_back || is_rolled_back(root, self.acknowledged.as_ref()) {
            return self.gone_back().await;
        }
        if root.adapter == self.settings.adapter || *root.epoch != *self.base.standing.epoch {
            return self.look_again().await;
        }
        self.rivalry.standby = Some(Standby {
            owner: root.adapter.clone(),
            sequence,
            looked_at: root.looked_at,
            told: (root.journal.clone(), root.seq),
            still_since: Some(now),
        });
        Ok(Progress::Done)
    }

    /// The root lies before what we know was told: we may be the only one who does, and tell it before anything else.
    async fn gone_back(&mut self) -> Result<Progress<R::State>, AdapterError> {
        let head = match self.store.read_head(&self.settings.source).await {
            Ok(Some(head)) => head,
            Ok(None) | Err(StoreError::NoStream) => return self.look_again().await,
            Err(error) => return self.unread(error),
        };
        let (Ok(root), Some(standby)) = (&head.root, &self.rivalry.standby) else {
            return self.look_again().await;
        };
        let is_back =
            went_back(root, &standby.told) || is_rolled_back(root, self.acknowledged.as_ref());
        if !is_back || self.is_being_mended(Some(&head)) {
            // It moved in the last moment; the next question finds out where to.
            return Ok(Progress::Done);
        }
        self.rivalry.standby = None;
        self.rivalry.losses = 0;
        self.doubt = false;
        self.say(Notice::LooksAgain);
        if head.shards.is_none() {
            return self.begin_anew(Some(&head), head.root_sequence);
        }
        self.roll_back(&head, root)
    }

    /// The root stands still: what it describes is where we go on from, and the stretch since its last look was nobody's.
    async fn take_over(&mut self, since: Instant) -> Result<Progress<R::State>, AdapterError> {
        let head = match self.store.read_head(&self.settings.source).await {
            Ok(Some(head)) => head,
            Ok(None) | Err(StoreError::NoStream) => return self.look_again().await,
            Err(error) => return self.unread(error),
        };
        let Some(standby) =
            (self.rivalry.standby).take_if(|standby| standby.sequence == head.root_sequence)
        else {
            // It moved in the last moment; the next question finds out by whom.
            return Ok(Progress::Done);
        };
        let Ok(root) = &head.root else {
            return self.look_again().await;
        };
        self.rivalry.losses = 0;
        self.doubt = false;
        self.say(Notice::TookOver {
            from: standby.owner,
            still: since.elapsed(),
        });
        if head.shards.is_none() {
            return self.begin_anew(Some(&head), head.root_sequence);
        }
        if head.is_torn
            || went_back(root, &standby.told)
            || is_rolled_back(root, self.acknowledged.as_ref())
        {
            return self.roll_back(&head, root);
        }
        self.go_on_from(&head, root, since)
    }

    fn go_on_from(
        &mut self,
        head: &Head,
        root: &Root,
        since: Instant,
    ) -> Result<Progress<R::State>, AdapterError> {
        // Whoever cannot see its source leaves the root alone; the stretch out of sight is told when it is seen again.
        if root.connected {
            let gap = Owed::since(Some(root.looked_at), gap::ADAPTER_DOWN);
            owe(&mut self.owed, gap);
        }
        self.base = Base::of(root, head.root_sequence);
        let progress = self.take_head(head, root, RebaseCause::TookOver, true);
        self.moved_at = since;
        progress
    }

    /// Something is other than it was when we stood back: it is looked at again, and the head says from where.
    async fn look_again(&mut self) -> Result<Progress<R::State>, AdapterError> {
        let standby = self.rivalry.standby.take();
        self.rivalry.losses = 0;
        self.doubt = true;
        let progress = match self.settle().await? {
            // The state the runtime has is that of before we stood back.
            Progress::Done => self.restore(RebaseCause::Overtaken, false)?,
            Progress::Waiting => {
                self.rivalry.standby = standby;
                return Ok(self.out_of_touch("not connected"));
            }
            progress @ Progress::Rebase(_) => progress,
        };
        self.say(Notice::LooksAgain);
        Ok(progress)
    }

    fn unread(&mut self, error: StoreError) -> Result<Progress<R::State>, AdapterError> {
        match error {
            StoreError::Refused(line) => Err(AdapterError::Refused(line)),
            StoreError::Invalid(line) => Err(AdapterError::Invalid(line)),
            error => Ok(self.out_of_touch(&error.to_string())),
        }
    }

    /// The broker cannot be asked: how long the root stands still is measured anew when it can.
    fn out_of_touch(&mut self, why: &str) -> Progress<R::State> {
        if let Some(standby) = &mut self.rivalry.standby {
            standby.still_since = None;
        }
        self.away(why);
        Progress::Waiting
    }

    /// Called before anything new is said: after a return of the broker, whoever has nothing to tell from before it leaves
    /// another one's head alone for as long as it takes a root to become stale.
    pub(super) fn note_return(&mut self) {
        let returned = self.store.returned_at();
        if returned == self.rivalry.returned {
            return;
        }
        self.rivalry.returned = returned;
        let waits = self.is_foreign() && self.pending.is_empty();
        self.rivalry.grace = returned
            .filter(|_| waits)
            .map(|returned| returned + self.stale_after());
    }

    /// True where what waits has to go on waiting, because another adapter may have something to tell that is older. Where
    /// it has told it, the head is in doubt afterwards.
    pub(super) async fn gives_way(&mut self) -> Result<bool, AdapterError> {
        let Some(until) = self.rivalry.grace else {
            return Ok(false);
        };
        if Instant::now() >= until || !self.is_foreign() {
            self.rivalry.grace = None;
            return Ok(false);
        }
        match self.store.read_root(&self.settings.source).await {
            Ok(Some((_, sequence))) if sequence == self.base.root_sequence => Ok(true),
            Ok(_) | Err(StoreError::NoStream) => {
                self.rivalry.grace = None;
                self.doubt = true;
                Ok(false)
            }
            Err(StoreError::Refused(line)) => Err(AdapterError::Refused(line)),
            Err(StoreError::Invalid(line)) => Err(AdapterError::Invalid(line)),
            Err(error) => {
                self.away(&error.to_string());
                Ok(true)
            }
        }
    }
}

/// Whether a root lies before what its journal had told.
fn went_back(root: &Root, (journal, seq): &(String, u64)) -> bool {
    root.journal == *journal && root.seq < *seq
}
