//! Folders of sockets: each socket that ends in `.sock` and speaks process-compose is a stack.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use globset::GlobBuilder;
use tokio::time::Instant;

use crate::observation::source::{ObservedSource, SourceId};
use crate::process_compose::discovery::own_entries;
use crate::process_compose::settings::Endpoint;

use super::stacks::{LEFT_ALONE, Member, Nameless, Stack, Usual, name_of};

/// So long a stack stays at least in the set after its socket is gone.
const FAREWELL: Duration = Duration::from_secs(15);
/// So many sockets are looked at; nobody runs more stacks on one machine.
const MOST: usize = 1024;

/// A folder, and how the stacks in it are looked at.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    /// Its path; `*` stands for any part of a name.
    pub(super) path: PathBuf,
    pub(super) usual: Usual,
}

/// Which file a path is: another one after it was made again.
type Identity = (u64, u64, i64, i64);

/// What is known of a socket.
struct Socket {
    identity: Identity,
    stack: Stack,
    name: Option<SourceId>,
    /// When it is asked for its name; never again where it has said it.
    ask_at: Option<Instant>,
    /// Since when there is no such file.
    gone: Option<Instant>,
}

/// All folders, and what was found in them.
#[derive(Default)]
pub(super) struct Folders {
    given: Vec<Folder>,
    /// Those of the file of settings.
    configured: Vec<Folder>,
    sockets: BTreeMap<PathBuf, Socket>,
}

impl Folders {
    pub(super) fn new(given: Vec<Folder>) -> Self {
        Self {
            given,
            ..Self::default()
        }
    }

    /// Other folders than before come from the file of settings.
    pub(super) fn replace(&mut self, configured: Vec<Folder>) {
        self.configured = configured;
    }

    /// Looks into each folder, and asks what is new there for its name.
    pub(super) async fn look(&mut self) -> Vec<Member> {
        let now = Instant::now();
        self.find(now);
        let unnamed = self
            .sockets
            .iter()
            .filter(|(_, socket)| {
                socket.gone.is_none() && socket.ask_at.is_some_and(|at| at <= now)
            })
            .map(|(path, socket)| async { (path.clone(), name_of(&socket.stack.settings).await) });
        for (path, answer) in join_all(unnamed).await {
            let Some(socket) = self.sockets.get_mut(&path) else {
                continue;
            };
            match answer {
                Ok(name) => (socket.name, socket.ask_at) = (Some(name), None),
                Err(Nameless::Away) => {}
                Err(Nameless::Foreign) => {
                    tracing::info!(path = %path.display(), "no process-compose that lets us in");
                    (socket.name, socket.ask_at) = (None, Some(now + LEFT_ALONE));
                }
            }
        }
        let known = self.sockets.values().filter_map(|socket| {
            let name = socket.name.clone()?;
            Some(Member {
                source: ObservedSource::new(name, socket.stack.clone()),
                is_gone: socket.gone.is_some(),
            })
        });
        known.collect()
    }

    /// What is there now, and what has just gone.
    fn find(&mut self, now: Instant) {
        let mut there = BTreeMap::new();
        for folder in self.given.iter().chain(&self.configured) {
            for path in places(&folder.path) {
                for (path, identity) in sockets(&path) {
                    there.entry(path).or_insert((identity, &folder.usual));
                }
            }
        }
        for (path, (identity, usual)) in there.iter().take(MOST) {
            let stack = usual.stack(Endpoint::Unix(path.clone()), false);
            match self.sockets.get_mut(path) {
                Some(known) if known.identity == *identity => {
                    (known.stack, known.gone) = (stack, None);
                }
                _ => {
                    let socket = Socket {
                        identity: *identity,
                        stack,
                        // Whoever made it again is asked again; until then it is who it was.
                        name: self.sockets.remove(path).and_then(|former| former.name),
                        ask_at: Some(now),
                        gone: None,
                    };
                    self.sockets.insert(path.clone(), socket);
                }
            }
        }
        self.sockets.retain(|path, socket| {
            if there.contains_key(path) {
                return true;
            }
            let gone = *socket.gone.get_or_insert(now);
            socket.name.is_some() && now - gone < farewell(socket.stack.interval)
        });
    }
}

/// So long a stack stays in the set after its socket is gone: until three looks an interval apart have failed, which are
/// told as its going.
fn farewell(interval: Duration) -> Duration {
    FAREWELL.max(4 * interval + Duration::from_secs(5))
}

