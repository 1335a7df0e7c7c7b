//! Lives: waiting, running, being probed, ending, and what the policy makes of it.

use std::time::Duration;

use super::process::{Health, Run, Shown, Stage, Status};
use super::{Alarm, Key, Orphan, World};
use crate::simulate::profile::Feature;
use crate::simulate::script::{CannotStart, Condition, Policy};
use crate::simulate::truth::{Because, Exit, What};

/// A policy never waits for less.
const LEAST_BACKOFF: Duration = Duration::from_secs(1);

/// How long the launcher of a daemon runs.
const LAUNCHER: Duration = Duration::from_millis(12);

/// How long a probe takes to tell what it found; until then nothing is known of a new life.
const PROBE_TAKES: Duration = Duration::from_millis(15);

/// What the dependencies of a process say.
enum Verdict {
    Go,
    Wait,
    Never(String),
}

impl World {
    /// Begins a new incarnation: it waits for its dependencies, which may be over at once.
    pub(super) fn begin(&mut self, key: Key, because: Because) {
        let (fresh, stamp) = (self.has(Feature::FreshState), self.number());
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        let status = if process.spec.disabled && fresh {
            Status::Disabled
        } else {
            Status::Pending
        };
        if fresh {
            let restarts = if because == Because::Watch {
                0
            } else {
                process.shown.restarts
            };
            process.shown = Shown::new(status, restarts);
        } else {
            process.shown.status = status;
        }
        process.run = Some(Run::new(stamp, because));
        self.waiting.insert(key);
    }

    /// Begins a new incarnation, unless somebody else did while this one was paused for.
    pub(super) fn begin_unless_up(&mut self, key: Key, because: Because) {
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        process.restart = None;
        if matches!(process.stage(), None | Some(Stage::Ending)) {
            self.abandon(key);
            self.begin(key, because);
        }
    }

    /// Ends whatever still runs, at once and without another life.
    pub(super) fn expel(&mut self, key: Key, because: Because) {
        let Some(run) = self.processes.get_mut(&key).and_then(|p| p.run.as_mut()) else {
            return;
        };
        if matches!(run.stage, Stage::Up | Stage::Ending) {
            run.ending.get_or_insert(because);
            self.stop_answered(key, Exit::Signal(9));
        }
        self.abandon(key);
    }

    /// Forgets a run that still ends: a restart does not wait for it.
    pub(super) fn abandon(&mut self, key: Key) {
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        process.restart = None;
        let Some(run) = process.run.take() else {
            return;
        };
        self.waiting.remove(&key);
        if run.stage == Stage::Ending {
            let orphan = Orphan {
                name: process.name.clone(),
                namespace: process.spec.namespace.first().to_owned(),
                pid: process.shown.pid,
                because: run.ending.unwrap_or(Because::UserRestart),
            };
            self.orphans.insert(run.stamp, orphan);
        }
    }

    pub(super) fn settle_waiting(&mut self) -> bool {
        let mut moved = false;
        for key in self.waiting.iter().copied().collect::<Vec<_>>() {
            match self.verdict(key) {
                Verdict::Wait => {
                    if let Some(run) = self.processes.get_mut(&key).and_then(|p| p.run.as_mut()) {
                        run.waited = true;
                    }
                    continue;
                }
                Verdict::Go => self.stop_waiting(key),
                Verdict::Never(dependency) => self.skip(key, dependency),
            }
            moved = true;
        }
        moved
    }

    fn stop_waiting(&mut self, key: Key) {
        self.waiting.remove(&key);
        let Some(run) = self.processes.get(&key).and_then(|p| p.run.as_ref()) else {
            return;
        };
        let because = if run.waited && run.because == Because::Boot {
            Because::Dependency
        } else {
            run.because
        };
        self.spawn(key, because);
    }

    fn verdict(&self, key: Key) -> Verdict {
        let Some(process) = self
            .processes
            .get(&key)
            .filter(|p| p.stage() == Some(Stage::Waiting))
        else {
            return Verdict::Wait;
        };
        let mut verdict = Verdict::Go;
        for (group, condition) in &process.spec.depends_on {
            for other in self.processes.values().filter(|p| p.group == *group) {
                let ended = other.run.is_none()
                    && matches!(
                        other.shown.status,
                        Status::Completed | Status::Error | Status::Skipped
                    );
                let success = other.shown.status == Status::Completed
                    && other.spec.is_success(other.shown.exit_code);
                let run = other.run.as_ref();
                let up = run.is_some_and(|r| matches!(r.stage, Stage::Up));
                let (met, never) = match condition {
                    Condition::Started => (
                        up,
                        matches!(other.shown.status, Status::Error | Status::Skipped),
                    ),
                    Condition::Healthy => (up && run.is_some_and(|r| r.was_ready), ended),
                    Condition::LogReady => (run.is_some_and(|r| r.line_seen), ended),
                    Condition::Completed => (ended, false),
                    Condition::CompletedSuccessfully => (ended && success, ended && !success),
                };
                // A job that already came and went did start.
                let met = met
                    || (*condition == Condition::Started
                        && ended
                        && other.shown.status == Status::Completed);
                if never && !met {
                    return Verdict::Never(other.name.clone());
                }
                if !met {
                    verdict = Verdict::Wait;
                }
            }
        }
        verdict
    }

