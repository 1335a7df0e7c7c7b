//! Getting a lease: find what runs, or have it started, in turn with everybody else who wants the same.

use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::alive;
use super::binary;
use super::card::{Card, Token};
use super::error::BrokerError;
use super::folder::{Folder, private_file};
use super::lease::{self, LeaseFile};
use super::lock::{hold, is_held};
use super::ready;
use super::server::{GRACE, START_LIMIT};
use super::settings::{Settings, WardenCommand};
use super::warden::{Orders, Task};

/// How long somebody else may take to start, stop or end the server before we give up.
pub(super) const TURN: Duration = Duration::from_secs(20);
/// How long a warden may take from its last word to its end.
pub(super) const ENDING: Duration = Duration::from_secs(10);
/// How often a state that is about to change is looked at again.
pub(super) const RETRY: Duration = Duration::from_millis(10);

/// The right to use the broker; the server stays while anybody holds one. Dropping it never blocks.
pub struct Lease {
    /// Address without secrets, `nats://127.0.0.1:PORT`.
    pub url: String,
    /// The password for [`Lease::url`].
    pub token: Token,
    /// Process id of the server.
    pub pid: u32,
    /// Version of the server, as it says itself.
    pub version: String,
    /// Whether it did not run before we asked.
    pub started_by_us: bool,
    _file: LeaseFile,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("url", &self.url)
            .field("pid", &self.pid)
            .field("version", &self.version)
            .field("started_by_us", &self.started_by_us)
            .finish_non_exhaustive()
    }
}

/// A broker that runs, seen without using it.
#[derive(Clone, Debug)]
pub struct Running {
    /// Address without secrets, `nats://127.0.0.1:PORT`.
    pub url: String,
    /// The password for [`Running::url`].
    pub token: Token,
    /// Process id of the server.
    pub pid: u32,
    /// Version of the server, as it says itself.
    pub version: String,
    /// When it was started.
    pub started: DateTime<Utc>,
    /// Where its JetStream data lies.
    pub store: PathBuf,
    /// How many hold a lease.
    pub users: usize,
}

/// Gives a lease on the managed broker and starts it if it does not run.
///
/// A server whose warden was killed is given a new warden. Two callers at the same time get the same server.
///
/// # Errors
/// [`BrokerError`], whose kind says whether trying again may help.
///
/// # Cancel safety
/// Dropped before its end no lease is held; a server that was being started ends after the linger time.
pub async fn ensure(settings: &Settings, warden: &WardenCommand) -> Result<Lease, BrokerError> {
    let root = settings
        .places
        .broker_folder()
        .ok_or(BrokerError::NoFolder)?;
    let folder = Folder::make(&root)?;
    // The lease comes before the turn: a warden that wants to end looks for leases in its own turn, so it
    // either sees this one or has already taken the card away.
    let file = LeaseFile::take(&folder).await?;
    let turn = hold(&folder.lock(), TURN)
        .await?
        .ok_or_else(|| BrokerError::Locked {
            folder: folder.root().to_owned(),
            holder: "another start that does not come to an end",
        })?;
    let (card, started_by_us) = served(settings, &folder, warden).await?;
    drop(turn);
    Ok(Lease {
        url: card.url,
        token: card.token,
        pid: card.pid,
        version: card.version,
        started_by_us,
        _file: file,
    })
}

/// Whether the managed broker has kept something, running or not; changes nothing.
pub fn has_store(settings: &Settings) -> bool {
    let root = settings.places.broker_folder();
    root.and_then(|root| Folder::open(&root).ok())
        .is_some_and(|folder| folder.store().join("jetstream").is_dir())
}

/// The managed broker if one runs; changes nothing.
///
/// # Errors
/// Files that cannot be read, or a server of ours that lives and does not answer.
///
/// # Cancel safety
/// May be dropped at any point.
pub async fn find(settings: &Settings) -> Result<Option<Running>, BrokerError> {
    let root = settings
        .places
        .broker_folder()
        .ok_or(BrokerError::NoFolder)?;
    if !root.exists() {
        return Ok(None);
    }
    let folder = Folder::open(&root)?;
    let Some(card) = folder.card()? else {
        return Ok(None);
    };
    if !alive::is_ours(card.pid, &folder.conf()).await {
        return Ok(None);
    }
    if !answers(&card).await {
        // It may have been told to end since; then its card is gone or another's.
        return match folder.card()? {
            Some(still) if still == card => Err(silent(&folder, ready::GREETING)),
            _ => Ok(None),
        };
    }
    Ok(Some(Running {
        url: card.url,
        token: card.token,
        pid: card.pid,
        version: card.version,
        started: card.started,
        store: folder.store(),
        users: lease::users(&folder)?,
    }))
}

/// Whether the managed broker, which does not run, died: nobody told it to end.
///
/// # Errors
/// Files that cannot be read.
pub fn has_died(settings: &Settings) -> Result<bool, BrokerError> {
    let root = settings
        .places
        .broker_folder()
        .ok_or(BrokerError::NoFolder)?;
    if !root.exists() {
        return Ok(false);
    }
    Ok(Folder::open(&root)?.card()?.is_some())
}

/// What the locks, the card and the server itself say together.
enum Seen {
    /// A warden and a server that answers.
    Serving(Card),
    /// A server that answers and has no warden.
    Unwatched,
    /// Something of ours holds the store, without a warden and without an answer.
    Stray,
    /// A warden, and no answer (yet, or any more).
    Busy,
    Nothing,
}

