//! Sieves: which process events an adapter leaves out, and of whom something may be missing because of that. Pure.
//!
//! The root of a head says which sieve is in force, and a `gap` says which one was; so a reader judges by the same rules as
//! the adapter that left the events out. One that this build does not understand counts as one that may leave out anything.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::filter::{FilterError, Pattern};
use super::glance::Glance;
use super::payload::{Gap, Kind, Severity, millis};

/// A rule as it is written: values of one key are alternatives, different keys must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wording {
    /// Processes or groups, by name or glob.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Namespaces, by name or glob; any of a process counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Types of process events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// In an include this severity or a higher one, in an exclude this one or a lower one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
}

/// What travels of a sieve.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wordings {
    /// Only what fits this is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    include: Option<Wording>,
    /// What fits this is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    exclude: Option<Wording>,
}

/// Which events about processes are left out. Events about the source itself never are.
#[derive(Debug, Clone)]
pub struct Sieve {
    /// Nothing where this build does not understand it.
    rules: Option<Rules>,
    /// As it travels.
    written: Value,
}

#[derive(Debug, Clone)]
struct Rules {
    include: Option<Rule>,
    exclude: Option<Rule>,
}

#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) names: Vec<Pattern>,
    pub(super) namespaces: Vec<Pattern>,
    pub(super) kinds: BTreeSet<Kind>,
    pub(super) severity: Option<Severity>,
}

/// A process, as far as a sieve asks for it.
#[derive(Debug, Clone)]
pub struct Whom<'a> {
    /// The name of the replica.
    pub name: &'a str,
    /// The configured name, where it is known.
    pub group: Option<&'a str>,
    /// Every namespace.
    pub namespaces: Vec<&'a str>,
}

/// The sieve in force, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LeftOut {
    /// Since when events are left out by it: all before was told, or a gap says what was not.
    #[serde(with = "millis")]
    #[cfg_attr(test, schemars(with = "DateTime<Utc>"))]
    pub since: DateTime<Utc>,
    /// What is left out.
    pub sieve: Sieve,
}

/// The stretches in which events of one source were left out, as its gaps and its head tell them.
#[derive(Debug, Clone, Default)]
pub struct Veils {
    closed: Vec<Veil>,
    open: Option<LeftOut>,
}

#[derive(Debug, Clone)]
struct Veil {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    sieve: Sieve,
}

impl Veils {
    /// Takes a gap; those that tell of anything else change nothing.
    pub fn see(&mut self, gap: &Gap) {
        if !gap.is_left_out() {
            return;
        }
        let over = match &gap.sieve {
            Some(sieve) => Some((gap.from.unwrap_or(DateTime::<Utc>::MIN_UTC), sieve.clone())),
            // A build that knows nothing of sieves told everything again, and nobody says since when.
            None => self.open.take().map(|open| (open.since, open.sieve)),
        };
        let closed = over.map(|(from, sieve)| Veil {
            from,
            to: gap.to,
            sieve,
        });
        self.closed.extend(closed);
        let left_out = |sieve: &Sieve| LeftOut {
            // What the look that tells it saw is left out already; it began when the one before had.
            since: gap.from.filter(|_| gap.sieve.is_none()).unwrap_or(gap.to),
            sieve: sieve.clone(),
        };
        self.open = gap.next_sieve.as_ref().map(left_out);
    }

    /// Takes what the head says is left out. Where it says nothing, what was told last stays: a build that knows nothing of
    /// it may have written the head since.
    pub fn stands(&mut self, left_out: Option<&LeftOut>) {
        let Some(left_out) = left_out else { return };
        let is_over = |veil: &Veil| veil.from == left_out.since && veil.sieve == left_out.sieve;
        if !self.closed.iter().any(is_over) {
            self.open = Some(left_out.clone());
        }
    }

    /// Whether there never was any.
    pub fn is_empty(&self) -> bool {
        self.closed.is_empty() && self.open.is_none()
    }

