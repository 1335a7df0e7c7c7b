//! Programs that are measured whole: observe itself, and the bare ones that this program plays when it is run again.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The program that is measured.
const OBSERVE: &str = env!("CARGO_BIN_EXE_observe");

/// How long anything may take that happens at once on a healthy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A command of observe that sees nothing of this machine but what it is told, and leaves nothing outside `folder`.
pub fn observe(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(OBSERVE);
    command.args(args);
    for name in [
        "XDG_STATE_HOME",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "HOME",
    ] {
        command.env(name, folder);
    }
    for name in [
        "PC_PORT_NUM",
        "PC_ADDRESS",
        "PC_SOCKET_PATH",
        "NATS_URL",
        "NATS_CREDS",
        "RUST_LOG",
    ] {
        command.env_remove(name);
    }
    command
}

/// This program, run again as a bare reference (see `bare.rs`).
pub fn bare(args: &[&str]) -> Command {
    let program = std::env::current_exe().expect("a program that knows where it is");
    let mut command = Command::new(program);
    command.arg(super::bare::MARK).args(args);
    command
}

/// The first line a program writes before it ends.
pub fn first_line(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map(str::to_owned)
}

/// The size of the program that is measured, in bytes.
pub fn observe_size() -> u64 {
    std::fs::metadata(OBSERVE).map_or(0, |file| file.len())
}

/// A program that runs; it is killed when this is dropped.
pub struct Program {
    child: Child,
    /// Just before it was started.
    pub began: Instant,
}

impl Program {
    /// Starts it, with its output in a pipe.
    pub fn start(command: &mut Command) -> Self {
        let began = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a program that can be started");
        Self { child, began }
    }

    /// The lines it writes; only once.
    pub fn lines(&mut self) -> BufReader<ChildStdout> {
        let out = self
            .child
            .stdout
            .take()
            .expect("a pipe that nobody has yet");
        BufReader::with_capacity(64 * 1024, out)
    }

    /// The first line it writes.
    pub fn first_line(&mut self) -> String {
        let mut line = String::new();
        let read = self.lines().read_line(&mut line);
        assert!(read.is_ok_and(|read| read > 0), "it ended without a line");
        line.trim_end().to_owned()
    }

    /// Reads its lines until it ends: how many there were, when it was done, and the most memory it had, in bytes.
    pub fn drain(mut self) -> (u64, Duration, u64) {
        let mut out = self.lines().into_inner();
        let (mut piece, mut lines, mut most, mut since) =
            (vec![0; 64 * 1024], 0, 0, usize::MAX / 2);
        loop {
            let read = out.read(&mut piece).expect("a pipe that can be read");
            if read == 0 {
                break;
            }
            lines += piece[..read]
                .iter()
                .map(|&byte| u64::from(byte == b'\n'))
                .sum::<u64>();
            since += read;
            if since > 2 << 20 {
                since = 0;
                most = self.peak().max(most);
            }
        }
        (lines, self.began.elapsed(), most)
    }

    /// Resident bytes now.
    pub fn resident(&self) -> u64 {
        memory(self.child.id(), "VmRSS:")
    }

    /// The most resident bytes it ever had.
    pub fn peak(&self) -> u64 {
        memory(self.child.id(), "VmHWM:")
    }

    /// The CPU time of all its threads.
    pub fn cpu(&self) -> Duration {
        let folder = format!("/proc/{}/task", self.child.id());
        let threads = std::fs::read_dir(folder).into_iter().flatten().flatten();
        threads
            .filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok())
            .filter_map(|text| text.split(' ').next()?.parse().ok())
            .map(Duration::from_nanos)
            .sum()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A number of `/proc/<pid>/status`, in bytes.
pub fn memory(pid: u32, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kilobytes = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// The wall clock in seconds.
pub fn wall() -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}
