//! The other bodies: configuration, project, dependency graph.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::profile::Feature;
use super::script::{Condition, Policy, Spec};
use super::view::stamp;
use super::world::{Process, World, health_word};

impl World {
    /// The body of `/project/state`.
    pub(super) fn project_state(&self, memory: bool) -> Value {
        let up = self
            .processes
            .values()
            .filter(|p| p.shown.status.is_up())
            .count();
        let started = self.wall(self.booted) + chrono::TimeDelta::milliseconds(self.skew);
        let age =
            i64::try_from(self.now().saturating_sub(self.booted).as_nanos()).unwrap_or(i64::MAX);
        let mut body = json!({
            "fileNames": [self.rules.file],
            "upTime": age,
            "startTime": stamp(started),
            "processNum": self.process_num,
            "runningProcessNum": up,
            "userName": "dev",
            "version": self.rules.profile.to_string(),
        });
        let key = if self.has(Feature::ProjectName) {
            "projectName"
        } else {
            "hostName"
        };
        let name = if self.has(Feature::ProjectName) {
            self.rules.project.as_str()
        } else {
            self.host()
        };
        body[key] = json!(name);
        if memory {
            body["memoryState"] =
                json!({"allocated": 9, "totalAllocated": 120, "systemMemory": 31, "gcCycles": 17});
        }
        body
    }

    /// The host's part of the project's name.
    pub(super) fn host(&self) -> &str {
        self.rules.project.split('/').next().unwrap_or("devbox")
    }

    /// The body of `/process/info/{name}`.
    pub(super) fn info(&self, name: &str) -> Option<Value> {
        let process = self
            .names
            .get(name)
            .and_then(|key| self.processes.get(key))?;
        Some(if self.has(Feature::Stream) {
            lower_info(process, self)
        } else {
            go_info(process, self)
        })
    }

    /// The body of `/graph`: those that take part in a dependency, nested under those nobody depends on.
    pub(super) fn graph(&self) -> Value {
        let wanted: BTreeSet<&str> = self
            .processes
            .values()
            .flat_map(|p| p.spec.depends_on.keys().map(String::as_str))
            .collect();
        let tops = self
            .processes
            .values()
            .filter(|p| !p.spec.depends_on.is_empty() && !wanted.contains(p.group.as_str()));
        let nodes: Map<String, Value> = tops
            .map(|p| (p.name.clone(), self.node(p, None, 16)))
            .collect();
        json!({ "nodes": nodes })
    }

    fn node(&self, process: &Process, kind: Option<Condition>, depth: u8) -> Value {
        let mut node = json!({
            "name": process.name,
            "process_status": process.shown.status.word(),
            "is_ready": health_word(process.shown.health),
        });
        if let Some(kind) = kind {
            node["dependency_type"] = json!(condition_word(kind));
        }
        if depth == 0 || process.spec.depends_on.is_empty() {
            return node;
        }
        let mut below = Map::new();
        for (group, kind) in &process.spec.depends_on {
            for other in self.processes.values().filter(|p| p.group == *group) {
                below.insert(other.name.clone(), self.node(other, Some(*kind), depth - 1));
            }
        }
        node["depends_on"] = Value::Object(below);
        node
    }
}

const fn condition_word(condition: Condition) -> &'static str {
    match condition {
        Condition::Started => "started",
        Condition::Healthy => "healthy",
        Condition::Completed => "completed",
        Condition::CompletedSuccessfully => "completed_successfully",
        Condition::LogReady => "log_ready",
    }
}

const fn condition_number(condition: Condition) -> u8 {
    match condition {
        Condition::Completed => 0,
        Condition::CompletedSuccessfully => 1,
        Condition::Healthy => 2,
        Condition::Started => 3,
        Condition::LogReady => 4,
    }
}

const fn policy(policy: Policy) -> (u8, &'static str) {
    match policy {
        Policy::No => (0, "no"),
        Policy::Always => (1, "always"),
        Policy::OnFailure => (2, "on_failure"),
    }
}

fn command(process: &Process) -> String {
    process
        .spec
        .command
        .clone()
        .unwrap_or_else(|| format!("./{}", process.group))
}

