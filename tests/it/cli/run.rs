//! A run of the program, and what it said so far.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::house::send;
use crate::support::scratch::Scratch;
use crate::support::wait::until;

/// The most that any wait may take.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// The program under test.
pub(super) const OBSERVE: &str = env!("CARGO_BIN_EXE_observe");

/// A home folder of this test's own; everything the program keeps lies in it.
pub(super) struct Home(Scratch);

impl Home {
    pub(super) fn new() -> Self {
        Self(Scratch::new("cli"))
    }

    pub(super) fn path(&self) -> &std::path::Path {
        self.0.path()
    }

    /// The environment of every run: nothing of ours but a path, a home and a charset.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let home = self.path().display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        [
            ("PATH", path.as_str()),
            ("HOME", &home),
            ("XDG_STATE_HOME", &home),
            ("TMPDIR", &home),
            ("LANG", "C.UTF-8"),
            ("TERM", "xterm-256color"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    pub(super) fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(OBSERVE);
        command
            .args(args)
            .env_clear()
            .envs(self.environment())
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(super) fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Run {
        Run::of(&mut self.command(args))
    }
}

/// Lines that came out of one end of a run.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn read(from: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let into = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n') {
                let Ok(line) = line else { return };
                let line = String::from_utf8_lossy(&line).into_owned();
                into.0.lock().unwrap().push(line);
            }
        });
        lines
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn count(&self, needle: &str) -> usize {
        self.all()
            .iter()
            .filter(|line| line.contains(needle))
            .count()
    }
}

/// A run of the program; killed when dropped.
pub(super) struct Run {
    child: Child,
    pub(super) out: Lines,
    pub(super) err: Lines,
    readers: Option<ChildStdout>,
}

impl Run {
    pub(super) fn of(command: &mut Command) -> Self {
        let mut run = Self::unread(command);
        if let Some(out) = run.readers.take() {
            run.out = Lines::read(out);
        }
        run
    }

    /// A run whose stdout nobody reads yet.
    pub(super) fn unread(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let err = Lines::read(child.stderr.take().unwrap());
        Self {
            readers: child.stdout.take(),
            child,
            out: Lines::default(),
            err,
        }
    }

    /// Its stdout, to read or to close.
    pub(super) fn stdout(&mut self) -> ChildStdout {
        self.readers.take().unwrap()
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn send(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Waits for a line on stdout that holds this.
    pub(super) async fn tells(&self, needle: &str) -> String {
        self.line(&self.out, needle).await
    }

    /// Waits for a line on stderr that holds this.
    pub(super) async fn says(&self, needle: &str) -> String {
        self.line(&self.err, needle).await
    }

    async fn line(&self, lines: &Lines, needle: &str) -> String {
        let found = || lines.all().into_iter().find(|line| line.contains(needle));
        let end = tokio::time::Instant::now() + LIMIT;
        loop {
            if let Some(line) = found() {
                return line;
            }
            assert!(
                tokio::time::Instant::now() < end,
                "no line with {needle:?} within {LIMIT:?}\nstdout: {:#?}\nstderr: {:#?}",
                self.out.all(),
                self.err.all()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn poll(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.poll().is_none()
    }

    /// Waits for its end; the exit code, or 1000 and the signal that killed it.
    pub(super) async fn ends(&mut self) -> i32 {
        self.ends_within(LIMIT).await
    }

    pub(super) async fn ends_within(&mut self, limit: Duration) -> i32 {
        let end = tokio::time::Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.poll() {
                break status;
            }
            assert!(
                tokio::time::Instant::now() < end,
                "it does not end\nstdout: {:#?}\nstderr: {:#?}",
                self.out.all(),
                self.err.all()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        // What it wrote last may still be on its way through the readers.
        let (out, err) = (self.out.clone(), self.err.clone());
        let all_read = || Arc::strong_count(&out.0) == 2 && Arc::strong_count(&err.0) == 2;
        until(LIMIT, "the end of what it wrote", async || {
            all_read() || self.readers.is_some()
        })
        .await;
        status
            .code()
            .unwrap_or_else(|| 1000 + status.signal().unwrap_or_default())
    }

    /// Ends it by a signal and waits for that.
    pub(super) async fn end_by(&mut self, signal: Signal) -> i32 {
        self.send(signal);
        self.ends().await
    }

    /// Waits for its end and gives the only line on stderr, with the exit code.
    pub(super) async fn refused(&mut self) -> (i32, String) {
        let code = self.ends().await;
        let said = self.err.all();
        assert_eq!(said.len(), 1, "one line, but {said:#?}");
        assert!(said[0].starts_with("observe: "), "{said:?}");
        assert!(said[0].len() < 500, "short enough to be read: {said:?}");
        assert!(!said[0].chars().any(char::is_control), "{said:?}");
        assert_eq!(self.out.all(), Vec::<String>::new(), "nothing is told");
        (code, said[0].clone())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // One that ended already cannot be killed, and that is as good.
        self.child.kill().unwrap_or_default();
        self.child.wait().unwrap();
    }
}
