//! The beginning: read the head, decide how to go on from it, and only then look at the source.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::event::store::{EventStore, HEAD_FORMAT, Head, Root, StoreError};
use crate::event::tell::{Restored, Rows, Tell};

use super::commit::{Base, Committer, Progress, Sight};
use super::error::AdapterError;
use super::gap::{self, Owed, is_rolled_back, owe};
use super::identity::{Age, Us, Verdict, age_at_start, judge};
use super::late::{Late, Stage};
use super::pending::{Dropped, Pending, Standing};
use super::resume::{Resumable, new_run};
use super::settings::{Acknowledged, Hooks, Settings};
use super::settle::places;
use super::table::{Table, revisions};

/// How an adapter begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beginning {
    /// Nobody has told anything about this source yet: the first look ever.
    First,
    /// The head is gone on from.
    Resume {
        /// Whether a stretch passed in which nobody looked.
        age: Age,
        /// True where the head is older than what we had told: a new journal begins.
        rolled_back: bool,
        /// One line where a name is taken over from another server.
        takes_over: Option<String>,
    },
    /// There was a head and it cannot be used: a new journal, a gap, and a first look that is no news.
    Invalid {
        /// The cause for the gap.
        why: &'static str,
    },
    /// The broker is away: the queue in the spool is gone on with.
    Spool {
        /// Whether a stretch passed in which nobody looked.
        age: Age,
    },
    /// The broker is away and there is no spool: nothing is told until the head can be read.
    Blind,
    /// It must not begin.
    Refuse {
        /// One line: what was found and what to do.
        line: String,
        /// True where asking our own server for its epoch once more may settle it.
        ask_again: bool,
    },
}

/// Decides how to begin. Pure.
pub fn decide(
    head: Option<&Head>,
    us: Us<'_>,
    remembered: Option<&Acknowledged>,
    now: DateTime<Utc>,
) -> Beginning {
    let lost = Beginning::Invalid {
        why: gap::STREAM_LOST,
    };
    let Some(head) = head else {
        return remembered.map_or(Beginning::First, |_| lost);
    };
    let Ok(root) = &head.root else {
        return lost;
    };
    if root.format > HEAD_FORMAT {
        let line = format!(
            "the head of {} has format {}, this build writes {HEAD_FORMAT}; use the newer observe that wrote it",
            root.source.escape_debug(),
            root.format
        );
        return Beginning::Refuse {
            line,
            ask_again: false,
        };
    }
    let age = age_at_start(root, now);
    let takes_over = match judge(root, age, us) {
        Verdict::Same => None,
        Verdict::TakeOver(line) => Some(line),
        Verdict::Refuse { line, ask_again } => return Beginning::Refuse { line, ask_again },
    };
    match (head.shards.is_some(), is_rolled_back(root, remembered)) {
        (true, rolled_back) => Beginning::Resume {
            age,
            rolled_back,
            takes_over,
        },
        (false, true) => Beginning::Invalid {
            why: gap::ROLLED_BACK,
        },
        (false, false) => lost,
    }
}

/// All that an adapter is made of.
#[derive(Debug)]
pub struct Parts<St, T, R> {
    /// The broker.
    pub store: Arc<St>,
    /// How the domain's events are told.
    pub tell: T,
    /// How its state becomes rows.
    pub rows: R,
    /// What does not change.
    pub settings: Settings,
    /// What is called back.
    pub hooks: Hooks,
    /// The highest event this adapter had acknowledged in earlier runs.
    pub remembered: Option<Acknowledged>,
}

/// A head that was read and may be gone on from.
#[derive(Debug)]
pub struct Found {
    head: Option<Head>,
    beginning: Beginning,
}

/// An adapter ready to hear reports.
#[derive(Debug)]
pub struct Begun<St, T, R: Rows> {
    /// The durable outlet.
    pub committer: Committer<St, T, R>,
    /// The state to resume from; none at the first look ever.
    pub state: Option<R::State>,
    /// The epoch that state belongs to; empty where none is known.
    pub epoch: Arc<str>,
    /// How it begins.
    pub beginning: Beginning,
}

impl Found {
    /// How it begins.
    pub(super) fn beginning(&self) -> &Beginning {
        &self.beginning
    }
}

