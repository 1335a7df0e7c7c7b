//! Learns configurations politely: one question at a time, at most twenty a second, once per name and epoch.
//!
//! A verdict never waits for an answer: what is not known yet makes it ambiguous.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::process::phase::{Health, Phase};
use crate::process::reading::{Configuration, Reading};

use super::client::Client;
use super::error::Kind;
use super::translate;

/// Time between two questions.
const PAUSE: Duration = Duration::from_millis(50);
/// Time before a name is asked for again whose question failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// What is known and what is wanted, shared between the looks and the one who asks.
#[derive(Debug, Default)]
pub(super) struct Lessons {
    state: Mutex<State>,
    wanted: Notify,
}

#[derive(Debug, Default)]
struct State {
    epoch: String,
    known: HashMap<String, Arc<Configuration>>,
    urgent: BTreeSet<String>,
    patient: BTreeSet<String>,
    /// Asked in this epoch without an answer: the server does not say.
    silent: BTreeSet<String>,
    /// Names whose question failed, and when they may be asked for again: none of them holds up the others.
    failed: HashMap<String, Instant>,
}

impl Lessons {
    /// What is known of a name.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Configuration>> {
        self.lock().known.get(name).cloned()
    }

    /// Notes which names a look has shown, and forgets everything of a former epoch.
    pub(super) fn seen(&self, epoch: &str, readings: &[Reading<'_>], knows: impl Fn(&str) -> bool) {
        let mut state = self.lock();
        if state.epoch != epoch {
            *state = State {
                epoch: epoch.to_owned(),
                ..State::default()
            };
        }
        let now = Instant::now();
        let before = state.urgent.len() + state.patient.len();
        for reading in readings {
            let name = &*reading.name;
            let is_settled = || state.known.contains_key(name) || state.silent.contains(name);
            if knows(name) || is_settled() || state.failed.get(name).is_some_and(|at| *at > now) {
                continue;
            }
            // A verdict on these may be due any moment.
            let urgent = reading.health == Health::NotReady || reading.phase != Phase::Up;
            if urgent {
                state.patient.remove(name);
                state.urgent.insert(name.to_owned());
            } else if !state.urgent.contains(name) {
                state.patient.insert(name.to_owned());
            }
        }
        if state.urgent.len() + state.patient.len() > before {
            self.wanted.notify_one();
        }
    }

    fn next(&self) -> Option<(String, String)> {
        let mut state = self.lock();
        let name = state
            .urgent
            .pop_first()
            .or_else(|| state.patient.pop_first())?;
        Some((state.epoch.clone(), name))
    }

    fn learnt(&self, epoch: &str, name: String, configuration: Option<Configuration>) {
        let mut state = self.lock();
        if state.epoch != epoch {
            return;
        }
        match configuration {
            Some(configuration) => {
                state.known.insert(name, Arc::new(configuration));
            }
            None => {
                state.silent.insert(name);
            }
        }
    }

    fn failed(&self, name: String) {
        self.lock()
            .failed
            .insert(name, Instant::now() + AFTER_FAILURE);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks for what is wanted until the token is cancelled.
///
/// # Cancel safety
///
/// Dropped, it forgets at most the one name it was asking for.
pub(super) async fn learn(client: Arc<Client>, lessons: Arc<Lessons>, token: CancellationToken) {
    loop {
        let Some((epoch, name)) = lessons.next() else {
            tokio::select! {
                () = token.cancelled() => return,
                () = lessons.wanted.notified() => continue,
            }
        };
        let Some(answer) = token.run_until_cancelled(client.process_info(&name)).await else {
            return;
        };
        let pause = match answer {
            Ok(info) => {
                lessons.learnt(&epoch, name, info.as_ref().map(translate::configuration));
                PAUSE
            }
            // A later look that shows the name wants it again.
            Err(error) => {
                tracing::debug!(%error, "a configuration could not be asked for");
                lessons.failed(name);
                let away = matches!(
                    error.kind(),
                    Kind::Refused | Kind::Unreachable | Kind::Timeout
                );
                if away { AFTER_FAILURE } else { PAUSE }
            }
        };
        if token
            .run_until_cancelled(tokio::time::sleep(pause))
            .await
            .is_none()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process_compose::wire::WireRow;

    fn readings<'a>(rows: &'a [WireRow<'static>]) -> Vec<Reading<'a>> {
        rows.iter().cloned().map(translate::reading).collect()
    }

    fn rows(names: &[(&str, &str)]) -> Vec<WireRow<'static>> {
        let row = |(name, status): &(&str, &str)| {
            let json = format!(r#"{{"name":"{name}","status":"{status}","pid":7}}"#);
            serde_json::from_str::<WireRow<'_>>(&json)
                .unwrap()
                .into_owned()
        };
        names.iter().map(row).collect()
    }

    #[test]
    fn those_whose_verdict_may_be_due_are_asked_for_first_and_each_once() {
        let lessons = Lessons::default();
        let rows = rows(&[("calm", "Running"), ("dead", "Completed")]);
        lessons.seen("e", &readings(&rows), |_| false);
        let asked =
            [lessons.next(), lessons.next(), lessons.next()].map(|next| next.map(|(_, name)| name));
        assert_eq!(
            asked,
            [Some("dead".to_owned()), Some("calm".to_owned()), None]
        );
        lessons.learnt("e", "dead".into(), Some(Configuration::default()));
        lessons.learnt("e", "calm".into(), None);
        lessons.seen("e", &readings(&rows), |_| false);
        assert_eq!(lessons.next(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_whose_question_fails_holds_up_nobody() {
        let lessons = Lessons::default();
        let rows = rows(&[("aaa", "Completed"), ("bbb", "Completed")]);
        lessons.seen("e", &readings(&rows), |_| false);
        assert_eq!(lessons.next().map(|(_, name)| name).as_deref(), Some("aaa"));
        lessons.failed("aaa".into());
        lessons.seen("e", &readings(&rows), |_| false);
        assert_eq!(lessons.next().map(|(_, name)| name).as_deref(), Some("bbb"));
        assert_eq!(lessons.next(), None);
        tokio::time::advance(AFTER_FAILURE).await;
        lessons.seen("e", &readings(&rows), |name| name == "bbb");
        assert_eq!(lessons.next().map(|(_, name)| name).as_deref(), Some("aaa"));
    }

    #[test]
    fn a_new_epoch_forgets_what_was_learnt() {
        let lessons = Lessons::default();
        let rows = rows(&[("api", "Running")]);
        lessons.seen("e", &readings(&rows), |_| false);
        lessons.learnt("e", "api".into(), Some(Configuration::default()));
        lessons.seen("f", &readings(&rows), |_| false);
        assert!(lessons.get("api").is_none());
        lessons.learnt("e", "api".into(), Some(Configuration::default()));
        assert!(
            lessons.get("api").is_none(),
            "an answer of the former epoch"
        );
    }
}
