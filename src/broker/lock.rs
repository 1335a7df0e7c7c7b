//! Locks on files, which the kernel gives back when their holder dies.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::BrokerError;

/// How often a lock somebody else holds is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// A lock that is held as long as this value lives.
#[derive(Debug)]
pub(super) struct Held {
    file: File,
    path: PathBuf,
}

impl Held {
    /// Whether the path still leads to the file that is locked, which it no longer does when somebody removed it.
    pub(super) fn in_place(&self) -> bool {
        let here = self.file.metadata();
        let there = fs::metadata(&self.path);
        matches!((here, there), (Ok(a), Ok(b)) if a.dev() == b.dev() && a.ino() == b.ino())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The open file; the lock lives on in every copy of it that is handed to a child.
    pub(super) fn into_file(self) -> File {
        self.file
    }
}

/// Takes the lock if it is free.
pub(super) fn try_hold(path: &Path) -> Result<Option<Held>, BrokerError> {
    let fail = |source| BrokerError::Io {
        action: "lock",
        path: path.to_owned(),
        source,
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(fail)?;
    match file.try_lock() {
        Ok(()) => {
            let held = Held {
                file,
                path: path.to_owned(),
            };
            Ok(held.in_place().then_some(held))
        }
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(fail(source)),
    }
}

/// Takes the lock, waiting for it up to `limit`.
///
/// # Cancel safety
/// Dropped while waiting, nothing is held.
pub(super) async fn hold(path: &Path, limit: Duration) -> Result<Option<Held>, BrokerError> {
    let end = Instant::now() + limit;
    loop {
        if let Some(held) = try_hold(path)? {
            return Ok(Some(held));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        sleep(RETRY).await;
    }
}

/// Whether somebody holds the lock; asking holds it for a moment, so takers try more than once.
pub(super) fn is_held(path: &Path) -> Result<bool, BrokerError> {
    let fail = |source| BrokerError::Io {
        action: "lock",
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(fail(source)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(fail(source)),
    }
}