fn namespace(spec: &Spec, world: &World) -> Value {
    if world.has(Feature::FreshState) && spec.namespace.all().len() > 1 {
        json!(spec.namespace.all())
    } else {
        json!(spec.namespace.first())
    }
}

/// Puts a value in unless it is what the real server leaves out.
fn put(map: &mut Map<String, Value>, key: &str, value: Value) {
    let empty = match &value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        _ => false,
    };
    if !empty {
        map.insert(key.to_owned(), value);
    }
}

fn restart_policy(spec: &Spec) -> Value {
    let mut restart = Map::new();
    put(&mut restart, "restart", json!(policy(spec.restart).0));
    put(
        &mut restart,
        "backoffSeconds",
        json!(spec.backoff.as_secs()),
    );
    put(&mut restart, "maxRestarts", json!(spec.max_restarts));
    Value::Object(restart)
}

fn shut_down(process: &Process) -> Value {
    let spec = &process.spec;
    let mut stop = Map::from_iter([("signal".to_owned(), json!(15))]);
    put(
        &mut stop,
        "shutDownTimeout",
        json!(spec.stop.timeout.map_or(0, |t| t.as_secs())),
    );
    if spec.daemon && spec.stop.command {
        put(
            &mut stop,
            "shutDownCommand",
            json!(format!("./{} --stop", process.group)),
        );
    }
    Value::Object(stop)
}

fn depends_and_probes(spec: &Spec, map: &mut Map<String, Value>) {
    if !spec.depends_on.is_empty() {
        let number = |c: &Condition| {
            if *c == Condition::Completed {
                json!({})
            } else {
                json!({"condition": condition_number(*c)})
            }
        };
        let depends: Map<String, Value> = spec
            .depends_on
            .iter()
            .map(|(name, c)| (name.clone(), number(c)))
            .collect();
        put(map, "dependsOn", Value::Object(depends));
    }
    let probe = |command: &str, delay: u64, period: u64, threshold: u32| {
        let mut probe = Map::from_iter([("exec".to_owned(), json!({"command": command}))]);
        put(&mut probe, "initialDelay", json!(delay));
        put(&mut probe, "periodSeconds", json!(period.max(1)));
        put(&mut probe, "timeoutSeconds", json!(1));
        put(&mut probe, "successThreshold", json!(1));
        put(&mut probe, "failureThreshold", json!(threshold));
        Value::Object(probe)
    };
    if let Some(ready) = &spec.ready {
        put(
            map,
            "readinessProbe",
            probe(
                "./ready",
                ready.delay.as_secs(),
                ready.period.as_secs(),
                ready.threshold,
            ),
        );
    }
    if let Some(live) = &spec.liveness {
        put(
            map,
            "livenessProbe",
            probe("./alive", 0, live.period.as_secs(), live.threshold),
        );
    }
}

fn lower_info(process: &Process, world: &World) -> Value {
    let spec = &process.spec;
    let mut map = Map::new();
    put(&mut map, "name", json!(process.group));
    put(&mut map, "disabled", json!(spec.disabled));
    put(&mut map, "isDaemon", json!(spec.daemon));
    put(&mut map, "isForeground", json!(spec.foreground));
    put(&mut map, "command", json!(command(process)));
    put(&mut map, "restartPolicy", restart_policy(spec));
    depends_and_probes(spec, &mut map);
    put(
        &mut map,
        "readyLogLine",
        json!(spec.ready_log_line.as_ref().map(|l| l.line.as_str())),
    );
    put(&mut map, "shutDownParams", shut_down(process));
    put(&mut map, "namespace", namespace(spec, world));
    put(&mut map, "replicas", json!(process.replicas));
    map.insert("vars".to_owned(), json!({"PC_REPLICA_NUM": process.number}));
    put(&mut map, "launchTimeout", json!(5));
    put(&mut map, "replicaNum", json!(process.number));
    put(&mut map, "replicaName", json!(process.name));
    let original =
        json!({"name": process.group, "command": command(process), "replicaName": process.name});
    put(&mut map, "originalConfig", json!(original.to_string()));
    put(&mut map, "executable", json!("bash"));
    put(&mut map, "args", json!(["-c", command(process)]));
    if world.has(Feature::SuccessCodes) && !spec.success_exit_codes.is_empty() {
        put(&mut map, "successExitCodes", json!(spec.success_exit_codes));
    }
    put(&mut map, "schedule", schedule(spec));
    if let Some(watch) = spec
        .watch
        .as_ref()
        .filter(|_| world.has(Feature::FreshState))
    {
        put(
            &mut map,
            "watch",
            json!({"paths": [{"path": watch.path}], "debounce": format!("{}ms", watch.debounce.as_millis())}),
        );
    }
    Value::Object(map)
}

