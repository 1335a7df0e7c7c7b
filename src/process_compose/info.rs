//! Decodes what is asked rarely: the project's state, and the configuration of one process.
//!
//! A configuration holds commands and environments, and these hold secrets: they are passed over while it is read.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::wire::DecodeError;

/// The parts of `GET /project/state` that say who answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectState {
    /// When this run of the server began: its identity.
    pub start_time: Option<DateTime<Utc>>,
    /// The server's version as it says it; may be `undefined` or lack its `v`.
    pub version: Option<String>,
    /// Name of the project without its host part; nothing before v1.73.
    pub project: Option<String>,
    /// Name of the host it runs on.
    pub host: Option<String>,
}

impl ProjectState {
    /// Reads the answer.
    ///
    /// # Errors
    /// [`DecodeError`] where it is no object of JSON.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            start_time: Option<String>,
            version: Option<String>,
            project_name: Option<String>,
            host_name: Option<String>,
        }
        let raw: Raw =
            serde_json::from_slice(bytes).map_err(|error| DecodeError::of(bytes, error))?;
        let (host, project) = match raw.project_name.as_deref().map(split_project) {
            Some((host, project)) => (host, project),
            None => (None, None),
        };
        Ok(Self {
            start_time: raw
                .start_time
                .and_then(|text| DateTime::parse_from_rfc3339(&text).ok())
                .map(|time| time.to_utc()),
            version: raw.version.filter(|version| !version.is_empty()),
            project,
            host: host.or(raw.host_name).filter(|host| !host.is_empty()),
        })
    }
}

/// Splits `host/project`; a name without a slash is the project's.
fn split_project(name: &str) -> (Option<String>, Option<String>) {
    let (host, project) = match name.split_once('/') {
        Some((host, project)) => (host, project),
        None => ("", name),
    };
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    (filled(host), filled(project))
}

/// The answer to `GET /project/name`, without the host part.
pub(super) fn decode_project_name(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        project_name: String,
    }
    let raw: Raw = serde_json::from_slice(bytes).ok()?;
    split_project(&raw.project_name).1
}

/// What a restart policy does after an end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Restart {
    /// Nothing.
    #[default]
    No,
    /// Starts again after any end.
    Always,
    /// Starts again after an end with a bad code.
    OnFailure,
    /// Ends the whole project after an end with a bad code.
    ExitOnFailure,
    /// A word or number from after this build.
    Unknown,
}

/// A probe's timing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Failures in a row after which the server gives up.
    pub threshold: u32,
    /// Time from one check to the next.
    pub period: Duration,
    /// Time from the start to the first check.
    pub initial_delay: Duration,
}

/// The configuration of one process, as far as a verdict needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessInfo {
    /// The configured name, which all replicas share.
    pub group: String,
    /// The number of this replica, from 0.
    pub replica: u32,
    /// How many replicas the group has, at least 1.
    pub replicas: u32,
    /// First namespace it was configured for.
    pub namespace: Option<String>,
    /// What happens after an end.
    pub restart: Restart,
    /// The configured wait before a restart; the server waits at least one second.
    pub backoff: Option<Duration>,
    /// Restarts after which the policy gives up; nothing where there is no limit.
    pub max_restarts: Option<u32>,
    /// The readiness probe.
    pub readiness: Option<Probe>,
    /// The liveness probe.
    pub liveness: Option<Probe>,
    /// Whether it sends itself to the background, so that only its launcher is known.
    pub is_daemon: bool,
    /// Whether a schedule starts it.
    pub is_scheduled: bool,
    /// Whether a line in its output makes it ready.
    pub has_ready_log_line: bool,
}

impl ProcessInfo {
    /// Reads the answer to `GET /process/info/{name}`, with the keys of v1.110 and later or those from before.
    ///
    /// # Errors
    /// [`DecodeError`] where it is no configuration.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let raw: Raw =
            serde_json::from_slice(bytes).map_err(|error| DecodeError::of(bytes, error))?;
        let policy = raw.restart_policy.unwrap_or_default();
        Ok(Self {
            group: raw.name,
            replica: count(raw.replica_num),
            replicas: count(raw.replicas).max(1),
            namespace: raw.namespace.first(),
            restart: policy.restart,
            backoff: seconds(policy.backoff_seconds),
            max_restarts: Some(count(policy.max_restarts)).filter(|max| *max > 0),
            readiness: raw.readiness_probe.map(RawProbe::known),
            liveness: raw.liveness_probe.map(RawProbe::known),
            is_daemon: raw.is_daemon.unwrap_or_default(),
            is_scheduled: raw.schedule.is_some(),
            has_ready_log_line: raw.ready_log_line.is_some_and(|line| line.is_filled),
        })
    }
}