    fn skip(&mut self, key: Key, dependency: String) {
        self.waiting.remove(&key);
        let now = self.now;
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        process.run = None;
        process.shown.status = Status::Skipped;
        process.shown.exit_code = 1;
        process.shown.ended = Some(now);
        let spec = process.spec.clone();
        // The real server writes the failed wait into the process that was waited for.
        if let Some(other) = self
            .names
            .get(&dependency)
            .and_then(|k| self.processes.get_mut(k))
            && spec.depends_on.get(&other.group) == Some(&Condition::Healthy)
        {
            other.shown.exit_code = 1;
        }
        self.frame(key);
        self.fact(key, What::Skipped, Because::Dependency, |r| {
            r.dependency = Some(dependency);
        });
    }

    /// Starts the program.
    pub(super) fn spawn(&mut self, key: Key, because: Because) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        let daemon = process.spec.daemon;
        process.shown.status = if daemon {
            Status::Launching
        } else {
            Status::Running
        };
        if let Some(reason) = process.spec.cannot_start {
            return self.cannot_start(key, because, reason);
        }
        // Published before there is anything to publish: the frame carries the former life's pid and age.
        self.frame(key);
        let (pid, stamp) = (self.draw_pid(), self.number());
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        process.shown.pid = pid;
        process.shown.sampled = None;
        process.shown.started.get_or_insert(now);
        if process.spec.ready.is_none() && process.spec.ready_log_line.is_none() {
            process.shown.ready.get_or_insert(now);
        }
        let former = process.run.as_ref().map_or(because, |run| run.because);
        process.run = Some(Run {
            stage: Stage::Up,
            spawned: Some(now),
            ..Run::new(stamp, former)
        });
        self.fact(key, What::Spawned, because, |r| r.pid = Some(pid));
        self.plan_life(key, stamp);
    }

    fn cannot_start(&mut self, key: Key, because: Because, reason: CannotStart) {
        let why = match reason {
            CannotStart::NoProgram => "program does not exist",
            CannotStart::NoDirectory => "working directory does not exist",
        };
        if reason == CannotStart::NoProgram {
            self.frame(key);
        }
        let now = self.now;
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        process.run = None;
        process.shown.status = Status::Error;
        process.shown.ended = Some(now);
        self.frame(key);
        self.write(key, why);
        self.fact(key, What::SpawnFailed, because, |r| r.why = Some(why));
    }

    fn plan_life(&mut self, key: Key, stamp: u64) {
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        let spec = process.spec.clone();
        let life = spec
            .life
            .get(process.lives % spec.life.len().max(1))
            .cloned()
            .unwrap_or_default();
        process.lives += 1;
        let chatter = spec
            .log
            .as_ref()
            .and_then(|log| log.every.draw(&mut process.dice));
        if let Some(run) = life.run.draw(&mut process.dice) {
            let (end, because) = life.end();
            let (signal, number) = parts(end);
            let outside = because == Because::OutsideSignal;
            let alarm = if spec.daemon {
                Alarm::DaemonEnds {
                    signal,
                    number,
                    outside,
                }
            } else {
                Alarm::OwnEnd {
                    signal,
                    number,
                    outside,
                }
            };
            self.plan(run, key, stamp, alarm);
        }
        if spec.daemon {
            self.plan(LAUNCHER, key, stamp, Alarm::Launched);
        }
        if let Some(probe) = &spec.ready {
            self.plan(probe.delay + PROBE_TAKES, key, stamp, Alarm::Probe);
        }
        if let Some(line) = &spec.ready_log_line {
            self.plan(line.after, key, stamp, Alarm::LogReady);
        }
        if let Some(every) = chatter {
            self.plan(every, key, stamp, Alarm::Chatter);
        }
    }

    /// A program ends, whoever ended it.
    pub(super) fn program_ends(&mut self, key: Key, exit: Exit, because: Because) {
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        let pid = process.shown.pid;
        process.shown.exit_code = exit.shown();
        self.fact(key, What::Exited, because, |r| {
            r.pid = Some(pid);
            r.exit = Some(exit);
        });
        self.ended(key, exit.shown());
    }

    /// Decides what follows an end: another life after a while, or none.
    pub(super) fn ended(&mut self, key: Key, code: i32) {
        let (now, stamp) = (self.now, self.number());
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        let Some(run) = process.run.as_mut() else {
            return;
        };
        let spec = process.spec.clone();
        let wanted = match spec.restart {
            Policy::No => false,
            Policy::Always => true,
            Policy::OnFailure => !spec.is_success(code),
        };
        let budget = spec.max_restarts == 0 || process.shown.restarts < spec.max_restarts;
        process.shown.exit_code = code;
        if wanted && budget && matches!(run.ending, None | Some(Because::ReadinessKill)) {
            run.stage = Stage::Backoff;
            run.stamp = stamp;
            run.ending = None;
            process.shown.status = Status::Restarting;
            process.shown.health = Health::Unknown;
            // Told with the old count; the new one follows in a second step.
            self.frame(key);
            if let Some(process) = self.processes.get_mut(&key) {
                process.shown.restarts += 1;
            }
            return self.plan(
                spec.backoff.max(LEAST_BACKOFF),
                key,
                stamp,
                Alarm::BackoffOver,
            );
        }
        process.run = None;
        process.shown.status = Status::Completed;
        process.shown.ended = Some(now);
        process.shown.seen_running = false;
        self.frame(key);
    }
}

pub(super) const fn parts(exit: Exit) -> (bool, i32) {
    match exit {
        Exit::Code(number) => (false, number),
        Exit::Signal(number) => (true, number),
    }
}
