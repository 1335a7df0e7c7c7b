//! Adapters that share a broker and a clock, each under a runtime reduced to one look.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::adapter::commit::Committer;
use crate::adapter::error::AdapterError;
use crate::adapter::pulse::Pulse;
use crate::adapter::settings::{Acknowledged, Claim, Hooks, Notice, Settings, SpoolPlace};
use crate::adapter::start::{Beginning, Begun, Parts};
use crate::event::sieve::Sieve;
use crate::event::store::Identity;
use crate::event::subject::Prefix;
use crate::observation::delta::{Delta, Epoch, Origin, Seq};
use crate::observation::outlet::{Answer, Outlet, Report};

use super::store::Store;
use super::toy::{Counters, EPOCH, Grown, Refused, Source, Toy};

pub(crate) fn now_at(began: Instant) -> DateTime<Utc> {
    let start: DateTime<Utc> = "2026-08-20T09:00:00Z".parse().unwrap();
    start + began.elapsed()
}

/// What a test may look at from outside.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) notices: Vec<Notice>,
    pub(crate) acknowledged: Option<Acknowledged>,
    /// The ids of the events that were acknowledged.
    pub(crate) told: Vec<String>,
    pub(crate) pulse: Arc<Pulse>,
}

pub(crate) type Outside = Arc<Mutex<Seen>>;

/// A folder of one's own that is gone afterwards.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Default for Folder {
    fn default() -> Self {
        let name = format!(
            "observe-spool-{}-{:016x}",
            std::process::id(),
            fastrand::u64(..)
        );
        // Thousands of synced writes: in memory, where the system has such a place.
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        Self(place.join(name))
    }
}

impl Folder {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Makes adapters that share a broker, a clock and a source of names.
#[derive(Debug, Clone)]
pub(crate) struct House {
    pub(crate) store: Arc<Store>,
    pub(crate) began: Instant,
    names: Arc<AtomicU32>,
    pub(crate) pending_bytes: usize,
    pub(crate) spool: Option<Arc<Folder>>,
    pub(crate) spool_max: u64,
    pub(crate) claim: Claim,
    pub(crate) project: &'static str,
    /// What the adapters leave out that are started from now on.
    pub(crate) sieve: Option<Arc<Sieve>>,
}

impl House {
    pub(crate) fn new() -> Self {
        Self {
            store: Arc::default(),
            began: Instant::now(),
            names: Arc::default(),
            pending_bytes: 1 << 20,
            spool: None,
            spool_max: 1 << 20,
            claim: Claim::Derived,
            project: "shop",
            sieve: None,
        }
    }

    /// With a spool on the disk.
    pub(crate) fn with_spool() -> Self {
        Self {
            spool: Some(Arc::default()),
            ..Self::new()
        }
    }

    pub(crate) fn spool_file(&self, adapter: &str) -> PathBuf {
        let folder = self.spool.as_ref().unwrap();
        folder.path().join(adapter).join("spool")
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        now_at(self.began)
    }

    pub(crate) fn parts(
        &self,
        adapter: &str,
        remembered: Option<Acknowledged>,
    ) -> (Parts<Store, Toy, Toy>, Outside) {
        let seen = Outside::default();
        let (a, b, c, names) = (seen.clone(), seen.clone(), seen.clone(), self.names.clone());
        let pulse = Arc::clone(&seen.lock().unwrap().pulse);
        let began = self.began;
        let hooks = Hooks {
            now: Box::new(move || now_at(began)),
            names: Box::new(move || format!("n{}", names.fetch_add(1, Ordering::SeqCst))),
            word: Box::new(|error| error.to_string().into()),
            acknowledged: Box::new(move |ack| {
                a.lock().unwrap().acknowledged = Some(ack.clone());
            }),
            notice: Box::new(move |notice| b.lock().unwrap().notices.push(notice)),
            told: Some(Box::new(move |event| {
                c.lock().unwrap().told.push(event.id().to_owned());
            })),
            pulse,
        };
        let parts = Parts {
            store: Arc::clone(&self.store),
            tell: Toy,
            rows: Toy,
            settings: Settings {
                source: "shop".into(),
                adapter: adapter.into(),
                interval: Duration::from_secs(2),
                identity: Identity {
                    project: self.project.into(),
                    host: "web1".into(),
                    endpoint: "http://localhost:8080".into(),
                },
                prefix: Prefix::default(),
                claim: self.claim,
                pending_bytes: self.pending_bytes,
                spool: self.spool.as_ref().map(|folder| SpoolPlace {
                    path: folder.path().join(adapter).join("spool"),
                    limit: self.spool_max,
                }),
                sieve: self.sieve.clone(),
            },
            hooks,
            remembered,
        };
        (parts, seen)
    }

    pub(crate) async fn start(
        &self,
        adapter: &str,
        remembered: Option<Acknowledged>,
        epoch: &str,
    ) -> Result<Watcher, AdapterError> {
        let (parts, seen) = self.parts(adapter, remembered);
        let outset = parts.outlet();
        let found = outset.read(Some(epoch)).await?;
        Ok(self.begun(outset.begin(found), seen))
    }

    /// Begins while the broker is away.
    pub(crate) fn start_late(&self, adapter: &str, remembered: Option<Acknowledged>) -> Watcher {
        let (parts, seen) = self.parts(adapter, remembered);
        self.begun(parts.outlet().begin_late(), seen)
    }

