//! The durable outlet: one report at a time becomes one acknowledged commit, or waits in `pending`.
//!
//! The parts of it: `report` hears the runtime; `frame` says what a report tells; this file brings it to the broker and
//! decides by the broker's answer; `settle` finds out by the head what became of a commit.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::event::store::{
    Commit, EventStore, HEAD_FORMAT, MAX_MESSAGES, Outgoing, Root, StoreError,
};
use crate::event::tell::{Rows, Tell};

use super::error::AdapterError;
use super::gap::Owed;
use super::late::Late;
use super::pending::release::Released;
use super::pending::{Cut, Pending, Standing};
use super::settings::{Acknowledged, Hooks, Notice, Settings};
use super::spool::entry;
use super::standby::Rivalry;
use super::table::{Plan, Table};
use super::vigil::Vigil;

/// First pause after the broker was busy; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The longest rest of a broker that stays busy: each batch it cannot stage costs it something, for instance on a full
/// disk.
const LONGEST_REST: Duration = Duration::from_secs(10);
/// So many fences in one report are enough: somebody is faster than we are, and the next report tries again.
const MOST_FENCES: u32 = 8;

/// Whether the other side answered when it was last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    There,
    Away,
}

/// The root that was last acknowledged or read: what the next commit builds on.
#[derive(Debug, Clone)]
pub(super) struct Base {
    /// Its sequence; 0 where there is none yet.
    pub(super) root_sequence: u64,
    pub(super) journal: String,
    pub(super) seq: u64,
    pub(super) standing: Standing,
    /// The adapter that wrote it.
    pub(super) owner: String,
}

/// A commit whose outcome may still turn out: what it would have changed.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) commit: String,
    pub(super) pieces: usize,
    plan: Plan,
    standing: Standing,
    seq: u64,
    events: usize,
}

/// How far a report got.
#[derive(Debug)]
pub(super) enum Progress<S> {
    /// Everything is acknowledged.
    Done,
    /// The rest waits for the broker.
    Waiting,
    /// Somebody else's head replaces our state.
    Rebase(S),
}

/// What is said once and not again.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// That the stream is too small for what is told into it.
    pub(super) small_stream: bool,
    /// That the disk does not take what waits.
    pub(super) spool_fails: bool,
}

/// The durable outlet. It is the only writer of its head; one per source.
pub struct Committer<St, T, R> {
    pub(super) store: Arc<St>,
    pub(super) tell: Arc<T>,
    pub(super) rows: R,
    pub(super) settings: Settings,
    pub(super) hooks: Hooks,
    pub(super) base: Base,
    pub(super) table: Table,
    /// The revision of each row as it was last told, committed or pending.
    pub(super) told: BTreeMap<Arc<str>, u64>,
    pub(super) pending: Pending,
    pub(super) attempts: Vec<Attempt>,
    /// True where the head must be read before the next commit.
    pub(super) doubt: bool,
    pub(super) owed: Vec<Owed>,
    pub(super) acknowledged: Option<Acknowledged>,
    /// When the root was last seen to move.
    pub(super) moved_at: Instant,
    /// When the broker is asked again how the head stands; never where it may not say.
    pub(super) ground_due: Option<Instant>,
    /// The end of the last successful look of this run.
    pub(super) looked_at: Option<DateTime<Utc>>,
    pub(super) broker: Sight,
    /// Until when a broker that stays busy is left alone, and for how long the next time.
    pub(super) rest: Option<(Instant, Duration)>,
    /// Events that had waited and were told since the broker was away.
    pub(super) replayed: u64,
    pub(super) source: Sight,
    /// How the commits of this run begin that belong to the present numbering.
    pub(super) run: String,
    /// The same of earlier runs whose commits may belong to it too, as the spool says.
    pub(super) runs: Vec<String>,
    pub(super) said: Said,
    /// What is still to be found out since the broker was away at the start.
    pub(super) late: Late,
    pub(super) commits: u64,
    /// True after one reading whose epoch lies before that of another adapter's head.
    pub(super) older_epoch: bool,
    pub(super) rivalry: Rivalry,
    /// Since when we look without a break.
    pub(super) vigil: Vigil,
    /// The journal that was left because the stream had gone back behind what was told in it.
    pub(super) left: Option<String>,
}

impl<St, T, R> std::fmt::Debug for Committer<St, T, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committer")
            .field("base", &self.base)
            .field("doubt", &self.doubt)
            .finish_non_exhaustive()
    }
}

impl<St: EventStore, T: Tell, R: Rows> Committer<St, T, R> {
    /// Brings all that waits to the broker, as far as it takes it.
    ///
    /// # Cancel safety
    ///
    /// Dropped, what was under way counts as unknown; the next call finds out.
    pub(super) async fn advance(&mut self) -> Result<Progress<R::State>, AdapterError> {
        let progress = self.tell_on().await;
        if matches!(progress, Ok(Progress::Done)) {
            return progress;
        }
        let written = self.pending.complete();
        let progress = progress?;
        written?;
        Ok(progress)
    }

