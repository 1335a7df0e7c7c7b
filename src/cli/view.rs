//! A view: records go in, lines come out, until somebody has had enough.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::bus::text::Text;
use crate::event::filter::Filter;
use crate::event::glance::Glance;
use crate::event::record::Record;
use crate::process::table::Table;
use crate::render::format::Face;
use crate::render::line::Look;
use crate::render::notice::Blindness;

use super::exit::Failure;
use super::face_args::FaceArgs;
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

/// Whose events are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sources {
    /// Nobody's yet.
    None,
    /// One source's, so that its name needs no column.
    One(String),
    /// Those of several.
    Several,
}

impl Sources {
    /// Counts one more.
    pub(super) fn and(self, source: &str) -> Self {
        match self {
            Self::None => Self::One(source.to_owned()),
            Self::One(one) if one == source => Self::One(one),
            _ => Self::Several,
        }
    }
}

/// A view on stdout.
pub(super) struct View {
    faces: FaceArgs,
    face: Face,
    sources: Sources,
    told: HashMap<String, (String, u64)>,
    since: Option<DateTime<Utc>>,
    filter: Filter,
    blind: Blind,
    blindness: Blindness,
    left: Option<u64>,
    gathers: bool,
    /// Room for a line; where lines are gathered, it is used again for the next one.
    line: Vec<u8>,
    output: Output,
}

impl View {
    pub(super) fn open(
        faces: &FaceArgs,
        sources: Sources,
        filter: Filter,
        blind: Blind,
        count: Option<u64>,
    ) -> Self {
        Self {
            face: faces.face(sources == Sources::Several),
            faces: faces.clone(),
            sources,
            told: HashMap::new(),
            since: None,
            filter,
            blind,
            blindness: Blindness::default(),
            left: count,
            gathers: false,
            line: Vec::new(),
            output: Output::open(),
        }
    }

    /// From now on lines may wait for the next ones, until [`View::let_go`]; on a terminal none does.
    pub(super) fn gather(&mut self) {
        self.gathers = !std::io::stdout().is_terminal();
    }

    /// Whether lines wait for the next ones.
    pub(super) fn gathers(&self) -> bool {
        self.output.gathers()
    }

    /// Hands over the lines that wait for the next ones.
    pub(super) async fn let_go(&mut self) -> Result<(), Viewed> {
        let gone = self.output.let_go().await;
        gone.map_err(|ReaderLeft| Viewed::ReaderLeft)
    }

    /// Takes everything of a source up to this number as told: a snapshot shows what came of it.
    pub(super) fn told_up_to(&mut self, source: &str, journal: &str, seq: u64) {
        self.told
            .insert(source.to_owned(), (journal.to_owned(), seq));
    }

    /// Passes over what was observed before.
    pub(super) fn not_before(&mut self, since: DateTime<Utc>) {
        self.since = Some(since);
    }

    /// Whether a snapshot shows what came of it, or it is too old.
    fn is_told(&self, event: &Glance<'_>) -> bool {
        if self.since.is_some_and(|since| event.timestamp < since) {
            return true;
        }
        let up_to = self.told.get(event.source);
        up_to.is_some_and(|(journal, seq)| journal == event.journal && event.seq <= *seq)
    }

    /// A source that turns up later gets its column then.
    fn note_source(&mut self, source: &str) {
        if matches!(&self.sources, Sources::Several) {
            return;
        }
        self.sources = std::mem::replace(&mut self.sources, Sources::None).and(source);
        if self.sources == Sources::Several {
            self.face = self.faces.face(true);
        }
    }

    /// Shows a record that is wanted; an error says that the view is over.
    pub(super) async fn show(&mut self, record: &Record) -> Result<(), Viewed> {
        if self.is_told(&record.envelope.glance()) {
            return Ok(());
        }
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
        self.note_source(&record.envelope.source);
        let mut line = Vec::with_capacity(record.raw.len() + 1);
        // Writing to memory cannot fail.
        if self.face.write(record, Utc::now(), &mut line).is_ok() {
            self.put(line).await?;
        }
        if wanted { self.count_down() } else { Ok(()) }
    }

