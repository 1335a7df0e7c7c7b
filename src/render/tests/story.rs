//! A night as a person sees it at 80 columns.

use super::*;
use crate::render::notice::{LastEvent, Sight, Standing};

fn with(mut event: Envelope, change: impl FnOnce(&mut Envelope)) -> Envelope {
    change(&mut event);
    event
}

fn restarts(number: i64) -> impl FnOnce(&mut Envelope) {
    move |event| event.state.as_mut().unwrap().restarts = number
}

fn lasted(ms: i64) -> impl FnOnce(&mut Envelope) {
    move |event| event.state.as_mut().unwrap().age_ms = Some(ms)
}

fn initial(event: &mut Envelope) {
    event.origin = Origin::Initial;
    event.severity = Severity::Info;
}

fn evening() -> Vec<Envelope> {
    use Kind::{Crashed, Healthy, Restarted, Started, Stopped, Unhealthy};
    vec![
        source_event("02:51:07.100", Kind::Connected, "first_contact", None),
        with(
            event("02:51:07.100", Started, "postgres", "present"),
            initial,
        ),
        with(event("02:51:07.100", Healthy, "postgres", "probe"), initial),
        with(event("02:51:07.100", Started, "web", "present"), initial),
        event("02:51:13.104", Started, "api", "dependency_met"),
        event("02:51:17.106", Healthy, "api", "probe"),
        event("02:51:21.103", Started, "worker", "added"),
        with(
            ended(event("02:58:33.120", Crashed, "worker", "exit"), 1, None),
            lasted(432_000),
        ),
        with(
            event("02:58:35.121", Restarted, "worker", "policy"),
            restarts(1),
        ),
        with(
            ended(
                event("03:01:09.133", Crashed, "worker", "signal"),
                137,
                Some(9),
            ),
            |event| {
                lasted(154_000)(event);
                restarts(1)(event);
            },
        ),
        with(
            event("03:01:11.130", Restarted, "worker", "policy"),
            restarts(2),
        ),
        event("03:02:41.140", Unhealthy, "api", "probe"),
        with(
            ended(
                event("03:02:57.141", Crashed, "api", "unhealthy"),
                143,
                Some(15),
            ),
            lasted(704_000),
        ),
        with(
            event("03:02:59.140", Restarted, "api", "policy"),
            restarts(1),
        ),
        event("03:03:05.144", Healthy, "api", "probe"),
        with(
            ended(event("03:04:07.151", Stopped, "migrate", "exited"), 0, None),
            lasted(2_400),
        ),
    ]
}

fn night() -> Vec<Envelope> {
    use Kind::{Crashed, Restarted, Started, StatusChanged, Stopped};
    vec![
        gap("03:11:40.200", Some("03:08:11.160"), "adapter_down"),
        with(
            ended(event("03:11:40.200", Crashed, "worker", "missed"), 1, None),
            |event| {
                event.origin = Origin::Resync;
                event.certainty = "inferred".into();
                event.occurred.after = Some(at("03:08:11.160"));
                event.count = 3;
                event.severity = Severity::Critical;
            },
        ),
        with(
            event("03:11:40.200", Restarted, "worker", "policy"),
            |event| {
                event.origin = Origin::Resync;
                event.occurred.after = Some(at("03:08:11.160"));
                restarts(5)(event);
            },
        ),
        with(
            ended(
                event(
                    "03:14:20.210",
                    Stopped,
                    "report-generator-nightly-eu",
                    "requested",
                ),
                143,
                Some(15),
            ),
            |event| {
                lasted(12_004_000)(event);
                event.namespace = Some("batch".into());
            },
        ),
        event("03:14:22.211", StatusChanged, "cleanup", "status"),
        source_event(
            "03:20:09.300",
            Kind::Disconnected,
            "refused",
            Some("03:20:02.290"),
        ),
        source_event(
            "03:20:31.305",
            Kind::Connected,
            "seen_again",
            Some("03:20:02.290"),
        ),
        source_event("03:20:31.305", Kind::Restarted, "source_restarted", None),
        with(
            event("03:20:31.305", Started, "postgres", "source_restarted"),
            |event| {
                event.origin = Origin::Resync;
                event.occurred.after = Some(at("03:20:02.290"));
            },
        ),
    ]
}

fn story(style: Style) -> String {
    let frame = frame(style, Some(80));
    let now = at("03:21:00");
    let standing = Standing {
        source: "shop",
        processes: 3,
        up: 3,
        unhealthy: 0,
        crashed: 0,
        last_event: LastEvent::Never,
        sight: Sight::Looked(std::time::Duration::from_secs(1)),
    };
    let mut out = standing.line(style);
    for event in evening().iter().chain(&night()) {
        out.push_str(&frame.event(event, now));
    }
    out
}

#[test]
fn a_night_reads_well_at_eighty_columns() {
    let story = story(UTF8);
    for line in story.lines() {
        assert!(super::super::door::width(line) <= 80, "{line}");
    }
    insta::assert_snapshot!(story);
}
