//! Evidence: what is known beside two readings. It classifies; that something is told, the readings decide.
//!
//! A supervisor with a state stream sends a frame for each transition. Frames know what a look cannot: that an end was
//! asked for, the true exit code, the moment. They do not know pids, and they can be lost; so a name's frames count as
//! complete only while its [`Trail::covered_since`] says so.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::judge::Window;
use super::phase::{Health, Phase};
use super::reading::Configuration;

/// A frame this much older than a look, and still not borne out by it, belongs to something that was told already.
pub(super) const STALE: TimeDelta = TimeDelta::milliseconds(1500);

/// One transition as the state stream told it.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Position among all frames of this program's life; grows.
    pub index: u64,
    /// When it arrived.
    pub at: DateTime<Utc>,
    /// The supervisor's own word.
    pub status: Arc<str>,
    /// What that word means.
    pub phase: Phase,
    /// What the readiness probe said.
    pub health: Health,
    /// The restart counter, which may be one behind in a frame that announces a restart.
    pub restarts: i64,
    /// The exit code; true in frames even where a later look is told another.
    pub exit_code: i64,
    /// When the run ended, as the source says it.
    pub ended_at: Option<DateTime<Utc>>,
}

/// The frames of one name, in order.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    /// Live frames that no told end has used up.
    pub frames: Vec<Frame>,
    /// Since when the stream has told this name everything without a break.
    pub covered_since: Option<DateTime<Utc>>,
}

/// Whatever knows frames, intents and configurations by name.
pub trait Evidence {
    /// The frames of a name behind the one at `mark`.
    fn trail(&self, name: &str, mark: u64) -> Trail;

    /// Whether one of our own commands asked for the end of this run, which came after `since`.
    fn was_requested(&self, name: &str, pid: Option<i64>, since: Option<DateTime<Utc>>) -> bool;

    /// What is known of the configuration of a name in this epoch.
    fn configuration(&self, name: &str) -> Option<Arc<Configuration>>;

    /// False where there are no frames behind `mark` for this name: saves the copy.
    fn has_news(&self, name: &str, mark: u64) -> bool;

    /// When the latest of those frames arrived that are no longer kept, because a table had used them.
    fn released(&self) -> Option<DateTime<Utc>> {
        None
    }
}

/// No evidence at all: what two readings alone can tell.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvidence;

impl Evidence for NoEvidence {
    fn trail(&self, _name: &str, _mark: u64) -> Trail {
        Trail::default()
    }

    fn was_requested(&self, _name: &str, _pid: Option<i64>, _since: Option<DateTime<Utc>>) -> bool {
        false
    }

    fn configuration(&self, _name: &str) -> Option<Arc<Configuration>> {
        None
    }

    fn has_news(&self, _name: &str, _mark: u64) -> bool {
        false
    }
}

/// Evidence without the frames that a table read from a head has accounted for: rows of a head know no marks, because
/// those mean nothing to another program run.
#[derive(Clone, Copy)]
pub(super) struct Unused<'a> {
    pub(super) all: &'a dyn Evidence,
    /// The look that the head is of; what arrived by then was told.
    pub(super) told_until: Option<DateTime<Utc>>,
    /// True where a table that was given up for an older head had used frames behind it: what is left of them begins in
    /// the middle and would be taken for the ends of other runs.
    pub(super) is_torn: bool,
}

impl Evidence for Unused<'_> {
    fn trail(&self, name: &str, mark: u64) -> Trail {
        if self.is_torn {
            return Trail::default();
        }
        let mut trail = self.all.trail(name, mark);
        if let Some(until) = self.told_until {
            let told = trail.frames.partition_point(|frame| frame.at <= until);
            // What came behind the last beginning, a moment before that look, the look may not have shown yet.
            let fresh = trail.frames[..told]
                .iter()
                .rposition(|frame| frame.phase == Phase::Up || frame.at + STALE <= until);
            trail.frames.drain(..fresh.map_or(0, |last| last + 1));
        }
        trail
    }

    fn was_requested(&self, name: &str, pid: Option<i64>, since: Option<DateTime<Utc>>) -> bool {
        self.all.was_requested(name, pid, since)
    }

    fn configuration(&self, name: &str) -> Option<Arc<Configuration>> {
        self.all.configuration(name)
    }

    fn has_news(&self, name: &str, mark: u64) -> bool {
        !self.is_torn
            && self.all.has_news(name, mark)
            && (self.told_until.is_none() || !self.trail(name, mark).frames.is_empty())
    }
}

/// Drops the frames of former runs, and what came before them: they were late, and somebody else has told them. They count
/// fewer restarts than the row, or tell an end although a look since then saw the run up. Gives the index of the last.
pub(super) fn drop_former(
    frames: &mut Vec<Frame>,
    seen_up: Option<DateTime<Utc>>,
    restarts: i64,
) -> Option<u64> {
    drop_to_last(frames, |frame| {
        let late = seen_up.is_some_and(|seen| frame.at <= seen);
        frame.restarts < restarts || (frame.phase.is_over() && late)
    })
}