fn count(number: Option<i64>) -> u32 {
    u32::try_from(number.unwrap_or_default().max(0)).unwrap_or(u32::MAX)
}

fn seconds(number: Option<i64>) -> Option<Duration> {
    let number = u64::try_from(number?).ok()?;
    (number > 0).then(|| Duration::from_secs(number.min(u64::from(u32::MAX))))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(alias = "Name")]
    name: String,
    #[serde(alias = "ReplicaNum")]
    replica_num: Option<i64>,
    #[serde(alias = "Replicas")]
    replicas: Option<i64>,
    #[serde(alias = "Namespace", default)]
    namespace: FirstNamespace,
    #[serde(alias = "RestartPolicy")]
    restart_policy: Option<RawPolicy>,
    #[serde(alias = "ReadinessProbe")]
    readiness_probe: Option<RawProbe>,
    #[serde(alias = "LivenessProbe")]
    liveness_probe: Option<RawProbe>,
    #[serde(alias = "IsDaemon")]
    is_daemon: Option<bool>,
    #[serde(alias = "Schedule")]
    schedule: Option<serde::de::IgnoredAny>,
    #[serde(alias = "ReadyLogLine")]
    ready_log_line: Option<Filled>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPolicy {
    #[serde(alias = "Restart", default)]
    restart: Restart,
    #[serde(alias = "BackoffSeconds")]
    backoff_seconds: Option<i64>,
    #[serde(alias = "MaxRestarts")]
    max_restarts: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawProbe {
    #[serde(alias = "FailureThreshold")]
    failure_threshold: Option<i64>,
    #[serde(alias = "PeriodSeconds")]
    period_seconds: Option<i64>,
    #[serde(alias = "InitialDelay", alias = "initialDelaySeconds")]
    initial_delay: Option<i64>,
}

impl RawProbe {
    /// The probe, with the server's own defaults where it does not say.
    fn known(self) -> Probe {
        Probe {
            threshold: Some(count(self.failure_threshold))
                .filter(|n| *n > 0)
                .unwrap_or(3),
            period: seconds(self.period_seconds).unwrap_or(Duration::from_secs(10)),
            initial_delay: seconds(self.initial_delay).unwrap_or_default(),
        }
    }
}

impl<'de> Deserialize<'de> for Restart {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Policy;
        impl Visitor<'_> for Policy {
            type Value = Restart;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a restart policy as a number or a word")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Restart, E> {
                Ok(match number {
                    0 => Restart::No,
                    1 => Restart::Always,
                    2 => Restart::OnFailure,
                    3 => Restart::ExitOnFailure,
                    _ => Restart::Unknown,
                })
            }

            fn visit_i64<E>(self, _number: i64) -> Result<Restart, E> {
                Ok(Restart::Unknown)
            }

            fn visit_str<E>(self, word: &str) -> Result<Restart, E> {
                Ok(match word {
                    "" | "no" => Restart::No,
                    "always" => Restart::Always,
                    "on_failure" => Restart::OnFailure,
                    "exit_on_failure" => Restart::ExitOnFailure,
                    _ => Restart::Unknown,
                })
            }

            fn visit_unit<E>(self) -> Result<Restart, E> {
                Ok(Restart::No)
            }
        }
        input.deserialize_any(Policy)
    }
}

/// Whether a text holds anything; the text itself is not kept.
struct Filled {
    is_filled: bool,
}

impl<'de> Deserialize<'de> for Filled {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        Ok(Self {
            is_filled: !text.is_empty(),
        })
    }
}

/// The first of one or several namespaces.
#[derive(Default)]
struct FirstNamespace(Option<String>);

impl FirstNamespace {
    fn first(self) -> Option<String> {
        self.0.filter(|name| !name.is_empty())
    }
}

