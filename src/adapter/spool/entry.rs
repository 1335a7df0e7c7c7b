//! What an entry holds, and its bytes. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::payload::Origin;
use crate::event::sieve::LeftOut;
use crate::event::store::Outgoing;

use super::bytes::{Foreign, Reader, Writer};
use crate::adapter::commit::Base;
use crate::adapter::gap::{self, Owed};
use crate::adapter::pending::{Frame, Piece, Standing};
use crate::adapter::table::Row;

/// The format this build writes; it stands behind the tag of the first entry, in every format.
pub(in crate::adapter) const FORMAT: u32 = 1;

const FIRST: u8 = 1;
const FRAME: u8 = 2;
const RUN: u8 = 3;
const TOLD: u8 = 4;

/// What the queue builds on.
#[derive(Debug, Clone)]
pub(in crate::adapter) struct First {
    pub(in crate::adapter) source: String,
    pub(in crate::adapter) base: Base,
    /// How the commits begin that may belong to this queue: the adapter's name, a dot, the name of a run.
    pub(in crate::adapter) runs: Vec<String>,
    /// The rows as they were told at the base.
    pub(in crate::adapter) rows: BTreeMap<Arc<str>, Row>,
    /// Gaps that no frame tells yet.
    pub(in crate::adapter) owed: Vec<Owed>,
}

/// One entry.
#[derive(Debug)]
pub(in crate::adapter) enum Entry {
    /// The first of a file.
    First(First),
    /// One frame of the queue.
    Frame(Frame),
    /// Another run of the program goes on with the file.
    Run {
        /// How its commits begin.
        run: String,
        /// Gaps that are owed since.
        owed: Vec<Owed>,
    },
    /// The broker has acknowledged everything up to here.
    Told {
        root_sequence: u64,
        seq: u64,
        standing: Standing,
    },
}

/// Why bytes are no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::adapter) enum NoEntry {
    /// They are not ours.
    Foreign,
    /// The first entry of a file that a later build wrote.
    Newer(u32),
}

impl From<Foreign> for NoEntry {
    fn from(_: Foreign) -> Self {
        Self::Foreign
    }
}

/// The bytes of a first entry; the rows come from the table, so that nobody needs a copy of it.
pub(in crate::adapter) fn first<'a>(
    (source, base): (&str, &Base),
    runs: &[String],
    rows: impl Iterator<Item = (&'a Arc<str>, &'a Row)>,
    owed: &[Owed],
) -> Vec<u8> {
    let mut out = Writer::default();
    out.byte(FIRST);
    out.short(FORMAT);
    out.text(source);
    out.text(&base.journal);
    out.long(base.root_sequence);
    out.long(base.seq);
    standing(&mut out, &base.standing);
    out.text(&base.owner);
    out.count(runs.len());
    for run in runs {
        out.text(run);
    }
    gaps(&mut out, owed);
    let start = out.0.len();
    out.count(0);
    let mut count = 0u32;
    for (key, row) in rows {
        out.text(key);
        out.bytes(&row.bytes);
        count += 1;
    }
    out.0[start..start + 4].copy_from_slice(&count.to_le_bytes());
    left_out(&mut out, &base.standing);
    out.0
}

/// The bytes of a frame.
pub(in crate::adapter) fn frame(frame: &Frame) -> Vec<u8> {
    let mut out = Writer::default();
    out.byte(FRAME);
    out.long(frame.last_seq);
    out.time(frame.before);
    standing(&mut out, &frame.standing);
    out.count(frame.pieces.len());
    for piece in &frame.pieces {
        out.count(piece.events.len());
        for event in &piece.events {
            out.text(event.subject());
            out.text(event.id());
            out.text(event.origin());
            out.bytes(event.payload());
        }
        out.count(piece.rows.len());
        for (key, row) in &piece.rows {
            out.text(key);
            out.maybe(row.as_ref(), |out, row| out.bytes(&row.bytes));
        }
        out.long(piece.told);
        gaps(&mut out, &piece.owed);
    }
    left_out(&mut out, &frame.standing);
    out.0
}

/// The bytes of the note that another run goes on.
pub(in crate::adapter) fn run(run: &str, owed: &[Owed]) -> Vec<u8> {
    let mut out = Writer::default();
    out.byte(RUN);
    out.text(run);
    gaps(&mut out, owed);
    out.0
}

/// The bytes of the note how far the broker has acknowledged.
pub(in crate::adapter) fn told(base: &Base) -> Vec<u8> {
    let mut out = Writer::default();
    out.byte(TOLD);
    out.long(base.root_sequence);
    out.long(base.seq);
    standing(&mut out, &base.standing);
    left_out(&mut out, &base.standing);
    out.0
}

