//! Many stacks, one adapter: a runtime for each, one connection to the broker. Stacks come and go without disturbing the
//! others, and each has its own head, commits, spool and standby, as one alone has.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::adapter::error::AdapterError;
use crate::bus::connect::Bus;
use crate::bus::settings::BusSettings;
use crate::event::subject::Prefix;
use crate::listen::looks::Counted;
use crate::observation::ended::Ended;
use crate::observation::fleet::Fleet;
use crate::observation::launch::{BuiltBy, ChildEnd, Decision, EndBy, Launch, Occasion};
use crate::observation::outlet::{Answer, Outlet, Report};
use crate::observation::schedule::Schedule;
use crate::observation::source::{FixedSources, ObservedSource, SourceId, SourceProvider};
use crate::process::event::ProcessEvent;
use crate::process::table::Table;
use crate::process_compose::observer::ComposeObserver;
use crate::process_compose::settings::Endpoint;
use crate::render::words::count;

use super::broker_args::BrokerArgs;
use super::contact::{Patience, clock, reach};
use super::durable::{Lost, Plan, Prepared, Telling, prepare};
use super::exit::{Exit, Failure, OrExit as _};
use super::lines::Common;
use super::listening::{Listening, Shown};
use super::open::{Way, way_on};
use super::service::Service;
use super::signals::Hangups;
use super::source_args::{Place, SourceArgs};
use super::spool_args::SpoolArgs;
use super::stacks::{Stack, Stacks};
use super::terminal::{say, words};

/// How often the set of stacks is asked for.
const PACE: Duration = Duration::from_secs(1);
/// So long a stack rests that was refused, or that does not let us in: a person may mend it.
const REST: Duration = Duration::from_secs(30);

/// What the stacks have in common.
pub(super) struct Base {
    /// The broker, its prefix left to each stack.
    pub(super) broker: BusSettings,
    pub(super) args: BrokerArgs,
    pub(super) managed: bool,
    pub(super) verbose: bool,
    pub(super) spool: SpoolArgs,
    pub(super) service: Service,
    /// Who shows what is watched to those who ask, if anybody does.
    pub(super) listening: Option<Listening>,
}

/// Runs an adapter for each stack until the token is cancelled.
pub(super) async fn run(
    stacks: Arc<Stacks>,
    way: Way,
    base: Base,
    hangups: &Hangups,
    token: &CancellationToken,
) -> Result<(), Failure> {
    let schedule = Schedule::every(PACE).refresh_every(PACE);
    let schedule = schedule.build().or_exit(Exit::Usage)?;
    let (service, listening) = (base.service.clone(), base.listening.clone());
    let adapters = Adapters {
        bus: way.bus().clone(),
        base,
        common: Common::default(),
        present: Mutex::default(),
        said: Mutex::default(),
    };
    let provider = Noted {
        stacks: Arc::clone(&stacks),
        listening,
    };
    let (fleet, handle) = Fleet::new(provider, adapters, &schedule, clock());
    hangups.want();
    let mut tasks = JoinSet::new();
    tasks.spawn(fleet.run(token.clone()));
    let mut first = handle.clone();
    let begins = service.patiently("waiting for stacks to look at", async move {
        while first.all().is_empty() && first.changed().await.is_ok() {}
    });
    let reads_again = async {
        begins.await;
        std::future::pending::<()>().await;
    };
    let mut reads_again = std::pin::pin!(reads_again);
    loop {
        tokio::select! {
            Some(ended) = tasks.join_next() => {
                let ended = ended.or_exit(Exit::Refused)?;
                for source in ended.unfinished {
                    say(&format!("{source}: did not end in time; the next start finds out what became of its last commit"));
                }
                return Ok(());
            }
            () = hangups.next() => {
                stacks.read_again();
                handle.refresh();
            }
            () = &mut reads_again => {}
        }
    }
}

/// The set of stacks, noted where it is shown, so that one that cannot be looked at is missed there.
struct Noted {
    stacks: Arc<Stacks>,
    listening: Option<Listening>,
}

impl SourceProvider for Noted {
    type Source = Stack;
    type Error = Infallible;

