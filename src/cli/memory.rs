//! What an adapter remembers outside the broker: its own name, and the highest event it had acknowledged.
//!
//! Both lie in the state folder, under what is told: a source into a stream of a broker. The name belongs to a slot there
//! that is locked for as long as the adapter lives, so that two adapters of one source have two names, and one that is
//! started again has its former one, whatever else runs on the machine.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;

use crate::adapter::settings::{Acknowledged, random_name};
use crate::event::subject::{encode_token, fnv1a};

use super::exit::{Exit, Failure, OrExit as _};

/// More adapters than this on one machine use no slot of their own.
const SLOTS: u32 = 64;
/// The file in a slot that holds the last acknowledged event.
const ACKNOWLEDGED: &str = "acknowledged.json";
/// The file beside it that holds what the broker has not taken.
const SPOOL: &str = "spool";

/// The memory of one adapter.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    adapter: String,
    folder: PathBuf,
    file: PathBuf,
    /// The lock of a spool in a folder of its own.
    spool: OnceLock<File>,
    /// Held, and with it the slot's lock, for as long as the adapter lives.
    _slot: File,
}

/// What is told, and where to: adapters that agree in all of it share a memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address<'a> {
    /// The broker: its address, or that it is the managed one, whose port changes.
    pub(super) broker: &'a str,
    /// The subject prefix.
    pub(super) prefix: &'a str,
    /// The stream.
    pub(super) stream: &'a str,
    /// The source.
    pub(super) source: &'a str,
}

impl Address<'_> {
    /// The name of its folder: readable, and unlike any other one's.
    fn folder(&self) -> String {
        let all = [self.broker, self.prefix, self.stream, self.source].join("\n");
        let readable: String = encode_token(self.source).chars().take(60).collect();
        format!("{readable}-{:016x}", fnv1a(all.as_bytes()))
    }
}

impl Memory {
    /// Takes the first free slot of the state folder.
    pub(super) fn open(address: Address<'_>) -> Result<Self, Failure> {
        let folder = folder().ok_or_else(|| {
            Failure::say(
                Exit::Refused,
                "there is no state folder; set XDG_STATE_HOME or HOME",
            )
        })?;
        Self::open_in(&folder.join(address.folder()))
            .map_err(|error| {
                error.context(format!(
                    "the state folder {} cannot be used",
                    folder.display()
                ))
            })
            .or_exit(Exit::Refused)
    }

    fn open_in(folder: &Path) -> anyhow::Result<Self> {
        for slot in 0..SLOTS {
            let own = folder.join(slot.to_string());
            fs::create_dir_all(&own)?;
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(own.join("name"))?;
            if file.try_lock().is_err() {
                continue;
            }
            let adapter = name(&mut file)?;
            let inner = Inner {
                adapter,
                folder: folder.to_owned(),
                file: own.join(ACKNOWLEDGED),
                spool: OnceLock::new(),
                _slot: file,
            };
            return Ok(Self {
                inner: Arc::new(inner),
            });
        }
        anyhow::bail!("{SLOTS} adapters of this source run already")
    }

    /// The file of the spool: in our slot, or, where another folder is wanted, in the first place there that nobody
    /// holds. That has a lock of its own, because the folder may be shared by those who do not share our state folder.
    pub(super) fn spool(&self, wanted: Option<&Path>) -> anyhow::Result<PathBuf> {
        let Some(wanted) = wanted else {
            return Ok(self.inner.file.with_file_name(SPOOL));
        };
        let name = self.inner.folder.file_name().unwrap_or_default();
        for slot in 0..SLOTS {
            let own = wanted.join(name).join(slot.to_string());
            let usable = || format!("the spool folder {} cannot be used", own.display());
            fs::create_dir_all(&own).with_context(usable)?;
            let lock = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(own.join("lock"))
                .with_context(usable)?;
            if lock.try_lock().is_ok() {
                self.inner.spool.get_or_init(|| lock);
                return Ok(own.join(SPOOL));
            }
        }
        anyhow::bail!(
            "{SLOTS} adapters of this source use {} already",
            wanted.display()
        )
    }

    /// The name of this adapter.
    pub(super) fn adapter(&self) -> &str {
        &self.inner.adapter
    }

    /// The highest event that an adapter of this memory had acknowledged; nothing where none is known.
    pub(super) fn remembered(&self) -> Option<Acknowledged> {
        let slots =
            (0..SLOTS).map(|slot| self.inner.folder.join(slot.to_string()).join(ACKNOWLEDGED));
        let known = slots.filter_map(|path| read(&path));
        known.max_by_key(|acknowledged| (acknowledged.looked_at, acknowledged.seq))
    }

