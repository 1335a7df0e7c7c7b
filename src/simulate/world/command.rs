//! What people ask of the server: start, stop, restart, signal, whole namespaces; and what others do behind its back.

use std::collections::BTreeMap;
use std::time::Duration;

use super::process::{Health, Stage, Status};
use super::{Alarm, Key, Refusal, Taken, Then, World};
use crate::simulate::truth::{Because, Exit, What};

use super::life::parts;

/// A restart waits so long between the stop and the start, at least.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// Signals whose default is to end a program, among those the API takes.
const DEADLY: [i32; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

/// What came of asking a process to end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    /// There was nothing to ask, or it is over already.
    Over,
    /// It will end.
    Ending(u64),
}

impl World {
    fn find(&self, name: &str) -> Result<Key, Refusal> {
        self.names
            .get(name)
            .copied()
            .ok_or_else(|| Refusal(format!("no such process: {name}")))
    }

    /// Starts a process that does not run; it may have to wait for others.
    ///
    /// # Errors
    ///
    /// Unknown, or running already (also while it waits, ends or is between two lives).
    pub fn start(&mut self, name: &str) -> Result<Taken, Refusal> {
        let key = self.find(name)?;
        if self
            .processes
            .get(&key)
            .is_none_or(|p| p.run.is_some() || p.spec.foreground)
        {
            return Err(Refusal(format!("process {name} is already running")));
        }
        self.arm(key);
        self.begin(key, Because::UserStart);
        self.settle();
        Ok(Taken::Now)
    }

    /// Asks a process to end; answered at once, or when it ended if the server waits for it.
    ///
    /// # Errors
    ///
    /// Unknown or not running; a daemon without a command that ends it.
    pub fn stop(&mut self, name: &str) -> Result<Taken, Refusal> {
        let key = self.find(name)?;
        let taken = self
            .stop_key(key, Because::UserStop)
            .map(|asked| self.until(key, asked, Then::Answer));
        self.settle();
        taken
    }

    pub(super) fn stop_key(&mut self, key: Key, because: Because) -> Result<Asked, Refusal> {
        let Some(process) = self.processes.get_mut(&key) else {
            return Err(Refusal("no such process".to_owned()));
        };
        let name = process.name.clone();
        let idle = process.run.is_none();
        let armed = process.next_run.is_some() || process.watch.armed;
        if because == Because::UserStop {
            process.next_run = None;
            process.watch.armed = false;
        }
        if idle {
            return if armed {
                Ok(Asked::Over)
            } else {
                Err(Refusal(format!("process {name} is not running")))
            };
        }
        if process.spec.daemon
            && !process.spec.stop.command
            && process.stage() != Some(Stage::Backoff)
        {
            process.shown.status = Status::Terminating;
            self.frame(key);
            return Err(Refusal(format!(
                "failed to stop process {name}: no such process"
            )));
        }
        Ok(self.terminate(key, because))
    }

    /// When the server waits for the end of a process, the answer waits with it.
    fn until(&mut self, key: Key, asked: Asked, then: Then) -> Taken {
        match asked {
            Asked::Ending(stamp) if self.is_waited_for(key) => {
                Taken::Later(self.errand(vec![(key, stamp)], Duration::ZERO, then))
            }
            Asked::Over | Asked::Ending(_) => Taken::Now,
        }
    }

