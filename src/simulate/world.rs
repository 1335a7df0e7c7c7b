//! The model: processes and what happens to them. Pure: time is an argument, nothing sleeps, nothing is sent.
//!
//! Whatever is due happens at its own moment and in order ([`World::advance`]), and leaves outputs behind: frames for
//! the state stream, log lines, facts for the truth, answers for those who wait. Two worlds with the same stack, seed and
//! commands tell the same truth, however often somebody looks at them; looking has dice of its own.

mod command;
mod errand;
mod health;
mod life;
mod namespace;
mod process;
mod project;
mod scale;
mod script;
mod watch;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};

use self::errand::{Errand, Then};
pub(super) use self::process::{Process, Shown, Stage, Status, health_word};
use super::profile::{Feature, Profile};
use super::script::Stack;
use super::truth::{Because, Exit, Record, What};

/// A process of this world, whatever its name is at the moment.
pub(super) type Key = u64;

/// Somebody who waits for an answer.
pub type Ticket = u64;

/// What a world is made of besides its stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// The release that is played.
    pub profile: Profile,
    /// The project's name, `host/folder`.
    pub project: String,
    /// The name of the stack file as the API shows it.
    pub file: String,
    /// Dice.
    pub seed: u64,
    /// Every length of time in the stack is divided by this.
    pub speed: f64,
    /// Chance between 0 and 1 that a look at a process is torn.
    pub torn: f64,
    /// The wall clock at the beginning.
    pub wall: DateTime<Utc>,
}

/// Something that left the world.
#[derive(Debug)]
pub(super) enum Output {
    /// A frame for the state stream, as stale as the real ones.
    Frame { name: String, state: String },
    /// A line for those who follow a log.
    Line {
        log: u64,
        name: String,
        text: String,
    },
    /// A fact.
    Fact(Record),
    /// An answer for those who hold this ticket.
    Answer(Ticket),
    /// Whether the server is there, and if not, whether it will be again.
    Presence { here: bool, returns: bool },
    /// The script wants the configuration read again, from this file or the same as before.
    Reread(Option<String>),
}

/// Why a request was refused, in the words the API uses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub(super) String);

/// A request that was taken: done already, or answered when the ticket comes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Done.
    Now,
    /// To be answered.
    Later(Ticket),
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Timer {
    due: Duration,
    order: u64,
    key: Key,
    stamp: u64,
    alarm: Alarm,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    OwnEnd {
        signal: bool,
        number: i32,
        outside: bool,
    },
    StopAnswered {
        signal: bool,
        number: i32,
    },
    StopTimeout,
    Probe,
    LogReady,
    Launched,
    DaemonEnds {
        signal: bool,
        number: i32,
        outside: bool,
    },
    Liveness,
    BackoffOver,
    Tick,
    FileChanged(String),
    Chatter,
    Errand,
    Step,
    ServerBack,
}

/// A run whose process no longer knows of it: it was not waited for.
#[derive(Debug)]
struct Orphan {
    name: String,
    namespace: String,
    pid: u32,
    because: Because,
}

/// The world.
#[derive(Debug)]
pub struct World {
    pub(super) rules: Rules,
    pub(super) stack: Stack,
    pub(super) processes: BTreeMap<Key, Process>,
    pub(super) names: HashMap<String, Key>,
    pub(super) ghosts: HashMap<String, Shown>,
    pub(super) here: bool,
    pub(super) booted: Duration,
    pub(super) skew: i64,
    pub(super) process_num: usize,
    pub(super) looks: fastrand::Rng,
    now: Duration,
    timers: BinaryHeap<Reverse<Timer>>,
    waiting: BTreeSet<Key>,
    errands: BTreeMap<Ticket, Errand>,
    orphans: HashMap<u64, Orphan>,
    outputs: Vec<Output>,
    pids: fastrand::Rng,
    next_pid: u32,
    next_number: u64,
    server_pid: u32,
}

impl World {
    /// A world whose server starts at time 0.
    pub fn new(stack: Stack, rules: Rules) -> Self {
        let mut world = Self {
            processes: BTreeMap::new(),
            names: HashMap::new(),
            ghosts: HashMap::new(),
            here: false,
            booted: Duration::ZERO,
            skew: 0,
            process_num: 0,
            looks: fastrand::Rng::with_seed(rules.seed ^ 0x1007),
            now: Duration::ZERO,
            timers: BinaryHeap::new(),
            waiting: BTreeSet::new(),
            errands: BTreeMap::new(),
            orphans: HashMap::new(),
            outputs: Vec::new(),
            pids: fastrand::Rng::with_seed(rules.seed ^ 0x91d5),
            next_pid: 20_000,
            next_number: 1,
            server_pid: 0,
            rules,
            stack,
        };
        world.plan_script();
        world.boot(Because::Boot);
        world.settle();
        world
    }

    /// Lets everything happen that is due at `now`, each at its own moment.
    pub fn advance(&mut self, now: Duration) {
        while let Some(Reverse(timer)) = self.timers.peek() {
            if timer.due > now {
                break;
            }
            let Some(Reverse(timer)) = self.timers.pop() else {
                break;
            };
            self.now = self.now.max(timer.due);
            self.ring(timer);
            self.settle();
        }
        self.now = self.now.max(now);
    }

    /// When something happens next by itself.
    pub fn next_due(&self) -> Option<Duration> {
        self.timers.peek().map(|Reverse(timer)| timer.due)
    }

