//! How the processes of a source stood at a moment, and how well that is known.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::event::envelope::Envelope;
use crate::event::filter::Pattern;
use crate::event::payload::{Previous, State};

use super::reading::Vitals;
use super::table::{Row, Table};

/// The words for what is up in the tongues spoken so far: of what was before, an event has the word alone.
const UP: [&str; 3] = ["Running", "Launching", "Launched"];

/// How well a source was in sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sighted {
    /// It was looked at; when last, where that is known.
    Seen(Option<DateTime<Utc>>),
    /// Nobody had looked since this time.
    Unwatched(DateTime<Utc>),
    /// It could not be seen since this time.
    Lost(DateTime<Utc>),
    /// It was looked at for the first time only then.
    NotYet(DateTime<Utc>),
    /// What was told of that time is not kept any more.
    NotKept,
    /// What was told of it cannot be read.
    Unreadable,
}

impl Sighted {
    /// Since when nobody knows how it stands, where that is so.
    pub fn blind_since(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Unwatched(since) | Self::Lost(since) => Some(since),
            _ => None,
        }
    }
}

/// How well the state of a process is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It stood like this.
    Now,
    /// It was last seen like this; how it stood afterwards nobody knows.
    Was,
    /// Nothing is known but that there is such a process.
    Nothing,
}

/// What is known of one process at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The name of the replica.
    pub name: Arc<str>,
    /// The configured name, where it is known.
    pub group: Option<Arc<str>>,
    /// Every namespace, the first one first.
    pub namespaces: Vec<Arc<str>>,
    /// How well the state is known.
    pub known: Known,
    /// The state; absent where nothing is known.
    pub state: Option<State>,
    /// Whether its last end was a bad one that nobody asked for, and it did not begin again since.
    pub crashed: bool,
    /// The exit code of the run that ended last, where one did and the code is known.
    pub exit: Option<i64>,
    /// When the run began that goes on, where that is known.
    pub begun_at: Option<DateTime<Utc>>,
    /// The time that age, memory and load in the state are of; absent where they are not known.
    pub usage_at: Option<DateTime<Utc>>,
    /// Whether it is not known how it stood because events about it may have been left out on purpose.
    pub left_out: bool,
}

impl Found {
    /// What a row says; its numbers are of this look, where there was one.
    pub fn of_row(row: &Row, usage: Option<(&Vitals, DateTime<Utc>)>) -> Self {
        let none = Vitals::default();
        let state = row.state(usage.map_or(&none, |(vitals, _)| vitals));
        let usage_at = usage.map(|(_, at)| at);
        Self {
            crashed: row.is_broken(),
            ..Self::of_state(state, usage_at.unwrap_or_default())
        }
        .used_at(usage_at)
    }

    /// What an event says of its process, after the change.
    pub(super) fn of_event(state: State, event: &Envelope, was_broken: bool) -> Self {
        use crate::event::payload::Kind::{Crashed, StatusChanged};
        let crashed = match event.kind {
            Crashed => true,
            StatusChanged => was_broken,
            _ => false,
        };
        Self {
            crashed: crashed && !state.is_running,
            ..Self::of_state(state, event.timestamp)
        }
    }

    /// What an event says of its process as it stood before.
    pub(super) fn before(state: &State, event: &Envelope, previous: &Previous) -> Self {
        let ran = UP.contains(&&*previous.status)
            || (previous.status == state.status && state.is_running);
        let state = State {
            // The code a look shows is of the last end, which may lie between the two.
            exit_code: 0,
            name: previous.name.clone().unwrap_or_else(|| state.name.clone()),
            status: previous.status.clone(),
            is_ready: previous.is_ready.clone(),
            restarts: previous.restarts,
            pid: previous.pid,
            is_running: ran,
            age_ms: None,
            mem_bytes: None,
            cpu_percent: None,
            // The run that ends or gets ready is the one that went on before.
            started_at: state.started_at.filter(|_| ran && previous.restarts == 0),
            ready_at: None,
            ended_at: None,
            ..state.clone()
        };
        let found = Self::of_state(state, event.timestamp).used_at(None);
        Self {
            exit: None,
            ..found
        }
    }

    /// A process of which nothing is known but what it is called.
    pub(super) fn nothing(like: Self) -> Self {
        Self {
            known: Known::Nothing,
            state: None,
            crashed: false,
            exit: None,
            begun_at: None,
            usage_at: None,
            ..like
        }
    }

    fn of_state(state: State, at: DateTime<Utc>) -> Self {
        let namespaces: Vec<Arc<str>> = state.namespaces.iter().map(|n| (**n).into()).collect();
        Self {
            name: state.name.as_str().into(),
            group: state.group.as_deref().map(Into::into),
            namespaces: if namespaces.is_empty() {
                vec![state.namespace.as_str().into()]
            } else {
                namespaces
            },
            known: Known::Now,
            crashed: false,
            exit: state.last_exit(),
            begun_at: begun_at(&state, at),
            usage_at: Some(at),
            left_out: false,
            state: Some(state),
        }
    }

