use std::sync::Arc;

use chrono::DateTime;

use super::*;
use crate::process::reading::{Configuration, Probe};
use crate::process::table::{LastEnd, Memory};

/// A process `a` without a probe and without a past.
pub(in crate::process) fn row(status: &str, phase: Phase) -> Row {
    Row {
        name: "a".into(),
        namespaces: vec!["default".into()],
        status: status.into(),
        phase,
        daemon: matches!(status, "Launching" | "Launched"),
        health: Health::Unknown,
        has_probe: false,
        restarts: 0,
        exit_code: 0,
        pid: Some(7),
        started_at: None,
        ready_at: None,
        ended_at: None,
        schedule_at: None,
        watch_at: None,
        unmet: false,
        allowed_codes: Vec::new(),
        configuration: None,
        epoch: 0,
        memory: Memory::default(),
        revision: 0,
    }
}

fn probed(health: Health) -> Row {
    Row {
        has_probe: true,
        health,
        ..row("Running", Phase::Up)
    }
}

fn never_ran(status: &str, phase: Phase) -> Row {
    Row {
        pid: None,
        ..row(status, phase)
    }
}

fn exited(status: &str, phase: Phase, exit_code: i64) -> Row {
    Row {
        exit_code,
        ..row(status, phase)
    }
}

fn asked(row: Row) -> Row {
    let last_end = Some(LastEnd {
        at: DateTime::UNIX_EPOCH,
        requested: true,
    });
    Row {
        memory: Memory {
            last_end,
            ..Memory::default()
        },
        ..row
    }
}

fn configured(row: Row, readiness: Option<Probe>) -> Row {
    let configuration = Configuration {
        readiness: Some(readiness),
        ..Configuration::default()
    };
    Row {
        configuration: Some(Arc::new(configuration)),
        ..row
    }
}

fn probe() -> Probe {
    Probe {
        threshold: 3,
        period: std::time::Duration::from_secs(1),
        initial_delay: std::time::Duration::ZERO,
    }
}

const CONDITIONS: [Condition; 9] = [
    Condition::Ready,
    Condition::Running,
    Condition::Healthy,
    Condition::Stopped,
    Condition::Completed,
    Condition::Exited(0),
    Condition::Exited(3),
    Condition::Crashed,
    Condition::Gone,
];

/// Every state a process can be in, and what each condition of [`CONDITIONS`] says of it: `+` met, `.` not yet, `x` never.
#[expect(
    clippy::too_many_lines,
    reason = "a table is as long as there are states"
)]
fn table() -> Vec<(&'static str, Row, &'static str)> {
    let skipped = Row {
        unmet: true,
        exit_code: 1,
        ..never_ran("Skipped", Phase::Ended)
    };
    let allowed = Row {
        allowed_codes: vec![3],
        ..exited("Completed", Phase::Ended, 3)
    };
    let up = || row("Running", Phase::Up);
    let ended = |code| exited("Completed", Phase::Ended, code);
    vec![
        // In the order of the conditions: ready, running, healthy, stopped, completed, exited=0, exited=3, crashed, gone.
        ("waiting", never_ran("Pending", Phase::Waiting), "........."),
        ("launching", row("Launching", Phase::Up), "........."),
        ("launched", row("Launched", Phase::Up), "++......."),
        ("up", up(), "++......."),
        ("up, surely no probe", configured(up(), None), "++x......"),
        (
            "up, a probe yet unseen",
            configured(up(), Some(probe())),
            ".+.......",
        ),
        ("up, ready", probed(Health::Ready), "+++......"),
        ("up, not ready", probed(Health::NotReady), ".+......."),
        ("up, probe silent", probed(Health::Unknown), ".+......."),
        (
            "up, liveness only",
            configured(probed(Health::Unknown), None),
            "++x......",
        ),
        (
            "up, a line makes it ready",
            configured(probed(Health::NotReady), None),
            ".+.......",
        ),
        ("stopping", row("Terminating", Phase::Stopping), "........."),
        (
            "stopped before it ran",
            never_ran("Terminating", Phase::Ended),
            "...+.....",
        ),
        (
            "backing off",
            exited("Restarting", Phase::BackingOff, 3),
            "......++.",
        ),
        (
            "backing off, well",
            exited("Restarting", Phase::BackingOff, 0),
            ".....+...",
        ),
        ("disabled", never_ran("Disabled", Phase::Idle), "...+....."),
        (
            "scheduled, not run",
            never_ran("Scheduled", Phase::Idle),
            "+..+.....",
        ),
        (
            "scheduled, ran",
            exited("Scheduled", Phase::Idle, 0),
            "+..+++...",
        ),
        (
            "scheduled, failed",
            exited("Scheduled", Phase::Idle, 3),
            "...+..++.",
        ),
        (
            "watching, failed",
            exited("Watching", Phase::Idle, 3),
            "...+..++.",
        ),
        (
            "foreground",
            never_ran("Foreground", Phase::Idle),
            "xxxxxxxx.",
        ),
        ("ended well", ended(0), "+xx+++xx."),
        ("ended with an allowed code", allowed, "+xx++x+x."),
        ("ended badly", ended(3), "xxx+xx++."),
        ("ended by a signal", ended(-1), "xxx+xxx+."),
        ("stopped by somebody, badly", asked(ended(143)), "...+....."),
        ("stopped by somebody, well", asked(ended(0)), "...+++..."),
        ("skipped", skipped, "xxx+xxxx."),
        (
            "could not start",
            never_ran("Error", Phase::Failed),
            "xxx+xxx+.",
        ),
        (
            "a word of the future",
            row("Hibernating", Phase::Unknown),
            ".........",
        ),
    ]
}

