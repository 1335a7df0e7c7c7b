//! Filters: which events a reader wants, and which subject narrows them down at the server.

use std::collections::BTreeSet;
use std::fmt;

use globset::{Glob, GlobMatcher};

use super::envelope::Envelope;
use super::glance::Glance;
use super::grep::{Grep, GrepError};
use super::payload::{Kind, Severity};
use super::sieve::{Sieve, without_number};
use super::subject::{Prefix, encode_filter_token, encode_token};

/// One pattern for a name: a literal, or a glob with `*`, `?`, `[…]`, `{a,b}`.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    glob: Option<GlobMatcher>,
}

/// Why a filter cannot be understood; the message has the fix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A glob does not parse.
    #[error(
        "'{pattern}' is no pattern: {why}; quote special characters like [*] or write the plain name"
    )]
    Pattern {
        /// What was written.
        pattern: String,
        /// What the parser says.
        why: String,
    },
    /// A type nobody tells.
    #[error(
        "'{0}' is no event type; there are started, stopped, crashed, restarted, healthy, unhealthy, status_changed, connected, disconnected, gap"
    )]
    Kind(String),
    /// A severity that does not exist.
    #[error("'{0}' is no severity; there are info, warning, error, critical")]
    Severity(String),
    /// A `key=value` without its `=`.
    #[error("'{0}' is no filter; write key=value, for example type=crashed")]
    NoEquals(String),
    /// A key nobody knows.
    #[error(
        "'{0}' is no filter key; there are process, type, namespace, source, severity, reason, certainty, origin"
    )]
    Key(String),
    /// A regular expression does not parse.
    #[error(transparent)]
    Grep(#[from] GrepError),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// A glob that does not parse; trying again does not help.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let glob = if text.contains(['*', '?', '[', '{', '\\']) {
            let why = |error: globset::Error| FilterError::Pattern {
                pattern: text.to_owned(),
                why: error.kind().to_string(),
            };
            Some(Glob::new(text).map_err(why)?.compile_matcher())
        } else {
            None
        };
        Ok(Self {
            text: text.to_owned(),
            glob,
        })
    }

    /// The pattern that only this name fits, whatever characters it has.
    pub fn literally(name: &str) -> Self {
        Self {
            text: name.to_owned(),
            glob: None,
        }
    }

    /// Whether a name fits.
    pub fn matches(&self, name: &str) -> bool {
        self.glob
            .as_ref()
            .map_or(self.text == name, |glob| glob.is_match(name))
    }

    /// Whether a replica of a group may fit; a glob is tried with numbers of up to three digits.
    fn means_replica_of(&self, group: &str) -> bool {
        match self.literal() {
            Some(name) => without_number(name) == Some(group),
            None => [1, 2, 3].into_iter().any(|width| {
                let mut numbers = 0..10_u32.pow(width);
                let width = width as usize;
                numbers.any(|at| self.matches(&format!("{group}-{at:0width$}")))
            }),
        }
    }

    /// The name itself where the pattern is a literal.
    pub fn literal(&self) -> Option<&str> {
        self.glob.is_none().then_some(self.text.as_str())
    }

    /// What was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Which events a reader wants: values of one key are alternatives, different keys must all hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    names: Vec<Pattern>,
    namespaces: Vec<Pattern>,
    sources: Vec<Pattern>,
    kinds: BTreeSet<Kind>,
    severity: Option<Severity>,
    reasons: Vec<Pattern>,
    certainties: Vec<Pattern>,
    origins: Vec<Pattern>,
    greps: Vec<Grep>,
    blindness: bool,
}

impl Filter {
    /// A filter that lets everything pass.
    pub fn all() -> Self {
        Self::default()
    }

    /// Lets events pass that tell of a stretch nobody saw, whatever else is wanted.
    #[must_use]
    pub fn and_blindness(mut self) -> Self {
        self.blindness = true;
        self
    }

    /// Adds a name or group (literal or glob) to the wanted ones.
    ///
    /// # Errors
    ///
    /// A glob that does not parse.
    pub fn process(mut self, pattern: &str) -> Result<Self, FilterError> {
        self.names.push(Pattern::parse(pattern)?);
        Ok(self)
    }

    /// Adds a namespace (literal or glob) to the wanted ones; any namespace of a process counts.
    ///
    /// # Errors
    ///
    /// A glob that does not parse.
    pub fn namespace(mut self, pattern: &str) -> Result<Self, FilterError> {
        self.namespaces.push(Pattern::parse(pattern)?);
        Ok(self)
    }

    /// Adds a source (literal or glob) to the wanted ones.
    ///
    /// # Errors
    ///
    /// A glob that does not parse.
    pub fn source(mut self, pattern: &str) -> Result<Self, FilterError> {
        self.sources.push(Pattern::parse(pattern)?);
        Ok(self)
    }

