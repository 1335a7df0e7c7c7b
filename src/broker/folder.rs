//! The broker's folder: its names, its rights, and files that are whole or absent.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::card::Card;
use super::error::{BrokerError, Kind};

/// What a warden that failed leaves for the one who started it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) said: String,
}

/// The folder, its path absolute and free of links, so that two spellings are one broker.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes what is missing and takes away the rights of others.
    pub(super) fn make(root: &Path) -> Result<Self, BrokerError> {
        let private = |path: &Path| {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o700)))
                .map_err(|source| BrokerError::Io {
                    action: "prepare",
                    path: path.to_owned(),
                    source,
                })
        };
        private(root)?;
        let folder = Self::open(root)?;
        for part in [folder.store(), folder.leases(), folder.ports()] {
            private(&part)?;
        }
        Ok(folder)
    }

    /// The folder as it is; it must exist.
    pub(super) fn open(root: &Path) -> Result<Self, BrokerError> {
        let root = root.canonicalize().map_err(|source| BrokerError::Io {
            action: "find",
            path: root.to_owned(),
            source,
        })?;
        Ok(Self { root })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }
    pub(super) fn store(&self) -> PathBuf {
        self.root.join("store")
    }
    pub(super) fn leases(&self) -> PathBuf {
        self.root.join("leases")
    }
    pub(super) fn ports(&self) -> PathBuf {
        self.root.join("ports")
    }
    pub(super) fn conf(&self) -> PathBuf {
        self.root.join("server.conf")
    }
    pub(super) fn log(&self) -> PathBuf {
        self.root.join("log")
    }
    pub(super) fn warden_log(&self) -> PathBuf {
        self.root.join("warden.log")
    }
    pub(super) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }
    pub(super) fn warden_lock(&self) -> PathBuf {
        self.root.join("warden.lock")
    }
    pub(super) fn server_lock(&self) -> PathBuf {
        self.root.join("server.lock")
    }
    fn card_path(&self) -> PathBuf {
        self.root.join("server.json")
    }
    fn fault_path(&self) -> PathBuf {
        self.root.join("fault.json")
    }

    /// The card, or nothing where there is none or something else lies in its place.
    pub(super) fn card(&self) -> Result<Option<Card>, BrokerError> {
        read_json(&self.card_path())
    }

    pub(super) fn put_card(&self, card: &Card) -> Result<(), BrokerError> {
        self.put_json(&self.card_path(), card)
    }

    pub(super) fn drop_card(&self) -> Result<(), BrokerError> {
        remove(&self.card_path())
    }

    pub(super) fn fault(&self) -> Result<Option<Fault>, BrokerError> {
        read_json(&self.fault_path())
    }

    pub(super) fn put_fault(&self, fault: &Fault) -> Result<(), BrokerError> {
        self.put_json(&self.fault_path(), fault)
    }

    pub(super) fn drop_fault(&self) -> Result<(), BrokerError> {
        remove(&self.fault_path())
    }

    fn put_json<T: Serialize>(&self, path: &Path, value: &T) -> Result<(), BrokerError> {
        let text = serde_json::to_vec_pretty(value).map_err(|error| BrokerError::Io {
            action: "write",
            path: path.to_owned(),
            source: error.into(),
        })?;
        self.put(path, &text)
    }

    /// Writes a file that is seen whole or not at all, readable by its owner only.
    pub(super) fn put(&self, path: &Path, text: &[u8]) -> Result<(), BrokerError> {
        let draft = self.root.join(format!(
            ".draft-{}-{:08x}",
            std::process::id(),
            fastrand::u32(..)
        ));
        let written = private_file(&draft).and_then(|mut file| {
            file.write_all(text)?;
            file.sync_all()?;
            fs::rename(&draft, path)
        });
        written.map_err(|source| {
            fs::remove_file(&draft).unwrap_or_default();
            BrokerError::Io {
                action: "write",
                path: path.to_owned(),
                source,
            }
        })
    }
}

/// Makes or empties a file only its owner may read.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

/// A file that cannot be understood counts as absent: it is written whole, so it is not ours.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, BrokerError> {
    match fs::read(path) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(BrokerError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        }),
    }
}

fn parse<T: DeserializeOwned>(text: &[u8]) -> Option<T> {
    serde_json::from_slice(text).ok()
}

/// A card as it lies in the folder.
#[cfg(any(test, fuzzing))]
pub(super) fn card(text: &[u8]) -> Option<super::card::Card> {
    parse(text)
}

fn remove(path: &Path) -> Result<(), BrokerError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BrokerError::Io {
            action: "remove",
            path: path.to_owned(),
            source: error,
        }),
        _ => Ok(()),
    }
}
