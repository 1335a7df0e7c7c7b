use std::time::Duration;

use serde_json::{Value, json};

use super::object::Object;
use super::*;
use crate::event::payload::State;
use crate::render::tests::{COLOR, UTF8, at, event, frame, state};

pub(in crate::render) fn drawing(style: Style, terminal: Option<usize>) -> Drawing {
    Drawing {
        style,
        times: frame(style, terminal).times,
        terminal,
        columns: Columns::Usual,
        titles: Titles::Shown,
    }
}

/// A process that runs for three minutes and was told of a minute ago, but for this.
pub(in crate::render) fn found(name: &str, change: fn(&mut State)) -> Found {
    let mut told = state(name);
    change(&mut told);
    let mut event = event("07:17:04.120", Kind::Healthy, name, "probe");
    let mut row = told.clone();
    (row.age_ms, row.mem_bytes, row.cpu_percent) = (None, None, None);
    event.state = Some(told);
    let mut found = Found {
        name: name.into(),
        group: None,
        namespaces: row
            .namespaces
            .iter()
            .map(|name| name.as_str().into())
            .collect(),
        known: Known::Now,
        crashed: !row.is_running && row.exit_code != 0,
        exit: row.last_exit(),
        begun_at: None,
        usage_at: None,
        left_out: false,
        state: Some(row),
    };
    found.used_as_of(&event);
    found
}

pub(in crate::render) fn unknown(name: &str) -> Found {
    Found {
        known: Known::Nothing,
        state: None,
        exit: None,
        begun_at: None,
        usage_at: None,
        ..found(name, |_| ())
    }
}

pub(in crate::render) fn moment(source: &str, processes: Vec<Found>) -> Moment {
    Moment {
        source: source.to_owned(),
        sighted: Sighted::Seen(Some(at("07:18:03.120"))),
        processes,
    }
}

fn shop() -> Moment {
    let probed = |state: &mut State| state.has_ready_probe = true;
    moment(
        "shop",
        vec![
            found("api", |state| {
                state.has_ready_probe = true;
                state.is_ready = "Ready".into();
            }),
            found("cache\u{1b}[31m", |_| ()),
            found("db", |state| {
                state.has_ready_probe = true;
                state.is_ready = "Not Ready".into();
            }),
            found("migrate", |state| {
                state.is_running = false;
                state.status = "Completed".into();
            }),
            found("seed", |state| {
                state.is_running = false;
                state.status = "Disabled".into();
                state.pid = None;
            }),
            found("web-with-a-rather-long-name-0", probed),
            found("worker", |state| {
                state.is_running = false;
                state.status = "Restarting".into();
                state.restarts = 12;
                state.exit_code = 137;
            }),
        ],
    )
}

fn lab() -> Moment {
    let seen = moment("lab", vec![found("api", |_| ()), found("web", |_| ())]);
    let since = at("05:00:00");
    Moment {
        sighted: Sighted::Unwatched(since),
        processes: seen
            .processes
            .into_iter()
            .map(Found::no_longer_seen)
            .collect(),
        ..seen
    }
}

fn standings(moments: &[Moment], asked: Option<DateTime<Utc>>) -> Standings<'_> {
    Standings {
        moments,
        at: asked,
        now: at("07:18:04.120"),
        hidden: 2,
    }
}

#[test]
fn a_terminal_a_pipe_and_one_without_utf8_each_have_their_table() {
    let moments = [shop(), lab()];
    let standings = standings(&moments, None);
    for (name, style, terminal) in [
        ("80", UTF8, Some(80)),
        ("200", UTF8, Some(200)),
        ("pipe", UTF8, None),
        ("ascii", Style::PLAIN, Some(80)),
        ("40", UTF8, Some(40)),
    ] {
        let lines = standings.lines(&drawing(style, terminal));
        if let Some(terminal) = terminal {
            let rows = lines
                .iter()
                .filter(|line| !line.contains(": ") && !line.contains("--all"));
            assert!(rows.clone().count() > 10);
            for row in rows {
                assert!(
                    crate::render::door::width(row.trim_end()) <= terminal,
                    "{row}"
                );
            }
        }
        insta::assert_snapshot!(format!("standings_{name}"), lines.concat());
    }
    let wide = Drawing {
        columns: Columns::Wide,
        ..drawing(UTF8, Some(80))
    };
    insta::assert_snapshot!("standings_wide", standings.lines(&wide).concat());
    let bare = Drawing {
        titles: Titles::None,
        ..drawing(UTF8, None)
    };
    assert_eq!(standings.lines(&bare).len(), 9);
}