/// Our own sockets in a folder. One of somebody else is not for us, and would be handed our token.
fn sockets(folder: &Path) -> Vec<(PathBuf, Identity)> {
    let found = own_entries(folder).into_iter().filter_map(|path| {
        if path.extension().is_none_or(|end| end != "sock") {
            return None;
        }
        let about = std::fs::symlink_metadata(&path).ok()?;
        let identity = (about.dev(), about.ino(), about.ctime(), about.ctime_nsec());
        about.file_type().is_socket().then_some((path, identity))
    });
    found.collect()
}

/// The folders a path means, where `*` stands for any part of a name.
fn places(path: &Path) -> Vec<PathBuf> {
    let mut all = vec![PathBuf::new()];
    for part in path.components() {
        let name = part.as_os_str().to_string_lossy();
        if !matches!(part, Component::Normal(_)) || !name.contains('*') {
            for folder in &mut all {
                folder.push(part);
            }
            continue;
        }
        let Ok(glob) = GlobBuilder::new(&name).backslash_escape(true).build() else {
            return Vec::new();
        };
        let glob = glob.compile_matcher();
        let mut next = Vec::new();
        for folder in &all {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let named = entries.filter(|entry| glob.is_match(Path::new(&entry.file_name())));
            next.extend(named.map(|entry| entry.path()));
        }
        all = next;
    }
    all
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use crate::adapter::settings::Claim;
    use crate::process_compose::settings::Evidence;

    use super::*;

    #[test]
    fn a_star_stands_for_any_part_of_a_name() {
        let root = std::env::temp_dir().join(format!("observe-folders-{}", std::process::id()));
        drop(fs::remove_dir_all(&root));
        for name in ["devenv-a", "devenv-b", "other"] {
            fs::create_dir_all(root.join(name).join("run")).unwrap();
        }
        let mut found = places(&root.join("devenv-*/run"));
        found.sort_unstable();
        assert_eq!(
            found,
            [root.join("devenv-a/run"), root.join("devenv-b/run")]
        );
        assert_eq!(places(&root.join("none")), [root.join("none")]);
        fs::write(root.join("other/x.sock"), "").unwrap();
        assert!(sockets(&root.join("other")).is_empty(), "no socket");
        let path = root.join("other/y.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let first = sockets(&root.join("other"));
        assert_eq!(first.len(), 1);
        drop(listener);
        fs::remove_file(&path).unwrap();
        let _again = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_ne!(
            sockets(&root.join("other")),
            first,
            "another socket of that name"
        );
        fs::remove_dir_all(root).unwrap();
    }

    fn folder(path: &Path, interval: u64) -> Folder {
        Folder {
            path: path.to_owned(),
            usual: Usual {
                interval: Duration::from_secs(interval),
                evidence: Evidence::Auto,
                token: None,
                claims: (Claim::Given, Claim::Derived),
            },
        }
    }

    #[test]
    fn a_stack_that_is_gone_stays_until_three_of_its_looks_have_failed() {
        let root = std::env::temp_dir().join(format!("observe-farewell-{}", std::process::id()));
        drop(fs::remove_dir_all(&root));
        fs::create_dir_all(&root).unwrap();
        for (interval, wanted) in [(2, 15), (60, 245)] {
            let mut folders = Folders::new(vec![folder(&root, interval)]);
            let path = root.join("pc.sock");
            let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
            let now = Instant::now();
            folders.find(now);
            let socket = folders.sockets.get_mut(&path).unwrap();
            socket.name = Some("shop".parse().unwrap());
            drop(listener);
            fs::remove_file(&path).unwrap();
            folders.find(now);
            for (after, is_there) in [(wanted - 1, true), (wanted, false)] {
                folders.find(now + Duration::from_secs(after));
                assert_eq!(folders.sockets.len(), usize::from(is_there), "{interval}");
            }
        }
        fs::remove_dir_all(root).unwrap();
    }

    #[tokio::test]
    async fn a_stack_made_again_whose_first_answer_is_an_error_of_its_own_keeps_its_name() {
        let root = std::env::temp_dir().join(format!("observe-again-{}", std::process::id()));
        drop(fs::remove_dir_all(&root));
        fs::create_dir_all(&root).unwrap();
        let path = root.join("pc.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let _server = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
                drop(stream.read(&mut [0; 1024]).await);
                drop(stream.write_all(answer).await);
            }
        }));
        let mut folders = Folders::new(vec![folder(&root, 2)]);
        folders.find(Instant::now());
        let socket = folders.sockets.get_mut(&path).unwrap();
        socket.name = Some("shop".parse().unwrap());
        let names: Vec<_> = folders
            .look()
            .await
            .into_iter()
            .map(|it| it.source.id)
            .collect();
        assert_eq!(names, ["shop".parse().unwrap()]);
        fs::remove_dir_all(root).unwrap();
    }
}
