//! A broker in memory that does what its script says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bytes::Bytes;
use tokio::time::Instant;

use crate::event::envelope::Envelope;
use crate::event::store::{
    Commit, EventStore, FoundRoot, Ground, Head, Root, ShardPlace, StoreError,
};

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
    /// What a full stream drops next lies below this.
    pub(crate) safe_from: u64,
    /// Events of the last commit are missing.
    pub(crate) is_torn: bool,
    late: Vec<(u32, Kept)>,
}

/// Root, shards and events, as they once were.
pub(crate) type Backup = (
    Option<(u64, Root)>,
    BTreeMap<u32, (u64, Vec<u8>)>,
    Vec<Envelope>,
);

impl Stream {
    pub(crate) fn backup(&self) -> Backup {
        (self.root.clone(), self.shards.clone(), self.events.clone())
    }

    pub(crate) fn restore(&mut self, backup: Backup) {
        (self.root, self.shards, self.events) = backup;
    }

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
        self.is_torn = false;
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
            is_torn: self.is_torn,
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
    returned: Mutex<Option<Instant>>,
    pub(crate) root_calls: AtomicU32,
    pub(crate) foreign_stream: AtomicBool,
    pub(crate) read_calls: AtomicU32,
    pub(crate) commit_calls: AtomicU32,
    pub(crate) ground_calls: AtomicU32,
    pub(crate) mute_ground: AtomicBool,
}

impl Store {
    pub(crate) fn faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.commits.lock().unwrap().extend(faults);
    }

    pub(crate) fn set_online(&self, online: bool) {
        let was_offline = self.offline.swap(!online, Ordering::SeqCst);
        if online && was_offline {
            *self.returned.lock().unwrap() = Some(Instant::now());
        }
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

fn texts(shards: &BTreeMap<u32, Bytes>) -> BTreeMap<u32, Vec<u8>> {
    let shards = shards.iter();
    shards
        .map(|(number, text)| (*number, text.to_vec()))
        .collect()
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

    async fn read_root(&self, source: &str) -> Result<Option<FoundRoot>, StoreError> {
        let head = self.read_head(source).await?;
        self.read_calls.fetch_sub(1, Ordering::SeqCst);
        self.root_calls.fetch_add(1, Ordering::SeqCst);
        Ok(head.map(|head| (head.root, head.root_sequence)))
    }

    async fn commit(&self, commit: Commit<'_>) -> Result<u64, StoreError> {
        assert!(self.is_connected(), "bytes for a client that is away");
        self.commit_calls.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let kept = Kept {
            root: commit.root.clone(),
            expected: commit.expected,
            shards: texts(commit.shards),
            events: commit
                .events
                .iter()
                .map(|event| {
                    let envelope = Envelope::parse(event.payload()).unwrap();
                    assert_eq!(
                        (&*envelope.id, &*envelope.subject),
                        (event.id(), event.subject())
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

    async fn ground(&self, _: &str, shards: u32) -> Result<Ground, StoreError> {
        self.ground_calls.fetch_add(1, Ordering::SeqCst);
        if self.mute_ground.load(Ordering::SeqCst) {
            return Err(StoreError::Refused("no right to ask".into()));
        }
        let stream = self.stream.lock().unwrap();
        let is_lost = |number: &u32| !stream.shards.contains_key(number);
        Ok(Ground {
            safe_from: stream.safe_from,
            lost: (0..shards).filter(is_lost).collect(),
        })
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

    fn returned_at(&self) -> Option<Instant> {
        *self.returned.lock().unwrap()
    }
}