    /// Time as this world last heard of it.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// The facts that were left behind since the last call; frames and answers are dropped. For tests of the model.
    pub fn take_facts(&mut self) -> Vec<Record> {
        let facts = self.outputs.drain(..).filter_map(|output| {
            if let Output::Fact(record) = output {
                Some(record)
            } else {
                None
            }
        });
        facts.collect()
    }

    pub(super) fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    pub(super) fn has(&self, feature: Feature) -> bool {
        self.rules.profile.has(feature)
    }

    /// The wall clock at a moment of this world.
    pub(super) fn wall(&self, at: Duration) -> DateTime<Utc> {
        self.rules.wall + at
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn draw_pid(&mut self) -> u32 {
        self.next_pid += self.pids.u32(1..=9);
        self.next_pid
    }

    /// A length of the stack file in the time of this world.
    fn paced(&self, length: Duration) -> Duration {
        if length == Duration::MAX {
            length
        } else {
            length.div_f64(self.rules.speed)
        }
    }

    fn plan(&mut self, after: Duration, key: Key, stamp: u64, alarm: Alarm) {
        let (Some(due), order) = (self.now.checked_add(self.paced(after)), self.number()) else {
            return;
        };
        self.timers.push(Reverse(Timer {
            due,
            order,
            key,
            stamp,
            alarm,
        }));
    }

    fn plan_at(&mut self, due: Duration, key: Key, stamp: u64, alarm: Alarm) {
        let order = self.number();
        self.timers.push(Reverse(Timer {
            due,
            order,
            key,
            stamp,
            alarm,
        }));
    }

    fn ring(&mut self, timer: Timer) {
        let Timer {
            key, stamp, alarm, ..
        } = timer;
        match alarm {
            Alarm::Errand => return self.finish_errand(key),
            Alarm::Step => return self.step(usize::try_from(key).unwrap_or(usize::MAX)),
            Alarm::ServerBack => return self.boot(Because::UserStart),
            Alarm::Tick => return self.tick(key, stamp),
            Alarm::FileChanged(path) => return self.file_changed(key, &path),
            Alarm::StopAnswered { signal, number } if self.orphans.contains_key(&stamp) => {
                return self.orphan_ends(stamp, exit(signal, number));
            }
            Alarm::StopTimeout if self.orphans.contains_key(&stamp) => {
                return self.orphan_ends(stamp, Exit::Signal(9));
            }
            _ => {}
        }
        if self
            .processes
            .get(&key)
            .and_then(|p| p.run.as_ref())
            .is_none_or(|run| run.stamp != stamp)
        {
            return;
        }
        match alarm {
            Alarm::OwnEnd {
                signal,
                number,
                outside,
            } => self.program_ends(key, exit(signal, number), cause(outside)),
            Alarm::StopAnswered { signal, number } => self.stop_answered(key, exit(signal, number)),
            Alarm::StopTimeout => self.stop_answered(key, Exit::Signal(9)),
            Alarm::Probe => self.probe(key, stamp),
            Alarm::LogReady => self.log_ready(key),
            Alarm::Launched => self.launched(key, stamp),
            Alarm::DaemonEnds {
                signal,
                number,
                outside,
            } => self.daemon_ends(key, exit(signal, number), cause(outside)),
            Alarm::Liveness => self.liveness(key, stamp),
            Alarm::BackoffOver => self.spawn(key, Because::Policy),
            Alarm::Chatter => self.chatter(key, stamp),
            _ => {}
        }
    }

    /// Lets those go on whose conditions have come true.
    pub(super) fn settle(&mut self) {
        loop {
            let moved = self.settle_waiting();
            if !self.settle_errands() && !moved {
                break;
            }
        }
        self.leave_when_empty();
    }

    fn orphan_ends(&mut self, stamp: u64, exit: Exit) {
        let Some(orphan) = self.orphans.remove(&stamp) else {
            return;
        };
        let mut record = self.record(What::Exited, orphan.because);
        record.process = Some(orphan.name);
        record.namespace = Some(orphan.namespace);
        record.pid = Some(orphan.pid);
        record.exit = Some(exit);
        self.outputs.push(Output::Fact(record));
    }

    fn record(&self, what: What, because: Because) -> Record {
        let t_ms = u64::try_from(self.now.as_millis()).unwrap_or(u64::MAX);
        let at = super::view::stamp(self.wall(self.now));
        Record {
            t_ms,
            at,
            process: None,
            namespace: None,
            what,
            pid: None,
            exit: None,
            because,
            launcher: None,
            from: None,
            dependency: None,
            why: None,
        }
    }

    /// Tells a fact about a process; `with` adds what else is known.
    fn fact(&mut self, key: Key, what: What, because: Because, with: impl FnOnce(&mut Record)) {
        let mut record = self.record(what, because);
        if let Some(process) = self.processes.get(&key) {
            record.process = Some(process.name.clone());
            record.namespace = Some(process.spec.namespace.first().to_owned());
        }
        with(&mut record);
        self.outputs.push(Output::Fact(record));
    }

    /// Publishes the state as it is kept, which is not always as it is.
    fn frame(&mut self, key: Key) {
        let Some(process) = self.processes.get(&key) else {
            return;
        };
        let state = super::view::kept(self, process);
        self.outputs.push(Output::Frame {
            name: process.name.clone(),
            state,
        });
    }
}

pub(super) const fn exit(signal: bool, number: i32) -> Exit {
    if signal {
        Exit::Signal(number)
    } else {
        Exit::Code(number)
    }
}

const fn cause(outside: bool) -> Because {
    if outside {
        Because::OutsideSignal
    } else {
        Because::OwnExit
    }
}

#[cfg(test)]
mod tests;