fn schedule(spec: &Spec) -> Value {
    spec.schedule.map_or(Value::Null, |s| {
        let interval = format!("{}s", s.interval.as_secs_f64());
        if s.run_on_start {
            json!({"interval": interval, "run_on_start": true})
        } else {
            json!({ "interval": interval })
        }
    })
}

/// The configuration as releases before v1.110 wrote it: the names of Go, everything present.
fn go_info(process: &Process, world: &World) -> Value {
    let spec = &process.spec;
    let (number, word) = policy(spec.restart);
    let restart = if world.has(Feature::PolicyNumber) {
        json!(number)
    } else {
        json!(word)
    };
    let depends: Map<String, Value> = spec
        .depends_on
        .iter()
        .map(|(name, c)| {
            (
                name.clone(),
                json!({"Condition": format!("process_{}", condition_word(*c)), "Extensions": null}),
            )
        })
        .collect();
    let ready = spec.ready.as_ref().map(|p| {
        json!({"Exec": {"Command": "./ready", "WorkingDir": ""}, "HttpGet": null, "InitialDelay": p.delay.as_secs(), "PeriodSeconds": p.period.as_secs().max(1),
            "TimeoutSeconds": 1, "SuccessThreshold": 1, "FailureThreshold": p.threshold})
    });
    let live = spec.liveness.map(|p| {
        json!({"Exec": {"Command": "./alive", "WorkingDir": ""}, "HttpGet": null, "InitialDelay": 0, "PeriodSeconds": p.period.as_secs().max(1),
            "TimeoutSeconds": 1, "SuccessThreshold": 1, "FailureThreshold": p.threshold})
    });
    let mut body = json!({
        "Name": process.group, "Disabled": spec.disabled, "IsDaemon": spec.daemon, "Command": command(process), "Entrypoint": null, "LogLocation": "",
        "LoggerConfig": null, "Environment": null,
        "RestartPolicy": {"Restart": restart, "BackoffSeconds": spec.backoff.as_secs(), "MaxRestarts": spec.max_restarts, "ExitOnEnd": false, "ExitOnSkipped": false},
        "LivenessProbe": live, "ReadinessProbe": ready, "ReadyLogLine": spec.ready_log_line.as_ref().map_or("", |l| l.line.as_str()),
        "ShutDownParams": {"ShutDownCommand": "", "ShutDownTimeout": spec.stop.timeout.map_or(0, |t| t.as_secs()), "Signal": 15, "ParentOnly": false},
        "DisableAnsiColors": false, "WorkingDir": "", "Namespace": spec.namespace.first(), "Replicas": process.replicas, "Extensions": null, "Description": "",
        "Vars": {"PC_REPLICA_NUM": process.number}, "IsForeground": spec.foreground, "IsTty": false, "IsElevated": false, "LaunchTimeout": 5,
        "ReplicaNum": process.number, "ReplicaName": process.name, "Executable": "bash", "Args": ["-c", command(process)],
    });
    body["DependsOn"] = if depends.is_empty() {
        Value::Null
    } else {
        Value::Object(depends)
    };
    if world.has(Feature::Schedule) {
        body["Schedule"] = schedule(spec);
        body["IsInteractive"] = json!(false);
        body["IsDisabled"] = json!("");
        body["DisableDotEnv"] = json!(false);
        body["OriginalConfig"] = json!("");
    }
    body
}
