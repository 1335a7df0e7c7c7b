//! What is said: lines for people on stderr, data on stdout through a writer of its own.
//!
//! A pipe whose reader is slow blocks, and a connection to a broker must not wait for somebody's pager. So a line is written
//! at once where the pipe takes it without waiting, and else goes to a thread that waits. Between the two stands a bounded
//! channel: a slow reader slows the reading, nothing is dropped, and no line overtakes another.
//!
//! A line goes out by a write of its own. Where many stand ready at once, as those of the past do, some may go together:
//! whole ones, and no more than a pipe takes as a whole, so that the lines of several writers into one pipe stay whole.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::render::door::Charset;
use crate::render::style::{ColorChoice, Style, Surroundings};

use super::exit::{Exit, Failure};

/// How many lines may wait for a slow reader.
const WAITING: usize = 256;
/// How often a quiet program looks whether its reader is still there.
const READER_CHECK: Duration = Duration::from_millis(500);

/// The variables that decide how a line looks.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The style for a stream.
pub(super) fn style(choice: ColorChoice, is_terminal: bool) -> Style {
    let [no_color, clicolor, clicolor_force, term] =
        ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM"].map(variable);
    let [lc_all, lc_ctype, lang] = ["LC_ALL", "LC_CTYPE", "LANG"].map(variable);
    let colored = choice.decide(&Surroundings {
        no_color: no_color.as_deref(),
        clicolor: clicolor.as_deref(),
        clicolor_force: clicolor_force.as_deref(),
        term: term.as_deref(),
        is_terminal,
    });
    Style {
        colored,
        charset: Charset::decide(lc_all.as_deref(), lc_ctype.as_deref(), lang.as_deref()),
    }
}

/// The style for words on stderr.
pub(super) fn words() -> Style {
    style(ColorChoice::Auto, io::stderr().is_terminal())
}

/// Says one line, with or without its line break, to a person. Where nobody can be told, there is nobody to tell.
pub(super) fn say(line: &str) {
    let mut text = line.trim_end_matches('\n').to_owned();
    text.push('\n');
    drop(io::stderr().write_all(text.as_bytes()));
}

/// The width of the terminal on stdout, in columns; `None` where it is none.
pub(super) fn width() -> Option<usize> {
    let out = io::stdout();
    let size = out
        .is_terminal()
        .then(|| rustix::termios::tcgetwinsize(&out).ok())
        .flatten()?;
    Some(match size.ws_col {
        0 => 80,
        columns => usize::from(columns),
    })
}

/// How many lines the terminal on stdout has.
pub(super) fn height() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout());
    size.map_or(24, |size| match size.ws_row {
        0 => 24,
        rows => usize::from(rows),
    })
}

