//! The table as a person sees it, at every width.

use std::collections::BTreeMap;

use chrono::FixedOffset;

use super::{Face, PIECES, percent, short};
use crate::render::door::{Charset, width};
use crate::render::style::Style;
use crate::render::time::{TimeStyle, Times, Zone};
use crate::stats::figures::{Bucket, Counted, Ended, Figures};
use crate::stats::report::{By, Line, Range, Report, Sight, Unwatched};

const HOUR: u64 = 3_600_000;

fn counted(total: u64, inferred: u64, ambiguous: u64) -> Counted {
    Counted {
        total,
        inferred,
        ambiguous,
    }
}

fn quiet() -> Figures {
    Figures {
        processes: 1,
        up: 24 * HOUR,
        longest_run: 24 * HOUR,
        timeline: vec![Bucket::default(); PIECES],
        ..Figures::default()
    }
}

fn worker() -> Figures {
    let mut timeline = vec![Bucket::default(); PIECES];
    for (index, crashes) in [(3, 1), (4, 9), (20, 2), (47, 5)] {
        timeline[index].crashes = crashes;
    }
    for piece in &mut timeline[12..16] {
        piece.unknown = HOUR / 2;
    }
    timeline[30].stops = 1;
    let ended = |code, signal| Ended { code, signal };
    Figures {
        up: 20 * HOUR,
        down: 2 * HOUR,
        unknown: 2 * HOUR,
        crashes: counted(17, 2, 1),
        restarts: counted(15, 2, 0),
        stops: counted(1, 0, 0),
        repairs: 14,
        repairing: 14 * 12_300,
        longest_run: 6 * HOUR,
        flaps: 2,
        flapping: 1,
        exits: BTreeMap::from([
            (ended(Some(0), None), 1),
            (ended(Some(1), None), 11),
            (ended(Some(-1), None), 2),
            (ended(Some(137), Some(9)), 3),
            (ended(None, None), 1),
        ]),
        timeline,
        ..quiet()
    }
}

/// Two processes of one source: one that is well, one that is not.
pub(in crate::render) fn report() -> Report {
    let mut total = quiet();
    let job = Figures {
        up: 1,
        down: 24 * HOUR - 1,
        longest_run: 1,
        stops: counted(1, 0, 0),
        ..quiet()
    };
    total.add(&worker());
    total.add(&job);
    let line = |process: &str, figures| Line {
        source: "shop".to_owned(),
        namespace: Some("default".to_owned()),
        process: Some(process.to_owned()),
        figures,
    };
    let at = |time: &str| format!("2026-08-20T{time}Z").parse().unwrap();
    Report {
        range: Range {
            from: "2026-08-19T14:20:03Z".parse().unwrap(),
            to: at("14:20:03"),
        },
        by: By::Process,
        lines: vec![
            line("api", quiet()),
            line(
                "a-job-with-a-name-that-is-longer-than-any-column\u{1b}[31m",
                job,
            ),
            line("worker", worker()),
        ],
        total,
        sources: vec![Sight {
            source: "shop".to_owned(),
            unwatched: vec![
                Unwatched {
                    from: at("02:00:00"),
                    to: at("03:00:00"),
                },
                Unwatched {
                    from: at("05:00:00"),
                    to: at("06:00:00"),
                },
            ],
            unknown: 2 * HOUR,
        }],
    }
}

fn face(charset: Charset, colored: bool, terminal: Option<usize>) -> Face {
    let zone = Zone::Fixed(FixedOffset::east_opt(0).unwrap());
    Face {
        style: Style { colored, charset },
        times: Times {
            style: TimeStyle::Local,
            zone,
        },
        terminal,
    }
}

#[test]
fn a_table_at_every_width() {
    for (name, charset, terminal) in [
        ("eighty_columns", Charset::Utf8, Some(80)),
        ("two_hundred_columns", Charset::Utf8, Some(200)),
        ("a_pipe", Charset::Utf8, None),
        ("ascii", Charset::Ascii, Some(80)),
        ("forty_columns", Charset::Utf8, Some(40)),
    ] {
        let face = face(charset, false, terminal);
        let lines = face.table(&report());
        for line in &lines {
            let columns = width(line.trim_end_matches('\n'));
            assert!(
                terminal.is_none_or(|terminal| columns <= terminal),
                "{line}"
            );
            assert!(charset == Charset::Utf8 || line.is_ascii(), "{line}");
        }
        insta::assert_snapshot!(name, lines.concat());
    }
}

#[test]
fn colours_stand_beside_words_and_figures() {
    let colored = face(Charset::Utf8, true, Some(80))
        .table(&report())
        .concat();
    assert!(colored.contains('\u{1b}'));
    let plain = face(Charset::Utf8, false, Some(80))
        .table(&report())
        .concat();
    let mut stripped = String::new();
    for (index, piece) in colored.split('\u{1b}').enumerate() {
        let piece = if index == 0 {
            piece
        } else {
            piece.split_once('m').unwrap().1
        };
        stripped.push_str(piece);
    }
    assert_eq!(stripped, plain);
}

#[test]
fn what_is_not_known_is_said() {
    let face = face(Charset::Utf8, false, None);
    let report = report();
    assert_eq!(
        face.summary(&report),
        "19 Aug 14:20:03–14:20:03 (1 d): 3 processes"
    );
    assert_eq!(
        face.unwatched(&report.sources[0]).unwrap(),
        "shop: unknown for 2 h in 2 stretches, the last 05:00:00–06:00:00 (1 h)"
    );
    let mut one = report.sources[0].clone();
    one.unwatched.truncate(1);
    assert_eq!(
        face.unwatched(&one).unwrap(),
        "shop: unknown 02:00:00–03:00:00 (1 h)"
    );
    one.unwatched.clear();
    assert_eq!(face.unwatched(&one), None);
}

#[test]
fn only_all_of_it_is_a_hundred_percent_and_only_none_is_nothing() {
    for (share, wanted) in [
        (1.0, "100%"),
        (0.999_999, "99.99%"),
        (0.5, "50.00%"),
        (0.000_001, "0.01%"),
        (0.0, "0%"),
    ] {
        assert_eq!(percent(share), wanted);
    }
    for (millis, wanted) in [
        (7, "7ms"),
        (59_999, "59s"),
        (60_000, "1m"),
        (209_999, "3m29s"),
        (2 * HOUR - 1, "1h59m"),
        (47 * HOUR, "47h"),
        (9 * 24 * HOUR + 23 * HOUR, "9d23h"),
        (48 * HOUR, "2d"),
        (9999 * 24 * HOUR, "9999d"),
    ] {
        assert_eq!(short(millis), wanted);
        assert!(wanted.len() <= 5);
    }
}
