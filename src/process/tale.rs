//! The tale of one process between two looks: which ends and beginnings, in which order, and what is told of each.

use chrono::{DateTime, TimeDelta, Utc};

use crate::event::payload::{AMBIGUOUS, CERTAIN, Exit, Kind, Word};

use super::diff::Look;
use super::event::ProcessEvent;
use super::evidence::{Evidence, Frame, STALE, Trail, drop_former, drop_told, lives};
use super::phase::{Health, Phase};
use super::plan::{Plan, Step, plan};
use super::reading::Reading;
use super::runs::{Between, SETTLED, matched_index};
use super::table::{Beginning, Row};
use super::told::{Told, folded};

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
        let mut trail = self.evidence.trail(&before.name, before.memory.mark);
        if !step.fell {
            // A row of a head was up at the head's look.
            let head = self.look.after.filter(|_| before.phase == Phase::Up);
            let seen = self.seen_up(before).or(head);
            let surely = seen.map(|seen| seen - SETTLED);
            let surely = surely.filter(|_| before.memory.open);
            self.skip(drop_former(&mut trail.frames, surely, before.restarts));
        }
        // What ended by then ended before the run of the row began, or was told with the row.
        let over = if before.memory.open {
            before.started_at
        } else {
            before.ended_at
        };
        self.skip(drop_told(&mut trail.frames, over));
        self.leave_to_the_next(&mut trail, before, step);
        let runs = lives(&trail.frames, before.counted_run());
        let plan = self.extended(plan(before, self.reading, step), &trail, &runs, before);
        if let Some(name) = self.former_name.clone() {
            let told = Told::new(Kind::StatusChanged, "renamed", CERTAIN, self.look.ended);
            self.push(&told, Some(name));
        }
        let acts = self.acts(&Between {
            before,
            plan: &plan,
            step,
            trail: &trail,
            runs: &runs,
        });
        let last_begin = acts.iter().rposition(|told| told.kind.is_beginning());
        let began = last_begin.is_some();
        for told in folded(&acts) {
            self.push(&told, None);
        }
        self.remember_run(before, &plan, began);
        self.use_frames(&trail, &plan, before.counted_run());
        self.spawn_failure(before);
        self.health(before, began);
        self.status(before);
        self.row.memory.counted = self.counted(before, step, &plan);
    }

    /// What was dropped is not heard again.
    fn skip(&mut self, dropped: Option<u64>) {
        let memory = &mut self.row.memory;
        memory.mark = dropped.map_or(memory.mark, |dropped| memory.mark.max(dropped));
    }

    /// Leaves an end that was heard while this look lasted to the next one, where the look shows a run up that the policy
    /// began after a pause: it is the end of that run. What the stream told of the run before has not come to us whole.
    fn leave_to_the_next(&self, trail: &mut Trail, before: &Row, step: Step) {
        let whole = trail.covered_since.zip(self.seen_up(before));
        let is_whole = whole.is_some_and(|(since, seen)| since <= seen);
        let by_policy = step.new_pid && step.growth > 0 && !step.fell;
        if !before.memory.open || self.reading.phase != Phase::Up || is_whole || !by_policy {
            return;
        }
        let frames = &mut trail.frames;
        let begun = frames.iter().rposition(|frame| frame.phase == Phase::Up);
        let behind = begun.map_or(0, |last| last + 1);
        let late = |frame: &Frame| frame.at >= self.look.started;
        if let Some(first) = frames[behind..].iter().position(late) {
            frames.truncate(behind + first);
        }
    }

    /// The beginning of the last look that saw the run of the row before up.
    pub(super) fn seen_up(&self, before: &Row) -> Option<DateTime<Utc>> {
        let steady = before.phase == Phase::Up && before.memory.doubts == 0;
        if steady {
            self.look.before_from
        } else {
            before.memory.seen_up_at
        }
    }

    /// A time the source gave, where it lies in the window; some servers leave former times standing.
    pub(super) fn plausible(&self, at: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        let slack = TimeDelta::seconds(1);
        at.filter(|&at| {
            at <= self.look.ended + slack && self.look.after.is_none_or(|after| at >= after - slack)
        })
    }

    /// Takes what the look itself says into the memory of the newest run.
    pub(super) fn remember_run(&mut self, before: &Row, plan: &Plan, began: bool) {
        let (reading, look) = (self.reading, self.look);
        let seen_up = self.seen_up(before);
        // A daemon that is told to end is one still, whatever word it ends under.
        self.row.daemon |= before.daemon && !began && reading.phase == Phase::Stopping;
        let memory = &mut self.row.memory;
        if !plan.is_empty() {
            memory.open = plan.leaves_open(memory.open);
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
        } else if reading.phase == Phase::Up && before.phase == Phase::Stopping {
            memory.stopping = None;
        }
        match reading.health {
            Health::NotReady => {
                let since = memory
                    .not_ready
                    .get_or_insert((look.after.unwrap_or(look.started), look.ended));
                if look.beginning == Beginning::Resync {
                    // It may have been ready in between.
                    since.1 = look.ended;
                }
            }
            Health::Ready => memory.not_ready = None,
            Health::Unknown => {}
        }
    }

    /// Folds the frames that need no further thought into the memory, exact times first, and marks them as used.
    fn use_frames(&mut self, trail: &Trail, plan: &Plan, was_open: Option<i64>) {
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
            if self.reading.health == Health::NotReady
                && let Some(since) = life.not_ready(None)
            {
                memory.not_ready = Some(since);
            }
            if let Some(stopping) = life.stopping() {
                memory.stopping = Some(stopping);
            }
        }
    }

    /// Tells that a run could not even be begun; only this ends what never began.
    fn spawn_failure(&mut self, before: &Row) {
        let again = self.row.ended_at.is_some() && self.row.ended_at != before.ended_at;
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
        let told = Told {
            exit: Some(exit),
            at,
            ..Told::new(Kind::Crashed, "spawn_failed", certainty, self.look.ended)
        };
        self.push(&told, None);
    }

    /// Compares the health of the newest run with what was told of it.
    pub(super) fn health(&mut self, before: &Row, began: bool) {
        if self.reading.phase != Phase::Up || self.reading.health == self.row.memory.told_health {
            return;
        }
        if self.is_former_health(before, began) {
            return;
        }
        let repeated = self.is_repeated_health(before, began);
        let certainty = if repeated { AMBIGUOUS } else { CERTAIN };
        match self.reading.health {
            Health::Unknown => return,
            Health::Ready => {
                let at = self.plausible(self.reading.ready_at);
                let told = Told {
                    at,
                    ..Told::new(Kind::Healthy, "probe", certainty, self.look.ended)
                };
                self.push(&told, None);
                self.row.memory.was_ready = true;
            }
            Health::NotReady => {
                let reason = if self.row.memory.was_ready {
                    "probe"
                } else {
                    "starting"
                };
                self.push(
                    &Told::new(Kind::Unhealthy, reason, certainty, self.look.ended),
                    None,
                );
            }
        }
        self.row.memory.told_health = self.reading.health;
    }

    /// Whether what the reading says of its health can only be the former run's: no check has been made of this one.
    fn is_former_health(&self, before: &Row, began: bool) -> bool {
        let delay = self
            .row
            .configuration
            .as_ref()
            .and_then(|known| known.readiness?);
        let delay = delay.and_then(|probe| i64::try_from(probe.initial_delay.as_millis()).ok());
        let young = self
            .reading
            .vitals
            .age_ms
            .zip(delay)
            .is_some_and(|(age, delay)| age < delay);
        young && self.is_repeated_health(before, began)
    }

    /// Whether a first word on its health may be the former run's last: some servers repeat it.
    fn is_repeated_health(&self, before: &Row, began: bool) -> bool {
        let former = if began {
            before.health
        } else {
            self.row.memory.former_health
        };
        self.look.sticky_health && self.reading.health == former && !self.row.memory.was_ready
    }

    /// Tells a status that nothing else has told; that something it depends on failed, no end of a run tells.
    pub(super) fn status(&mut self, before: &Row) {
        let unmet = self.reading.unmet && !before.unmet;
        let told = *before.status == *self.row.status || !self.events.is_empty();
        if told && !unmet {
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
            &Told::new(Kind::StatusChanged, reason, CERTAIN, self.look.ended),
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
        } else if self.reading.phase == Phase::Unknown && plan.is_empty() && !step.fell {
            before.memory.counted
        } else {
            said
        }
    }

    /// Tells one event.
    pub(super) fn push(&mut self, told: &Told, former_name: Option<String>) {
        let mut previous = self.before.map(Row::as_previous);
        if let Some(previous) = &mut previous {
            previous.name = former_name;
        }
        let event = told.number(&mut self.row, &self.reading.vitals, previous, self.look);
        self.events.push(event);
    }
}
