//! What a history shows, and what it says where that is nothing.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::bus::text::Text;
use crate::event::filter::Filter;
use crate::event::record::Record;
use crate::render::notice::Blindness;
use crate::render::time::Times;

use super::exit::Failure;
use super::face_args::FaceArgs;
use super::fold::Fold;
use super::terminal::ReaderWatch;
use super::view::{Blind, Sources, View, Viewed};

/// A view of the past, folded where a person looks at it.
pub(super) struct Sheet {
    view: View,
    fold: Option<Fold>,
    filter: Filter,
    blindness: Blindness,
    found: u64,
    place: Option<u64>,
    token: CancellationToken,
}

/// The stretch that was looked through.
pub(super) struct Stretch {
    pub(super) times: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    /// Whether the stream holds nothing at all.
    pub(super) empty: bool,
    /// When the first message that is left was stored, where somebody said it.
    pub(super) first_stored: Option<DateTime<Utc>>,
    /// How times are shown.
    pub(super) shown: Times,
}

impl Sheet {
    pub(super) fn open(
        faces: &FaceArgs,
        filter: &Filter,
        blind: Blind,
        (count, folds): (Option<u64>, bool),
        token: &CancellationToken,
    ) -> Self {
        Self {
            view: View::open(faces, Sources::None, filter.clone(), blind, count),
            fold: folds.then(Fold::default),
            filter: filter.clone(),
            blindness: Blindness::default(),
            found: 0,
            place: None,
            token: token.clone(),
        }
    }

    /// Takes the next record; an error says that no more is wanted.
    pub(super) async fn take(&mut self, record: Record) -> Result<(), Viewed> {
        let sequence = record.position.sequence;
        if self.filter.matches(&record.envelope) {
            self.found += 1;
        } else {
            self.blindness.see(&record.envelope);
        }
        let ready = match &mut self.fold {
            Some(fold) => fold.take(record),
            None => vec![record],
        };
        for record in &ready {
            let shown = self.put(record).await;
            if matches!(shown, Ok(()) | Err(Viewed::Enough)) {
                self.place = Some(sequence);
            }
            shown?;
        }
        Ok(())
    }

    /// Takes the text of an event that is wanted, where nothing else of it is shown.
    pub(super) async fn take_text(&mut self, text: &Text) -> Result<(), Viewed> {
        self.found += 1;
        let shown = self.view.show_text(text.bytes());
        let shown = self.token.run_until_cancelled(shown).await;
        let shown = shown.unwrap_or(Err(Viewed::Asked));
        if matches!(shown, Ok(()) | Err(Viewed::Enough)) {
            self.place = Some(text.sequence);
        }
        shown
    }

    /// Shows what is held back for its repeats.
    pub(super) async fn flush(&mut self) -> Result<(), Viewed> {
        let held: Vec<_> = self.fold.iter_mut().flat_map(Fold::rest).collect();
        for record in &held {
            self.put(record).await?;
        }
        Ok(())
    }

    /// From now on lines may wait for the next ones, where no person looks at them as they come.
    pub(super) fn gather(&mut self) {
        self.view.gather();
    }

    /// Whether lines wait for the next ones.
    pub(super) fn gathers(&self) -> bool {
        self.view.gathers()
    }

    /// Hands over the lines that wait for the next ones.
    pub(super) async fn let_go(&mut self) -> Result<(), Viewed> {
        self.token
            .run_until_cancelled(self.view.let_go())
            .await
            .unwrap_or(Err(Viewed::Asked))
    }

    /// Waits until everything shown so far is written, so that what is said next stands behind it.
    pub(super) async fn written(&mut self) -> Result<(), Viewed> {
        self.flush().await?;
        self.token
            .run_until_cancelled(self.view.written())
            .await
            .unwrap_or(Err(Viewed::Asked))
    }

    /// Shows one; a reader that stands still must not keep us from ending.
    async fn put(&mut self, record: &Record) -> Result<(), Viewed> {
        let shown = self.view.show(record);
        self.token
            .run_until_cancelled(shown)
            .await
            .unwrap_or(Err(Viewed::Asked))
    }

    /// How many events that match were found.
    pub(super) fn found(&self) -> u64 {
        self.found
    }

    /// The sequence of what was shown last.
    pub(super) fn place(&self) -> Option<u64> {
        self.place
    }

    /// What tells when the reader of our pipe has left.
    pub(super) fn reader(&self) -> ReaderWatch {
        self.view.reader()
    }

    /// Writes what waits; true where all of it was written.
    pub(super) async fn end(mut self, viewed: Viewed) -> Result<bool, Failure> {
        let written = viewed == Viewed::Enough && {
            let written = self.token.run_until_cancelled(self.view.written()).await;
            written == Some(Ok(()))
        };
        self.view.finish(viewed, &self.token).await?;
        Ok(written)
    }

    /// The line for a person who was shown nothing: silence is no proof of health.
    pub(super) fn nothing(&self, stretch: &Stretch) -> String {
        let Stretch {
            times: (since, until),
            empty,
            first_stored,
            shown,
        } = stretch;
        let now = Utc::now();
        let clock = |at: &DateTime<Utc>| shown.moment(*at, now);
        let from = since.map(|at| format!(" from {}", clock(&at)));
        let to = until.map(|at| format!(" up to {}", clock(&at)));
        let (from, to) = (from.unwrap_or_default(), to.unwrap_or_default());
        let mut line = format!("no event matches {}{from}{to}", self.filter);
        if *empty {
            line.push_str("; nothing is kept at all");
            return line;
        }
        if let Some(first) = first_stored
            && since.is_none_or(|since| since < *first)
        {
            // Writing to a string cannot fail.
            let _infallible = write!(
                line,
                "; the stream holds nothing from before {}",
                clock(first)
            );
        }
        line.push_str("; ");
        line.push_str(&self.blindness.behind_silence());
        line
    }
}
