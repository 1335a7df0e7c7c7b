//! Events for the tests of this floor.

use super::envelope::{Envelope, Stamp};
use super::payload::{CERTAIN, Kind, Occurred, Origin, Payload, Severity, State};
use super::subject::Prefix;

/// An event about a process of this name, group and namespaces.
pub(super) fn event(
    (name, group, namespaces): (&str, Option<&str>, &[&str]),
    (kind, severity): (Kind, Severity),
) -> Envelope {
    let before = "2026-08-20T07:18:04Z".parse().unwrap();
    let state = State {
        name: name.into(),
        namespace: namespaces[0].into(),
        status: "Running".into(),
        is_ready: "-".into(),
        has_ready_probe: false,
        restarts: 0,
        exit_code: 0,
        is_running: true,
        replicas: 1,
        group: group.map(Into::into),
        replica: None,
        namespaces: namespaces.iter().map(|&n| n.into()).collect(),
        pid: None,
        age_ms: None,
        mem_bytes: None,
        cpu_percent: None,
        started_at: None,
        ready_at: None,
        ended_at: None,
    };
    let payload = Payload {
        kind,
        severity,
        state,
        reason: "policy".into(),
        certainty: CERTAIN,
        occurred: Occurred {
            after: None,
            before,
            at: None,
        },
        exit: None,
        count: 1,
        previous: None,
        process_seq: 1,
    };
    let stamp = Stamp {
        prefix: &Prefix::default(),
        source: "shop",
        journal: "j",
        seq: 1,
        epoch: "e",
        origin: Origin::Change,
        timestamp: before,
    };
    Envelope::dress(payload, &stamp)
}
