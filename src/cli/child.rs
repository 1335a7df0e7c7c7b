//! A command of somebody else, run in our place: its input and output are ours, signals are handed on to it, and what it
//! comes to is what we come to.

use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal as _};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, getpgrp, kill_process, kill_process_group};
use rustix::termios::tcgetpgrp;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

use super::exit::{Exit, Failure, OrExit as _};

/// The exit codes of a shell for a command that is not there, or cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_RUN: u8 = 126;

/// Whether the command has a process group of its own.
///
/// In the foreground of a terminal it shares ours: it may read from the terminal then, and Ctrl-C reaches it from
/// there. Elsewhere nobody but us signals it, and its children are to end with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Ours,
    Own,
}

/// A command that runs.
pub(super) struct Running {
    child: Child,
    pid: Option<Pid>,
    group: Group,
}

impl Running {
    /// Starts it.
    pub(super) fn start(command: &[OsString]) -> Result<Self, Failure> {
        let Some((program, args)) = command.split_first() else {
            return Err(Failure::say(Exit::Usage, "there is no command to run"));
        };
        let group = if is_in_foreground() {
            Group::Ours
        } else {
            Group::Own
        };
        let mut command = Command::new(program);
        command.args(args);
        if group == Group::Own {
            command.process_group(0);
        }
        let child = command.spawn().map_err(|error| {
            let exit = match error.kind() {
                ErrorKind::NotFound => NOT_FOUND,
                _ => NOT_RUN,
            };
            let what = format!("{} cannot be run", program.to_string_lossy());
            Failure::new(Exit::Of(exit), anyhow::Error::from(error).context(what))
        })?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        Ok(Self {
            pid: pid.and_then(Pid::from_raw),
            child,
            group,
        })
    }

    /// Waits for its end.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(super) async fn end(&mut self) -> Result<Exit, Failure> {
        let status = self.child.wait().await.or_exit(Exit::Refused)?;
        self.pid = None;
        Ok(exit(status))
    }

    /// Sends it a signal of our own.
    pub(super) fn send(&self, signal: Signal) {
        let Some(pid) = self.pid else { return };
        let sent = match self.group {
            Group::Own => kill_process_group(pid, signal),
            Group::Ours => kill_process(pid, signal),
        };
        if let Err(error) = sent {
            // It has just ended.
            tracing::debug!(%error, "the command cannot be signalled");
        }
    }

    /// Hands a signal on that reached us; what the terminal sends has reached it already.
    pub(super) fn hand_on(&self, signal: Signal) {
        let from_terminal = matches!(signal, Signal::INT | Signal::QUIT);
        if self.group == Group::Own || !from_terminal {
            self.send(signal);
        }
    }
}

fn exit(status: ExitStatus) -> Exit {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .and_then(|code| u8::try_from(code).ok());
    Exit::Of(code.unwrap_or(1))
}

/// Whether we are in the foreground of a terminal.
fn is_in_foreground() -> bool {
    fn of(end: impl AsFd) -> bool {
        tcgetpgrp(end).is_ok_and(|group| group == getpgrp())
    }
    let (input, out, words) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    (input.is_terminal() && of(&input))
        || (out.is_terminal() && of(&out))
        || (words.is_terminal() && of(&words))
}

/// Signals that are handed on.
pub(super) struct Caught {
    int: Signals,
    term: Signals,
    hup: Signals,
    quit: Signals,
    one: Signals,
    two: Signals,
}

impl Caught {
    /// Begins to listen.
    pub(super) fn listen() -> Result<Self, Failure> {
        let on = |kind| signal(kind).or_exit(Exit::Refused);
        Ok(Self {
            int: on(SignalKind::interrupt())?,
            term: on(SignalKind::terminate())?,
            hup: on(SignalKind::hangup())?,
            quit: on(SignalKind::quit())?,
            one: on(SignalKind::user_defined1())?,
            two: on(SignalKind::user_defined2())?,
        })
    }

    /// The next signal.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.int.recv() => Signal::INT,
            _ = self.term.recv() => Signal::TERM,
            _ = self.hup.recv() => Signal::HUP,
            _ = self.quit.recv() => Signal::QUIT,
            _ = self.one.recv() => Signal::USR1,
            _ = self.two.recv() => Signal::USR2,
        }
    }

    /// The next signal that asks for an end.
    pub(super) async fn end(&mut self) -> Signal {
        loop {
            let signal = self.next().await;
            if !matches!(signal, Signal::USR1 | Signal::USR2) {
                return signal;
            }
        }
    }
}