#[test]
fn numbers_of_another_run_are_not_of_this_one() {
    for change in [
        |state: &mut State| state.pid = Some(1),
        |state: &mut State| state.restarts = 1,
        |state: &mut State| state.name = "web".into(),
    ] {
        let mut api = found("api", |_| ());
        (api.usage_at, api.begun_at) = (None, None);
        let mut last = event("07:17:30", Kind::Healthy, "api", "probe");
        api.used_as_of(&last);
        assert!(api.usage_at.is_some());
        api.usage_at = None;
        change(last.state.as_mut().unwrap());
        api.used_as_of(&last);
        assert_eq!(api.usage_at, None);
    }
}

#[test]
fn what_nobody_looks_at_is_never_green() {
    let moments = [lab()];
    let colored = standings(&moments, None).lines(&drawing(COLOR, Some(80)));
    let green = "\x1b[32m";
    assert!(
        colored.iter().all(|line| !line.contains(green)),
        "{colored:?}"
    );
    assert!(
        colored
            .iter()
            .filter(|line| line.contains("was Running"))
            .count()
            == 2
    );
    let fresh = [shop()];
    let colored = standings(&fresh, None).lines(&drawing(COLOR, Some(80)));
    assert!(
        colored.iter().any(|line| line.contains(green)),
        "{colored:?}"
    );
}

#[test]
fn each_sight_has_its_heading() {
    let heading = |sighted, asked: Option<&str>| {
        let moments = [Moment {
            sighted,
            ..moment("shop", vec![unknown("api")])
        }];
        let standings = standings(&moments, asked.map(at));
        standings.heading(&moments[0], &drawing(UTF8, None))
    };
    let past = Some("06:00:00");
    let four = at("04:00:00");
    for (sighted, asked, wanted) in [
        (
            Sighted::Seen(Some(at("07:18:03"))),
            None,
            "shop: 1 process, 0 up; looked 1 s ago",
        ),
        (
            Sighted::Seen(None),
            past,
            "shop at 06:00:00: 1 process, 0 up, 1 unknown",
        ),
        (
            Sighted::Unwatched(four),
            None,
            "shop: nobody has looked for 3 h; 1 process as last seen at 04:00:00",
        ),
        (
            Sighted::Unwatched(four),
            past,
            "shop at 06:00:00: nobody had looked for 2 h; 1 process as last seen at 04:00:00",
        ),
        (
            Sighted::Lost(four),
            None,
            "shop: out of sight for 3 h; 1 process as last seen at 04:00:00",
        ),
        (
            Sighted::NotYet(at("07:00:00")),
            past,
            "shop at 06:00:00: not watched before 07:00:00",
        ),
        (
            Sighted::NotKept,
            past,
            "shop at 06:00:00: what was told of that time is not kept any more",
        ),
        (Sighted::Unreadable, None, "shop: its head cannot be read"),
    ] {
        assert_eq!(heading(sighted, asked).trim_end(), wanted);
    }
}

#[test]
fn a_past_moment_is_told_as_of_that_moment() {
    let moments = [Moment {
        sighted: Sighted::Seen(None),
        ..moment("shop", vec![found("api", |_| ()), unknown("web")])
    }];
    let standings = Standings {
        at: Some(at("07:18:00")),
        now: at("09:00:00"),
        ..standings(&moments, None)
    };
    insta::assert_snapshot!(
        "standings_past",
        standings.lines(&drawing(UTF8, Some(80))).concat()
    );
    let begun = moments[0].processes[0].begun_at.unwrap();
    let uptime = since(begun, at("07:18:00"));
    assert!(uptime > Duration::from_secs(180), "{uptime:?}");
}

#[test]
fn numbers_of_the_look_itself_need_no_age() {
    let looked = at("07:18:03.120");
    let mut api = found("api", |_| ());
    api.usage_at = Some(looked);
    let moments = [moment("shop", vec![api])];
    let lines = standings(&moments, None).lines(&drawing(UTF8, None));
    assert!(lines[1].ends_with("CPU      MEM\n"), "{lines:?}");
}

#[test]
fn the_object_is_one_line_and_says_of_which_time_everything_is() {
    let moments = [
        moment("shop", vec![found("api", |_| ()), unknown("web")]),
        lab(),
    ];
    let bytes = standings(&moments, None).json().unwrap();
    assert_eq!(
        bytes.iter().position(|&byte| byte == b'\n'),
        Some(bytes.len() - 1)
    );
    let object: Value = serde_json::from_slice(&bytes).unwrap();
    // What was, nobody takes for what is.
    assert_eq!(object["sources"][1]["processes"][0]["state"], Value::Null);
    insta::assert_json_snapshot!("standings_object", object);
}

#[test]
fn the_schema_that_is_shipped_is_the_one_of_the_types() {
    let mut schema = schemars::schema_for!(Object<'_>).to_value();
    schema["$id"] = json!("urn:observe:schema:state:1");
    schema["title"] = json!("observe state, contract number 1");
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/state.v1.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(STATE, text, "UPDATE_SCHEMA=1 cargo test writes it");
}
