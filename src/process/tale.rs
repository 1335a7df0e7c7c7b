//! The tale of one process between two looks: which ends and beginnings, in which order, and what is told of each.

use chrono::{DateTime, TimeDelta, Utc};

use crate::event::payload::{AMBIGUOUS, CERTAIN, Exit, INFERRED, Kind, Occurred, Payload, Word};

use super::diff::Look;
use super::event::{ProcessEvent, remember_crashes, severity};
use super::evidence::{Evidence, Life, Trail, lives};
use super::judge::{End, Seen, judge};
use super::phase::{Health, Phase};
use super::plan::{Plan, Step, plan};
use super::reading::Reading;
use super::table::{LastEnd, Row};

/// A frame this much older than a look must show in it: only then frames add runs that the look cannot know of.
const SETTLED: TimeDelta = TimeDelta::milliseconds(300);
/// A frame this much older than a look, and still not borne out by it, belongs to something that was told already.
const STALE: TimeDelta = TimeDelta::milliseconds(1500);

/// One thing to be told, before it has its number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    pub(super) kind: Kind,
    pub(super) reason: Word,
    pub(super) certainty: Word,
    pub(super) exit: Option<Exit>,
    pub(super) count: u32,
    pub(super) at: Option<DateTime<Utc>>,
    pub(super) before: DateTime<Utc>,
    pub(super) after_end: AfterEnd,
}

/// What is known of an end for the beginning behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterEnd {
    /// Nothing in particular.
    Nothing,
    /// Somebody asked for it.
    Requested,
    /// The supervisor's policy begins the process again.
    Policy,
}

impl Told {
    pub(super) fn new(
        kind: Kind,
        reason: impl Into<Word>,
        certainty: Word,
        before: DateTime<Utc>,
    ) -> Self {
        Self {
            kind,
            reason: reason.into(),
            certainty,
            exit: None,
            count: 1,
            at: None,
            before,
            after_end: AfterEnd::Nothing,
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.reason == other.reason
            && self.certainty == other.certainty
            && self.exit == other.exit
    }
}

/// The tale of one process.
pub(super) struct Tale<'a> {
    pub(super) look: &'a Look<'a>,
    pub(super) evidence: &'a dyn Evidence,
    pub(super) reading: &'a Reading<'a>,
    /// The row before; `None` where the name is new.
    pub(super) before: Option<&'a Row>,
    /// The row that becomes of it.
    pub(super) row: Row,
    /// The events, in order.
    pub(super) events: Vec<ProcessEvent>,
    /// The name it had, where it changed.
    pub(super) former_name: Option<String>,
}

impl<'a> Tale<'a> {
    pub(super) fn new(
        look: &'a Look<'a>,
        evidence: &'a dyn Evidence,
        reading: &'a Reading<'a>,
        before: Option<&'a Row>,
    ) -> Self {
        let mut row = Row::new(reading, look.tag);
        if let Some(before) = before {
            row.memory = before.memory.clone();
            row.memory.doubts = 0;
            row.configuration = before
                .configuration
                .clone()
                .filter(|_| before.epoch == look.tag);
        }
        if row.configuration.is_none() {
            row.configuration = evidence.configuration(&reading.name);
        }
        Self {
            look,
            evidence,
            reading,
            before,
            row,
            events: Vec::new(),
            former_name: None,
        }
    }

    /// A process that was there before, in the same epoch.
    pub(super) fn continued(&mut self, before: &Row) {
        let step = Step::between(before, self.reading);
        let trail = self.evidence.trail(&before.name, before.memory.mark);
        let runs = lives(&trail.frames, before.memory.open);
        let plan = self.extended(plan(before, self.reading, step), &trail, &runs, before);
        if let Some(name) = self.former_name.clone() {
            let mut told = Told::new(Kind::StatusChanged, "renamed", CERTAIN, self.look.ended);
            self.push(&mut told, Some(name));
        }
        let acts = self.acts(before, &plan, step, &trail, &runs);
        let last_begin = acts.iter().rposition(|told| told.kind.is_beginning());
        let began = last_begin.is_some();
        for mut told in folded(acts) {
            self.push(&mut told, None);
        }
        self.remember_run(before, &plan, began);
        self.use_frames(&trail, &plan, before.memory.open);
        self.spawn_failure(before);
        self.health(before, began);
        self.status(before);
        self.row.memory.counted = self.counted(before, step, &plan);
    }