    /// Adds an event type to the wanted ones.
    ///
    /// # Errors
    ///
    /// A word that is no type of this schema: a filter for it would stay silent for ever.
    pub fn kind(mut self, word: &str) -> Result<Self, FilterError> {
        match Kind::parse(word) {
            Kind::Other(word) => Err(FilterError::Kind(word.into())),
            kind => {
                self.kinds.insert(kind);
                Ok(self)
            }
        }
    }

    /// Wants this severity or a higher one.
    ///
    /// # Errors
    ///
    /// A word that is no severity.
    pub fn at_least(mut self, word: &str) -> Result<Self, FilterError> {
        let found = Severity::ALL
            .into_iter()
            .find(|severity| severity.as_str() == word);
        self.severity = Some(found.ok_or_else(|| FilterError::Severity(word.to_owned()))?);
        Ok(self)
    }

    /// Adds a regular expression to those of which one must fit the words of an event.
    ///
    /// # Errors
    ///
    /// One that does not parse.
    pub fn grep(mut self, text: &str) -> Result<Self, FilterError> {
        self.greps.push(Grep::parse(text)?);
        Ok(self)
    }

    /// Adds one `key=value`, as `-f` takes it; the value may list alternatives with commas.
    ///
    /// # Errors
    ///
    /// A text without `=`, an unknown key, or a value the key does not take.
    pub fn key_value(mut self, text: &str) -> Result<Self, FilterError> {
        let (key, values) = text
            .split_once('=')
            .ok_or_else(|| FilterError::NoEquals(text.to_owned()))?;
        for value in values.split(',') {
            self = match key.trim() {
                "process" | "name" => self.process(value)?,
                "namespace" => self.namespace(value)?,
                "source" => self.source(value)?,
                "type" | "event" => self.kind(value)?,
                "severity" => self.at_least(value)?,
                "reason" => {
                    self.reasons.push(Pattern::parse(value)?);
                    self
                }
                "certainty" => {
                    self.certainties.push(Pattern::parse(value)?);
                    self
                }
                "origin" => {
                    self.origins.push(Pattern::parse(value)?);
                    self
                }
                other => return Err(FilterError::Key(other.to_owned())),
            };
        }
        Ok(self)
    }

    /// Whether an event is wanted. An event about a source has no process: a filter by name or namespace leaves it out
    /// unless its own type was asked for.
    pub fn matches(&self, event: &Envelope) -> bool {
        let glance = event.glance();
        let found = || self.greps.iter().any(|grep| grep.fits(event));
        self.suits(&glance)
            && (!self.searches() || (self.blindness && self.is_blindness_of(&glance)) || found())
    }

    /// The same by a glance: what it refuses is not wanted, and what it lets pass is, unless the filter [searches](Self::searches).
    pub fn suits(&self, event: &Glance<'_>) -> bool {
        if self.blindness && self.is_blindness_of(event) {
            return true;
        }
        let any = |patterns: &[Pattern], value: &str| {
            patterns.is_empty() || patterns.iter().any(|p| p.matches(value))
        };
        let placed = if event.process.is_some() {
            let mut names = event.process.into_iter().chain(event.group);
            names.any(|name| any(&self.names, name))
                && (self.namespaces.is_empty()
                    || event
                        .every_namespace()
                        .any(|name| any(&self.namespaces, name)))
        } else {
            let asked = self.kinds.contains(&*event.kind) && !Kind::PROCESS.contains(&*event.kind);
            asked || (self.names.is_empty() && self.namespaces.is_empty())
        };
        placed
            && (self.kinds.is_empty() || self.kinds.contains(&*event.kind))
            && self.severity.is_none_or(|least| event.severity >= least)
            && any(&self.sources, event.source)
            && any(&self.reasons, event.reason)
            && any(&self.certainties, event.certainty)
            && any(&self.origins, event.origin.as_str())
    }

    /// Whether it searches in words that no glance has.
    pub fn searches(&self) -> bool {
        !self.greps.is_empty()
    }

