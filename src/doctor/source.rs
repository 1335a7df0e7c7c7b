//! The source: found how, answering how, and how well it can be seen.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::{Instant, timeout};

use super::finding::Finding;
use crate::process_compose::client::Client;
use crate::process_compose::discovery::{Found, Tried};
use crate::process_compose::error::{ClientError, clean};
use crate::process_compose::server::{Server, identify};
use crate::process_compose::settings::{Evidence, Limits, Settings};
use crate::process_compose::wire::{Reading, WireRow, decode};
use crate::render::words::{count, span};

/// How long one question may take.
const ANSWER: Duration = Duration::from_millis(1500);
/// How long everything may take.
const ALL: Duration = Duration::from_millis(3500);
/// A server whose clock is further away than this puts its times elsewhere than we do ours.
pub(super) const SKEW: Duration = Duration::from_secs(2);
/// Odd rows that are named.
const NAMED: usize = 3;

/// Where the source is, as the command line found it.
#[derive(Debug, Clone)]
pub enum Whereabouts {
    /// There.
    One {
        /// How to ask it.
        settings: Box<Settings>,
        /// Where the choice came from.
        why: String,
    },
    /// Several answer.
    Several(Vec<Found>),
    /// The file of settings names these, and none was chosen.
    Unchosen(Vec<String>),
    /// Nobody answers; what was tried.
    Nowhere(Vec<Tried>),
    /// What was given cannot be used; in words.
    Unusable(String),
}

/// Looks at the source; gives who it is, where it answered.
pub(super) async fn look(place: &Whereabouts, findings: &mut Vec<Finding>) -> Option<Server> {
    match place {
        Whereabouts::One { settings, why } => ask(settings, why, findings).await,
        Whereabouts::Several(all) => {
            findings.push(several(all));
            None
        }
        Whereabouts::Nowhere(tried) => {
            let tried: Vec<_> = tried
                .iter()
                .map(|one| format!("{} ({})", one.endpoint, one.found))
                .collect();
            findings.push(Finding::error(
                "source.reachable",
                format!("no process-compose answers; tried {}", tried.join(", ")),
                "start the stack, or name it by --port, --address, --unix-socket or --url",
            ));
            None
        }
        Whereabouts::Unchosen(names) => {
            let each: Vec<_> = names.iter().map(|name| clean(name, 80)).collect();
            let what = format!(
                "the file of settings names several stacks: {}; none of them is asked here",
                each.join(", ")
            );
            findings
                .push(Finding::info("source.chosen", what).with_fix("--source NAME asks that one"));
            None
        }
        Whereabouts::Unusable(why) => {
            findings.push(Finding::error(
                "source.settings",
                format!("the source's settings cannot be used: {}", clean(why, 300)),
                "correct the flag or variable",
            ));
            None
        }
    }
}

fn several(all: &[Found]) -> Finding {
    let each: Vec<_> = all
        .iter()
        .map(|found| {
            let project = found.project.as_deref().unwrap_or("?");
            format!("{} ({})", found.endpoint, clean(project, 80))
        })
        .collect();
    Finding::error(
        "source.reachable",
        format!("several process-composes answer: {}", each.join(", ")),
        "name one of them by --port, --unix-socket or --url",
    )
}

async fn ask(settings: &Settings, why: &str, findings: &mut Vec<Finding>) -> Option<Server> {
    let mut settings = settings.clone();
    settings.limits = Limits {
        connect: ANSWER,
        read: ANSWER,
        ..settings.limits
    };
    let client = match Client::new(&settings) {
        Ok(client) => client,
        Err(error) => {
            findings.push(Finding::error(
                "source.settings",
                format!("the source's settings cannot be used: {error}"),
                "correct --token-file or PC_API_TOKEN_PATH",
            ));
            return None;
        }
    };
    let begun = Instant::now();
    let server = match identify(&client).await {
        Ok(server) => server,
        Err(error) => {
            let what = format!("{} ({why}): {}", client.place(), error.found());
            findings.push(Finding::error("source.reachable", what, error.advice()));
            return None;
        }
    };
    findings.push(answered(&client, &server, why, begun.elapsed()));
    if settings.token.is_some() {
        findings.push(Finding::ok("source.token", "the API token is accepted"));
    }
    let rest = details(&client, &server, settings.evidence, findings);
    if timeout(ALL.saturating_sub(begun.elapsed()), rest)
        .await
        .is_err()
    {
        findings.push(Finding::warning(
            "source.answers",
            "it answers too slowly to look at everything",
            "is the machine overloaded?",
        ));
    }
    Some(server)
}

fn answered(client: &Client, server: &Server, why: &str, took: Duration) -> Finding {
    let version = match server.version.trim() {
        "" => "process-compose".to_owned(),
        version => format!("process-compose {}", clean(version, 60)),
    };
    let project = match server.project.as_str() {
        "" => String::new(),
        project => format!(": project {}", clean(project, 100)),
    };
    Finding::ok(
        "source.reachable",
        format!(
            "{version} answers at {} ({why}) in {}{project}",
            client.place(),
            span(took)
        ),
    )
}

async fn details(
    client: &Client,
    server: &Server,
    evidence: Evidence,
    findings: &mut Vec<Finding>,
) {
    if server.started.is_none() {
        findings.push(
            Finding::info(
                "source.epoch",
                "it does not say when it was started (before v0.75), so that its restart is only inferred",
            )
            .with_fix("update process-compose"),
        );
    }
    findings.push(evident(client.has_state_stream().await, evidence));
    match clock(client).await {
        Ok(skew) => findings.extend(skew),
        Err(error) => findings.push(trouble("source.clock", &error)),
    }
    let body = match client.processes().await {
        Ok(body) => body,
        Err(error) => return findings.push(trouble("source.processes", &error)),
    };
    match decode(&body.bytes) {
        Err(error) => findings.push(trouble("source.processes", &client.undecodable(error))),
        Ok(reading) => {
            findings.extend(table(&reading));
            if let Some(row) = reading.rows.first() {
                findings.push(configured(client.process_info(&row.name).await));
            }
        }
    }
}

