//! A small world of processes under a supervisor: it lives at random and knows what really happened.

use fastrand::Rng;

use crate::process::evidence::Frame;
use crate::process::phase::Health;

use super::stage::{Seen, at, named, phase};

/// What really happened to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    /// A run began; by the policy, or because somebody asked.
    Began { by_policy: bool },
    /// A run ended badly.
    Crashed,
    /// A run ended in order.
    Stopped,
}

/// What may happen in a world besides lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Processes stay what they are called.
    Settled,
    /// Processes come, go and are renamed, too.
    Restless,
}

#[derive(Debug, Clone)]
struct Process {
    name: String,
    status: &'static str,
    health: Health,
    pid: i64,
    restarts: i64,
    code: i64,
    has_policy: bool,
    /// When it does the next thing.
    next_ms: i64,
}

/// The world.
pub(super) struct World {
    rng: Rng,
    kind: Kind,
    now_ms: i64,
    processes: Vec<Process>,
    pids: i64,
    named: u32,
    sent: u64,
    /// Frames that nobody has taken yet, each with its name, in order of arrival.
    pub(super) frames: Vec<(String, Frame)>,
    /// What happened, with the name it happened to.
    pub(super) truth: Vec<(String, Truth)>,
}

impl World {
    pub(super) fn new(seed: u64, kind: Kind) -> Self {
        let mut world = Self {
            rng: Rng::with_seed(seed),
            kind,
            now_ms: 0,
            processes: Vec::new(),
            pids: 100,
            named: 0,
            sent: 0,
            frames: Vec::new(),
            truth: Vec::new(),
        };
        for _ in 0..world.rng.usize(1..4) {
            world.add();
        }
        world.truth.clear();
        world.frames.clear();
        world
    }

    /// What a look is shown, in an order of the world's own.
    pub(super) fn look(&mut self) -> Vec<Seen> {
        self.rng.shuffle(&mut self.processes);
        self.processes.iter().map(Process::seen).collect()
    }

    /// Lives on until then.
    pub(super) fn until(&mut self, ms: i64) {
        while let Some(at) = (0..self.processes.len()).min_by_key(|&i| self.processes[i].next_ms) {
            if self.processes[at].next_ms > ms {
                break;
            }
            self.now_ms = self.processes[at].next_ms;
            self.act(at);
        }
        self.now_ms = ms;
        if self.kind == Kind::Restless {
            self.upheaval();
        }
    }

    /// Nothing happens any more.
    pub(super) fn rest(&mut self) {
        for process in &mut self.processes {
            process.next_ms = i64::MAX;
        }
        self.kind = Kind::Settled;
    }

    fn upheaval(&mut self) {
        match self.rng.u8(0..8) {
            0 => self.add(),
            1 if !self.processes.is_empty() => {
                let gone = self.rng.usize(..self.processes.len());
                self.processes.swap_remove(gone);
            }
            2 if !self.processes.is_empty() => {
                let at = self.rng.usize(..self.processes.len());
                self.processes[at].name = self.new_name();
            }
            _ => {}
        }
    }

    fn new_name(&mut self) -> String {
        self.named += 1;
        let first = ["m", "a", "z"][self.rng.usize(..3)];
        format!("{first}{}", self.named)
    }

    fn add(&mut self) {
        let name = self.new_name();
        self.processes.push(Process {
            name,
            status: "Pending",
            health: Health::Unknown,
            pid: 0,
            restarts: 0,
            code: 0,
            has_policy: self.rng.bool(),
            next_ms: self.now_ms + self.rng.i64(1..3000),
        });
        if self.rng.bool() {
            self.begin(self.processes.len() - 1, false);
        }
    }

    fn act(&mut self, at: usize) {
        match (self.processes[at].status, self.rng.u8(0..10)) {
            ("Running", 0..2) => self.turn(at, Health::Ready),
            ("Running", 2) => self.turn(at, Health::NotReady),
            ("Running", 3..5) => {
                self.show(at, "Terminating");
                self.processes[at].health = Health::Unknown;
            }
            ("Running", n) => {
                let code = [0, 3, 137, -1][usize::from(n) % 4];
                self.end(at, code);
            }
            ("Terminating", _) => {
                self.processes[at].code = -1;
                self.tell(at, Truth::Stopped);
                self.show(at, "Completed");
            }
            ("Restarting", 0) => self.show(at, "Completed"),
            ("Restarting", _) => self.begin(at, true),
            _ => self.begin(at, false),
        }
        let process = &mut self.processes[at];
        let backoff = if process.status == "Restarting" {
            1000
        } else {
            305
        };
        process.next_ms = self.now_ms + backoff + self.rng.i64(0..3000);
    }

    fn begin(&mut self, at: usize, by_policy: bool) {
        self.pids += 1;
        let process = &mut self.processes[at];
        process.health = Health::Unknown;
        self.tell(at, Truth::Began { by_policy });
        self.show(at, "Running");
        self.processes[at].pid = self.pids;
    }

    fn end(&mut self, at: usize, code: i64) {
        self.processes[at].code = code;
        let ok = code == 0;
        self.tell(at, if ok { Truth::Stopped } else { Truth::Crashed });
        if self.processes[at].has_policy && !ok {
            self.processes[at].health = Health::Unknown;
            // The frame comes before the count.
            self.show(at, "Restarting");
            self.processes[at].restarts += 1;
        } else {
            self.show(at, "Completed");
        }
    }

    fn turn(&mut self, at: usize, health: Health) {
        if self.processes[at].health != health {
            self.processes[at].health = health;
            self.show(at, "Running");
        }
    }

    fn tell(&mut self, at: usize, truth: Truth) {
        self.truth.push((self.processes[at].name.clone(), truth));
    }

    /// Changes the status and sends the frame.
    fn show(&mut self, at_index: usize, status: &'static str) {
        self.sent += 1;
        let process = &mut self.processes[at_index];
        process.status = status;
        let frame = Frame {
            index: self.sent,
            at: at(self.now_ms),
            status: status.into(),
            phase: phase(status),
            health: process.health,
            restarts: process.restarts,
            exit_code: process.code,
            ended_at: None,
        };
        self.frames.push((process.name.clone(), frame));
    }
}

impl Process {
    fn seen(&self) -> Seen {
        let mut seen = named(&self.name, self.status)
            .restarts(self.restarts)
            .code(self.code);
        seen.0.health = self.health;
        seen.0.pid = Some(self.pid).filter(|pid| *pid > 0);
        seen
    }
}
