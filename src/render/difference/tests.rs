use serde_json::{Value, json};

use super::*;
use crate::process::difference::differences;
use crate::process::moment::Moment;
use crate::render::standings::tests::{drawing, found, moment, unknown};
use crate::render::tests::{COLOR, UTF8, at};

fn both() -> [Vec<Moment>; 2] {
    let before = moment(
        "shop",
        vec![
            found("api", |_| ()),
            found("db", |state| state.restarts = 2),
            found("gone", |_| ()),
            found("same", |_| ()),
            found("worker", |state| state.pid = Some(1)),
            unknown("who"),
        ],
    );
    let ended = found("api", |state| {
        state.is_running = false;
        state.status = "Completed".into();
        state.exit_code = 7;
    });
    let after = moment(
        "shop",
        vec![
            ended,
            found("db", |state| {
                state.restarts = 5;
                state.has_ready_probe = true;
                state.is_ready = "Not Ready".into();
            }),
            found("new", |_| ()),
            found("same", |_| ()),
            found("worker", |_| ()),
            found("who", |_| ()),
        ],
    );
    [vec![before], vec![after]]
}

fn shown(run: impl FnOnce(&Differences<'_>)) {
    let [before, after] = both();
    run(&Differences {
        from: at("07:00:00"),
        to: at("07:18:04.120"),
        found: &differences(&before, &after),
    });
}

#[test]
fn each_process_that_stood_differently_has_a_line() {
    shown(|found| {
        for (name, style, terminal) in [
            ("wide", UTF8, Some(200)),
            ("narrow", UTF8, Some(80)),
            ("ascii", Style::PLAIN, None),
        ] {
            let lines = found.lines(&drawing(style, terminal)).concat();
            insta::assert_snapshot!(format!("differences_{name}"), lines);
        }
        let colored = found.lines(&drawing(COLOR, Some(80))).concat();
        assert!(colored.contains('\x1b'));
        let bare = Drawing {
            titles: Titles::None,
            ..drawing(UTF8, None)
        };
        assert_eq!(found.lines(&bare).len(), 6);
    });
    let nothing = Differences {
        from: at("07:00:00"),
        to: at("07:01:00"),
        found: &[],
    };
    assert!(nothing.lines(&drawing(UTF8, None)).is_empty());
}

#[test]
fn the_object_has_both_sides_and_only_what_is_known() {
    shown(|found| {
        let object: Value = serde_json::from_slice(&found.json().unwrap()).unwrap();
        let all = object["differences"].as_array().unwrap();
        let names: Vec<_> = all
            .iter()
            .map(|one| one["process"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["api", "db", "gone", "new", "who", "worker"]);
        assert_eq!(all[1]["restarts"], 3);
        assert_eq!(all[2]["after"], Value::Null);
        assert_eq!(all[4]["before"]["known"], "nothing");
        assert_eq!(all[4]["restarts"], Value::Null);
        assert_eq!(all[5]["another_run"], true);
        insta::assert_json_snapshot!(all[0]);
    });
}

#[test]
fn of_a_source_that_nobody_watched_nothing_is_absent() {
    let [_, after] = both();
    let before = Moment {
        sighted: crate::process::moment::Sighted::NotYet(at("07:10:00")),
        ..moment("shop", Vec::new())
    };
    let found = differences(&[before], &after);
    assert!(
        found
            .iter()
            .all(|one| one.before.as_ref().unwrap().known == Known::Nothing)
    );
}

#[test]
fn the_schema_that_is_shipped_is_the_one_of_the_types() {
    let mut schema = schemars::schema_for!(Object<'_>).to_value();
    schema["$id"] = json!("urn:observe:schema:diff:1");
    schema["title"] = json!("observe diff, contract number 1");
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/diff.v1.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(DIFF, text, "UPDATE_SCHEMA=1 cargo test writes it");
}
