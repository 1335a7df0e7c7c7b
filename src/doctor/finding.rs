//! What was found: plain values.

use serde::Serialize;

/// The number of the report's contract: keys may be added within it.
pub const SCHEMA: u32 = 1;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing is to be done.
    Info,
    /// It works, but not as well as it could, or not for long.
    Warning,
    /// It does not work.
    Error,
}

impl Severity {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Finding {
    /// Which check it is, `area.check`; the same in every report.
    pub check: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// What was found, one sentence without its full stop.
    pub what: String,
    /// What to do about it; absent where nothing is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    fn new(check: &'static str, severity: Severity, what: impl Into<String>) -> Self {
        Self {
            check,
            severity,
            what: what.into(),
            fix: None,
        }
    }

    /// All is well.
    pub fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Severity::Ok, what)
    }

    /// Worth knowing.
    pub fn info(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Severity::Info, what)
    }

    /// Not as it could be.
    pub fn warning(check: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(check, Severity::Warning, what).with_fix(fix)
    }

    /// Broken.
    pub fn error(check: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(check, Severity::Error, what).with_fix(fix)
    }

    /// The same, with what to do.
    pub fn with_fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// The part of the check's name before its dot.
    pub fn area(&self) -> &'static str {
        self.check
            .split_once('.')
            .map_or(self.check, |(area, _)| area)
    }
}

/// Everything that was found, by area.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// Number of this contract, 1.
    pub schema: u32,
    /// Version of the program that looked.
    pub version: &'static str,
    /// The gravest severity.
    pub worst: Severity,
    /// The findings, areas one after the other.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Puts the findings together.
    pub fn new(findings: Vec<Finding>) -> Self {
        let worst = findings.iter().map(|finding| finding.severity).max();
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            worst: worst.unwrap_or(Severity::Ok),
            findings,
        }
    }

    /// How many are of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        let all = self.findings.iter();
        all.filter(|finding| finding.severity == severity).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_is_the_reports_word() {
        assert_eq!(Report::new(Vec::new()).worst, Severity::Ok);
        let report = Report::new(vec![
            Finding::error("a.b", "x", "y"),
            Finding::ok("a.c", "x"),
            Finding::warning("a.d", "x", "y"),
        ]);
        assert_eq!(report.worst, Severity::Error);
        assert_eq!(report.count(Severity::Warning), 1);
        assert_eq!(report.findings[0].area(), "a");
    }
}