    fn begun(&self, begun: Begun<Store, Toy, Toy>, seen: Outside) -> Watcher {
        Watcher {
            committer: begun.committer,
            state: begun.state,
            beginning: begun.beginning,
            seen,
            house: self.clone(),
            failed: 0,
            failed_since: None,
            looked: Seq::FIRST,
            held: None,
        }
    }

    pub(crate) async fn watcher(&self, adapter: &str) -> Watcher {
        self.start(adapter, None, EPOCH).await.unwrap()
    }
}

/// A runtime reduced to one look at a time.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) committer: Committer<Store, Toy, Toy>,
    pub(crate) state: Option<Counters>,
    pub(crate) beginning: Beginning,
    pub(crate) seen: Outside,
    house: House,
    failed: u32,
    failed_since: Option<DateTime<Utc>>,
    looked: Seq,
    /// Since when the outlet wants no look.
    pub(crate) held: Option<DateTime<Utc>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Taken,
    Rebased,
    Held,
}

impl Watcher {
    /// What the observer of the domain would propose.
    fn compare(&self, source: &Source) -> (Counters, Vec<Grown>) {
        let before = self.state.clone().unwrap_or_default();
        let mut next = before.clone();
        let at = self.house.now();
        let mut events = Vec::new();
        next.rows.retain(|key, _| source.values.contains_key(key));
        for (key, &value) in &source.values {
            let row = next.rows.entry(key.clone()).or_default();
            if row.value != value && !before.first {
                row.told += 1;
                events.push(Grown {
                    key: key.clone(),
                    from: row.value,
                    to: value,
                    number: row.told,
                    at,
                });
            }
            row.key.clone_from(key);
            row.value = value;
            row.padding = "x".repeat(source.padding);
        }
        (next.resync, next.first) = (false, false);
        source.epoch.clone_into(&mut next.epoch);
        (next, events)
    }

    pub(crate) async fn look(&mut self, source: &Source) -> Result<Told, AdapterError> {
        let (next, events) = self.compare(source);
        let at = self.house.now();
        let origin = match &self.state {
            None => Origin::Initial,
            Some(state) if state.resync || state.epoch != source.epoch => Origin::Resync,
            Some(_) => Origin::Change,
        };
        let anew = self.state.as_ref().is_none_or(|s| s.epoch != source.epoch);
        if self.failed > 0 {
            (self.failed, self.failed_since) = (0, None);
            let told = self.report(Report::SeenAgain { at }).await?;
            if told != Told::Taken {
                return Ok(told);
            }
        }
        let told = if events.is_empty() && !anew && self.looked > Seq::FIRST {
            self.report(Report::Unchanged { at, state: &next }).await?
        } else {
            let delta = Delta {
                epoch: Epoch::from(source.epoch),
                seq: self.looked,
                origin,
                at,
                after: None,
                events: events.into(),
            };
            let report = Report::Delta {
                delta: &delta,
                state: &next,
            };
            self.report(report).await?
        };
        if told == Told::Taken {
            self.state = Some(next);
            self.looked = self.looked.next();
        }
        Ok(told)
    }

    /// Looks until nothing is rebased any more.
    pub(crate) async fn tell(&mut self, source: &Source) {
        for _ in 0..9 {
            if self.look(source).await.unwrap() != Told::Rebased {
                return;
            }
        }
        panic!("rebased without end");
    }

    /// What the runtime reports when the observer makes a step of what it had heard before the source left.
    pub(crate) async fn salvage(&mut self, source: &Source) -> Result<Told, AdapterError> {
        let (next, events) = self.compare(source);
        let delta = Delta {
            epoch: Epoch::from(source.epoch),
            seq: self.looked,
            origin: Origin::Change,
            at: self.house.now(),
            after: None,
            events: events.into(),
        };
        let report = Report::Delta {
            delta: &delta,
            state: &next,
        };
        let told = self.report(report).await?;
        if told == Told::Taken {
            self.state = Some(next);
        }
        Ok(told)
    }

    pub(crate) async fn fail(&mut self) -> Result<Told, AdapterError> {
        self.failed += 1;
        let now = self.house.now();
        let since = *self.failed_since.get_or_insert(now);
        let count = self.failed;
        self.report(Report::Failing {
            count,
            since,
            error: &Refused,
        })
        .await
    }

    async fn report(&mut self, report: Report<'_, Counters, Grown>) -> Result<Told, AdapterError> {
        match self.committer.report(report).await? {
            Answer::Taken => {
                self.held = None;
                Ok(Told::Taken)
            }
            Answer::Rebase(state) => {
                self.held = None;
                self.state = Some(state);
                Ok(Told::Rebased)
            }
            Answer::Anew => {
                self.state = None;
                Ok(Told::Rebased)
            }
            Answer::Hold => {
                let now = self.house.now();
                self.held.get_or_insert(now);
                (self.failed, self.failed_since) = (0, None);
                Ok(Told::Held)
            }
        }
    }

    /// What the runtime does next: it looks, or it asks whether it may.
    pub(crate) async fn turn(&mut self, source: &Source) -> Result<Told, AdapterError> {
        match self.held {
            Some(_) => self.ask().await,
            None => self.look(source).await,
        }
    }

    /// The runtime asks after an interval without a look.
    pub(crate) async fn ask(&mut self) -> Result<Told, AdapterError> {
        let at = self.house.now();
        let since = self.held.unwrap();
        self.report(Report::Held { at, since }).await
    }

    pub(crate) fn notices(&self) -> Vec<Notice> {
        std::mem::take(&mut self.seen.lock().unwrap().notices)
    }
}

pub(crate) async fn seconds(count: u64) {
    tokio::time::advance(Duration::from_secs(count)).await;
}
