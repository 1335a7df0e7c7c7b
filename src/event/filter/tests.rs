use super::*;
use crate::event::samples;

fn event(name: &str, group: Option<&str>, namespaces: &[&str], kind: Kind) -> Envelope {
    samples::event((name, group, namespaces), (kind, Severity::Warning))
}

#[test]
fn a_name_means_the_process_or_its_group() {
    let filter = Filter::all().process("api").unwrap();
    assert!(filter.matches(&event("api", None, &["default"], Kind::Started)));
    assert!(filter.matches(&event("api-0", Some("api"), &["default"], Kind::Started)));
    assert!(!filter.matches(&event("api-0", None, &["default"], Kind::Started)));
    assert!(Filter::all().process("ap*").unwrap().matches(&event(
        "api-0",
        None,
        &["d"],
        Kind::Started
    )));
}

#[test]
fn the_same_filter_has_the_same_words_in_whatever_order_it_was_given() {
    let filter = |pairs: &[&str]| {
        pairs.iter().fold(Filter::all(), |filter, pair| {
            filter.key_value(pair).unwrap()
        })
    };
    let one = filter(&["type=crashed,stopped", "process=web", "process=api"]);
    let other = filter(&["process=api,web,api", "type=stopped", "type=crashed"]);
    assert_eq!(one.to_string(), other.to_string());
    assert_eq!(one.to_string(), "process=api,web type=crashed,stopped");
    assert_eq!(Filter::all().and_blindness().to_string(), "everything");
}

#[test]
fn any_namespace_of_a_process_counts() {
    let filter = Filter::all().namespace("auth").unwrap();
    assert!(filter.matches(&event("api", None, &["billing", "auth"], Kind::Started)));
    assert!(!filter.matches(&event("api", None, &["billing"], Kind::Started)));
}

#[test]
fn values_of_one_key_are_alternatives_and_different_keys_must_all_hold() {
    let filter = Filter::all()
        .key_value("type=crashed,stopped")
        .unwrap()
        .key_value("process=api")
        .unwrap();
    assert!(filter.matches(&event("api", None, &["d"], Kind::Crashed)));
    assert!(filter.matches(&event("api", None, &["d"], Kind::Stopped)));
    assert!(!filter.matches(&event("api", None, &["d"], Kind::Started)));
    assert!(!filter.matches(&event("web", None, &["d"], Kind::Crashed)));
}

#[test]
fn a_severity_means_this_one_or_a_higher_one() {
    let wanted = |word| {
        Filter::all()
            .at_least(word)
            .unwrap()
            .matches(&event("api", None, &["d"], Kind::Crashed))
    };
    assert!(wanted("info") && wanted("warning") && !wanted("error") && !wanted("critical"));
}

#[test]
fn bad_filters_say_what_to_write_instead() {
    assert!(matches!(
        Filter::all().kind("crashd"),
        Err(FilterError::Kind(_))
    ));
    assert!(matches!(
        Filter::all().at_least("loud"),
        Err(FilterError::Severity(_))
    ));
    assert!(matches!(
        Filter::all().key_value("api"),
        Err(FilterError::NoEquals(_))
    ));
    assert!(matches!(
        Filter::all().key_value("colour=red"),
        Err(FilterError::Key(_))
    ));
    assert!(matches!(
        Filter::all().process("a["),
        Err(FilterError::Pattern { .. })
    ));
}

#[test]
fn one_type_narrows_at_the_server_and_several_do_not() {
    let prefix = Prefix::default();
    let one = Filter::all().kind("crashed").unwrap();
    assert_eq!(
        one.subjects(&prefix),
        ["core.process.*.*.crashed", "core.source.>"]
    );
    let two = one.kind("stopped").unwrap();
    assert_eq!(two.subjects(&prefix), ["core.process.>", "core.source.>"]);
    let source = Filter::all().source("a.b").unwrap();
    assert_eq!(
        source.subjects(&prefix),
        ["core.process.>", "core.source.a=2Eb.*"]
    );
}

