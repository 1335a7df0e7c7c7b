//! Figures of lives that were made up: by hand, where every figure is known, and at random, where they must add up.

mod laws;
mod tables;
mod veiled;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::fold::Stats;
use super::report::{Question, Range, Report};
use crate::event::envelope::Envelope;
use crate::event::payload::State;
use crate::event::sieve::LeftOut;

/// So many seconds after the beginning of the range.
pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    let begin: DateTime<Utc> = "2026-08-20T12:00:00Z".parse().unwrap();
    begin + TimeDelta::seconds(seconds)
}

/// A journal of one source that is being written.
pub(super) struct Journal {
    stats: Stats,
    source: &'static str,
    name: String,
    pub(super) seq: u64,
}

impl Journal {
    /// Of a range of so many seconds.
    pub(super) fn of(seconds: i64) -> Self {
        Self {
            stats: Stats::new(Range {
                from: at(0),
                to: at(seconds),
            }),
            source: "shop",
            name: "j".to_owned(),
            seq: 0,
        }
    }

    /// Goes on with another source.
    pub(super) fn source(&mut self, source: &'static str) {
        self.source = source;
        self.seq = 0;
    }

    /// Goes on in another journal.
    pub(super) fn anew(&mut self, name: &str) {
        name.clone_into(&mut self.name);
        self.seq = 0;
    }

    pub(super) fn tell(&mut self, seconds: i64, kind: &str, process: &str, more: Value) {
        self.seq += 1;
        let time = at(seconds).to_rfc3339();
        let mut event = json!({
            "type": kind, "timestamp": time, "subject": "s", "severity": "info", "schema": 1, "id": "i",
            "source": self.source, "journal": self.name, "seq": self.seq, "origin": "change", "reason": "r",
            "certainty": "certain", "occurred": {"before": time}, "count": 1,
        });
        if !process.is_empty() {
            let (namespace, name) = process.split_once('/').unwrap_or(("default", process));
            event["process"] = name.into();
            event["namespace"] = namespace.into();
            event["state"] = serde_json::to_value(state(process)).unwrap();
            event["previous"] =
                json!({"status": "Running", "is_ready": "-", "restarts": 0, "pid": 7});
        }
        let Value::Object(more) = more else {
            panic!("{more} is no object")
        };
        for (key, value) in more {
            event[key] = value;
        }
        let event = Envelope::parse(event.to_string().as_bytes()).unwrap();
        self.stats.see(&event);
    }

    /// The stretch that nobody looked at.
    pub(super) fn gap(&mut self, from: Option<i64>, to: i64) {
        let from = from.map(|from| at(from).to_rfc3339());
        let gap = json!({"from": from, "to": at(to).to_rfc3339(), "why": "adapter_down"});
        self.tell(to, "gap", "", json!({ "gap": gap }));
    }

    /// The source is looked at until then, and the process stands so.
    pub(super) fn stands(&mut self, process: &str, up: bool) {
        self.stands_at(process, up, 0);
    }

    /// The same, where so many events are behind it, told or not.
    pub(super) fn stands_at(&mut self, process: &str, up: bool, number: u64) {
        self.stats
            .stands(self.source, &state(process), (up, number));
    }

    /// The head says what is not told.
    pub(super) fn leaves_out(&mut self, left_out: &LeftOut) {
        self.stats.leaves_out(self.source, Some(left_out));
    }

    pub(super) fn looked_until(&mut self, seconds: i64) {
        self.stats.is_known_until(self.source, at(seconds));
    }

    pub(super) fn report(self, question: &Question) -> Report {
        self.stats.report(question)
    }

    /// The report by process, in four pieces.
    pub(super) fn told(self) -> Report {
        self.report(&Question {
            buckets: 4,
            ..Question::default()
        })
    }
}

pub(super) fn state(process: &str) -> State {
    let (namespace, name) = process.split_once('/').unwrap_or(("default", process));
    let state = json!({
        "name": name, "namespace": namespace, "status": "Running", "is_ready": "-", "has_ready_probe": false,
        "restarts": 0, "exit_code": 0, "is_running": true, "replicas": 1,
    });
    serde_json::from_value(state).unwrap()
}