fn trouble(check: &'static str, error: &ClientError) -> Finding {
    Finding::error(check, error.found(), error.advice())
}

fn evident(has: Result<bool, ClientError>, wanted: Evidence) -> Finding {
    let check = "source.evidence";
    match (has, wanted) {
        (Ok(true), Evidence::Auto) => Finding::ok(
            check,
            "it has a state stream: what happens between two looks is seen",
        ),
        (Ok(true), Evidence::Off) => Finding::info(
            check,
            "it has a state stream, which --evidence off leaves unused: what happens between two looks is inferred",
        ),
        (Ok(false), _) => Finding::info(
            check,
            "it has no state stream (before v1.110): what happens between two looks is inferred",
        )
        .with_fix("update process-compose"),
        (Err(error), _) => trouble(check, &error),
    }
}

fn table(reading: &Reading<WireRow<'_>>) -> Vec<Finding> {
    let rows = u64::try_from(reading.rows.len()).unwrap_or(u64::MAX);
    let up = reading.rows.iter().filter(|row| row.is_up()).count();
    let mut findings = vec![Finding::ok(
        "source.processes",
        format!("{}, {up} up", count(rows, "process", "processes")),
    )];
    if !reading.odd.is_empty() {
        let named: Vec<_> = reading
            .odd
            .iter()
            .take(NAMED)
            .map(|odd| {
                let name = odd.name.as_deref().unwrap_or("(no name)");
                format!("{} ({})", clean(name, 60), odd.why)
            })
            .collect();
        findings.push(Finding::warning(
            "source.rows",
            format!(
                "{} of its table cannot be read and are not watched: {}",
                count(
                    u64::try_from(reading.odd.len()).unwrap_or(u64::MAX),
                    "row",
                    "rows"
                ),
                named.join(", ")
            ),
            "is this a version of process-compose that observe does not know? Tell its makers",
        ));
    }
    findings
}

fn configured(info: Result<Option<impl Sized>, ClientError>) -> Finding {
    let check = "source.configuration";
    match info {
        Ok(Some(_)) => Finding::ok(
            check,
            "it shows how processes are configured: groups, restart policies and probes are known",
        ),
        Ok(None) => Finding::info(
            check,
            "it does not show how processes are configured: groups and policies stay unknown",
        ),
        Err(error) => trouble(check, &error),
    }
}

/// Compares its clock with ours, as well as whole seconds allow; nothing where it does not tell the time.
async fn clock(client: &Client) -> Result<Option<Finding>, ClientError> {
    let (before, said, after) = (Utc::now(), client.clock().await?, Utc::now());
    Ok(said.map(|said| {
        // A second was cut off: on average half of one.
        let off = away(said + chrono::Duration::milliseconds(500), before, after);
        skew("source.clock", "its clock", off, Duration::from_millis(500))
    }))
}

/// How far a clock was ahead of ours, in milliseconds, when it was asked between these two moments.
pub(super) fn away(said: DateTime<Utc>, before: DateTime<Utc>, after: DateTime<Utc>) -> i64 {
    (said - (before + (after - before) / 2)).num_milliseconds()
}

/// What a difference of clocks means.
pub(super) fn skew(check: &'static str, whose: &str, ahead_ms: i64, exact: Duration) -> Finding {
    let off = Duration::from_millis(ahead_ms.unsigned_abs());
    if off <= SKEW.max(exact) {
        return Finding::ok(check, format!("{whose} and ours agree"));
    }
    let way = if ahead_ms > 0 { "ahead of" } else { "behind" };
    Finding::warning(
        check,
        format!("{whose} is {} {way} ours", span(off)),
        "let both machines set their clocks by NTP; events carry the time of the machine that looks",
    )
}

/// The folder things are looked for in, shown.
pub(super) fn shown(path: &Path) -> String {
    clean(&path.to_string_lossy(), 200)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_said_with_its_direction() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let (before, after) = (at("2026-08-20T07:00:00Z"), at("2026-08-20T07:00:00.200Z"));
        assert_eq!(away(at("2026-08-20T07:00:05.100Z"), before, after), 5000);
        let exact = Duration::from_millis(1);
        for (ms, severity, word) in [
            (0, Severity::Ok, "agree"),
            (-1900, Severity::Ok, "agree"),
            (5000, Severity::Warning, "5 s ahead of"),
            (-90_000, Severity::Warning, "1 min 30 s behind"),
        ] {
            let finding = skew("x.y", "its clock", ms, exact);
            assert_eq!(finding.severity, severity, "{finding:?}");
            assert!(finding.what.contains(word), "{finding:?}");
        }
    }

    #[test]
    fn rows_that_cannot_be_read_are_counted_and_named() {
        let bytes = br#"{"data":[{"name":"a","status":"Running","is_running":true,"pid":3},{"name":"b","restarts":"x"}]}"#;
        let reading = decode(bytes).unwrap();
        let findings = table(&reading);
        assert_eq!(findings[0].what, "1 process, 1 up");
        assert_eq!(findings[1].severity, Severity::Warning);
        assert!(findings[1].what.contains("1 row") && findings[1].what.contains('b'));
    }
}