    /// Writes it down, whole and synced.
    pub(super) fn remember(&self, acknowledged: &Acknowledged) {
        if let Err(error) = self.write(acknowledged) {
            tracing::warn!(%error, "the last acknowledged event cannot be remembered; a restored backup would not be noticed");
        }
    }

    fn write(&self, acknowledged: &Acknowledged) -> std::io::Result<()> {
        let new = self.inner.file.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(acknowledged)?)?;
        file.sync_data()?;
        fs::rename(&new, &self.inner.file)
    }
}

fn read(path: &Path) -> Option<Acknowledged> {
    let text = fs::read(path).ok()?;
    match serde_json::from_slice(&text) {
        Ok(acknowledged) => Some(acknowledged),
        Err(error) => {
            tracing::warn!(%error, "what was remembered of the last event cannot be read and is passed over");
            None
        }
    }
}

/// The name in a slot's file, given once.
fn name(file: &mut File) -> std::io::Result<String> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let known = text.trim();
    if !known.is_empty() {
        return Ok(known.to_owned());
    }
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let name = format!("{}-{}", encode_token(&host), random_name());
    file.rewind()?;
    file.write_all(name.as_bytes())?;
    file.sync_data()?;
    Ok(name)
}

/// Where the folders of all sources lie.
pub(super) fn folder() -> Option<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let state =
        set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("observe/adapters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("observe-memory-{}-{name}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        path
    }

    #[test]
    fn an_adapter_that_is_started_again_has_its_former_name_and_two_at_once_have_two() {
        let folder = scratch("names");
        let first = Memory::open_in(&folder).unwrap();
        let second = Memory::open_in(&folder).unwrap();
        assert_ne!(first.adapter(), second.adapter());
        let name = first.adapter().to_owned();
        drop(first);
        assert_eq!(Memory::open_in(&folder).unwrap().adapter(), name);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn another_broker_stream_prefix_or_source_is_another_memory() {
        let shop = Address {
            broker: "nats://a:4222",
            prefix: "core",
            stream: "S",
            source: "shop",
        };
        let others = [
            Address {
                broker: "nats://b:4222",
                ..shop
            },
            Address {
                prefix: "edge",
                ..shop
            },
            Address {
                stream: "T",
                ..shop
            },
            Address {
                source: "shop2",
                ..shop
            },
        ];
        for other in others {
            assert_ne!(shop.folder(), other.folder());
        }
    }

    #[test]
    fn what_one_slot_had_acknowledged_the_next_one_remembers_too() {
        let folder = scratch("slots");
        let first = Memory::open_in(&folder).unwrap();
        let second = Memory::open_in(&folder).unwrap();
        let acknowledged = Acknowledged {
            journal: "3f9a1c22".into(),
            seq: 7,
            looked_at: "2026-08-20T07:18:04Z".parse().unwrap(),
        };
        second.remember(&acknowledged);
        drop(second);
        assert_eq!(first.remembered(), Some(acknowledged));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn two_adapters_never_share_a_spool_wherever_it_lies() {
        let (folder, wanted) = (scratch("spools"), scratch("wanted"));
        let first = Memory::open_in(&folder).unwrap();
        let second = Memory::open_in(&folder).unwrap();
        for wanted in [None, Some(wanted.as_path())] {
            let (a, b) = (first.spool(wanted).unwrap(), second.spool(wanted).unwrap());
            assert_ne!(a, b);
            assert!(wanted.is_none_or(|wanted| a.starts_with(wanted)));
        }
        drop((first, second));
        let again = Memory::open_in(&folder).unwrap();
        let path = again.spool(Some(&wanted)).unwrap();
        assert!(path.ends_with("0/spool"), "{path:?}");
        fs::write(folder.join("file"), "").unwrap();
        let error = again.spool(Some(&folder.join("file"))).unwrap_err();
        assert!(error.to_string().contains("cannot be used"), "{error}");
        fs::remove_dir_all(folder).unwrap();
        fs::remove_dir_all(wanted).unwrap();
    }

    #[test]
    fn what_was_acknowledged_is_remembered_and_a_broken_file_is_passed_over() {
        let folder = scratch("acknowledged");
        let memory = Memory::open_in(&folder).unwrap();
        assert_eq!(memory.remembered(), None);
        let acknowledged = Acknowledged {
            journal: "3f9a1c22".into(),
            seq: 42,
            looked_at: "2026-08-20T07:18:04Z".parse().unwrap(),
        };
        memory.remember(&acknowledged);
        assert_eq!(memory.remembered(), Some(acknowledged));
        fs::write(&memory.inner.file, b"{torn").unwrap();
        assert_eq!(memory.remembered(), None);
        fs::remove_dir_all(folder).unwrap();
    }
}
