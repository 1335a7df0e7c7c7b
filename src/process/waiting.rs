//! Waiting for a condition of many processes: tables and events go in, a decision comes out. Pure: the time is an argument,
//! counted from when the waiting began.

mod deaf;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::event::envelope::Envelope;
use crate::event::filter::Pattern;
use crate::event::payload::{Kind, State};
use crate::event::sieve::Sieve;

use super::condition::{Condition, Ill, News, Verdict, is_ill, is_waited_for};
use super::reading::Vitals;
use super::table::{Row, Table};

use deaf::{FirstRun, deaf};

/// How many of the processes must meet the condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quantity {
    /// Every one.
    #[default]
    All,
    /// One is enough.
    Any,
}

/// What is waited for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The condition.
    pub condition: Condition,
    /// Names or groups; none means every process that is neither disabled nor of the foreground.
    pub names: Vec<Pattern>,
    /// Namespaces; none means all.
    pub namespaces: Vec<Pattern>,
    /// How many must meet it.
    pub quantity: Quantity,
    /// How long it must hold without interruption.
    pub stable: Duration,
    /// How long a name may match nothing.
    pub grace: Duration,
    /// What ends the waiting early.
    pub fail_on: BTreeSet<Ill>,
}

/// A source at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// Its name.
    pub source: &'a str,
    /// What is seen of it.
    pub seen: Seen<'a>,
    /// What is not told of it.
    pub sieve: Option<&'a Sieve>,
}

/// What is seen of a source.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// How it stands.
    Table {
        /// The table.
        table: &'a Table,
        /// When it was like that.
        at: Duration,
        /// How much later the news of a change may come.
        lag: Duration,
    },
    /// Nothing that may be judged by, for this reason.
    Blind(&'a str),
}

/// What the waiting comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The condition holds.
    Met,
    /// Not yet.
    Wait,
    /// It failed, or cannot come true any more.
    Failed,
}

/// One process, or a name that matches none, and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The source; empty for a name that matches nothing.
    pub source: String,
    /// The process, or what was asked for.
    pub name: String,
    /// What is known of the condition.
    pub verdict: Verdict,
    /// What happened of which the waiting was to end.
    pub ill: Option<Ill>,
    /// Whether what the waiting was to end on may happen to it and never be told.
    pub is_deaf: bool,
    /// How it stands, as far as it was ever seen.
    pub state: Option<State>,
}

impl Entry {
    /// Whether nothing is left to wait for.
    pub fn is_met(&self) -> bool {
        self.verdict == Verdict::Met && self.ill.is_none() && !self.is_deaf
    }
}

/// What is known of all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// What it comes to.
    pub decision: Decision,
    /// Each process, in the order of sources and names.
    pub entries: Vec<Entry>,
}

#[derive(Debug, Default)]
struct Followed {
    news: News,
    met_since: Option<Duration>,
    state: Option<State>,
    wanted: bool,
    /// The number of its last event, told or not.
    number: Option<u64>,
    /// The run that went on when it was first seen.
    first: Option<FirstRun>,
}

/// The waiting itself.
#[derive(Debug)]
pub struct Waiting {
    wish: Wish,
    followed: BTreeMap<(String, String), Followed>,
}

impl Waiting {
    /// Begins.
    pub fn new(wish: Wish) -> Self {
        Self {
            wish,
            followed: BTreeMap::new(),
        }
    }

    /// What is waited for.
    pub fn wish(&self) -> &Wish {
        &self.wish
    }

    /// Takes an event that no table handed in so far contains.
    pub fn see(&mut self, event: &Envelope) {
        let Some(process) = &event.process else {
            return;
        };
        let key = (event.source.clone(), process.clone());
        let followed = self.followed.entry(key).or_default();
        followed.news.see(event);
        followed.state.clone_from(&event.state);
        followed.number = event.process_seq.or(followed.number);
        if event.kind != Kind::StatusChanged {
            // What begins, ends or changes its health between two tables is an interruption that none of them shows.
            followed.met_since = None;
        }
    }