impl<'de> Deserialize<'de> for FirstNamespace {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let namespaces = Option::<super::wire::Namespaces<'de>>::deserialize(input)?;
        Ok(Self(namespaces.map(|names| names.first().to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_reads_alike_in_the_keys_of_both_times() {
        let new = br#"{"name":"worker","command":"secret","environment":["A=secret"],
            "restartPolicy":{"restart":2,"backoffSeconds":5,"maxRestarts":3},
            "readinessProbe":{"exec":{"command":"x"},"periodSeconds":2,"failureThreshold":4,"initialDelay":7},
            "namespace":"pool","replicas":3,"replicaNum":2,"replicaName":"worker-2","isDaemon":true,
            "schedule":{"interval":"3s"},"readyLogLine":"up"}"#;
        let old = br#"{"Name":"worker","Command":"secret","Environment":null,"LivenessProbe":null,
            "RestartPolicy":{"Restart":"on_failure","BackoffSeconds":5,"MaxRestarts":3,"ExitOnEnd":false},
            "ReadinessProbe":{"Exec":{"Command":"x"},"HttpGet":null,"InitialDelay":7,"PeriodSeconds":2,
            "FailureThreshold":4},"Namespace":"pool","Replicas":3,"ReplicaNum":2,"IsDaemon":true,
            "Schedule":{"interval":"3s"},"ReadyLogLine":"up"}"#;
        let known = ProcessInfo::decode(new).unwrap();
        assert_eq!(known, ProcessInfo::decode(old).unwrap());
        assert_eq!(
            (known.group.as_str(), known.replica, known.replicas),
            ("worker", 2, 3)
        );
        assert_eq!(known.restart, Restart::OnFailure);
        assert_eq!(
            (known.backoff, known.max_restarts),
            (Some(Duration::from_secs(5)), Some(3))
        );
        let probe = known.readiness.unwrap();
        assert_eq!(
            (
                probe.threshold,
                probe.period.as_secs(),
                probe.initial_delay.as_secs()
            ),
            (4, 2, 7)
        );
        assert!(known.is_daemon && known.is_scheduled && known.has_ready_log_line);
        assert!(!format!("{known:?}").contains("secret"));
    }

    #[test]
    fn what_a_configuration_leaves_out_is_the_servers_default() {
        let known = ProcessInfo::decode(
            br#"{"name":"a","restartPolicy":{},"readinessProbe":{},"readyLogLine":""}"#,
        );
        let known = known.unwrap();
        assert_eq!(
            (known.replicas, known.replica, known.restart),
            (1, 0, Restart::No)
        );
        assert_eq!((known.backoff, known.max_restarts), (None, None));
        assert_eq!(known.readiness.unwrap().threshold, 3);
        assert!(!known.has_ready_log_line && !known.is_scheduled && known.liveness.is_none());
    }

    #[test]
    fn restart_policies_are_numbers_or_words() {
        for (text, policy) in [
            ("0", Restart::No),
            ("1", Restart::Always),
            ("3", Restart::ExitOnFailure),
            ("9", Restart::Unknown),
            ("-1", Restart::Unknown),
            ("null", Restart::No),
            (r#""""#, Restart::No),
            (r#""always""#, Restart::Always),
            (r#""exit_on_failure""#, Restart::ExitOnFailure),
            (r#""sometimes""#, Restart::Unknown),
        ] {
            assert_eq!(
                serde_json::from_str::<Restart>(text).unwrap(),
                policy,
                "{text}"
            );
        }
    }

    #[test]
    fn the_project_is_named_without_its_host() {
        let state = ProjectState::decode(
            br#"{"startTime":"2026-08-20T09:15:02.707767918+02:00","version":"v1.122.0","projectName":"devbox/shop"}"#,
        )
        .unwrap();
        assert_eq!(
            (state.host.as_deref(), state.project.as_deref()),
            (Some("devbox"), Some("shop"))
        );
        assert_eq!(
            state.start_time.unwrap().to_rfc3339(),
            "2026-08-20T07:15:02.707767918+00:00"
        );
        let old =
            ProjectState::decode(br#"{"hostName":"devbox","version":"","startTime":"x"}"#).unwrap();
        assert_eq!(
            (
                old.host.as_deref(),
                old.project,
                old.version,
                old.start_time
            ),
            (Some("devbox"), None, None, None)
        );
        let plain = ProjectState::decode(br#"{"projectName":"shop"}"#).unwrap();
        assert_eq!((plain.host, plain.project.as_deref()), (None, Some("shop")));
        assert!(matches!(
            ProjectState::decode(b"[1]"),
            Err(DecodeError::OtherJson)
        ));
        assert!(matches!(
            ProjectState::decode(b"<html>"),
            Err(DecodeError::Html)
        ));
        assert!(matches!(
            ProjectState::decode(b"{\"a\":"),
            Err(DecodeError::Truncated(_))
        ));
    }
}