    /// Adds the runs that frames saw whole and that no look can know of.
    fn extended(&self, plan: Plan, trail: &Trail, runs: &[Life], before: &Row) -> Plan {
        let covered = trail.covered_since.is_some_and(|since| {
            !before.memory.open || self.seen_up(before).is_some_and(|seen| since <= seen)
        });
        if !covered || plan.is_empty() {
            return plan;
        }
        let seen = |frame: &super::evidence::Frame| frame.at + SETTLED <= self.look.started;
        let begun: Vec<&Life> = runs
            .iter()
            .filter(|life| life.begin.as_ref().is_some_and(seen))
            .collect();
        let ended = begun
            .last()
            .is_some_and(|life| life.end.as_ref().is_some_and(seen));
        // A run that is up now and whose beginning has not arrived stands behind the last one that ended.
        let late = u32::from(self.reading.phase.is_alive() && ended);
        let needed = u32::try_from(begun.len()).unwrap_or_default() + late;
        let more = needed.saturating_sub(plan.begins);
        Plan {
            ends: plan.ends + more,
            begins: plan.begins + more,
            ..plan
        }
    }

    fn acts(
        &self,
        before: &Row,
        plan: &Plan,
        step: Step,
        trail: &Trail,
        runs: &[Life],
    ) -> Vec<Told> {
        let mut acts: Vec<Told> = Vec::new();
        let (mut ends, mut begins) = (0, 0);
        let mut end_next = plan.end_first;
        while ends < plan.ends || begins < plan.begins {
            if end_next {
                let run = if before.memory.open { ends } else { begins - 1 };
                let life = runs.get(usize::try_from(run).unwrap_or(usize::MAX));
                acts.push(self.end(before, plan, step, ends, (trail, life)));
                ends += 1;
            } else {
                let run = begins + u32::from(before.memory.open);
                let life = runs.get(usize::try_from(run).unwrap_or(usize::MAX));
                let last = begins + 1 == plan.begins && self.reading.phase.is_alive();
                let told = self.beginning(before, acts.last(), life, last);
                acts.push(told);
                begins += 1;
            }
            end_next = !end_next;
        }
        acts
    }

    /// One end, judged.
    fn end(
        &self,
        before: &Row,
        plan: &Plan,
        step: Step,
        number: u32,
        seen: (&Trail, Option<&Life>),
    ) -> Told {
        let (trail, life) = seen;
        let last = number + 1 == plan.ends && !self.reading.phase.is_alive();
        let own = number == 0 && before.memory.open;
        let frame = life.and_then(|life| life.end.as_ref());
        let policy = match frame {
            Some(frame) => frame.phase == Phase::BackingOff,
            None => plan.followed_by_policy(number),
        };
        let code = frame
            .map(|frame| frame.exit_code)
            .or_else(|| self.code(step, last, policy));
        let since = if own {
            self.seen_up(before)
        } else {
            life.and_then(|l| l.begin.as_ref()).map(|b| b.at)
        };
        let covered = frame.is_some()
            && trail
                .covered_since
                .zip(since)
                .is_some_and(|(covered, since)| covered <= since);
        let framed = life
            .and_then(|life| life.terminating.as_ref())
            .map(|frame| (frame.at, frame.at));
        let remembered = before.memory.stopping.filter(|_| own);
        let not_ready = match life.and_then(|life| life.not_ready) {
            Some(since) => since.map(|at| (at, at)),
            None => before.memory.not_ready.filter(|_| own),
        };
        let end = End {
            code,
            ok: code.is_some_and(|code| self.reading.is_ok(code)),
            seen: if last || frame.is_some() {
                Seen::Witnessed
            } else {
                Seen::Missed
            },
            policy,
            covered,
            stopping: framed.or(remembered),
            not_ready,
            probe: self
                .row
                .configuration
                .as_ref()
                .and_then(|configuration| configuration.readiness),
            intent: own && self.evidence.was_requested(&before.name, self.look.after),
            daemon: if own {
                before.daemon
            } else {
                self.reading.daemon
            },
        };
        let verdict = judge(&end);
        let after_end = match (policy, verdict.requested) {
            (true, _) => AfterEnd::Policy,
            (false, true) => AfterEnd::Requested,
            (false, false) => AfterEnd::Nothing,
        };
        let limit = frame.map_or(self.look.ended, |frame| frame.at.min(self.look.ended));
        let said = frame
            .and_then(|frame| frame.ended_at)
            .or(self.reading.ended_at.filter(|_| last));
        Told {
            exit: Some(verdict.exit),
            at: self.plausible(said),
            after_end,
            ..Told::new(verdict.kind, verdict.reason, verdict.certainty, limit)
        }
    }