    /// Shows an event that is wanted by its text, as it comes, in a face that shows nothing else.
    pub(super) async fn show_live(&mut self, text: &Text) -> Result<(), Viewed> {
        if self.has_told(text) {
            return Ok(());
        }
        self.show_text(text.bytes()).await
    }

    /// As [`View::is_told`], of a bare text, which is looked at only where a snapshot told something.
    fn has_told(&self, text: &Text) -> bool {
        let is_old = self.since.is_some_and(|since| text.timestamp < since);
        let glance = (!self.told.is_empty()).then(|| text.glance()).flatten();
        is_old || glance.is_some_and(|event| self.is_told(&event))
    }

    /// Shows an event that is wanted by its text, in a face that shows nothing else.
    pub(super) async fn show_text(&mut self, stored: &[u8]) -> Result<(), Viewed> {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        line.reserve(stored.len() + 1);
        self.face.write_text(stored, &mut line);
        if self.gathers {
            let put = self.output.gather(&line).await;
            put.map_err(|ReaderLeft| Viewed::ReaderLeft)?;
            self.line = line;
        } else {
            self.put(line).await?;
        }
        self.count_down()
    }

    /// Counts one that was wanted.
    fn count_down(&mut self) -> Result<(), Viewed> {
        let Some(left) = &mut self.left else {
            return Ok(());
        };
        *left -= 1;
        if *left == 0 {
            Err(Viewed::Enough)
        } else {
            Ok(())
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

    async fn put(&mut self, line: Vec<u8>) -> Result<(), Viewed> {
        let put = if self.gathers {
            self.output.gather(&line).await
        } else {
            self.output.line(line).await
        };
        put.map_err(|ReaderLeft| Viewed::ReaderLeft)
    }

    /// What tells when the reader of our pipe has left.
    pub(super) fn reader(&self) -> ReaderWatch {
        self.output.reader()
    }

    /// Waits until everything shown so far is written.
    pub(super) async fn written(&mut self) -> Result<(), Viewed> {
        self.let_go().await?;
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::event::envelope::Envelope;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        face: FaceArgs,
    }

    fn event(source: &str, journal: &str, seq: u64) -> Envelope {
        let text = format!(
            r#"{{"type":"connected","timestamp":"2026-08-20T07:18:04Z","subject":"s","severity":"info","schema":1,
            "id":"i","source":"{source}","journal":"{journal}","seq":{seq},"origin":"change","reason":"r",
            "certainty":"certain","occurred":{{"after":null,"before":"2026-08-20T07:18:04Z"}},"count":1}}"#
        );
        Envelope::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_came_into_a_snapshot_is_not_shown_again_and_a_later_source_gets_its_column() {
        let faces = Flags::parse_from(["x"]).face;
        let mut view = View::open(&faces, Sources::None, Filter::all(), Blind::Show, None);
        view.told_up_to("shop", "j", 7);
        assert!(view.is_told(&event("shop", "j", 7).glance()));
        assert!(!view.is_told(&event("shop", "j", 8).glance()));
        assert!(!view.is_told(&event("shop", "k", 1).glance()));
        assert!(!view.is_told(&event("lab", "j", 1).glance()));
        for (seq, has_told) in [(7, true), (8, false)] {
            let mut text = Vec::new();
            event("shop", "j", seq).write_json(&mut text).unwrap();
            let text = Text::of(&String::from_utf8(text).unwrap());
            assert_eq!(view.has_told(&text), has_told, "{seq}");
        }
        view.note_source("shop");
        view.note_source("shop");
        assert_eq!(view.sources, Sources::One("shop".to_owned()));
        view.note_source("lab");
        assert_eq!(view.sources, Sources::Several);
    }
}
