//! Signals: the first asks for an orderly end, the second insists.

use std::io::IsTerminal as _;
use std::sync::{Arc, OnceLock};

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
    /// Where the terminal was when somebody began to read settings again. Whoever goes into the background has left it by then.
    since: OnceLock<Terminals>,
    came: Notify,
}

impl Hangups {
    /// From now on it does not end the program, unless the terminal is indeed gone.
    pub(super) fn want(&self) {
        self.0.since.get_or_init(Terminals::now);
    }

    /// Waits for the next one.
    pub(super) async fn next(&self) {
        self.0.came.notified().await;
    }

    /// Whether somebody takes it.
    fn taken(&self) -> bool {
        let since = self.0.since.get();
        let taken = since.is_some_and(|former| !Terminals::now().is_gone_since(*former));
        if taken {
            self.0.came.notify_one();
        }
        taken
    }
}

/// Where the terminal is that a program was started from: at input, output, errors, or only as that of its session, where
/// all three lead elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Terminals([bool; 4]);

impl Terminals {
    fn now() -> Self {
        Self([
            std::io::stdin().is_terminal(),
            std::io::stdout().is_terminal(),
            std::io::stderr().is_terminal(),
            std::fs::File::open("/dev/tty").is_ok(),
        ])
    }

    /// Whether one of them was a terminal formerly and is none any more.
    fn is_gone_since(self, former: Self) -> bool {
        let mut pairs = former.0.into_iter().zip(self.0);
        pairs.any(|(was, is)| was && !is)
    }
}

/// Waits for signals: cancels the token at the first one, and returns at the second, or with the first one's exit code
/// when the work ended.
pub(super) struct Signals {
    int: tokio::signal::unix::Signal,
    term: tokio::signal::unix::Signal,
    hup: tokio::signal::unix::Signal,
    hangups: Hangups,
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
            if signal != SIGHUP || !self.hangups.taken() {
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
