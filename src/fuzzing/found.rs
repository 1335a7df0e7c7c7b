//! What was found by spoilt samples or by fuzzing, each by the name of what went wrong.

use super::{broker_answers, event, head, looks, samples, stack, table};

/// The first sample of a target with one part of it replaced.
fn with(target: &str, part: &str, by: &str) -> Vec<u8> {
    let samples = samples::of(target).into_iter();
    let mut texts = samples.map(|sample| String::from_utf8(sample).unwrap());
    let text = texts.find(|text| text.contains(part)).unwrap();
    text.replace(part, by).into_bytes()
}

#[test]
fn a_root_whose_shards_lie_behind_the_end_of_numbers() {
    head(&with(
        "head",
        r#"{"behind":1}"#,
        r#"{"behind":18446744073709551615}"#,
    ));
}

#[test]
fn a_root_that_was_written_at_the_end_of_the_calendar() {
    let late = "+262142-12-31T23:59:59.999Z";
    let root = with("head", "other\",\"seq\":1", "another\",\"seq\":1");
    let root = String::from_utf8(root).unwrap();
    let both = root.replace("2026-08-20T07:18:04.000Z", late);
    head(both.as_bytes());
    let (memory, root) = root.split_once('\u{1e}').unwrap();
    let root = root.replace("2026-08-20T07:18:04.000Z", "9998-12-31T23:59:59Z");
    let root = root.replace(
        "\"interval_ms\":2000",
        "\"interval_ms\":18446744073709551615",
    );
    head(format!("{memory}\u{1e}{root}").as_bytes());
}

#[test]
fn an_event_behind_the_last_number() {
    broker_answers(&with(
        "broker_answers",
        "\"seq\":42",
        "\"seq\":18446744073709551615",
    ));
    assert!(
        crate::bus::laws::root(&with("head", "\"seq\":42", "\"seq\":18446744073709551615"))
            .is_none()
    );
}

#[test]
fn a_process_that_was_told_to_the_last_number() {
    looks(&with("looks", "\"q\":3", "\"q\":18446744073709551615"));
}

#[test]
fn more_replicas_than_fit_into_memory() {
    let all = "processes: {a: {replicas: 200000}}";
    stack(all.as_bytes());
    let error = crate::simulate::script::Stack::parse(all).unwrap_err();
    assert_eq!(
        error.to_string(),
        "these are 200000 processes, 100000 are the most"
    );
}

#[test]
fn lengths_of_time_whose_sum_is_none() {
    stack(b"18446744073709549568s18446744073709549568s");
}

#[test]
fn names_that_nobody_asked_for_are_forgotten_before_they_fill_the_memory() {
    use crate::process_compose::frames::{Frames, MAX_NAMES};
    let frames = Frames::new();
    crate::process_compose::laws::invented(&frames, 3 * MAX_NAMES / 2, 8);
    let kept = crate::process_compose::laws::names_kept(&frames);
    assert!((1..=MAX_NAMES).contains(&kept.0), "{kept:?}");
    let frames = Frames::new();
    crate::process_compose::laws::invented(&frames, 6_000, 4_096);
    let kept = crate::process_compose::laws::names_kept(&frames);
    assert!(kept.1 <= 16 * 1024 * 1024, "{kept:?}");
}

#[test]
fn a_server_that_answers_with_an_error_without_a_word() {
    table(br#"{"error":""}"#);
    table(br#"{"error":" \n\t"}"#);
}

#[test]
fn bytes_that_are_no_text_under_a_key_that_nobody_reads() {
    let mut bytes = with("event", "\"count\":1", "\"mood\":\"X\",\"count\":1");
    let at = bytes
        .windows(3)
        .position(|three| three == b"\"X\"")
        .unwrap();
    bytes[at + 1] = 0x9b;
    event(&bytes);
}

#[test]
fn a_process_without_a_namespace_that_passed_no_filter() {
    let bytes = with("event", r#""state":{"#, r#""mood":{"#);
    let text = String::from_utf8(bytes).unwrap();
    let text = text.replacen(r#""namespace":"#, r#""place":"#, 1);
    assert!(crate::event::laws::event(text.as_bytes()).is_some());
}
