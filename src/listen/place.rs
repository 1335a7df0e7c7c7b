//! Where one listens: an address or a socket. Pure.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::observation::source::SourceId;

use super::error::ListenError;

/// Where one listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An address and a port; port 0 is any free one.
    Tcp(SocketAddr),
    /// A unix socket at this path.
    Unix(PathBuf),
    /// A unix socket of ours, in folders of ours.
    Own(OwnSocket),
}

/// The socket of a source: `<root>/<source>/sockets/api.sock`. Everything from `root` on is ours alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnSocket {
    /// `observe` in the folder for sockets of this user, or a folder of ours among temporary ones.
    pub root: PathBuf,
    /// What is watched.
    pub source: SourceId,
}

impl OwnSocket {
    /// The folders that have to be ours, the outer ones first.
    pub(super) fn folders(&self) -> [PathBuf; 3] {
        let source = self.root.join(self.source.as_str());
        [self.root.clone(), source.clone(), source.join("sockets")]
    }

    /// The socket.
    pub fn path(&self) -> PathBuf {
        let [_, _, folder] = self.folders();
        folder.join("api.sock")
    }
}

/// Where the sockets of sources lie: `observe` in `XDG_RUNTIME_DIR`; where that is not set or not absolute,
/// `observe-<uid>` in the folder for temporary files.
pub fn root(runtime: Option<&Path>, temporary: &Path, uid: u32) -> PathBuf {
    match runtime.filter(|folder| folder.is_absolute()) {
        Some(folder) => folder.join("observe"),
        None => temporary.join(format!("observe-{uid}")),
    }
}

impl Place {
    /// Whether others than the programs of this machine can reach it.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Tcp(address) if !address.ip().is_loopback())
    }

    /// The path of a socket.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(path) => Some(path.clone()),
            Self::Own(own) => Some(own.path()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.path()) {
            (Self::Tcp(address), _) => write!(f, "http://{address}"),
            (_, path) => write!(f, "unix:{}", path.unwrap_or_default().display()),
        }
    }
}

impl FromStr for Place {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err(ListenError::Place("unix: wants a path behind it".into())),
                path => Ok(Self::Unix(path.into())),
            };
        }
        let local = text
            .strip_prefix("localhost:")
            .and_then(|port| port.parse().ok());
        if let Some(port) = local {
            return Ok(Self::Tcp((Ipv4Addr::LOCALHOST, port).into()));
        }
        text.parse()
            .map(Self::Tcp)
            .map_err(|_| ListenError::Place("write 127.0.0.1:PORT, [::1]:PORT or unix:PATH".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_address_with_a_port_or_a_socket() {
        for (text, shown, open) in [
            ("127.0.0.1:9100", "http://127.0.0.1:9100", false),
            ("localhost:0", "http://127.0.0.1:0", false),
            ("[::1]:9100", "http://[::1]:9100", false),
            ("0.0.0.0:9100", "http://0.0.0.0:9100", true),
            ("unix:/run/x.sock", "unix:/run/x.sock", false),
        ] {
            let place: Place = text.parse().unwrap();
            assert_eq!((place.to_string().as_str(), place.is_open()), (shown, open));
        }
        for text in [
            "",
            "9100",
            ":9100",
            "example.org:80",
            "127.0.0.1",
            "unix:",
            "/run/x",
        ] {
            let error = text.parse::<Place>().unwrap_err();
            assert_eq!(
                error.kind(),
                super::super::error::ListenErrorKind::Usage,
                "{text}"
            );
        }
    }

    #[test]
    fn the_socket_of_a_source_has_its_place() {
        let at = |runtime: Option<&str>| root(runtime.map(Path::new), Path::new("/tmp"), 1000);
        assert_eq!(
            at(Some("/run/user/1000")),
            Path::new("/run/user/1000/observe")
        );
        for nowhere in [None, Some(""), Some("run")] {
            assert_eq!(at(nowhere), Path::new("/tmp/observe-1000"));
        }
        let own = OwnSocket {
            root: at(None),
            source: "shop".parse().unwrap(),
        };
        assert_eq!(
            own.path(),
            Path::new("/tmp/observe-1000/shop/sockets/api.sock")
        );
    }
}
