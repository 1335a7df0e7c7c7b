//! An adapter's outlet before a real broker, and the looks that are told through it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use chrono::{DateTime, TimeDelta, Utc};
use observe::adapter::settings::{Claim, Hooks, PENDING_BYTES, SPOOL_BYTES, Settings, SpoolPlace};
use observe::adapter::start::{Begun, Parts};
use observe::bus::connect::{Bus, connect};
use observe::bus::publish::JetStreamStore;
use observe::bus::settings::{BusSettings, FirstConnect};
use observe::event::envelope::Envelope;
use observe::event::store::Identity;
use observe::event::subject::Prefix;
use observe::event::tell::Tell as _;
use observe::observation::delta::{Delta, Epoch, Origin, Seq};
use observe::observation::outlet::{Answer, Outlet as _, Report};
use observe::process::diff::Comparison;
use observe::process::event::{ProcessEvent, TellProcess};
use observe::process::rows::ProcessRows;
use observe::process::table::Table;
use tokio::time::Instant;

use super::batches::Ready;
use super::body::{Change, NOW, body};
use super::look::{compared, stamp};
use super::server::Server;

const EPOCH: &str = "2026-08-20T07:15:02.707Z";

/// One look, compared and not told yet.
pub struct Look {
    delta: Delta<ProcessEvent>,
    table: Table,
}

impl Look {
    /// How many events it tells.
    pub fn events(&self) -> usize {
        self.delta.events.len()
    }

    /// Its events.
    pub fn told(&self) -> &[ProcessEvent] {
        &self.delta.events
    }

    /// Its events as messages whose bytes are there already.
    pub fn messages(&self) -> Vec<Ready> {
        let prefix = Prefix::default();
        let events = (1..).zip(self.delta.events.iter());
        events
            .map(|(number, event)| message(event, "shop", &prefix, number))
            .collect()
    }
}

/// The headers that observe gives to an event.
pub fn with_headers(message: Ready) -> Ready {
    let told = [
        ("Nats-Expected-Stream", "PROCESS_EVENTS"),
        ("Observe-Schema", "1"),
        ("Observe-Id", "shop.3f9a1c22.100000"),
        ("Observe-Source", "shop"),
        ("Observe-Origin", "change"),
    ];
    Ready {
        told: told.map(|(name, value)| (name, value.to_owned())).to_vec(),
        ..message
    }
}

/// An event as a message whose bytes are there already.
pub fn message(event: &ProcessEvent, source: &str, prefix: &Prefix, number: u64) -> Ready {
    let told = TellProcess.tell(event).into_owned();
    let envelope = Envelope::dress(told, &stamp(source, prefix, number));
    let mut payload = Vec::new();
    envelope.write_json(&mut payload).expect("an event of ours");
    Ready {
        subject: envelope.subject,
        payload: payload.into(),
        told: Vec::new(),
    }
}

/// Looks at so many processes, one after the other.
pub struct Looks {
    processes: usize,
    table: Table,
    look: usize,
}

impl Looks {
    /// Before the first look.
    pub fn at(processes: usize) -> Self {
        Self {
            processes,
            table: Table::default(),
            look: 0,
        }
    }

    /// The next one; the first is the first there ever was.
    pub fn next(&mut self, change: Change) -> Look {
        let body = body(self.processes, self.look as u64, change);
        let at = self.now();
        let Comparison { table, events, .. } = compared(&self.table, &body, at);
        let origin = if self.look == 0 {
            Origin::Initial
        } else {
            Origin::Change
        };
        self.look += 1;
        self.table = table.clone();
        Look {
            delta: Delta {
                epoch: Epoch::from(EPOCH),
                seq: Seq::new(self.look as u64),
                origin,
                at,
                after: None,
                events: events.into(),
            },
            table,
        }
    }

    fn now(&self) -> DateTime<Utc> {
        let now: DateTime<Utc> = NOW.parse().expect("a time");
        now + TimeDelta::seconds(i64::try_from(self.look).unwrap_or(0))
    }
}

/// The outlet of one adapter, its connection, and a bare client beside it.
pub struct Outlet {
    begun: Begun<JetStreamStore, TellProcess, ProcessRows>,
    /// Its connection.
    pub bus: Bus,
    /// A client that knows nothing of it.
    pub client: Client,
}

impl Outlet {
    /// One that has read its head, on a stream of observe's.
    pub async fn begin(server: &Server, source: &str) -> Self {
        let settings = BusSettings {
            first_connect: FirstConnect::MayWait,
            ..BusSettings::default().at(&server.url())
        };
        let bus = connect(&settings).await.expect("a broker");
        bus.connected().await;
        observe::bus::stream::ensure(&bus, &settings)
            .await
            .expect("a stream");
        let spool = SpoolPlace {
            path: server.folder().join(format!("spool-{source}")),
            limit: SPOOL_BYTES,
        };
        let store = JetStreamStore::new(bus.clone(), &settings.stream, Prefix::default());
        let parts = Parts {
            store: Arc::new(store),
            tell: TellProcess,
            rows: ProcessRows,
            settings: Settings {
                source: source.to_owned(),
                adapter: "bench".into(),
                interval: Duration::from_secs(1),
                identity: Identity::default(),
                prefix: Prefix::default(),
                claim: Claim::Derived,
                pending_bytes: PENDING_BYTES,
                spool: Some(spool),
                sieve: None,
            },
            hooks: Hooks::quiet(),
            remembered: None,
        };
        let outset = parts.outlet();
        let found = outset
            .read(Some(EPOCH))
            .await
            .expect("a stream without a head");
        Self {
            begun: outset.begin(found),
            bus,
            client: async_nats::connect(server.url()).await.expect("a broker"),
        }
    }

    /// Tells a look, and gives the seconds until it was acknowledged or put by.
    pub async fn tell(&mut self, look: &Look) -> f64 {
        let (delta, state) = (&look.delta, &look.table);
        self.report(Report::Delta { delta, state }).await
    }

    /// Tells that nothing changed since that look, and gives the seconds it took.
    pub async fn tell_nothing(&mut self, look: &Look) -> f64 {
        let (at, state) = (look.delta.at, &look.table);
        self.report(Report::Unchanged { at, state }).await
    }

    async fn report(&mut self, report: Report<'_, Table, ProcessEvent>) -> f64 {
        let began = Instant::now();
        let answer = self
            .begun
            .committer
            .report(report)
            .await
            .expect("an adapter that goes on");
        assert!(matches!(answer, Answer::Taken), "nobody else tells");
        began.elapsed().as_secs_f64()
    }
}

/// Runs as the program does: on one thread.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work)
}
