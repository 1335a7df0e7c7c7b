//! The beginning: read the head, decide how to go on from it, and only then look at the source.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::event::store::{EventStore, Head};
use crate::event::tell::{Rows, Tell};

use super::commit::{Committer, Progress, Said, Sight};
use super::error::AdapterError;
use super::gap::{self, is_rolled_back};
use super::identity::{Age, Us, Verdict, age_at_start, judge};
use super::late::{Late, Stage};
use super::opening::new_base;
use super::pending::Pending;
use super::resume::{Resumable, new_run};
use super::settings::{Acknowledged, Hooks, Settings};
use super::standby::Rivalry;
use super::table::Table;
use super::vigil::Vigil;

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

impl Beginning {
    /// True where the head is older than what had been told.
    pub(super) fn is_rolled_back(&self) -> bool {
        match self {
            Self::Resume { rolled_back, .. } => *rolled_back,
            Self::Invalid { why } => *why == gap::ROLLED_BACK,
            _ => false,
        }
    }
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
    let age = age_at_start(root, now);
    let takes_over = match judge(root, age, us) {
        Verdict::Same => None,
        Verdict::TakeOver(line) => Some(line),
        Verdict::Refuse { line, ask_again } => return Beginning::Refuse { line, ask_again },
    };
    // The end of what was told is not in the stream, whether it went back or never took it.
    let is_cut = head.is_torn || is_rolled_back(root, remembered);
    match (head.shards.is_some(), is_cut) {
        (true, rolled_back) => Beginning::Resume {
            age,
            rolled_back,
            takes_over,
        },
        (false, true) if !head.is_torn => Beginning::Invalid {
            why: gap::ROLLED_BACK,
        },
        (false, _) => lost,
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
    pub(super) head: Option<Head>,
    pub(super) beginning: Beginning,
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
            ground_due: Some(Instant::now()),
            looked_at: None,
            broker: Sight::There,
            rest: None,
            replayed: 0,
            source: Sight::There,
            run,
            runs: Vec::new(),
            said: Said::default(),
            late: Late::new(Stage::Done, Arc::clone(&base.standing.epoch)),
            commits: 0,
            older_epoch: false,
            rivalry: Rivalry::default(),
            vigil: Vigil::default(),
            left: None,
            base,
            table: Table::default(),
            store: self.store,
            tell: Arc::new(self.tell),
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
            if !committer.is_outlived()
                && let Some((state, age)) = committer.resumed(spool)
            {
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
