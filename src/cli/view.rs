//! A view: records go in, lines come out, until somebody has had enough.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::event::filter::Filter;
use crate::event::record::Record;
use crate::process::table::Table;
use crate::render::format::Face;
use crate::render::line::Look;
use crate::render::notice::Blindness;

use super::exit::Failure;
use super::terminal::{Output, ReaderLeft, ReaderWatch, say, words};

/// How long a reader that stands still may keep us once we are asked to end.
const GRACE: Duration = Duration::from_millis(500);

/// What becomes of events that tell of an unwatched stretch and are not wanted otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blind {
    /// They are shown.
    Show,
    /// They are added up for one closing line.
    AddUp,
}

/// Why a view ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Viewed {
    /// The reader of our pipe left.
    ReaderLeft,
    /// The count is reached, or the source of records ended.
    Enough,
    /// We were asked to end.
    Asked,
}

/// A view on stdout.
pub(super) struct View {
    face: Face,
    filter: Filter,
    blind: Blind,
    blindness: Blindness,
    left: Option<u64>,
    output: Output,
}

impl View {
    pub(super) fn open(face: Face, filter: Filter, blind: Blind, count: Option<u64>) -> Self {
        Self {
            face,
            filter,
            blind,
            blindness: Blindness::default(),
            left: count,
            output: Output::open(),
        }
    }

    /// Shows a record that is wanted; an error says that the view is over.
    pub(super) async fn show(&mut self, record: &Record) -> Result<(), Viewed> {
        let wanted = self.filter.matches(&record.envelope);
        if !wanted {
            if !self.filter.is_blindness(&record.envelope) {
                return Ok(());
            }
            if self.blind == Blind::AddUp {
                self.blindness.see(&record.envelope);
                return Ok(());
            }
        }
        let mut line = Vec::with_capacity(record.raw.len() + 1);
        // Writing to memory cannot fail.
        if self.face.write(record, Utc::now(), &mut line).is_ok() {
            self.put(line).await?;
        }
        match &mut self.left {
            Some(left) if wanted => {
                *left -= 1;
                if *left == 0 {
                    Err(Viewed::Enough)
                } else {
                    Ok(())
                }
            }
            _ => Ok(()),
        }
    }

    /// Shows how every process of a source stands.
    pub(super) async fn snapshot(
        &mut self,
        source: &str,
        table: &Table,
        at: DateTime<Utc>,
    ) -> Result<(), Viewed> {
        for (row, vitals) in table.rows_with_vitals() {
            let state = row.state(vitals);
            let look = Look {
                source,
                state: &state,
                at,
            };
            let mut line = Vec::new();
            if self
                .face
                .write_snapshot(&look, Utc::now(), &mut line)
                .is_ok()
            {
                self.put(line).await?;
            }
        }
        Ok(())
    }

    async fn put(&self, line: Vec<u8>) -> Result<(), Viewed> {
        self.output
            .line(line)
            .await
            .map_err(|ReaderLeft| Viewed::ReaderLeft)
    }

    /// What tells when the reader of our pipe has left.
    pub(super) fn reader(&self) -> ReaderWatch {
        self.output.reader()
    }

    /// Waits until everything shown so far is written.
    pub(super) async fn written(&self) -> Result<(), Viewed> {
        self.output
            .written()
            .await
            .map_err(|ReaderLeft| Viewed::ReaderLeft)
    }

    /// Writes what waits, and the closing line where something was not seen. Once we are asked to end, a reader that
    /// stands still has [`GRACE`] to take it.
    pub(super) async fn finish(
        self,
        viewed: Viewed,
        token: &CancellationToken,
    ) -> Result<(), Failure> {
        if viewed != Viewed::ReaderLeft
            && let Some(line) = self.blindness.line(words(), Utc::now())
        {
            say(&line);
        }
        let patience = async {
            if viewed != Viewed::Asked {
                token.cancelled().await;
            }
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            ended = self.output.finish() => ended,
            () = patience => Ok(()),
        }
    }
}