    /// The exit code of an end that no frame told, where the source still has it.
    fn code(&self, step: Step, last: bool, policy: bool) -> Option<i64> {
        let reading = self.reading;
        let code = reading.exit_code;
        if last {
            let fresh = reading.unmet || reading.phase == Phase::Failed || reading.pid.is_none();
            return (!fresh || (code != 0 && !reading.unmet)).then_some(code);
        }
        // A restart by hand makes some servers forget the code and others keep it; zero may mean either.
        let kept =
            policy || (step.growth == 0 && !step.fell && code != 0 && reading.phase.is_alive());
        kept.then_some(code)
    }

    fn beginning(&self, before: &Row, end: Option<&Told>, life: Option<&Life>, last: bool) -> Told {
        let frame = life.and_then(|life| life.begin.as_ref());
        let certainty = if last || frame.is_some() {
            CERTAIN
        } else {
            INFERRED
        };
        let (kind, reason) = self.cause(before, end);
        let limit = frame.map_or(self.look.ended, |frame| frame.at.min(self.look.ended));
        let at = self.plausible(self.reading.started_at.filter(|_| last));
        Told {
            at,
            ..Told::new(kind, reason, certainty, limit)
        }
    }

    /// Why a run began.
    fn cause(&self, before: &Row, end: Option<&Told>) -> (Kind, &'static str) {
        let by_schedule = match (before.schedule_at, self.reading.schedule_at) {
            (Some(due), Some(next)) => next > due,
            (Some(due), None) => due <= self.look.ended,
            _ => false,
        };
        let by_watch = self.reading.watch_at.is_some() && self.reading.watch_at != before.watch_at;
        let policy = match end {
            None => before.phase == Phase::BackingOff,
            Some(end) => end.after_end == AfterEnd::Policy,
        };
        if policy {
            return (Kind::Restarted, "policy");
        }
        if by_schedule {
            return (Kind::Started, "schedule");
        }
        if by_watch {
            return (Kind::Restarted, "watch");
        }
        match end {
            Some(end) if end.after_end == AfterEnd::Requested || end.certainty != INFERRED => {
                (Kind::Restarted, "requested")
            }
            Some(_) => (Kind::Restarted, "unknown"),
            None if self.within_restart_window(before) => (Kind::Restarted, "requested"),
            None if before.phase == Phase::Waiting => (Kind::Started, "dependency_met"),
            None => (Kind::Started, "requested"),
        }
    }

    /// Whether an end by request lies so short a time back that the beginning is its other half.
    fn within_restart_window(&self, before: &Row) -> bool {
        let Some(end) = before.memory.last_end.filter(|end| end.requested) else {
            return false;
        };
        let backoff = self
            .row
            .configuration
            .as_ref()
            .and_then(|configuration| configuration.backoff);
        let window = backoff
            .unwrap_or_default()
            .max(std::time::Duration::from_secs(1))
            + 2 * self.look.interval;
        TimeDelta::from_std(window).is_ok_and(|window| self.look.ended - end.at <= window)
    }

    /// The beginning of the last look that saw the run of the row before up.
    fn seen_up(&self, before: &Row) -> Option<DateTime<Utc>> {
        let steady = before.phase == Phase::Up && before.memory.doubts == 0;
        if steady {
            self.look.before_from
        } else {
            before.memory.seen_up_at
        }
    }

