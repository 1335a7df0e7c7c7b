//! The warden: a small process whose only work is to be the server's parent and to end it when nobody is left.
//!
//! It decides to end only while it holds the folder's `lock` and has counted the leases again under it; a user
//! takes its lease before it waits for that lock. So nobody is ever handed a server that was about to end for
//! want of users.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{self, SignalKind};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::error::BrokerError;
use super::folder::{Fault, Folder};
use super::lease;
use super::lock::{Held, hold, try_hold};
use super::server::Server;

/// What a warden is told on its command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orders {
    /// The broker's folder, absolute.
    pub folder: PathBuf,
    /// How long the server stays after its last user has gone.
    pub linger: Duration,
    /// How often leases are looked at.
    pub look: Duration,
    /// Whether to start a server or to take one over.
    pub task: Task,
}

/// Where the warden's server comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Start this program.
    Start {
        /// The nats-server, absolute.
        binary: PathBuf,
    },
    /// Watch the one that runs, whose warden died.
    Adopt,
}

impl Orders {
    /// The arguments that [`Orders::from_args`] reads.
    pub fn to_args(&self) -> Vec<OsString> {
        let mut args = vec!["--dir".into(), self.folder.clone().into_os_string()];
        args.extend([
            "--linger-ms".into(),
            self.linger.as_millis().to_string().into(),
        ]);
        args.extend(["--look-ms".into(), self.look.as_millis().to_string().into()]);
        match &self.task {
            Task::Start { binary } => {
                args.extend(["--binary".into(), binary.clone().into_os_string()]);
            }
            Task::Adopt => args.push("--adopt".into()),
        }
        args
    }

    /// Reads what [`Orders::to_args`] wrote; nothing where a word is missing or not understood.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let (mut folder, mut linger, mut look, mut task) = (None, None, None, None);
        let millis = |word: OsString| Some(Duration::from_millis(word.to_str()?.parse().ok()?));
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match arg.to_str()? {
                "--dir" => folder = Some(args.next()?.into()),
                "--linger-ms" => linger = Some(millis(args.next()?)?),
                "--look-ms" => look = Some(millis(args.next()?)?),
                "--binary" => {
                    task = Some(Task::Start {
                        binary: args.next()?.into(),
                    });
                }
                "--adopt" => task = Some(Task::Adopt),
                _ => return None,
            }
        }
        Some(Self {
            folder: folder?,
            linger: linger?,
            look: look?,
            task: task?,
        })
    }
}

/// Starts or adopts the server and stays until it has ended: for want of users, on SIGTERM or SIGINT, or by itself.
///
/// SIGHUP is ignored. This is the whole life of a process of its own; it installs signal handlers.
///
/// # Errors
/// Why there is no server; the same is left in the folder for the process that started this one.
///
/// # Cancel safety
/// Dropped, a server it started is killed.
pub async fn run(orders: Orders) -> Result<(), BrokerError> {
    let folder = Folder::open(&orders.folder)?;
    let begun = begin(&folder, &orders.task).await;
    let (mut server, own, mut signals) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            folder.put_fault(&Fault {
                kind: error.kind(),
                said: error.to_string(),
            })?;
            return Err(error);
        }
    };
    let why = watch(&folder, &orders, &own, &mut server, &mut signals).await;
    tracing::info!(?why, "the managed broker ends");
    // The card of a server that died stays: the next one takes its place.
    if why != Why::ServerGone
        && folder
            .card()?
            .is_some_and(|card| card.warden == std::process::id())
    {
        folder.drop_card()?;
    }
    server.end().await;
    Ok(())
}

async fn begin(folder: &Folder, task: &Task) -> Result<(Server, Held, Signals), BrokerError> {
    let mut signals = Signals::listen().map_err(|source| BrokerError::Io {
        action: "listen for",
        path: "signals".into(),
        source,
    })?;
    let locked = |holder| BrokerError::Locked {
        folder: folder.root().to_owned(),
        holder,
    };
    let own = hold(&folder.warden_lock(), Duration::from_secs(1)).await?;
    let own = own.ok_or_else(|| locked("another warden"))?;
    let server = tokio::select! {
        server = async {
            match task {
                Task::Start { binary } => Server::start(folder, binary).await,
                Task::Adopt => Server::adopt(folder).await,
            }
        } => server?,
        () = signals.end() => return Err(BrokerError::Stopped),
    };
    Ok((server, own, signals))
}

/// Why the watch is over.
#[derive(Debug, PartialEq, Eq)]
enum Why {
    Unused,
    Told,
    ServerGone,
    FolderGone,
}

