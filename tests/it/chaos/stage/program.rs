//! A program of ours under test.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use super::LIMIT;
use crate::support::house::send;
use crate::support::wait::until;

const OBSERVE: &str = env!("CARGO_BIN_EXE_observe");

/// One that runs; killed when dropped.
pub(super) struct Program {
    child: Child,
    /// True once it was asked to end.
    pub(super) may_end: bool,
}

impl Program {
    pub(super) fn start(args: &[&str], state: &Path, log: &Path) -> Self {
        let open = || File::options().create(true).append(true).open(log).unwrap();
        let child = Command::new(OBSERVE)
            .args(args)
            .env_clear()
            .env("XDG_STATE_HOME", state)
            .env(
                "RUST_LOG",
                std::env::var_os("CHAOS_LOG").unwrap_or_default(),
            )
            .stdin(Stdio::null())
            .stdout(open())
            .stderr(open())
            .spawn()
            .unwrap();
        Self {
            child,
            may_end: false,
        }
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        self.may_end |= signal == Signal::TERM;
        send(self.child.id(), signal);
    }

    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end after a SIGTERM, which is what its exit code has to say.
    pub(super) async fn ended(mut self) {
        until(LIMIT, "an orderly end", async || !self.is_running()).await;
        let code = self.child.wait().unwrap().code();
        assert_eq!(code, Some(143), "an orderly end says so");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
