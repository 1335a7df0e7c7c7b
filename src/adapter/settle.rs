//! Finding out by the head what became of a commit, and who else told something.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use crate::event::sieve::LeftOut;
use crate::event::store::{EventStore, Head, Root, StoreError};
use crate::event::tell::{Restored, Rows, Tell};

use super::commit::{Base, Committer, Progress};
use super::error::AdapterError;
use super::gap::{self, Owed, is_rolled_back, owe};
use super::identity::{Age, Us, Verdict, age_at_start, judge};
use super::pending::{Dropped, Standing};
use super::resume::{is_of, new_run};
use super::settings::{Notice, RebaseCause};
use super::table::{Table, revisions};

/// What is said while another adapter's commit is not whole.
const HALF_STORED: &str = "another adapter's commit is stored in part";

impl<St: EventStore, T: Tell, R: Rows> Committer<St, T, R> {
    /// Reads the head and draws the conclusion: `Done` where our base still holds, or holds again.
    pub(super) async fn settle(&mut self) -> Result<Progress<R::State>, AdapterError> {
        match self.store.read_head(&self.settings.source).await {
            Ok(head) => {
                if !self.is_ours_to_tell(head.as_ref())? {
                    return Ok(Progress::Waiting);
                }
                if self.is_being_mended(head.as_ref()) {
                    self.away(HALF_STORED);
                    return Ok(Progress::Waiting);
                }
                self.doubt = false;
                let progress = self.compare(head)?;
                if let Progress::Rebase(_) = progress {
                    self.back();
                }
                Ok(progress)
            }
            Err(StoreError::NoStream) => self.recreate().await,
            Err(StoreError::Refused(line)) => Err(AdapterError::Refused(line)),
            Err(StoreError::Invalid(line)) => Err(AdapterError::Invalid(line)),
            Err(error) => {
                self.away(&error.to_string());
                Ok(Progress::Waiting)
            }
        }
    }

    /// The stream is gone: made again, if it is ours to make, and everything begins anew.
    pub(super) async fn recreate(&mut self) -> Result<Progress<R::State>, AdapterError> {
        self.doubt = true;
        match self.store.recreate().await {
            Ok(()) => {
                self.doubt = false;
                self.compare(None)
            }
            Err(StoreError::Refused(line)) => Err(AdapterError::Refused(line)),
            Err(StoreError::Invalid(line)) => Err(AdapterError::Invalid(line)),
            Err(error) => {
                self.away(&error.to_string());
                Ok(Progress::Waiting)
            }
        }
    }

    /// Whether an adapter that is at work has yet to bring the rest of its last commit to the stream.
    pub(super) fn is_being_mended(&self, head: Option<&Head>) -> bool {
        let Some(Head {
            root: Ok(root),
            is_torn: true,
            ..
        }) = head
        else {
            return false;
        };
        // By its own clock, in either direction: one that is wrong must not keep us waiting for ever.
        let age = ((self.hooks.now)() - root.looked_at).abs().to_std();
        let is_fresh = age.is_ok_and(|age| age < root.stale_after());
        root.adapter != self.settings.adapter && is_fresh
    }

    pub(super) fn compare(
        &mut self,
        head: Option<Head>,
    ) -> Result<Progress<R::State>, AdapterError> {
        let Some(head) = head else {
            return match self.base.root_sequence {
                0 => Ok(Progress::Done),
                _ => self.begin_anew(None, 0),
            };
        };
        let Ok(root) = &head.root else {
            return self.begin_anew(None, head.root_sequence);
        };
        if head.is_torn {
            return match head.shards {
                Some(_) => self.roll_back(&head, root),
                None => self.begin_anew(Some(&head), head.root_sequence),
            };
        }
        let ours = |attempt: &super::commit::Attempt| attempt.commit == root.commit;
        if let Some(at) = self.attempts.iter().position(ours) {
            let attempt = self.attempts.swap_remove(at);
            self.acknowledge(attempt, head.root_sequence);
            self.trust(&head, root);
            return Ok(Progress::Done);
        }
        if self.is_at_base(&head, root) {
            self.refreshed(&head, root);
            return Ok(Progress::Done);
        }
        if self.continues(root) {
            return self.recognise(&head, root);
        }
        let went_back = root.journal == self.base.journal && root.seq < self.base.seq;
        // Somebody who cannot know that the stream went back gives the numbers again that were told in it before.
        let was_left = self.left.as_ref() == Some(&root.journal);
        if head.shards.is_none() {
            return self.begin_anew(Some(&head), head.root_sequence);
        }
        if went_back || was_left || is_rolled_back(root, self.acknowledged.as_ref()) {
            return self.roll_back(&head, root);
        }
        self.overtaken(&head, root)
    }

