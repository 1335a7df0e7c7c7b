//! Ends that no reading shows: processes that vanished from the list, and processes whose source left.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::event::payload::{CERTAIN, Exit, INFERRED, Kind};

use super::diff::Look;
use super::event::ProcessEvent;
use super::evidence::{Evidence, Life, drop_former, lives};
use super::judge::{Code, End, Followed, Seen, Verdict, Whose, judge};
use super::phase::Phase;
use super::reading::Vitals;
use super::table::Row;
use super::told::{AfterEnd, Told};

/// An end somebody asked for, of which nothing else is known.
const UNKNOWN_EXIT: Exit = Exit {
    code: None,
    signal: None,
    expected: true,
};

/// Tells a process that is no longer listed.
pub(super) fn removed(
    row: &Row,
    vitals: Vitals,
    evidence: &dyn Evidence,
    look: &Look<'_>,
) -> Vec<ProcessEvent> {
    let mut row = row.clone();
    let mut events = Vec::new();
    let ended = if row.memory.open {
        own_end(&row, evidence, look)
    } else {
        None
    };
    // An end of its own before it was taken from the list is told for itself.
    if let Some((verdict, life)) = ended
        .as_ref()
        .filter(|(verdict, _)| verdict.kind == Kind::Crashed)
    {
        events.push(told_end(&mut row, vitals, verdict, life, look));
    } else if row.memory.open {
        let new_epoch = row.epoch != look.tag;
        let verdict = end_by_removal(ended.map(|(verdict, _)| verdict), new_epoch);
        row.memory.open = false;
        let previous = row.as_previous();
        let end = told(&verdict, (look.ended, None));
        events.push(end.number(&mut row, &vitals, Some(previous), look));
        // That the name is gone too, only this reason says by itself.
        if !new_epoch {
            return events;
        }
    }
    row.memory.open = false;
    let previous = row.as_previous();
    let gone = Told::new(Kind::StatusChanged, "removed", CERTAIN, look.ended);
    events.push(gone.number(&mut row, &vitals, Some(previous), look));
    events
}

/// The end of a run that went on until its process was taken from the list; `seen` where frames saw it.
fn end_by_removal(seen: Option<Verdict>, new_epoch: bool) -> Verdict {
    let certainty = if seen.is_some() { CERTAIN } else { INFERRED };
    let exit = seen.map_or(UNKNOWN_EXIT, |verdict| Exit {
        expected: true,
        ..verdict.exit
    });
    let reason = if new_epoch {
        "source_restarted"
    } else {
        "removed"
    };
    Verdict {
        kind: Kind::Stopped,
        reason: reason.into(),
        certainty,
        exit,
        requested: true,
    }
}

/// Tells the end of a run that frames saw after the last look, and the row that becomes of it.
pub(super) fn ended_by_frames(
    row: &Row,
    vitals: Vitals,
    evidence: &dyn Evidence,
    look: &Look<'_>,
) -> Option<(Row, Vec<ProcessEvent>)> {
    if !row.memory.open || !evidence.has_news(&row.name, row.memory.mark) {
        return None;
    }
    let (verdict, life) = own_end(row, evidence, look)?;
    let mut row = row.clone();
    let told = told_end(&mut row, vitals, &verdict, &life, look);
    Some((row, vec![told]))
}

/// The end of the run that was going on, where frames saw it.
fn own_end(row: &Row, evidence: &dyn Evidence, look: &Look<'_>) -> Option<(Verdict, Life)> {
    let seen_up = if row.phase == Phase::Up && row.memory.doubts == 0 {
        look.before_from
    } else {
        row.memory.seen_up_at
    };
    let mut trail = evidence.trail(&row.name, row.memory.mark);
    // A row of a head was up at the head's look.
    let head = look.after.filter(|_| row.phase == Phase::Up);
    drop_former(&mut trail.frames, seen_up.or(head), row.restarts);
    let life = lives(&trail.frames, row.counted_run()).into_iter().next()?;
    let frame = life.end.as_ref()?;
    let covered = trail
        .covered_since
        .zip(seen_up)
        .is_some_and(|(covered, seen)| covered <= seen);
    let end = End {
        code: match frame.exit_code {
            code if code == 0 || row.allowed_codes.contains(&code) => Code::Good(code),
            code => Code::Bad(code),
        },
        whose: if row.daemon {
            Whose::Launcher
        } else {
            Whose::Own
        },
        seen: if covered {
            Seen::Covered
        } else {
            Seen::Witnessed
        },
        followed: if frame.phase == Phase::BackingOff {
            Followed::ByPolicy
        } else {
            Followed::ByNothing
        },
        stopping: life.stopping().or(row.memory.stopping),
        not_ready: life.not_ready(row.memory.not_ready),
        configuration: row.configuration.clone(),
        intent: evidence.was_requested(&row.name, row.pid, look.after),
    };
    Some((judge(&end), life))
}

fn told_end(
    row: &mut Row,
    vitals: Vitals,
    verdict: &Verdict,
    life: &Life,
    look: &Look<'_>,
) -> ProcessEvent {
    let previous = row.as_previous();
    let mut when = (look.ended, None);
    if let Some(frame) = &life.end {
        row.status = Arc::clone(&frame.status);
        row.phase = frame.phase;
        row.exit_code = frame.exit_code;
        row.ended_at = frame.ended_at;
        row.memory.mark = frame.index;
        // The frame that announces a restart comes before its count.
        let announced = i64::from(frame.phase == Phase::BackingOff);
        let counted = row.memory.counted.saturating_add(announced);
        row.memory.counted = counted.max(frame.restarts);
        when = (frame.at, frame.ended_at);
    }
    row.memory.open = false;
    row.memory.stopping = None;
    row.memory.not_ready = None;
    told(verdict, when).number(row, &vitals, Some(previous), look)
}

/// An end as it is told, seen then, and at that time by the source's own word.
fn told(verdict: &Verdict, (before, at): (DateTime<Utc>, Option<DateTime<Utc>>)) -> Told {
    Told {
        exit: Some(verdict.exit),
        at,
        after_end: if verdict.requested {
            AfterEnd::Requested
        } else {
            AfterEnd::Nothing
        },
        ..Told::new(
            verdict.kind.clone(),
            verdict.reason.clone(),
            verdict.certainty.clone(),
            before,
        )
    }
}
