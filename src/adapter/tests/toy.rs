//! A broker in memory that does what its script says, a domain of counters, and a runtime reduced to one look.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::adapter::commit::Committer;
use crate::adapter::error::AdapterError;
use crate::adapter::settings::{Acknowledged, Claim, Hooks, Notice, Settings};
use crate::adapter::start::{Beginning, Parts};
use crate::event::envelope::Envelope;
use crate::event::payload::{CERTAIN, Kind, Occurred, Payload, Previous, Severity, State};
use crate::event::store::{Commit, EventStore, Head, Identity, Root, ShardPlace, StoreError};
use crate::event::subject::Prefix;
use crate::event::tell::{Restored, RowError, Rows, Tell};
use crate::observation::delta::{Delta, Epoch, Origin, Seq};
use crate::observation::outlet::{Answer, Outlet, Report};

#[derive(Debug, Clone)]
pub(crate) enum Fault {
    Ok,
    Busy(&'static str),
    UnknownStored,
    UnknownLost,
    /// Not stored now, but so many calls later, if nobody was faster.
    UnknownLate(u32),
    Away,
    Refused,
    Invalid,
    /// Another adapter tells something just before.
    Overtaken,
}

#[derive(Debug, Clone)]
struct Kept {
    root: Root,
    expected: u64,
    shards: BTreeMap<u32, Vec<u8>>,
    events: Vec<Envelope>,
}

#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) last: u64,
    pub(crate) root: Option<(u64, Root)>,
    pub(crate) shards: BTreeMap<u32, (u64, Vec<u8>)>,
    pub(crate) events: Vec<Envelope>,
    pub(crate) commits: u32,
    pub(crate) most_messages: usize,
    pub(crate) gone: bool,
    late: Vec<(u32, Kept)>,
}

impl Stream {
    fn store(&mut self, kept: Kept) -> Result<u64, StoreError> {
        let found = self.root.as_ref().map_or(0, |(sequence, _)| *sequence);
        if found != kept.expected {
            return Err(StoreError::Fenced);
        }
        let messages = 1 + kept.shards.len() + kept.events.len();
        self.most_messages = self.most_messages.max(messages);
        assert!(messages <= 990, "{messages} messages");
        let root = self.last + 1;
        self.last += u64::try_from(messages).unwrap();
        for (sequence, (number, text)) in (root + 1..).zip(kept.shards) {
            self.shards.insert(number, (sequence, text));
        }
        self.root = Some((root, kept.root));
        self.events.extend(kept.events);
        self.commits += 1;
        Ok(root)
    }

    fn tick(&mut self) {
        let (due, later) = std::mem::take(&mut self.late)
            .into_iter()
            .map(|(calls, kept)| (calls.saturating_sub(1), kept))
            .partition::<Vec<_>, _>(|(calls, _)| *calls == 0);
        self.late = later;
        for (_, kept) in due {
            drop(self.store(kept));
        }
    }

    pub(crate) fn head(&self) -> Option<Head> {
        let (root_sequence, root) = self.root.clone()?;
        let shards = (0u32..)
            .zip(&root.shards)
            .map(|(number, place)| {
                let (sequence, text) = self.shards.get(&number)?;
                (*sequence == place.resolve(root_sequence)).then(|| text.clone())
            })
            .collect();
        Some(Head {
            root: Ok(root),
            root_sequence,
            shards,
        })
    }

    /// What everybody may rely on, whatever happened.
    pub(crate) fn check(&self) {
        let mut numbers: BTreeMap<&str, u64> = BTreeMap::new();
        let mut values: BTreeMap<&str, (i64, u64)> = BTreeMap::new();
        for event in &self.events {
            let last = numbers.entry(&event.journal).or_default();
            assert_eq!(event.seq, *last + 1, "{} {}", event.journal, event.seq);
            *last = event.seq;
            let Some(key) = &event.process else { continue };
            let (value, told) = values.entry(key).or_default();
            let from = event.previous.as_ref().map_or(0, |before| before.restarts);
            assert_eq!(from, *value, "{key} was told twice, or not at all");
            *value = event.state.as_ref().unwrap().restarts;
            assert_eq!(event.process_seq, Some(*told + 1), "{key}");
            *told += 1;
        }
    }

    pub(crate) fn words(&self) -> Vec<String> {
        self.events
            .iter()
            .map(|e| {
                let why = e.gap.as_ref().map_or_else(
                    || e.process.clone().unwrap_or_default(),
                    |gap| gap.why.to_string(),
                );
                let origin = e.origin.as_str();
                format!("{} {} {} {}", e.seq, e.kind, why, origin).replace("  ", " ")
            })
            .collect()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) stream: Mutex<Stream>,
    pub(crate) commits: Mutex<VecDeque<Fault>>,
    pub(crate) reads: Mutex<VecDeque<Fault>>,
    pub(crate) offline: AtomicBool,
    pub(crate) foreign_stream: AtomicBool,
    pub(crate) read_calls: AtomicU32,
    pub(crate) commit_calls: AtomicU32,
}

