//! Every type with every reason, the wide face, the other clocks, and the lines beside the data.

use std::time::Duration;

use super::*;
use crate::render::format::Format;
use crate::render::line::Look;
use crate::render::notice::{Away, Beginning, Blindness, LastEvent, Side, Sight, Standing, Told};
use crate::render::style::ColorChoice;

const BEGINNINGS: [&str; 9] = [
    "present",
    "added",
    "policy",
    "requested",
    "watch",
    "schedule",
    "dependency_met",
    "source_restarted",
    "unknown",
];
const ENDS: [&str; 9] = [
    "exit",
    "signal",
    "exited",
    "missed",
    "requested",
    "replaced",
    "unhealthy",
    "spawn_failed",
    "removed",
];
const CHANGES: [&str; 8] = [
    "status",
    "renamed",
    "removed",
    "restart_cancelled",
    "dependency_failed",
    "added",
    "source_restarted",
    "moonlight_serenade",
];

fn every_event() -> Vec<Envelope> {
    use Kind::{Crashed, Healthy, Restarted, Started, StatusChanged, Stopped, Unhealthy};
    let time = "03:00:00";
    let mut all = Vec::new();
    let begins = [Started, Restarted];
    all.extend(
        begins
            .iter()
            .flat_map(|kind| BEGINNINGS.map(|r| event(time, kind.clone(), "api", r))),
    );
    all.extend(ENDS.map(|reason| match reason {
        "signal" => ended(event(time, Crashed, "api", reason), 139, Some(11)),
        _ => ended(event(time, Crashed, "api", reason), 7, None),
    }));
    all.extend(ENDS.map(|reason| ended(event(time, Stopped, "api", reason), 0, None)));
    for kind in [Healthy, Unhealthy] {
        all.extend(["probe", "starting"].map(|r| event(time, kind.clone(), "api", r)));
    }
    all.extend(CHANGES.map(|reason| {
        let mut event = event(time, StatusChanged, "api-1", reason);
        event.previous.as_mut().unwrap().name = Some("api".into());
        event
    }));
    all
}

/// The same crash with everything that can be said beside its reason.
fn every_note() -> Vec<Envelope> {
    let crash = |change: fn(&mut Envelope)| {
        let mut event = ended(event("03:00:00", Kind::Crashed, "worker", "exit"), 7, None);
        change(&mut event);
        event
    };
    vec![
        crash(|e| e.count = 3),
        crash(|e| e.certainty = "ambiguous".into()),
        crash(|e| e.certainty = "inferred".into()),
        crash(|e| e.severity = Severity::Critical),
        crash(|e| e.origin = Origin::Resync),
        crash(|e| {
            e.origin = Origin::Initial;
            e.severity = Severity::Info;
        }),
        crash(|e| e.occurred.after = Some(at("02:56:31"))),
        crash(|e| e.occurred.at = Some(at("02:59:01"))),
        crash(|e| e.namespace = Some("batch".into())),
        crash(|e| e.timestamp = "2026-08-19T23:59:59Z".parse().unwrap()),
        crash(|e| e.exit.as_mut().unwrap().code = Some(-1)),
        crash(|e| e.exit.as_mut().unwrap().signal = Some(64)),
        crash(|e| e.exit = None),
        crash(|e| e.state.as_mut().unwrap().age_ms = Some(212)),
        crash(|e| e.state = None),
        crash(|e| e.reason = "".into()),
        crash(|e| e.kind = Kind::Other("hibernated_for_winter".into())),
    ]
}

fn every_notice() -> Vec<Envelope> {
    let mut lost = gap("03:00:00", Some("02:00:00"), "spool_full");
    lost.gap.as_mut().unwrap().events = Some(12);
    let mut yesterday = gap("00:05:40", None, "adapter_down");
    yesterday.gap.as_mut().unwrap().from = Some("2026-08-19T23:58:11Z".parse().unwrap());
    let mut all = vec![
        source_event("03:00:00", Kind::Connected, "first_contact", None),
        source_event("03:00:00", Kind::Connected, "seen_again", Some("02:59:00")),
        source_event("03:00:00", Kind::Connected, "", None),
        source_event("03:00:00", Kind::Disconnected, "timeout", Some("02:59:48")),
        source_event("03:00:00", Kind::Disconnected, "", None),
        source_event("03:00:00", Kind::Restarted, "source_restarted", None),
        gap("03:00:00", None, "stream_lost"),
        lost,
        yesterday,
    ];
    all.extend(
        [
            "adapter_down",
            "source_unreachable",
            "superseded",
            "rolled_back",
            "fell_behind",
            "moonlight",
        ]
        .map(|why| gap("03:00:00", Some("02:56:31"), why)),
    );
    all
}

