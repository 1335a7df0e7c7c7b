//! The envelope: one event as it travels, one JSON object whose first nine keys never change their order.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::payload::{
    CERTAIN, Exit, Gap, Kind, Occurred, Origin, Payload, Previous, Severity, State, Word, millis,
};
use super::subject::Prefix;

/// The number of the contract: adding a key is free, anything else is a new number.
pub const SCHEMA: u32 = 1;

/// Header that carries [`SCHEMA`].
pub const HEADER_SCHEMA: &str = "Observe-Schema";
/// Header that carries the event's id.
pub const HEADER_ID: &str = "Observe-Id";
/// Header that carries the source.
pub const HEADER_SOURCE: &str = "Observe-Source";
/// Header that carries the origin.
pub const HEADER_ORIGIN: &str = "Observe-Origin";

// It is written as a `Draft`; what is said here of keys that are left out is for the schema.
/// One event dressed for travel.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Envelope {
    /// What happened.
    #[serde(rename = "type")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub kind: Kind,
    /// The process it happened to; absent in events about the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The first namespace of the process; absent in events about the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// When it was observed: the end of the look, UTC, milliseconds.
    #[serde(with = "millis")]
    #[cfg_attr(test, schemars(with = "DateTime<Utc>"))]
    pub timestamp: DateTime<Utc>,
    /// The subject it is stored under.
    pub subject: String,
    /// How much attention it deserves.
    pub severity: Severity,
    /// The full state after the change; absent in events about the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The number of the contract.
    pub schema: u32,
    /// `<source>.<journal>.<seq>`, the key for idempotent consumers.
    pub id: String,
    /// What is watched.
    pub source: String,
    /// A random name given when the head was created; `live-…` where nothing is kept.
    pub journal: String,
    /// Counts the events of a source within its journal: 1, 2, 3 … without holes.
    pub seq: u64,
    /// Counts the events of one process; one that is missing was left out on purpose. Absent in events about the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_seq: Option<u64>,
    /// Identity of the supervisor's run: its start time.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub epoch: String,
    /// Where the difference comes from.
    pub origin: Origin,
    /// Why, in one word of an open vocabulary.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub reason: Word,
    /// `certain`, `inferred` or `ambiguous`.
    pub certainty: Word,
    /// The window in which it happened.
    pub occurred: Occurred,
    /// How the run ended, for an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// How many such events this one stands for.
    pub count: u32,
    /// The state before, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// The stretch, in a `gap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

/// What the adapter adds to a payload: who watched, when, and the number in the journal.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    /// Prefix of the subject.
    pub prefix: &'a Prefix,
    /// What is watched.
    pub source: &'a str,
    /// The journal the number belongs to.
    pub journal: &'a str,
    /// The number.
    pub seq: u64,
    /// Identity of the supervisor's run.
    pub epoch: &'a str,
    /// Where the difference comes from.
    pub origin: Origin,
    /// The end of the look.
    pub timestamp: DateTime<Utc>,
}

impl Stamp<'_> {
    pub(super) fn id(&self) -> String {
        format!("{}.{}.{}", self.source, self.journal, self.seq)
    }

    /// Nobody is to be woken by an installation.
    pub(super) fn severity(&self, severity: Severity) -> Severity {
        if self.origin == Origin::Initial {
            Severity::Info
        } else {
            severity
        }
    }
}

/// What an event about a source says besides its stamp.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceNotice {
    /// One of [`Kind::SOURCE`].
    pub kind: Kind,
    /// How much attention it deserves.
    pub severity: Severity,
    /// Why, in one word.
    pub reason: Word,
    /// When.
    pub occurred: Occurred,
    /// The stretch, in a `gap`.
    pub gap: Option<Gap>,
}

impl Envelope {
    /// Dresses an event about a process.
    pub fn dress(payload: Payload, stamp: &Stamp<'_>) -> Self {
        let Payload {
            kind,
            severity,
            state,
            reason,
            certainty,
            occurred,
            exit,
            count,
            previous,
            process_seq,
        } = payload;
        Self {
            subject: stamp
                .prefix
                .process_event(&state.namespace, &state.name, &kind),
            process: Some(state.name.clone()),
            namespace: Some(state.namespace.clone()),
            severity: stamp.severity(severity),
            state: Some(state),
            process_seq: Some(process_seq),
            exit,
            count,
            previous,
            ..Self::bare(kind, reason, certainty, occurred, stamp)
        }
    }

