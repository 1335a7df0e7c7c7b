//! Who tells what: the heads in the stream, and how old they are.

use chrono::{DateTime, Utc};

use super::finding::Finding;
use crate::adapter::identity::{Age, age_at_start};
use crate::bus::connect::Bus;
use crate::bus::error::BusError;
use crate::bus::head::{RootAt, heads};
use crate::bus::settings::BusSettings;
use crate::bus::survey::stream;
use crate::event::store::Root;
use crate::process_compose::error::clean;
use crate::render::time::since;
use crate::render::words::{bytes, count, span};

/// Sources that are named; the others are counted.
const NAMED: usize = 20;

/// What a part of a head has at least, in bytes, where there are several.
const HALF_A_PART: u64 = 64_000;

/// Looks at all heads; `ours` is the name of the source that was found.
pub(super) async fn look(bus: &Bus, settings: &BusSettings, ours: Option<&str>) -> Vec<Finding> {
    let (heads, stream) = tokio::join!(
        heads(bus, &settings.stream, &settings.prefix),
        stream(bus, settings)
    );
    // What is wrong with the stream is said where that is looked at.
    let room = stream.ok().flatten().and_then(|stream| stream.max_bytes);
    match heads {
        Ok(roots) => {
            let mut findings = judge(&roots, ours, Utc::now());
            findings.extend(room.and_then(|room| large(&roots, room)));
            findings
        }
        // Both are said where the stream and the rights are looked at.
        Err(BusError::NoStream(_) | BusError::Refused(_)) => Vec::new(),
        Err(error) => vec![Finding::warning(
            "adapters.heads",
            format!("who tells what cannot be read: {error}"),
            "try again; the broker's log says more",
        )],
    }
}

fn judge(roots: &[RootAt], ours: Option<&str>, now: DateTime<Utc>) -> Vec<Finding> {
    let mut findings: Vec<_> = roots.iter().map(|root| one(root, now)).collect();
    // The worst first, so that what is only counted is the best of them.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let more = findings.split_off(findings.len().min(NAMED));
    if !more.is_empty() {
        let number = u64::try_from(more.len()).unwrap_or(u64::MAX);
        findings.push(Finding::info(
            "adapters.more",
            format!("and {}", count(number, "other source", "other sources")),
        ));
    }
    let told = |name: &str| {
        let mut all = roots.iter().filter_map(|at| at.root.as_ref().ok());
        all.any(|root| root.source == name)
    };
    match ours {
        Some(name) if !told(name) => findings.push(Finding::warning(
            "adapters.ours",
            format!("nobody tells {} yet", clean(name, 100)),
            "start observe adapter",
        )),
        _ if roots.is_empty() => findings.push(Finding::warning(
            "adapters.none",
            "nobody tells anything yet",
            "start observe adapter",
        )),
        _ => {}
    }
    if !roots.is_empty() {
        findings.push(Finding::info(
            "adapters.standby",
            "adapters that stand by leave no trace in the stream and are not seen here",
        ));
    }
    findings
}

/// The source with the largest head, where that leaves too little room for events. A part that was split is at least half
/// as large as it may be; one alone is small.
fn large(roots: &[RootAt], room: u64) -> Option<Finding> {
    let parts = |at: &&RootAt| at.root.as_ref().map_or(0, |root| root.shards.len());
    let largest = roots.iter().max_by_key(parts)?;
    let root = largest
        .root
        .as_ref()
        .ok()
        .filter(|root| root.shards.len() > 1)?;
    let size = u64::try_from(root.shards.len()).ok()? * HALF_A_PART;
    (size > room / 3).then(|| {
        Finding::warning(
            "adapters.size",
            format!(
                "the table of {} takes about {} of the {} that the stream may have",
                clean(&root.source, 100),
                bytes(size),
                bytes(room)
            ),
            "give the stream at least three times as much by --max-bytes; it is written anew again and again, and events make room",
        )
    })
}

fn one(at: &RootAt, now: DateTime<Utc>) -> Finding {
    let root = match &at.root {
        Ok(root) => root,
        Err(why) => {
            return Finding::error(
                "adapters.head",
                format!("the head {} cannot be read: {why}", clean(&at.subject, 200)),
                "use the version of observe that wrote it, or a newer one",
            );
        }
    };
    let (source, adapter) = (clean(&root.source, 100), clean(&root.adapter, 100));
    let ago = span(since(root.looked_at, now));
    let what = format!("{source} is told by {adapter}, which {}", watches(root));
    match (age_at_start(root, now), root.connected) {
        (Age::Stale, _) => Finding::warning(
            "adapters.head",
            format!("{source} is told by nobody: {adapter} looked last {ago} ago"),
            format!("start observe adapter for {source}, if it is still to be watched"),
        ),
        (Age::Fresh, false) => Finding::warning(
            "adapters.head",
            format!("{what} and does not see it; last seen {ago} ago"),
            "start its process-compose, or see why the adapter cannot reach it",
        ),
        (Age::Fresh, true) if root.looked_at > now + chrono::Duration::seconds(2) => {
            Finding::warning(
                "adapters.head",
                format!("{what}; its last look lies in the future"),
                "let both machines set their clocks by NTP",
            )
        }
        (Age::Fresh, true) => Finding::ok("adapters.head", format!("{what}; looked {ago} ago")),
    }
}

