//! The hand that reaches into a running simulation: for tests of consumers.

use std::sync::Arc;
use std::time::Duration;

use super::fault::{Fault, Lasting, Trouble};
use super::script::Stack;
use super::shared::Shared;
use super::truth::{Because, Exit, Record};
use super::world::{Refusal, Taken};

/// Reaches into a simulation; clone it freely. Everything takes effect before the call returns.
#[derive(Clone)]
pub struct Control {
    pub(super) shared: Arc<Shared>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

impl Control {
    /// Lets a program end by itself with this code.
    ///
    /// # Errors
    ///
    /// Unknown or not running.
    pub fn exit(&self, name: &str, code: i32) -> Result<(), Refusal> {
        self.shared
            .act(|world| world.end(name, Exit::Code(code), Because::OwnExit))
    }

    /// Ends a program by a signal from outside.
    ///
    /// # Errors
    ///
    /// Unknown or not running.
    pub fn kill(&self, name: &str, signal: i32) -> Result<(), Refusal> {
        self.shared
            .act(|world| world.end(name, Exit::Signal(signal), Because::OutsideSignal))
    }

    /// Makes the readiness probe find this from now on; `None` gives it back to its script.
    ///
    /// # Errors
    ///
    /// Unknown, or without a readiness probe.
    pub fn set_ready(&self, name: &str, ready: Option<bool>) -> Result<(), Refusal> {
        self.shared.act(|world| world.set_ready(name, ready))
    }

    /// Asks for a start, as a person does.
    ///
    /// # Errors
    ///
    /// Unknown, or running already.
    pub fn start(&self, name: &str) -> Result<Taken, Refusal> {
        self.shared.act(|world| world.start(name))
    }

    /// Asks for a stop, as a person does.
    ///
    /// # Errors
    ///
    /// Unknown, or not running.
    pub fn stop(&self, name: &str) -> Result<Taken, Refusal> {
        self.shared.act(|world| world.stop(name))
    }

    /// Asks for a restart, as a person does; the start follows a second later.
    ///
    /// # Errors
    ///
    /// Unknown.
    pub fn restart(&self, name: &str) -> Result<Taken, Refusal> {
        self.shared.act(|world| world.restart(name))
    }

    /// Changes the number of replicas of a group, named by one of its replicas.
    ///
    /// # Errors
    ///
    /// Unknown, or less than one.
    pub fn scale(&self, name: &str, to: i64) -> Result<Taken, Refusal> {
        self.shared.act(|world| world.scale(name, to))
    }

    /// Changes a watched file.
    ///
    /// # Errors
    ///
    /// Unknown, or without a watch.
    pub fn touch(&self, name: &str, file: &str) -> Result<(), Refusal> {
        self.shared.act(|world| world.touch(name, file))
    }

    /// Takes another configuration.
    pub fn reload(&self, stack: Stack) {
        self.shared.act(|world| world.reload(stack));
    }

    /// Lets requests whose path begins with `path` fail; the empty path means all.
    pub fn fail(&self, path: &str, fault: Fault, lasting: Lasting) {
        self.shared.trouble(Trouble::new(fault, path, lasting));
    }

    /// Lets requests succeed again.
    pub fn mend(&self) {
        self.shared.lift();
    }

    /// Shuts the door: connections are cut and new ones refused, while the processes go on.
    pub fn stop_listening(&self) {
        self.shared.presence.send_modify(|p| p.shut = true);
    }

    /// Opens the door again, at the same address.
    pub fn listen_again(&self) {
        self.shared.presence.send_modify(|p| p.shut = false);
    }

    /// Lets the server stop everything, leave, and come back as another run; `None` leaves it away until [`Self::start_server`].
    pub fn stop_server(&self, back: Option<Duration>) {
        self.shared.act(|world| world.shut_down(back));
    }

    /// Lets a server that left start again.
    pub fn start_server(&self) {
        self.shared.act(super::world::World::start_server);
    }

    /// Moves the `startTime` the server tells, in milliseconds; real servers do this when the clock is set.
    pub fn skew_start_time(&self, milliseconds: i64) {
        self.shared.act(|world| world.skew = milliseconds);
    }

    /// What really happened so far; empty unless the builder was told to remember.
    pub fn truth(&self) -> Vec<Record> {
        self.shared.remembered()
    }

    /// Time since the beginning; the zero of every `t_ms`.
    pub fn elapsed(&self) -> Duration {
        self.shared.elapsed()
    }
}