/// Reads an entry.
pub(in crate::adapter) fn decode(payload: &[u8]) -> Result<Entry, NoEntry> {
    let mut bytes = Reader(payload);
    let tag = bytes.byte()?;
    if tag == FIRST {
        let format = bytes.short()?;
        if format > FORMAT {
            return Err(NoEntry::Newer(format));
        }
    }
    let mut entry = match tag {
        FIRST => Entry::First(read_first(&mut bytes)?),
        FRAME => Entry::Frame(read_frame(&mut bytes)?),
        RUN => Entry::Run {
            run: bytes.text()?.to_owned(),
            owed: read_gaps(&mut bytes)?,
        },
        TOLD => Entry::Told {
            root_sequence: bytes.long()?,
            seq: bytes.long()?,
            standing: read_standing(&mut bytes)?,
        },
        _ => return Err(NoEntry::Foreign),
    };
    if let Some(standing) = entry.standing()
        && bytes.end().is_err()
    {
        standing.left_out = Some(read_left_out(&mut bytes)?);
    }
    bytes.end()?;
    Ok(entry)
}

impl Entry {
    fn standing(&mut self) -> Option<&mut Standing> {
        match self {
            Self::First(first) => Some(&mut first.base.standing),
            Self::Frame(frame) => Some(&mut frame.standing),
            Self::Told { standing, .. } => Some(standing),
            Self::Run { .. } => None,
        }
    }
}

/// What is left out stands at the end of an entry, and only where something is: the files of builds that never left
/// anything out are read, and where nothing is left out they read ours.
fn left_out(out: &mut Writer, standing: &Standing) {
    if let Some(left_out) = &standing.left_out {
        // A time and lists of texts always have a form in JSON.
        out.bytes(&serde_json::to_vec(&**left_out).unwrap_or_default());
    }
}

fn read_left_out(bytes: &mut Reader<'_>) -> Result<Arc<LeftOut>, Foreign> {
    let left_out = serde_json::from_slice(bytes.bytes()?).map_err(|_| Foreign)?;
    Ok(Arc::new(left_out))
}

fn standing(out: &mut Writer, standing: &Standing) {
    out.text(&standing.epoch);
    out.flag(standing.connected);
    out.time(standing.looked_at);
}

fn read_standing(bytes: &mut Reader<'_>) -> Result<Standing, Foreign> {
    Ok(Standing {
        epoch: bytes.text()?.into(),
        connected: bytes.flag()?,
        looked_at: bytes.time()?,
        left_out: None,
    })
}

fn gaps(out: &mut Writer, gaps: &[Owed]) {
    out.count(gaps.len());
    for gap in gaps {
        out.text(gap.why);
        out.maybe(gap.from, Writer::time);
        out.maybe(gap.to, Writer::time);
        out.maybe(gap.events, Writer::long);
    }
}

fn read_gaps(bytes: &mut Reader<'_>) -> Result<Vec<Owed>, Foreign> {
    bytes.many(|bytes| {
        Ok(Owed {
            why: gap::known(bytes.text()?).ok_or(Foreign)?,
            from: bytes.maybe(Reader::time)?,
            to: bytes.maybe(Reader::time)?,
            events: bytes.maybe(Reader::long)?,
        })
    })
}

fn read_row(bytes: &mut Reader<'_>) -> Result<Row, Foreign> {
    Ok(Row {
        bytes: bytes.bytes()?.into(),
        // Counts within one run of the program only.
        revision: 0,
    })
}

fn read_first(bytes: &mut Reader<'_>) -> Result<First, Foreign> {
    let source = bytes.text()?.to_owned();
    let journal = bytes.text()?.to_owned();
    let (root_sequence, seq) = (bytes.long()?, bytes.long()?);
    let standing = read_standing(bytes)?;
    let owner = bytes.text()?.to_owned();
    Ok(First {
        source,
        base: Base {
            root_sequence,
            journal,
            seq,
            standing,
            owner,
        },
        runs: bytes.many(|bytes| Ok(bytes.text()?.to_owned()))?,
        owed: read_gaps(bytes)?,
        rows: bytes.many(|bytes| Ok((bytes.text()?.into(), read_row(bytes)?)))?,
    })
}

fn read_frame(bytes: &mut Reader<'_>) -> Result<Frame, Foreign> {
    Ok(Frame {
        unwritten: None,
        last_seq: bytes.long()?,
        before: bytes.time()?,
        standing: read_standing(bytes)?,
        pieces: bytes.many(read_piece)?,
    })
}

fn read_piece(bytes: &mut Reader<'_>) -> Result<Piece, Foreign> {
    Ok(Piece {
        events: bytes.many(read_event)?,
        rows: bytes.many(|bytes| Ok((bytes.text()?.into(), bytes.maybe(read_row)?)))?,
        told: bytes.long()?,
        owed: read_gaps(bytes)?,
    })
}

fn read_event(bytes: &mut Reader<'_>) -> Result<Outgoing, Foreign> {
    let (subject, id) = (bytes.text()?, bytes.text()?);
    let origin = origin(bytes.text()?)?;
    Ok(Outgoing::new(subject, id, origin, bytes.bytes()?))
}

fn origin(word: &str) -> Result<&'static str, Foreign> {
    [Origin::Initial, Origin::Change, Origin::Resync]
        .map(Origin::as_str)
        .into_iter()
        .find(|known| *known == word)
        .ok_or(Foreign)
}