/// Whether the terminal can do nothing but print one line after the other.
pub(super) fn is_dumb() -> bool {
    variable("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// What goes to the writer.
enum Out {
    Line(Vec<u8>),
    /// Answered once everything before it is written.
    Mark(oneshot::Sender<()>),
}

/// What the thread begins with.
struct Begin {
    waiting: mpsc::Receiver<Out>,
    end: oneshot::Sender<io::Result<()>>,
    guard: DropGuard,
}

/// The way to stdout.
pub(super) struct Output {
    lines: mpsc::Sender<Out>,
    /// What the thread begins with, until the first line that it has to wait for.
    begin: Mutex<Option<Begin>>,
    /// Lines that the thread has not written yet.
    behind: Arc<AtomicUsize>,
    /// Whole lines that wait for the next ones.
    gathered: Vec<u8>,
    ended: oneshot::Receiver<io::Result<()>>,
    left: CancellationToken,
}

/// The reader of our pipe left: there is nothing more to do, and that is no failure.
#[derive(Debug)]
pub(super) struct ReaderLeft;

/// Tells when the reader of our pipe has left, also while nothing is written.
#[derive(Debug, Clone)]
pub(super) struct ReaderWatch(CancellationToken);

impl ReaderWatch {
    /// Waits until the reader has left; for ever where stdout is no pipe.
    pub(super) async fn left(&self) {
        let mut ticks = tokio::time::interval(READER_CHECK);
        loop {
            tokio::select! {
                _ = ticks.tick() => if is_abandoned() { return },
                () = self.0.cancelled() => return,
            }
        }
    }
}

impl Output {
    /// Opens the way. Once a line has to be waited for, a thread writes until [`Output::finish`].
    pub(super) fn open() -> Self {
        let (lines, waiting) = mpsc::channel(WAITING);
        let (end, ended) = oneshot::channel();
        let left = CancellationToken::new();
        let begin = Begin {
            waiting,
            end,
            guard: left.clone().drop_guard(),
        };
        Self {
            lines,
            begin: Mutex::new(Some(begin)),
            behind: Arc::new(AtomicUsize::new(0)),
            gathered: Vec::new(),
            ended,
            left,
        }
    }

    /// Sees to it that the thread is there.
    fn begin(&self) {
        let begin = self
            .begin
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(Begin {
            waiting,
            end,
            guard,
        }) = begin
        else {
            return;
        };
        let done = Arc::clone(&self.behind);
        // Never joined: a reader that stands still would keep it, and with it the program, for ever.
        drop(std::thread::spawn(move || {
            let _left = guard;
            // Nobody waits any more where the program ends without it.
            drop(end.send(write_all(waiting, &done)));
        }));
    }

    /// What tells when the reader has left.
    pub(super) fn reader(&self) -> ReaderWatch {
        ReaderWatch(self.left.clone())
    }

    /// Hands over one line; waits while the reader is slow.
    pub(super) async fn line(&self, mut line: Vec<u8>) -> Result<(), ReaderLeft> {
        if self.behind.load(Ordering::Acquire) == 0 {
            let written = write_now(&line);
            if written == line.len() {
                return Ok(());
            }
            line.drain(..written);
        }
        self.begin();
        // Should this be dropped before the line is handed over, the thread goes on to the end.
        self.behind.fetch_add(1, Ordering::Relaxed);
        self.lines
            .send(Out::Line(line))
            .await
            .map_err(|_| ReaderLeft)
    }

    /// Takes one line that may wait for the next ones, until they are as much as a pipe takes as a whole or
    /// [`Output::let_go`] is called.
    ///
    /// # Cancel safety
    ///
    /// Dropped, what was gathered may be lost.
    pub(super) async fn gather(&mut self, line: &[u8]) -> Result<(), ReaderLeft> {
        if self.gathered.len() + line.len() > WHOLE {
            self.let_go().await?;
        }
        self.gathered.extend_from_slice(line);
        Ok(())
    }

    /// Whether lines wait for the next ones.
    pub(super) fn gathers(&self) -> bool {
        !self.gathered.is_empty()
    }

    /// Hands over what was gathered.
    ///
    /// # Cancel safety
    ///
    /// As [`Output::gather`].
    pub(super) async fn let_go(&mut self) -> Result<(), ReaderLeft> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let lines = std::mem::replace(&mut self.gathered, Vec::with_capacity(WHOLE));
        self.line(lines).await
    }

    /// Waits until every line that was handed over is written and flushed.
    pub(super) async fn written(&self) -> Result<(), ReaderLeft> {
        if self.behind.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        let (mark, passed) = oneshot::channel();
        self.lines
            .send(Out::Mark(mark))
            .await
            .map_err(|_| ReaderLeft)?;
        passed.await.map_err(|_| ReaderLeft)
    }

    /// Writes what waits, for as long as the reader takes, and says how it went. A pipe that was closed is success.
    ///
    /// # Cancel safety
    ///
    /// Dropped, what is not written yet may be lost; nothing is waited for any more.
    pub(super) async fn finish(mut self) -> Result<(), Failure> {
        // Whether the reader left, the thread says better.
        drop(self.let_go().await);
        drop(self.lines);
        let begin = self.begin.into_inner();
        if begin.unwrap_or_else(PoisonError::into_inner).is_some() {
            // Every line was written when it came.
            return Ok(());
        }
        match self.ended.await {
            Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(
                Exit::Refused,
                anyhow::Error::from(error).context("stdout cannot be written"),
            )),
            Ok(_) => Ok(()),
            Err(_) => Err(Failure::say(
                Exit::Refused,
                "the writer of stdout panicked; this is a bug",
            )),
        }
    }
}

/// The most bytes of which a pipe takes all or nothing.
const WHOLE: usize = 4096;

/// Writes a line where that needs no waiting, and gives how many bytes of it are written: all or none. Where that cannot be
/// known, or something is wrong, it is none, and the thread finds out.
#[cfg(target_os = "linux")]
fn write_now(line: &[u8]) -> usize {
    use rustix::io::{ReadWriteFlags, pwritev2};
    // The place that stands for "wherever it is now".
    let here = u64::MAX;
    if line.len() > WHOLE {
        return 0;
    }
    let parts = [io::IoSlice::new(line)];
    pwritev2(io::stdout(), &parts, here, ReadWriteFlags::NOWAIT).unwrap_or(0)
}

/// There is no way to know without waiting.
#[cfg(not(target_os = "linux"))]
fn write_now(_: &[u8]) -> usize {
    0
}

/// Writes each line in one go and flushes it.
fn write_all(mut waiting: mpsc::Receiver<Out>, behind: &AtomicUsize) -> io::Result<()> {
    let mut out = io::stdout();
    while let Some(next) = waiting.blocking_recv() {
        match next {
            Out::Line(line) => {
                out.write_all(&line)?;
                out.flush()?;
                behind.fetch_sub(1, Ordering::Release);
            }
            // Who asked may have gone.
            Out::Mark(mark) => drop(mark.send(())),
        }
    }
    Ok(())
}

/// Whether nobody can read what we write any more.
fn is_abandoned() -> bool {
    let out = io::stdout();
    let mut fds = [PollFd::new(&out, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&now)).is_ok()
        && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}
