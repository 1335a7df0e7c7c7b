//! Adapters in the background: who they are, and how they are ended.
//!
//! Each holds a lock for its life, which the kernel gives back however it dies, and lays a card beside it that says what
//! it tells and where to. A card without a lock is of one that is gone. The pid on a card is only used while the lock is
//! held, and only where the arguments of that process bear the mark that was drawn for it, so that no number given again is
//! ever signalled.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::broker::is_ours;
use crate::event::subject::{encode_token, fnv1a};

use super::exit::{Exit, Failure, OrExit as _};
use super::memory;

/// How long an orderly end may take before it is asked for again, and what the second asking may take.
const ORDERLY: Duration = Duration::from_secs(15);
const INSISTING: Duration = Duration::from_secs(5);
/// How often a lock is looked at while its holder ends.
const LOOK: Duration = Duration::from_millis(20);
/// Whoever only asks whether a lock is held has it for a moment: so often it is tried before it counts as held.
const TRIES: u32 = 10;
/// The log of one adapter; what is older lies once more beside it.
const LOG_BYTES: u64 = 1 << 20;

/// One adapter in the background.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Card {
    pub(super) pid: i32,
    /// What its process has among its arguments, and no other has.
    pub(super) mark: PathBuf,
    /// The name of the source; of several, a name for all of them.
    pub(super) source: String,
    /// What is looked at and under which subjects it is told, in words that are the same for each start.
    pub(super) key: String,
    /// What is looked at, as it is shown.
    pub(super) what: String,
    pub(super) stream: String,
    /// The broker, without secrets.
    pub(super) broker: String,
    /// Whether the broker is the managed one.
    pub(super) managed: bool,
    pub(super) since: DateTime<Utc>,
    pub(super) log: PathBuf,
}

/// A place in the background, taken until this is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    _lock: File,
    card: PathBuf,
}

impl Drop for Taken {
    fn drop(&mut self) {
        // Without its lock the card says nothing any more, also where it stays.
        drop(fs::remove_file(&self.card));
    }
}

/// The folder of cards, locks and logs, made where it is missing.
///
/// # Errors
///
/// No state folder is known, or it cannot be made.
pub(super) fn folder() -> Result<PathBuf, Failure> {
    let adapters = memory::folder().ok_or_else(|| {
        Failure::say(
            Exit::Refused,
            "there is no state folder; set XDG_STATE_HOME or HOME",
        )
    })?;
    let folder = adapters.with_file_name("background");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .with_context(|| format!("the state folder {} cannot be used", folder.display()))
        .or_exit(Exit::Refused)?;
    Ok(folder)
}

/// A name for files that is readable, and unlike that of whatever else is told.
fn stem(card: &Card) -> String {
    let broker = if card.managed {
        "managed"
    } else {
        &card.broker
    };
    let all = [broker, &card.stream, &card.source, &card.key].join("\n");
    let readable: String = encode_token(&card.source).chars().take(60).collect();
    format!("{readable}-{:016x}", fnv1a(all.as_bytes()))
}

/// Takes the place of a card; where another one holds it, that one's card.
pub(super) async fn take(
    folder: &Path,
    mut card: Card,
) -> anyhow::Result<Result<(Taken, Card), Card>> {
    let path = |end: &str| folder.join(format!("{}.{end}", stem(&card)));
    let (lock, log, laid) = (path("lock"), path("log"), path("json"));
    let file = private(&lock)?;
    if !try_hold(&file).await? {
        let holder = read(&laid).context("another one begins in this place; try again")?;
        return Ok(Err(holder));
    }
    // What the one before said last may be all that is known of its end.
    drop(fs::rename(&log, older(&log)));
    fs::rename(&card.log, &log)?;
    card.log = log;
    let draft = laid.with_extension("draft");
    let mut written = private(&draft)?;
    written.set_len(0)?;
    written.write_all(&serde_json::to_vec(&card)?)?;
    fs::rename(&draft, &laid)?;
    let taken = Taken {
        _lock: file,
        card: laid,
    };
    Ok(Ok((taken, card)))
}

async fn try_hold(file: &File) -> io::Result<bool> {
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => sleep(LOOK).await,
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

/// Where what a log held before is laid.
fn older(log: &Path) -> PathBuf {
    log.with_extension("log.1")
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn read(path: &Path) -> Option<Card> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Everybody in the background, by source.
pub(super) fn list(folder: &Path) -> io::Result<Vec<Card>> {
    let mut cards = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "json") && is_held(&path)? {
            cards.extend(read(&path));
        }
    }
    cards.sort_by(|a, b| (&a.source, &a.broker).cmp(&(&b.source, &b.broker)));
    Ok(cards)
}