fn lines(frame: &Frame, events: &[Envelope]) -> String {
    events
        .iter()
        .map(|event| frame.event(event, at("03:00:01")))
        .collect()
}

#[test]
fn every_reason_at_eighty_columns() {
    insta::assert_snapshot!(lines(&frame(UTF8, Some(80)), &every_event()));
}

#[test]
fn every_note_at_eighty_columns() {
    insta::assert_snapshot!(lines(&frame(UTF8, Some(80)), &every_note()));
}

#[test]
fn every_note_at_two_hundred_columns_and_several_sources() {
    let mut frame = frame(UTF8, None);
    frame.columns = Columns::for_width(Some(200), true);
    insta::assert_snapshot!(lines(&frame, &every_note()));
}

#[test]
fn everything_in_ascii() {
    let mut events = every_notice();
    events.extend(every_note());
    insta::assert_snapshot!(lines(&frame(Style::PLAIN, Some(80)), &events));
}

#[test]
fn everything_about_sources() {
    insta::assert_snapshot!(lines(&frame(UTF8, Some(80)), &every_notice()));
}

#[test]
fn colors_stand_beside_symbols_and_words() {
    let mut events: Vec<_> = Kind::PROCESS
        .iter()
        .map(|kind| event("03:00:00", kind.clone(), "api", "status"))
        .collect();
    events.extend(every_note().into_iter().skip(3).take(3));
    events.extend(every_notice());
    let colored = lines(&frame(COLOR, Some(80)), &events);
    insta::assert_snapshot!(colored.replace('\x1b', "␛"));
}

#[test]
fn wide_leaves_nothing_out() {
    let frame = frame(UTF8, Some(80));
    let mut events = every_note();
    events.extend(every_notice());
    let wide: String = events
        .iter()
        .map(|event| frame.wide_event(event, at("03:00:01")))
        .collect();
    insta::assert_snapshot!(wide);
}

#[test]
fn a_snapshot_is_a_line_per_process() {
    let mut up = state("postgres");
    up.has_ready_probe = true;
    up.is_ready = "Ready".into();
    let mut sick = state("api");
    sick.has_ready_probe = true;
    sick.is_ready = "Not Ready".into();
    sick.restarts = 3;
    let mut done = state("migrate");
    (done.is_running, done.status) = (false, "Completed".into());
    done.ended_at = Some(at("02:50:00"));
    let mut broken = done.clone();
    (broken.name, broken.exit_code, broken.namespace) = ("worker".into(), 7, "batch".into());
    let mut killed = broken.clone();
    (killed.name, killed.exit_code) = ("cron".into(), -1);
    let mut waiting = state("web");
    (waiting.is_running, waiting.status) = (false, "Pending".into());
    (waiting.pid, waiting.age_ms) = (None, None);
    let frame = frame(UTF8, Some(80));
    let out: String = [up, sick, done, broken, killed, waiting]
        .iter()
        .map(|state| Look {
            source: "shop",
            state,
            at: at("03:00:00"),
        })
        .map(|look| frame.snapshot(&look, at("03:00:01")))
        .collect();
    insta::assert_snapshot!(out);
}

#[test]
fn a_snapshot_as_json_begins_like_an_event() {
    let state = state("api");
    let look = Look {
        source: "shop",
        state: &state,
        at: at("03:00:00"),
    };
    let out = crate::render::json::snapshot(&look).unwrap();
    let text = String::from_utf8(out).unwrap();
    let begin = r#"{"type":"snapshot","process":"api","namespace":"default","timestamp":"2026-08-20T03:00:00.000Z","state":{"name":"api","#;
    assert!(text.starts_with(begin), "{text}");
    assert!(text.ends_with("\"source\":\"shop\"}\n"), "{text}");
}

