use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::process::condition::tests::row;
use crate::process::phase::{Health, Phase};
use crate::process::reading::Configuration;
use crate::process::table::Inner;

mod deaf;
mod stable;

fn named(name: &str, row: Row) -> Row {
    Row {
        name: name.into(),
        ..row
    }
}

fn up(name: &str) -> Row {
    named(name, row("Running", Phase::Up))
}

fn probed(name: &str, health: Health) -> Row {
    Row {
        has_probe: true,
        health,
        ..up(name)
    }
}

fn ended(name: &str, exit_code: i64) -> Row {
    Row {
        exit_code,
        ..named(name, row("Completed", Phase::Ended))
    }
}

fn of_group(group: &str, row: Row) -> Row {
    let configuration = Configuration {
        group: Some(group.into()),
        ..Configuration::default()
    };
    Row {
        configuration: Some(Arc::new(configuration)),
        ..row
    }
}

fn unclear(mut rows: Vec<Row>, names: &[&str]) -> Table {
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    Table::from_inner(Inner {
        vitals: vec![Vitals::default(); rows.len()],
        rows: rows.into_iter().map(Arc::new).collect(),
        unclear: names.iter().map(|&name| name.into()).collect(),
        ..Inner::default()
    })
}

fn table(rows: Vec<Row>) -> Table {
    unclear(rows, &[])
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A waiting in the making, and the last thing it came to.
struct Scene(Waiting, Option<Sieve>);

impl Scene {
    fn new(condition: &str, names: &[&str], change: impl FnOnce(&mut Wish)) -> Self {
        let mut wish = Wish {
            condition: condition.parse().unwrap(),
            names: names
                .iter()
                .map(|name| Pattern::parse(name).unwrap())
                .collect(),
            namespaces: Vec::new(),
            quantity: Quantity::All,
            stable: Duration::ZERO,
            grace: s(10),
            fail_on: BTreeSet::new(),
        };
        change(&mut wish);
        Self(Waiting::new(wish), None)
    }

    fn at(&mut self, seconds: u64, table: &Table) -> Outlook {
        let seen = Seen::Table {
            table,
            at: s(seconds),
            lag: Duration::ZERO,
        };
        let source = "shop";
        let sieve = self.1.as_ref();
        self.0.look(
            &[Sight {
                source,
                seen,
                sieve,
            }],
            s(seconds),
        )
    }

    fn blind(&mut self, seconds: u64) -> Outlook {
        let seen = Seen::Blind("out of sight");
        let source = "shop";
        let sieve = self.1.as_ref();
        self.0.look(
            &[Sight {
                source,
                seen,
                sieve,
            }],
            s(seconds),
        )
    }

    fn hears(&mut self, kind: &str, process: &str, more: &serde_json::Value) {
        let mut event = json!({
            "type": kind, "process": process, "namespace": "default", "subject": "s", "severity": "info",
            "timestamp": "2026-08-20T07:18:04.120Z", "schema": 1, "id": "shop.a.1", "source": "shop", "journal": "a",
            "seq": 1, "origin": "change", "reason": "exit", "certainty": "certain", "count": 1,
            "occurred": {"before": "2026-08-20T07:18:04.120Z"},
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            event[key] = value.clone();
        }
        self.0.see(&serde_json::from_value(event).unwrap());
    }
}

fn decision(outlook: &Outlook) -> Decision {
    outlook.decision
}

fn names(outlook: &Outlook) -> Vec<&str> {
    outlook
        .entries
        .iter()
        .map(|entry| entry.name.as_str())
        .collect()
}

#[test]
fn all_of_them_or_any_of_them() {
    let mixed = table(vec![up("a"), probed("b", Health::NotReady)]);
    let mut all = Scene::new("ready", &[], |_| {});
    assert_eq!(all.at(0, &mixed).decision, Decision::Wait);
    assert_eq!(
        all.at(1, &table(vec![up("a"), up("b")])).decision,
        Decision::Met
    );
    let mut any = Scene::new("ready", &[], |wish| wish.quantity = Quantity::Any);
    assert_eq!(any.at(0, &mixed).decision, Decision::Met);
}

#[test]
fn one_that_never_will_fails_all_at_once_but_any_only_where_nobody_is_left() {
    let one = table(vec![ended("a", 3), probed("b", Health::NotReady)]);
    assert_eq!(
        Scene::new("ready", &[], |_| {}).at(0, &one).decision,
        Decision::Failed
    );
    let mut any = Scene::new("ready", &[], |wish| wish.quantity = Quantity::Any);
    assert_eq!(any.at(0, &one).decision, Decision::Wait);
    let both = table(vec![ended("a", 3), ended("b", 3)]);
    assert_eq!(any.at(1, &both).decision, Decision::Failed);
}

#[test]
fn names_are_literals_globs_and_groups() {
    let rows = vec![
        of_group("web", up("web-0")),
        of_group("web", up("web-1")),
        of_group("api", up("api")),
        up("apix"),
    ];
    let rows = table(rows);
    for (wanted, found) in [
        (vec!["api"], vec!["api"]),
        (vec!["web"], vec!["web-0", "web-1"]),
        (vec!["web-1"], vec!["web-1"]),
        (vec!["ap*"], vec!["api", "apix"]),
        (vec!["w?b", "api"], vec!["api", "web-0", "web-1"]),
    ] {
        let outlook = Scene::new("ready", &wanted, |_| {}).at(0, &rows);
        assert_eq!(names(&outlook), found, "{wanted:?}");
        assert_eq!(decision(&outlook), Decision::Met, "{wanted:?}");
    }
}

#[test]
fn a_replica_counts_for_its_group_before_the_group_is_known() {
    let rows = vec![up("web-0"), probed("web-1", Health::NotReady)];
    let outlook = Scene::new("ready", &["web"], |_| {}).at(0, &table(rows));
    assert_eq!(names(&outlook), ["web-0", "web-1"]);
    assert_eq!(decision(&outlook), Decision::Wait);
    let alone = table(vec![up("web"), probed("web-1", Health::NotReady)]);
    let outlook = Scene::new("ready", &["web"], |_| {}).at(0, &alone);
    assert_eq!(names(&outlook), ["web"]);
}

#[test]
fn a_namespace_narrows_down() {
    let mut other = probed("b", Health::NotReady);
    other.namespaces = vec!["x".into(), "back".into()];
    let rows = table(vec![up("a"), other]);
    let only = |text: &str| vec![Pattern::parse(text).unwrap()];
    let mut scene = Scene::new("ready", &[], |wish| wish.namespaces = only("default"));
    assert_eq!(scene.at(0, &rows).decision, Decision::Met);
    let mut scene = Scene::new("ready", &[], |wish| wish.namespaces = only("ba*"));
    assert_eq!(scene.at(0, &rows).decision, Decision::Wait);
}

#[test]
fn a_name_that_matches_nothing_has_its_grace() {
    let rows = table(vec![up("a")]);
    let mut scene = Scene::new("ready", &["a", "b"], |_| {});
    assert_eq!(scene.at(0, &rows).decision, Decision::Wait);
    assert_eq!(scene.at(9, &rows).decision, Decision::Wait);
    let outlook = scene.at(10, &rows);
    assert_eq!(decision(&outlook), Decision::Failed);
    assert_eq!(names(&outlook), ["a", "b"]);
    let mut scene = Scene::new("ready", &["b"], |_| {});
    assert_eq!(scene.at(0, &rows).decision, Decision::Wait);
    assert_eq!(scene.at(1, &table(vec![up("b")])).decision, Decision::Met);
}

#[test]
fn an_empty_stack_is_not_ready() {
    let empty = table(Vec::new());
    let mut scene = Scene::new("ready", &[], |_| {});
    assert_eq!(scene.at(0, &empty).decision, Decision::Wait);
    assert_eq!(scene.at(10, &empty).decision, Decision::Failed);
    let disabled = table(vec![named("a", row("Disabled", Phase::Idle))]);
    let mut scene = Scene::new("ready", &[], |_| {});
    assert_eq!(scene.at(0, &disabled).decision, Decision::Wait);
}

#[test]
fn without_any_source_nothing_is_decided() {
    for condition in ["ready", "gone"] {
        for quantity in [Quantity::All, Quantity::Any] {
            let mut waiting = Scene::new(condition, &[], |wish| wish.quantity = quantity).0;
            assert_eq!(waiting.look(&[], s(60)).decision, Decision::Wait);
        }
    }
}

#[test]
fn a_process_that_was_seen_only_torn_is_not_forgotten() {
    let mut scene = Scene::new("ready", &[], |_| {});
    let torn = unclear(vec![up("a")], &["b"]);
    assert_eq!(scene.at(0, &torn).decision, Decision::Wait);
}

#[test]
fn without_sight_nothing_is_judged_but_what_was_told() {
    let mut scene = Scene::new("ready", &[], |_| {});
    let rows = table(vec![up("a"), probed("b", Health::NotReady)]);
    assert_eq!(scene.at(0, &rows).decision, Decision::Wait);
    let outlook = scene.blind(1);
    assert_eq!(decision(&outlook), Decision::Wait);
    assert_eq!(names(&outlook), ["a", "b"]);
    assert!(outlook.entries.iter().all(|entry| !entry.is_met()));
    assert_eq!(
        Scene::new("ready", &[], |_| {}).blind(0).decision,
        Decision::Wait
    );
    assert_eq!(
        Scene::new("gone", &["a"], |_| {}).blind(60).decision,
        Decision::Wait
    );
    let mut job = Scene::new("completed", &["a"], |_| {});
    assert_eq!(job.at(0, &rows).decision, Decision::Wait);
    job.hears("stopped", "a", &json!({"reason": "exited"}));
    assert_eq!(job.blind(1).decision, Decision::Met);
}

#[test]
fn gone_is_met_where_nothing_is_left_of_that_name() {
    let mut scene = Scene::new("gone", &["a"], |_| {});
    assert_eq!(
        scene.at(0, &table(vec![up("a"), up("b")])).decision,
        Decision::Wait
    );
    assert_eq!(scene.at(1, &table(vec![up("b")])).decision, Decision::Met);
    assert_eq!(
        Scene::new("gone", &["c"], |_| {})
            .at(0, &table(vec![up("b")]))
            .decision,
        Decision::Met
    );
}

#[test]
fn what_happened_before_a_table_shows_it_counts() {
    let mut scene = Scene::new("restarted", &["a"], |_| {});
    let rows = table(vec![up("a")]);
    assert_eq!(scene.at(0, &rows).decision, Decision::Wait);
    scene.hears("restarted", "b", &json!({}));
    assert_eq!(scene.at(1, &rows).decision, Decision::Wait);
    scene.hears("restarted", "a", &json!({"origin": "initial"}));
    assert_eq!(scene.at(2, &rows).decision, Decision::Wait);
    scene.hears("restarted", "a", &json!({}));
    assert_eq!(scene.at(3, &rows).decision, Decision::Met);
    let mut scene = Scene::new("exited=3", &["a"], |_| {});
    scene.hears(
        "crashed",
        "a",
        &json!({"exit": {"code": 3, "signal": null, "expected": false}}),
    );
    assert_eq!(scene.at(0, &rows).decision, Decision::Met);
}

#[test]
fn it_fails_on_what_it_is_told_to_fail_on() {
    let rows = table(vec![probed("a", Health::NotReady)]);
    for (ill, kind, more, wanted) in [
        (Ill::Crashed, "crashed", json!({}), Decision::Failed),
        (
            Ill::Crashed,
            "crashed",
            json!({"origin": "initial"}),
            Decision::Wait,
        ),
        (Ill::Crashed, "stopped", json!({}), Decision::Wait),
        (Ill::Crashed, "restarted", json!({}), Decision::Wait),
        (Ill::Restarted, "restarted", json!({}), Decision::Failed),
        (
            Ill::Unhealthy,
            "unhealthy",
            json!({"reason": "probe"}),
            Decision::Failed,
        ),
        (
            Ill::Unhealthy,
            "unhealthy",
            json!({"reason": "starting"}),
            Decision::Wait,
        ),
    ] {
        let mut scene = Scene::new("ready", &["a"], |wish| wish.fail_on = [ill].into());
        scene.hears(kind, "other", &json!({}));
        assert_eq!(scene.at(0, &rows).decision, Decision::Wait, "{kind}");
        scene.hears(kind, "a", &more);
        assert_eq!(scene.at(1, &rows).decision, wanted, "{kind}");
    }
    let broken = table(vec![Row {
        exit_code: 3,
        ..named("a", row("Restarting", Phase::BackingOff))
    }]);
    let mut scene = Scene::new("ready", &["a"], |wish| wish.fail_on = [Ill::Crashed].into());
    assert_eq!(scene.at(0, &broken).decision, Decision::Failed);
}

#[test]
fn failing_counts_more_than_being_met() {
    let mut scene = Scene::new("ready", &["a"], |wish| wish.fail_on = [Ill::Crashed].into());
    scene.hears("crashed", "a", &json!({}));
    let outlook = scene.at(0, &table(vec![up("a")]));
    assert_eq!(decision(&outlook), Decision::Failed);
    assert_eq!(outlook.entries[0].ill, Some(Ill::Crashed));
}

#[test]
fn equal_names_in_two_sources_are_two_processes() {
    let (good, bad) = (
        table(vec![up("a")]),
        table(vec![probed("a", Health::NotReady)]),
    );
    let mut waiting = Scene::new("ready", &["a"], |_| {}).0;
    let seen = |table| Seen::Table {
        table,
        at: s(0),
        lag: s(0),
    };
    let sights = [
        Sight {
            source: "one",
            seen: seen(&good),
            sieve: None,
        },
        Sight {
            source: "two",
            seen: seen(&bad),
            sieve: None,
        },
    ];
    let outlook = waiting.look(&sights, s(0));
    assert_eq!(decision(&outlook), Decision::Wait);
    assert_eq!(outlook.entries.len(), 2);
}