    /// A commit of an earlier run whose answer it did not live to hear, or that we forgot.
    fn recognise(&mut self, head: &Head, root: &Root) -> Result<Progress<R::State>, AdapterError> {
        let told = self.hooks.told.as_mut();
        let released = self.pending.release_to(self.base.seq, root.seq, told);
        let Ok(released) = released else {
            return self.overtaken(head, root);
        };
        self.table.absorb(released.rows);
        self.base = Base::of(root, head.root_sequence);
        self.base.owner.clone_from(&self.settings.adapter);
        self.trust(head, root);
        self.acknowledged_to(released.gaps, released.waited, true);
        Ok(Progress::Done)
    }

    /// True where nothing was told behind our base. Where events are left out, rows may have changed without a number.
    pub(super) fn is_at_base(&self, head: &Head, root: &Root) -> bool {
        let is_base = root.journal == self.base.journal && root.seq == self.base.seq;
        let is_numbered = root.left_out.is_none() || head.shards.is_none();
        is_base
            && (is_numbered
                || head.root_sequence == self.base.root_sequence
                || self.has_rows_of(head, root))
    }

    /// Somebody wrote the root again without telling anything, or nobody did.
    fn refreshed(&mut self, head: &Head, root: &Root) {
        if head.root_sequence != self.base.root_sequence {
            self.moved_at = Instant::now();
            self.base.root_sequence = head.root_sequence;
            self.base.owner.clone_from(&root.adapter);
            self.base.standing.looked_at = root.looked_at;
            // What expected another root can never be stored any more.
            self.attempts.clear();
        }
        self.trust(head, root);
    }

    fn trust(&mut self, head: &Head, root: &Root) {
        self.rivalry.found(head.shards.is_some());
        match head.shards {
            Some(_) => self.table.relocate(&places(root, head.root_sequence)),
            None => self.table.distrust(),
        }
    }

    /// Another adapter told something: its head is the truth now.
    fn overtaken(&mut self, head: &Head, root: &Root) -> Result<Progress<R::State>, AdapterError> {
        self.same_project(root)?;
        let epoch = self.tail().standing.epoch;
        let lost = self.superseded(head, root);
        let dropped = self.pending.drop_all();
        self.owe_again(dropped.owed);
        // Gaps of the source itself the other one has told already; ours are those of our own queue.
        self.owed.retain(|gap| {
            matches!(
                gap.why,
                gap::SUPERSEDED | gap::SPOOL_FULL | gap::SPOOL_CORRUPT
            )
        });
        if let Some(lost) = lost {
            owe(&mut self.owed, lost);
        }
        if self.owed.is_empty() {
            self.pending.discard();
        }
        self.base = Base::of(root, head.root_sequence);
        let resync = age_at_start(root, (self.hooks.now)()) == Age::Stale;
        let progress = self.take_head(head, root, RebaseCause::Overtaken, resync)?;
        if self.base.journal == root.journal {
            self.lost(&epoch);
        }
        Ok(progress)
    }

    /// Refuses a root that describes another project under our name.
    pub(super) fn same_project(&self, root: &Root) -> Result<(), AdapterError> {
        let us = Us {
            adapter: &self.settings.adapter,
            identity: &self.settings.identity,
            epoch: None,
            claim: self.settings.claim,
        };
        match judge(root, Age::Fresh, us) {
            Verdict::Refuse { line, ask_again } => {
                Err(AdapterError::OtherServer { line, ask_again })
            }
            _ => Ok(()),
        }
    }

