//! The beginning: read the head, decide how to go on from it, and only then look at the source.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::event::store::{EventStore, HEAD_FORMAT, Head, Root, StoreError};
use crate::event::tell::{Restored, Rows, Tell};

use super::commit::{Base, Committer, Sight};
use super::error::AdapterError;
use super::gap::{self, Owed, is_rolled_back};
use super::identity::{Age, Us, Verdict, age_at_start, judge};
use super::pending::{Pending, Standing};
use super::settings::{Acknowledged, Hooks, Settings};
use super::settle::places;
use super::table::Table;

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

impl<St: EventStore, T: Tell, R: Rows> Parts<St, T, R> {
    /// Reads the head and decides; the source must be looked at only afterwards. `epoch` is what our own server says;
    /// none where it could not be asked yet.
    ///
    /// # Errors
    ///
    /// [`AdapterError::kind`] `Transient`: call again after a pause. `OtherServer` with `ask_again`: ask the server for
    /// its epoch and call again once. Anything else is final.
    ///
    /// # Cancel safety
    ///
    /// Reads only, except that a stream of ours that is gone is made again.
    pub async fn read(&self, epoch: Option<&str>) -> Result<Found, AdapterError> {
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
        match decide(head.as_ref(), us, self.remembered.as_ref(), now) {
            Beginning::Refuse { line, ask_again } => {
                Err(AdapterError::OtherServer { line, ask_again })
            }
            beginning => Ok(Found { head, beginning }),
        }
    }

    /// Makes the outlet, and the state from which the runtime resumes.
    pub fn begin(self, found: Found) -> Begun<St, T, R> {
        let Found { head, beginning } = found;
        let root = head.as_ref().and_then(|head| head.root.as_ref().ok());
        let root_sequence = head.as_ref().map_or(0, |head| head.root_sequence);
        let resumed = match (&head, root, &beginning) {
            (Some(head), Some(root), Beginning::Resume { age, .. }) => {
                self.resume(head, root, &beginning, *age)
            }
            _ => None,
        };
        let begin = match resumed {
            Some(begin) => begin,
            None if beginning == Beginning::First => Opening {
                base: self.new_base(None, 0, false),
                table: Table::default(),
                owed: None,
                state: None,
                beginning,
            },
            None => self.anew(root, root_sequence, &beginning),
        };
        self.assemble(begin)
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
        let base = self.new_base(root, root_sequence, true);
        let from = match (root, &self.remembered) {
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

    fn new_base(&self, root: Option<&Root>, root_sequence: u64, connected: bool) -> Base {
        Base {
            root_sequence,
            journal: (self.hooks.names)(),
            seq: 0,
            standing: Standing {
                epoch: root.map_or("", |root| &root.epoch).into(),
                connected,
                looked_at: root.map_or_else(|| (self.hooks.now)(), |root| root.looked_at),
            },
            owner: self.settings.adapter.clone(),
        }
    }

    fn assemble(self, opening: Opening<R::State>) -> Begun<St, T, R> {
        let is_new = opening.base.seq == 0;
        let epoch = Arc::clone(&opening.base.standing.epoch);
        let committer = Committer {
            told: opening.table.revisions(),
            pending: Pending::new(self.settings.pending_bytes),
            attempts: Vec::new(),
            doubt: false,
            owed: opening.owed.into_iter().collect(),
            // A new journal is measured by what we tell in it.
            acknowledged: self.remembered.filter(|_| !is_new),
            moved_at: Instant::now(),
            ground_due: Some(Instant::now()),
            small_stream: false,
            looked_at: None,
            broker: Sight::There,
            rest: None,
            replayed: 0,
            source: Sight::There,
            run: (self.hooks.names)(),
            commits: 0,
            older_epoch: false,
            base: opening.base,
            table: opening.table,
            store: self.store,
            tell: self.tell,
            rows: self.rows,
            settings: self.settings,
            hooks: self.hooks,
        };
        Begun {
            committer,
            state: opening.state,
            epoch,
            beginning: opening.beginning,
        }
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
