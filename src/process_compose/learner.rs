//! Learns configurations politely: one question at a time, at most twenty a second, once per name and epoch.
//!
//! A verdict never waits for an answer: what is not known yet makes it ambiguous.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::process::phase::{Health, Phase};
use crate::process::reading::{Configuration, Reading};

use super::client::Client;
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
        let before = state.urgent.len() + state.patient.len();
        for reading in readings {
            let name = &*reading.name;
            if knows(name) || state.known.contains_key(name) || state.silent.contains(name) {
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
        let pause = match client.process_info(&name).await {
            Ok(info) => {
                lessons.learnt(&epoch, name, info.as_ref().map(translate::configuration));
                PAUSE
            }
            // The next look that shows the name wants it again.
            Err(error) => {
                tracing::debug!(%error, "a configuration could not be asked for");
                AFTER_FAILURE
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
