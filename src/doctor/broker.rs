//! The broker: which one, whether it lets us in, what it can do, and whether there is room.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::finding::Finding;
use crate::bus::connect::{Bus, connect};
use crate::bus::error::BusError;
use crate::bus::settings::{BusSettings, FirstConnect};
use crate::bus::survey::{Account, Server, account, server};
use crate::render::words::{bytes, span};

/// How long the greeting may take.
const GREETING: Duration = Duration::from_millis(2500);
/// With less than this left, in bytes, a stream of any use has no room: 16 MiB.
const LEAST_ROOM: u64 = 16 << 20;

/// Where the choice of the broker came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// This flag or variable.
    By(&'static str),
    /// The context of this name, perhaps with an address by a flag or variable.
    Context(String),
    /// The context of this name, only because it is selected.
    Selected(String),
    /// The managed broker runs.
    Managed,
    /// Nobody said anything: the usual address.
    Usual,
}

impl Chosen {
    fn why(&self) -> String {
        match self {
            Self::By(what) => (*what).to_owned(),
            Self::Context(name) => format!("context {name}"),
            Self::Selected(name) => format!("context {name}, which is selected"),
            Self::Managed => "the managed broker".to_owned(),
            Self::Usual => "the usual address".to_owned(),
        }
    }
}

/// Connects; `None` where that does not work, which is a finding then.
pub(super) async fn greet(
    settings: &BusSettings,
    chosen: &Chosen,
    findings: &mut Vec<Finding>,
) -> Option<Bus> {
    let settings = BusSettings {
        first_connect: FirstConnect::MustSucceed,
        ..settings.clone()
    };
    let error = match timeout(GREETING, connect(&settings)).await {
        Ok(Ok(bus)) => return Some(bus),
        Ok(Err(error)) => error,
        Err(_) => BusError::Unreachable {
            at: settings.display_url(),
            why: format!("no greeting within {}", span(GREETING)),
        },
    };
    findings.push(absent(error, chosen));
    None
}

fn absent(error: BusError, chosen: &Chosen) -> Finding {
    let why = chosen.why();
    match error {
        BusError::Unreachable { at, why: said } if *chosen == Chosen::Usual => Finding::warning(
            "broker.reachable",
            format!(
                "no broker is configured, and none answers at {at} ({why}): {said}; what happens can be watched, not kept"
            ),
            "observe up brings a broker of its own; --server or NATS_URL names another",
        ),
        BusError::Unreachable { at, why: said } if matches!(chosen, Chosen::Selected(_)) => {
            Finding::warning(
                "broker.reachable",
                format!("no broker answers at {at} ({why}): {said}; who reads passes over it"),
                "start it, or name another by --server; nats context select selects another",
            )
        }
        BusError::Unreachable { at, why: said } => Finding::error(
            "broker.reachable",
            format!("no broker answers at {at} ({why}): {said}"),
            "start it, or name another by --server; observe up brings one of its own",
        ),
        BusError::Auth { at, why: said } => Finding::error(
            "broker.access",
            format!("the broker at {at} ({why}) does not let us in: {said}"),
            "check user, password, token or credentials file",
        ),
        BusError::Refused(refusal) => Finding::error("broker.access", refusal.found, refusal.fix),
        other => Finding::error(
            "broker.settings",
            format!("the broker's settings cannot be used: {other}"),
            "correct the flag or variable",
        ),
    }
}

/// Looks at a broker that let us in.
pub(super) async fn look(bus: &Bus, settings: &BusSettings, chosen: &Chosen) -> Vec<Finding> {
    let mut findings = Vec::new();
    let begun = Instant::now();
    let account = account(bus).await;
    let took = begun.elapsed();
    let Some(server) = server(bus) else {
        findings.push(absent(
            BusError::Unreachable {
                at: bus.at().to_owned(),
                why: "the connection broke".to_owned(),
            },
            chosen,
        ));
        return findings;
    };
    findings.push(Finding::ok(
        "broker.reachable",
        format!(
            "nats-server {} answers at {} ({}) in {}",
            server.version,
            bus.at(),
            chosen.why(),
            span(took.max(Duration::from_millis(1)))
        ),
    ));
    if let Err(BusError::Refused(refusal)) = bus.check_version() {
        let what = format!("{}; wanted: {}", refusal.found, refusal.wanted);
        findings.push(Finding::error("broker.version", what, refusal.fix));
    }
    findings.extend(encrypted(settings, &server));
    findings.extend(jetstream(account, &server));
    findings
}