#[test]
fn each_condition_has_its_verdict_on_each_state() {
    for (what, row, wanted) in table() {
        let found: String = CONDITIONS
            .iter()
            .map(|condition| match condition.judge(&row, &News::default()) {
                Verdict::Met => '+',
                Verdict::Pending(_) => '.',
                Verdict::Impossible(_) => 'x',
            })
            .collect();
        assert_eq!(found, wanted, "{what}");
    }
}

#[test]
fn whatever_is_not_met_says_why() {
    for (what, row, _) in table() {
        for condition in CONDITIONS {
            let (Verdict::Pending(why) | Verdict::Impossible(why)) =
                condition.judge(&row, &News::default())
            else {
                continue;
            };
            assert!(
                !why.is_empty() && !why.contains('\n'),
                "{what}, {condition}"
            );
        }
    }
}

#[test]
fn a_restart_is_only_ever_news() {
    for (what, row, _) in table() {
        let verdict = Condition::Restarted.judge(&row, &News::default());
        assert_ne!(verdict, Verdict::Met, "{what}");
        let mut news = News::default();
        news.ills.insert(Ill::Restarted);
        assert_eq!(
            Condition::Restarted.judge(&row, &news),
            Verdict::Met,
            "{what}"
        );
    }
}

#[test]
fn what_happened_counts_however_it_stands_now() {
    let up = row("Running", Phase::Up);
    let mut news = News::default();
    news.ills.insert(Ill::Crashed);
    news.exits.insert(3);
    assert_eq!(Condition::Crashed.judge(&up, &news), Verdict::Met);
    assert_eq!(Condition::Exited(3).judge(&up, &news), Verdict::Met);
    assert_ne!(Condition::Exited(4).judge(&up, &news), Verdict::Met);
    assert_ne!(Condition::Completed.judge(&up, &news), Verdict::Met);
    assert_eq!(Condition::Ready.judge(&up, &news), Verdict::Met);
}

#[test]
fn an_ill_state_is_seen_without_news_and_a_slow_start_is_none() {
    let crashed = exited("Restarting", Phase::BackingOff, 3);
    assert!(is_ill(&crashed, Ill::Crashed));
    assert!(!is_ill(&asked(crashed), Ill::Crashed));
    assert!(!is_ill(&row("Running", Phase::Up), Ill::Crashed));
    let starting = probed(Health::NotReady);
    assert!(!is_ill(&starting, Ill::Unhealthy));
    let was_ready = Row {
        memory: Memory {
            was_ready: true,
            ..Memory::default()
        },
        ..starting
    };
    assert!(is_ill(&was_ready, Ill::Unhealthy));
    assert!(!is_ill(&was_ready, Ill::Restarted));
}

#[test]
fn without_a_name_only_the_disabled_and_the_foreground_are_left_out() {
    for (what, row, _) in table() {
        let wanted = !matches!(what, "disabled" | "foreground");
        assert_eq!(is_waited_for(&row), wanted, "{what}");
    }
}

#[test]
fn the_words_of_conditions_are_read_back() {
    for condition in CONDITIONS
        .into_iter()
        .chain([Condition::Restarted, Condition::Exited(-1)])
    {
        assert_eq!(condition.to_string().parse(), Ok(condition));
    }
    for wrong in ["", "up", "exited", "exited=", "exited=x", "Ready"] {
        let error = wrong.parse::<Condition>().unwrap_err().to_string();
        assert!(error.contains("exited=CODE"), "{error}");
    }
    assert_eq!("unhealthy".parse(), Ok(Ill::Unhealthy));
    assert!(
        "stopped"
            .parse::<Ill>()
            .unwrap_err()
            .to_string()
            .contains("restarted")
    );
}