impl Store {
    pub(crate) fn faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.commits.lock().unwrap().extend(faults);
    }

    pub(crate) fn set_online(&self, online: bool) {
        self.offline.store(!online, Ordering::SeqCst);
    }

    pub(crate) fn words(&self) -> Vec<String> {
        self.stream.lock().unwrap().words()
    }

    pub(crate) fn root(&self) -> Root {
        self.stream.lock().unwrap().root.clone().unwrap().1
    }

    pub(crate) fn commits(&self) -> u32 {
        self.stream.lock().unwrap().commits
    }

    /// Somebody else writes the root again, changed by this.
    pub(crate) fn refresh(&self, change: impl FnOnce(&mut Root)) {
        let mut stream = self.stream.lock().unwrap();
        let (sequence, mut root) = stream.root.clone().unwrap();
        for place in &mut root.shards {
            *place = ShardPlace::At(place.resolve(sequence));
        }
        root.commit = "other".into();
        root.adapter = "other".into();
        change(&mut root);
        stream.last += 1;
        stream.root = Some((stream.last, root));
    }
}

impl EventStore for Store {
    async fn read_head(&self, _: &str) -> Result<Option<Head>, StoreError> {
        self.read_calls.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let fault = self.reads.lock().unwrap().pop_front();
        let mut stream = self.stream.lock().unwrap();
        stream.tick();
        match fault.unwrap_or(Fault::Ok) {
            Fault::Ok if stream.gone => Err(StoreError::NoStream),
            Fault::Ok => Ok(stream.head()),
            Fault::Busy(why) => Err(StoreError::Busy(why.into())),
            Fault::Away => Err(StoreError::Away),
            Fault::Refused => Err(StoreError::Refused("no right to read".into())),
            _ => Err(StoreError::Unknown("timeout".into())),
        }
    }

    async fn commit(&self, commit: Commit<'_>) -> Result<u64, StoreError> {
        assert!(self.is_connected(), "bytes for a client that is away");
        self.commit_calls.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let kept = Kept {
            root: commit.root.clone(),
            expected: commit.expected,
            shards: commit.shards.clone(),
            events: commit
                .events
                .iter()
                .map(|event| {
                    let envelope = Envelope::parse(&event.payload).unwrap();
                    assert_eq!(
                        (&envelope.id, &envelope.subject),
                        (&event.id, &event.subject)
                    );
                    envelope
                })
                .collect(),
        };
        let fault = self.commits.lock().unwrap().pop_front();
        let outcome = {
            let mut stream = self.stream.lock().unwrap();
            stream.tick();
            match fault.unwrap_or(Fault::Ok) {
                Fault::Ok if stream.gone => Err(StoreError::NoStream),
                Fault::Ok => stream.store(kept),
                Fault::Busy(why) => Err(StoreError::Busy(why.into())),
                Fault::UnknownStored => {
                    drop(stream.store(kept));
                    Err(StoreError::Unknown("timeout".into()))
                }
                Fault::UnknownLost => Err(StoreError::Unknown("timeout".into())),
                Fault::UnknownLate(calls) => {
                    stream.late.push((calls, kept));
                    Err(StoreError::Unknown("timeout".into()))
                }
                Fault::Away => Err(StoreError::Away),
                Fault::Overtaken => {
                    stream.last += 2;
                    let last = stream.last;
                    if let Some((sequence, root)) = &mut stream.root {
                        for place in &mut root.shards {
                            *place = ShardPlace::At(place.resolve(*sequence));
                        }
                        root.commit = "other".into();
                        root.seq += 1;
                        *sequence = last;
                    }
                    Err(StoreError::Fenced)
                }
                Fault::Refused => Err(StoreError::Refused("no right to publish".into())),
                Fault::Invalid => Err(StoreError::Invalid("too large".into())),
            }
        };
        tokio::task::yield_now().await;
        outcome
    }

    async fn recreate(&self) -> Result<(), StoreError> {
        if self.foreign_stream.load(Ordering::SeqCst) {
            return Err(StoreError::Refused("not our stream".into()));
        }
        let mut stream = self.stream.lock().unwrap();
        if stream.gone {
            *stream = Stream::default();
        }
        Ok(())
    }

    fn is_connected(&self) -> bool {
        !self.offline.load(Ordering::SeqCst)
    }
}

/// A counter grew: the domain's one kind of event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grown {
    pub(crate) key: String,
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) number: u64,
    pub(crate) at: DateTime<Utc>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) rows: BTreeMap<String, Counter>,
    pub(crate) resync: bool,
    pub(crate) first: bool,
    pub(crate) epoch: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counter {
    pub(crate) key: String,
    pub(crate) value: i64,
    pub(crate) told: u64,
    pub(crate) memory: u64,
    pub(crate) padding: String,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Toy;

impl Tell for Toy {
    type Event = Grown;

    fn key<'e>(&self, event: &'e Grown) -> &'e str {
        &event.key
    }

    fn tell(&self, event: &Grown) -> Payload {
        Payload {
            kind: Kind::Restarted,
            severity: Severity::Warning,
            state: State {
                name: event.key.clone(),
                namespace: "toy".into(),
                status: "Running".into(),
                is_ready: "-".into(),
                has_ready_probe: false,
                restarts: event.to,
                exit_code: 0,
                is_running: true,
                replicas: 1,
                group: None,
                replica: None,
                namespaces: Vec::new(),
                pid: None,
                age_ms: None,
                mem_bytes: None,
                cpu_percent: None,
                started_at: None,
                ready_at: None,
                ended_at: None,
            },
            reason: "policy".into(),
            certainty: CERTAIN,
            occurred: Occurred {
                after: None,
                before: event.at,
                at: None,
            },
            exit: None,
            count: 1,
            previous: Some(Previous {
                restarts: event.from,
                ..Previous::default()
            }),
            process_seq: event.number,
        }
    }
}