impl<St: EventStore, T: Tell, R: Rows> Parts<St, T, R> {
    /// An outlet that knows nothing yet: the spool comes first, because it may hold what the head does not.
    pub fn outlet(self) -> Outset<St, T, R> {
        let run = new_run(&self.settings, &self.hooks);
        let base = new_base(&self.hooks, &self.settings, None, (0, false));
        let spool = self.settings.spool.clone();
        let mut committer = Committer {
            told: BTreeMap::new(),
            pending: Pending::new(self.settings.pending_bytes, spool),
            attempts: Vec::new(),
            doubt: false,
            owed: Vec::new(),
            acknowledged: self.remembered,
            moved_at: Instant::now(),
            looked_at: None,
            broker: Sight::There,
            replayed: 0,
            source: Sight::There,
            run,
            runs: Vec::new(),
            spool_fails: false,
            late: Late::new(Stage::Done, Arc::clone(&base.standing.epoch)),
            commits: 0,
            incomplete: 0,
            older_epoch: false,
            base,
            table: Table::default(),
            store: self.store,
            tell: self.tell,
            rows: self.rows,
            settings: self.settings,
            hooks: self.hooks,
        };
        let spool = committer.find_spool();
        Outset { committer, spool }
    }
}

/// An adapter that has looked for its spool and not yet for its head.
#[derive(Debug)]
pub struct Outset<St, T, R: Rows> {
    committer: Committer<St, T, R>,
    spool: Option<Resumable>,
}

impl<St: EventStore, T: Tell, R: Rows> Outset<St, T, R> {
    /// Reads the head and decides; the source must be looked at only afterwards. `epoch` is what our own server says;
    /// none where it could not be asked yet.
    ///
    /// # Errors
    ///
    /// [`AdapterError::kind`] `Transient`: call again after a pause, or [`begin_late`](Self::begin_late). `OtherServer`
    /// with `ask_again`: ask the server for its epoch and call again once. Anything else is final.
    ///
    /// # Cancel safety
    ///
    /// Reads only, except that a stream of ours that is gone is made again.
    pub async fn read(&self, epoch: Option<&str>) -> Result<Found, AdapterError> {
        self.committer.read(epoch).await
    }

    /// Events of the domain that wait in the spool.
    pub fn waiting(&self) -> u64 {
        self.committer.pending.waiting()
    }

    /// Makes the outlet, and the state from which the runtime resumes.
    pub fn begin(mut self, found: Found) -> Begun<St, T, R> {
        let Some(spool) = self.spool.take() else {
            let (state, beginning) = self.committer.open(found);
            return self.begun(state, beginning);
        };
        let committer = &mut self.committer;
        let head = found.head.as_ref();
        if committer.goes_on_from(head)
            && matches!(committer.compare(found.head.clone()), Ok(Progress::Done))
            && let Some((state, age)) = committer.resumed(spool)
        {
            let takes_over = match &found.beginning {
                Beginning::Resume { takes_over, .. } => takes_over.clone(),
                _ => None,
            };
            let beginning = Beginning::Resume {
                age,
                rolled_back: false,
                takes_over,
            };
            return self.begun(Some(state), beginning);
        }
        let all_told = committer.is_all_told(head);
        let dropped = committer.pending.drop_all();
        committer.forget_runs();
        let (state, beginning) = committer.open(found);
        if !all_told {
            committer.owe_dropped(dropped, &beginning);
        }
        self.begun(state, beginning)
    }

    /// Begins without the broker: from the spool, if there is one that can be used, else knowing nothing until the head
    /// can be read.
    pub fn begin_late(mut self) -> Begun<St, T, R> {
        let committer = &mut self.committer;
        (committer.doubt, committer.broker) = (true, Sight::Away);
        if let Some(spool) = self.spool.take() {
            if let Some((state, age)) = committer.resumed(spool) {
                let epoch = Arc::clone(&committer.tail().standing.epoch);
                committer.late = Late::new(Stage::Unjudged, epoch);
                return self.begun(Some(state), Beginning::Spool { age });
            }
            committer.give_up_spool();
        }
        committer.late.stage = Stage::Blind;
        self.begun(None, Beginning::Blind)
    }

    fn begun(self, state: Option<R::State>, beginning: Beginning) -> Begun<St, T, R> {
        let epoch = self.committer.tail().standing.epoch;
        Begun {
            committer: self.committer,
            state,
            epoch,
            beginning,
        }
    }
}

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
            None => self.anew(root, root_sequence, &beginning),
        };
        self.base = opening.base;
        self.table = opening.table;
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
    fn owe_dropped(&mut self, dropped: Dropped, beginning: &Beginning) {
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
            owed: why.map(|why| Owed::since(Some(root.looked_at), why)),
            state: Some(state),
            beginning: beginning.clone(),
        })
    }

    /// A head that cannot be used, or rows of it that cannot be read.
    fn anew(
        &self,
        root: Option<&Root>,
        root_sequence: u64,
        beginning: &Beginning,
    ) -> Opening<R::State> {
        let why = match beginning {
            Beginning::Invalid { why } => why,
            _ => gap::STREAM_LOST,
        };
        let base = new_base(&self.hooks, &self.settings, root, (root_sequence, true));
        let from = match (root, &self.acknowledged) {
            (Some(root), _) => Some(root.looked_at),
            (None, Some(known)) => Some(known.looked_at),
            (None, None) => None,
        };
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

fn new_base(
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
