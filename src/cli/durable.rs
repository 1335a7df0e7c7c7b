//! One adapter: a source, a broker, and everything that runs between them until the token is cancelled.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::adapter::commit::Committer;
use crate::adapter::settings::{Claim, Notice, SpoolPlace};
use crate::adapter::start::Beginning;
use crate::bus::connect::Bus;
use crate::bus::publish::JetStreamStore;
use crate::bus::settings::BusSettings;
use crate::event::sieve::Sieve;
use crate::listen::looks::Counted;
use crate::observation::delta::Epoch;
use crate::observation::ended::Ended;
use crate::observation::handle::{Nudge, ObservationHandle};
use crate::observation::outlet::Outlet;
use crate::observation::runtime::ObservationRuntime;
use crate::observation::source::{FixedSources, SourceId};
use crate::process::event::{ProcessEvent, TellProcess};
use crate::process::rows::ProcessRows;
use crate::process::table::Table;
use crate::process_compose::control::IntentBook;
use crate::process_compose::observer::{Companions, ComposeObserver};
use crate::process_compose::settings::Endpoint;

use super::begin::{Keeping, announce, begin};
use super::contact::{Contact, Patience, clock};
use super::desk::Desk;
use super::direct::{LAST_BACKOFF, join, schedule};
use super::exit::{Exit, Failure};
use super::lines::Common;
use super::listening::{Listening, Shown, show};
use super::memory::{Address, Memory};
use super::open::Way;
use super::service::{Heard, Service};
use super::source_args::SourceArgs;
use super::spool_args::SpoolArgs;
use super::terminal::{say, words};

/// How it is while it is not known yet whose the head is.
const SORTING: &str = "finding out what was told last";

/// What an adapter needs beside its source.
pub(super) struct Plan {
    pub(super) args: SourceArgs,
    pub(super) broker: BusSettings,
    pub(super) claim: Claim,
    /// Which events are not told.
    pub(super) sieve: Option<Arc<Sieve>>,
    /// Whether the broker is the managed one, whose address changes.
    pub(super) managed: bool,
    pub(super) patience: Patience,
    /// Whether each commit is worth a line.
    pub(super) verbose: bool,
    /// Whether the first line is wanted.
    pub(super) announce: bool,
    /// What is kept while the broker is away.
    pub(super) spool: SpoolArgs,
    /// Who started us, and wants to be told how it is.
    pub(super) service: Service,
    /// Who shows what is watched to those who ask, if anybody does.
    pub(super) listening: Option<Listening>,
    /// What is said of the broker together with others.
    pub(super) common: Common,
}

/// How firmly a source's name is ours.
pub(super) fn claim(adopt: bool, named: bool) -> Claim {
    match (adopt, named) {
        (true, _) => Claim::Adopt,
        (false, true) => Claim::Given,
        (false, false) => Claim::Derived,
    }
}

impl Plan {
    fn memory(&self, source: &str) -> Result<Memory, Failure> {
        let shown = self.broker.display_url();
        Memory::open(Address {
            broker: if self.managed { "managed" } else { &shown },
            prefix: self.broker.prefix.as_str(),
            stream: &self.broker.stream,
            source,
        })
    }

    /// Where people's commands are asked to leave their intents.
    fn desk(
        &self,
        source: &SourceId,
        (bus, memory): (Bus, &Memory),
        (handle, book): (&ObservationHandle<Table, ProcessEvent>, IntentBook),
    ) -> Desk {
        Desk {
            bus,
            subject: self.broker.prefix.control(source.as_str()),
            adapter: memory.adapter().to_owned(),
            interval: self.args.interval,
            handle: handle.clone(),
            book,
        }
    }

    /// Where what the broker has not taken waits. A folder that cannot be used is said, and memory has to do.
    fn place(&self, memory: &Memory) -> Option<SpoolPlace> {
        let limit = self.spool.spool_max;
        if limit == 0 {
            return None;
        }
        match memory.spool(self.spool.spool_dir.as_deref()) {
            Ok(path) => Some(SpoolPlace { path, limit }),
            Err(error) => {
                let why = words().clean(&format!("{error:#}"), 400).into_owned();
                say(&format!(
                    "nothing can wait on the disk: {why}; memory keeps a little"
                ));
                None
            }
        }
    }
}

/// The outlet of an adapter: what it has taken on is told, and each of its answers is a sign of life.
pub(super) type Telling = Heard<Committer<JetStreamStore, TellProcess, ProcessRows>>;

/// An adapter that has begun and only needs to be run.
pub(super) struct Prepared<L: Outlet<Table, ProcessEvent>> {
    pub(super) runtime: ObservationRuntime<Counted<ComposeObserver>, L, FixedSources<Endpoint>>,
    pub(super) handle: ObservationHandle<Table, ProcessEvent>,
    /// What runs beside the looks.
    pub(super) beside: (Companions, Desk),
    /// Where it is shown, for as long as this lives.
    pub(super) shown: Option<Shown>,
}

