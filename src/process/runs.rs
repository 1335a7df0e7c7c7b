//! The runs between two looks: what frames add to the plan, how each run ended, and why each began.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::event::payload::{AMBIGUOUS, CERTAIN, Exit, INFERRED, Kind};

use super::evidence::{Frame, Life, Trail, lives};
use super::judge::{Code, End, Followed, Seen, Whose, Window, judge};
use super::phase::Phase;
use super::plan::{Plan, Step};
use super::table::Row;
use super::tale::Tale;
use super::told::{AfterEnd, Told};

/// A frame this much older than a look must show in it: only then frames add runs that the look cannot know of.
pub(super) const SETTLED: TimeDelta = TimeDelta::milliseconds(300);

/// A process before, and everything that is known of what lies between.
#[derive(Clone, Copy)]
pub(super) struct Between<'a> {
    pub(super) before: &'a Row,
    pub(super) plan: &'a Plan,
    pub(super) step: Step,
    pub(super) trail: &'a Trail,
    /// The runs the frames speak of.
    pub(super) runs: &'a [Life],
}

impl Tale<'_> {
    /// Adds the runs that frames saw whole and that no look can know of.
    pub(super) fn extended(&self, plan: Plan, trail: &Trail, runs: &[Life], before: &Row) -> Plan {
        let covered = trail.covered_since.is_some_and(|since| {
            !before.memory.open || self.seen_up(before).is_some_and(|seen| since <= seen)
        });
        if !covered || plan.is_empty() {
            return plan;
        }
        let seen = |frame: &Frame| frame.at + SETTLED <= self.look.started;
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
        // The counter counts decisions: one that was called off has no run behind it.
        let cancelled = self.reading.phase == Phase::Ended
            && begun
                .last()
                .is_some_and(|life| life.cancelled && life.end.as_ref().is_some_and(seen));
        let fewer = u32::from(cancelled && plan.begins > needed);
        let more = needed.saturating_sub(plan.begins);
        Plan {
            ends: plan.ends + more - fewer,
            begins: plan.begins + more - fewer,
            ..plan
        }
    }

    /// Everything that began and ended, in order.
    pub(super) fn acts(&self, between: &Between<'_>) -> Vec<Told> {
        let Between { plan, runs, .. } = *between;
        let open = between.before.memory.open;
        let goes_on = plan.leaves_open(open);
        let run = |number: u32| runs.get(usize::try_from(number).unwrap_or(usize::MAX));
        let mut acts: Vec<Told> = Vec::new();
        let (mut ends, mut begins) = (0, 0);
        let mut end_next = plan.end_first;
        while ends < plan.ends || begins < plan.begins {
            if end_next {
                let life = run(if open { ends } else { begins - 1 });
                acts.push(self.end(between, ends, life));
                ends += 1;
            } else {
                let life = run(begins + u32::from(open));
                let last = begins + 1 == plan.begins && goes_on;
                let told = self.beginning(between.before, acts.last(), life, last);
                acts.push(told);
                begins += 1;
            }
            end_next = !end_next;
        }
        let heard = run((plan.begins + u32::from(open)).wrapping_sub(1));
        if heard.is_none() && plan.ends_in_doubt(open) {
            for act in acts.iter_mut().rev().take(2) {
                act.certainty = AMBIGUOUS;
            }
        }
        acts
    }

    /// One end, judged.
    fn end(&self, between: &Between<'_>, number: u32, life: Option<&Life>) -> Told {
        let end = self.facts(between, number, life);
        let verdict = judge(&end);
        let after_end = match (end.followed, verdict.requested) {
            (Followed::ByPolicy, _) => AfterEnd::Policy,
            (Followed::ByNothing, true) => AfterEnd::Requested,
            (Followed::ByNothing, false) => AfterEnd::Nothing,
        };
        let frame = life.and_then(|life| life.end.as_ref());
        let limit = frame.map_or(self.look.ended, |frame| frame.at.min(self.look.ended));
        let last = self.is_shown(between, number);
        let said = frame
            .and_then(|frame| frame.ended_at)
            .or(self.reading.ended_at.filter(|_| last));
        // What the source still shows is the code of the last end; of those before it, it makes a likely kind, no more.
        let known = frame.is_some() || number + 1 == between.plan.ends;
        let exit = match verdict.exit {
            exit if known => exit,
            exit => Exit {
                code: None,
                signal: None,
                ..exit
            },
        };
        Told {
            exit: Some(exit),
            at: self.plausible(said),
            after_end,
            ..Told::new(verdict.kind, verdict.reason, verdict.certainty, limit)
        }
    }

    /// Whether this end is the one the reading shows. What could not be begun, or waits again, shows nothing of it.
    fn is_shown(&self, between: &Between<'_>, number: u32) -> bool {
        let Between { before, plan, .. } = *between;
        let over = matches!(
            self.reading.phase,
            Phase::Ended | Phase::BackingOff | Phase::Idle
        );
        number + 1 == plan.ends
            && !plan.leaves_open(before.memory.open)
            && over
            && !self.reading.unmet
    }

    /// What is known of one end.
    fn facts(&self, between: &Between<'_>, number: u32, life: Option<&Life>) -> End {
        let before = between.before;
        let last = self.is_shown(between, number);
        let own = number == 0 && before.memory.open;
        let frame = life.and_then(|life| life.end.as_ref());
        let by_policy = match frame {
            Some(frame) => frame.phase == Phase::BackingOff,
            None => between.plan.followed_by_policy(number),
        };
        let code = frame
            .map(|frame| frame.exit_code)
            .or_else(|| self.code(between.step, last, by_policy));
        let remembered = |window: Option<Window>| window.filter(|_| own);
        let not_ready = remembered(before.memory.not_ready);
        let daemon = if own {
            before.daemon
        } else {
            self.reading.daemon
        };
        End {
            code: match code {
                None => Code::Gone,
                Some(code) if self.reading.is_ok(code) => Code::Good(code),
                Some(code) => Code::Bad(code),
            },
            whose: if daemon { Whose::Launcher } else { Whose::Own },
            seen: if frame.is_some() && self.is_covered(between, own, life) {
                Seen::Covered
            } else if last || frame.is_some() {
                Seen::Witnessed
            } else {
                Seen::Missed
            },
            followed: if by_policy {
                Followed::ByPolicy
            } else {
                Followed::ByNothing
            },
            stopping: life
                .and_then(Life::stopping)
                .map(|heard| self.held_up(heard, frame.and_then(|frame| frame.ended_at)))
                .or(remembered(before.memory.stopping)),
            not_ready: life.map_or(not_ready, |life| life.not_ready(not_ready)),
            configuration: self.row.configuration.clone(),
            intent: self.was_requested(before, own, last),
        }
    }

    /// When a run was told to end: what was heard so long after its end was held up, by a wire or by our own standing still,
    /// and may have happened at any time since the look before. The end is by the clock of the source, which may be wrong.
    fn held_up(&self, heard: Window, ended_at: Option<DateTime<Utc>>) -> Window {
        match self.plausible(ended_at) {
            Some(ended) if heard.0 > ended + SETTLED => (
                self.look.after.map_or(ended, |after| after.min(ended)),
                heard.1,
            ),
            _ => heard,
        }
    }

    /// Whether one of our own commands asked for this end. Of runs that began and ended between two looks only the last
    /// one's pid is known.
    fn was_requested(&self, before: &Row, own: bool, last: bool) -> bool {
        let pid = match (own, last) {
            (true, _) => before.pid,
            (false, true) => self.reading.pid,
            (false, false) => None,
        };
        let name = if own {
            &*before.name
        } else {
            &*self.reading.name
        };
        pid.is_some() && self.evidence.was_requested(name, pid, self.look.after)
    }

    /// Whether the stream told this run everything, from a look of it (or its own beginning) on.
    fn is_covered(&self, between: &Between<'_>, own: bool, life: Option<&Life>) -> bool {
        let since = if own {
            self.seen_up(between.before)
        } else {
            life.and_then(|life| life.begin.as_ref())
                .map(|begin| begin.at)
        };
        let covered = between.trail.covered_since.zip(since);
        covered.is_some_and(|(covered, since)| covered <= since)
    }

    /// The exit code of an end that no frame told, where the source still has it.
    fn code(&self, step: Step, last: bool, policy: bool) -> Option<i64> {
        let reading = self.reading;
        let code = reading.exit_code;
        if last {
            // Without a pid it is the code of something that waits or was called off, and zero says nothing.
            return (reading.pid.is_some() || code != 0).then_some(code);
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
        let called_off = life.is_some_and(|life| life.called_off);
        let (kind, reason) = self.cause(before, end, called_off);
        let limit = frame.map_or(self.look.ended, |frame| frame.at.min(self.look.ended));
        let at = self.plausible(self.reading.started_at.filter(|_| last));
        Told {
            at,
            ..Told::new(kind, reason, certainty, limit)
        }
    }

    /// Why a run began.
    fn cause(&self, before: &Row, end: Option<&Told>, called_off: bool) -> (Kind, &'static str) {
        let by_schedule = match (before.schedule_at, self.reading.schedule_at) {
            (Some(due), Some(next)) => next > due,
            (Some(due), None) => due <= self.look.ended,
            _ => false,
        };
        let by_watch = self.row.watch_at.is_some() && self.row.watch_at != before.watch_at;
        let policy = match end {
            None => before.phase == Phase::BackingOff,
            Some(end) => end.after_end == AfterEnd::Policy,
        };
        if policy && !called_off {
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
            .max(Duration::from_secs(1))
            .saturating_add(self.look.interval.saturating_mul(2));
        let window = TimeDelta::from_std(window).unwrap_or(TimeDelta::MAX);
        self.look.ended - end.at <= window
    }
}

/// Index of the frame that belongs to the last of so many ends and beginnings of which there is one.
pub(super) fn matched_index(frames: &[Frame], open: Option<i64>, acts: u32) -> Option<u64> {
    let runs = lives(frames, open);
    let all = runs
        .iter()
        .flat_map(|life| [life.begin.as_ref(), life.end.as_ref()]);
    // Of the run that was going on the beginning is told.
    let all = all.skip(usize::from(open.is_some()));
    let told = all.take(usize::try_from(acts).unwrap_or(usize::MAX));
    told.flatten().map(|frame| frame.index).last()
}