#[test]
fn every_clock_keeps_the_columns() {
    let event = event("03:00:00", Kind::Started, "api", "added");
    let mut out = String::new();
    for style in [
        TimeStyle::Local,
        TimeStyle::Utc,
        TimeStyle::Relative,
        TimeStyle::None,
    ] {
        let mut frame = frame(UTF8, Some(80));
        frame.times.style = style;
        out += &frame.event(&event, at("03:14:00"));
        out += &frame.wide_event(&event, at("03:14:00"));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn the_lines_beside_the_data() {
    let mut standing = Standing {
        source: "shop",
        processes: 12,
        up: 10,
        unhealthy: 0,
        crashed: 1,
        last_event: LastEvent::Ago(Duration::from_secs(842)),
        sight: Sight::Looked(Duration::from_secs(1)),
    };
    let mut out = standing.line(UTF8);
    standing.sight = Sight::Stale(Duration::from_secs(64));
    standing.unhealthy = 2;
    out += &standing.line(UTF8);
    standing.sight = Sight::Lost(Duration::from_secs(7300));
    (standing.processes, standing.up, standing.unhealthy) = (1, 0, 0);
    standing.last_event = LastEvent::Never;
    out += &standing.line(UTF8);
    standing.sight = Sight::Never;
    out += &standing.line(UTF8);
    let beginning = Beginning {
        source: "shop",
        address: "http://localhost:8080",
        supervisor: "process-compose v1.122.0",
        evidence: "with its state stream",
        broker: "nats://127.0.0.1:4222",
        stream: "PROCESS_EVENTS",
        interval: Duration::from_secs(2),
    };
    out += &beginning.line(UTF8);
    let mut told = Told {
        source: "shop",
        seq: (42, 44),
        kinds: &[(Kind::Crashed, 1), (Kind::Healthy, 2)],
        took: Duration::from_millis(12),
    };
    out += &told.line(UTF8);
    (told.seq, told.kinds) = ((45, 45), &[(Kind::Gap, 1)]);
    out += &told.line(Style::PLAIN);
    let away = Away {
        side: Side::Broker,
        name: "nats://127.0.0.1:4222",
    };
    out += &away.left(UTF8, "connection refused\nby peer\n");
    out += &away.back(UTF8, Duration::from_secs(209));
    insta::assert_snapshot!(out);
}

#[test]
fn what_nobody_saw_is_said_once_at_the_end() {
    let now = at("03:30:00");
    let mut blind = Blindness::default();
    assert_eq!(blind.line(UTF8, now), None);
    blind.see(&event("03:00:00", Kind::Crashed, "api", "exit"));
    assert_eq!(blind.line(UTF8, now), None);
    blind.see(&gap("03:00:00", Some("02:56:31"), "adapter_down"));
    assert_eq!(
        blind.line(UTF8, now).unwrap(),
        "1 stretch was not seen (3 min 29 s in all); what happened then is not shown\n"
    );
    blind.see(&gap("03:10:00", None, "stream_lost"));
    blind.see(&source_event(
        "03:20:00",
        Kind::Disconnected,
        "",
        Some("03:19:00"),
    ));
    assert_eq!(
        blind.line(UTF8, now).unwrap(),
        "2 stretches were not seen (at least 3 min 29 s in all); shop is out of sight for 11 min; \
         what happened then is not shown\n"
    );
    blind.see(&source_event("03:25:00", Kind::Connected, "", None));
    assert!(!blind.line(UTF8, now).unwrap().contains("out of sight"));
}

#[test]
fn what_was_left_out_on_purpose_is_no_time_that_was_not_watched() {
    let left_out = gap("03:00:00", Some("02:56:31"), "left_out");
    let down = gap("03:00:00", Some("02:56:31"), "adapter_down");
    let lost = source_event("03:20:00", Kind::Disconnected, "", Some("03:19:00"));
    let (watched, not_watched) = (
        "no interruption of the watching is told in that time",
        "not all of that time was watched",
    );
    for (events, wanted) in [
        (vec![], watched.to_owned()),
        (vec![&down], not_watched.to_owned()),
        (vec![&lost], not_watched.to_owned()),
        (
            vec![&left_out],
            format!("{watched}; events were left out in that time"),
        ),
        (
            vec![&left_out, &down],
            format!("{not_watched}; events were left out in that time"),
        ),
    ] {
        let mut blind = Blindness::default();
        for event in events {
            blind.see(event);
        }
        assert_eq!(blind.behind_silence(), wanted);
    }
}

#[test]
fn an_unknown_word_names_the_known_ones() {
    assert_eq!("wide".parse(), Ok(Format::Wide));
    assert_eq!(
        "j\x1bson".parse::<Format>().unwrap_err().to_string(),
        "there is no output `j\\x1bson`; there are text, json, wide, raw, cloudevents, template=TEXT"
    );
    assert_eq!(
        "gmt".parse::<TimeStyle>().unwrap_err().to_string(),
        "there is no time `gmt`; there are local, utc, relative, none"
    );
    assert_eq!(
        "yes".parse::<ColorChoice>().unwrap_err().to_string(),
        "there is no color `yes`; there are auto, always, never"
    );
}
