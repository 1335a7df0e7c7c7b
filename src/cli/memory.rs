//! What an adapter remembers outside the broker: its own name, and the highest event it had acknowledged.
//!
//! Both lie in the state folder. The name belongs to a slot that is locked for as long as the adapter lives, so that two
//! adapters on one machine have two names, and one that is started again has its former one.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::adapter::settings::{Acknowledged, random_name};
use crate::event::subject::encode_token;

use super::exit::{Exit, Failure, OrExit as _};

/// More adapters than this on one machine use no slot of their own.
const SLOTS: u32 = 256;

/// The memory of one adapter.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    adapter: String,
    file: PathBuf,
    /// Held, and with it the slot's lock, for as long as the adapter lives.
    _slot: File,
}

impl Memory {
    /// Takes the first free slot of the state folder.
    pub(super) fn open(stream: &str, source: &str) -> Result<Self, Failure> {
        let folder = folder().ok_or_else(|| {
            Failure::say(
                Exit::Refused,
                "there is no state folder; set XDG_STATE_HOME or HOME",
            )
        })?;
        Self::open_in(&folder, stream, source)
            .map_err(|error| {
                error.context(format!(
                    "the state folder {} cannot be used",
                    folder.display()
                ))
            })
            .or_exit(Exit::Refused)
    }

    fn open_in(folder: &Path, stream: &str, source: &str) -> anyhow::Result<Self> {
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
            let file_name = format!("{}.{}.json", encode_token(stream), encode_token(source));
            let inner = Inner {
                adapter,
                file: own.join(file_name),
                _slot: file,
            };
            return Ok(Self {
                inner: Arc::new(inner),
            });
        }
        anyhow::bail!("{SLOTS} adapters run already")
    }

    /// The name of this adapter.
    pub(super) fn adapter(&self) -> &str {
        &self.inner.adapter
    }

    /// The highest event this adapter had acknowledged; nothing where none is known.
    pub(super) fn remembered(&self) -> Option<Acknowledged> {
        let text = fs::read(&self.inner.file).ok()?;
        match serde_json::from_slice(&text) {
            Ok(acknowledged) => Some(acknowledged),
            Err(error) => {
                tracing::warn!(%error, "what was remembered of the last event cannot be read and is passed over");
                None
            }
        }
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

fn folder() -> Option<PathBuf> {
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
        let first = Memory::open_in(&folder, "S", "shop").unwrap();
        let second = Memory::open_in(&folder, "S", "shop").unwrap();
        assert_ne!(first.adapter(), second.adapter());
        let name = first.adapter().to_owned();
        drop(first);
        assert_eq!(
            Memory::open_in(&folder, "S", "shop").unwrap().adapter(),
            name
        );
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_was_acknowledged_is_remembered_and_a_broken_file_is_passed_over() {
        let folder = scratch("acknowledged");
        let memory = Memory::open_in(&folder, "S", "shop").unwrap();
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
