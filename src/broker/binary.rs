//! Finding a nats-server that is new enough.

use std::fmt;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::error::BrokerError;
use super::places::Places;

/// What atomic batches need.
const NEEDED: Version = Version(2, 12, 0);
/// How long `--version` may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32, u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The named server, or the first one new enough on `PATH` or in `.tools` here or above.
pub(super) async fn locate(places: &Places, named: Option<&Path>) -> Result<PathBuf, BrokerError> {
    if let Some(named) = named {
        let named = places.cwd.join(named);
        if !runnable(&named) {
            return Err(BrokerError::Missing {
                looked: named.display().to_string(),
            });
        }
        return fitting(named).await;
    }
    let mut first_fault = None;
    for candidate in candidates(places) {
        match fitting(candidate).await {
            Ok(path) => return Ok(path),
            Err(error) => first_fault = first_fault.or(Some(error)),
        }
    }
    Err(first_fault.unwrap_or_else(|| BrokerError::Missing {
        looked: "PATH and .tools/ from here upwards".to_owned(),
    }))
}

fn candidates(places: &Places) -> Vec<PathBuf> {
    let on_path = places.path.iter().flat_map(std::env::split_paths);
    // An empty entry means the working directory to a shell; to us it is a mistake.
    let on_path = on_path
        .filter(|folder| !folder.as_os_str().is_empty())
        .map(|folder| places.cwd.join(folder).join("nats-server"))
        .filter(|path| runnable(path));
    let above = places
        .cwd
        .ancestors()
        .map(|folder| folder.join(".tools/nats-server"))
        .filter(|path| runnable(path) && trusted(path));
    on_path.chain(above).collect()
}

fn runnable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Nobody chose what lies above the working directory, so it must at least be from us or from root.
fn trusted(path: &Path) -> bool {
    let us = rustix::process::geteuid().as_raw();
    fs::metadata(path).is_ok_and(|meta| meta.uid() == us || meta.uid() == 0)
}

async fn fitting(path: PathBuf) -> Result<PathBuf, BrokerError> {
    let asked = Command::new(&path)
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let told = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(told)) => told.stdout,
        Ok(Err(source)) => {
            return Err(BrokerError::NoServer {
                path,
                source: Some(source),
            });
        }
        Err(_late) => return Err(BrokerError::NoServer { path, source: None }),
    };
    match version(&String::from_utf8_lossy(&told)) {
        Some(found) if found >= NEEDED => Ok(path),
        Some(found) => Err(BrokerError::TooOld {
            path,
            found: found.to_string(),
        }),
        None => Err(BrokerError::NoServer { path, source: None }),
    }
}

/// Reads `nats-server: v2.15.1`, with or without something behind the numbers.
fn version(told: &str) -> Option<Version> {
    let numbers = told.trim().strip_prefix("nats-server: v")?;
    let mut parts = numbers.splitn(3, '.').map(|part| {
        let end = part
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(part.len());
        part[..end].parse().ok()
    });
    Some(Version(parts.next()??, parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::scratch::Scratch;

    #[test]
    fn versions_are_read_and_compared_as_numbers() {
        let cases = [
            ("nats-server: v2.15.1\n", Some((Version(2, 15, 1), true))),
            ("nats-server: v2.12.0", Some((Version(2, 12, 0), true))),
            ("nats-server: v2.12.0-RC.2", Some((Version(2, 12, 0), true))),
            ("nats-server: v2.11.99", Some((Version(2, 11, 99), false))),
            ("nats-server: v2.9.10", Some((Version(2, 9, 10), false))),
            ("nats-server: v3.0.0", Some((Version(3, 0, 0), true))),
            ("nats-server: v2.15", None),
            ("nats-server: vx.y.z", None),
            ("GNU bash, version 5.2.15", None),
            ("", None),
        ];
        for (told, wanted) in cases {
            let read = version(told).map(|version| (version, version >= NEEDED));
            assert_eq!(read, wanted, "{told:?}");
        }
    }

    struct Tree(Scratch);
    impl Tree {
        fn new() -> Self {
            Self(Scratch::new())
        }
        fn server(&self, place: &str, says: &str) -> PathBuf {
            let path = self.0.path().join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            // Written by another process: a file this one still writes to, in a child that another
            // test just forked, cannot be run.
            let written = std::process::Command::new("sh")
                .args([
                    "-c",
                    r#"printf '#!/bin/sh\necho "%s"\n' "$2" >"$1" && chmod 755 "$1""#,
                ])
                .arg("sh")
                .args([path.as_os_str(), says.as_ref()])
                .status()
                .unwrap();
            assert!(written.success());
            path
        }
        fn places(&self) -> Places {
            fs::create_dir_all(self.0.path().join("work/deep")).unwrap();
            Places {
                path: Some(
                    std::env::join_paths([
                        self.0.path().join("nowhere"),
                        self.0.path().join("bin"),
                    ])
                    .unwrap(),
                ),
                cwd: self.0.path().join("work/deep"),
                ..Places::default()
            }
        }
    }
    #[tokio::test]
    async fn path_comes_before_tools_and_tools_are_found_upwards() {
        let tree = Tree::new();
        let above = tree.server("work/.tools/nats-server", "nats-server: v2.15.1");
        assert_eq!(locate(&tree.places(), None).await.unwrap(), above);
        let on_path = tree.server("bin/nats-server", "nats-server: v2.12.0");
        assert_eq!(locate(&tree.places(), None).await.unwrap(), on_path);
    }

    #[tokio::test]
    async fn an_old_server_on_path_gives_way_to_a_new_one_in_tools() {
        let tree = Tree::new();
        tree.server("bin/nats-server", "nats-server: v2.9.10");
        let error = locate(&tree.places(), None).await.unwrap_err();
        assert!(
            matches!(&error, BrokerError::TooOld { found, .. } if found == "2.9.10"),
            "{error}"
        );
        let above = tree.server(".tools/nats-server", "nats-server: v2.15.1");
        assert_eq!(locate(&tree.places(), None).await.unwrap(), above);
    }

    #[tokio::test]
    async fn a_named_server_is_the_only_one_that_counts() {
        let tree = Tree::new();
        tree.server("bin/nats-server", "nats-server: v2.15.1");
        let mine = tree.server("work/deep/mine", "nats-server: v2.14.0");
        let named = locate(&tree.places(), Some(Path::new("mine")))
            .await
            .unwrap();
        assert_eq!(named, mine);
        let error = locate(&tree.places(), Some(Path::new("other")))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("work/deep/other"), "{error}");
        let fake = tree.server("fake", "something else");
        let error = locate(&tree.places(), Some(&fake)).await.unwrap_err();
        assert!(matches!(error, BrokerError::NoServer { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_missing_server_is_one_line_with_the_command_for_each_packager() {
        let tree = Tree::new();
        let said = locate(&tree.places(), None).await.unwrap_err().to_string();
        for word in [
            "brew install",
            "apt install",
            "nix profile install",
            "pip install",
            "--nats-server",
        ] {
            assert!(said.contains(word), "{word} is not in {said}");
        }
        assert_eq!(said.lines().count(), 1);
    }
}