    async fn sources(&self) -> Result<Vec<ObservedSource<Stack>>, Infallible> {
        let all = self.stacks.sources().await?;
        if let Some(listening) = &self.listening {
            listening.wants(all.iter().map(|source| source.id.clone()));
            listening.awaits(self.stacks.nameless().await);
        }
        Ok(all)
    }
}

/// Builds the adapter of each stack.
struct Adapters {
    bus: Bus,
    base: Base,
    common: Common,
    present: Mutex<BTreeMap<SourceId, Option<Shown>>>,
    /// What was last said of a stack that cannot be told, so that it is said once.
    said: Mutex<BTreeMap<SourceId, String>>,
}

/// Why the adapter of a stack could not begin.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotBegun(String);

impl From<Failure> for NotBegun {
    fn from(failure: Failure) -> Self {
        Self(failure.line())
    }
}

impl Adapters {
    /// A source is looked at from now on, and shown where anybody wants to see it.
    fn begins(&self, source: &SourceId, shown: Option<Shown>) {
        self.said().remove(source);
        self.present().insert(source.clone(), shown);
        self.count();
    }

    /// A source is looked at no more, or never was: its adapter has ended, whatever the reason.
    fn ends(&self, source: &SourceId) {
        self.present().remove(source);
        self.count();
    }

    /// Tells the service manager how many there are.
    fn count(&self) {
        let number = u64::try_from(self.present().len()).unwrap_or(u64::MAX);
        let stacks = count(number, "stack", "stacks");
        self.base.service.status(&format!("looking at {stacks}"));
    }

    fn present(&self) -> MutexGuard<'_, BTreeMap<SourceId, Option<Shown>>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn said(&self) -> MutexGuard<'_, BTreeMap<SourceId, String>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plan(&self, source: &SourceId, stack: &Stack) -> Result<Plan, Failure> {
        let base = &self.base;
        let broker = BusSettings {
            prefix: base.args.writing_prefix(source.as_str())?,
            ..base.broker.clone()
        };
        Ok(Plan {
            args: SourceArgs {
                interval: stack.interval,
                evidence: stack.settings.evidence,
                ..SourceArgs::default()
            },
            broker,
            claim: stack.claim,
            sieve: stack.sieve.clone(),
            managed: base.managed,
            patience: Patience::Wait,
            verbose: base.verbose,
            announce: true,
            spool: base.spool.clone(),
            service: base.service.clone(),
            common: self.common.clone(),
            listening: base.listening.clone(),
        })
    }

    async fn prepared(
        &self,
        source: ObservedSource<Stack>,
        beside: &Beside,
    ) -> Result<Prepared<Attended>, Failure> {
        let ObservedSource { id, source: stack } = source;
        let plan = self.plan(&id, &stack)?;
        let place = Place {
            settings: stack.settings,
            why: String::new(),
            name: None,
        };
        // Dropped with this future; nothing else cancels it.
        let token = CancellationToken::new();
        let cancelled = || Failure::say(Exit::Refused, "asked to end");
        let contact = reach(place, Some(id.as_str()), Patience::Wait, &token).await?;
        let contact = contact.ok_or_else(cancelled)?;
        let (way, _) = way_on(&self.bus, &plan.broker, Patience::Wait).await?;
        let lost = Lost::default();
        let outlet = |outlet| Attended {
            outlet,
            beside: beside.clone(),
        };
        let prepared = prepare(&contact, way, &plan, &lost, &token, outlet).await?;
        prepared.ok_or_else(cancelled)
    }
}

impl Launch for Adapters {
    type Source = Stack;
    type Observer = Counted<ComposeObserver>;
    type Outlet = Attended;
    type Provider = FixedSources<Endpoint>;
    type Error = NotBegun;

    async fn launch(&self, source: ObservedSource<Stack>) -> Result<BuiltBy<Self>, NotBegun> {
        let id = source.id.clone();
        if let Some(listening) = &self.base.listening {
            listening.tries(&id);
        }
        let beside = Beside::default();
        let Prepared {
            runtime,
            handle,
            beside: (companions, desk),
            shown,
        } = Box::pin(self.prepared(source, &beside)).await?;
        beside.spawn(|token| companions.run(token));
        beside.spawn(|token| desk.run(token));
        self.begins(&id, shown);
        Ok((runtime, handle))
    }

