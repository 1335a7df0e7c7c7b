//! The server as its warden sees it: started or taken over, waited for, ended.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use chrono::Utc;
use rustix::process::Signal;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::alive;
use super::card::{Card, Token};
use super::conf;
use super::error::BrokerError;
use super::folder::Folder;
use super::lock::hold;
use super::ready;

/// How long a server may take until it answers.
pub(super) const START_LIMIT: Duration = Duration::from_secs(5);
/// How long a server may take to end before it is killed.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// The server, as our child or as somebody else's that lost its warden.
pub(super) enum Server {
    Child(Child),
    Adopted { pid: u32, conf: PathBuf },
}

impl Server {
    /// Starts one, in the place of the one that died and left its card, where there is such a card and its port is free.
    pub(super) async fn start(folder: &Folder, binary: &Path) -> Result<Self, BrokerError> {
        if let Some(died) = folder.card()? {
            match Self::start_at(folder, binary, died.token.clone(), died.port()).await {
                // Somebody else may have its port by now.
                Err(BrokerError::Ended { .. }) => folder.drop_card()?,
                other => return other,
            }
        }
        let token = Token::draw().map_err(|source| BrokerError::Io {
            action: "read",
            path: "/dev/urandom".into(),
            source,
        })?;
        Self::start_at(folder, binary, token, None).await
    }

    async fn start_at(
        folder: &Folder,
        binary: &Path,
        token: Token,
        port: Option<u16>,
    ) -> Result<Self, BrokerError> {
        let name = format!("observe-broker-{:016x}", fastrand::u64(..));
        folder.put(
            &folder.conf(),
            conf::text(folder, &name, &token, port)?.as_bytes(),
        )?;
        clear(&folder.ports())?;
        let mut child = spawn(folder, binary).await?;
        let Some(pid) = child.id() else {
            return Err(BrokerError::Ended {
                log: folder.warden_log(),
            });
        };
        let ports = folder.ports();
        let (url, greeting) = tokio::select! {
            ready = timeout(START_LIMIT, ready::wait(&ports, pid)) => ready
                .map_err(|_late| BrokerError::Silent { limit: START_LIMIT, log: folder.log() })?,
            _ = child.wait() => return Err(BrokerError::Ended { log: ended_log(folder) }),
        };
        let warden = std::process::id();
        let version = greeting.version;
        folder.put_card(&Card {
            pid,
            warden,
            url,
            token,
            name,
            version,
            started: Utc::now(),
        })?;
        Ok(Self::Child(child))
    }

    pub(super) async fn adopt(folder: &Folder) -> Result<Self, BrokerError> {
        let conf = folder.conf();
        let Some(card) = folder.card()? else {
            return Err(BrokerError::Ended { log: folder.log() });
        };
        if !alive::is_ours(card.pid, &conf).await {
            return Err(BrokerError::Ended { log: folder.log() });
        }
        let pid = card.pid;
        folder.put_card(&Card {
            warden: std::process::id(),
            ..card
        })?;
        Ok(Self::Adopted { pid, conf })
    }

    /// Returns when the server is no more. May be dropped and asked again.
    pub(super) async fn gone(&mut self) {
        match self {
            Self::Child(child) => {
                if let Err(error) = child.wait().await {
                    tracing::warn!(%error, "the server cannot be waited for");
                }
            }
            Self::Adopted { pid, conf } => {
                while alive::is_ours(*pid, conf).await {
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Asks the server to end and, when it does not, makes it.
    pub(super) async fn end(&mut self) {
        match self {
            Self::Adopted { pid, conf } => {
                if !alive::end(*pid, conf, GRACE).await {
                    tracing::warn!(pid, "the server cannot be ended");
                }
            }
            Self::Child(child) => {
                if let Some(pid) = child.id() {
                    alive::tell(pid, Signal::TERM);
                }
                if timeout(GRACE, child.wait()).await.is_err()
                    && let Err(error) = child.kill().await
                {
                    tracing::warn!(%error, "the server cannot be killed");
                }
            }
        }
    }
}

/// Runs the server with its lock as standard input, so that the lock lives exactly as long as the server.
async fn spawn(folder: &Folder, binary: &Path) -> Result<Child, BrokerError> {
    let fail = |action, path: &Path, source| BrokerError::Io {
        action,
        path: path.to_owned(),
        source,
    };
    let path = folder.server_lock();
    let lock = hold(&path, Duration::from_secs(1))
        .await?
        .ok_or_else(|| BrokerError::Locked {
            folder: folder.root().to_owned(),
            holder: "another nats-server",
        })?;
    let child = Command::new(binary)
        .arg("-c")
        .arg(folder.conf())
        .stdin(lock.into_file())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| fail("run", binary, source))?;
    // For whoever finds the lock held and no card.
    let note = child.id().map(|pid| pid.to_string()).unwrap_or_default();
    std::fs::write(&path, note).map_err(|source| fail("write", &path, source))?;
    Ok(child)
}

/// A server that dislikes its configuration says so before it opens its own log.
fn ended_log(folder: &Folder) -> PathBuf {
    let said = std::fs::metadata(folder.warden_log()).is_ok_and(|meta| meta.len() > 0);
    if said {
        folder.warden_log()
    } else {
        folder.log()
    }
}

/// Removes what an earlier server that was killed left behind: its pid may be given again.
fn clear(ports: &Path) -> Result<(), BrokerError> {
    let fail = |source| BrokerError::Io {
        action: "clear",
        path: ports.to_owned(),
        source,
    };
    for entry in std::fs::read_dir(ports).map_err(fail)? {
        std::fs::remove_file(entry.map_err(fail)?.path()).map_err(fail)?;
    }
    Ok(())
}