    fn used_at(self, usage_at: Option<DateTime<Utc>>) -> Self {
        Self { usage_at, ..self }
    }

    /// Takes age, memory and load from the last event of this process, where it is of the same run.
    pub fn used_as_of(&mut self, event: &Envelope) {
        if let Some(told) = &event.state {
            self.used_as_seen(told, event.timestamp);
        }
    }

    /// Takes age, memory and load from what was seen of this process then, where it is of the same run.
    pub fn used_as_seen(&mut self, told: &State, at: DateTime<Utc>) {
        let Some(state) = &mut self.state else {
            return;
        };
        if told.name != state.name || told.pid != state.pid || told.restarts != state.restarts {
            return;
        }
        state.age_ms = told.age_ms;
        state.mem_bytes = told.mem_bytes;
        state.cpu_percent = told.cpu_percent;
        self.begun_at = self.begun_at.or(begun_at(state, at));
        self.usage_at = Some(at);
    }

    /// The same, seen last and not since.
    #[must_use]
    pub fn no_longer_seen(self) -> Self {
        let known = match self.known {
            Known::Now => Known::Was,
            other => other,
        };
        Self {
            known,
            begun_at: None,
            ..self
        }
    }

    /// Whether it is up and its probe says that it is not ready.
    pub fn is_unhealthy(&self) -> bool {
        self.state
            .as_ref()
            .is_some_and(|s| s.is_running && s.has_ready_probe && s.is_ready == "Not Ready")
    }

    /// Whether it is known to be up.
    pub fn is_up(&self) -> bool {
        self.known == Known::Now && self.state.as_ref().is_some_and(|state| state.is_running)
    }

    /// The state, where it is known for that moment.
    pub fn now(&self) -> Option<&State> {
        self.state.as_ref().filter(|_| self.known == Known::Now)
    }
}

/// When the run of a state began that was seen at this time and goes on.
fn begun_at(state: &State, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if !state.is_running {
        return None;
    }
    let counted = || {
        let age = state.age_ms.filter(|age| *age > 0)?;
        at.checked_sub_signed(TimeDelta::try_milliseconds(age)?)
    };
    state.started_at.or_else(counted)
}

/// A source at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// What is watched.
    pub source: String,
    /// How well it was in sight.
    pub sighted: Sighted,
    /// Each process, in name order.
    pub processes: Vec<Found>,
}

impl Moment {
    /// A table; its numbers are of this look where it was our own, and those of a head are not known.
    pub fn of_table(
        source: &str,
        sighted: Sighted,
        table: &Table,
        own_look: Option<DateTime<Utc>>,
    ) -> Self {
        let rows = table.rows_with_vitals();
        let found = rows.map(|(row, vitals)| {
            let found = Found::of_row(row, own_look.map(|at| (vitals, at)));
            match sighted.blind_since() {
                Some(_) => found.no_longer_seen(),
                None => found,
            }
        });
        Self {
            source: source.to_owned(),
            sighted,
            processes: found.collect(),
        }
    }

    /// Keeps the processes that a choice means.
    #[must_use]
    pub fn chosen(mut self, choice: &Choice) -> Self {
        let all = std::mem::take(&mut self.processes);
        let (kept, _): (Vec<_>, Vec<_>) = all.into_iter().partition(|found| choice.means(found));
        self.processes = kept;
        self
    }
}

/// Which processes are wanted: names are alternatives, namespaces too, and both must hold.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Names of processes or groups; empty for all.
    pub names: Vec<Pattern>,
    /// Namespaces; empty for all.
    pub namespaces: Vec<Pattern>,
}

impl Choice {
    /// Whether a process is meant.
    pub fn means(&self, found: &Found) -> bool {
        let by_name = self.names.is_empty() || self.names.iter().any(|name| is_called(found, name));
        let any = |name: &Arc<str>| self.namespaces.iter().any(|p| p.matches(name));
        by_name && (self.namespaces.is_empty() || found.namespaces.iter().any(any))
    }

    /// The names that are literals and mean none of these.
    pub fn missing<'a>(&'a self, moments: &[Moment]) -> Vec<&'a str> {
        let all = || moments.iter().flat_map(|moment| &moment.processes);
        let literals = self.names.iter().filter(|name| name.literal().is_some());
        literals
            .filter(|name| !all().any(|found| is_called(found, name)))
            .map(Pattern::text)
            .collect()
    }
}

fn is_called(found: &Found, name: &Pattern) -> bool {
    let group = found.group.as_deref();
    name.matches(&found.name) || group.is_some_and(|group| name.matches(group))
}
