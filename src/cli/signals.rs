//! Signals: the first asks for an orderly end, the second insists.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, Failure, OrExit as _};

const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;
const SIGHUP: u8 = 1;

/// Waits for signals: cancels the token at the first one, and returns at the second, or with the first one's exit code
/// when the work ended.
pub(super) struct Signals {
    int: tokio::signal::unix::Signal,
    term: tokio::signal::unix::Signal,
    hup: tokio::signal::unix::Signal,
}

impl Signals {
    /// Begins to listen.
    pub(super) fn listen() -> Result<Self, Failure> {
        let on = |kind| signal(kind).or_exit(Exit::Refused);
        Ok(Self {
            int: on(SignalKind::interrupt())?,
            term: on(SignalKind::terminate())?,
            hup: on(SignalKind::hangup())?,
        })
    }

    /// The next signal's number.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.int.recv() => SIGINT,
            _ = self.term.recv() => SIGTERM,
            _ = self.hup.recv() => SIGHUP,
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