    /// A time the source gave, where it lies in the window; some servers leave former times standing.
    fn plausible(&self, at: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        let slack = TimeDelta::seconds(1);
        at.filter(|&at| {
            at <= self.look.ended + slack && self.look.after.is_none_or(|after| at >= after - slack)
        })
    }

    /// Takes what the look itself says into the memory of the newest run.
    pub(super) fn remember_run(&mut self, before: &Row, plan: &Plan, began: bool) {
        let (reading, look) = (self.reading, self.look);
        let seen_up = self.seen_up(before);
        let memory = &mut self.row.memory;
        if !plan.is_empty() {
            memory.open = reading.phase.is_alive();
        }
        if began || !memory.open {
            if began {
                memory.former_health = before.health;
                memory.told_health = Health::Unknown;
                memory.was_ready = false;
            }
            memory.not_ready = None;
            memory.stopping = None;
        }
        if !memory.open {
            return;
        }
        memory.seen_up_at = if began { Some(look.started) } else { seen_up };
        if reading.phase == Phase::Stopping {
            memory
                .stopping
                .get_or_insert((look.after.unwrap_or(look.started), look.ended));
        }
        match reading.health {
            Health::NotReady => {
                memory
                    .not_ready
                    .get_or_insert((look.after.unwrap_or(look.started), look.ended));
            }
            Health::Ready => memory.not_ready = None,
            Health::Unknown => {}
        }
    }

    /// Folds the frames that need no further thought into the memory, exact times first, and marks them as used.
    fn use_frames(&mut self, trail: &Trail, plan: &Plan, was_open: bool) {
        let needed = plan.begins + plan.ends;
        let matched = matched_index(&trail.frames, was_open, needed);
        let old = trail
            .frames
            .iter()
            .filter(|frame| frame.at + STALE <= self.look.started)
            .map(|frame| frame.index)
            .max();
        let Some(mark) = old.max(matched) else { return };
        let used: Vec<_> = trail
            .frames
            .iter()
            .filter(|frame| frame.index <= mark)
            .cloned()
            .collect();
        let memory = &mut self.row.memory;
        memory.mark = mark;
        if !memory.open {
            return;
        }
        let own = lives(&used, was_open)
            .pop()
            .filter(|life| plan.is_empty() || life.begin.is_some());
        if let Some(life) = own.filter(|life| life.end.is_none()) {
            if let (Some(since), true) = (
                life.not_ready.flatten(),
                self.reading.health == Health::NotReady,
            ) {
                memory.not_ready = Some((since, since));
            }
            if let Some(frame) = life.terminating {
                memory.stopping = Some((frame.at, frame.at));
            }
        }
    }

    /// Tells that a run could not even be begun; only this ends what never began.
    fn spawn_failure(&mut self, before: &Row) {
        let again = self.reading.ended_at.is_some() && self.reading.ended_at != before.ended_at;
        if self.reading.phase == Phase::Failed && (before.phase != Phase::Failed || again) {
            self.spawn_failed(CERTAIN);
        }
    }

    pub(super) fn spawn_failed(&mut self, certainty: Word) {
        let exit = Exit {
            code: None,
            signal: None,
            expected: false,
        };
        let at = self.plausible(self.reading.ended_at);
        let mut told = Told {
            exit: Some(exit),
            at,
            ..Told::new(Kind::Crashed, "spawn_failed", certainty, self.look.ended)
        };
        self.push(&mut told, None);
    }

    /// Compares the health of the newest run with what was told of it.
    pub(super) fn health(&mut self, before: &Row, began: bool) {
        if self.reading.phase != Phase::Up || self.reading.health == self.row.memory.told_health {
            return;
        }
        let former = if began {
            before.health
        } else {
            self.row.memory.former_health
        };
        let repeated =
            self.look.sticky_health && self.reading.health == former && !self.row.memory.was_ready;
        let certainty = if repeated { AMBIGUOUS } else { CERTAIN };
        match self.reading.health {
            Health::Unknown => return,
            Health::Ready => {
                let at = self.plausible(self.reading.ready_at);
                let mut told = Told {
                    at,
                    ..Told::new(Kind::Healthy, "probe", certainty, self.look.ended)
                };
                self.push(&mut told, None);
                self.row.memory.was_ready = true;
            }
            Health::NotReady => {
                let reason = if self.row.memory.was_ready {
                    "probe"
                } else {
                    "starting"
                };
                self.push(
                    &mut Told::new(Kind::Unhealthy, reason, certainty, self.look.ended),
                    None,
                );
            }
        }
        self.row.memory.told_health = self.reading.health;
    }

