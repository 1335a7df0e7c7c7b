//! Whether a process is one of ours, and how to end it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// How often a process that was told to end is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Whether `pid` runs with `mark` among its arguments. A number alone proves nothing: it is given again.
pub(crate) async fn is_ours(pid: u32, mark: &Path) -> bool {
    let mark = mark.as_os_str().as_encoded_bytes();
    if Path::new("/proc/self/cmdline").exists() {
        return std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.split(|byte| *byte == 0).any(|word| word == mark));
    }
    listed(pid).await.is_some_and(|line| contains(&line, mark))
}

/// The command line as `ps` tells it, where there is no `/proc`.
async fn listed(pid: u32) -> Option<Vec<u8>> {
    let ps = Command::new("ps")
        .args(["-ww", "-o", "command=", "-p"])
        .arg(pid.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let told = tokio::time::timeout(Duration::from_secs(2), ps)
        .await
        .ok()?
        .ok()?;
    told.status.success().then_some(told.stdout)
}

fn contains(line: &[u8], mark: &[u8]) -> bool {
    !mark.is_empty() && line.windows(mark.len()).any(|part| part == mark)
}

/// Sends a signal; a process that is gone is no fault, since that is what the signals here are for.
pub(super) fn tell(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(Err(error)) = pid.map(|pid| kill_process(pid, signal)) {
        tracing::debug!(%error, ?signal, "signal was not delivered");
    }
}

/// Ends a process that is not our child: asks, and after `grace` insists. True when it is gone.
pub(super) async fn end(pid: u32, mark: &Path, grace: Duration) -> bool {
    for (signal, patience) in [
        (Signal::TERM, grace),
        (Signal::KILL, Duration::from_secs(2)),
    ] {
        if !is_ours(pid, mark).await {
            return true;
        }
        tell(pid, signal);
        let end = Instant::now() + patience;
        while Instant::now() < end {
            if !is_ours(pid, mark).await {
                return true;
            }
            sleep(LOOK).await;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_pid_is_ours_only_with_the_mark_among_its_arguments() {
        let mut child = Command::new("sh")
            .args(["-c", "echo; read line", "/a/mark"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let pid = child.id().unwrap();
        // Only its own word shows that it has begun: right after the spawn its arguments may not stand there yet.
        child.stdout.as_mut().unwrap().read_u8().await.unwrap();
        assert!(is_ours(pid, Path::new("/a/mark")).await);
        assert!(!is_ours(pid, Path::new("/a/mar")).await);
        assert!(!is_ours(std::process::id(), Path::new("/a/mark")).await);
        child.kill().await.unwrap();
        assert!(!is_ours(pid, Path::new("/a/mark")).await);
    }

    #[test]
    fn a_listing_is_searched_for_the_mark() {
        assert!(contains(
            b"nats-server -c /a b/server.conf\n",
            b"/a b/server.conf"
        ));
        assert!(!contains(b"vi server.conf\n", b"/a b/server.conf"));
        assert!(!contains(b"", b"/x"));
        assert!(!contains(b"anything", b""));
    }
}