async fn watch(
    folder: &Folder,
    orders: &Orders,
    own: &Held,
    server: &mut Server,
    signals: &mut Signals,
) -> Why {
    let mut idle = Idle::default();
    // A period of zero would panic.
    let mut tick = interval(orders.look.max(Duration::from_millis(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = server.gone() => return Why::ServerGone,
            () = signals.end() => return Why::Told,
            _ = tick.tick() => {}
        }
        // Somebody removed the folder: what is there now is another broker's.
        if !own.in_place() {
            return Why::FolderGone;
        }
        match lease::sweep(folder) {
            Ok(users) => {
                if idle.look(users, Instant::now()) >= orders.linger && retire(folder) {
                    return Why::Unused;
                }
            }
            // Unknown is not gone: better a server too long than one taken from its users.
            Err(error) => tracing::warn!(%error, "leases cannot be counted"),
        }
    }
}

/// Takes the card away if nobody is there and nobody is just coming.
fn retire(folder: &Folder) -> bool {
    let Ok(Some(_turn)) = try_hold(&folder.lock()) else {
        return false;
    };
    matches!(lease::sweep(folder), Ok(0)) && folder.drop_card().is_ok()
}

/// For how long nobody was seen.
#[derive(Debug, Default)]
struct Idle {
    since: Option<Instant>,
}

impl Idle {
    fn look(&mut self, users: usize, now: Instant) -> Duration {
        if users > 0 {
            self.since = None;
            return Duration::ZERO;
        }
        now - *self.since.get_or_insert(now)
    }
}

struct Signals {
    term: unix::Signal,
    int: unix::Signal,
    _hangup: unix::Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            term: unix::signal(SignalKind::terminate())?,
            int: unix::signal(SignalKind::interrupt())?,
            // Listened for and never asked: that is how it is ignored.
            _hangup: unix::signal(SignalKind::hangup())?,
        })
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::scratch::Scratch;

    #[test]
    fn orders_survive_the_command_line() {
        let orders = Orders {
            folder: "/a b/c".into(),
            linger: Duration::from_millis(1500),
            look: Duration::from_secs(1),
            task: Task::Start {
                binary: "/bin/nats-server".into(),
            },
        };
        assert_eq!(Orders::from_args(orders.to_args()), Some(orders.clone()));
        let adopt = Orders {
            task: Task::Adopt,
            ..orders
        };
        assert_eq!(Orders::from_args(adopt.to_args()), Some(adopt.clone()));
        for broken in 0..adopt.to_args().len() {
            assert_eq!(
                Orders::from_args(adopt.to_args().into_iter().take(broken)),
                None
            );
        }
        assert_eq!(Orders::from_args(["--what".into()]), None);
    }

    #[tokio::test]
    async fn a_warden_retires_only_in_its_turn_and_with_nobody_there() {
        let scratch = Scratch::new();
        let folder = Folder::make(scratch.path()).unwrap();
        let lease = lease::LeaseFile::take(&folder).await.unwrap();
        assert!(!retire(&folder), "somebody came since the last look");
        drop(lease);
        let turn = try_hold(&folder.lock()).unwrap();
        assert!(!retire(&folder), "somebody is coming");
        drop(turn);
        assert!(retire(&folder));
    }

    #[tokio::test]
    async fn a_sweep_counts_the_living_and_removes_the_rest() {
        let scratch = Scratch::new();
        let folder = Folder::make(scratch.path()).unwrap();
        let lease = lease::LeaseFile::take(&folder).await.unwrap();
        std::fs::write(folder.leases().join("1-left-by-a-killed-user"), "").unwrap();
        assert_eq!(lease::users(&folder).unwrap(), 1);
        assert_eq!(
            std::fs::read_dir(folder.leases()).unwrap().count(),
            2,
            "a question changes nothing"
        );
        assert_eq!(lease::sweep(&folder).unwrap(), 1);
        assert_eq!(std::fs::read_dir(folder.leases()).unwrap().count(), 1);
        drop(lease);
        std::fs::remove_dir_all(folder.root()).unwrap();
        assert_eq!(lease::sweep(&folder).unwrap(), 0, "no folder, no users");
    }

    #[tokio::test(start_paused = true)]
    async fn the_linger_time_begins_anew_with_each_user() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut idle = Idle::default();
        let looks = [
            (0, 0, 0),
            (0, 2, 2),
            (1, 3, 0),
            (0, 4, 0),
            (0, 9, 5),
            (2, 10, 0),
            (0, 11, 0),
        ];
        for (users, second, wanted) in looks {
            let idle = idle.look(users, at(second));
            assert_eq!(idle, Duration::from_secs(wanted), "at {second} s");
        }
    }
}
