//! Taking a place, and giving it back.
//!
//! A socket is ours alone: nobody else may open it, and its folders, where we make them, are ours too. One that nobody
//! listens at any more is replaced; one that answers is left alone.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, fchmod};
use tokio::net::{TcpListener, UnixListener, UnixSocket, UnixStream};
use tokio::time::timeout;

use super::error::ListenError;
use super::host::Reach;
use super::place::Place;

/// So many may wait to be let in.
const QUEUE: u32 = 64;
/// How long whoever listens there already may take to answer the door.
const KNOCK: Duration = Duration::from_secs(1);

/// A place that is ours until it is dropped.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) listener: Listener,
    pub(super) reach: Reach,
    /// The place as it is, with the port that was given.
    pub(super) place: Place,
    _socket: Option<SocketFile>,
}

#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The file of a socket, removed when it is dropped, unless another one lies there by then.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| (found.dev(), found.ino()) == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(%error, "a socket cannot be removed");
        }
    }
}

/// What kept us from a place, before its name stands beside it.
enum Wrong {
    Live,
    Taken(&'static str),
    System(io::Error),
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl Door {
    /// Takes a place.
    pub(super) async fn open(place: &Place) -> Result<Self, ListenError> {
        let named = |wrong| {
            let place = place.to_string();
            match wrong {
                Wrong::Live => ListenError::Live(place),
                Wrong::Taken(why) => ListenError::Taken { place, why },
                Wrong::System(source) => ListenError::System { place, source },
            }
        };
        match place {
            Place::Tcp(address) => Self::tcp(*address).await.map_err(named),
            Place::Unix(path) => Self::unix(place, path).await.map_err(named),
            Place::Own(own) => {
                for folder in own.folders() {
                    make_ours(&folder).map_err(named)?;
                }
                Self::unix(place, &own.path()).await.map_err(named)
            }
        }
    }

    async fn tcp(address: SocketAddr) -> Result<Self, Wrong> {
        let listener = match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(Wrong::Live),
            bound => bound?,
        };
        let address = listener.local_addr()?;
        let reach = if address.ip().is_loopback() {
            Reach::Loopback
        } else {
            Reach::Open
        };
        Ok(Self {
            listener: Listener::Tcp(listener),
            reach,
            place: Place::Tcp(address),
            _socket: None,
        })
    }

    async fn unix(place: &Place, path: &Path) -> Result<Self, Wrong> {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        let listener = match bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                replace_stale(path).await?;
                bind(path)?
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(Wrong::Taken(
                    "the path is too long for a socket; write a shorter unix:PATH",
                ));
            }
            bound => bound?,
        };
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        let found = fs::symlink_metadata(path)?;
        Ok(Self {
            listener: Listener::Unix(listener),
            reach: Reach::Socket,
            place: place.clone(),
            _socket: Some(SocketFile {
                path: path.to_owned(),
                identity: (found.dev(), found.ino()),
            }),
        })
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    // Where the system takes the rights of the file from here, there is no moment in which others could open it.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    socket.bind(path)?;
    socket.listen(QUEUE)
}

/// Removes a socket that nobody listens at.
async fn replace_stale(path: &Path) -> Result<(), Wrong> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        return Err(Wrong::Taken("something else lies there"));
    }
    match timeout(KNOCK, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(Wrong::Taken("the socket there belongs to somebody else"));
        }
        Ok(Ok(_) | Err(_)) | Err(_) => return Err(Wrong::Live),
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Makes a folder that nobody else may enter, or takes the rights of others away from ours.
fn make_ours(folder: &Path) -> Result<(), Wrong> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let found = fs::symlink_metadata(folder)?;
    let is_ours = found.uid() == rustix::process::geteuid().as_raw();
    if !found.is_dir() || !is_ours {
        return Err(Wrong::Taken("its folder belongs to somebody else"));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    Ok(())
}
