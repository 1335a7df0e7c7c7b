//! Control: what may be asked of a process, what is left behind first, and what proves that it was done. Pure.
//!
//! An [`Intent`] names runs, each by process and pid: it accounts for the end of those runs and of no later one. So a
//! process that crashes right after it was restarted on request has crashed.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::condition::Condition;

/// So many intents are kept at most; the oldest goes first.
const KEPT: usize = 256;
/// An intent accounts for no end later than this after it was left, whatever its sender asked for.
const LONGEST: TimeDelta = TimeDelta::hours(1);

/// What is asked of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Begin a run.
    Start,
    /// End the run.
    Stop,
    /// End the run and begin another.
    Restart,
    /// Give a group another number of replicas.
    Scale,
}

impl Action {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Scale => "scale",
        }
    }

    /// The word for having done it.
    pub fn done(self) -> &'static str {
        match self {
            Self::Start => "started",
            Self::Stop => "stopped",
            Self::Restart => "restarted",
            Self::Scale => "scaled",
        }
    }

    /// Whether it ends runs, so that an intent accounts for something.
    pub fn ends_runs(self) -> bool {
        !matches!(self, Self::Start)
    }

    /// What holds of a process when the action has come to its end.
    pub fn proof(self) -> Condition {
        match self {
            Self::Stop => Condition::Stopped,
            Self::Start | Self::Restart | Self::Scale => Condition::Ready,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One run of a process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Run {
    /// The process.
    pub name: String,
    /// The process id of this run.
    pub pid: i64,
}

/// What one of our own commands is about to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// A random name, by which it is taken back.
    pub id: String,
    /// What is to be done.
    pub action: Action,
    /// The runs it is to end.
    pub runs: Vec<Run>,
    /// How long it may take, in milliseconds.
    pub limit_ms: u64,
}

/// What is asked of the adapter of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// How it stands.
    State,
    /// To remember an intent, and to look at nothing until it is over where `hold` says so.
    Intent {
        /// The intent.
        intent: Intent,
        /// Whether no look may come meanwhile.
        #[serde(default)]
        hold: bool,
    },
    /// To look again: what was intended was tried, and refused for these processes.
    Over {
        /// The intent's name.
        id: String,
        /// The processes for which nothing was done.
        #[serde(default)]
        refused: Vec<String>,
    },
}

/// What the adapter answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its name.
    pub adapter: String,
    /// How long ago its last successful look was, in milliseconds; absent where there was none.
    pub looked_ms: Option<u64>,
    /// The time between two of its looks, in milliseconds.
    pub interval_ms: u64,
    /// Whether it looks at nothing for now.
    pub held: bool,
    /// Whether another adapter looks in its place.
    pub stands_by: bool,
}

impl Answer {
    /// Whether its last look is longer ago than three intervals, and that not because one of our own commands holds it.
    pub fn is_old(&self) -> bool {
        !self.held
            && self
                .looked_ms
                .is_none_or(|ago| ago > self.interval_ms.saturating_mul(3))
    }
}

#[derive(Debug)]
struct Left {
    id: String,
    runs: BTreeMap<String, i64>,
    until: DateTime<Utc>,
}

/// The intents that were left.
#[derive(Debug, Default)]
pub struct Intents(VecDeque<Left>);

impl Intents {
    /// Takes an intent that was left now. One of the same name replaces it.
    pub fn leave(&mut self, intent: &Intent, now: DateTime<Utc>) {
        self.0.retain(|left| left.id != intent.id);
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        let limit = i64::try_from(intent.limit_ms).map_or(LONGEST, TimeDelta::milliseconds);
        self.0.push_back(Left {
            id: intent.id.clone(),
            runs: intent
                .runs
                .iter()
                .map(|run| (run.name.clone(), run.pid))
                .collect(),
            until: now + limit.min(LONGEST),
        });
    }

