//! Going on from a spool: what the queue was, what the state was, and whether a head is the one it builds on.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::event::store::{EventStore, Head, Root, refresh_every};
use crate::event::tell::{Restored, Rows, Tell};

use super::commit::{Base, Committer};
use super::gap::{self, Owed, owe};
use super::identity::Age;
use super::settings::{Hooks, Settings};
use super::spool::{Found, Opened, open};
use super::table::{Row, Table, revisions};

/// What a spool leaves to be done once it is known whether a head goes with it.
#[derive(Debug)]
pub(super) struct Resumable {
    /// The rows as they are once all that waits is told.
    rows: BTreeMap<Arc<str>, Row>,
}

/// How the commits of a new run begin.
pub(super) fn new_run(settings: &Settings, hooks: &Hooks) -> String {
    format!("{}.{}", settings.adapter, (hooks.names)())
}

/// Whether a commit is one of this run.
pub(super) fn is_of(run: &str, commit: &str) -> bool {
    commit
        .strip_prefix(run)
        .is_some_and(|rest| rest.starts_with('.'))
}

impl<St: EventStore, T: Tell, R: Rows> Committer<St, T, R> {
    /// Looks for a spool and takes up its queue.
    pub(super) fn find_spool(&mut self) -> Option<Resumable> {
        let place = self.settings.spool.as_ref()?;
        match open(place, &self.settings.source, &self.run) {
            Ok(Found::Nothing) => None,
            Ok(Found::Spool(opened)) => self.take_up(*opened),
            Ok(Found::Unreadable) => {
                self.pending.mark_stale();
                owe(&mut self.owed, Owed::since(None, gap::SPOOL_CORRUPT));
                None
            }
            Ok(Found::Newer(path)) => {
                let path = path.display();
                tracing::warn!(%path, "the spool was written by a newer build and is kept there");
                owe(&mut self.owed, Owed::since(None, gap::SPOOL_CORRUPT));
                None
            }
            Err(error) => {
                // Something lies there that we may not read; it goes when another file takes its place.
                if place.path.exists() {
                    owe(&mut self.owed, Owed::since(None, gap::SPOOL_CORRUPT));
                }
                self.spool_fails(&error);
                None
            }
        }
    }

    fn take_up(&mut self, opened: Opened) -> Option<Resumable> {
        let Opened {
            first,
            runs,
            told,
            rows,
            owed,
            ..
        } = &opened;
        self.base = first.base.clone();
        self.table = Table::of_rows(first.rows.clone());
        self.runs.clone_from(runs);
        self.owed.clone_from(owed);
        let (told, rows) = (told.clone(), rows.clone());
        self.pending.adopt(opened);
        if let Some(told) = told {
            // Just read through, so it can be read again; if not, it counts as corrupt.
            let Ok(released) = self.pending.release_to(self.base.seq, told.seq, None) else {
                self.give_up_spool();
                return None;
            };
            self.table.absorb(released.rows);
            self.base.root_sequence = told.root_sequence;
            self.base.seq = told.seq;
            self.base.standing = told.standing;
        }
        Some(Resumable { rows })
    }

    /// A queue that was taken up and turns out to be of no use.
    pub(super) fn give_up_spool(&mut self) {
        let dropped = self.pending.drop_all();
        self.owe_again(dropped.owed);
        let lost = Owed {
            events: Some(dropped.events),
            ..Owed::since(Some(self.base.standing.looked_at), gap::SPOOL_CORRUPT)
        };
        owe(&mut self.owed, lost);
        self.forget_runs();
    }

    /// The file may still say that our commits belong to its queue: from now on they have another name.
    pub(super) fn forget_runs(&mut self) {
        self.runs.clear();
        self.run = new_run(&self.settings, &self.hooks);
    }

    /// Whether a root is further in our queue because one of our own commits put it there.
    pub(super) fn continues(&self, root: &Root) -> bool {
        root.journal == self.base.journal
            && root.seq > self.base.seq
            && self.is_ours(&root.commit)
            && self.pending.ends_a_piece(self.base.seq, root.seq)
    }

    fn is_ours(&self, commit: &str) -> bool {
        let mut runs = self.runs.iter().chain([&self.run]);
        runs.any(|run| is_of(run, commit))
    }

    /// Whether the queue that was taken up goes on from this head.
    pub(super) fn goes_on_from(&self, head: Option<&Head>) -> bool {
        let Some(head) = head else {
            return self.base.root_sequence == 0;
        };
        let Ok(root) = &head.root else { return false };
        if head.is_torn {
            return false;
        }
        !self.is_outlived() && (self.is_at_base(head, root) || self.continues(root))
    }

    /// Whether more is known to be told than the queue that was taken up holds: it should have been gone.
    pub(super) fn is_outlived(&self) -> bool {
        let known = self.acknowledged.as_ref();
        known.is_some_and(|known| known.journal == self.base.journal && known.seq > self.tail().seq)
    }

    /// Whether all of the queue was told, and then more by somebody else or by ourselves: nothing of it is lost.
    pub(super) fn is_all_told(&self, head: Option<&Head>) -> bool {
        let whole = head.filter(|head| !head.is_torn);
        let root = whole.and_then(|head| head.root.as_ref().ok());
        root.is_some_and(|root| {
            root.journal == self.base.journal
                && root.seq >= self.tail().seq
                && self.is_ours(&root.commit)
        })
    }

    /// The state to go on from, and whether a stretch passed in which nobody looked.
    pub(super) fn resumed(&mut self, resumable: Resumable) -> Option<(R::State, Age)> {
        if self.base.is_new() {
            self.acknowledged = None;
        }
        let standing = self.tail().standing;
        let looked_at = standing.looked_at.max(self.base.standing.looked_at);
        let age = self.age_of(looked_at);
        let restored = Restored {
            epoch: &standing.epoch,
            resync: age == Age::Stale || !self.owed.is_empty(),
            first: false,
            looked_at,
        };
        let rows = resumable.rows.into_values();
        let rows: Vec<_> = rows.map(|row| row.bytes).collect();
        let mut rows = rows.iter().map(|row| &**row);
        let state = self.rows.decode(&mut rows, restored).ok()?;
        self.told = revisions(&self.rows, &state);
        if age == Age::Stale {
            owe(
                &mut self.owed,
                Owed::since(Some(looked_at), gap::ADAPTER_DOWN),
            );
        }
        Some((state, age))
    }

    fn age_of(&self, looked_at: DateTime<Utc>) -> Age {
        let interval = self.settings.interval;
        let stale_after = refresh_every(interval) + 2 * interval;
        match ((self.hooks.now)() - looked_at).to_std() {
            Ok(still) if still >= stale_after => Age::Stale,
            _ => Age::Fresh,
        }
    }
}

impl Base {
    /// What lies before the first commit ever, or in a journal that nothing was told in yet.
    pub(super) fn is_new(&self) -> bool {
        self.seq == 0
    }
}