fn watches(root: &Root) -> String {
    let mut text = "watches".to_owned();
    for (word, value) in [
        (" project ", &root.identity.project),
        (" on ", &root.identity.host),
        (" at ", &root.identity.endpoint),
    ] {
        if !value.is_empty() {
            text.push_str(word);
            text.push_str(&clean(value, 100));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;
    use crate::event::store::{HEAD_FORMAT, Identity, ShardPlace};

    fn root(source: &str, looked_at: &str, connected: bool) -> RootAt {
        let root = Root {
            format: HEAD_FORMAT,
            source: source.into(),
            journal: "j".into(),
            seq: 1,
            epoch: "e".into(),
            connected,
            adapter: "web1-3f9a1c22".into(),
            commit: "c".into(),
            looked_at: looked_at.parse().unwrap(),
            since: None,
            interval_ms: 2000,
            shards: Vec::new(),
            identity: Identity {
                project: "p".into(),
                host: "h".into(),
                endpoint: "localhost:8080".into(),
            },
            left_out: None,
        };
        RootAt {
            subject: format!("core.head.{source}"),
            sequence: 1,
            root: Ok(root),
        }
    }

    fn judged(roots: &[RootAt], ours: Option<&str>) -> Vec<(Severity, String)> {
        let findings = judge(roots, ours, "2026-08-20T07:00:00Z".parse().unwrap());
        findings.into_iter().map(|f| (f.severity, f.what)).collect()
    }

    #[test]
    fn fresh_stale_blind_and_unreadable_heads_are_told_apart() {
        for (looked_at, connected, severity, word) in [
            ("2026-08-20T06:59:58Z", true, Severity::Ok, "looked 2 s ago"),
            (
                "2026-08-20T04:00:00Z",
                true,
                Severity::Warning,
                "by nobody: web1-3f9a1c22 looked last 3 h ago",
            ),
            (
                "2026-08-20T06:59:58Z",
                false,
                Severity::Warning,
                "does not see it",
            ),
            (
                "2026-08-20T07:00:58Z",
                true,
                Severity::Warning,
                "in the future",
            ),
        ] {
            let findings = judged(&[root("shop", looked_at, connected)], Some("shop"));
            assert_eq!(findings[0].0, severity, "{findings:?}");
            assert!(findings[0].1.contains(word), "{findings:?}");
            assert!(
                findings.iter().all(|(_, what)| !what.contains("yet")),
                "{findings:?}"
            );
        }
        let odd = RootAt {
            root: Err("its format is 9".into()),
            ..root("shop", "2026-08-20T06:59:58Z", true)
        };
        assert_eq!(judged(&[odd], None)[0].0, Severity::Error);
    }

    #[test]
    fn a_head_that_takes_a_third_of_the_stream_is_a_warning() {
        let mut roots = [root("shop", "2026-08-20T06:59:58Z", true)];
        if let Ok(root) = &mut roots[0].root {
            root.shards = vec![ShardPlace::At(1); 64];
        }
        assert_eq!(large(&roots, 1 << 30), None);
        let found = large(&roots, 10 << 20).unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert!(
            found.what.contains("the table of shop takes about 4"),
            "{found:?}"
        );
        if let Ok(root) = &mut roots[0].root {
            root.shards.truncate(1);
        }
        assert_eq!(large(&roots, 1), None, "one part is small");
    }

    #[test]
    fn a_source_that_nobody_tells_is_said_and_many_are_counted() {
        assert!(judged(&[], None)[0].1.contains("nobody tells anything"));
        assert!(judged(&[], Some("shop"))[0].1.contains("nobody tells shop"));
        let mut many: Vec<_> = (0..50)
            .map(|n| root(&format!("s{n}"), "2026-08-20T06:59:58Z", true))
            .collect();
        many.push(root("late", "2026-08-20T01:00:00Z", true));
        let findings = judged(&many, None);
        assert!(findings[0].1.contains("late"), "{findings:?}");
        assert!(
            findings
                .iter()
                .any(|(_, what)| what == "and 31 other sources"),
            "{findings:?}"
        );
    }
}
