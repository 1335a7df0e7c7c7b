//! A provider whose set the test changes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;

use super::stage::id;
use crate::observation::{ObservedSource, SourceProvider};

#[derive(Debug, thiserror::Error)]
#[error("the directory is away")]
pub(in crate::observation::tests) struct Away;

/// A set that the test changes.
pub(in crate::observation::tests) struct Directory<S>(Arc<Mutex<Entries<S>>>);

pub(in crate::observation::tests) struct Entries<S> {
    pub(in crate::observation::tests) set: Result<Vec<(&'static str, S)>, ()>,
    pub(in crate::observation::tests) takes: Duration,
    pub(in crate::observation::tests) asked: usize,
    pub(in crate::observation::tests) panics: bool,
}

impl<S> Clone for Directory<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Directory<S> {
    pub(in crate::observation::tests) fn new(set: Vec<(&'static str, S)>) -> Self {
        let (takes, asked, panics) = (Duration::ZERO, 0, false);
        Self(Arc::new(Mutex::new(Entries {
            set: Ok(set),
            takes,
            asked,
            panics,
        })))
    }

    pub(in crate::observation::tests) fn with<T>(
        &self,
        change: impl FnOnce(&mut Entries<S>) -> T,
    ) -> T {
        change(&mut self.0.lock().unwrap())
    }

    pub(in crate::observation::tests) fn is(&self, set: Vec<(&'static str, S)>) {
        self.with(|entries| entries.set = Ok(set));
    }
}

impl<S: Clone + Send + Sync + 'static> SourceProvider for Directory<S> {
    type Source = S;
    type Error = Away;

    async fn sources(&self) -> Result<Vec<ObservedSource<S>>, Away> {
        let takes = self.with(|entries| {
            entries.asked += 1;
            entries.takes
        });
        sleep(takes).await;
        assert!(!self.with(|entries| entries.panics), "no such page");
        let set = self
            .with(|entries| entries.set.clone())
            .map_err(|()| Away)?;
        Ok(set
            .into_iter()
            .map(|(name, source)| ObservedSource::new(id(name), source))
            .collect())
    }
}
