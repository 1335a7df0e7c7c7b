//! What is asked for, and what comes of it.

use chrono::{DateTime, Utc};

use crate::event::filter::Pattern;

use super::figures::Figures;
use super::life::Who;

/// What the figures are about: one line for each of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// Each process.
    #[default]
    Process,
    /// Each namespace of each source; a process in several counts in its first one.
    Namespace,
    /// Each source.
    Source,
}

impl By {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Namespace => "namespace",
            Self::Source => "source",
        }
    }
}

/// Which time is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Its beginning.
    pub from: DateTime<Utc>,
    /// Its end.
    pub to: DateTime<Utc>,
}

/// Which processes are wanted: any where nothing is said.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// By their name or their group's.
    pub names: Vec<Pattern>,
    /// By any of their namespaces.
    pub namespaces: Vec<Pattern>,
}

impl Selection {
    pub(super) fn wants(&self, name: &str, who: &Who) -> bool {
        let any = |patterns: &[Pattern], holds: &dyn Fn(&Pattern) -> bool| {
            patterns.is_empty() || patterns.iter().any(holds)
        };
        let named = |pattern: &Pattern| {
            let group = who.group.as_deref();
            pattern.matches(name) || group.is_some_and(|group| pattern.matches(group))
        };
        let spaced = |pattern: &Pattern| who.namespaces.iter().any(|own| pattern.matches(own));
        any(&self.names, &named) && any(&self.namespaces, &spaced)
    }
}

/// What is to be reported.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// Which processes.
    pub selection: Selection,
    /// What a line is about.
    pub by: By,
    /// Into how many pieces of equal length the range is cut.
    pub buckets: usize,
    /// Since when the stream holds everything; nothing where it holds everything there ever was.
    pub kept: Option<DateTime<Utc>>,
}

/// The figures of one process, namespace or source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What is watched.
    pub source: String,
    /// The first namespace; nothing where the line is about a whole source.
    pub namespace: Option<String>,
    /// The process; nothing where the line is about several.
    pub process: Option<String>,
    /// The figures.
    pub figures: Figures,
}

/// A stretch that nobody knows anything about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unwatched {
    /// Its beginning.
    pub from: DateTime<Utc>,
    /// Its end.
    pub to: DateTime<Utc>,
}

/// A source and the watching of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// What is watched.
    pub source: String,
    /// What of the range nobody knows anything about, in order.
    pub unwatched: Vec<Unwatched>,
    /// How long all of that is, in milliseconds.
    pub unknown: u64,
}

/// The whole of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The time that was looked at.
    pub range: Range,
    /// What a line is about.
    pub by: By,
    /// The lines, by source, namespace or process in the order of their names.
    pub lines: Vec<Line>,
    /// All of them added up.
    pub total: Figures,
    /// The sources, in the order of their names.
    pub sources: Vec<Sight>,
}
