//! What goes on while a program runs: probes, log lines, and the background programs of daemons.

use std::time::Duration;

use super::process::{Daemon, Health, LOG_LINES, Stage, Status};
use super::{Alarm, Key, Output, World};
use crate::simulate::truth::{Because, Exit, What};

impl World {
    pub(super) fn launched(&mut self, key: Key, stamp: u64) {
        let pid = self.draw_pid();
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        let Some(run) = process.run.as_mut().filter(|run| run.stage == Stage::Up) else {
            return;
        };
        run.daemon = Some(Daemon { pid, alive: true });
        process.shown.status = Status::Launched;
        let (launcher, liveness) = (process.shown.pid, process.spec.liveness);
        self.frame(key);
        self.fact(key, What::Launched, Because::OwnExit, |r| {
            r.pid = Some(launcher);
            r.exit = Some(Exit::Code(0));
        });
        if let Some(liveness) = liveness {
            self.plan(liveness.period, key, stamp, Alarm::Liveness);
        }
    }

    /// The background program of a daemon ends; the server does not notice.
    pub(super) fn daemon_ends(&mut self, key: Key, exit: Exit, because: Because) {
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        let launcher = process.shown.pid;
        let Some(daemon) = process
            .run
            .as_mut()
            .and_then(|run| run.daemon.as_mut())
            .filter(|d| d.alive)
        else {
            return;
        };
        daemon.alive = false;
        let pid = daemon.pid;
        self.fact(key, What::Exited, because, |r| {
            r.pid = Some(pid);
            r.exit = Some(exit);
            r.launcher = Some(launcher);
        });
    }

    pub(super) fn liveness(&mut self, key: Key, stamp: u64) {
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        let (Some(liveness), Some(run)) = (process.spec.liveness, process.run.as_mut()) else {
            return;
        };
        if run.stage != Stage::Up {
            return;
        }
        run.fails = if run.daemon.is_some_and(|d| d.alive) {
            0
        } else {
            run.fails + 1
        };
        if run.fails >= liveness.threshold.max(1) {
            self.write(key, "liveness probe failed");
            return self.ended(key, 0);
        }
        self.plan(liveness.period, key, stamp, Alarm::Liveness);
    }

    pub(super) fn probe(&mut self, key: Key, stamp: u64) {
        let (now, speed) = (self.now, self.rules.speed);
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        let (Some(probe), Some(run)) = (process.spec.ready.clone(), process.run.as_mut()) else {
            return;
        };
        if run.stage != Stage::Up {
            return;
        }
        let age = now
            .saturating_sub(run.spawned.unwrap_or(now))
            .mul_f64(speed);
        let found = process.forced.unwrap_or_else(|| probe.finds(age));
        run.fails = if found { 0 } else { run.fails + 1 };
        let (fails, first) = (run.fails, !run.was_ready);
        run.was_ready |= found;
        let health = if found {
            Health::Ready
        } else {
            Health::NotReady
        };
        let changed = process.shown.health != health;
        let pid = process.shown.pid;
        process.shown.health = health;
        if found {
            process.shown.ready.get_or_insert(now);
        }
        // An older release may still show the former life's health; the truth is about this one.
        let (what, because) = match (found, first) {
            (true, _) => (What::BecameReady, Because::Probe),
            (false, true) => (What::BecameUnready, Because::ProbeStarting),
            (false, false) => (What::BecameUnready, Because::Probe),
        };
        if changed || (found && first) || (!found && fails == 1) {
            self.fact(key, what, because, |r| r.pid = Some(pid));
        }
        if changed {
            self.frame(key);
        }
        if fails >= probe.threshold.max(1) {
            self.write(key, "readiness probe failed");
            self.terminate(key, Because::ReadinessKill);
        } else {
            self.plan(probe.period, key, stamp, Alarm::Probe);
        }
    }

    pub(super) fn log_ready(&mut self, key: Key) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        let Some(run) = process.run.as_mut().filter(|run| run.stage == Stage::Up) else {
            return;
        };
        (run.was_ready, run.line_seen) = (true, true);
        process.shown.health = Health::Ready;
        process.shown.ready.get_or_insert(now);
        let pid = process.shown.pid;
        let line = process
            .spec
            .ready_log_line
            .as_ref()
            .map_or_else(String::new, |l| l.line.clone());
        self.write(key, &line);
        self.frame(key);
        self.fact(key, What::BecameReady, Because::LogLine, |r| {
            r.pid = Some(pid);
        });
    }

    pub(super) fn chatter(&mut self, key: Key, stamp: u64) {
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        let Some(log) = process.spec.log.clone().filter(|log| !log.lines.is_empty()) else {
            return;
        };
        let nth = process.written;
        let line = &log.lines[usize::try_from(nth).unwrap_or(0) % log.lines.len()];
        let line = line.replace("{n}", &(nth + 1).to_string());
        let next = log.every.draw(&mut process.dice);
        self.write(key, &line);
        if let Some(every) = next {
            self.plan(
                every.max(Duration::from_millis(1)),
                key,
                stamp,
                Alarm::Chatter,
            );
        }
    }

    pub(super) fn write(&mut self, key: Key, line: &str) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        process.shown.active = Some(now);
        process.written += 1;
        if process.lines.len() == LOG_LINES {
            process.lines.pop_front();
        }
        process.lines.push_back(line.to_owned());
        let (log, name) = (process.log, process.name.clone());
        self.outputs.push(Output::Line {
            log,
            name,
            text: line.to_owned(),
        });
    }
}
