//! The frames of the state stream, the learnt configurations and the intents that were left, as evidence for the comparison.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::process::evidence::{Evidence, Frame, Trail};
use crate::process::phase::Health;
use crate::process::reading::Configuration;
use crate::process::table::Table;

use super::control::IntentBook;
use super::frames::{self, Frames};
use super::learner::Lessons;
use super::translate;

/// What was heard by the moment of a comparison.
pub(super) struct Heard<'a> {
    trails: HashMap<String, Trail>,
    released: Option<DateTime<Utc>>,
    lessons: &'a Lessons,
    intents: &'a IntentBook,
}

impl<'a> Heard<'a> {
    /// Copies what the store holds of a run of the server; only names that something was heard of cost anything.
    pub(super) fn new(
        frames: &Frames,
        (lessons, intents): (&'a Lessons, &'a IntentBook),
        looks: &Looks,
        epoch: &str,
    ) -> Self {
        let heard = frames.heard(epoch).into_iter().map(|(name, heard, since)| {
            let covered_since = since.and_then(|since| looks.time_of(since, &heard));
            (
                name,
                Trail {
                    frames: heard.into_iter().map(frame).collect(),
                    covered_since,
                },
            )
        });
        Self {
            trails: heard.collect(),
            released: frames.released(),
            lessons,
            intents,
        }
    }

    /// The names something is kept of, and the frame up to which a table needs no more.
    pub(super) fn used(&self, table: &Table) -> Vec<(&str, u64)> {
        let mark = |name: &str| {
            table
                .row(name)
                .map(|row| row.memory.mark)
                .filter(|mark| *mark > 0)
        };
        self.trails
            .keys()
            .filter_map(|name| Some((name.as_str(), mark(name)? - 1)))
            .collect()
    }

    /// Whether frames speak of something that the table does not show yet, so that another look is worth it.
    pub(super) fn has_unexplained(&self, table: &Table) -> bool {
        let mark = |name: &String| table.row(name).map(|row| row.memory.mark);
        self.trails.iter().any(|(name, trail)| {
            let behind = |frame: &Frame| mark(name).is_some_and(|mark| frame.index > mark);
            trail
                .frames
                .iter()
                .any(|frame| behind(frame) && frame.phase.is_over())
        })
    }
}

/// The beginnings of the last looks, each with the place the stream had reached: they give the coverage of a name, which
/// the stream counts in frames, its time.
#[derive(Debug, Default)]
pub(super) struct Looks(VecDeque<(u64, DateTime<Utc>)>);

impl Looks {
    /// So many looks are remembered; a run that has been stopping for longer is not covered any more.
    const KEPT: usize = 64;

    /// A look begins.
    pub(super) fn begin(&mut self, index: u64, at: DateTime<Utc>) {
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back((index, at));
    }

    /// The place the stream had reached at the beginning of the look before the last.
    pub(super) fn before_last(&self) -> u64 {
        let mut looks = self.0.iter().rev();
        looks.nth(1).map_or(0, |(index, _)| *index)
    }

    /// The earliest time known to lie in the coverage that begins at this frame.
    fn time_of(&self, since: u64, heard: &[frames::Frame]) -> Option<DateTime<Utc>> {
        let look = self
            .0
            .iter()
            .find(|(index, _)| *index >= since)
            .map(|(_, at)| *at);
        let frame = heard
            .iter()
            .find(|frame| frame.index >= since)
            .map(|frame| frame.arrival);
        match (look, frame) {
            (Some(look), Some(frame)) => Some(look.min(frame)),
            (look, frame) => look.or(frame),
        }
    }
}

/// Marks count from 1, because 0 means that nothing was heard.
fn frame(frame: frames::Frame) -> Frame {
    Frame {
        index: frame.index + 1,
        at: frame.arrival,
        // A stop that met nothing running ends no run, so that nobody asks what its frame means.
        phase: translate::phase(&frame.status, false),
        status: frame.status.into(),
        health: Health::parse(&frame.is_ready),
        restarts: frame.restarts,
        exit_code: frame.exit_code,
        ended_at: frame.process_end_time,
    }
}

impl Evidence for Heard<'_> {
    fn trail(&self, name: &str, mark: u64) -> Trail {
        self.trails
            .get(name)
            .map_or_else(Trail::default, |trail| Trail {
                frames: trail
                    .frames
                    .iter()
                    .filter(|frame| frame.index > mark)
                    .cloned()
                    .collect(),
                covered_since: trail.covered_since,
            })
    }

    fn was_requested(&self, name: &str, pid: Option<i64>, since: Option<DateTime<Utc>>) -> bool {
        self.intents.account_for(name, pid, since)
    }

    fn configuration(&self, name: &str) -> Option<Arc<Configuration>> {
        self.lessons.get(name)
    }

    fn has_news(&self, name: &str, mark: u64) -> bool {
        self.trails
            .get(name)
            .is_some_and(|trail| trail.frames.iter().any(|frame| frame.index > mark))
    }

    fn released(&self) -> Option<DateTime<Utc>> {
        self.released
    }
}