    /// Takes an intent back for the processes for which nothing was done.
    pub fn refuse(&mut self, id: &str, refused: &[String]) {
        for left in self.0.iter_mut().filter(|left| left.id == id) {
            left.runs.retain(|name, _| !refused.contains(name));
        }
    }

    /// Whether the end of this run, which came after `since`, was asked for.
    pub fn account_for(&self, name: &str, pid: Option<i64>, since: Option<DateTime<Utc>>) -> bool {
        self.0.iter().any(|left| {
            left.runs.get(name).copied() == pid
                && pid.is_some()
                && since.is_none_or(|since| since <= left.until)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn intent(id: &str, runs: &[(&str, i64)], limit_ms: u64) -> Intent {
        let run = |(name, pid): &(&str, i64)| Run {
            name: (*name).to_owned(),
            pid: *pid,
        };
        Intent {
            id: id.to_owned(),
            action: Action::Stop,
            runs: runs.iter().map(run).collect(),
            limit_ms,
        }
    }

    #[test]
    fn an_intent_accounts_for_the_runs_it_names_and_for_no_other() {
        let mut intents = Intents::default();
        intents.leave(&intent("a", &[("api", 7), ("web", 8)], 60_000), at(100));
        assert!(intents.account_for("api", Some(7), Some(at(99))));
        assert!(
            !intents.account_for("api", Some(9), Some(at(99))),
            "a later run"
        );
        assert!(!intents.account_for("db", Some(7), Some(at(99))));
        assert!(!intents.account_for("db", None, None), "what never ran");
        intents.refuse("a", &["web".to_owned()]);
        assert!(!intents.account_for("web", Some(8), Some(at(99))));
        assert!(intents.account_for("api", Some(7), Some(at(99))));
    }

    #[test]
    fn an_intent_is_over_by_itself() {
        let mut intents = Intents::default();
        intents.leave(&intent("a", &[("api", 7)], 10_000), at(100));
        assert!(intents.account_for("api", Some(7), Some(at(110))));
        assert!(!intents.account_for("api", Some(7), Some(at(111))));
        intents.leave(&intent("b", &[("api", 7)], u64::MAX), at(0));
        assert!(!intents.account_for("api", Some(7), Some(at(3601))));
    }

    #[test]
    fn only_so_many_are_kept() {
        let mut intents = Intents::default();
        for number in 0..1000 {
            intents.leave(
                &intent(&number.to_string(), &[("api", number)], 1000),
                at(0),
            );
        }
        assert_eq!(intents.0.len(), KEPT);
        assert!(!intents.account_for("api", Some(1), None));
        assert!(intents.account_for("api", Some(999), None));
    }

    #[test]
    fn what_is_asked_and_answered_travels_as_json() {
        let ask = Ask::Intent {
            intent: intent("a", &[("api", 7)], 5),
            hold: true,
        };
        let text = serde_json::to_string(&ask).unwrap();
        assert_eq!(
            text,
            r#"{"ask":"intent","intent":{"id":"a","action":"stop","runs":[{"name":"api","pid":7}],"limit_ms":5},"hold":true}"#
        );
        assert_eq!(serde_json::from_str::<Ask>(&text).unwrap(), ask);
        assert_eq!(
            serde_json::from_str::<Ask>(r#"{"ask":"over","id":"a","later":1}"#).unwrap(),
            Ask::Over {
                id: "a".to_owned(),
                refused: Vec::new()
            }
        );
        assert!(serde_json::from_str::<Ask>(r#"{"ask":"dance"}"#).is_err());
    }

    #[test]
    fn data_is_old_after_three_intervals() {
        let answer = |looked_ms| Answer {
            adapter: String::new(),
            looked_ms,
            interval_ms: 2000,
            held: false,
            stands_by: false,
        };
        assert!(!answer(Some(6000)).is_old());
        assert!(answer(Some(6001)).is_old());
        assert!(answer(None).is_old());
        let held = Answer {
            held: true,
            ..answer(Some(9000))
        };
        assert!(!held.is_old());
    }
}
