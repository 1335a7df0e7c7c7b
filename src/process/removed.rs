//! Ends that no reading shows: processes that vanished from the list, and processes whose source left.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::event::payload::{CERTAIN, Exit, INFERRED, Kind, Occurred, Payload};

use super::diff::Look;
use super::event::{ProcessEvent, remember_crashes, severity};
use super::evidence::{Evidence, Life, lives};
use super::judge::{Code, End, Followed, Seen, Verdict, Whose, judge};
use super::phase::Phase;
use super::reading::Vitals;
use super::table::{LastEnd, Row};

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
        events.push(event(&mut row, vitals, &verdict, (look.ended, None), look));
        // That the name is gone too, only this reason says by itself.
        if !new_epoch {
            return events;
        }
    }
    row.memory.open = false;
    events.push(gone(&mut row, vitals, look));
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

/// Tells that a name is gone, and nothing of a run.
fn gone(row: &mut Row, vitals: Vitals, look: &Look<'_>) -> ProcessEvent {
    let verdict = Verdict {
        kind: Kind::StatusChanged,
        reason: "removed".into(),
        certainty: CERTAIN,
        exit: UNKNOWN_EXIT,
        requested: false,
    };
    let mut told = event(row, vitals, &verdict, (look.ended, None), look);
    told.payload.exit = None;
    told
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
    let trail = evidence.trail(&row.name, row.memory.mark);
    let life = lives(&trail.frames, true).into_iter().next()?;
    let frame = life.end.as_ref()?;
    let seen_up = if row.phase == Phase::Up {
        look.before_from
    } else {
        row.memory.seen_up_at
    };
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
        intent: evidence.was_requested(&row.name, look.after),
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
    event(row, vitals, verdict, when, look)
}

fn event(
    row: &mut Row,
    vitals: Vitals,
    verdict: &Verdict,
    when: (DateTime<Utc>, Option<DateTime<Utc>>),
    look: &Look<'_>,
) -> ProcessEvent {
    let previous = row.as_previous();
    let (before, at) = when;
    row.memory.process_seq = row.memory.process_seq.saturating_add(1);
    let severity = severity(
        &verdict.kind,
        &verdict.reason,
        &row.memory.crashes,
        1,
        look.ended,
    );
    if verdict.kind == Kind::Crashed {
        remember_crashes(&mut row.memory.crashes, 1, look.ended);
    }
    if verdict.kind.is_end() {
        row.memory.last_end = Some(LastEnd {
            at: before,
            requested: verdict.requested,
        });
    }
    let payload = Payload {
        kind: verdict.kind.clone(),
        severity,
        state: row.state(&vitals),
        reason: verdict.reason.clone(),
        certainty: verdict.certainty.clone(),
        occurred: Occurred {
            after: look.after.map(|after| after.min(before)),
            before,
            at,
        },
        exit: Some(verdict.exit),
        count: 1,
        previous: Some(previous),
        process_seq: row.memory.process_seq,
    };
    ProcessEvent { payload }
}
