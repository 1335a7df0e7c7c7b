//! The faces as a whole: a session as a person sees it, every type with every reason, and names that mean harm.

mod faces;
mod hostile;
mod story;

use chrono::{DateTime, FixedOffset, Utc};

use super::door::Charset;
use super::line::{Columns, Frame};
use super::style::Style;
use super::time::{TimeStyle, Times, Zone};
use crate::event::envelope::{Envelope, SourceNotice, Stamp};
use crate::event::payload::{
    CERTAIN, Exit, Gap, Kind, Occurred, Origin, Payload, Previous, Severity, State,
};
use crate::event::subject::Prefix;

pub(super) const UTF8: Style = Style {
    colored: false,
    charset: Charset::Utf8,
};
pub(super) const COLOR: Style = Style {
    colored: true,
    charset: Charset::Utf8,
};

pub(super) fn at(text: &str) -> DateTime<Utc> {
    format!("2026-08-20T{text}Z").parse().unwrap()
}

pub(super) fn frame(style: Style, terminal: Option<usize>) -> Frame {
    Frame {
        style,
        times: Times {
            style: TimeStyle::Local,
            zone: Zone::Fixed(FixedOffset::east_opt(0).unwrap()),
        },
        columns: Columns::for_width(terminal, false),
    }
}

pub(super) fn state(name: &str) -> State {
    State {
        name: name.to_owned(),
        namespace: "default".into(),
        status: "Running".into(),
        is_ready: "-".into(),
        has_ready_probe: false,
        restarts: 0,
        exit_code: 0,
        is_running: true,
        replicas: 1,
        group: None,
        replica: None,
        namespaces: vec!["default".into()],
        pid: Some(18768),
        age_ms: Some(181_004),
        mem_bytes: Some(20_185_088),
        cpu_percent: Some(3.1),
        started_at: None,
        ready_at: None,
        ended_at: None,
    }
}

/// An event at a time of 20 August 2026, seen by looks two seconds apart.
pub(super) fn event(time: &str, kind: Kind, name: &str, reason: &'static str) -> Envelope {
    let timestamp = at(time);
    let severity = match kind {
        Kind::Crashed => Severity::Error,
        Kind::Unhealthy => Severity::Warning,
        _ => Severity::Info,
    };
    let payload = Payload {
        kind,
        severity,
        state: state(name),
        reason: reason.into(),
        certainty: CERTAIN,
        occurred: Occurred {
            after: Some(timestamp - chrono::Duration::seconds(2)),
            before: timestamp,
            at: None,
        },
        exit: None,
        count: 1,
        previous: Some(Previous {
            name: None,
            status: "Pending".into(),
            is_ready: "-".into(),
            restarts: 0,
            pid: None,
        }),
        process_seq: 7,
    };
    Envelope::dress(payload, &stamp(timestamp, &Prefix::default()))
}

fn stamp(timestamp: DateTime<Utc>, prefix: &Prefix) -> Stamp<'_> {
    Stamp {
        prefix,
        source: "shop",
        journal: "3f9a1c22",
        seq: 42,
        epoch: "2026-08-20T07:15:02.707Z",
        origin: Origin::Change,
        timestamp,
    }
}

pub(super) fn ended(mut event: Envelope, code: i64, signal: Option<i64>) -> Envelope {
    event.exit = Some(Exit {
        code: Some(code),
        signal,
        expected: event.kind == Kind::Stopped,
    });
    let state = event.state.as_mut().unwrap();
    state.exit_code = code;
    state.is_running = false;
    state.status = "Completed".into();
    event
}

pub(super) fn source_event(
    time: &str,
    kind: Kind,
    reason: &'static str,
    after: Option<&str>,
) -> Envelope {
    let timestamp = at(time);
    let notice = SourceNotice {
        kind,
        severity: Severity::Warning,
        reason: reason.into(),
        occurred: Occurred {
            after: after.map(at),
            before: timestamp,
            at: None,
        },
        gap: None,
    };
    Envelope::notice(notice, &stamp(timestamp, &Prefix::default()))
}

pub(super) fn gap(time: &str, from: Option<&str>, why: &'static str) -> Envelope {
    let mut event = source_event(time, Kind::Gap, why, from);
    event.gap = Some(Gap {
        from: from.map(at),
        to: at(time),
        why: why.into(),
        events: None,
        sieve: None,
        next_sieve: None,
    });
    event
}
