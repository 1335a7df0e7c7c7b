//! An outlet that remembers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::sleep;

use crate::observation::{Answer, Origin, Outlet, Report};

/// One report as the ledger remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::observation::tests) enum Entry<E> {
    Delta {
        seq: u64,
        origin: Origin,
        events: Vec<E>,
    },
    Unchanged,
    Failing(u32, String),
    SeenAgain,
    Held(DateTime<Utc>, DateTime<Utc>),
    Closed,
}

/// What the ledger does with its next report.
#[derive(Debug, Clone)]
pub(in crate::observation::tests) enum Deed<S> {
    Rebase(S),
    Refuse,
    Wait(Duration),
    Hold,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger is full")]
pub(in crate::observation::tests) struct Full;

#[derive(Debug)]
struct Pages<S, E> {
    entries: Vec<Entry<E>>,
    deltas: Vec<(DateTime<Utc>, Option<DateTime<Utc>>)>,
    deeds: VecDeque<Deed<S>>,
    always: Duration,
    close_takes: Duration,
}

/// An outlet that keeps what it is told and does what it is bidden.
#[derive(Debug)]
pub(in crate::observation::tests) struct Ledger<S, E>(Arc<Mutex<Pages<S, E>>>);

impl<S, E> Clone for Ledger<S, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S, E: Clone> Ledger<S, E> {
    pub(in crate::observation::tests) fn new() -> Self {
        Self(Arc::new(Mutex::new(Pages {
            entries: Vec::new(),
            deltas: Vec::new(),
            deeds: VecDeque::new(),
            always: Duration::ZERO,
            close_takes: Duration::ZERO,
        })))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Pages<S, E>) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    pub(in crate::observation::tests) fn bid(&self, deeds: impl IntoIterator<Item = Deed<S>>) {
        self.with(|pages| pages.deeds.extend(deeds));
    }

    pub(in crate::observation::tests) fn always_takes(&self, time: Duration) {
        self.with(|pages| pages.always = time);
    }

    pub(in crate::observation::tests) fn close_takes(&self, time: Duration) {
        self.with(|pages| pages.close_takes = time);
    }

    /// What was taken, in order.
    pub(in crate::observation::tests) fn entries(&self) -> Vec<Entry<E>> {
        self.with(|pages| pages.entries.clone())
    }

    /// What was taken, in order, without the looks that found nothing.
    pub(in crate::observation::tests) fn news(&self) -> Vec<Entry<E>> {
        let quiet = |entry: &Entry<E>| matches!(entry, Entry::Unchanged);
        self.entries()
            .into_iter()
            .filter(|entry| !quiet(entry))
            .collect()
    }

    pub(in crate::observation::tests) fn events(&self) -> Vec<E> {
        let events = self.entries().into_iter().filter_map(|entry| match entry {
            Entry::Delta { events, .. } => Some(events),
            _ => None,
        });
        events.flatten().collect()
    }

    /// `at` and `after` of each delta taken.
    pub(in crate::observation::tests) fn times(
        &self,
    ) -> Vec<(DateTime<Utc>, Option<DateTime<Utc>>)> {
        self.with(|pages| pages.deltas.clone())
    }
}

impl<S, E> Outlet<S, E> for Ledger<S, E>
where
    S: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    type Error = Full;

    async fn report(&mut self, report: Report<'_, S, E>) -> Result<Answer<S>, Full> {
        let (deed, always) = self.with(|pages| (pages.deeds.pop_front(), pages.always));
        match deed {
            Some(Deed::Rebase(state)) => return Ok(Answer::Rebase(state)),
            Some(Deed::Refuse) => return Err(Full),
            Some(Deed::Hold) => {
                if let Report::Held { at, since } = report {
                    self.with(|pages| pages.entries.push(Entry::Held(at, since)));
                }
                return Ok(Answer::Hold);
            }
            Some(Deed::Wait(time)) => sleep(time).await,
            None => sleep(always).await,
        }
        let entry = match report {
            Report::Delta { delta, .. } => {
                self.with(|pages| pages.deltas.push((delta.at, delta.after)));
                let (seq, origin) = (delta.seq.get(), delta.origin);
                Entry::Delta {
                    seq,
                    origin,
                    events: delta.events.to_vec(),
                }
            }
            Report::Unchanged { .. } => Entry::Unchanged,
            Report::Failing { count, error, .. } => Entry::Failing(count, error.to_string()),
            Report::SeenAgain { .. } => Entry::SeenAgain,
            Report::Held { at, since } => Entry::Held(at, since),
        };
        self.with(|pages| pages.entries.push(entry));
        Ok(Answer::Taken)
    }

    async fn close(&mut self) -> Result<(), Full> {
        let time = self.with(|pages| pages.close_takes);
        sleep(time).await;
        self.with(|pages| pages.entries.push(Entry::Closed));
        Ok(())
    }
}
