use serde_json::json;

use super::*;
use crate::event::envelope::Envelope;
use crate::event::samples;

fn rule(pairs: &[(&str, &str)]) -> Wording {
    let mut rule = Wording::default();
    for &(key, value) in pairs {
        match key {
            "name" => rule.names.push(value.into()),
            "namespace" => rule.namespaces.push(value.into()),
            "type" => rule.types.push(value.into()),
            _ => rule.severity = Some(value.into()),
        }
    }
    rule
}

fn including(pairs: &[(&str, &str)]) -> Sieve {
    Sieve::new(Some(rule(pairs)), None).unwrap()
}

fn excluding(pairs: &[(&str, &str)]) -> Sieve {
    Sieve::new(None, Some(rule(pairs))).unwrap()
}

/// An event about `api-0` of the group `api`, in the namespaces `shop` and `core`.
fn event(kind: Kind, severity: Severity) -> Envelope {
    samples::event(("api-0", Some("api"), &["shop", "core"]), (kind, severity))
}

fn api() -> Whom<'static> {
    Whom {
        name: "api-0",
        group: Some("api"),
        namespaces: vec!["shop", "core"],
    }
}

#[test]
fn what_an_include_does_not_name_is_left_out_and_what_an_exclude_names() {
    for (pairs, fits) in [
        (&[("name", "api-0")][..], true),
        (&[("name", "api")], true),
        (&[("name", "ap*")], true),
        (&[("name", "web")], false),
        (&[("name", "web"), ("name", "api")], true),
        (&[("namespace", "core")], true),
        (&[("namespace", "lab")], false),
        (&[("name", "api"), ("namespace", "lab")], false),
        (&[("type", "crashed")], true),
        (&[("type", "started"), ("type", "stopped")], false),
        (&[("type", "started"), ("type", "crashed")], true),
        (&[("name", "api"), ("type", "started")], false),
        (&[("severity", "error")], true),
    ] {
        let crashed = event(Kind::Crashed, Severity::Error);
        assert_eq!(
            !including(pairs).leaves_out(&crashed.glance()),
            fits,
            "{pairs:?}"
        );
        assert_eq!(
            excluding(pairs).leaves_out(&crashed.glance()),
            fits,
            "{pairs:?}"
        );
    }
}

#[test]
fn a_severity_includes_from_below_and_excludes_from_above() {
    let told = |sieve: &Sieve| -> Vec<Severity> {
        let all = Severity::ALL.into_iter();
        all.filter(|it| !sieve.leaves_out(&event(Kind::Crashed, *it).glance()))
            .collect()
    };
    assert_eq!(
        told(&including(&[("severity", "error")])),
        [Severity::Error, Severity::Critical]
    );
    assert_eq!(
        told(&excluding(&[("severity", "warning")])),
        [Severity::Error, Severity::Critical]
    );
}

#[test]
fn what_is_excluded_is_left_out_whatever_is_included() {
    let both = Sieve::new(
        Some(rule(&[("namespace", "shop")])),
        Some(rule(&[("name", "api"), ("type", "healthy")])),
    )
    .unwrap();
    assert!(both.leaves_out(&event(Kind::Healthy, Severity::Info).glance()));
    assert!(!both.leaves_out(&event(Kind::Started, Severity::Info).glance()));
}