impl Rows for Toy {
    type State = Counters;

    fn visit(&self, state: &Counters, each: &mut dyn FnMut(&str, u64)) {
        for (key, row) in &state.rows {
            each(key, row.told * 1_000_000 + row.memory + 1);
        }
    }

    fn encode(&self, state: &Counters, key: &str, out: &mut Vec<u8>) {
        serde_json::to_writer(out, &state.rows[key]).unwrap();
    }

    fn decode(
        &self,
        rows: &mut dyn Iterator<Item = &[u8]>,
        restored: Restored<'_>,
    ) -> Result<Counters, RowError> {
        let mut state = Counters {
            resync: restored.resync,
            first: restored.first,
            epoch: restored.epoch.into(),
            rows: BTreeMap::new(),
        };
        for row in rows {
            let row: Counter = serde_json::from_slice(row).map_err(RowError)?;
            assert!(state.rows.insert(row.key.clone(), row).is_none());
        }
        Ok(state)
    }
}

/// What is watched.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) values: BTreeMap<String, i64>,
    pub(crate) epoch: &'static str,
    pub(crate) padding: usize,
}

pub(crate) const EPOCH: &str = "2026-08-20T07:00:00.000Z";
pub(crate) const LATER: &str = "2026-08-20T08:00:00.000Z";

impl Source {
    pub(crate) fn new(values: &[(&str, i64)]) -> Self {
        Self {
            values: values.iter().map(|&(k, v)| (k.to_owned(), v)).collect(),
            epoch: EPOCH,
            padding: 0,
        }
    }

    pub(crate) fn grow(&mut self, key: &str) {
        *self.values.entry(key.to_owned()).or_default() += 1;
    }
}

#[derive(Debug)]
pub(crate) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

pub(crate) fn now_at(began: Instant) -> DateTime<Utc> {
    let start: DateTime<Utc> = "2026-08-20T09:00:00Z".parse().unwrap();
    start + began.elapsed()
}

/// What a test may look at from outside.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) notices: Vec<Notice>,
    pub(crate) acknowledged: Option<Acknowledged>,
}

pub(crate) type Outside = Arc<Mutex<Seen>>;

/// Makes adapters that share a broker, a clock and a source of names.
#[derive(Debug, Clone)]
pub(crate) struct House {
    pub(crate) store: Arc<Store>,
    pub(crate) began: Instant,
    names: Arc<AtomicU32>,
    pub(crate) pending_bytes: usize,
    pub(crate) claim: Claim,
    pub(crate) project: &'static str,
}

impl House {
    pub(crate) fn new() -> Self {
        Self {
            store: Arc::default(),
            began: Instant::now(),
            names: Arc::default(),
            pending_bytes: 1 << 20,
            claim: Claim::Derived,
            project: "shop",
        }
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
        let (a, b, names) = (seen.clone(), seen.clone(), self.names.clone());
        let began = self.began;
        let hooks = Hooks {
            now: Box::new(move || now_at(began)),
            names: Box::new(move || format!("n{}", names.fetch_add(1, Ordering::SeqCst))),
            word: Box::new(|error| error.to_string().into()),
            acknowledged: Box::new(move |ack| {
                a.lock().unwrap().acknowledged = Some(ack.clone());
            }),
            notice: Box::new(move |notice| b.lock().unwrap().notices.push(notice)),
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
        let found = parts.read(Some(epoch)).await?;
        let begun = parts.begin(found);
        Ok(Watcher {
            committer: begun.committer,
            state: begun.state,
            beginning: begun.beginning,
            seen,
            house: self.clone(),
            failed: 0,
            failed_since: None,
            looked: Seq::FIRST,
        })
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
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Taken,
    Rebased,
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
            if self.report(Report::SeenAgain { at }).await? == Told::Rebased {
                return Ok(Told::Rebased);
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
            if self.look(source).await.unwrap() == Told::Taken {
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
            Answer::Taken => Ok(Told::Taken),
            Answer::Rebase(state) => {
                self.state = Some(state);
                Ok(Told::Rebased)
            }
        }
    }

    pub(crate) fn notices(&self) -> Vec<Notice> {
        std::mem::take(&mut self.seen.lock().unwrap().notices)
    }
}

pub(crate) async fn seconds(count: u64) {
    tokio::time::advance(Duration::from_secs(count)).await;
}
