//! The world behind a lock, and everything that leaves it sent on its way.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::fault::{Fault, Trouble};
use super::settings::{Origin, Token};
use super::truth::{Record, TruthError, TruthFile};
use super::world::{Output, Refusal, Taken, Ticket, World};

/// Frames a connection may be behind, its snapshot included.
const STATES: usize = 256;

/// Log lines a connection may be behind.
const LINES: usize = 256;

/// Records kept for those who ask the control handle.
const REMEMBERED: usize = 100_000;

/// Whether the server is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Presence {
    pub here: bool,
    /// It will be here again.
    pub returns: bool,
    /// Somebody shut the door although the server is there.
    pub shut: bool,
}

struct States {
    only: HashSet<String>,
    to: mpsc::Sender<String>,
}

struct Lines {
    logs: HashMap<u64, String>,
    to: mpsc::Sender<String>,
}

struct Inner {
    world: World,
    file: Option<TruthFile>,
    broken: Option<TruthError>,
    remembered: Option<VecDeque<Record>>,
    states: Vec<States>,
    lines: Vec<Lines>,
    waiters: HashMap<Ticket, Vec<oneshot::Sender<()>>>,
    troubles: Vec<Trouble>,
    rereads: Vec<Option<String>>,
}

/// What all parts of a simulation share.
pub(super) struct Shared {
    inner: Mutex<Inner>,
    origin: Instant,
    /// The world changed, so the next alarm may be another one.
    pub wake: Notify,
    pub presence: watch::Sender<Presence>,
    pub token: Option<Token>,
    pub from: Origin,
    pub tasks: TaskTracker,
}

/// What is due besides the world's own alarms.
pub(super) struct Due {
    pub next: Option<Instant>,
    pub rereads: Vec<Option<String>>,
    pub broken: Option<TruthError>,
}

