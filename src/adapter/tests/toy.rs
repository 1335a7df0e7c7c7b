//! A domain of counters that grow, and a source of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::event::payload::{CERTAIN, Kind, Occurred, Payload, Previous, Severity, State};
use crate::event::tell::{Restored, RowError, Rows, Tell};

/// A counter grew: the domain's one kind of event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grown {
    pub(crate) key: String,
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) number: u64,
    pub(crate) at: DateTime<Utc>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) rows: BTreeMap<String, Counter>,
    pub(crate) resync: bool,
    pub(crate) first: bool,
    pub(crate) epoch: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counter {
    pub(crate) key: String,
    pub(crate) value: i64,
    pub(crate) told: u64,
    pub(crate) memory: u64,
    pub(crate) padding: String,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Toy;

impl Tell for Toy {
    type Event = Grown;

    fn key<'e>(&self, event: &'e Grown) -> &'e str {
        &event.key
    }

    fn tell<'e>(&self, event: &'e Grown) -> Cow<'e, Payload> {
        Cow::Owned(Payload {
            kind: Kind::Restarted,
            severity: Severity::Warning,
            state: State {
                name: event.key.clone(),
                namespace: "toy".into(),
                status: "Running".into(),
                is_ready: "-".into(),
                has_ready_probe: false,
                restarts: event.to,
                exit_code: 0,
                is_running: true,
                replicas: 1,
                group: None,
                replica: None,
                namespaces: Vec::new(),
                pid: None,
                age_ms: None,
                mem_bytes: None,
                cpu_percent: None,
                started_at: None,
                ready_at: None,
                ended_at: None,
            },
            reason: "policy".into(),
            certainty: CERTAIN,
            occurred: Occurred {
                after: None,
                before: event.at,
                at: None,
            },
            exit: None,
            count: 1,
            previous: Some(Previous {
                restarts: event.from,
                ..Previous::default()
            }),
            process_seq: event.number,
        })
    }
}

impl Rows for Toy {
    type State = Counters;

    fn visit(&self, state: &Counters, each: &mut dyn FnMut(&str, u64)) {
        for (key, row) in &state.rows {
            each(key, row.told * 1_000_000 + row.memory + 1);
        }
    }

    fn encode(&self, state: &Counters, key: &str, out: &mut Vec<u8>) {
        serde_json::to_writer(out, &state.rows[key]).unwrap();
    }

    fn decode(
        &self,
        rows: &mut dyn Iterator<Item = &[u8]>,
        restored: Restored<'_>,
    ) -> Result<Counters, RowError> {
        let mut state = Counters {
            resync: restored.resync,
            first: restored.first,
            epoch: restored.epoch.into(),
            rows: BTreeMap::new(),
        };
        for row in rows {
            let row: Counter = serde_json::from_slice(row).map_err(RowError)?;
            assert!(state.rows.insert(row.key.clone(), row).is_none());
        }
        Ok(state)
    }

    fn covers(&self, theirs: &[u8], ours: &[u8]) -> bool {
        let read = |row| serde_json::from_slice::<Counter>(row).unwrap();
        let (theirs, ours) = (read(theirs), read(ours));
        theirs.told >= ours.told && theirs.value >= ours.value
    }
}

/// What is watched.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) values: BTreeMap<String, i64>,
    pub(crate) epoch: &'static str,
    pub(crate) padding: usize,
}

pub(crate) const EPOCH: &str = "2026-08-20T07:00:00.000Z";
pub(crate) const LATER: &str = "2026-08-20T08:00:00.000Z";

impl Source {
    pub(crate) fn new(values: &[(&str, i64)]) -> Self {
        Self {
            values: values.iter().map(|&(k, v)| (k.to_owned(), v)).collect(),
            epoch: EPOCH,
            padding: 0,
        }
    }

    pub(crate) fn grow(&mut self, key: &str) {
        *self.values.entry(key.to_owned()).or_default() += 1;
    }
}

#[derive(Debug)]
pub(crate) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}
