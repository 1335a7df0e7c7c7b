//! Our rights at the broker, tried one by one.

use futures_util::future::join_all;

use super::finding::Finding;
use crate::bus::connect::Bus;
use crate::bus::rights::{Need, Right, Role, Verb, rights};
use crate::bus::settings::BusSettings;
use crate::bus::survey::{Granted, try_right};

/// Tries what an adapter of this source and a reader need. Without a source, what depends on its name stays unknown.
pub(super) async fn look(
    bus: &Bus,
    reading: &BusSettings,
    writing: Option<(&BusSettings, &str)>,
) -> Vec<Finding> {
    let adapter = match writing {
        Some((settings, source)) => rights(Role::Adapter, settings, Some(source)),
        None => Vec::new(),
    };
    let reader = rights(Role::Reader, reading, None);
    let (told, read) = tokio::join!(tried(bus, &adapter), tried(bus, &reader));
    let alone = told.lacks() != read.lacks();
    let mut findings = Vec::new();
    if writing.is_some() {
        findings.push(told.finding("rights.adapter", "observe adapter", alone));
        // Who tells nothing need not hear it.
        if !told.lacks() {
            findings.extend(told.unheard());
        }
    } else {
        findings.push(Finding::info(
            "rights.adapter",
            "what observe adapter may is unknown, because the name of the source is",
        ));
    }
    findings.push(read.finding("rights.reader", "observe watch", alone));
    findings
}

/// What came of a list of rights.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tried {
    granted: usize,
    missing: Vec<String>,
    unknown: Vec<String>,
    /// What is missing that only requests need.
    unheard: Vec<String>,
}

async fn tried(bus: &Bus, rights: &[Right]) -> Tried {
    let words = join_all(rights.iter().map(|right| try_right(bus, right))).await;
    let mut tried = Tried::default();
    for (right, word) in rights.iter().zip(words) {
        let verb = match right.verb {
            Verb::Publish => "publish to",
            Verb::Subscribe => "subscribe to",
        };
        let named = format!("{verb} {}", right.subject);
        match word {
            Granted::Yes => tried.granted += 1,
            Granted::No if right.need == Need::Asked => tried.unheard.push(named),
            Granted::No => tried.missing.push(named),
            Granted::Unknown => tried.unknown.push(named),
        }
    }
    tried
}

impl Tried {
    fn lacks(&self) -> bool {
        !self.missing.is_empty()
    }

    /// What is missing for requests: everything works without it, but less is told.
    fn unheard(&self) -> Option<Finding> {
        (!self.unheard.is_empty()).then(|| {
            Finding::warning(
                "rights.adapter",
                format!(
                    "observe adapter may not {}: what observe process does may be told as if nobody had asked for it",
                    self.unheard.join(", ")
                ),
                "give this user that right (observe doctor --print-permissions adapter)",
            )
        })
    }

    /// One who can only read, or only tell, may be meant to: that alone is no error.
    fn finding(&self, check: &'static str, who: &str, alone: bool) -> Finding {
        if self.lacks() {
            let what = format!("{who} may not {}", self.missing.join(", "));
            let role = check.trim_start_matches("rights.");
            let fix = format!(
                "give this user these rights (observe doctor --print-permissions {role}), unless it is not meant to"
            );
            return if alone {
                Finding::warning(check, what, fix)
            } else {
                Finding::error(check, what, fix)
            };
        }
        if self.unknown.is_empty() {
            return Finding::ok(
                check,
                format!("{who} has all {} rights it needs", self.granted),
            );
        }
        Finding::info(
            check,
            format!(
                "whether {who} may {} is unknown: the broker does not say",
                self.unknown.join(", ")
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    #[test]
    fn a_user_for_one_role_is_no_error() {
        let tried = |missing: &[&str], unknown: &[&str]| Tried {
            granted: 3,
            missing: missing.iter().map(|&one| one.to_owned()).collect(),
            unknown: unknown.iter().map(|&one| one.to_owned()).collect(),
            unheard: Vec::new(),
        };
        let lacking = tried(&["publish to a"], &[]);
        for (tried, alone, severity) in [
            (&tried(&[], &[]), false, Severity::Ok),
            (&tried(&[], &["publish to b"]), false, Severity::Info),
            (&lacking, true, Severity::Warning),
            (&lacking, false, Severity::Error),
        ] {
            let finding = tried.finding("rights.reader", "observe watch", alone);
            assert_eq!(finding.severity, severity, "{finding:?}");
        }
        let said = lacking.finding("rights.reader", "observe watch", true);
        assert!(said.what.contains("publish to a"), "{said:?}");
        assert!(said.fix.unwrap().contains("--print-permissions reader"));
    }

    #[test]
    fn who_may_not_hear_requests_is_warned_and_works() {
        let tried = Tried {
            granted: 3,
            unheard: vec!["subscribe to c".to_owned()],
            ..Tried::default()
        };
        let finding = tried.finding("rights.adapter", "observe adapter", false);
        assert_eq!(finding.severity, Severity::Ok, "{finding:?}");
        let finding = tried.unheard().unwrap();
        assert_eq!(finding.severity, Severity::Warning, "{finding:?}");
        assert!(finding.what.contains("subscribe to c"), "{finding:?}");
        assert_eq!(Tried::default().unheard(), None);
    }
}
