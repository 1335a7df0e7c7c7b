//! The state folder: what adapters of this machine remember there, what waits for a broker, and whether there is room.
//!
//! Files are looked at, never written or locked: a lock of ours, however short, could send an adapter that is just being
//! started to another slot. Which slots are taken is read from the kernel's list of locks, where there is one.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access, statvfs};
use tokio::time::timeout;

use super::finding::Finding;
use super::source::shown;
use crate::adapter::settings::Acknowledged;
use crate::process_compose::error::clean;
use crate::render::words::{bytes, count};

/// How long the file system may take.
const ANSWER: Duration = Duration::from_secs(2);
/// Sources that are looked at.
const SOURCES: usize = 256;
/// Less free space than this, in bytes, is worth a word: what an adapter may need while its broker is away, 64 MiB.
const LEAST_SPACE: u64 = 64 << 20;

/// What a folder is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Everything an adapter remembers.
    Memory,
    /// Only what waits for the broker.
    Spool,
}

/// Looks at the folder in which each source has one of its own, and at another one for what waits, if one was named.
pub(super) async fn look(folder: Option<PathBuf>, spool: Option<PathBuf>) -> Vec<Finding> {
    let mut findings = look_at(folder, Use::Memory).await;
    if spool.is_some() {
        findings.extend(look_at(spool, Use::Spool).await);
    }
    findings
}

async fn look_at(folder: Option<PathBuf>, purpose: Use) -> Vec<Finding> {
    let Some(folder) = folder else {
        return vec![Finding::error(
            "memory.folder",
            "there is no state folder",
            "set XDG_STATE_HOME or HOME",
        )];
    };
    let name = shown(&folder);
    let looking = tokio::task::spawn_blocking(move || judge(&folder, purpose));
    match timeout(ANSWER, looking).await {
        Ok(Ok(findings)) => findings,
        Ok(Err(error)) => vec![Finding::error(
            "memory.folder",
            format!("the look at {name} broke off: {error}"),
            "this is a bug of observe; please report it",
        )],
        Err(_) => vec![Finding::warning(
            "memory.folder",
            format!("{name} does not answer; is it on a network that is away?"),
            "put the state folder on a local disk by XDG_STATE_HOME",
        )],
    }
}

fn judge(folder: &Path, purpose: Use) -> Vec<Finding> {
    let name = shown(folder);
    let (kept, none) = match purpose {
        Use::Memory => (
            "adapters remember",
            "no adapter has remembered anything yet; the first one makes",
        ),
        Use::Spool => (
            "what waits for the broker is kept",
            "nothing has waited for the broker yet; what does first makes",
        ),
    };
    let Some(there) = folder.ancestors().find(|path| path.exists()) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    if access(there, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        findings.push(Finding::error(
            "memory.folder",
            format!("{} cannot be written to by us", shown(there)),
            "correct its rights, or set XDG_STATE_HOME to another folder",
        ));
    } else if there == folder {
        findings.push(Finding::ok("memory.folder", format!("{kept} in {name}")));
    } else {
        findings.push(Finding::ok("memory.folder", format!("{none} {name}")));
    }
    findings.extend(space(there));
    let taken = taken();
    for source in subfolders(folder).into_iter().take(SOURCES) {
        findings.extend(remembered(&source, taken.as_ref(), purpose));
    }
    findings
}

fn space(there: &Path) -> Option<Finding> {
    let about = statvfs(there).ok()?;
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let what = format!("{} are free on its disk", bytes(free));
    Some(if free < LEAST_SPACE {
        Finding::warning(
            "memory.space",
            what,
            "make room: what happens while the broker is away is kept there",
        )
    } else {
        Finding::ok("memory.space", what)
    })
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort_unstable();
    folders
}

/// What lies in the folder of one source.
fn remembered(folder: &Path, taken: Option<&BTreeSet<u64>>, purpose: Use) -> Vec<Finding> {
    let source = source_of(folder);
    let mut findings = Vec::new();
    let (mut alive, mut idle_bytes, mut kept_bytes) = (0, 0, 0);
    for slot in subfolders(folder) {
        let locked = match purpose {
            Use::Memory => "name",
            Use::Spool => "lock",
        };
        let inode = fs::metadata(slot.join(locked))
            .map(|about| about.ino())
            .ok();
        let lives = inode.is_some_and(|inode| taken.is_some_and(|taken| taken.contains(&inode)));
        let waiting = waiting(&slot);
        if lives {
            alive += 1;
            kept_bytes += waiting;
        } else {
            idle_bytes += waiting;
        }
        findings.extend(broken(&slot, &source));
    }
    let at_work = match (taken, alive) {
        (None, _) => "whether an adapter is at work cannot be told on this system".to_owned(),
        (Some(_), 0) => "no adapter is at work on this machine".to_owned(),
        (Some(_), alive) => format!(
            "{} at work on this machine",
            count(alive, "adapter", "adapters")
        ),
    };
    if purpose == Use::Memory {
        findings.push(Finding::info(
            "memory.source",
            format!("{source}: {at_work}"),
        ));
    }
    if kept_bytes > 0 {
        findings.push(Finding::info(
            "memory.spool",
            format!(
                "{source}: {} wait for the broker in the spool",
                bytes(kept_bytes)
            ),
        ));
    }
    if idle_bytes > 0 {
        let what = format!(
            "{source}: {} wait for the broker in the spool",
            bytes(idle_bytes)
        );
        findings.push(if taken.is_some() {
            Finding::warning(
                "memory.spool",
                format!("{what}, and no adapter runs that would tell what is in it"),
                format!("start observe adapter for {source} again"),
            )
        } else {
            Finding::info("memory.spool", what)
        });
    }
    findings
}

