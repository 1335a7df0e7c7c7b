//! One adapter: a source, a broker, and everything that runs between them until the token is cancelled.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::adapter::error::AdapterErrorKind;
use crate::adapter::settings::{Claim, Hooks, PENDING_BYTES, Settings};
use crate::adapter::start::{Beginning, Begun, Parts};
use crate::bus::connect::{Bus, connect};
use crate::bus::error::{BusError, Kind};
use crate::bus::publish::JetStreamStore;
use crate::bus::settings::{BusSettings, FirstConnect};
use crate::bus::stream;
use crate::observation::delta::Epoch;
use crate::observation::ended::Ended;
use crate::observation::handle::Nudge;
use crate::observation::runtime::ObservationRuntime;
use crate::observation::source::FixedSources;
use crate::process::event::TellProcess;
use crate::process::rows::ProcessRows;
use crate::process::table::Table;
use crate::process_compose::observer::ComposeObserver;
use crate::process_compose::server::identify;
use crate::render::notice::{self, Away, Side};

use super::contact::{Contact, Patience, clock};
use super::direct::{error_word, join, schedule};
use super::exit::{Exit, Failure, OrExit as _};
use super::lines::Lines;
use super::memory::Memory;
use super::source_args::SourceArgs;
use super::terminal::{say, words};

/// How long a broker may take to answer before its absence is said.
const QUIET: Duration = Duration::from_secs(1);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// What an adapter needs beside its source.
pub(super) struct Plan {
    pub(super) args: SourceArgs,
    pub(super) broker: BusSettings,
    pub(super) claim: Claim,
    /// Whether each commit is worth a line.
    pub(super) verbose: bool,
    /// Whether the first line is wanted.
    pub(super) announce: bool,
}

/// Connects. Whoever may wait for a broker that is away still learns at once that one is there and does not let us in.
pub(super) async fn connect_or_wait(settings: &BusSettings) -> Result<Bus, BusError> {
    let now = BusSettings {
        first_connect: FirstConnect::MustSucceed,
        ..settings.clone()
    };
    match Box::pin(connect(&now)).await {
        Err(BusError::Unreachable { .. }) if settings.first_connect == FirstConnect::MayWait => {
            Box::pin(connect(settings)).await
        }
        connected => connected,
    }
}

/// Connects to the broker and sees to the stream; `None` where the wait was cancelled.
pub(super) async fn open(
    settings: &BusSettings,
    patience: Patience,
    token: &CancellationToken,
) -> Result<Option<Bus>, Failure> {
    let first_connect = match patience {
        Patience::Wait => FirstConnect::MayWait,
        Patience::End => FirstConnect::MustSucceed,
    };
    let wanted = BusSettings {
        first_connect,
        ..settings.clone()
    };
    let Some(bus) = token.run_until_cancelled(connect_or_wait(&wanted)).await else {
        return Ok(None);
    };
    let bus = bus.map_err(broker_failure)?;
    let shown = settings.display_url();
    let away = Away {
        side: Side::Broker,
        name: &shown,
    };
    let mut since = None;
    loop {
        let connected = tokio::select! {
            () = token.cancelled() => return Ok(None),
            connected = tokio::time::timeout(QUIET, bus.connected()) => connected.is_ok(),
        };
        let why = if connected {
            match stream::ensure(&bus, settings).await {
                Ok(ensured) => {
                    for note in ensured.changed.iter().chain(&ensured.notes) {
                        tracing::info!(%note, "the stream");
                    }
                    break;
                }
                Err(error) if error.retry_helps() && patience == Patience::Wait => {
                    error.to_string()
                }
                Err(error) => return Err(broker_failure(error)),
            }
        } else {
            "nobody answers there; start one, or let `observe up` bring its own".to_owned()
        };
        if since.is_none() {
            since = Some(tokio::time::Instant::now());
            say(&format!(
                "{}; waiting for it",
                away.left(words(), &why).trim_end()
            ));
        }
        if token
            .run_until_cancelled(tokio::time::sleep(PAUSE))
            .await
            .is_none()
        {
            return Ok(None);
        }
    }
    if let Some(since) = since {
        say(&away.back(words(), since.elapsed()));
    }
    Ok(Some(bus))
}

/// How the program ends on a broker's error.
pub(super) fn broker_failure(error: BusError) -> Failure {
    let exit = match error.kind() {
        Kind::Invalid => Exit::Usage,
        Kind::Refused | Kind::Auth => Exit::Refused,
        Kind::Unreachable | Kind::Busy | Kind::Unknown => Exit::Broker,
    };
    Failure::new(exit, error)
}

