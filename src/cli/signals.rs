//! Signals: the first asks for an orderly end, the second insists.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, Failure, OrExit as _};

const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;
const SIGHUP: u8 = 1;

/// The signal that a terminal has gone, which programs without one take for: read your settings again. Clones are the
/// same.
#[derive(Debug, Clone, Default)]
pub(super) struct Hangups(Arc<Wanted>);

#[derive(Debug, Default)]
struct Wanted {
    /// Whether somebody reads settings again.
    is_wanted: AtomicBool,
    came: Notify,
}

impl Hangups {
    /// From now on it does not end the program, unless the terminal is indeed gone.
    pub(super) fn want(&self) {
        self.0.is_wanted.store(true, Ordering::Relaxed);
    }

    /// Waits for the next one.
    pub(super) async fn next(&self) {
        self.0.came.notified().await;
    }

    /// Whether somebody takes it.
    fn taken(&self, had_terminal: bool) -> bool {
        let is_gone = had_terminal && !std::io::stderr().is_terminal();
        let taken = !is_gone && self.0.is_wanted.load(Ordering::Relaxed);
        if taken {
            self.0.came.notify_one();
        }
        taken
    }
}

/// Waits for signals: cancels the token at the first one, and returns at the second, or with the first one's exit code
/// when the work ended.
pub(super) struct Signals {
    int: tokio::signal::unix::Signal,
    term: tokio::signal::unix::Signal,
    hup: tokio::signal::unix::Signal,
    hangups: Hangups,
    had_terminal: bool,
}

impl Signals {
    /// Begins to listen.
    pub(super) fn listen(hangups: Hangups) -> Result<Self, Failure> {
        let on = |kind| signal(kind).or_exit(Exit::Refused);
        Ok(Self {
            int: on(SignalKind::interrupt())?,
            term: on(SignalKind::terminate())?,
            hup: on(SignalKind::hangup())?,
            hangups,
            had_terminal: std::io::stderr().is_terminal(),
        })
    }

    /// The next signal's number.
    async fn next(&mut self) -> u8 {
        loop {
            let signal = tokio::select! {
                _ = self.int.recv() => SIGINT,
                _ = self.term.recv() => SIGTERM,
                _ = self.hup.recv() => SIGHUP,
            };
            if signal != SIGHUP || !self.hangups.taken(self.had_terminal) {
                return signal;
            }
        }
    }

    /// Runs work until it ends by itself or a signal asks for its end. A second signal drops it where it stands.
    pub(super) async fn run(
        mut self,
        token: CancellationToken,
        work: impl Future<Output = Result<Exit, Failure>>,
    ) -> Result<Exit, Failure> {
        let mut work = std::pin::pin!(work);
        let first = tokio::select! {
            outcome = &mut work => return outcome,
            first = self.next() => first,
        };
        token.cancel();
        tokio::select! {
            outcome = work => outcome.map(|_| Exit::Signal(first)),
            second = self.next() => Ok(Exit::Signal(second)),
        }
    }
}