/// The source a folder belongs to: its name without the hash behind it.
fn source_of(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let source = name.rsplit_once('-').map_or(&*name, |(source, _)| source);
    clean(source, 100)
}

fn waiting(slot: &Path) -> u64 {
    let entries = fs::read_dir(slot).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("spool"))
        .filter_map(|entry| entry.metadata().ok())
        .filter(fs::Metadata::is_file)
        .map(|about| about.len())
        .sum()
}

fn broken(slot: &Path, source: &str) -> Option<Finding> {
    let text = fs::read(slot.join("acknowledged.json")).ok()?;
    let error = serde_json::from_slice::<Acknowledged>(&text).err()?;
    Some(Finding::warning(
        "memory.acknowledged",
        format!("{source}: the last acknowledged event cannot be read ({error})"),
        "nothing needs to be done unless a backup of the broker was just restored; the next event writes it anew",
    ))
}

/// The inodes of files that somebody holds locked; `None` where the system does not tell.
fn taken() -> Option<BTreeSet<u64>> {
    fs::read_to_string("/proc/locks")
        .ok()
        .map(|text| inodes(&text))
}

fn inodes(locks: &str) -> BTreeSet<u64> {
    let inode = |line: &str| {
        let mut words = line.split_whitespace();
        if words.clone().any(|word| word == "->") || !words.any(|word| word == "FLOCK") {
            return None;
        }
        let place = words.find(|word| word.matches(':').count() == 2)?;
        place.rsplit(':').next()?.parse().ok()
    };
    locks.lines().filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("observe-doctor-{}-{name}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        path
    }

    #[test]
    fn locks_are_read_from_the_kernels_list() {
        let text = "1: FLOCK  ADVISORY  WRITE 77 08:01:123 0 EOF\n2: POSIX  ADVISORY  WRITE 78 08:01:124 0 EOF\n\
                    3: -> FLOCK  ADVISORY  WRITE 79 08:01:125 0 EOF\n";
        assert_eq!(inodes(text), BTreeSet::from([123]));
    }

    #[tokio::test]
    async fn a_missing_folder_is_fine_and_is_not_made() {
        let folder = scratch("missing").join("deep/er");
        let findings = look(Some(folder.clone()), Some(folder.clone())).await;
        assert!(
            findings
                .iter()
                .all(|finding| finding.severity == Severity::Ok),
            "{findings:?}"
        );
        assert!(!folder.exists());
        assert_eq!(look(None, None).await[0].severity, Severity::Error);
    }

    #[test]
    fn what_waits_without_an_adapter_is_a_warning_and_with_one_it_is_not() {
        let folder = scratch("spools").join("shop-0123456789abcdef");
        let slot = folder.join("0");
        fs::create_dir_all(&slot).unwrap();
        fs::write(slot.join("spool.1"), [0; 2000]).unwrap();
        fs::write(slot.join("name"), "web1-3f9a1c22").unwrap();
        let file = fs::File::open(slot.join("name")).unwrap();
        let idle = remembered(&folder, Some(&BTreeSet::new()), Use::Memory);
        let spool = idle.iter().find(|f| f.check == "memory.spool").unwrap();
        assert_eq!(spool.severity, Severity::Warning);
        assert!(spool.what.contains("shop: 2.0 kB wait"), "{spool:?}");

        file.lock().unwrap();
        let taken = taken();
        if taken.is_some() {
            let busy = remembered(&folder, taken.as_ref(), Use::Memory);
            assert!(
                busy.iter().all(|f| f.severity == Severity::Info),
                "{busy:?}"
            );
            assert!(
                busy.iter().any(|f| f.what.contains("1 adapter at work")),
                "{busy:?}"
            );
        }

        // A folder for what waits alone has no names, and a lock of its own.
        let lock = fs::File::create(slot.join("lock")).unwrap();
        lock.lock().unwrap();
        for (taken, severity) in [
            (Some(BTreeSet::new()), Severity::Warning),
            (self::taken(), Severity::Info),
        ] {
            let found = remembered(&folder, taken.as_ref(), Use::Spool);
            let [only] = &found[..] else {
                panic!("{found:?}")
            };
            assert_eq!((only.check, only.severity), ("memory.spool", severity));
        }

        fs::write(slot.join("acknowledged.json"), "{torn").unwrap();
        let torn = remembered(&folder, None, Use::Memory);
        assert!(
            torn.iter().any(|f| f.check == "memory.acknowledged"),
            "{torn:?}"
        );
        fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    }
}
