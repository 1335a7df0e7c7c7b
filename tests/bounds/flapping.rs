//! Looks in simulated time at processes that flap, by the code that looks, compares and commits; the broker takes all.

use std::convert::Infallible;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use observe::adapter::settings::{Claim, Hooks, Notice, PENDING_BYTES, Settings};
use observe::adapter::start::Parts;
use observe::event::store::{Commit, EventStore, FoundRoot, Head, Identity, StoreError};
use observe::event::subject::Prefix;
use observe::observation::delta::{Epoch, Origin};
use observe::observation::observer::{Observer, Step};
use observe::observation::runtime::ObservationRuntime;
use observe::observation::schedule::Schedule;
use observe::observation::source::{FixedSources, ObservedSource};
use observe::process::diff::{Circumstances, Unread, compare};
use observe::process::event::{ProcessEvent, TellProcess};
use observe::process::evidence::NoEvidence;
use observe::process::phase::{Health, Phase};
use observe::process::reading::{Reading, Vitals};
use observe::process::rows::ProcessRows;
use observe::process::table::Table;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A number in kB out of `/proc/self/status`, in bytes.
pub(crate) fn status(key: &str) -> usize {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap()
        * 1024
}

pub(crate) fn resident() -> usize {
    status("VmRSS:")
}

/// A broker that takes everything, or is away.
#[derive(Debug, Default)]
pub(crate) struct Taker {
    last: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) most: AtomicU64,
    pub(crate) away: AtomicBool,
}

impl EventStore for Taker {
    async fn read_head(&self, _: &str) -> Result<Option<Head>, StoreError> {
        Ok(None)
    }

    async fn read_root(&self, _: &str) -> Result<Option<FoundRoot>, StoreError> {
        Ok(None)
    }

    async fn commit(&self, commit: Commit<'_>) -> Result<u64, StoreError> {
        let messages = 1 + commit.shards.len() + commit.events.len();
        let messages = u64::try_from(messages).unwrap();
        self.events.fetch_add(
            u64::try_from(commit.events.len()).unwrap(),
            Ordering::Relaxed,
        );
        self.most.fetch_max(messages, Ordering::Relaxed);
        Ok(self.last.fetch_add(messages, Ordering::Relaxed) + 1)
    }

    async fn recreate(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn is_connected(&self) -> bool {
        !self.away.load(Ordering::Relaxed)
    }

    fn returned_at(&self) -> Option<Instant> {
        None
    }
}

/// Processes of which some, all or none have another run at each look.
struct Flapping {
    count: usize,
    looks: Arc<AtomicU64>,
    /// How many of them have changed by this look.
    changes: fn(u64) -> u64,
    began: Instant,
    /// Called at the end of each look with its number.
    at: Box<dyn Fn(u64) + Send + Sync>,
}

fn now(began: Instant) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_787_000_000_000).unwrap() + began.elapsed()
}

impl Flapping {
    fn look(&self, before: &Table) -> Step<Table, ProcessEvent> {
        let look = self.looks.fetch_add(1, Ordering::Relaxed);
        let readings: Vec<_> = (0..self.count)
            .map(|number| reading(number, (self.changes)(look)))
            .collect();
        let ended = now(self.began);
        let circumstances = Circumstances {
            epoch: "2026-08-20T07:00:00.000Z",
            started: ended,
            ended,
            interval: Duration::from_secs(2),
            sticky_health: false,
            unread: Unread::default(),
        };
        let comparison = compare(before, &readings, &NoEvidence, &circumstances);
        (self.at)(look);
        Step {
            epoch: Epoch::new(Arc::clone(comparison.table.epoch())),
            state: comparison.table,
            events: comparison.events,
            origin: Origin::Change,
        }
    }
}

fn reading(number: usize, changes: u64) -> Reading<'static> {
    let up = changes.is_multiple_of(2);
    Reading {
        name: format!("process-{number:05}").into(),
        namespace: "default".into(),
        more_namespaces: Vec::new(),
        status: if up { "Running" } else { "Completed" }.into(),
        phase: if up { Phase::Up } else { Phase::Ended },
        daemon: false,
        health: if up { Health::Ready } else { Health::Unknown },
        has_probe: true,
        restarts: 0,
        exit_code: i64::from(!up),
        allowed_codes: Vec::new(),
        pid: Some(
            i64::try_from(changes / 2 * 100_000).unwrap() + i64::try_from(number).unwrap() + 1,
        ),
        vitals: Vitals::default(),
        started_at: None,
        ready_at: None,
        ended_at: None,
        schedule_at: None,
        watch_at: None,
        unmet: false,
        torn: false,
    }
}

impl Observer for Flapping {
    type Source = ();
    type State = Table;
    type Snapshot = Table;
    type Event = ProcessEvent;
    type Error = Infallible;

    async fn init(
        &self,
        _: &[ObservedSource<()>],
    ) -> Result<Step<Table, ProcessEvent>, Infallible> {
        Ok(self.look(&Table::default()))
    }

    async fn poll(
        &self,
        _: &[ObservedSource<()>],
        state: &Table,
    ) -> Result<Step<Table, ProcessEvent>, Infallible> {
        Ok(self.look(state))
    }

    fn snapshot(&self, state: &Table) -> Table {
        state.clone()
    }
}

fn settings() -> Settings {
    Settings {
        source: "shop".into(),
        adapter: "us".into(),
        interval: Duration::from_secs(2),
        identity: Identity::default(),
        prefix: Prefix::default(),
        claim: Claim::Derived,
        pending_bytes: PENDING_BYTES,
        spool: None,
        sieve: None,
    }
}

/// Lets an adapter look so often.
pub(crate) fn watch(
    store: &Arc<Taker>,
    count: usize,
    looks: u64,
    changes: fn(u64) -> u64,
    at: Box<dyn Fn(u64) + Send + Sync>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let began = Instant::now();
        let gaps = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&gaps);
        let hooks = Hooks {
            now: Box::new(move || now(began)),
            notice: Box::new(move |notice| {
                if matches!(notice, Notice::GapTold { .. }) {
                    told.fetch_add(1, Ordering::Relaxed);
                }
            }),
            ..Hooks::quiet()
        };
        let parts = Parts {
            store: Arc::clone(store),
            tell: TellProcess,
            rows: ProcessRows,
            settings: settings(),
            hooks,
            remembered: None,
        };
        let outset = parts.outlet();
        let found = outset.read(None).await.unwrap();
        let begun = outset.begin(found);
        let token = CancellationToken::new();
        let end = token.clone();
        let observer = Flapping {
            count,
            looks: Arc::default(),
            changes,
            began,
            at: Box::new(move |look| {
                at(look);
                if look + 1 == looks {
                    end.cancel();
                }
            }),
        };
        let source = ObservedSource::new("shop".parse().unwrap(), ());
        let schedule = Schedule::every(Duration::from_secs(2)).build().unwrap();
        let clock = Arc::new(move || now(began));
        let sources = FixedSources::new(vec![source]);
        let (runtime, _handle) =
            ObservationRuntime::builder(observer, sources, begun.committer, schedule, clock)
                .build();
        runtime.run(token).await;
        assert_eq!(gaps.load(Ordering::Relaxed), 0, "nothing was given up");
    });
}

/// The first thousand looks fill what is kept of the past: each of them changes something; then one in ten does.
pub(crate) fn now_and_then(look: u64) -> u64 {
    if look < 1_000 {
        look
    } else {
        1_000 + (look - 1_000) / 10
    }
}