    fn ended(&self, source: &SourceId, occasion: Occasion, end: &EndBy<Self>) -> Decision {
        self.ends(source);
        let why = match end {
            ChildEnd::Ended(Ended::Cancelled) => None,
            ChildEnd::Ended(Ended::CutOff) => {
                Some("the last commit was not acknowledged in time".to_owned())
            }
            ChildEnd::Ended(Ended::Refused(error)) => Some(chain(error)),
            ChildEnd::Ended(Ended::Fatal(error)) => Some(error.to_string()),
            ChildEnd::NotLaunched(error) => Some(error.to_string()),
            ChildEnd::Panicked(words) => Some(format!("a mistake of ours: {words}")),
        };
        let why = why.map(|why| words().clean(&why, 1000).into_owned());
        if let Some(listening) = &self.base.listening {
            listening.lacks(source, why.as_deref());
        }
        match (occasion, why) {
            (Occasion::SourceLeft, _) => {
                self.said().remove(source);
                say(&format!("{source}: no longer looked at"));
            }
            (Occasion::Unasked, why) => {
                let why = why.unwrap_or_else(|| "ended".to_owned());
                let line = format!("{source}: {why}; tried again every {} s", REST.as_secs());
                let former = self.said().insert(source.clone(), line.clone());
                if former.as_ref() != Some(&line) {
                    say(&line);
                }
            }
            (_, Some(why)) => say(&format!("{source}: {why}")),
            (Occasion::Replaced | Occasion::FleetEnds, None) => {}
        }
        Decision::RestartAfter(REST)
    }
}

/// An error and its causes in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let all: Vec<String> = causes.map(ToString::to_string).collect();
    all.join(": ")
}

/// What runs beside the looks of one stack, for as long as its outlet lives.
#[derive(Debug, Clone, Default)]
struct Beside(Arc<Mutex<Tasks>>);

#[derive(Debug, Default)]
struct Tasks {
    token: CancellationToken,
    set: JoinSet<()>,
}

impl Beside {
    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(
        &self,
        work: impl FnOnce(CancellationToken) -> F,
    ) {
        let mut tasks = self.tasks();
        let work = work(tasks.token.clone());
        tasks.set.spawn(work);
    }

    /// What ended although nobody asked it to.
    fn broken(&self) -> Option<String> {
        let mut tasks = self.tasks();
        let joined = tasks.set.try_join_next()?;
        Some(match joined {
            Ok(()) => "what runs beside the looks ended".to_owned(),
            Err(error) => error.to_string(),
        })
    }

    /// Lets everything end in order.
    async fn end(&self) {
        let mut set = {
            let mut tasks = self.tasks();
            tasks.token.cancel();
            std::mem::take(&mut tasks.set)
        };
        while set.join_next().await.is_some() {}
    }
}

/// The outlet of one of several stacks: whatever runs beside its looks ends with it, and ends it.
#[derive(Debug)]
struct Attended {
    outlet: Telling,
    beside: Beside,
}

/// Why it takes nothing any more.
#[derive(Debug, thiserror::Error)]
enum AttendedError {
    #[error(transparent)]
    Told(#[from] AdapterError),
    /// An adapter that only seems alive is worse than none.
    #[error("{0}")]
    Broken(String),
}

impl Outlet<Table, ProcessEvent> for Attended {
    type Error = AttendedError;

    async fn report(
        &mut self,
        report: Report<'_, Table, ProcessEvent>,
    ) -> Result<Answer<Table>, AttendedError> {
        if let Some(why) = self.beside.broken() {
            return Err(AttendedError::Broken(why));
        }
        Ok(self.outlet.report(report).await?)
    }

    async fn close(&mut self) -> Result<(), AttendedError> {
        self.beside.end().await;
        Ok(self.outlet.close().await?)
    }
}

/// The prefix that all stacks share. One with the name of the source in it would want a stream for each.
pub(super) fn common_prefix(args: &BrokerArgs) -> Result<Prefix, Failure> {
    if args.subject_prefix.contains("{source}") {
        return Err(Failure::say(
            Exit::Usage,
            "several stacks share one stream: {source} in --subject-prefix needs an adapter for each of them",
        ));
    }
    args.writing_prefix("all")
}