    /// The stretches in which events of these types about this process may have been left out; the last one may have no end.
    pub fn over(&self, whom: &Whom<'_>, kinds: &[Kind]) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
        let touches = |sieve: &Sieve| {
            let mut kinds = kinds.iter();
            kinds.any(|kind| sieve.may_leave_out(whom, kind, Severity::Info))
        };
        let closed = self.closed.iter().filter(|veil| touches(&veil.sieve));
        let open = self.open.iter().filter(|open| touches(&open.sieve));
        let closed = closed.map(|veil| (veil.from, veil.to));
        closed
            .chain(open.map(|open| (open.since, DateTime::<Utc>::MAX_UTC)))
            .collect()
    }

    /// Whether something about this process may have been left out between two moments.
    pub fn cover(&self, whom: &Whom<'_>, from: DateTime<Utc>, to: DateTime<Utc>) -> bool {
        let mut over = self.over(whom, &Kind::PROCESS).into_iter();
        over.any(|(begin, end)| begin < to && from < end)
    }
}

impl Sieve {
    /// A sieve that lets through what an include names, but for what an exclude names.
    ///
    /// # Errors
    ///
    /// A glob that does not parse, a word that is no type of process events, or no severity.
    pub fn new(include: Option<Wording>, exclude: Option<Wording>) -> Result<Self, FilterError> {
        let rules = Rules {
            include: include.as_ref().map(Rule::read).transpose()?,
            exclude: exclude.as_ref().map(Rule::read).transpose()?,
        };
        let wordings = Wordings { include, exclude };
        Ok(Self {
            rules: Some(rules),
            // Lists of texts always have a form in JSON.
            written: serde_json::to_value(wordings).unwrap_or_default(),
        })
    }

    fn of(written: Value) -> Self {
        let read = serde_json::from_value::<Wordings>(written.clone()).ok();
        let known = read.and_then(|read| Self::new(read.include, read.exclude).ok());
        Self {
            rules: known.and_then(|sieve| sieve.rules),
            written,
        }
    }

    /// Whether an event is left out.
    pub fn leaves_out(&self, event: &Glance<'_>) -> bool {
        // What is not understood leaves nothing out where we tell ourselves.
        let (Some(rules), Some(name)) = (&self.rules, event.process) else {
            return false;
        };
        let whom = Whom {
            name,
            group: event.group,
            namespaces: event.every_namespace().collect(),
        };
        // On a guess it is told rather than left out.
        let of_kind = |rule: &Rule| rule.kinds.is_empty() || rule.kinds.contains(&event.kind);
        let reaches = |rule: &Rule| rule.severity.is_none_or(|least| event.severity >= least);
        let stays = |rule: &Rule| rule.severity.is_none_or(|most| event.severity <= most);
        let (include, exclude) = (&rules.include, &rules.exclude);
        include
            .as_ref()
            .is_some_and(|it| !(it.may_mean(&whom) && of_kind(it) && reaches(it)))
            || exclude
                .as_ref()
                .is_some_and(|it| it.means(&whom) && of_kind(it) && stays(it))
    }

    /// Whether an event of this type about this process may be left out that has this severity or a higher one.
    pub fn may_leave_out(&self, whom: &Whom<'_>, kind: &Kind, severity: Severity) -> bool {
        let Some(rules) = &self.rules else {
            return true;
        };
        let of_kind = |rule: &Rule| rule.kinds.is_empty() || rule.kinds.contains(kind);
        let included = |rule: &Rule| {
            let reaches = rule.severity.is_none_or(|least| severity >= least);
            rule.may_mean(whom) && of_kind(rule) && reaches
        };
        let excluded = |rule: &Rule| {
            let stays = rule.severity.is_none_or(|most| severity <= most);
            rule.may_mean(whom) && of_kind(rule) && stays
        };
        rules.include.as_ref().is_some_and(|it| !included(it))
            || rules.exclude.as_ref().is_some_and(excluded)
    }

    /// Whether anything about this process may be left out.
    pub fn touches(&self, whom: &Whom<'_>) -> bool {
        let any = |kind: &Kind| self.may_leave_out(whom, kind, Severity::Info);
        Kind::PROCESS.iter().any(any)
    }

    /// The rules, include first; nothing where this build does not understand them.
    pub(super) fn rules(&self) -> Option<(Option<&Rule>, Option<&Rule>)> {
        let rules = self.rules.as_ref()?;
        Some((rules.include.as_ref(), rules.exclude.as_ref()))
    }
}