fn encrypted(settings: &BusSettings, server: &Server) -> Option<Finding> {
    let shown = settings.display_url();
    let asked = shown
        .split(',')
        .all(|url| url.starts_with("tls://") || url.starts_with("wss://"));
    if server.tls || asked || settings.wants_tls() {
        return Some(Finding::ok("broker.tls", "the connection is encrypted"));
    }
    if shown.split(',').all(is_local) {
        return None;
    }
    Some(Finding::warning(
        "broker.tls",
        "the connection to another machine is not encrypted",
        "let the broker speak TLS, and say tls:// in --server",
    ))
}

fn is_local(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, host)| host);
    ["localhost:", "127.", "[::1]:"]
        .iter()
        .any(|local| host.starts_with(local))
}

fn jetstream(account: Result<Option<Account>, BusError>, server: &Server) -> Vec<Finding> {
    let check = "broker.jetstream";
    let domain = server
        .domain
        .as_ref()
        .map_or_else(String::new, |domain| format!(", domain {domain}"));
    match account {
        Ok(Some(account)) => vec![
            Finding::ok(check, format!("JetStream is on{domain}")),
            room(&account),
        ],
        Ok(None) => vec![Finding::info(
            check,
            "what the account may store is not known: we have no right to ask",
        )],
        Err(BusError::Refused(refusal)) => vec![Finding::error(check, refusal.found, refusal.fix)],
        Err(error) => vec![Finding::error(
            check,
            error.to_string(),
            "try again; the broker's log says more",
        )],
    }
}

fn room(account: &Account) -> Finding {
    let check = "broker.storage";
    let used = bytes(account.storage);
    let Some(most) = account.max_storage else {
        return Finding::ok(
            check,
            format!("the account has no limit of storage; {used} are used or promised"),
        );
    };
    let what = format!(
        "{used} of the account's {} are used or promised",
        bytes(most)
    );
    if most.saturating_sub(account.storage) < LEAST_ROOM {
        Finding::warning(
            check,
            what,
            "a stream that is still to be created needs --max-bytes, or the account more storage",
        )
    } else {
        Finding::ok(check, what)
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    #[test]
    fn nobody_at_the_usual_address_is_no_error_but_a_configured_broker_that_is_away_is_one() {
        let error = BusError::Unreachable {
            at: "nats://h:1".into(),
            why: "refused".into(),
        };
        let usual = absent(error.clone(), &Chosen::Usual);
        let selected = absent(error.clone(), &Chosen::Selected("lab".into()));
        assert_eq!(selected.severity, Severity::Warning);
        assert!(selected.what.contains("context lab"), "{selected:?}");
        let named = absent(error, &Chosen::By("NATS_URL"));
        assert_eq!(usual.severity, Severity::Warning);
        assert_eq!(named.severity, Severity::Error);
        assert!(named.what.contains("NATS_URL") && named.what.contains("nats://h:1"));
    }

    #[test]
    fn only_a_connection_that_leaves_the_machine_must_be_encrypted() {
        let server = |tls| Server {
            version: String::new(),
            domain: None,
            tls,
            max_payload: 0,
        };
        for (url, tls, severity) in [
            ("nats://127.0.0.1:4222", false, None),
            ("nats://localhost:4222,nats://[::1]:4222", false, None),
            ("nats://broker:4222", false, Some(Severity::Warning)),
            (
                "nats://localhost:1,nats://broker:1",
                false,
                Some(Severity::Warning),
            ),
            ("tls://broker:4222", false, Some(Severity::Ok)),
            ("nats://broker:4222", true, Some(Severity::Ok)),
        ] {
            let found = encrypted(&BusSettings::default().at(url), &server(tls));
            assert_eq!(found.map(|finding| finding.severity), severity, "{url}");
        }
    }

    #[test]
    fn an_account_without_room_is_said() {
        let account = |storage, max_storage| Account {
            storage,
            max_storage,
        };
        assert_eq!(room(&account(5, None)).severity, Severity::Ok);
        assert_eq!(room(&account(5, Some(1 << 30))).severity, Severity::Ok);
        let full = room(&account(1 << 30, Some(1 << 30)));
        assert_eq!(full.severity, Severity::Warning);
    }
}