/// Drops the frames of runs that were over at a time which a look has shown since: the beginning of the run that goes on, or
/// the end that was told. They come late, held up by a wire that stood still. Gives the index of the last.
pub(super) fn drop_told(frames: &mut Vec<Frame>, over: Option<DateTime<Utc>>) -> Option<u64> {
    drop_to_last(frames, |frame| {
        frame.phase.is_over() && frame.ended_at.is_some() && frame.ended_at <= over
    })
}

fn drop_to_last(frames: &mut Vec<Frame>, which: impl Fn(&Frame) -> bool) -> Option<u64> {
    let last = frames.iter().rposition(which)?;
    frames.drain(..=last).next_back().map(|frame| frame.index)
}

/// One run as the frames saw it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Life {
    /// The frame of its beginning; `None` for the run that was going on.
    pub(super) begin: Option<Frame>,
    /// Whether a frame before its beginning called off the restart that the policy had decided on.
    pub(super) called_off: bool,
    /// The first frame that said it was told to end.
    pub(super) terminating: Option<Frame>,
    /// The frame of its end.
    pub(super) end: Option<Frame>,
    /// Whether a frame behind its end called off the restart that was to follow.
    pub(super) cancelled: bool,
    /// What the frames last said of its readiness.
    pub(super) readiness: Readiness,
}

/// What the frames of a run last said of its readiness.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Readiness {
    /// Nothing.
    #[default]
    Unsaid,
    /// Ready.
    Ready,
    /// Not ready, and since when.
    NotReadySince(DateTime<Utc>),
}

impl Life {
    fn see_health(&mut self, frame: &Frame) {
        match (frame.health, self.readiness) {
            (Health::NotReady, Readiness::Unsaid | Readiness::Ready) => {
                self.readiness = Readiness::NotReadySince(frame.at);
            }
            (Health::Ready, _) => self.readiness = Readiness::Ready,
            _ => {}
        }
    }

    /// Since when it was not ready, if it was so to the last; `remembered` is what looks say of it.
    pub(super) fn not_ready(&self, remembered: Option<Window>) -> Option<Window> {
        match self.readiness {
            Readiness::Unsaid => remembered,
            Readiness::Ready => None,
            Readiness::NotReadySince(at) => Some((at, at)),
        }
    }

    /// When it was told to end, to the millisecond.
    pub(super) fn stopping(&self) -> Option<Window> {
        self.terminating.as_ref().map(|frame| (frame.at, frame.at))
    }
}

/// The runs a name's frames speak of, in order; the first one is the run that was going on, when there was one, and
/// `open` is what the restart counter said of it.
///
/// A frame that counts more restarts than its run speaks of a later one, whose beginning nobody heard: the stream broke.
///
/// A frame of a run that goes on begins no new one: frames are also sent when readiness changes, and the frame of a
/// beginning may arrive after the look that saw it. Runs that could not be spawned are no runs.
pub(super) fn lives(frames: &[Frame], open: Option<i64>) -> Vec<Life> {
    let mut lives: Vec<Life> = Vec::new();
    let mut alive = open.is_some();
    let mut called_off = false;
    let mut counted = open.unwrap_or(i64::MAX);
    if alive {
        lives.push(Life::default());
    }
    for frame in frames {
        // Not the frame that announces a restart: that counts it already, on some servers.
        if alive && frame.restarts > counted && frame.phase != Phase::BackingOff {
            alive = frame.phase != Phase::Up;
            lives.extend(alive.then(Life::default));
        }
        if frame.phase == Phase::Up || alive {
            counted = frame.restarts;
        }
        match (frame.phase, alive) {
            (Phase::Up, false) => {
                lives.push(Life {
                    begin: Some(frame.clone()),
                    called_off: std::mem::take(&mut called_off),
                    ..Life::default()
                });
                alive = true;
            }
            (Phase::Up, true) => {
                if let Some(life) = lives.last_mut() {
                    life.see_health(frame);
                }
            }
            (Phase::Stopping, true) => {
                if let Some(life) = lives.last_mut() {
                    life.terminating.get_or_insert_with(|| frame.clone());
                }
            }
            (Phase::Failed, true) => {
                // The frame of a beginning is sent before the spawn; where that fails, nothing ever ran.
                if lives.last().is_some_and(|life| life.begin.is_some()) {
                    lives.pop();
                } else if let Some(life) = lives.last_mut() {
                    life.end = Some(frame.clone());
                }
                alive = false;
            }
            (phase, true) if phase.is_over() => {
                if let Some(life) = lives.last_mut() {
                    life.end = Some(frame.clone());
                }
                alive = false;
            }
            (Phase::Ended | Phase::Failed, false) => {
                called_off = true;
                if let Some(life) = lives.last_mut() {
                    life.cancelled = true;
                }
            }
            _ => {}
        }
    }
    lives
}