impl Rule {
    fn read(wording: &Wording) -> Result<Self, FilterError> {
        let patterns = |texts: &[String]| -> Result<Vec<_>, _> {
            texts.iter().map(|t| Pattern::parse(t)).collect()
        };
        let kinds = wording.types.iter().map(|word| {
            let kind = Kind::parse(word);
            let is_told = Kind::PROCESS.contains(&kind);
            is_told
                .then_some(kind)
                .ok_or_else(|| FilterError::Kind(word.clone()))
        });
        let severity = wording.severity.as_ref().map(|word| {
            let found = Severity::ALL.into_iter().find(|it| it.as_str() == word);
            found.ok_or_else(|| FilterError::Severity(word.clone()))
        });
        Ok(Self {
            names: patterns(&wording.names)?,
            namespaces: patterns(&wording.namespaces)?,
            kinds: kinds.collect::<Result<_, _>>()?,
            severity: severity.transpose()?,
        })
    }

    fn means(&self, whom: &Whom<'_>) -> bool {
        let called = |name: &Pattern| {
            name.matches(whom.name) || whom.group.is_some_and(|group| name.matches(group))
        };
        let placed = |pattern: &Pattern| whom.namespaces.iter().any(|name| pattern.matches(name));
        (self.names.is_empty() || self.names.iter().any(called))
            && (self.namespaces.is_empty() || self.namespaces.iter().any(placed))
    }

    /// The same, but while its group is not known a process counts as one of that which its name has without a number.
    fn may_mean(&self, whom: &Whom<'_>) -> bool {
        let group = whom.group.or_else(|| without_number(whom.name));
        self.means(&Whom {
            group,
            ..whom.clone()
        })
    }

    fn words(&self) -> String {
        let texts = |patterns: &[Pattern]| -> Vec<String> {
            patterns.iter().map(|it| it.text().to_owned()).collect()
        };
        let keys = [
            ("name", texts(&self.names)),
            ("namespace", texts(&self.namespaces)),
            ("type", self.kinds.iter().map(ToString::to_string).collect()),
            (
                "severity",
                self.severity.iter().map(ToString::to_string).collect(),
            ),
        ];
        let said = keys.into_iter().filter(|(_, values)| !values.is_empty());
        let said: Vec<_> = said
            .map(|(key, values)| format!("{key}={}", values.join(",")))
            .collect();
        said.join(" ")
    }
}

/// What a name has before the number of a replica: `api` of `api-0`.
pub(super) fn without_number(name: &str) -> Option<&str> {
    let (group, number) = name.rsplit_once('-')?;
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    (is_number && !group.is_empty()).then_some(group)
}

/// `include type=crashed; exclude name=noisy-*`.
impl fmt::Display for Sieve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((include, exclude)) = self.rules() else {
            return f.write_str("by rules of a later build");
        };
        let include = include.map(|rule| format!("include {}", rule.words()));
        let exclude = exclude.map(|rule| format!("exclude {}", rule.words()));
        let said: Vec<_> = include.into_iter().chain(exclude).collect();
        f.write_str(&said.join("; "))
    }
}

impl PartialEq for Sieve {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for Sieve {}

impl Serialize for Sieve {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Sieve {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::of)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Sieve {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sieve".into()
    }

    /// Open, as all of the contract is: a later build may have rules that this one does not know.
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let texts = |of: &str| serde_json::json!({ "type": "array", "items": { "type": "string" }, "description": of });
        let rule = |what: &str, severity: &str| {
            serde_json::json!({
                "type": "object",
                "description": what,
                "properties": {
                    "names": texts("Processes or groups, by name or glob."),
                    "namespaces": texts("Namespaces, by name or glob; any of a process counts."),
                    "types": texts("Types of process events."),
                    "severity": { "type": "string", "description": severity },
                },
            })
        };
        schemars::json_schema!({
            "type": "object",
            "description": "Which events about processes are left out: values of one key are alternatives, different keys must all hold. One with a key or a word that a reader does not know may leave out anything.",
            "properties": {
                "include": rule("Only what fits this is told.", "This one or a higher one."),
                "exclude": rule("What fits this is not told.", "This one or a lower one."),
            },
        })
    }
}

#[cfg(test)]
mod tests;