async fn look(folder: &Folder) -> Result<Seen, BrokerError> {
    let watched = is_held(&folder.warden_lock())?;
    if !watched && !is_held(&folder.server_lock())? {
        return Ok(Seen::Nothing);
    }
    let answering = match folder.card()? {
        Some(card) if alive::is_ours(card.pid, &folder.conf()).await && answers(&card).await => {
            Some(card)
        }
        _ => None,
    };
    Ok(match (watched, answering) {
        (true, Some(card)) => Seen::Serving(card),
        (true, None) => Seen::Busy,
        (false, Some(_)) => Seen::Unwatched,
        (false, None) => Seen::Stray,
    })
}

/// The server behind the card and no other one on the same port.
async fn answers(card: &Card) -> bool {
    ready::greet(&card.url)
        .await
        .is_ok_and(|greeting| greeting.name == card.name)
}

async fn served(
    settings: &Settings,
    folder: &Folder,
    warden: &WardenCommand,
) -> Result<(Card, bool), BrokerError> {
    let end = Instant::now() + ENDING;
    loop {
        match look(folder).await? {
            Seen::Serving(card) => return Ok((card, false)),
            Seen::Unwatched => {
                return Ok((begin(settings, folder, warden, Task::Adopt).await?, false));
            }
            Seen::Nothing => {
                let named = settings.binary.as_deref();
                let binary = binary::locate(&settings.places, named).await?;
                let card = begin(settings, folder, warden, Task::Start { binary }).await?;
                return Ok((card, true));
            }
            Seen::Stray => end_stray(folder).await?,
            Seen::Busy if Instant::now() >= end => return Err(stuck(folder).await),
            Seen::Busy => {}
        }
        sleep(RETRY).await;
    }
}

/// Ends a server that has neither a warden nor an answer, found by its own note or by the card.
pub(super) async fn end_stray(folder: &Folder) -> Result<(), BrokerError> {
    let noted = std::fs::read_to_string(folder.server_lock()).ok();
    let noted = noted.and_then(|text| text.trim().parse().ok());
    let carded = folder.card()?.map(|card| card.pid);
    for pid in noted.into_iter().chain(carded) {
        alive::end(pid, &folder.conf(), GRACE).await;
    }
    // The lock falls with the last copy of the file, a moment after the process was last seen.
    match hold(&folder.server_lock(), Duration::from_secs(1)).await? {
        Some(_free) => folder.drop_card(),
        None => Err(BrokerError::Locked {
            folder: folder.root().to_owned(),
            holder: "a nats-server that cannot be seen from here, perhaps in a container or on another machine",
        }),
    }
}

async fn begin(
    settings: &Settings,
    folder: &Folder,
    warden: &WardenCommand,
    task: Task,
) -> Result<Card, BrokerError> {
    folder.drop_fault()?;
    let orders = Orders {
        folder: folder.root().to_owned(),
        linger: settings.linger,
        look: settings.look,
        task,
    };
    let child = detach(folder, warden, &orders)?;
    let limit = START_LIMIT + Duration::from_secs(3);
    timeout(limit, reported(folder, child))
        .await
        .unwrap_or_else(|_late| Err(silent(folder, limit)))
}

fn detach(folder: &Folder, warden: &WardenCommand, orders: &Orders) -> Result<Child, BrokerError> {
    let log_path = folder.warden_log();
    let log = private_file(&log_path).map_err(|source| BrokerError::Io {
        action: "write",
        path: log_path,
        source,
    })?;
    // A group of its own: Ctrl-C and the end of a terminal are told to the group in the foreground.
    Command::new(&warden.program)
        .args(&warden.args)
        .args(orders.to_args())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .process_group(0)
        .spawn()
        .map_err(|source| BrokerError::Io {
            action: "run",
            path: warden.program.clone(),
            source,
        })
}

/// Waits for the card with the new warden's name on it, or for its end.
async fn reported(folder: &Folder, mut warden: Child) -> Result<Card, BrokerError> {
    let pid = warden.id();
    loop {
        // Asked before the card is read, so that a warden's last word is not missed.
        let over = !matches!(warden.try_wait(), Ok(None));
        if let Some(card) = folder.card()?
            && Some(card.warden) == pid
        {
            return Ok(card);
        }
        if over {
            return Err(match folder.fault()? {
                Some(fault) => BrokerError::Warden {
                    kind: fault.kind,
                    said: fault.said,
                },
                None => BrokerError::WardenGone {
                    log: folder.warden_log(),
                },
            });
        }
        sleep(RETRY).await;
    }
}

/// Why a warden was there all the time and its server was not.
async fn stuck(folder: &Folder) -> BrokerError {
    let pid = folder.card().ok().flatten().map_or(0, |card| card.pid);
    if alive::is_ours(pid, &folder.conf()).await {
        return silent(folder, ENDING);
    }
    BrokerError::Locked {
        folder: folder.root().to_owned(),
        holder: "a warden that cannot be seen from here, perhaps in a container or on another machine",
    }
}

fn silent(folder: &Folder, limit: Duration) -> BrokerError {
    BrokerError::Silent {
        limit,
        log: folder.log(),
    }
}
