//! One adapter with many sources: a runtime and an outlet for each, one connection to the broker, in one process. It looks every two
//! seconds at each `*.sock` in a folder and says every ten how it fares:
//!
//! ```text
//! observe simulate --random 100 --rate 0.1 --fleet 1000 -u sockets
//! NATS_URL=nats://127.0.0.1:4222 cargo run --release --example fleet -- sockets
//! ```
//!
//! It keeps nothing on disk, and what stands beside the looks of `observe adapter` (the state stream, the questions for
//! configurations) is left out.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::Utc;
use observe::adapter::commit::Committer;
use observe::adapter::error::AdapterError;
use observe::adapter::settings::{
    Claim, Hooks, Notice, PENDING_BYTES, Settings as Terms, random_name,
};
use observe::adapter::start::Parts;
use observe::bus::connect::connect;
use observe::bus::publish::JetStreamStore;
use observe::bus::settings::{BusSettings, DEFAULT_STREAM, DEFAULT_URL};
use observe::bus::stream::ensure;
use observe::event::store::Identity;
use observe::event::subject::Prefix;
use observe::observation::delta::Epoch;
use observe::observation::fleet::Fleet;
use observe::observation::handle::Nudge;
use observe::observation::launch::{BuiltBy, Decision, EndBy, Launch, Occasion};
use observe::observation::runtime::ObservationRuntime;
use observe::observation::schedule::Schedule;
use observe::observation::source::{FixedSources, ObservedSource, SourceId};
use observe::process::event::TellProcess;
use observe::process::rows::ProcessRows;
use observe::process_compose::client::Client;
use observe::process_compose::error::ClientError;
use observe::process_compose::observer::ComposeObserver;
use observe::process_compose::server::identify;
use observe::process_compose::settings::{Endpoint, Evidence, Settings, SettingsError};
use tokio_util::sync::CancellationToken;

const INTERVAL: Duration = Duration::from_secs(2);

/// What was told so far.
#[derive(Debug, Default)]
struct Told {
    commits: AtomicUsize,
    events: AtomicUsize,
}

struct Adapters {
    store: JetStreamStore,
    schedule: Schedule,
    told: Arc<Told>,
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("the address cannot be used")]
    Settings(#[from] SettingsError),
    #[error("the source does not answer")]
    Source(#[from] ClientError),
    #[error("the head cannot be gone on from")]
    Head(#[from] AdapterError),
}

impl Launch for Adapters {
    type Source = Endpoint;
    type Observer = ComposeObserver;
    type Outlet = Committer<JetStreamStore, TellProcess, ProcessRows>;
    type Provider = FixedSources<Endpoint>;
    type Error = Failed;

    async fn launch(&self, source: ObservedSource<Endpoint>) -> Result<BuiltBy<Self>, Failed> {
        let settings = Settings {
            evidence: Evidence::Off,
            ..Settings::new(source.source.clone())
        };
        let client = Arc::new(Client::new(&settings)?);
        let server = identify(&client).await?;
        let told = Arc::clone(&self.told);
        let parts = Parts {
            store: Arc::new(self.store.clone()),
            tell: TellProcess,
            rows: ProcessRows,
            settings: Terms {
                source: source.id.as_str().to_owned(),
                adapter: random_name(),
                interval: INTERVAL,
                identity: Identity {
                    project: server.project.clone(),
                    host: server.host.clone(),
                    endpoint: client.place(),
                },
                prefix: Prefix::default(),
                claim: Claim::Given,
                pending_bytes: PENDING_BYTES,
                spool: None,
                sieve: None,
            },
            hooks: Hooks {
                notice: Box::new(move |notice| {
                    if let Notice::Committed { events, .. } = notice {
                        told.commits.fetch_add(1, Ordering::Relaxed);
                        told.events.fetch_add(events, Ordering::Relaxed);
                    }
                }),
                ..Hooks::quiet()
            },
            remembered: None,
        };
        let outset = parts.outlet();
        let found = outset.read(server.epoch().as_deref()).await?;
        let begun = outset.begin(found);
        let (clock, nudge) = (Arc::new(Utc::now), Nudge::new());
        let (observer, _companions) =
            ComposeObserver::new(client, server, &settings, INTERVAL, clock.clone(), &nudge);
        let sources = FixedSources::one(source.id, source.source);
        let schedule = self.schedule.clone();
        let mut builder =
            ObservationRuntime::builder(observer, sources, begun.committer, schedule, clock)
                .nudge(nudge);
        if let Some(state) = begun.state {
            let epoch = Epoch::new(begun.epoch);
            builder = builder.resume_in(state, epoch);
        }
        Ok(builder.build())
    }

    fn ended(&self, _source: &SourceId, _occasion: Occasion, _end: &EndBy<Self>) -> Decision {
        Decision::RestartAfter(Duration::from_secs(5))
    }
}

/// The sockets in a folder, each under the name of its file.
fn sockets(folder: &Path) -> Result<Vec<ObservedSource<Endpoint>>, Box<dyn std::error::Error>> {
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.extension().is_some_and(|end| end == "sock") {
            let id: SourceId = format!("site-{name}").parse()?;
            sources.push(ObservedSource::new(id, Endpoint::Unix(path)));
        }
    }
    Ok(sources)
}

#[tokio::main]
#[expect(
    clippy::print_stdout,
    reason = "it is an example, and this is what it is for"
)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("give a folder of sockets")?;
    let sources = sockets(Path::new(&folder))?;
    let url = std::env::var("NATS_URL").unwrap_or_else(|_| DEFAULT_URL.to_owned());
    let settings = BusSettings::default().at(&url);
    let bus = connect(&settings).await?;
    ensure(&bus, &settings).await?;
    let told = Arc::new(Told::default());
    let schedule = Schedule::every(INTERVAL).build()?;
    let launch = Adapters {
        store: JetStreamStore::new(bus, DEFAULT_STREAM, Prefix::default()),
        schedule: schedule.clone(),
        told: Arc::clone(&told),
    };
    println!("{} sources", sources.len());
    let provider = FixedSources::new(sources);
    let (fleet, handle) = Fleet::new(provider, launch, &schedule, Arc::new(Utc::now));
    let token = CancellationToken::new();
    let run = tokio::spawn(fleet.run(token.clone()));
    let started = tokio::time::Instant::now();
    while !run.is_finished() {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(10)) => {}
            _ = tokio::signal::ctrl_c() => break,
        }
        let all = handle.all();
        let fresh = all
            .values()
            .filter(|source| source.latest().freshness().is_fresh());
        println!(
            "{:4} s: {} of {} fresh, {} commits, {} events",
            started.elapsed().as_secs(),
            fresh.count(),
            all.len(),
            told.commits.load(Ordering::Relaxed),
            told.events.load(Ordering::Relaxed),
        );
    }
    token.cancel();
    let end = run.await?;
    println!("{} did not end in time", end.unfinished.len());
    Ok(())
}