/// Runs one adapter until the token is cancelled, or something that waiting does not mend.
pub(super) async fn run(
    contact: Contact,
    bus: Bus,
    plan: Plan,
    token: CancellationToken,
) -> Result<(), Failure> {
    let memory = Memory::open(&plan.broker.stream, contact.source.as_str())?;
    let Some(begun) = begin(&contact, &bus, &plan, &memory, &token).await? else {
        return Ok(());
    };
    if plan.announce {
        announce(&contact, &plan);
    }
    if let Beginning::Resume {
        takes_over: Some(line),
        ..
    } = &begun.beginning
    {
        say(line);
    }
    let nudge = Nudge::new();
    let (observer, companions) = ComposeObserver::new(
        Arc::clone(&contact.client),
        &contact.place.settings,
        plan.args.interval,
        clock(),
        &nudge,
    );
    let sources = FixedSources::one(
        contact.source.clone(),
        contact.place.settings.endpoint.clone(),
    );
    let schedule = schedule(&plan.args)?;
    let mut builder =
        ObservationRuntime::builder(observer, sources, begun.committer, schedule, clock())
            .nudge(nudge);
    if let Some(state) = begun.state {
        builder = resume(builder, state);
    }
    let (runtime, _handle) = builder.build();
    let mut tasks = JoinSet::new();
    let (looks, beside) = (token.clone(), token.clone());
    tasks.spawn(async move {
        let ended = runtime.run(looks.clone()).await;
        looks.cancel();
        ended_as(ended)
    });
    tasks.spawn(async move {
        companions.run(beside).await;
        Ok(())
    });
    join(&mut tasks).await
}

type Builder<L> = crate::observation::builder::RuntimeBuilder<
    ComposeObserver,
    L,
    FixedSources<crate::process_compose::settings::Endpoint>,
>;

fn resume<L>(builder: Builder<L>, state: Table) -> Builder<L>
where
    L: crate::observation::outlet::Outlet<Table, crate::process::event::ProcessEvent>,
{
    // A table that starts empty has no epoch yet: its first look is told.
    if state.epoch().is_empty() {
        return builder.resume(state);
    }
    let epoch = Epoch::new(Arc::clone(state.epoch()));
    builder.resume_in(state, epoch)
}

fn ended_as<O, L>(ended: Ended<O, L>) -> Result<(), Failure>
where
    O: std::error::Error + Send + Sync + 'static,
    L: std::error::Error + Send + Sync + 'static,
{
    match ended {
        Ended::Cancelled => Ok(()),
        Ended::CutOff => {
            say(
                "the last commit was not acknowledged in time; the next start finds out what became of it",
            );
            Ok(())
        }
        Ended::Refused(error) => Err(Failure::new(Exit::Refused, error)),
        Ended::Fatal(error) => Err(Failure::say(Exit::Source, error)),
    }
}

type Durable = Begun<JetStreamStore, TellProcess, ProcessRows>;

/// Reads the head and decides how to go on; `None` where the wait was cancelled.
async fn begin(
    contact: &Contact,
    bus: &Bus,
    plan: &Plan,
    memory: &Memory,
    token: &CancellationToken,
) -> Result<Option<Durable>, Failure> {
    let store = JetStreamStore::new(bus.clone(), &plan.broker.stream, plan.broker.prefix.clone());
    let parts = Parts {
        store: Arc::new(store.remade_by(plan.broker.clone())),
        tell: TellProcess,
        rows: ProcessRows,
        settings: Settings {
            source: contact.source.as_str().to_owned(),
            adapter: memory.adapter().to_owned(),
            interval: plan.args.interval,
            identity: contact.identity(),
            prefix: plan.broker.prefix.clone(),
            claim: plan.claim,
            pending_bytes: PENDING_BYTES,
        },
        hooks: hooks(contact, plan, memory),
        remembered: memory.remembered(),
    };
    let mut epoch = contact.server.epoch();
    let mut asked = false;
    loop {
        match parts.read(epoch.as_deref()).await {
            Ok(found) => return Ok(Some(parts.begin(found))),
            Err(crate::adapter::error::AdapterError::OtherServer {
                ask_again: true, ..
            }) if !asked => {
                asked = true;
                epoch = identify(&contact.client)
                    .await
                    .or_exit(Exit::Source)?
                    .epoch();
                continue;
            }
            Err(error) if error.kind() == AdapterErrorKind::Transient => {
                tracing::info!(error = %format!("{:#}", anyhow::Error::from(error)), "the head cannot be read yet");
            }
            Err(error) => return Err(Failure::new(Exit::Refused, error)),
        }
        if token
            .run_until_cancelled(tokio::time::sleep(PAUSE))
            .await
            .is_none()
        {
            return Ok(None);
        }
    }
}

fn announce(contact: &Contact, plan: &Plan) {
    let evidence = match plan.args.evidence {
        crate::process_compose::settings::Evidence::Auto => {
            "with its state stream where it has one"
        }
        crate::process_compose::settings::Evidence::Off => "looks only",
    };
    let line = notice::Beginning {
        source: contact.source.as_str(),
        address: &contact.client.place(),
        supervisor: &contact.supervisor(),
        evidence,
        broker: &plan.broker.display_url(),
        stream: &plan.broker.stream,
        interval: plan.args.interval,
    };
    say(&line.line(words()));
}

/// What the adapter calls back: one line for everything a person should know.
fn hooks(contact: &Contact, plan: &Plan, memory: &Memory) -> Hooks {
    let (source, address) = (contact.source.as_str().to_owned(), contact.client.place());
    let (broker, verbose) = (plan.broker.display_url(), plan.verbose);
    let mut lines = Lines::new([source, address, broker], verbose);
    let keeper = memory.clone();
    Hooks {
        word: Box::new(error_word),
        acknowledged: Box::new(move |acknowledged| keeper.remember(acknowledged)),
        notice: Box::new(move |notice| {
            if let Some(line) = lines.line(&notice) {
                say(&line);
            }
        }),
        ..Hooks::quiet()
    }
}