    /// Tells a status that nothing else has told.
    fn status(&mut self, before: &Row) {
        if *before.status == *self.row.status || !self.events.is_empty() {
            return;
        }
        let over = self.reading.phase == Phase::Ended;
        let reason = if self.reading.unmet {
            "dependency_failed"
        } else if before.phase == Phase::BackingOff && over {
            "restart_cancelled"
        } else {
            "status"
        };
        self.push(
            &mut Told::new(Kind::StatusChanged, reason, CERTAIN, self.look.ended),
            None,
        );
    }

    /// The restart counter that is accounted for now: a status that announces a restart may come before its count.
    fn counted(&self, before: &Row, step: Step, plan: &Plan) -> i64 {
        let said = self.reading.restarts;
        let announced = self.reading.phase == Phase::BackingOff
            && !plan.is_empty()
            && step.growth == 0
            && !step.fell;
        if announced {
            said.saturating_add(1)
        } else if self.reading.phase == Phase::BackingOff && plan.is_empty() {
            said.max(before.memory.counted)
        } else {
            said
        }
    }

    /// Numbers one event and tells it.
    pub(super) fn push(&mut self, told: &mut Told, former_name: Option<String>) {
        let memory = &mut self.row.memory;
        memory.process_seq += 1;
        let severity = severity(
            &told.kind,
            &told.reason,
            &memory.crashes,
            told.count,
            self.look.ended,
        );
        if told.kind == Kind::Crashed {
            remember_crashes(&mut memory.crashes, told.count, self.look.ended);
        }
        if told.kind.is_end() {
            memory.last_end = Some(LastEnd {
                at: told.before,
                requested: told.after_end == AfterEnd::Requested,
            });
        }
        let mut previous = self.before.map(Row::as_previous);
        if let Some(previous) = &mut previous {
            previous.name = former_name;
        }
        let payload = Payload {
            kind: told.kind.clone(),
            severity,
            state: self.row.state(&self.reading.vitals),
            reason: told.reason.clone(),
            certainty: told.certainty.clone(),
            occurred: Occurred {
                after: self.look.after,
                before: told.before,
                at: told.at,
            },
            exit: told.exit,
            count: told.count,
            previous,
            process_seq: self.row.memory.process_seq,
        };
        self.events.push(ProcessEvent { payload });
    }
}

/// Index of the frame that belongs to the last of so many ends and beginnings.
fn matched_index(frames: &[super::evidence::Frame], open: bool, acts: u32) -> Option<u64> {
    let runs = lives(frames, open);
    let marks = runs
        .iter()
        .flat_map(|life| [life.begin.as_ref(), life.end.as_ref()])
        .flatten()
        .map(|f| f.index);
    marks
        .take(usize::try_from(acts).unwrap_or(usize::MAX))
        .last()
}

/// Folds equal neighbours: a pair that repeats is told once with its count.
fn folded(acts: Vec<Told>) -> Vec<Told> {
    let mut out: Vec<Told> = Vec::new();
    let mut rest = acts.as_slice();
    while let [first, tail @ ..] = rest {
        let mut pairs = 1;
        if let [second, ..] = tail {
            while rest.len() >= 2 * (pairs + 1)
                && rest[2 * pairs].is_like(first)
                && rest[2 * pairs + 1].is_like(second)
            {
                pairs += 1;
            }
        }
        if pairs > 1 {
            let count = u32::try_from(pairs).unwrap_or(u32::MAX);
            let last = &rest[2 * (pairs - 1)..2 * pairs];
            out.extend(last.iter().map(|told| Told {
                count,
                ..told.clone()
            }));
            rest = &rest[2 * pairs..];
        } else {
            out.push(first.clone());
            rest = tail;
        }
    }
    out
}
