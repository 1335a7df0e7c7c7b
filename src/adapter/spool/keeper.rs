//! Who keeps the queue's file: made when it is needed, appended to, removed when nothing waits any more.

use std::io;
use std::path::Path;

use super::entry::Entry;
use super::file::{HEADING_LONG, Read, SpoolFile, Sync};
use crate::adapter::pending::Frame;
use crate::adapter::settings::SpoolPlace;

/// The file of a queue.
#[derive(Debug)]
pub(in crate::adapter) struct Keeper {
    place: SpoolPlace,
    /// The file that holds what is kept of the queue.
    live: Option<SpoolFile>,
    /// Where its frames begin.
    start: u64,
    /// A file lies there that is not the queue's any more; it stays until what became of it is told.
    is_stale: bool,
}

impl Keeper {
    pub(in crate::adapter) fn new(place: SpoolPlace) -> Self {
        Self {
            place,
            live: None,
            start: 0,
            is_stale: false,
        }
    }

    pub(in crate::adapter) fn adopt(&mut self, file: SpoolFile, start: u64) {
        (self.live, self.start) = (Some(file), start);
    }

    pub(in crate::adapter) fn path(&self) -> &Path {
        &self.place.path
    }

    pub(in crate::adapter) fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Whether the frames, also those acknowledged since, take up what they may. What they build on does not count.
    pub(in crate::adapter) fn is_full(&self) -> bool {
        let end = self.live.as_ref().map_or(0, SpoolFile::end);
        end.saturating_sub(self.start) >= self.place.limit
    }

    /// What the file takes up, in bytes.
    pub(in crate::adapter) fn bytes(&self) -> u64 {
        self.live.as_ref().map_or(0, SpoolFile::end)
    }

    /// The frame that stands here or behind notes, and where the next entry stands.
    pub(in crate::adapter) fn frame(&self, mut at: u64) -> Option<(Frame, u64)> {
        loop {
            match self.live.as_ref()?.read(at).ok()? {
                Read::Entry(Entry::Frame(frame), next) => return Some((frame, next)),
                Read::Entry(_, next) => at = next,
                _ => return None,
            }
        }
    }

    /// Writes frames behind those that are there, or makes a file of them; gives the place of the so many last.
    pub(in crate::adapter) fn write(
        &mut self,
        frames: &[Vec<u8>],
        last: usize,
        first: impl FnOnce() -> Vec<u8>,
    ) -> io::Result<u64> {
        let file = if let Some(file) = &mut self.live {
            file.append(frames, Sync::Now)?;
            file
        } else {
            let file = self.create(&first(), frames)?;
            self.live.insert(file)
        };
        let behind = frames.iter().rev().take(last);
        let length: u64 = behind.map(|frame| HEADING_LONG + frame.len() as u64).sum();
        Ok(file.end() - length)
    }

    fn create(&mut self, first: &Vec<u8>, frames: &[Vec<u8>]) -> io::Result<SpoolFile> {
        let all = || std::iter::once(first).chain(frames);
        let path = &self.place.path;
        let made = SpoolFile::create(path, all()).or_else(|error| {
            if !self.is_stale {
                return Err(error);
            }
            // What lies there is given up already, and its room may be what is missing.
            if let Some(mut old) = SpoolFile::open(path)? {
                old.cut(0)?;
            }
            SpoolFile::create(path, all())
        })?;
        self.is_stale = false;
        self.start = HEADING_LONG + first.len() as u64;
        Ok(made)
    }

    /// Writes down how far the broker has acknowledged. Losing it costs nothing but work: the head says the same.
    pub(in crate::adapter) fn note(&mut self, note: impl FnOnce() -> Vec<u8>) {
        let noted = self
            .live
            .as_mut()
            .map(|file| file.append(&[note()], Sync::Later));
        if let Some(Err(error)) = noted {
            tracing::debug!(%error, "how far the broker has acknowledged cannot be written down");
        }
    }

    /// A file lies there that cannot be used.
    pub(in crate::adapter) fn mark_stale(&mut self) {
        self.is_stale = true;
    }

    /// What lies there is not the queue's any more.
    pub(in crate::adapter) fn retire(&mut self) {
        self.is_stale |= self.live.take().is_some();
    }

    /// Removes what lies there and is not the queue's.
    pub(in crate::adapter) fn remove(&mut self) {
        if !std::mem::take(&mut self.is_stale) {
            return;
        }
        let removed = SpoolFile::open(&self.place.path)
            .and_then(|file| file.map_or(Ok(()), SpoolFile::remove));
        if let Err(error) = removed {
            tracing::warn!(%error, "the spool cannot be removed");
        }
    }
}