#[test]
fn a_name_is_not_narrowed_at_the_server_because_it_may_be_a_group() {
    assert_eq!(
        Filter::all()
            .process("api")
            .unwrap()
            .subjects(&Prefix::default())[0],
        "core.process.>"
    );
}

#[test]
fn a_regular_expression_fits_anywhere_in_the_words_of_an_event() {
    let mut crashed = event("api-1", Some("api"), &["prod"], Kind::Crashed);
    crashed.exit = Some(crate::event::payload::Exit {
        code: Some(137),
        signal: Some(9),
        expected: false,
    });
    for (text, wanted) in [
        ("crashed api", true),
        ("CRASHED", false),
        ("exit 13[0-9]$", true),
        ("^started", false),
        ("prod|lab", true),
        ("polic(y|e)", true),
        ("nothing", false),
        (r"\Wrunning\D", true),
        (r"\A\w+.*r\Snning", true),
        (r"run\Bning", true),
        (r"RUNNING\D", false),
        (r"\x52UNNING", false),
    ] {
        let filter = Filter::all().grep(text).unwrap();
        assert_eq!(filter.matches(&crashed), wanted, "{text}");
        assert_eq!(filter.to_string(), format!("grep={text}"));
    }
    let either = Filter::all().grep("nothing").unwrap().grep("api").unwrap();
    assert!(either.matches(&crashed));
    let both = either.process("web").unwrap();
    assert!(!both.matches(&crashed), "different keys must all hold");
    let error = Filter::all().grep("a(b").unwrap_err().to_string();
    assert!(
        error.contains("a(b") && error.contains("unclosed group"),
        "{error}"
    );
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn a_reader_is_told_only_where_what_it_wants_may_be_left_out() {
    use crate::event::sieve::{Sieve, Wording};
    let wording = |key: &str, value: &str| {
        let mut wording = Wording::default();
        match key {
            "names" => wording.names = vec![value.into()],
            "types" => wording.types = vec![value.into()],
            "namespaces" => wording.namespaces = vec![value.into()],
            _ => wording.severity = Some(value.into()),
        }
        wording
    };
    let without = |key: &str, value: &str| Sieve::new(None, Some(wording(key, value))).unwrap();
    let only = |key: &str, value: &str| Sieve::new(Some(wording(key, value)), None).unwrap();
    for (wanted, sieve, may) in [
        (&[][..], without("names", "web"), true),
        (&["process=api"], without("names", "web"), false),
        (&["process=api"], without("names", "api-0"), true),
        (&["process=api"], without("names", "api2"), false),
        (&["process=api"], without("names", "*-7"), true),
        (&["process=api"], without("names", "noisy-*"), false),
        (&["process=a*"], without("names", "web"), true),
        (&["process=api-0"], without("names", "api"), true),
        (&["process=api-0"], without("names", "ap?"), true),
        (&["process=api-0"], without("names", "{api,web}"), true),
        (&["process=api-0"], without("names", "api-1"), false),
        (&["process=api-x"], without("names", "api"), false),
        (&["process=api"], without("names", "api-1??"), true),
        (&["process=api"], without("names", "api-0[0-4]"), true),
        (&["type=crashed"], without("types", "healthy"), false),
        (&["type=healthy"], without("types", "healthy"), true),
        (&["type=gap"], without("names", "web"), false),
        (&["severity=error"], without("severity", "warning"), false),
        (&["severity=warning"], without("severity", "warning"), true),
        (&["type=crashed"], without("severity", "warning"), false),
        (&["type=crashed"], without("namespaces", "lab"), true),
        (&["type=crashed"], only("types", "crashed"), false),
        (&[], only("types", "crashed"), true),
        (&["severity=error"], only("severity", "warning"), false),
        (&["process=api"], only("names", "api"), true),
    ] {
        let filter = wanted.iter().fold(Filter::all(), |filter, pair| {
            filter.key_value(pair).unwrap()
        });
        assert_eq!(filter.may_miss(&sieve), may, "{filter} {sieve}");
    }
}