    async fn tell_on(&mut self) -> Result<Progress<R::State>, AdapterError> {
        let (mut fences, mut pause, began) = (0, FIRST_PAUSE, Instant::now());
        let mut fenced = false;
        loop {
            if !self.may_try() {
                return Ok(Progress::Waiting);
            }
            if self.doubt {
                self.pending.complete()?;
                match self.settle().await? {
                    Progress::Done => {}
                    other => return Ok(other),
                }
            }
            if std::mem::take(&mut fenced) && self.lost_refresh() || self.pending.is_empty() {
                self.back();
                return Ok(Progress::Done);
            }
            if self.gives_way().await? {
                return Ok(Progress::Waiting);
            }
            if self.doubt {
                continue;
            }
            if self.pending.refill().is_err() {
                return self.unreadable();
            }
            self.pending.write_on()?;
            let Err(error) = self.commit_once().await else {
                continue;
            };
            match error {
                // Not stored, that much is known; the head says the rest, or that there is none.
                StoreError::Fenced | StoreError::NoStream if fences < MOST_FENCES => {
                    self.attempts.pop();
                    (fences, fenced) = (fences + 1, true);
                }
                StoreError::Busy(why) => {
                    self.attempts.pop();
                    self.doubt = false;
                    let jittered = pause.mul_f64(0.5 + fastrand::f64());
                    let is_long = began.elapsed() + jittered > self.settings.interval;
                    if is_long || self.broker == Sight::Away {
                        self.rest();
                        self.away(&why);
                        return Ok(Progress::Waiting);
                    }
                    tokio::time::sleep(jittered).await;
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
                StoreError::Refused(line) => return Err(AdapterError::Refused(line)),
                StoreError::Invalid(line) => return Err(AdapterError::Invalid(line)),
                error => {
                    self.away(&error.to_string());
                    return Ok(Progress::Waiting);
                }
            }
        }
    }

    /// Whether the broker is there, and not left alone for a while.
    fn may_try(&mut self) -> bool {
        if !self.store.is_connected() {
            self.rest = None;
            self.away("not connected");
            return false;
        }
        self.rest.is_none_or(|(until, _)| Instant::now() >= until)
    }

    /// One commit of as much as fits.
    async fn commit_once(&mut self) -> Result<(), StoreError> {
        let began = Instant::now();
        let (mut attempt, root, events) = self.attempt(began);
        let messages = 1 + attempt.plan.shards.len() + events.len();
        let shards = attempt.plan.send();
        // Should this future be dropped, nobody knows what became of the commit.
        self.doubt = true;
        self.attempts.push(attempt);
        let commit = Commit {
            source: &self.settings.source,
            root: &root,
            expected: self.base.root_sequence,
            shards: &shards,
            events: &events,
        };
        let committed = beside(&mut self.pending, self.store.commit(commit)).await;
        let sequence = committed.inspect_err(|error| self.hooks.pulse.reject(error))?;
        self.doubt = false;
        if let Some(attempt) = self.attempts.pop() {
            let (events, seq) = (attempt.events, attempt.seq);
            self.hooks.pulse.committed(events);
            self.acknowledge(attempt, sequence);
            let took = began.elapsed();
            self.say(match events {
                0 => Notice::Refreshed,
                events => Notice::Committed {
                    events,
                    seq,
                    took,
                    messages,
                },
            });
        }
        Ok(())
    }

    /// The next commit: what waits, from the front, as much as fits.
    fn attempt(&mut self, now: Instant) -> (Attempt, Root, Vec<Outgoing>) {
        let mut budget = MAX_MESSAGES - 1;
        let (cut, plan) = loop {
            let table = &self.table;
            let (seq, standing) = (self.base.seq, &self.base.standing);
            let cut = self
                .pending
                .cut(seq, budget, standing, |key| table.shard_of(key));
            let plan = table.plan(&cut.changes, now);
            let over = (1 + plan.shards.len() + cut.events.len()).saturating_sub(MAX_MESSAGES);
            // More shards than the changes touch: old ones, or twice as many.
            if over == 0 || cut.pieces <= 1 || budget <= over {
                break (cut, plan);
            }
            budget -= over;
        };
        self.commits += 1;
        let commit = format!("{}.{}", self.run, self.commits);
        let root = self.root(&commit, &cut, &plan);
        let attempt = Attempt {
            commit,
            pieces: cut.pieces,
            plan,
            standing: Standing {
                looked_at: root.looked_at,
                ..cut.standing
            },
            seq: cut.seq,
            events: cut.events.len(),
        };
        (attempt, root, cut.events)
    }

    fn root(&self, commit: &str, cut: &Cut, plan: &Plan) -> Root {
        let looked_at = match self.looked_at {
            // Looks that changed nothing came after what waited.
            Some(latest) if cut.is_all => latest.max(cut.standing.looked_at),
            _ => cut.standing.looked_at,
        };
        Root {
            format: HEAD_FORMAT,
            source: self.settings.source.clone(),
            journal: self.base.journal.clone(),
            seq: cut.seq,
            epoch: cut.standing.epoch.to_string(),
            connected: cut.standing.connected,
            adapter: self.settings.adapter.clone(),
            commit: commit.to_owned(),
            looked_at,
            since: (self.base.root_sequence > 0).then_some(self.base.standing.looked_at),
            interval_ms: u64::try_from(self.settings.interval.as_millis()).unwrap_or(u64::MAX),
            shards: self.table.places(plan),
            identity: self.settings.identity.clone(),
            left_out: cut.standing.left_out.as_deref().cloned(),
        }
    }

    /// The broker has it: what was proposed is the base now.
    pub(super) fn acknowledge(&mut self, attempt: Attempt, root_sequence: u64) {
        let now = Instant::now();
        let told = self.hooks.told.as_mut();
        let Released { rows, gaps, waited } = self.pending.release(attempt.pieces, told);
        self.table.apply(rows, &attempt.plan, (root_sequence, now));
        self.base = Base {
            root_sequence,
            journal: std::mem::take(&mut self.base.journal),
            seq: attempt.seq,
            standing: attempt.standing,
            owner: self.settings.adapter.clone(),
        };
        self.acknowledged_to(gaps, waited, attempt.events > 0);
    }

    /// Everything up to the base is told now.
    pub(super) fn acknowledged_to(&mut self, gaps: Vec<Owed>, waited: u64, events: bool) {
        self.attempts.clear();
        self.rest = None;
        self.moved_at = Instant::now();
        self.rivalry.won();
        if self.broker == Sight::Away {
            self.replayed += waited;
        }
        for gap in gaps {
            self.say(Notice::GapTold {
                why: gap.why.into(),
                events: gap.events,
            });
        }
        if events {
            let acknowledged = Acknowledged {
                journal: self.base.journal.clone(),
                seq: self.base.seq,
                looked_at: self.base.standing.looked_at,
            };
            (self.hooks.acknowledged)(&acknowledged);
            self.acknowledged = Some(acknowledged);
        }
        let base = &self.base;
        let owes = !self.owed.is_empty();
        self.pending.acknowledged(|| entry::told(base), owes);
    }

    /// What was not acknowledged has to outlive us.
    ///
    /// A disk that does not take it is no reason to stop looking, nor to take less: the queue goes on in memory, within
    /// its small bound, and beyond that collapses to the net difference with a gap, as it would without a spool. Only
    /// our own crash before that costs more, and the head still tells the difference then.
    pub(super) fn keep(&mut self) {
        let runs: Vec<_> = self.runs.iter().chain([&self.run]).cloned().collect();
        let (source, base, table, owed) =
            (&self.settings.source, &self.base, &self.table, &self.owed);
        let kept = self
            .pending
            .keep(|| entry::first((source, base), &runs, table.rows(), owed));
        if let Err(error) = kept {
            self.spool_fails(&error);
        }
    }

    pub(super) fn spool_fails(&mut self, error: &std::io::Error) {
        if !std::mem::replace(&mut self.said.spool_fails, true) {
            let path = self
                .settings
                .spool
                .as_ref()
                .map(|place| place.path.display());
            let path = path.map_or_else(String::new, |path| path.to_string());
            let why = format!("{path}: {error}");
            self.say(Notice::SpoolFails { why });
        }
    }

    pub(super) fn say(&mut self, notice: Notice) {
        (self.hooks.notice)(notice);
    }

    /// The broker takes nothing at present; its head is read before it is trusted again.
    pub(super) fn away(&mut self, why: &str) {
        self.doubt = true;
        if std::mem::replace(&mut self.broker, Sight::Away) == Sight::There {
            let why = why.to_owned();
            self.say(Notice::BrokerAway { why });
        }
    }

    /// Leaves a broker that stays busy alone for a while, each time for longer.
    fn rest(&mut self) {
        let pause = self.rest.map_or(FIRST_PAUSE, |(_, pause)| pause);
        let until = Instant::now() + pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.rest = Some((until, (2 * pause).min(LONGEST_REST)));
    }

    /// Nothing waits any more; an answer alone is not enough, a busy broker answers as well.
    pub(super) fn back(&mut self) {
        if std::mem::replace(&mut self.broker, Sight::There) == Sight::Away {
            let replayed = std::mem::take(&mut self.replayed);
            self.say(Notice::BrokerBack { replayed });
        }
    }
}

/// Commits, and makes the next commit ready meanwhile, a little at a time.
async fn beside<T>(pending: &mut Pending, commit: impl Future<Output = T>) -> T {
    let mut commit = pin!(commit);
    poll_fn(|context| {
        let committed = commit.as_mut().poll(context);
        if committed.is_pending() && pending.prepare() {
            // Others have their turn before the next little.
            context.waker().wake_by_ref();
        }
        committed
    })
    .await
}
