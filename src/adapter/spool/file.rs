//! The file: entries behind each other, each with a mark, its length, its checksum and a checksum of these three.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::entry::{self, Entry, NoEntry};

const MARK: [u8; 4] = [0xF5, b'o', b'b', b's'];
/// Mark, length, checksum of the payload, checksum of these three.
const HEADING: usize = 16;
pub(in crate::adapter) const HEADING_LONG: u64 = 16;

/// What stands at a place of the file.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time is read, and taken apart at once"
)]
pub(in crate::adapter) enum Read {
    /// An entry; the next one stands there.
    Entry(Entry, u64),
    /// Nothing: the file ends here.
    End,
    /// The beginning of an entry that was never written whole.
    Torn,
    /// Something else.
    Corrupt,
    /// An entry of a later build's format.
    Newer(u32),
}

/// Whether an entry must be on the disk before anything else happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::adapter) enum Sync {
    Now,
    /// It may be lost with the machine's power, though not with our own crash.
    Later,
}

/// A file of entries.
#[derive(Debug)]
pub(in crate::adapter) struct SpoolFile {
    path: PathBuf,
    file: File,
    end: u64,
    /// True where something may stand behind the end.
    dirty: bool,
}

impl SpoolFile {
    /// Makes the file with these entries, whole or not at all, in the place of one that may lie there.
    pub(in crate::adapter) fn create<'a>(
        path: &Path,
        payloads: impl Iterator<Item = &'a Vec<u8>>,
    ) -> io::Result<Self> {
        let mut text = Vec::new();
        for payload in payloads {
            append_to(&mut text, payload)?;
        }
        Self::replace(path, |file| file.write_all(&text))
    }

    /// Makes it anew from its own first bytes and one more entry.
    pub(in crate::adapter) fn cut_and_append(
        &mut self,
        keep: u64,
        payload: &[u8],
    ) -> io::Result<()> {
        let mut more = Vec::new();
        append_to(&mut more, payload)?;
        let old = OpenOptions::new().read(true).open(&self.path)?;
        *self = Self::replace(&self.path, |file| {
            io::copy(&mut (&old).take(keep), file)?;
            file.write_all(&more)
        })?;
        Ok(())
    }

    fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let new = path.with_extension("new");
        let made = (|| -> io::Result<File> {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)?;
            write(&mut file)?;
            file.sync_data()?;
            fs::rename(&new, path)?;
            sync_folder(folder)?;
            Ok(file)
        })();
        // Half a file is of no use to anybody, and takes up room that may be what is missing.
        let file = made.inspect_err(|_| drop(fs::remove_file(&new)))?;
        let end = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            file,
            end,
            dirty: false,
        })
    }

    /// Opens what lies there; nothing where nothing lies there.
    pub(in crate::adapter) fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let end = file.metadata()?.len();
        Ok(Some(Self {
            path: path.to_owned(),
            file,
            end,
            dirty: false,
        }))
    }

    /// Where the next entry will stand.
    pub(in crate::adapter) fn end(&self) -> u64 {
        self.end
    }

    /// Appends entries with one write and at most one sync; gives the place of the first.
    pub(in crate::adapter) fn append(
        &mut self,
        payloads: &[Vec<u8>],
        sync: Sync,
    ) -> io::Result<u64> {
        if self.dirty {
            self.file.set_len(self.end)?;
        }
        let mut text = Vec::new();
        for payload in payloads {
            append_to(&mut text, payload)?;
        }
        let at = self.end;
        self.dirty = true;
        self.file.write_all_at(&text, at)?;
        if sync == Sync::Now {
            self.file.sync_data()?;
        }
        self.dirty = false;
        self.end += text.len() as u64;
        Ok(at)
    }

    /// Cuts off what stands from here on.
    pub(in crate::adapter) fn cut(&mut self, at: u64) -> io::Result<()> {
        self.file.set_len(at)?;
        self.file.sync_data()?;
        self.end = at;
        Ok(())
    }

    /// Reads what stands at a place.
    ///
    /// # Errors
    ///
    /// The disk's; what can be read and means nothing is no error.
    pub(in crate::adapter) fn read(&self, at: u64) -> io::Result<Read> {
        let left = self.end.saturating_sub(at);
        if left == 0 {
            return Ok(Read::End);
        }
        let mut heading = [0; HEADING];
        let got = usize::try_from(left).map_or(HEADING, |left| left.min(HEADING));
        self.file.read_exact_at(&mut heading[..got], at)?;
        if got < HEADING {
            return Ok(torn_if(MARK.starts_with(&heading[..got.min(4)])));
        }
        let Some((length, checksum)) = parse(&heading) else {
            return Ok(torn_if(self.is_blank(at)?));
        };
        if left - HEADING_LONG < length {
            return Ok(Read::Torn);
        }
        let Ok(room) = usize::try_from(length) else {
            return Ok(Read::Corrupt);
        };
        let mut payload = vec![0; room];
        self.file.read_exact_at(&mut payload, at + HEADING_LONG)?;
        if crc32fast::hash(&payload) != checksum {
            return Ok(Read::Corrupt);
        }
        Ok(match entry::decode(&payload) {
            Ok(entry) => Read::Entry(entry, at + HEADING_LONG + length),
            Err(NoEntry::Foreign) => Read::Corrupt,
            Err(NoEntry::Newer(format)) => Read::Newer(format),
        })
    }

    /// Whether nothing but zeros stands from here on: room that the disk gave and that was never filled.
    fn is_blank(&self, mut at: u64) -> io::Result<bool> {
        let mut some = [0; 4096];
        while at < self.end {
            let count = usize::try_from(self.end - at).map_or(some.len(), |n| n.min(some.len()));
            self.file.read_exact_at(&mut some[..count], at)?;
            if some[..count].iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            at += count as u64;
        }
        Ok(true)
    }

    /// Removes it: emptied and synced first, because an empty file means the same as none.
    pub(in crate::adapter) fn remove(self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.sync_data()?;
        fs::remove_file(&self.path)
    }

    /// Gives it another name beside its own.
    pub(in crate::adapter) fn set_aside(self, extension: &str) -> io::Result<PathBuf> {
        let aside = self.path.with_extension(extension);
        fs::rename(&self.path, &aside)?;
        Ok(aside)
    }
}

fn torn_if(torn: bool) -> Read {
    if torn { Read::Torn } else { Read::Corrupt }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn append_to(text: &mut Vec<u8>, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len())
        .map_err(|_| io::Error::other("an entry of the spool would be larger than 4 GiB"))?;
    let start = text.len();
    text.extend_from_slice(&MARK);
    text.extend_from_slice(&length.to_le_bytes());
    text.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    let sum = crc32fast::hash(&text[start..]);
    text.extend_from_slice(&sum.to_le_bytes());
    text.extend_from_slice(payload);
    Ok(())
}

/// Length and checksum of the payload, where the heading is whole.
fn parse(heading: &[u8; HEADING]) -> Option<(u64, u32)> {
    let number = |at: usize| {
        let bytes = heading[at..at + 4].try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    };
    let whole = heading[..4] == MARK && crc32fast::hash(&heading[..12]) == number(12)?;
    whole.then_some((u64::from(number(4)?), number(8)?))
}