    /// Whether events of a source may be wanted at all.
    pub fn wants_source(&self, source: &str) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|pattern| pattern.matches(source))
    }

    /// Whether something that is wanted may be left out by a sieve.
    pub fn may_miss(&self, sieve: &Sieve) -> bool {
        let Some((include, exclude)) = sieve.rules() else {
            return true;
        };
        let wanted = |kind: &&Kind| self.kinds.is_empty() || self.kinds.contains(*kind);
        // The least severity that is news and wanted.
        let least = |kind: &Kind| {
            let own = match kind {
                Kind::Crashed => Severity::Error,
                _ => Severity::Info,
            };
            self.severity.map_or(own, |least| least.max(own))
        };
        let named = |kinds: &BTreeSet<Kind>, kind: &Kind| kinds.is_empty() || kinds.contains(kind);
        let misses = |kind: &Kind| {
            let not_included = include.is_some_and(|rule| {
                let all = rule.names.is_empty() && rule.namespaces.is_empty();
                let told = rule
                    .severity
                    .is_none_or(|least_told| least(kind) >= least_told);
                !(all && told && named(&rule.kinds, kind))
            });
            let excluded = exclude.is_some_and(|rule| {
                let left_out = rule.severity.is_none_or(|most| least(kind) <= most);
                left_out && named(&rule.kinds, kind) && self.may_mean(&rule.names)
            });
            not_included || excluded
        };
        Kind::PROCESS.iter().filter(wanted).any(misses)
    }

    /// Whether a process may be wanted that has one of these names; none means any.
    fn may_mean(&self, names: &[Pattern]) -> bool {
        let all = self.names.is_empty() || names.is_empty();
        let both = |own: &Pattern| {
            let Some(wanted) = own.literal() else {
                return true;
            };
            // The name of a replica, or of its group, on either side.
            let group = without_number(wanted);
            names.iter().any(|name| {
                name.matches(wanted)
                    || group.is_some_and(|group| name.matches(group))
                    || name.means_replica_of(wanted)
            })
        };
        all || self.names.iter().any(both)
    }

    /// Whether an event tells that nobody saw a stretch of a wanted source; shown whatever else the filter says.
    pub fn is_blindness(&self, event: &Envelope) -> bool {
        self.is_blindness_of(&event.glance())
    }

    /// The same by a glance.
    pub fn is_blindness_of(&self, event: &Glance<'_>) -> bool {
        matches!(
            *event.kind,
            Kind::Gap | Kind::Disconnected | Kind::Connected
        ) && (self.sources.is_empty() || self.sources.iter().any(|p| p.matches(event.source)))
    }

    /// Whether this filter lets everything pass.
    pub fn is_open(&self) -> bool {
        let lists = [
            &self.names,
            &self.namespaces,
            &self.sources,
            &self.reasons,
            &self.certainties,
            &self.origins,
        ];
        lists.into_iter().all(Vec::is_empty) && self.kinds.is_empty() && self.severity.is_none()
    }

    /// True where the server hands over every event of the wanted sources, whatever is chosen among them afterwards, so
    /// that `seq` can prove completeness.
    pub fn is_handed_everything(&self) -> bool {
        let told = Kind::PROCESS.iter();
        told.filter(|kind| self.kinds.contains(kind)).count() != 1
    }

    /// The two subject filters that cover this one: process events, then source events.
    ///
    /// Exactly one of each: two overlapping type filters are hundreds of times slower at the server than a covering
    /// one with the rest done here. A literal name is not narrowed to its token, because it may be the name of a group.
    pub fn subjects(&self, prefix: &Prefix) -> [String; 2] {
        let single =
            |mut words: Box<dyn Iterator<Item = String> + '_>| match (words.next(), words.next()) {
                (Some(word), None) => word,
                _ => "*".to_owned(),
            };
        let kinds = Kind::PROCESS
            .iter()
            .filter(|kind| self.kinds.contains(kind));
        let kind = single(Box::new(kinds.map(|kind| encode_token(kind.as_str()))));
        let process = if kind == "*" {
            prefix.all_process_events()
        } else {
            format!("{prefix}.process.*.*.{kind}")
        };
        let source = match self.sources.as_slice() {
            [one] => one.literal().map(encode_filter_token),
            _ => None,
        };
        let source = source.map_or_else(
            || prefix.all_source_events(),
            |name| format!("{prefix}.source.{name}.*"),
        );
        [process, source]
    }
}

/// The same words for the same filter, in whatever order it was put together: `process=api,web type=crashed`.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = |patterns: &[Pattern]| -> BTreeSet<String> {
            patterns.iter().map(|p| p.text.clone()).collect()
        };
        let kinds = self.kinds.iter().map(|kind| kind.as_str().to_owned());
        let severity = self.severity.iter().map(|least| least.as_str().to_owned());
        let greps = self.greps.iter().map(|grep| grep.text().to_owned());
        let keys: [(&str, BTreeSet<String>); 9] = [
            ("process", texts(&self.names)),
            ("namespace", texts(&self.namespaces)),
            ("source", texts(&self.sources)),
            ("type", kinds.collect()),
            ("severity", severity.collect()),
            ("reason", texts(&self.reasons)),
            ("certainty", texts(&self.certainties)),
            ("origin", texts(&self.origins)),
            ("grep", greps.collect()),
        ];
        let said: Vec<String> = keys
            .into_iter()
            .filter(|(_, values)| !values.is_empty())
            .map(|(key, values)| {
                let values: Vec<String> = values.into_iter().collect();
                format!("{key}={}", values.join(","))
            })
            .collect();
        match said.as_slice() {
            [] => f.write_str("everything"),
            said => f.write_str(&said.join(" ")),
        }
    }
}

#[cfg(test)]
mod tests;
