//! The server itself: it starts, it leaves, it comes back as another one.

use std::sync::Arc;
use std::time::Duration;

use super::command::Asked;
use super::{Alarm, Output, Taken, Then, World};
use crate::simulate::truth::{Because, Exit, What};

/// A server that leaves does not wait longer than this for its programs.
const PATIENCE: Duration = Duration::from_secs(10);

impl World {
    pub(super) fn boot(&mut self, because: Because) {
        if self.here {
            return;
        }
        self.here = true;
        self.booted = self.now;
        self.server_pid = self.draw_pid();
        let mut record = self.record(What::ServerStarted, because);
        record.pid = Some(self.server_pid);
        self.outputs.push(Output::Fact(record));
        let groups: Vec<_> = self
            .stack
            .processes
            .iter()
            .map(|(group, spec)| (group.clone(), Arc::new(spec.clone())))
            .collect();
        for (group, spec) in groups {
            self.enter_group(&group, &spec, Because::Boot);
        }
        self.process_num = self.processes.len();
        self.outputs.push(Output::Presence {
            here: true,
            returns: true,
        });
    }

    /// Lets the server stop everything and leave; `back` is how long it stays away, `None` for good.
    pub fn shut_down(&mut self, back: Option<Duration>) -> Taken {
        let mut waits = Vec::new();
        for key in self.processes.keys().copied().collect::<Vec<_>>() {
            if let Asked::Ending(stamp) = self.terminate(key, Because::ServerStop) {
                self.plan(PATIENCE, key, stamp, Alarm::StopTimeout);
                waits.push((key, stamp));
            }
        }
        let ticket = self.errand(
            waits,
            Duration::ZERO,
            Then::Leave {
                back,
                because: Because::ServerStop,
            },
        );
        self.settle();
        Taken::Later(ticket)
    }

    /// Lets a server that left start again now.
    pub fn start_server(&mut self) {
        self.boot(Because::UserStart);
        self.settle();
    }

    pub(super) fn leave(&mut self, back: Option<Duration>, because: Because) {
        if !self.here {
            return;
        }
        // A request or a schedule may have started something meanwhile; nothing outlives its server.
        for key in self.processes.keys().copied().collect::<Vec<_>>() {
            self.expel(key, because);
        }
        self.here = false;
        let mut record = self.record(What::ServerGone, because);
        record.pid = Some(self.server_pid);
        record.exit = Some(Exit::Code(0));
        self.outputs.push(Output::Fact(record));
        self.processes.clear();
        self.names.clear();
        self.ghosts.clear();
        self.waiting.clear();
        self.errands.clear();
        if let Some(away) = back {
            self.plan(away, 0, 0, Alarm::ServerBack);
        }
        self.outputs.push(Output::Presence {
            here: false,
            returns: back.is_some(),
        });
    }

    /// Without `keep` the server leaves when nothing runs and nothing will.
    pub(super) fn leave_when_empty(&mut self) {
        if self.stack.keep || !self.here {
            return;
        }
        let busy = self
            .processes
            .values()
            .any(|p| p.run.is_some() || p.next_run.is_some() || p.watch.armed);
        if !busy && self.errands.is_empty() {
            self.leave(None, Because::LastProcess);
        }
    }
}