    /// The head lies before what was told: its rows hold, its numbers must not be given again.
    pub(super) fn roll_back(
        &mut self,
        head: &Head,
        root: &Root,
    ) -> Result<Progress<R::State>, AdapterError> {
        let dropped = self.pending.drop_all();
        self.owe_lost(head.told_until(), gap::ROLLED_BACK, dropped);
        self.leave(head, root);
        self.base = Base::of(root, head.root_sequence);
        self.new_journal();
        self.take_head(head, root, RebaseCause::RolledBack, true)
    }

    /// What was told in this journal is not in the stream any more. A commit that is torn is another matter: who sent it
    /// may bring the rest.
    pub(super) fn leave(&mut self, head: &Head, root: &Root) {
        if !head.is_torn {
            self.left = Some(root.journal.clone());
        }
    }

    pub(super) fn take_head(
        &mut self,
        head: &Head,
        root: &Root,
        cause: RebaseCause,
        resync: bool,
    ) -> Result<Progress<R::State>, AdapterError> {
        let restored = Restored {
            epoch: &root.epoch,
            resync,
            first: false,
            looked_at: root.looked_at,
        };
        let Ok(state) = self.rows.decode(&mut head.rows(), restored) else {
            return self.begin_anew(Some(head), head.root_sequence);
        };
        let places = places(root, head.root_sequence);
        self.table = Table::of(&self.rows, &state, &places);
        self.moved_at = Instant::now();
        Ok(self.rebased(cause, state))
    }

    /// There is no head to go on from: a new journal, a gap, and a first look that is no news.
    pub(super) fn begin_anew(
        &mut self,
        head: Option<&Head>,
        root_sequence: u64,
    ) -> Result<Progress<R::State>, AdapterError> {
        let dropped = self.pending.drop_all();
        let until = head.and_then(Head::told_until);
        let from = until.unwrap_or(self.base.standing.looked_at);
        self.owe_lost(Some(from), gap::STREAM_LOST, dropped);
        self.base.root_sequence = root_sequence;
        self.base.standing.connected = true;
        // Nobody who reads the new journal was told of it.
        self.base.standing.left_out = None;
        self.moved_at = Instant::now();
        self.new_journal();
        self.table = Table::default();
        self.restore(RebaseCause::StreamLost, true)
    }

    /// What waits has become too much: given up for the net difference against what was committed.
    pub(super) fn collapse(&mut self) -> Result<Progress<R::State>, AdapterError> {
        let mut dropped = self.pending.drop_behind(self.staying());
        self.owe_again(std::mem::take(&mut dropped.owed));
        let lost = Owed {
            from: dropped.from,
            to: None,
            why: gap::SPOOL_FULL,
            events: Some(dropped.events),
        };
        owe(&mut self.owed, lost);
        self.restore(RebaseCause::PendingFull, true)
    }

    /// Frames that were kept cannot be read back: they are given up for the net difference against those before.
    pub(super) fn unreadable(&mut self) -> Result<Progress<R::State>, AdapterError> {
        let mut dropped = self.pending.drop_unread();
        self.owe_again(std::mem::take(&mut dropped.owed));
        let lost = Owed {
            events: Some(dropped.events),
            ..Owed::since(Some(self.tail().standing.looked_at), gap::SPOOL_CORRUPT)
        };
        owe(&mut self.owed, lost);
        self.restore(RebaseCause::SpoolCorrupt, true)
    }

    /// How many frames stay whatever happens. The description of a source that nothing was told of yet, because there is
    /// nothing to compare with without it. And what the broker may have stored although it did not say so: its numbers
    /// are given, and what is told instead of the rest must not have them too.
    pub(super) fn staying(&self) -> usize {
        let first = usize::from(self.base.seq == 0 && self.table.is_empty());
        let tried = self.attempts.iter().map(|attempt| attempt.pieces).max();
        first.max(self.pending.frames_of(tried.unwrap_or(0)))
    }