#[test]
fn while_a_group_is_not_known_a_replica_is_told_rather_than_left_out() {
    for (name, rule, included) in [
        ("api-0", "api", true),
        ("api-12", "a?i", true),
        ("api-0", "{api,web}", true),
        ("api-0", "ap", false),
        ("api-x", "api", false),
        ("api-", "api", false),
        ("api0", "api", false),
        ("my-api-0", "my", false),
    ] {
        let mut started = event(Kind::Started, Severity::Info);
        started.process = Some(name.to_owned());
        if let Some(state) = &mut started.state {
            (state.name, state.group) = (name.to_owned(), None);
        }
        let whom = Whom {
            name,
            group: None,
            ..api()
        };
        let (only, without) = (including(&[("name", rule)]), excluding(&[("name", rule)]));
        assert_eq!(
            !only.leaves_out(&started.glance()),
            included,
            "{name} {rule}"
        );
        assert_eq!(!only.touches(&whom), included, "{name} {rule}");
        // It may be a process of that very name.
        assert!(!without.leaves_out(&started.glance()), "{name} {rule}");
        assert_eq!(without.touches(&whom), included, "{name} {rule}");
        let known = Whom {
            group: Some(name),
            ..whom
        };
        assert!(only.touches(&known) && !without.touches(&known), "{name}");
    }
}

#[test]
fn events_about_the_source_are_never_left_out() {
    let mut told = event(Kind::Restarted, Severity::Info);
    (told.process, told.namespace, told.state) = (None, None, None);
    for sieve in [
        including(&[("name", "web")]),
        excluding(&[("severity", "critical")]),
        excluding(&[("type", "restarted")]),
    ] {
        assert!(!sieve.leaves_out(&told.glance()), "{sieve}");
    }
}

#[test]
fn what_is_left_out_may_be_left_out_and_nobody_else_is_touched() {
    let kinds = Kind::PROCESS;
    for sieve in [
        including(&[("name", "api")]),
        including(&[("name", "web")]),
        including(&[("type", "crashed")]),
        including(&[("severity", "warning")]),
        excluding(&[("name", "web")]),
        excluding(&[("namespace", "core"), ("type", "started")]),
        excluding(&[("severity", "info")]),
    ] {
        let mut any = false;
        for (kind, severity) in kinds
            .iter()
            .flat_map(|kind| Severity::ALL.map(|severity| (kind, severity)))
        {
            let left_out = sieve.leaves_out(&event(kind.clone(), severity).glance());
            let may = sieve.may_leave_out(&api(), kind, severity);
            assert!(may || !left_out, "{sieve}: {kind} {severity}");
            any |= left_out;
        }
        assert_eq!(sieve.touches(&api()), any, "{sieve}");
    }
}

#[test]
fn a_crash_is_never_left_out_for_being_too_harmless() {
    let errors = excluding(&[("severity", "warning")]);
    assert!(!errors.may_leave_out(&api(), &Kind::Crashed, Severity::Error));
    assert!(errors.may_leave_out(&api(), &Kind::Restarted, Severity::Info));
    assert!(!including(&[("severity", "error")]).may_leave_out(
        &api(),
        &Kind::Crashed,
        Severity::Error
    ));
}

