//! What lies there at the start: read through once, from the front, as far as it is good.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::entry::{self, Entry, First};
use super::file::{Read, SpoolFile, Sync};
use crate::adapter::gap::{self, Owed};
use crate::adapter::pending::{Frame, Standing};
use crate::adapter::settings::SpoolPlace;
use crate::adapter::table::Row;

/// What was found.
#[derive(Debug)]
pub(in crate::adapter) enum Found {
    Nothing,
    /// A file of which not even the first entry can be used. It stays until its gap is told.
    Unreadable,
    /// One of a later build; it was kept under this name.
    Newer(PathBuf),
    /// A spool to go on with.
    Spool(Box<Opened>),
}

/// How far the broker had acknowledged.
#[derive(Debug, Clone)]
pub(in crate::adapter) struct Told {
    pub(in crate::adapter) root_sequence: u64,
    pub(in crate::adapter) seq: u64,
    pub(in crate::adapter) standing: Standing,
}

/// A spool that was read through.
#[derive(Debug)]
pub(in crate::adapter) struct Opened {
    pub(in crate::adapter) file: SpoolFile,
    pub(in crate::adapter) first: First,
    pub(in crate::adapter) runs: Vec<String>,
    pub(in crate::adapter) told: Option<Told>,
    /// What the frames make of the rows of the first entry.
    pub(in crate::adapter) rows: BTreeMap<Arc<str>, Row>,
    /// Gaps that no frame tells.
    pub(in crate::adapter) owed: Vec<Owed>,
    /// Where the frames begin.
    pub(in crate::adapter) start: u64,
    pub(in crate::adapter) frames: usize,
    /// Events of the domain in them.
    pub(in crate::adapter) events: u64,
    /// What the last frame leaves behind.
    pub(in crate::adapter) seq: u64,
    pub(in crate::adapter) standing: Standing,
    /// True where it was cut off before something that could not be read.
    pub(in crate::adapter) is_cut: bool,
}

/// Reads what lies there. A torn end is cut off; from something corrupt on everything is given up, and the gap that says
/// so is written in its place. `run` is how our commits begin: it is written down before there is one.
///
/// # Errors
///
/// The disk's.
pub(in crate::adapter) fn open(place: &SpoolPlace, source: &str, run: &str) -> io::Result<Found> {
    let Some(file) = SpoolFile::open(&place.path)? else {
        return Ok(Found::Nothing);
    };
    let (first, start) = match file.read(0)? {
        // Its removal was cut off, and what was in it is told.
        Read::End => {
            file.remove()?;
            return Ok(Found::Nothing);
        }
        Read::Entry(Entry::First(first), start) if first.source == source => (first, start),
        Read::Newer(format) => {
            return Ok(Found::Newer(file.set_aside(&format!("format{format}"))?));
        }
        Read::Entry(..) | Read::Torn | Read::Corrupt => return Ok(Found::Unreadable),
    };
    let mut opened = Opened {
        file,
        runs: first.runs.clone(),
        told: None,
        rows: first.rows.clone(),
        owed: first.owed.clone(),
        start,
        frames: 0,
        events: 0,
        seq: first.base.seq,
        standing: first.base.standing.clone(),
        first,
        is_cut: false,
    };
    opened.read_through(run)?;
    Ok(Found::Spool(Box::new(opened)))
}

impl Opened {
    fn read_through(&mut self, run: &str) -> io::Result<()> {
        let mut at = self.start;
        let corrupt = loop {
            match self.file.read(at)? {
                Read::Entry(entry, next) => {
                    if !self.take(entry) {
                        break true;
                    }
                    at = next;
                }
                Read::End => break false,
                Read::Torn => {
                    self.file.cut(at)?;
                    break false;
                }
                Read::Corrupt | Read::Newer(_) => break true,
            }
        };
        self.runs.push(run.to_owned());
        if !corrupt {
            self.file.append(&[entry::run(run, &[])], Sync::Now)?;
            return Ok(());
        }
        let lost = Owed::since(Some(self.looked_at()), gap::SPOOL_CORRUPT);
        let note = entry::run(run, std::slice::from_ref(&lost));
        gap::owe(&mut self.owed, lost);
        self.is_cut = true;
        self.file.cut_and_append(at, &note)
    }

    /// The look of the last frame.
    pub(in crate::adapter) fn looked_at(&self) -> DateTime<Utc> {
        self.standing.looked_at
    }

    /// False for an entry that cannot stand here.
    fn take(&mut self, entry: Entry) -> bool {
        match entry {
            Entry::First(_) => return false,
            Entry::Frame(frame) => return self.take_frame(frame),
            Entry::Run { run, owed } => {
                self.runs.push(run);
                for gap in owed {
                    gap::owe(&mut self.owed, gap);
                }
            }
            Entry::Told {
                root_sequence,
                seq,
                standing,
            } => {
                let before = self
                    .told
                    .as_ref()
                    .map_or(self.first.base.seq, |told| told.seq);
                if seq < before || seq > self.seq {
                    return false;
                }
                self.told = Some(Told {
                    root_sequence,
                    seq,
                    standing,
                });
            }
        }
        true
    }

    fn take_frame(&mut self, frame: Frame) -> bool {
        let events: usize = frame.pieces.iter().map(|piece| piece.events.len()).sum();
        let ends_at = self.seq.checked_add(events as u64);
        if ends_at != Some(frame.last_seq) || frame.pieces.is_empty() {
            return false;
        }
        self.frames += 1;
        self.seq = frame.last_seq;
        self.standing = frame.standing;
        for piece in frame.pieces {
            self.events = self.events.saturating_add(piece.told);
            for (key, row) in piece.rows {
                match row {
                    Some(row) => self.rows.insert(key, row),
                    None => self.rows.remove(&key),
                };
            }
            self.owed
                .retain(|gap| !piece.owed.iter().any(|told| told.why == gap.why));
        }
        true
    }
}