/// Whether the lock beside a card is held. Asking shares it, so that two who ask do not take each other for a holder.
fn is_held(card: &Path) -> io::Result<bool> {
    let file = match File::open(card.with_extension("lock")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Ends one: asks for an orderly end, then insists. Whether it is gone.
///
/// # Cancel safety
///
/// Dropped, it was asked and may end later.
pub(super) async fn end(folder: &Path, card: &Card) -> io::Result<bool> {
    let laid = folder.join(format!("{}.json", stem(card)));
    for patience in [ORDERLY, INSISTING] {
        // Whoever holds it now may be another one.
        let is_same = read(&laid).is_none_or(|laid| laid.mark == card.mark);
        let pid = u32::try_from(card.pid).unwrap_or_default();
        if !is_held(&laid)? || !is_same || !is_ours(pid, &card.mark).await {
            return Ok(true);
        }
        ask_to_end(card.pid);
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if !is_held(&laid)? {
                return Ok(true);
            }
            sleep(LOOK).await;
        }
    }
    Ok(false)
}

/// Asks a process to end; one that is gone is what is wanted.
pub(super) fn ask_to_end(pid: i32) {
    if let Some(Err(error)) = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::TERM)) {
        tracing::debug!(%error, "asked to end");
    }
}

/// Keeps a log small: what has grown too large is laid beside it, and the log begins anew. Its writer appends.
pub(super) fn keep_small(log: &Path) -> io::Result<()> {
    if fs::metadata(log)?.len() > LOG_BYTES {
        fs::copy(log, older(log))?;
        OpenOptions::new().write(true).open(log)?.set_len(0)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("observe-background-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            drop(fs::remove_dir_all(&path));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn card(&self, source: &str, broker: &str) -> Card {
            let log = self.0.join("starting.log");
            fs::write(&log, "hello\n").unwrap();
            Card {
                pid: 1,
                mark: log.clone(),
                key: "localhost:8080".into(),
                source: source.into(),
                what: "shop at localhost:8080".into(),
                stream: "PROCESS_EVENTS".into(),
                broker: broker.into(),
                managed: false,
                since: DateTime::UNIX_EPOCH,
                log,
            }
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[tokio::test]
    async fn a_place_is_taken_once_and_free_again_when_its_holder_is_gone() {
        let scratch = Scratch::new("once");
        let (taken, card) = take(&scratch.0, scratch.card("shop", "a"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(fs::read_to_string(&card.log).unwrap(), "hello\n");
        let other = take(&scratch.0, scratch.card("shop", "a")).await.unwrap();
        assert_eq!(other.unwrap_err(), card, "whose place it is");
        let mut other = scratch.card("shop", "a");
        other.key = "localhost:8081".into();
        let other = take(&scratch.0, other).await.unwrap();
        assert!(other.is_ok(), "another stack of that name has its own");
        drop(other);
        let elsewhere = take(&scratch.0, scratch.card("shop", "b"))
            .await
            .unwrap()
            .unwrap();
        let names = |cards: Vec<Card>| {
            cards
                .into_iter()
                .map(|card| card.broker)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(list(&scratch.0).unwrap()), ["a", "b"]);
        drop(taken);
        assert_eq!(names(list(&scratch.0).unwrap()), ["b"]);
        drop(elsewhere);
        let again = take(&scratch.0, scratch.card("shop", "a")).await.unwrap();
        assert_eq!(fs::read_to_string(older(&card.log)).unwrap(), "hello\n");
        assert!(again.is_ok());
    }

    #[tokio::test]
    async fn a_card_that_was_left_behind_is_nobody() {
        let scratch = Scratch::new("left");
        let (taken, card) = take(&scratch.0, scratch.card("shop", "a"))
            .await
            .unwrap()
            .unwrap();
        let laid = taken.card.clone();
        let text = fs::read(&laid).unwrap();
        drop(taken);
        fs::write(&laid, text).unwrap();
        assert_eq!(read(&laid), Some(card));
        assert_eq!(list(&scratch.0).unwrap(), []);
    }

    #[test]
    fn a_log_stays_small_and_keeps_what_came_last() {
        let scratch = Scratch::new("log");
        let log = scratch.0.join("shop.log");
        fs::write(&log, "few").unwrap();
        keep_small(&log).unwrap();
        assert_eq!(fs::read(&log).unwrap(), b"few");
        let many = vec![b'x'; 1 + (1 << 20)];
        fs::write(&log, &many).unwrap();
        keep_small(&log).unwrap();
        assert_eq!(fs::metadata(&log).unwrap().len(), 0);
        assert_eq!(fs::read(log.with_extension("log.1")).unwrap(), many);
    }
}
