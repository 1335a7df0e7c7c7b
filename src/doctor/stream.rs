//! The stream: whether it is there, whether it is as it must be, and how full it is.

use chrono::{DateTime, Utc};

use super::finding::Finding;
use super::source::{away, skew};
use crate::bus::connect::Bus;
use crate::bus::error::BusError;
use crate::bus::settings::{BusSettings, StreamSetup};
use crate::bus::survey::{StreamState, stream};
use crate::render::time::since;
use crate::render::words::{bytes, count, span};

/// Looks at the stream.
pub(super) async fn look(bus: &Bus, settings: &BusSettings) -> Vec<Finding> {
    let name = &settings.stream;
    let before = Utc::now();
    let found = stream(bus, settings).await;
    let after = Utc::now();
    match found {
        Ok(Some(state)) => {
            let mut findings = judge(name, &state, after);
            if let Some(said) = state.now {
                let exact = (after - before).to_std().unwrap_or_default();
                let off = away(said, before, after);
                findings.push(skew("broker.clock", "the broker's clock", off, exact));
            }
            findings
        }
        Ok(None) => vec![missing(settings)],
        Err(BusError::Refused(refusal)) => {
            vec![Finding::error("stream.exists", refusal.found, refusal.fix)]
        }
        Err(error) => vec![Finding::error(
            "stream.exists",
            error.to_string(),
            "try again; the broker's log says more",
        )],
    }
}

fn missing(settings: &BusSettings) -> Finding {
    let what = format!("there is no stream {} yet", settings.stream);
    match settings.setup {
        StreamSetup::Ensure => {
            Finding::warning("stream.exists", what, "observe adapter creates it")
        }
        StreamSetup::Check | StreamSetup::Never => Finding::error(
            "stream.exists",
            what,
            "ask the broker's owner to create it: observe doctor --print-stream nats",
        ),
    }
}

fn judge(name: &str, state: &StreamState, now: DateTime<Utc>) -> Vec<Finding> {
    let owner = if state.ours {
        "created by observe"
    } else {
        "created by somebody else, so it is never changed"
    };
    let mut findings = vec![Finding::ok(
        "stream.exists",
        format!("stream {name} is there, {owner}"),
    )];
    for fault in &state.faults {
        let what = format!("{}; wanted: {}", fault.found, fault.wanted);
        findings.push(Finding::error("stream.settings", what, fault.fix.clone()));
    }
    for change in &state.changes {
        findings.push(Finding::info(
            "stream.settings",
            format!(
                "{} is {}, and the next adapter with these flags makes it {}",
                change.key, change.found, change.wanted
            ),
        ));
    }
    for note in &state.notes {
        findings.push(Finding::info("stream.settings", note.clone()));
    }
    if state.faults.is_empty() && state.changes.is_empty() && state.notes.is_empty() {
        findings.push(Finding::ok(
            "stream.settings",
            "its settings are as they must be",
        ));
    }
    findings.push(size(state, now));
    findings.push(consumers(state));
    findings
}

fn size(state: &StreamState, now: DateTime<Utc>) -> Finding {
    let check = "stream.size";
    let held = count(state.messages, "message", "messages");
    let used = match state.max_bytes {
        Some(most) => format!("{held} in {} of {}", bytes(state.bytes), bytes(most)),
        None => format!("{held} in {}, without a limit", bytes(state.bytes)),
    };
    let kept = match state.max_age {
        Some(age) => format!("kept for {}", span(age)),
        None => "kept without a limit of time".to_owned(),
    };
    let age = state.oldest.map(|oldest| since(oldest, now));
    let oldest = age.map_or_else(String::new, |age| format!(", the oldest {} old", span(age)));
    let what = format!("{used}, {kept}{oldest}");
    let full = state
        .max_bytes
        .is_some_and(|most| state.bytes >= most / 100 * 95);
    let early = match (age, state.max_age) {
        (Some(age), Some(most)) => age < most.mul_f64(0.9),
        _ => false,
    };
    if full && early {
        return Finding::warning(
            check,
            format!("{what}: it is full, and events leave before their time"),
            "give it more by --max-bytes, or keep them for less by --retention",
        );
    }
    Finding::ok(check, what)
}

fn consumers(state: &StreamState) -> Finding {
    let check = "stream.consumers";
    let readers = count(state.consumers, "consumer", "consumers");
    match state.max_consumers {
        Some(most) if state.consumers >= most / 10 * 9 => Finding::warning(
            check,
            format!("{readers} of at most {most}"),
            "end readers that are not needed, or let them listen to the republished subjects",
        ),
        Some(most) => Finding::ok(check, format!("{readers} of at most {most}")),
        None => Finding::ok(check, readers),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::finding::Severity;
    use super::*;
    use crate::bus::survey::Change;

    fn state() -> StreamState {
        StreamState {
            ours: true,
            faults: Vec::new(),
            changes: Vec::new(),
            notes: Vec::new(),
            messages: 10,
            bytes: 1000,
            max_bytes: Some(1 << 30),
            max_age: Some(Duration::from_secs(86400)),
            oldest: Some("2026-08-20T06:00:00Z".parse().unwrap()),
            consumers: 1,
            max_consumers: Some(10_000),
            now: None,
        }
    }

    fn judged(state: &StreamState) -> Vec<Finding> {
        judge("S", state, "2026-08-20T07:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_good_stream_is_good_and_a_full_one_is_said_only_where_events_leave_early() {
        let all_well = |findings: &[Finding]| {
            findings
                .iter()
                .all(|finding| finding.severity == Severity::Ok)
        };
        assert!(all_well(&judged(&state())));
        let full = StreamState {
            bytes: 1 << 30,
            ..state()
        };
        let findings = judged(&full);
        assert!(!all_well(&findings), "{findings:?}");
        assert!(
            findings
                .iter()
                .any(|finding| finding.what.contains("before their time"))
        );
        let old = StreamState {
            oldest: Some("2026-08-19T07:00:10Z".parse().unwrap()),
            ..full
        };
        assert!(all_well(&judged(&old)));
        let crowded = StreamState {
            consumers: 9_999,
            ..state()
        };
        assert!(!all_well(&judged(&crowded)));
    }

    #[test]
    fn a_change_names_the_setting_and_both_values() {
        let state = StreamState {
            changes: vec![Change {
                key: "max_age".into(),
                found: "1m".into(),
                wanted: "1h".into(),
            }],
            ..state()
        };
        let findings = judged(&state);
        let change = findings
            .iter()
            .find(|f| f.check == "stream.settings")
            .unwrap();
        assert_eq!(change.severity, Severity::Info);
        for word in ["max_age", "1m", "1h"] {
            assert!(change.what.contains(word), "{change:?}");
        }
    }
}
