//! Beginning from a head: base, table, state, and the gap that is owed.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::event::store::{EventStore, Head, Root, StoreError};
use crate::event::tell::{Restored, Rows, Tell};

use super::commit::{Base, Committer};
use super::error::AdapterError;
use super::gap::{self, Owed, owe};
use super::identity::{Age, Us};
use super::pending::{Dropped, Standing};
use super::settings::{Hooks, Settings};
use super::settle::{left_out, places};
use super::start::{Beginning, Found, decide};
use super::table::{Table, revisions};

impl<St: EventStore, T: Tell, R: Rows> Committer<St, T, R> {
    pub(super) async fn read(&self, epoch: Option<&str>) -> Result<Found, AdapterError> {
        let source = &self.settings.source;
        let head = match self.store.read_head(source).await {
            Err(StoreError::NoStream) => {
                self.store.recreate().await?;
                self.store.read_head(source).await?
            }
            read => read?,
        };
        if self.is_being_mended(head.as_ref()) {
            let why = "another adapter's commit is stored in part; it is waited for";
            return Err(StoreError::Busy(why.to_owned()).into());
        }
        let us = Us {
            adapter: &self.settings.adapter,
            identity: &self.settings.identity,
            epoch,
            claim: self.settings.claim,
        };
        let now = (self.hooks.now)();
        match decide(head.as_ref(), us, self.acknowledged.as_ref(), now) {
            Beginning::Refuse { line, ask_again } => {
                Err(AdapterError::OtherServer { line, ask_again })
            }
            beginning => Ok(Found { head, beginning }),
        }
    }

    /// Begins from a head, or from there being none: the state to resume from, and how it begins.
    pub(super) fn open(&mut self, found: Found) -> (Option<R::State>, Beginning) {
        let Found { head, beginning } = found;
        let root = head.as_ref().and_then(|head| head.root.as_ref().ok());
        let root_sequence = head.as_ref().map_or(0, |head| head.root_sequence);
        let resumed = match (&head, root, &beginning) {
            (Some(head), Some(root), Beginning::Resume { age, .. }) => {
                self.resume(head, root, &beginning, *age)
            }
            _ => None,
        };
        let opening = match resumed {
            Some(opening) => opening,
            None if beginning == Beginning::First => Opening {
                base: new_base(&self.hooks, &self.settings, None, (0, false)),
                table: Table::default(),
                owed: None,
                state: None,
                beginning,
            },
            None => self.anew(head.as_ref(), root_sequence, &beginning),
        };
        self.base = opening.base;
        self.table = opening.table;
        if let (Some(head), Some(root), true) = (&head, root, opening.beginning.is_rolled_back()) {
            self.leave(head, root);
        }
        let state = opening.state.as_ref();
        self.told = state.map_or_else(BTreeMap::new, |state| revisions(&self.rows, state));
        if let Some(gap) = opening.owed {
            owe(&mut self.owed, gap);
        }
        if self.base.is_new() {
            // A new journal is measured by what we tell in it.
            self.acknowledged = None;
        }
        self.moved_at = Instant::now();
        (opening.state, opening.beginning)
    }

    /// What waited in a spool and is dropped at the start, because the head is not the one it builds on.
    pub(super) fn owe_dropped(&mut self, dropped: Dropped, beginning: &Beginning) {
        self.owe_again(dropped.owed);
        if dropped.events == 0 {
            return;
        }
        let (why, to) = match beginning {
            Beginning::Invalid { why } => (*why, None),
            Beginning::Resume {
                rolled_back: true, ..
            } => (gap::ROLLED_BACK, None),
            _ => (gap::SUPERSEDED, dropped.to),
        };
        let lost = Owed {
            from: dropped.from,
            to,
            why,
            events: Some(dropped.events),
        };
        owe(&mut self.owed, lost);
    }

    fn resume(
        &self,
        head: &Head,
        root: &Root,
        beginning: &Beginning,
        age: Age,
    ) -> Option<Opening<R::State>> {
        let Beginning::Resume {
            rolled_back,
            takes_over,
            ..
        } = beginning
        else {
            return None;
        };
        let restored = Restored {
            epoch: &root.epoch,
            resync: age == Age::Stale || *rolled_back,
            first: false,
            looked_at: root.looked_at,
        };
        let state = self.rows.decode(&mut head.rows(), restored).ok()?;
        let mut base = Base::of(root, head.root_sequence);
        let why = match (rolled_back, age) {
            (true, _) => Some(gap::ROLLED_BACK),
            (false, Age::Stale) => Some(gap::ADAPTER_DOWN),
            (false, Age::Fresh) => None,
        };
        if *rolled_back {
            base.journal = (self.hooks.names)();
            base.seq = 0;
        }
        if *rolled_back || takes_over.is_some() {
            base.owner.clone_from(&self.settings.adapter);
        }
        Some(Opening {
            table: Table::of(&self.rows, &state, &places(root, head.root_sequence)),
            base,
            owed: why.map(|why| Owed::since(head.told_until(), why)),
            state: Some(state),
            beginning: beginning.clone(),
        })
    }

    /// A head that cannot be used, or rows of it that cannot be read.
    fn anew(
        &self,
        head: Option<&Head>,
        root_sequence: u64,
        beginning: &Beginning,
    ) -> Opening<R::State> {
        let root = head.and_then(|head| head.root.as_ref().ok());
        let why = match beginning {
            Beginning::Invalid { why } => why,
            _ => gap::STREAM_LOST,
        };
        let base = new_base(&self.hooks, &self.settings, root, (root_sequence, true));
        let until = head.and_then(Head::told_until);
        let from = until.or(self.acknowledged.as_ref().map(|known| known.looked_at));
        let restored = Restored {
            epoch: &base.standing.epoch,
            resync: true,
            first: true,
            looked_at: from.unwrap_or(base.standing.looked_at),
        };
        Opening {
            state: self.rows.decode(&mut std::iter::empty(), restored).ok(),
            base,
            table: Table::default(),
            owed: Some(Owed::since(from, why)),
            beginning: Beginning::Invalid { why },
        }
    }
}

pub(super) fn new_base(
    hooks: &Hooks,
    settings: &Settings,
    root: Option<&Root>,
    (root_sequence, connected): (u64, bool),
) -> Base {
    Base {
        root_sequence,
        journal: (hooks.names)(),
        seq: 0,
        standing: Standing {
            epoch: root.map_or("", |root| &root.epoch).into(),
            connected,
            looked_at: root.map_or_else(|| (hooks.now)(), |root| root.looked_at),
            left_out: root.and_then(left_out),
        },
        owner: settings.adapter.clone(),
    }
}

/// What a beginning amounts to.
struct Opening<S> {
    base: Base,
    table: Table,
    owed: Option<Owed>,
    state: Option<S>,
    beginning: Beginning,
}