#[test]
fn a_word_that_is_none_is_refused() {
    for wrong in [
        rule(&[("type", "gap")]),
        rule(&[("type", "exploded")]),
        rule(&[("severity", "loud")]),
        rule(&[("name", "[")]),
    ] {
        assert!(Sieve::new(Some(wrong.clone()), None).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_sieve_reads_back_as_it_was_written() {
    let sieve = Sieve::new(
        Some(rule(&[("type", "crashed"), ("severity", "error")])),
        Some(rule(&[("name", "noisy-*")])),
    )
    .unwrap();
    let written = serde_json::to_value(&sieve).unwrap();
    assert_eq!(
        written,
        json!({
            "include": { "types": ["crashed"], "severity": "error" },
            "exclude": { "names": ["noisy-*"] },
        })
    );
    let read: Sieve = serde_json::from_value(written).unwrap();
    assert_eq!(read, sieve);
    assert_eq!(
        read.to_string(),
        "include type=crashed severity=error; exclude name=noisy-*"
    );
}

#[test]
fn rules_of_a_later_build_may_leave_out_anything_and_travel_on_unchanged() {
    for later in [
        json!({ "exclude": { "names": ["web"], "moods": ["bad"] } }),
        json!({ "exclude": { "types": ["exploded"] } }),
        json!({ "exclude": { "names": ["web"] }, "perhaps": {} }),
        json!("everything"),
    ] {
        let sieve: Sieve = serde_json::from_value(later.clone()).unwrap();
        assert!(sieve.touches(&api()), "{later}");
        assert_eq!(serde_json::to_value(&sieve).unwrap(), later);
        assert!(!sieve.to_string().is_empty());
    }
}

fn at(text: &str) -> DateTime<Utc> {
    format!("2026-08-20T07:{text}Z").parse().unwrap()
}

fn gap(from: &str, to: &str, sieve: Option<&Sieve>, next: Option<&Sieve>) -> Gap {
    Gap {
        from: Some(at(from)),
        to: at(to),
        why: super::super::payload::LEFT_OUT,
        events: None,
        sieve: sieve.cloned(),
        next_sieve: next.cloned(),
    }
}

#[test]
fn veils_begin_change_and_end_as_the_gaps_say_and_go_on_as_the_head_says() {
    let (one, other) = (excluding(&[("name", "api")]), excluding(&[("name", "web")]));
    let mut veils = Veils::default();
    assert!(veils.is_empty());
    veils.see(&gap("10:00", "10:00", None, Some(&one)));
    let open = DateTime::<Utc>::MAX_UTC;
    assert_eq!(veils.over(&api(), &Kind::PROCESS), [(at("10:00"), open)]);
    // The head of a build that knows nothing of it says nothing.
    veils.stands(None);
    assert_eq!(veils.over(&api(), &Kind::PROCESS), [(at("10:00"), open)]);
    veils.see(&gap("10:00", "20:00", Some(&one), Some(&other)));
    assert_eq!(
        veils.over(&api(), &Kind::PROCESS),
        [(at("10:00"), at("20:00"))]
    );
    veils.see(&gap("20:00", "30:00", Some(&other), None));
    // A head that was read before that gap.
    veils.stands(Some(&LeftOut {
        since: at("20:00"),
        sieve: other.clone(),
    }));
    assert_eq!(
        veils.over(&api(), &Kind::PROCESS),
        [(at("10:00"), at("20:00"))]
    );
    let web = Whom {
        name: "web",
        ..api()
    };
    let web = veils.over(&web, &Kind::PROCESS);
    assert_eq!(web[web.len() - 1], (at("20:00"), at("30:00")));
    assert!(veils.cover(&api(), at("19:59"), at("25:00")));
    assert!(!veils.cover(&api(), at("20:00"), at("25:00")));
    assert!(!veils.cover(&api(), at("09:00"), at("10:00")));
    veils.stands(Some(&LeftOut {
        since: at("40:00"),
        sieve: one,
    }));
    assert!(veils.cover(&api(), at("39:00"), at("41:00")));
    assert!(!veils.cover(&api(), at("30:00"), at("40:00")));
}

#[test]
fn a_gap_of_sight_is_no_veil() {
    let mut veils = Veils::default();
    veils.see(&Gap {
        why: "adapter_down".into(),
        ..gap("10:00", "20:00", Some(&excluding(&[("name", "api")])), None)
    });
    assert!(veils.is_empty());
}

#[test]
fn what_was_left_out_before_a_build_that_knows_no_sieves_stays_left_out() {
    let (one, other) = (excluding(&[("name", "api")]), excluding(&[("name", "web")]));
    for next in [Some(&other), Some(&one), None] {
        let mut veils = Veils::default();
        veils.see(&gap("10:00", "10:00", None, Some(&one)));
        veils.see(&gap("30:00", "40:00", None, next));
        let over = veils.over(&api(), &Kind::PROCESS);
        assert_eq!(over[0], (at("10:00"), at("40:00")), "{next:?}");
        let goes_on = next == Some(&one);
        assert_eq!(over.len(), 1 + usize::from(goes_on), "{next:?}");
        assert_eq!(veils.cover(&api(), at("41:00"), at("50:00")), goes_on);
    }
}