    /// Decides, `now` after the waiting began.
    pub fn look(&mut self, sights: &[Sight<'_>], now: Duration) -> Outlook {
        let mut entries = Vec::new();
        let mut matched = BTreeSet::new();
        let mut held = true;
        let mut one_held = false;
        for sight in sights {
            let found = match sight.seen {
                Seen::Table { table, at, lag } => {
                    let rows = self.wanted(table, &mut matched);
                    let when = When { at, lag };
                    self.judge_table((sight.source, sight.sieve), &rows, table, when)
                }
                Seen::Blind(why) => self.judge_blind(sight.source, why),
            };
            for (entry, holds) in found {
                held &= holds;
                one_held |= holds;
                entries.push(entry);
            }
        }
        let missing = self.missing(sights, &matched, entries.is_empty(), now);
        for entry in missing {
            let holds = entry.verdict == Verdict::Met;
            held &= holds;
            one_held |= holds;
            entries.push(entry);
        }
        let decision = self.decide(&entries, (held, one_held));
        Outlook { decision, entries }
    }

    fn decide(&self, entries: &[Entry], (held, one_held): (bool, bool)) -> Decision {
        let never = |entry: &Entry| matches!(entry.verdict, Verdict::Impossible(_));
        if entries
            .iter()
            .any(|entry| entry.ill.is_some() || entry.is_deaf)
        {
            return Decision::Failed;
        }
        match self.wish.quantity {
            _ if entries.is_empty() => Decision::Wait,
            Quantity::All if entries.iter().any(never) => Decision::Failed,
            Quantity::Any if entries.iter().all(never) => Decision::Failed,
            Quantity::All if held => Decision::Met,
            Quantity::Any if one_held => Decision::Met,
            _ => Decision::Wait,
        }
    }

    /// The rows that are waited for; notes which names match something.
    fn wanted<'t>(
        &self,
        table: &'t Table,
        matched: &mut BTreeSet<usize>,
    ) -> Vec<(&'t Row, &'t Vitals)> {
        let in_namespace = |row: &Row| {
            self.wish.namespaces.is_empty()
                || row
                    .namespaces
                    .iter()
                    .any(|name| self.wish.namespaces.iter().any(|p| p.matches(name)))
        };
        let mut rows = Vec::new();
        for (row, vitals) in table
            .rows_with_vitals()
            .filter(|(row, _)| in_namespace(row))
        {
            let mut wanted = self.wish.names.is_empty() && is_waited_for(row);
            for (at, pattern) in self.wish.names.iter().enumerate() {
                if is_meant(pattern, row, table) {
                    matched.insert(at);
                    wanted = true;
                }
            }
            if wanted {
                rows.push((row, vitals));
            }
        }
        rows
    }

    fn judge_table(
        &mut self,
        (source, sieve): (&str, Option<&Sieve>),
        rows: &[(&Row, &Vitals)],
        table: &Table,
        when: When,
    ) -> Vec<(Entry, bool)> {
        // What is not there any more is not waited for; its news stay, in case it comes back.
        for ((of, name), followed) in &mut self.followed {
            if of == source && !rows.iter().any(|(row, _)| *row.name == **name) {
                followed.wanted = false;
                followed.met_since = None;
            }
        }
        let mut found: Vec<_> = rows
            .iter()
            .map(|(row, vitals)| self.judge_row((source, sieve), (row, vitals), when))
            .collect();
        if !table.is_clear() && self.wish.condition != Condition::Gone {
            let verdict =
                Verdict::Pending("the last look showed it in the middle of a change".into());
            found.push((Entry::of_source(source, verdict), false));
        }
        found
    }

