//! Who uses the broker: one locked file per user.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::error::BrokerError;
use super::folder::Folder;
use super::lock::{Held, is_held, try_hold};

/// How often a fresh name is tried; the warden can sweep a file between its making and its locking.
const TRIES: u32 = 20;

/// One user's lock; let go by dropping it or by dying.
#[derive(Debug)]
pub(super) struct LeaseFile {
    held: Held,
}

impl LeaseFile {
    /// Takes a lease under a name of its own.
    pub(super) async fn take(folder: &Folder) -> Result<Self, BrokerError> {
        for _ in 0..TRIES {
            let name = format!("{}-{:08x}", std::process::id(), fastrand::u32(..));
            if let Some(held) = try_hold(&folder.leases().join(name))? {
                return Ok(Self { held });
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Err(BrokerError::Locked {
            folder: folder.root().to_owned(),
            holder: "too many others",
        })
    }
}

impl Drop for LeaseFile {
    fn drop(&mut self) {
        // What cannot be removed here is swept by the warden.
        fs::remove_file(self.held.path()).unwrap_or_default();
    }
}

/// How many users there are.
pub(super) fn users(folder: &Folder) -> Result<usize, BrokerError> {
    each(folder, is_held)
}

/// How many users there are; the files of those that are gone are removed.
pub(super) fn sweep(folder: &Folder) -> Result<usize, BrokerError> {
    each(folder, |path| match try_hold(path)? {
        // Removed while held, so that nobody can take it in between.
        Some(free) => {
            fs::remove_file(free.path()).unwrap_or_default();
            Ok(false)
        }
        None => Ok(path.exists()),
    })
}

fn each(
    folder: &Folder,
    mut used: impl FnMut(&Path) -> Result<bool, BrokerError>,
) -> Result<usize, BrokerError> {
    let fail = |source| BrokerError::Io {
        action: "read",
        path: folder.leases(),
        source,
    };
    let entries = match fs::read_dir(folder.leases()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(source) => return Err(fail(source)),
    };
    let mut count = 0;
    for entry in entries {
        if used(&entry.map_err(fail)?.path())? {
            count += 1;
        }
    }
    Ok(count)
}