impl Shared {
    pub(super) fn new(
        world: World,
        from: Origin,
        token: Option<Token>,
        file: Option<TruthFile>,
        remember: bool,
        origin: Instant,
    ) -> Self {
        let inner = Inner {
            world,
            file,
            broken: None,
            remembered: remember.then(VecDeque::new),
            states: Vec::new(),
            lines: Vec::new(),
            waiters: HashMap::new(),
            troubles: Vec::new(),
            rereads: Vec::new(),
        };
        let presence = watch::Sender::new(Presence {
            here: true,
            returns: true,
            shut: false,
        });
        Self {
            inner: Mutex::new(inner),
            origin,
            wake: Notify::new(),
            presence,
            token,
            from,
            tasks: TaskTracker::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic under the lock leaves a world in which one step is unfinished; going on is better than a second panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the world at this moment.
    pub(super) fn act<R>(&self, deed: impl FnOnce(&mut World) -> R) -> R {
        let mut inner = self.lock();
        inner.world.advance(self.origin.elapsed());
        let result = deed(&mut inner.world);
        inner.world.settle();
        self.flush(&mut inner);
        drop(inner);
        self.wake.notify_one();
        result
    }

    /// Asks the world for something; the receiver, if any, says when it is done.
    pub(super) fn ask(
        &self,
        deed: impl FnOnce(&mut World) -> Result<Taken, Refusal>,
    ) -> Result<Option<oneshot::Receiver<()>>, Refusal> {
        let mut inner = self.lock();
        inner.world.advance(self.origin.elapsed());
        let taken = deed(&mut inner.world);
        let waiter = if let Ok(Taken::Later(ticket)) = &taken {
            let (done, wait) = oneshot::channel();
            inner.waiters.entry(*ticket).or_default().push(done);
            Some(wait)
        } else {
            None
        };
        self.flush(&mut inner);
        drop(inner);
        self.wake.notify_one();
        taken.map(|_| waiter)
    }

    /// Lets happen what is due, and tells what comes next.
    pub(super) fn tick(&self) -> Due {
        let mut inner = self.lock();
        inner.world.advance(self.origin.elapsed());
        self.flush(&mut inner);
        let next = inner.world.next_due().map(|due| self.origin + due);
        Due {
            next,
            rereads: std::mem::take(&mut inner.rereads),
            broken: inner.broken.take(),
        }
    }

    fn flush(&self, inner: &mut Inner) {
        for output in inner.world.take_outputs() {
            match output {
                Output::Fact(record) => inner.tell(record),
                Output::Frame { name, state } => inner.publish(&name, &state),
                Output::Line { log, name, text } => inner.chat(log, &name, &text),
                Output::Answer(ticket) => {
                    for waiter in inner.waiters.remove(&ticket).unwrap_or_default() {
                        if waiter.send(()).is_err() {
                            tracing::trace!("whoever asked went away before it was done");
                        }
                    }
                }
                Output::Presence { here, returns } => {
                    if !here {
                        inner.states.clear();
                        inner.lines.clear();
                        inner.waiters.clear();
                    }
                    self.presence
                        .send_modify(|p| (p.here, p.returns) = (here, returns));
                }
                Output::Reread(file) => inner.rereads.push(file),
            }
        }
    }

    /// Lets requests fail.
    pub(super) fn trouble(&self, trouble: Trouble) {
        self.lock().troubles.push(trouble);
    }

    /// Lets requests succeed again.
    pub(super) fn lift(&self) {
        self.lock().troubles.clear();
    }

    /// The fault a request to this path meets.
    pub(super) fn meets(&self, path: &str) -> Option<Fault> {
        Trouble::meet(&mut self.lock().troubles, path)
    }

    /// The records so far, if they are remembered.
    pub(super) fn remembered(&self) -> Vec<Record> {
        self.act(|_| ());
        self.lock().remembered.iter().flatten().cloned().collect()
    }

    /// Time since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Follows the states of these processes (all when none is named): first each as it is, then every change.
    pub(super) fn follow_states(&self, only: HashSet<String>) -> mpsc::Receiver<String> {
        let (to, from) = mpsc::channel(STATES);
        let mut inner = self.lock();
        inner.world.advance(self.origin.elapsed());
        self.flush(&mut inner);
        let keys: Vec<_> = inner
            .world
            .names
            .iter()
            .filter(|(name, _)| only.is_empty() || only.contains(*name))
            .map(|(_, key)| *key)
            .collect();
        let mut keys = keys;
        keys.sort_unstable();
        inner.world.looks.shuffle(&mut keys);
        for key in keys {
            let Some(state) = inner.world.look(key) else {
                continue;
            };
            if to
                .try_send(format!("{{\"snapshot\":true,\"state\":{state}}}"))
                .is_err()
            {
                // More processes than the buffer holds: the real server hangs up, having sent one frame at most.
                let (to, from) = mpsc::channel(1);
                drop(to.try_send(format!("{{\"snapshot\":true,\"state\":{state}}}")));
                return from;
            }
        }
        inner.states.push(States { only, to });
        from
    }

    /// Follows the logs of these processes, beginning `tail` lines before their ends; 0 is the whole buffer.
    pub(super) fn follow_logs(
        &self,
        names: &[String],
        tail: usize,
        follow: bool,
    ) -> mpsc::Receiver<String> {
        let (to, from) = mpsc::channel(LINES);
        let mut inner = self.lock();
        inner.world.advance(self.origin.elapsed());
        self.flush(&mut inner);
        let mut logs = HashMap::new();
        for name in names {
            let Some(process) = inner
                .world
                .names
                .get(name)
                .and_then(|key| inner.world.processes.get(key))
            else {
                continue;
            };
            logs.insert(process.log, name.clone());
            let skip = if tail == 0 {
                0
            } else {
                process.lines.len().saturating_sub(tail)
            };
            for line in process.lines.iter().skip(skip) {
                // A full buffer loses the line, and that is what the real one does to a long tail.
                drop(to.try_send(message(name, line)));
            }
            if !follow {
                break;
            }
        }
        if follow || logs.is_empty() {
            inner.lines.push(Lines { logs, to });
        }
        from
    }
}

fn message(name: &str, line: &str) -> String {
    serde_json::json!({"message": line, "process_name": name}).to_string()
}

impl Inner {
    fn tell(&mut self, record: Record) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.write(&record)
        {
            self.file = None;
            self.broken = Some(error);
        }
        if let Some(remembered) = &mut self.remembered {
            if remembered.len() == REMEMBERED {
                remembered.pop_front();
            }
            remembered.push_back(record);
        }
    }

    fn publish(&mut self, name: &str, state: &str) {
        // Whoever is too slow is dropped without a word.
        self.states.retain(|s| {
            let wanted = s.only.is_empty() || s.only.contains(name);
            !wanted || s.to.try_send(format!("{{\"state\":{state}}}")).is_ok()
        });
    }

    fn chat(&mut self, log: u64, name: &str, text: &str) {
        self.lines.retain(|l| !l.to.is_closed());
        for lines in self.lines.iter().filter(|l| l.logs.contains_key(&log)) {
            drop(lines.to.try_send(message(name, text)));
        }
    }
}
