//! Reads a recording of a real server for tests of the pure floor.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::process::evidence::Frame;
use crate::process::phase::{Health, Phase};
use crate::process::reading::{Configuration, Probe, Reading, Vitals};

/// One recording.
pub(super) struct Recording {
    pub(super) folder: PathBuf,
    pub(super) has_stream: bool,
    pub(super) sticky: bool,
    pub(super) zero: DateTime<Utc>,
    pub(super) end_ms: i64,
    looks: Vec<Value>,
    frames: Vec<(String, Frame)>,
    known: HashMap<String, Arc<Configuration>>,
    project: Vec<Value>,
}

pub(super) fn all() -> Vec<Recording> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut folders: Vec<_> = std::fs::read_dir(root)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir())
        .collect();
    folders.sort();
    folders.into_iter().map(Recording::open).collect()
}

fn rows(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

impl Recording {
    fn open(folder: PathBuf) -> Self {
        let meta: Value =
            serde_json::from_str(&std::fs::read_to_string(folder.join("meta.json")).unwrap())
                .unwrap();
        let info: HashMap<String, Value> =
            serde_json::from_str(&std::fs::read_to_string(folder.join("info.json")).unwrap())
                .unwrap();
        let zero = meta["t0"].as_str().unwrap().parse().unwrap();
        let looks = rows(&folder.join("looks.jsonl"));
        let frames = rows(&folder.join("states.jsonl"));
        let last = |rows: &[Value]| rows.last().map_or(0, |row| row["t_ms"].as_i64().unwrap());
        Self {
            has_stream: meta["states_ws"].as_bool().unwrap_or(true),
            sticky: meta["version"] != "v1.122.0",
            zero,
            end_ms: meta["end_ms"]
                .as_i64()
                .unwrap_or(0)
                .max(last(&looks))
                .max(last(&frames)),
            project: rows(&folder.join("project.jsonl")),
            known: info
                .into_iter()
                .map(|(name, info)| (name, Arc::new(configuration(&info))))
                .collect(),
            folder,
            looks,
            frames: Self::framed(zero, &frames),
        }
    }

    pub(super) fn at(&self, ms: i64) -> DateTime<Utc> {
        self.zero + TimeDelta::milliseconds(ms)
    }

    /// What a look at this moment is answered; `None` where nobody answers.
    pub(super) fn look(&self, ms: i64) -> Option<Vec<Reading<'_>>> {
        let at = self
            .looks
            .partition_point(|row| row["t_ms"].as_i64().unwrap() <= ms);
        let row = &self.looks[at.saturating_sub(1)];
        if !row["error"].is_null() || row["http"] != 200 {
            return None;
        }
        row["body"]["data"]
            .as_array()
            .map(|rows| rows.iter().map(reading).collect())
    }

    /// The start time of the server that answers at this moment.
    pub(super) fn epoch(&self, ms: i64) -> String {
        let at = self
            .project
            .partition_point(|row| row["t_ms"].as_i64().unwrap() <= ms)
            .saturating_sub(1);
        let good = |row: &&Value| row["body"].is_object();
        let row = if self.project[at]["body"].is_object() {
            Some(&self.project[at])
        } else {
            self.project[at..]
                .iter()
                .find(good)
                .or_else(|| self.project[..at].iter().rfind(good))
        };
        row.unwrap()["body"]["startTime"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Every live frame with the name it speaks of, in order.
    pub(super) fn frames(&self) -> &[(String, Frame)] {
        &self.frames
    }

    pub(super) fn name(&self) -> &str {
        self.folder.file_name().unwrap().to_str().unwrap()
    }

    fn framed(zero: DateTime<Utc>, rows: &[Value]) -> Vec<(String, Frame)> {
        let live = rows.iter().filter(|row| row["frame"]["snapshot"] != true);
        live.enumerate()
            .map(|(index, row)| {
                let state = reading(&row["frame"]["state"]);
                let frame = Frame {
                    index: index as u64 + 1,
                    at: zero + TimeDelta::milliseconds(row["t_ms"].as_i64().unwrap()),
                    status: state.status.as_ref().into(),
                    phase: phase(&row["frame"]["state"]),
                    health: state.health,
                    restarts: state.restarts,
                    exit_code: state.exit_code,
                    ended_at: state.ended_at,
                };
                (state.name.into_owned(), frame)
            })
            .collect()
    }

    pub(super) fn configuration(&self, name: &str) -> Option<Arc<Configuration>> {
        self.known.get(name).cloned()
    }
}

fn configuration(info: &Value) -> Configuration {
    let get = |keys: [&str; 2]| {
        keys.iter()
            .find_map(|key| info.get(*key))
            .filter(|value| !value.is_null())
    };
    let within = |value: &Value, keys: [&str; 2]| {
        keys.iter()
            .find_map(|key| value.get(*key))
            .and_then(Value::as_u64)
    };
    let policy = get(["restartPolicy", "RestartPolicy"]);
    let probe = get(["readinessProbe", "ReadinessProbe"]).map(|probe| Probe {
        threshold: within(probe, ["failureThreshold", "FailureThreshold"])
            .filter(|n| *n > 0)
            .map_or(3, |n| u32::try_from(n).unwrap()),
        period: Duration::from_secs(
            within(probe, ["periodSeconds", "PeriodSeconds"])
                .filter(|n| *n > 0)
                .unwrap_or(10),
        ),
        initial_delay: Duration::from_secs(
            within(probe, ["initialDelay", "InitialDelay"]).unwrap_or(0),
        ),
    });
    Configuration {
        group: None,
        replica: None,
        replicas: None,
        backoff: policy
            .and_then(|policy| within(policy, ["backoffSeconds", "BackoffSeconds"]))
            .map(Duration::from_secs),
        readiness: Some(probe),
    }
}

fn phase(state: &Value) -> Phase {
    let over = state["pid"].as_i64().unwrap_or(0) == 0 || state["process_end_time"].is_string();
    match state["status"].as_str().unwrap() {
        "Pending" => Phase::Waiting,
        "Running" | "Launching" | "Launched" => Phase::Up,
        "Terminating" if over => Phase::Ended,
        "Terminating" => Phase::Stopping,
        "Restarting" => Phase::BackingOff,
        "Scheduled" | "Watching" | "Disabled" | "Foreground" => Phase::Idle,
        "Completed" | "Skipped" => Phase::Ended,
        "Error" => Phase::Failed,
        _ => Phase::Unknown,
    }
}

fn reading(state: &Value) -> Reading<'_> {
    let time = |key: &str| {
        state[key]
            .as_str()
            .map(|text| text.parse::<DateTime<Utc>>().unwrap())
    };
    let spaces: Vec<&str> = match &state["namespace"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().map(|one| one.as_str().unwrap()).collect(),
        _ => vec!["default"],
    };
    let phase = phase(state);
    let pid = state["pid"].as_i64().filter(|pid| *pid > 0);
    let running = state["is_running"].as_bool();
    let status = state["status"].as_str().unwrap();
    Reading {
        name: state["name"].as_str().unwrap().into(),
        namespace: spaces[0].into(),
        more_namespaces: spaces[1..].iter().map(|&one| Cow::Borrowed(one)).collect(),
        status: status.into(),
        phase,
        daemon: matches!(status, "Launching" | "Launched"),
        health: Health::parse(state["is_ready"].as_str().unwrap_or("-")),
        has_probe: state["has_ready_probe"].as_bool().unwrap_or(false),
        restarts: state["restarts"].as_i64().unwrap_or(0),
        exit_code: state["exit_code"].as_i64().unwrap_or(0),
        allowed_codes: state["success_exit_codes"]
            .as_array()
            .map(|codes| codes.iter().map(|code| code.as_i64().unwrap()).collect())
            .unwrap_or_default(),
        pid,
        vitals: Vitals {
            age_ms: state["age"]
                .as_i64()
                .filter(|age| (0..315_360_000_000_000_000).contains(age))
                .map(|age| age / 1_000_000),
            ..Vitals::default()
        },
        started_at: time("process_start_time"),
        ready_at: time("process_ready_time"),
        ended_at: time("process_end_time"),
        schedule_at: time("next_run_time"),
        watch_at: time("watch_trigger_time"),
        unmet: status == "Skipped",
        torn: (phase == Phase::Up && pid.is_none())
            || running.is_some_and(|running| running != (phase == Phase::Up)),
    }
}
