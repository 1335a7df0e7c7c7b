//! How the processes of a head are, counted: of each row only what that takes is read, because a view says it before its first line.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Flags, Millis, Sign};
use crate::event::tell::RowError;
use crate::process::phase::{Health, Phase};
use crate::process::table::{Table, is_broken};

/// How many processes there are, and how many of them are how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// All of them.
    pub processes: u64,
    /// Those that are up.
    pub up: u64,
    /// Those that are up and not ready.
    pub unhealthy: u64,
    /// Those that stand still after a bad end that nobody asked for.
    pub crashed: u64,
}

impl Census {
    /// Counts the rows of a table.
    pub fn of(table: &Table) -> Self {
        let mut census = Self::default();
        for row in table.rows() {
            census.count(row.phase, row.health, row.is_broken());
        }
        census
    }

    /// Counts the rows of a head, each name once. What is not asked is not judged.
    ///
    /// # Errors
    ///
    /// A row lacks what every row has; trying again does not help.
    pub fn read<'a>(rows: impl Iterator<Item = &'a [u8]>) -> Result<Self, RowError> {
        let (mut census, mut names) = (Self::default(), HashSet::new());
        for row in rows {
            let row: Brief<'_> = serde_json::from_slice(row).map_err(RowError)?;
            if !names.insert(row.n) {
                continue;
            }
            let phase = Phase::from_code(row.p);
            let code = row.pid.filter(|_| !row.f.has(Flags::UNMET)).map(|_| row.x);
            let asked = row.m.e.is_some_and(|(_, asked)| asked);
            census.count(phase, row.h.into(), is_broken(phase, code, asked));
        }
        Ok(census)
    }

    fn count(&mut self, phase: Phase, health: Health, is_broken: bool) {
        let is_up = phase == Phase::Up;
        self.processes += 1;
        self.up += u64::from(is_up);
        self.unhealthy += u64::from(is_up && health == Health::NotReady);
        self.crashed += u64::from(is_broken);
    }
}

/// A row of which little is asked; its keys are those of a `Line`.
#[derive(Deserialize)]
struct Brief<'a> {
    #[serde(borrow)]
    n: Cow<'a, str>,
    #[serde(rename = "ns")]
    _ns: IgnoredAny,
    #[serde(rename = "s")]
    _s: IgnoredAny,
    p: char,
    #[serde(rename = "e")]
    _e: IgnoredAny,
    #[serde(default)]
    x: i64,
    #[serde(default)]
    pid: Option<i64>,
    #[serde(default)]
    h: Sign,
    #[serde(default)]
    f: Flags,
    m: Ends,
}

#[derive(Deserialize)]
struct Ends {
    #[serde(rename = "q")]
    _q: IgnoredAny,
    #[serde(default)]
    e: Option<(Millis, bool)>,
}
