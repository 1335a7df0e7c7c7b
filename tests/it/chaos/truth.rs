//! What really happened, as the played servers wrote it down: one file per run of the server.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

/// Milliseconds since 1970.
pub(super) type Time = i64;

/// One run of the server.
#[derive(Debug, Clone)]
pub(super) struct Epoch {
    /// When it began.
    pub(super) begun: Time,
}

/// One run of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Life {
    /// The server's run it belongs to, from 0.
    pub(super) epoch: usize,
    pub(super) pid: i64,
    pub(super) begun: Time,
    /// Why it began.
    pub(super) because: String,
    pub(super) end: Option<Death>,
    /// When it became ready (true) or was found not to be, in order.
    pub(super) health: Vec<(Time, bool)>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Death {
    pub(super) at: Time,
    /// The number the API shows: −1 for a signal.
    pub(super) code: i64,
    /// Why; empty where the server was gone with it.
    pub(super) because: String,
}

impl Death {
    /// Whether the server itself was ended and nobody knows more.
    pub(super) fn is_unwritten(&self) -> bool {
        self.because.is_empty()
    }
}

/// An older store that took the place of what the broker kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Restore {
    /// When it was copied: what was told by then is in it.
    pub(super) copied: Time,
    /// When the broker began again with it.
    pub(super) restored: Time,
    /// How many events the reader had been shown before it was copied.
    pub(super) shown: usize,
}

/// Everything that happened.
#[derive(Debug, Clone, Default)]
pub(super) struct Truth {
    pub(super) epochs: Vec<Epoch>,
    /// The lives of each process, in order.
    pub(super) lives: BTreeMap<String, Vec<Life>>,
    /// The restarts that were decided on and called off.
    pub(super) cancelled: Vec<(String, Time)>,
    /// The older stores that came back, each copied after the one before had come back.
    pub(super) restores: Vec<Restore>,
}

/// The time of a wall clock's text.
pub(super) fn time(text: &str) -> Time {
    let at: DateTime<chrono::FixedOffset> = text.parse().unwrap();
    at.with_timezone(&Utc).timestamp_millis()
}

impl Truth {
    /// Adds a run of the server: the text of its truth file, and when it was ended from outside; its processes ended with
    /// it then, and nobody wrote that down.
    pub(super) fn add(&mut self, text: &str, over: Option<Time>) {
        let number = self.epochs.len();
        let mut begun = None;
        // A server that was killed may have left half a line.
        for fact in text
            .lines()
            .map_while(|line| serde_json::from_str(line).ok())
        {
            let fact: Value = fact;
            let at = time(fact["at"].as_str().unwrap());
            begun.get_or_insert(at);
            self.fact(number, at, &fact);
        }
        let begun = begun.expect("a truth that begins");
        self.epochs.push(Epoch { begun });
        let Some(over) = over else { return };
        for life in self.lives.values_mut().flatten() {
            if life.epoch == number {
                life.end.get_or_insert(Death {
                    at: over,
                    code: -1,
                    because: String::new(),
                });
            }
        }
    }

    fn fact(&mut self, epoch: usize, at: Time, fact: &Value) {
        let Some(name) = fact["process"].as_str() else {
            return;
        };
        let pid = fact["pid"].as_i64();
        let because = fact["because"].as_str().unwrap_or_default().to_owned();
        let lives = self.lives.entry(name.to_owned()).or_default();
        let newest = lives
            .last_mut()
            .filter(|life| Some(life.pid) == pid && life.epoch == epoch);
        match (fact["what"].as_str().unwrap(), newest) {
            ("spawned", None) => lives.push(Life {
                epoch,
                pid: pid.unwrap(),
                begun: at,
                because,
                end: None,
                health: Vec::new(),
            }),
            ("exited", Some(life)) if life.end.is_none() => {
                let code = fact["exit"]["code"].as_i64().unwrap_or(-1);
                life.end = Some(Death { at, code, because });
            }
            ("became_ready", Some(life)) => life.health.push((at, true)),
            ("became_unready", Some(life)) => life.health.push((at, false)),
            ("cancelled", _) => self.cancelled.push((name.to_owned(), at)),
            (what, _) => panic!("the truth tells what this harness does not know: {what}: {fact}"),
        }
    }

    /// How many beginnings, ends and changes of health.
    pub(super) fn facts(&self) -> usize {
        let of = |life: &Life| {
            let written = life.end.as_ref().is_some_and(|end| !end.is_unwritten());
            1 + usize::from(written) + life.health.len()
        };
        self.lives.values().flatten().map(of).sum()
    }
}