/// Reads the head, decides how to go on, and builds everything that is to run; `None` where it was cancelled.
pub(super) async fn prepare<L: Outlet<Table, ProcessEvent>>(
    contact: &Contact,
    way: Way,
    plan: &Plan,
    lost: &Lost,
    token: &CancellationToken,
    outlet: impl FnOnce(Telling) -> L,
) -> Result<Option<Prepared<L>>, Failure> {
    let bus = way.bus().clone();
    let memory = plan.memory(contact.source.as_str())?;
    let spool = plan.place(&memory);
    let listening = plan.listening.as_ref();
    let account = listening.map(|listening| listening.account(&contact.source));
    let keeping = Keeping {
        memory: &memory,
        lost,
        spool,
        account: account.as_ref(),
    };
    let begin = Box::pin(begin(contact, way, plan, keeping, token));
    let Some(begun) = plan.service.patiently(SORTING, begin).await? else {
        return Ok(None);
    };
    greet(contact, plan, &begun.beginning);
    let nudge = Nudge::new();
    let (observer, companions) = ComposeObserver::new(
        Arc::clone(&contact.client),
        contact.server.clone(),
        &contact.place.settings,
        plan.args.interval,
        clock(),
        &nudge,
    );
    let book = observer.intents();
    let looks = account.as_ref().map(|account| Arc::clone(&account.looks));
    let observer = Counted::new(observer, looks);
    let sources = FixedSources::one(
        contact.source.clone(),
        contact.place.settings.endpoint.clone(),
    );
    let schedule = schedule(&plan.args)?;
    let turn = plan.args.interval.max(LAST_BACKOFF) + schedule.timeout();
    let outlet = outlet(plan.service.listen(begun.committer, turn));
    let mut builder =
        ObservationRuntime::builder(observer, sources, outlet, schedule, clock()).nudge(nudge);
    if let Some(state) = begun.state {
        builder = resume(builder, state);
    }
    let (runtime, handle) = builder.build();
    let shown = show(listening, account, (&handle, turn)).await?;
    let desk = plan.desk(&contact.source, (bus, &memory), (&handle, book));
    Ok(Some(Prepared {
        runtime,
        handle,
        beside: (companions, desk),
        shown,
    }))
}

/// Runs one adapter until the token is cancelled, or something that waiting does not mend.
pub(super) async fn run(
    contact: Contact,
    way: Way,
    plan: Plan,
    token: &CancellationToken,
) -> Result<(), Failure> {
    let token = token.child_token();
    let lost = Lost::default();
    let prepare = Box::pin(prepare(&contact, way, &plan, &lost, &token, |outlet| {
        outlet
    }));
    let Some(Prepared {
        runtime,
        beside,
        shown,
        ..
    }) = prepare.await?
    else {
        return Ok(());
    };
    let looks = Box::pin(runtime.run(token.clone()));
    let ended = together(looks, beside, lost, token).await;
    drop(shown);
    ended
}

/// The first lines.
fn greet(contact: &Contact, plan: &Plan, beginning: &Beginning) {
    if plan.announce {
        announce(contact, plan);
    }
    if let Beginning::Resume {
        takes_over: Some(line),
        ..
    } = beginning
    {
        say(line);
    }
}

/// Runs the looks and what stands beside them. Whichever ends first, also by a panic, ends the other: an adapter that
/// only seems alive is worse than none.
async fn together<O, L>(
    looks: impl Future<Output = Ended<O, L>> + Send + 'static,
    (companions, desk): (Companions, Desk),
    lost: Lost,
    token: CancellationToken,
) -> Result<(), Failure>
where
    O: std::error::Error + Send + Sync + 'static,
    L: std::error::Error + Send + Sync + 'static,
{
    let mut tasks = JoinSet::new();
    let (looking, answering, beside) = (token.clone(), token.clone(), token);
    tasks.spawn(async move {
        let _ends = looking.drop_guard();
        ended_as(looks.await)
    });
    let companions = Box::pin(companions.run(beside.clone()));
    tasks.spawn(async move {
        let _ends = beside.drop_guard();
        tokio::select! {
            () = companions => Ok(()),
            failure = lost.wait() => Err(failure),
        }
    });
    tasks.spawn(async move {
        let _ends = answering.clone().drop_guard();
        desk.run(answering).await;
        Ok(())
    });
    join(&mut tasks).await
}

/// Notes that a side left, for those who do not wait for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Lost(Arc<std::sync::OnceLock<Exit>>, Arc<tokio::sync::Notify>);

impl Lost {
    pub(super) fn note(&self, notice: &Notice) {
        let exit = match notice {
            Notice::SourceAway { .. } => Exit::Source,
            Notice::BrokerAway { .. } => Exit::Broker,
            _ => return,
        };
        self.0.get_or_init(|| exit);
        self.1.notify_one();
    }

    async fn wait(&self) -> Failure {
        loop {
            if let Some(exit) = self.0.get() {
                let side = if *exit == Exit::Source {
                    "source"
                } else {
                    "broker"
                };
                return Failure::say(*exit, format!("the {side} is away (--no-retry)"));
            }
            self.1.notified().await;
        }
    }
}

type Builder<L> = crate::observation::builder::RuntimeBuilder<
    Counted<ComposeObserver>,
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
