//! A line that says how far a long reading has come, for a person who would else see nothing.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How long a reading may take before anything is said, and how often it is said anew.
const TICK: Duration = Duration::from_secs(1);

/// The line, which stands on stderr while there is a terminal and nothing else to look at.
pub(super) struct Progress {
    last: u64,
    next: Instant,
    /// Both go to one screen, where lines of data are progress enough.
    shared: bool,
    shown: bool,
    wanted: bool,
}

impl Progress {
    /// Reading begins, and ends at this sequence.
    pub(super) fn begin(last: u64) -> Self {
        Self {
            last,
            next: Instant::now() + TICK,
            shared: io::stdout().is_terminal(),
            shown: false,
            wanted: io::stderr().is_terminal(),
        }
    }

    /// Waits until it is time to say it.
    pub(super) async fn due(&self) {
        sleep_until(self.next).await;
    }

    /// Says it where it is time.
    pub(super) fn look(&mut self, place: u64, found: u64) {
        if !self.wanted || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + TICK;
        if self.shared && found > 0 {
            self.end();
            self.wanted = false;
            return;
        }
        self.shown = true;
        let line = format!("\rread up to {place} of {}, {found} found", self.last);
        // Where nobody can be told, there is nobody to tell.
        drop(io::stderr().write_all(line.as_bytes()));
    }

    /// Takes the line away.
    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.shown) {
            drop(io::stderr().write_all(b"\r\x1b[K"));
        }
    }
}