    /// The state of what was last committed, and of what stays, from memory.
    pub(super) fn restore(
        &mut self,
        cause: RebaseCause,
        resync: bool,
    ) -> Result<Progress<R::State>, AdapterError> {
        let standing = self.tail().standing;
        let restored = Restored {
            epoch: &standing.epoch,
            resync,
            first: cause == RebaseCause::StreamLost,
            looked_at: standing.looked_at,
        };
        let state = {
            let mut rows: BTreeMap<_, _> = self.table.rows().collect();
            for (key, row) in self.pending.rows() {
                match row {
                    Some(row) => rows.insert(key, row),
                    None => rows.remove(key),
                };
            }
            let mut rows = rows.into_values().map(|row| &*row.bytes);
            self.rows.decode(&mut rows, restored)?
        };
        Ok(self.rebased(cause, state))
    }

    fn rebased(&mut self, cause: RebaseCause, state: R::State) -> Progress<R::State> {
        let stays = matches!(cause, RebaseCause::PendingFull | RebaseCause::SpoolCorrupt);
        if cause != RebaseCause::OlderEpoch {
            self.renumber(stays);
        }
        self.told = revisions(&self.rows, &state);
        // What our looks saw since then is forgotten with the state, and has to be seen again. A root that speaks of
        // them before that would hide what is owed.
        self.looked_at = None;
        self.say(Notice::Rebased(cause));
        Progress::Rebase(state)
    }

    /// The numbers of what was given up are given again, so from now on commits have another name: nobody may take one of
    /// them for one of those before.
    fn renumber(&mut self, attempts_stay: bool) {
        let former = std::mem::replace(&mut self.run, new_run(&self.settings, &self.hooks));
        self.runs.push(former);
        if !attempts_stay {
            self.attempts.clear();
        }
        let attempts = &self.attempts;
        self.runs
            .retain(|run| attempts.iter().any(|attempt| is_of(run, &attempt.commit)));
    }

    fn new_journal(&mut self) {
        self.base.journal = (self.hooks.names)();
        self.base.seq = 0;
        self.base.owner.clone_from(&self.settings.adapter);
        self.acknowledged = None;
    }

    fn owe_lost(
        &mut self,
        from: Option<chrono::DateTime<chrono::Utc>>,
        why: &'static str,
        dropped: Dropped,
    ) {
        self.owe_again(dropped.owed);
        let gap = Owed {
            events: (dropped.events > 0).then_some(dropped.events),
            ..Owed::since(from, why)
        };
        owe(&mut self.owed, gap);
    }

    pub(super) fn owe_again(&mut self, gaps: Vec<Owed>) {
        for gap in gaps {
            // Made anew from the root when the source is seen.
            if gap.why != gap::SOURCE_UNREACHABLE {
                owe(&mut self.owed, gap);
            }
        }
    }

    /// The line for two servers that take turns under one name.
    pub(super) fn other_server(&self, epoch: &str) -> AdapterError {
        let line = super::identity::two_servers(
            &self.settings.source,
            (&self.base.owner, &self.base.standing.epoch),
            (&self.settings.identity, epoch),
        );
        AdapterError::OtherServer {
            line,
            ask_again: false,
        }
    }
}

impl Base {
    /// What a root says.
    pub(super) fn of(root: &Root, root_sequence: u64) -> Self {
        Self {
            root_sequence,
            journal: root.journal.clone(),
            seq: root.seq,
            standing: Standing {
                epoch: Arc::from(&*root.epoch),
                connected: root.connected,
                looked_at: root.looked_at,
                left_out: left_out(root),
            },
            owner: root.adapter.clone(),
        }
    }
}

/// What a root says of what is not told.
pub(super) fn left_out(root: &Root) -> Option<Arc<LeftOut>> {
    root.left_out.clone().map(Arc::new)
}

/// The sequences of the shards a root names.
pub(super) fn places(root: &Root, root_sequence: u64) -> Vec<u64> {
    root.shards
        .iter()
        .map(|place| place.resolve(root_sequence))
        .collect()
}