    /// Dresses an event about the source itself.
    pub fn notice(notice: SourceNotice, stamp: &Stamp<'_>) -> Self {
        Self {
            subject: stamp.prefix.source_event(stamp.source, &notice.kind),
            severity: stamp.severity(notice.severity),
            gap: notice.gap,
            ..Self::bare(notice.kind, notice.reason, CERTAIN, notice.occurred, stamp)
        }
    }

    fn bare(
        kind: Kind,
        reason: Word,
        certainty: Word,
        occurred: Occurred,
        stamp: &Stamp<'_>,
    ) -> Self {
        Self {
            kind,
            process: None,
            namespace: None,
            timestamp: stamp.timestamp,
            subject: String::new(),
            severity: Severity::Info,
            state: None,
            schema: SCHEMA,
            id: stamp.id(),
            source: stamp.source.to_owned(),
            journal: stamp.journal.to_owned(),
            seq: stamp.seq,
            process_seq: None,
            epoch: stamp.epoch.to_owned(),
            origin: stamp.origin,
            reason,
            certainty,
            occurred,
            exit: None,
            count: 1,
            previous: None,
            gap: None,
        }
    }

    /// Appends the event as one JSON object without a line break.
    ///
    /// # Errors
    ///
    /// None of its parts refuses to be written, so there are none; a number that is not finite becomes null.
    pub fn write_json(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        self.draft().write_json(out)
    }

