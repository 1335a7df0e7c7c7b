//! A JUnit report: one test case for each process, for the pages that show what a pipeline came to.
//!
//! XML has a door of its own: what cannot be seen is spelled out first, as everywhere, which leaves no character that
//! XML 1.0 forbids; then its five marks are escaped.

use std::fmt::Write as _;
use std::time::Duration;

use super::door::clean;
use super::outcome::reason;
use crate::event::envelope::Envelope;
use crate::event::payload::Kind;
use crate::process::waiting::Entry;

/// The most columns a name or a reason takes here.
const LONGEST: usize = 4000;

/// What is reported.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// What was waited for.
    pub condition: &'a str,
    /// How long it was waited.
    pub waited: Duration,
    /// How long everything took.
    pub took: Duration,
    /// Each process as it stood when the waiting ended.
    pub entries: &'a [Entry],
    /// What crashed since.
    pub crashes: &'a [Envelope],
}

impl Report<'_> {
    /// The whole document.
    pub fn xml(&self) -> String {
        let cases: Vec<_> = self.cases();
        let failures = cases
            .iter()
            .filter(|case| !case.failures.is_empty())
            .count();
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let (tests, took) = (cases.len(), seconds(self.took));
        // Writing to a string cannot fail.
        let _infallible = writeln!(
            out,
            "<testsuites>\n<testsuite name=\"observe\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\" time=\"{took}\">"
        );
        for case in cases {
            case.write(self.waited, &mut out);
        }
        out.push_str("</testsuite>\n</testsuites>\n");
        out
    }

    fn cases(&self) -> Vec<Case<'_>> {
        let mut cases: Vec<Case<'_>> = Vec::new();
        for entry in self.entries {
            let mut case = Case::new(&entry.source, named(entry));
            if !entry.is_met() {
                let why = reason(entry);
                case.failures.push(format!("not {}: {why}", self.condition));
            }
            cases.push(case);
        }
        for crash in self.crashes {
            let name = crash.process.as_deref().unwrap_or_default();
            let known = |case: &Case<'_>| case.source == crash.source && case.name == name;
            let at = cases.iter().position(known).unwrap_or_else(|| {
                cases.push(Case::new(&crash.source, name));
                cases.len() - 1
            });
            if let Some(case) = cases.get_mut(at) {
                case.failures.push(line(crash));
            }
        }
        cases
    }
}

fn named(entry: &Entry) -> &str {
    match entry.name.as_str() {
        "" => "(processes)",
        name => name,
    }
}

/// A crash in one line.
fn line(crash: &Envelope) -> String {
    debug_assert_eq!(crash.kind, Kind::Crashed);
    let code = crash.exit.and_then(|exit| exit.code);
    let how = match code {
        Some(-1) => "by a signal".to_owned(),
        Some(code) => format!("with exit {code}"),
        None => format!("({})", crash.reason),
    };
    let at = crash
        .timestamp
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let times = match crash.count {
        1 => String::new(),
        count => format!(", {count} times"),
    };
    format!("crashed {how} at {at}{times}")
}

struct Case<'a> {
    source: &'a str,
    name: &'a str,
    failures: Vec<String>,
}

impl<'a> Case<'a> {
    fn new(source: &'a str, name: &'a str) -> Self {
        Self {
            source,
            name,
            failures: Vec::new(),
        }
    }

    fn write(&self, waited: Duration, out: &mut String) {
        let (source, name, time) = (escape(self.source), escape(self.name), seconds(waited));
        let head = format!("<testcase classname=\"{source}\" name=\"{name}\" time=\"{time}\"");
        out.push_str(&head);
        let Some(first) = self.failures.first() else {
            out.push_str("/>\n");
            return;
        };
        let first = escape(first);
        let all: Vec<_> = self.failures.iter().map(|line| escape(line)).collect();
        let all = all.join("\n");
        let failure = format!(">\n<failure message=\"{first}\">{all}</failure>\n</testcase>\n");
        out.push_str(&failure);
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64())
}

/// Foreign text for an attribute or between two tags.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in clean(text, LONGEST).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::process::condition::Verdict;

    fn entry(name: &str, verdict: Verdict) -> Entry {
        Entry {
            source: "shop".to_owned(),
            name: name.to_owned(),
            verdict,
            ill: None,
            is_deaf: false,
            state: None,
        }
    }

    fn crash(process: &str, count: u32) -> Envelope {
        let event = json!({
            "type": "crashed", "process": process, "namespace": "default", "subject": "s", "severity": "error",
            "timestamp": "2026-08-20T07:18:04.120Z", "schema": 1, "id": "shop.a.1", "source": "shop", "journal": "a",
            "seq": 1, "origin": "change", "reason": "exit", "certainty": "certain", "count": count,
            "occurred": {"before": "2026-08-20T07:18:04.120Z"},
            "exit": {"code": 3, "signal": null, "expected": false},
        });
        serde_json::from_value(event).unwrap()
    }

    fn xml(entries: &[Entry], crashes: &[Envelope]) -> String {
        let report = Report {
            condition: "ready",
            waited: Duration::from_millis(1500),
            took: Duration::from_secs(60),
            entries,
            crashes,
        };
        report.xml()
    }

    #[test]
    fn each_process_is_a_case_and_what_went_wrong_is_its_failure() {
        let entries = [
            entry("api", Verdict::Met),
            entry("web", Verdict::Pending("not ready".to_owned())),
            entry("worker", Verdict::Met),
        ];
        let found = xml(
            &entries,
            &[crash("worker", 1), crash("worker", 2), crash("late", 1)],
        );
        let wanted = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
<testsuite name="observe" tests="4" failures="3" errors="0" skipped="0" time="60.000">
<testcase classname="shop" name="api" time="1.500"/>
<testcase classname="shop" name="web" time="1.500">
<failure message="not ready: not ready">not ready: not ready</failure>
</testcase>
<testcase classname="shop" name="worker" time="1.500">
<failure message="crashed with exit 3 at 2026-08-20T07:18:04.120Z">crashed with exit 3 at 2026-08-20T07:18:04.120Z
crashed with exit 3 at 2026-08-20T07:18:04.120Z, 2 times</failure>
</testcase>
<testcase classname="shop" name="late" time="1.500">
<failure message="crashed with exit 3 at 2026-08-20T07:18:04.120Z">crashed with exit 3 at 2026-08-20T07:18:04.120Z</failure>
</testcase>
</testsuite>
</testsuites>
"#;
        assert_eq!(found, wanted);
    }

    #[test]
    fn foreign_text_cannot_leave_its_place() {
        let hostile = "a\"/><x>&'\u{0}\u{1b}[31m\u{202e}\u{fffe}\n]]>";
        let why = Verdict::Impossible(hostile.to_owned());
        let found = xml(&[entry(hostile, why)], &[]);
        assert!(!found.contains("<x>"), "{found}");
        assert!(
            found.contains("a&quot;/&gt;&lt;x&gt;&amp;&apos;"),
            "{found}"
        );
        let allowed = |c: char| c == '\n' || ('\u{20}'..='\u{d7ff}').contains(&c);
        assert!(found.chars().all(allowed), "{found:?}");
        assert_eq!(found.lines().count(), 8, "{found}");
    }
}
