//! Taking a place, and giving it back.
//!
//! A socket is ours alone: nobody else may open it, and its folders, where we make them, are ours too. One that nobody
//! listens at any more is replaced; one that answers is left alone. Who starts at the same time as another cannot tell the
//! one from the other by knocking, so a lock beside the socket is held for as long as the door is open.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
    PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, fchmod};
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

/// The file of a socket, removed when it is dropped, unless another one lies there by then; after it, its lock.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
    _lock: Lock,
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

/// The right to a socket, which ends with us also where we are killed.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes the right to the socket at a path, where nobody has it.
    fn take(socket: &Path) -> Result<Self, Wrong> {
        let mut path = OsString::from(socket);
        path.push(".lock");
        let path = PathBuf::from(path);
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
                .open(&path)?;
            let held = file.metadata()?;
            if !held.is_file() || held.len() > 0 {
                return Err(Wrong::Taken("something else lies where its lock belongs"));
            }
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(Wrong::Live),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            // Whoever held it before may have removed it since it was opened here; then it locks nobody out.
            let found = fs::symlink_metadata(&path);
            if found.is_ok_and(|found| (found.dev(), found.ino()) == (held.dev(), held.ino())) {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is held: nobody else can have put another one there.
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the lock of a socket cannot be removed");
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
        let lock = Lock::take(path)?;
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
                _lock: lock,
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};
    use std::thread;

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("observe-door-{}-{name}", std::process::id()));
        let _absent = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn stale(path: &Path) {
        drop(std::os::unix::net::UnixListener::bind(path).unwrap());
    }

    /// Opens a door as a program of its own would, and keeps it until all have tried.
    fn tries(path: &Path, all: &Barrier) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        all.wait();
        let door = runtime.block_on(Door::open(&Place::Unix(path.to_owned())));
        all.wait();
        let is_found = std::os::unix::net::UnixStream::connect(path).is_ok();
        all.wait();
        is_found && door.is_ok()
    }

    #[test]
    fn of_those_who_start_at_once_one_has_the_socket_and_is_found_there() {
        let folder = scratch("race");
        for round in 0..60 {
            let path = folder.join(format!("{round}.sock"));
            stale(&path);
            let all = Arc::new(Barrier::new(4));
            let racers = (0..4).map(|_| {
                let (path, all) = (path.clone(), Arc::clone(&all));
                thread::spawn(move || tries(&path, &all))
            });
            let racers: Vec<_> = racers.collect();
            let found = racers.into_iter().map(|racer| racer.join().unwrap());
            assert_eq!(found.filter(|found| *found).count(), 1, "round {round}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn one_who_has_bound_and_does_not_listen_yet_keeps_the_socket() {
        let folder = scratch("silent");
        let path = folder.join("x.sock");
        let first = folder.join("x.sock.lock");
        stale(&path);
        let before = fs::symlink_metadata(&path).unwrap().ino();
        let held = fs::File::create(&first).unwrap();
        held.lock().unwrap();
        let error = Door::open(&Place::Unix(path.clone())).await.unwrap_err();
        assert!(matches!(error, ListenError::Live(_)), "{error:?}");
        assert_eq!(fs::symlink_metadata(&path).unwrap().ino(), before);
        drop(held);
        let door = Door::open(&Place::Unix(path.clone())).await.unwrap();
        assert!(path.exists() && first.exists());
        drop(door);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing is left");
        fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn what_lies_where_the_lock_belongs_and_is_none_is_left_alone() {
        let folder = scratch("precious");
        let (path, lock) = (folder.join("x.sock"), folder.join("x.sock.lock"));
        fs::write(&lock, "mine").unwrap();
        let error = Door::open(&Place::Unix(path.clone())).await.unwrap_err();
        assert!(matches!(error, ListenError::Taken { .. }), "{error:?}");
        assert_eq!(fs::read(&lock).unwrap(), b"mine");
        fs::remove_dir_all(folder).unwrap();
    }
}