    /// Asks a process to end, for whatever reason; does nothing where nothing runs.
    pub(super) fn terminate(&mut self, key: Key, because: Because) -> Asked {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&key) else {
            return Asked::Over;
        };
        let Some(run) = process.run.as_mut() else {
            return Asked::Over;
        };
        match run.stage {
            Stage::Waiting | Stage::Backoff => {
                // Nothing runs: a process that waits stays Terminating for good, one between two lives is Completed.
                process.shown.status = if run.stage == Stage::Waiting {
                    Status::Terminating
                } else {
                    Status::Completed
                };
                process.shown.ended = Some(now);
                process.run = None;
                self.waiting.remove(&key);
                self.frame(key);
                self.fact(key, What::Cancelled, because, |_| ());
                Asked::Over
            }
            Stage::Ending => {
                let stamp = run.stamp;
                if because != Because::ReadinessKill {
                    run.ending = Some(because);
                }
                Asked::Ending(stamp)
            }
            Stage::Up => {
                run.stage = Stage::Ending;
                run.ending = Some(because);
                let stamp = run.stamp;
                process.shown.status = Status::Terminating;
                process.shown.health = Health::Unknown;
                self.frame(key);
                self.plan_end(key, stamp);
                Asked::Ending(stamp)
            }
        }
    }

    fn plan_end(&mut self, key: Key, stamp: u64) {
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        process.shown.seen_running = false;
        let stop = process.spec.stop.clone();
        let takes = stop.takes.draw(&mut process.dice);
        let daemon = process.spec.daemon;
        let (signal, number) = parts(stop.end());
        if let (Some(takes), false) = (takes, stop.ignores) {
            self.plan(takes, key, stamp, Alarm::StopAnswered { signal, number });
        }
        let limit = stop
            .timeout
            .or_else(|| daemon.then_some(Duration::from_secs(10)));
        if let Some(limit) = limit {
            self.plan(limit, key, stamp, Alarm::StopTimeout);
        }
    }

    pub(super) fn stop_answered(&mut self, key: Key, exit: Exit) {
        let Some(process) = self.processes.get(&key) else {
            return;
        };
        let because = process
            .run
            .as_ref()
            .and_then(|run| run.ending)
            .unwrap_or(Because::UserStop);
        // A daemon that is still being launched is only its launcher.
        if process.has_launched() {
            self.daemon_ends(key, exit, because);
            return self.ended(key, 0);
        }
        self.program_ends(key, exit, because);
    }

    /// Stops a process if it runs, waits a while, starts it. Answered when it is started; calls that overlap are one.
    ///
    /// # Errors
    ///
    /// Unknown, or a daemon that cannot be stopped.
    pub fn restart(&mut self, name: &str) -> Result<Taken, Refusal> {
        let key = self.find(name)?;
        let Some(process) = self.processes.get(&key) else {
            return Err(Refusal(format!("no such process: {name}")));
        };
        if let Some(ticket) = process.restart {
            return Ok(Taken::Later(ticket));
        }
        let pause = process.spec.backoff.max(LEAST_PAUSE);
        let waits = self.is_waited_for(key);
        if process.run.is_none() {
            self.arm(key);
            self.begin(key, Because::UserRestart);
            self.settle();
            return Ok(Taken::Now);
        }
        let stamps = match self.stop_key(key, Because::UserRestart)? {
            Asked::Ending(stamp) if waits => vec![(key, stamp)],
            Asked::Ending(_) | Asked::Over => Vec::new(),
        };
        let ticket = self.errand(
            stamps,
            pause,
            Then::Begin {
                keys: vec![key],
                because: Because::UserRestart,
            },
        );
        if let Some(process) = self.processes.get_mut(&key) {
            process.restart = Some(ticket);
        }
        self.settle();
        Ok(Taken::Later(ticket))
    }

    /// Stops several processes; what became of each, by name, and whether all went well.
    pub fn stop_many(&mut self, names: &[String]) -> (BTreeMap<String, String>, bool, Taken) {
        let (mut answers, mut well, mut waits) = (BTreeMap::new(), true, Vec::new());
        for name in names {
            let asked = match self.names.get(name).copied() {
                None => Err(Refusal(format!("process {name} does not exist"))),
                Some(key) => self
                    .stop_key(key, Because::UserStop)
                    .map(|asked| (key, asked)),
            };
            let answer = match asked {
                Ok((key, Asked::Ending(stamp))) if self.is_waited_for(key) => {
                    waits.push((key, stamp));
                    "ok".to_owned()
                }
                Ok(_) => "ok".to_owned(),
                Err(refusal) => {
                    well = false;
                    refusal.0
                }
            };
            answers.insert(name.clone(), answer);
        }
        let taken = if waits.is_empty() {
            Taken::Now
        } else {
            Taken::Later(self.errand(waits, Duration::ZERO, Then::Answer))
        };
        self.settle();
        (answers, well, taken)
    }

    /// Whether the server waits for the end of this process before it answers.
    fn is_waited_for(&self, key: Key) -> bool {
        self.processes
            .get(&key)
            .is_some_and(|p| p.spec.stop.timeout.is_some() || p.spec.daemon)
    }

    /// Sends a signal through the server.
    ///
    /// # Errors
    ///
    /// Unknown, not running, or no number from 0 to 22.
    pub fn signal(&mut self, name: &str, signal: i64) -> Result<Taken, Refusal> {
        let number = i32::try_from(signal).ok().filter(|n| (0..=22).contains(n));
        let number =
            number.ok_or_else(|| Refusal(format!("signal {signal} is out of range 0-22")))?;
        let key = self.find(name)?;
        let stage = self.processes.get(&key).and_then(super::Process::stage);
        if !matches!(stage, Some(Stage::Up | Stage::Ending)) {
            return Err(Refusal(format!("process {name} is not running")));
        }
        if number == 15 {
            let (end, ignores) = self
                .processes
                .get(&key)
                .map_or((Exit::Signal(15), false), |p| {
                    (p.spec.stop.end(), p.spec.stop.ignores)
                });
            if !ignores {
                self.die(key, end, Because::UserSignal);
            }
        } else if DEADLY.contains(&number) {
            self.die(key, Exit::Signal(number), Because::UserSignal);
        }
        self.settle();
        Ok(Taken::Now)
    }

    /// Ends a program behind the server's back: by itself or by a signal from outside.
    ///
    /// # Errors
    ///
    /// Unknown or not running.
    pub fn end(&mut self, name: &str, exit: Exit, because: Because) -> Result<(), Refusal> {
        let key = self.find(name)?;
        let stage = self.processes.get(&key).and_then(super::Process::stage);
        if !matches!(stage, Some(Stage::Up | Stage::Ending)) {
            return Err(Refusal(format!("process {name} is not running")));
        }
        self.die(key, exit, because);
        self.settle();
        Ok(())
    }

    fn die(&mut self, key: Key, exit: Exit, because: Because) {
        if self
            .processes
            .get(&key)
            .is_some_and(super::Process::has_launched)
        {
            self.daemon_ends(key, exit, because);
        } else {
            self.program_ends(key, exit, because);
        }
    }

    /// Makes the readiness probe of a process succeed or fail from now on; `None` gives it back to its script.
    ///
    /// # Errors
    ///
    /// Unknown, or without a readiness probe.
    pub fn set_ready(&mut self, name: &str, ready: Option<bool>) -> Result<(), Refusal> {
        let key = self.find(name)?;
        let process = self
            .processes
            .get_mut(&key)
            .filter(|p| p.spec.ready.is_some());
        let process =
            process.ok_or_else(|| Refusal(format!("process {name} has no readiness probe")))?;
        process.forced = ready;
        Ok(())
    }

    /// Empties the log of a process.
    ///
    /// # Errors
    ///
    /// Unknown.
    pub fn truncate_log(&mut self, name: &str) -> Result<Taken, Refusal> {
        let key = self.find(name)?;
        if let Some(process) = self.processes.get_mut(&key) {
            process.lines.clear();
        }
        Ok(Taken::Now)
    }
}