    fn judge_row(
        &mut self,
        (source, sieve): (&str, Option<&Sieve>),
        (row, vitals): (&Row, &Vitals),
        when: When,
    ) -> (Entry, bool) {
        let key = (source.to_owned(), row.name.to_string());
        let followed = self.followed.entry(key).or_default();
        followed.wanted = true;
        followed.reach(row);
        let mut verdict = self.wish.condition.judge(row, &followed.news);
        let is_other_run = followed.is_in_other_run(row);
        let unheard = |sieve| self.wish.condition.deaf(row, sieve, is_other_run);
        if matches!(verdict, Verdict::Pending(_))
            && let Some(why) = sieve.and_then(unheard)
        {
            verdict = Verdict::Impossible(why);
        }
        if verdict != Verdict::Met {
            followed.met_since = None;
        }
        let holds = verdict == Verdict::Met
            && when.has_held(self.wish.stable, *followed.met_since.get_or_insert(when.at));
        let fail_on = &self.wish.fail_on;
        let ill = fail_on
            .iter()
            .copied()
            .find(|&ill| followed.news.has(ill) || is_ill(row, ill));
        let deaf = ill.map_or_else(|| deaf(fail_on, row, sieve?), |_| None);
        let is_deaf = deaf.is_some();
        if let Some(why) = deaf {
            verdict = Verdict::Impossible(why);
        }
        let state = row.state(vitals);
        followed.state = Some(state.clone());
        let entry = Entry {
            source: source.to_owned(),
            name: row.name.to_string(),
            verdict,
            ill,
            is_deaf,
            state: Some(state),
        };
        (entry, holds)
    }

    /// Without sight only what was told counts.
    fn judge_blind(&mut self, source: &str, why: &str) -> Vec<(Entry, bool)> {
        let mut found = Vec::new();
        for ((of, name), followed) in &mut self.followed {
            if of != source || !followed.wanted {
                continue;
            }
            followed.met_since = None;
            let told = self.wish.condition.is_told(&followed.news);
            let verdict = if told {
                Verdict::Met
            } else {
                Verdict::Pending(why.to_owned())
            };
            let mut ills = self.wish.fail_on.iter().copied();
            let entry = Entry {
                source: source.to_owned(),
                name: name.clone(),
                verdict,
                ill: ills.find(|&ill| followed.news.has(ill)),
                is_deaf: false,
                state: followed.state.clone(),
            };
            found.push((entry, told && self.wish.stable.is_zero()));
        }
        if found.is_empty() {
            let verdict = Verdict::Pending(why.to_owned());
            found.push((Entry::of_source(source, verdict), false));
        }
        found
    }

    /// The names that match nothing, and the absence of anything to wait for.
    fn missing(
        &self,
        sights: &[Sight<'_>],
        matched: &BTreeSet<usize>,
        is_empty: bool,
        now: Duration,
    ) -> Vec<Entry> {
        let all_seen = !sights.is_empty()
            && sights
                .iter()
                .all(|sight| matches!(sight.seen, Seen::Table { .. }));
        if !all_seen {
            return Vec::new();
        }
        let verdict = |what: &str| match self.wish.condition {
            Condition::Gone => Verdict::Met,
            _ if now < self.wish.grace => Verdict::Pending(what.to_owned()),
            _ => Verdict::Impossible(what.to_owned()),
        };
        if self.wish.names.is_empty() && is_empty {
            return vec![Entry::of_source(
                "",
                verdict("there is no process to wait for"),
            )];
        }
        let names = self.wish.names.iter().enumerate();
        names
            .filter(|(at, _)| !matched.contains(at))
            .map(|(_, pattern)| Entry {
                name: pattern.text().to_owned(),
                ..Entry::of_source("", verdict("no process or group has this name"))
            })
            .collect()
    }
}

impl Entry {
    fn of_source(source: &str, verdict: Verdict) -> Self {
        Self {
            source: source.to_owned(),
            name: String::new(),
            verdict,
            ill: None,
            is_deaf: false,
            state: None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct When {
    at: Duration,
    lag: Duration,
}

impl When {
    fn has_held(self, stable: Duration, since: Duration) -> bool {
        stable.is_zero() || self.at.saturating_sub(since) >= stable + self.lag
    }
}

/// Whether a name means a process: its own, or its group's. While the group is not known yet, `api-0` counts as one of
/// `api`, unless there is a process of that very name.
fn is_meant(pattern: &Pattern, row: &Row, table: &Table) -> bool {
    if pattern.matches(&row.name) {
        return true;
    }
    let configuration = row.configuration.as_deref();
    match configuration.and_then(|configuration| configuration.group.as_deref()) {
        Some(group) => pattern.matches(group),
        None => pattern.literal().is_some_and(|literal| {
            is_replica_of(&row.name, literal) && table.row(literal).is_none()
        }),
    }
}

fn is_replica_of(name: &str, group: &str) -> bool {
    name.strip_prefix(group)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