    /// Reads an event back; keys of later versions are passed over.
    ///
    /// # Errors
    ///
    /// What is wrong with the text; trying again does not help.
    pub fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        // Text that is checked as a whole is not checked again string by string; bytes that are no text may stand in a key
        // that nobody reads.
        match std::str::from_utf8(bytes) {
            Ok(text) => serde_json::from_str(text),
            Err(_) => serde_json::from_slice(bytes),
        }
    }

    /// Every namespace of the process, the first one first; empty in events about the source.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        let all = self
            .state
            .as_ref()
            .map_or(&[][..], |state| state.namespaces.as_slice());
        let first = self
            .namespace
            .as_deref()
            .filter(|first| !all.iter().any(|n| n == first));
        first.into_iter().chain(all.iter().map(String::as_str))
    }

    /// The configured name of the process (`api` of `api-0`), where it is known.
    pub fn group(&self) -> Option<&str> {
        self.state.as_ref().and_then(|state| state.group.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::draft::Draft;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn payload() -> Payload {
        let state = State {
            name: "api".into(),
            namespace: "default".into(),
            status: "Completed".into(),
            is_ready: "Ready".into(),
            has_ready_probe: true,
            restarts: 0,
            exit_code: 7,
            is_running: false,
            replicas: 1,
            group: Some("api".into()),
            replica: Some(0),
            namespaces: vec!["default".into()],
            pid: Some(18768),
            age_ms: Some(181_004),
            mem_bytes: Some(20_185_088),
            cpu_percent: Some(3.1),
            started_at: None,
            ready_at: None,
            ended_at: Some(at("2026-08-20T09:18:03.9+02:00")),
        };
        Payload {
            kind: Kind::Crashed,
            severity: Severity::Error,
            state,
            reason: "exit".into(),
            certainty: CERTAIN,
            occurred: Occurred {
                after: Some(at("2026-08-20T07:18:02.1Z")),
                before: at("2026-08-20T07:18:04.1Z"),
                at: Some(at("2026-08-20T07:18:03.9Z")),
            },
            exit: Some(Exit {
                code: Some(7),
                signal: None,
                expected: false,
            }),
            count: 1,
            previous: Some(Previous {
                name: None,
                status: "Running".into(),
                is_ready: "Ready".into(),
                restarts: 0,
                pid: Some(18768),
            }),
            process_seq: 7,
        }
    }

    fn crashed() -> Envelope {
        Envelope::dress(payload(), &stamp(&Prefix::default(), Origin::Change))
    }

    #[test]
    fn whoever_borrows_an_event_writes_and_sees_the_same_as_whoever_has_it() {
        let (prefix, payload) = (Prefix::default(), payload());
        for origin in [Origin::Initial, Origin::Change, Origin::Resync] {
            let stamp = stamp(&prefix, origin);
            let draft = Draft::dress(&payload, &stamp);
            let envelope = Envelope::dress(payload.clone(), &stamp);
            assert_eq!(draft.glance(), envelope.glance());
            let (mut borrowed, mut owned) = (Vec::new(), Vec::new());
            draft.write_json(&mut borrowed).unwrap();
            envelope.write_json(&mut owned).unwrap();
            assert_eq!(String::from_utf8(borrowed), String::from_utf8(owned));
            assert_eq!(
                (draft.subject(), draft.id()),
                (&*envelope.subject, &*envelope.id)
            );
            assert_eq!(draft.origin(), origin);
        }
    }

    fn stamp(prefix: &Prefix, origin: Origin) -> Stamp<'_> {
        Stamp {
            prefix,
            source: "shop",
            journal: "3f9a1c22",
            seq: 42,
            epoch: "2026-08-20T07:15:02.707Z",
            origin,
            timestamp: at("2026-08-20T07:18:04.120Z"),
        }
    }

    #[test]
    fn an_event_is_written_exactly_as_the_contract_shows_it() {
        let mut out = Vec::new();
        crashed().write_json(&mut out).unwrap();
        let wanted = concat!(
            r#"{"type":"crashed","process":"api","namespace":"default","timestamp":"2026-08-20T07:18:04.120Z","#,
            r#""subject":"core.process.default.api.crashed","severity":"error","#,
            r#""state":{"name":"api","namespace":"default","status":"Completed","is_ready":"Ready","has_ready_probe":true,"#,
            r#""restarts":0,"exit_code":7,"is_running":false,"replicas":1,"group":"api","replica":0,"#,
            r#""namespaces":["default"],"pid":18768,"age_ms":181004,"mem_bytes":20185088,"cpu_percent":3.1,"#,
            r#""ended_at":"2026-08-20T07:18:03.900Z"},"#,
            r#""schema":1,"id":"shop.3f9a1c22.42","source":"shop","journal":"3f9a1c22","seq":42,"process_seq":7,"#,
            r#""epoch":"2026-08-20T07:15:02.707Z","origin":"change","reason":"exit","certainty":"certain","#,
            r#""occurred":{"after":"2026-08-20T07:18:02.100Z","before":"2026-08-20T07:18:04.100Z","at":"2026-08-20T07:18:03.900Z"},"#,
            r#""exit":{"code":7,"signal":null,"expected":false},"count":1,"#,
            r#""previous":{"status":"Running","is_ready":"Ready","restarts":0,"pid":18768}}"#,
        );
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }

    #[test]
    fn an_event_reads_back_as_it_was_and_unknown_keys_are_passed_over() {
        let mut out = Vec::new();
        crashed().write_json(&mut out).unwrap();
        assert_eq!(Envelope::parse(&out).unwrap(), crashed());
        let later = String::from_utf8(out)
            .unwrap()
            .replace(r#""count":1"#, r#""count":1,"mood":{"x":[1]}"#);
        assert_eq!(Envelope::parse(later.as_bytes()).unwrap(), crashed());
    }

    #[test]
    fn unknown_types_reasons_and_certainties_are_kept() {
        let mut out = Vec::new();
        let mut event = crashed();
        event.kind = Kind::Other("hibernated".into());
        event.reason = "moonlight".into();
        event.certainty = "hearsay".into();
        event.write_json(&mut out).unwrap();
        assert_eq!(Envelope::parse(&out).unwrap(), event);
    }

    #[test]
    fn nobody_is_woken_by_an_installation() {
        let prefix = Prefix::default();
        let notice = |origin| {
            let notice = SourceNotice {
                kind: Kind::Disconnected,
                severity: Severity::Error,
                reason: "refused".into(),
                occurred: Occurred {
                    after: None,
                    before: at("2026-08-20T07:18:04Z"),
                    at: None,
                },
                gap: None,
            };
            Envelope::notice(notice, &stamp(&prefix, origin)).severity
        };
        assert_eq!(notice(Origin::Change), Severity::Error);
        assert_eq!(notice(Origin::Initial), Severity::Info);
    }

    #[test]
    fn an_event_about_a_source_names_no_process() {
        let prefix = Prefix::default();
        let gap = Gap {
            from: None,
            to: at("2026-08-20T07:18:04Z"),
            why: "adapter_down".into(),
            events: None,
            sieve: None,
            next_sieve: None,
        };
        let notice = SourceNotice {
            kind: Kind::Gap,
            severity: Severity::Warning,
            reason: "adapter_down".into(),
            occurred: Occurred {
                after: None,
                before: gap.to,
                at: None,
            },
            gap: Some(gap),
        };
        let mut out = Vec::new();
        Envelope::notice(notice, &stamp(&prefix, Origin::Resync))
            .write_json(&mut out)
            .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with(r#"{"type":"gap","timestamp":"2026-08-20T07:18:04.120Z","subject":"core.source.shop.gap""#));
        assert!(text.contains(
            r#""gap":{"from":null,"to":"2026-08-20T07:18:04.000Z","why":"adapter_down"}"#
        ));
        assert!(!text.contains("process") && !text.contains("state"));
    }
}
