//! `observe wait`: until a condition holds, fails, or the time is up.

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::broker::Lease;
use crate::event::filter::Filter;
use crate::process::waiting::{Decision, Entry, Outlook, Waiting};
use crate::render::outcome::{Ended, Ending};

use super::choose::{Question, Way, way};
use super::contact::{Contact, Patience, reach};
use super::exit::{Exit, Failure, OrExit as _, Outcome};
use super::heads::Heads;
use super::sources::{Own, Sources, Step};
use super::terminal::{Output, say, words};
use super::wait_args::WaitArgs;

/// How often a source in reach is searched for while nothing else is known of it.
const SEARCH: Duration = Duration::from_secs(3);
/// The most such a search may take.
const SEARCH_LIMIT: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
Examples:
  observe wait                                  until every process is ready
  observe wait --timeout 5m --stable 3s         and has been for three seconds
  observe wait api 'web-*' --fail-on crashed    these processes or groups; end at once when one crashes
  observe wait migrate --for exited=0           a job
  observe wait 'w*' --for crashed --any         one of these crashed
  observe wait -o json | jq '.processes[] | select(.outcome != \"met\")'

Without a broker it looks at the stack itself. Exit codes: 0 it holds, 1 it failed or cannot come true any more, 3 there
is no stack, 4 the broker is away, 124 the time is up; on 1 and 124 one line for each process that is not there.";

/// Waits until processes are ready, or whatever else is waited for.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Wait {
    /// Processes or groups, by name or glob; without one every process that is not disabled
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    what: WaitArgs,
    /// What is written at the end: text says it on stderr, json is one object on stdout
    #[arg(short = 'o', long, value_name = "FORMAT", value_enum, default_value_t)]
    output: As,
    /// The same as -o json
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

/// What is written at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum As {
    #[default]
    Text,
    Json,
}

/// Waits.
pub(super) async fn run(args: Wait, token: CancellationToken) -> Outcome {
    let wish = args.what.wish(&args.names)?;
    let mut waiting = Waiting::new(wish);
    let mut watch = Watch::new("observe wait", &args.what)?;
    let Some(waited) = token
        .run_until_cancelled(watch.until(&mut waiting, &token))
        .await
    else {
        return Ok(Exit::Done);
    };
    let waited = waited?;
    watch.end().await?;
    if args.json || args.output == As::Json {
        let output = Output::open();
        let object = waited.ended(&waiting).json().or_exit(Exit::Refused)?;
        // A reader that left has had enough.
        drop(output.line(object).await);
        output.finish().await?;
    }
    Ok(waited.tell(&waiting))
}

/// How a waiting ended.
pub(super) struct Waited {
    pub(super) ending: Ending,
    pub(super) took: Duration,
    pub(super) outlook: Outlook,
}

impl Waited {
    pub(super) fn ended<'a>(&'a self, waiting: &'a Waiting) -> Ended<'a> {
        Ended {
            ending: self.ending,
            wish: waiting.wish(),
            waited: self.took,
            entries: &self.outlook.entries,
        }
    }

    /// Says it on stderr, and gives the exit code.
    pub(super) fn tell(&self, waiting: &Waiting) -> Exit {
        let ended = self.ended(waiting);
        if self.ending == Ending::Met {
            if std::io::stderr().is_terminal() {
                say(&ended.line());
            }
            return Exit::Done;
        }
        say(&format!("observe: {}", ended.line()));
        for line in ended.unmet(words()) {
            say(&format!("  {line}"));
        }
        if self.outlook.entries.is_empty() {
            say("  no process was seen in that time");
        }
        match self.ending {
            Ending::Timeout => Exit::Timeout,
            _ => Exit::Refused,
        }
    }
}

/// Sources that are followed for somebody who waits.
pub(super) struct Watch<'a> {
    name: &'static str,
    args: &'a WaitArgs,
    filter: Filter,
    began: Instant,
    sources: Option<Sources>,
    /// What keeps the broker while it is used.
    lease: Option<Lease>,
    search_at: Instant,
    /// Whether a source was ever named.
    found: bool,
    /// Whether a table of one was ever judged by.
    looked: bool,
}

impl<'a> Watch<'a> {
    pub(super) fn new(name: &'static str, args: &'a WaitArgs) -> Result<Self, Failure> {
        Ok(Self {
            name,
            args,
            filter: args.sources()?,
            began: Instant::now(),
            sources: None,
            lease: None,
            search_at: Instant::now(),
            found: false,
            looked: false,
        })
    }

    /// Follows the sources until the condition holds, fails, or the time is up.
    pub(super) async fn until(
        &mut self,
        waiting: &mut Waiting,
        token: &CancellationToken,
    ) -> Result<Waited, Failure> {
        let end = self.began + self.args.timeout;
        let mut outlook = Outlook {
            decision: Decision::Wait,
            entries: Vec::new(),
        };
        let waited = timeout_at(end, self.follow(waiting, &mut outlook, token)).await;
        let ending = match waited {
            Ok(ended) => ended?,
            Err(_) => self.out_of_time()?,
        };
        Ok(Waited {
            ending,
            took: self.began.elapsed(),
            outlook,
        })
    }

    async fn follow(
        &mut self,
        waiting: &mut Waiting,
        outlook: &mut Outlook,
        token: &CancellationToken,
    ) -> Result<Ending, Failure> {
        if self.sources.is_none() {
            self.open(token).await?;
        }
        loop {
            if let Step::Record(record) = self.step().await? {
                waiting.see(&record.envelope);
            }
            self.look_ourselves(token).await?;
            let Some(sources) = &mut self.sources else {
                continue;
            };
            let Some(sights) = sources.sights(self.began) else {
                continue;
            };
            if !self.found
                && let Some(view) = sights.0.first()
            {
                self.found = true;
                tracing::info!(source = ?view.source, "the first source is known");
            }
            let now = self.began.elapsed();
            if !self.found && now >= self.args.grace && !sources.is_away() {
                return Err(Failure::say(Exit::Source, self.nobody()));
            }
            *outlook = waiting.look(&sights.seen(), now);
            if !self.looked && sights.0.iter().any(|view| view.stands.is_ok()) {
                self.looked = true;
                let (entries, met) = (&outlook.entries, Entry::is_met);
                let met = entries.iter().filter(|entry| met(entry)).count();
                tracing::info!(of = entries.len(), met, "the first look");
            }
            match outlook.decision {
                Decision::Met => return Ok(Ending::Met),
                Decision::Failed => return Ok(Ending::Failed),
                Decision::Wait => {}
            }
        }
    }

    /// The next thing that happens.
    pub(super) async fn step(&mut self) -> Result<Step, Failure> {
        match &mut self.sources {
            Some(sources) => sources.next().await,
            None => Ok(Step::Look),
        }
    }

    /// What is known now, where everything known is of one moment.
    pub(super) fn outlook(&mut self, waiting: &mut Waiting) -> Option<Outlook> {
        let sights = self.sources.as_mut()?.sights(self.began)?;
        Some(waiting.look(&sights.seen(), self.began.elapsed()))
    }

    /// Waits until what happened by now has been told.
    pub(super) fn settled(&self) -> impl Future<Output = ()> + use<> {
        let settled = self.sources.as_ref().map(Sources::settled);
        async move {
            if let Some(settled) = settled {
                settled.await;
            }
        }
    }

    /// Ends what runs.
    pub(super) async fn end(&mut self) -> Result<(), Failure> {
        self.lease = None;
        match self.sources.take() {
            Some(sources) => sources.end().await,
            None => Ok(()),
        }
    }

    fn nobody(&self) -> String {
        match &self.sources {
            Some(Sources::Told(heads)) => format!(
                "no source that is wanted tells anything into the broker at {}",
                heads.address()
            ),
            _ => "no process-compose was found".to_owned(),
        }
    }

    /// Why nothing is known when the time is up.
    fn out_of_time(&self) -> Result<Ending, Failure> {
        match &self.sources {
            Some(Sources::Told(heads)) if heads.is_away() => Err(Failure::say(
                Exit::Broker,
                format!("the broker at {} is away", heads.address()),
            )),
            None if self.args.grace >= self.args.timeout => {
                Err(Failure::say(Exit::Source, self.nobody()))
            }
            _ => Ok(Ending::Timeout),
        }
    }

    async fn open(&mut self, token: &CancellationToken) -> Result<(), Failure> {
        let args = self.args;
        let question = Question {
            name: self.name,
            direct: args.direct,
            kept: false,
            patience: Patience::Wait,
            fallback: "looking at the stack itself",
        };
        let way = way(question, &args.place, &args.broker).await?;
        let sources = match way {
            Way::Direct => Sources::Own(self.own(token).await?),
            Way::Bus(bus, settings, lease) => {
                self.lease = lease;
                let chosen = args.is_chosen();
                let heads = Heads::begin(bus, *settings, self.filter.clone(), chosen);
                Sources::Told(Box::new(heads))
            }
        };
        self.sources = Some(sources);
        Ok(())
    }

    /// Finds the stack, within the grace.
    async fn own(&self, token: &CancellationToken) -> Result<Own, Failure> {
        let found = async {
            let Some(place) = self
                .args
                .place
                .find_patiently_as(self.args.only_source(), Patience::Wait, token)
                .await?
            else {
                return Ok(None);
            };
            reach(place, None, Patience::Wait, token).await
        };
        let contact = match timeout_at(self.began + self.args.grace, found).await {
            Ok(contact) => contact?,
            Err(_) => None,
        };
        let Some(contact) = contact else {
            return Err(Failure::say(
                Exit::Source,
                "no process-compose answered within the grace (--grace)",
            ));
        };
        if !self.filter.wants_source(contact.source.as_str()) {
            let (name, place) = (contact.source.as_str(), contact.client.place());
            return Err(Failure::say(
                Exit::Refused,
                format!("the stack at {place} is called {name}, which --source does not want"),
            ));
        }
        Own::begin(&contact, &self.args.place, token)
    }

    /// Where a head cannot be told from a dead adapter's, a look of our own is better, if the stack is in reach.
    async fn look_ourselves(&mut self, token: &CancellationToken) -> Result<(), Failure> {
        let Some(Sources::Told(heads)) = &self.sources else {
            return Ok(());
        };
        if !heads.is_doubtful() || self.search_at > Instant::now() {
            return Ok(());
        }
        self.search_at = Instant::now() + SEARCH;
        let Some(contact) = in_reach(self.args, token).await else {
            return Ok(());
        };
        if !heads.is_one_of_them(contact.source.as_str(), &contact.server.project) {
            return Ok(());
        }
        let own = Own::begin(&contact, &self.args.place, token)?;
        let why = heads.doubt(contact.source.as_str());
        let line = format!("{why}: looking at the stack itself");
        if heads.is_stale() {
            say(&line);
        } else {
            tracing::info!("{line}");
        }
        self.sources = Some(Sources::Own(own));
        Ok(())
    }
}

/// The stack, where it answers at once.
async fn in_reach(args: &WaitArgs, token: &CancellationToken) -> Option<Contact> {
    let found = async {
        let place = args.place.find_as(args.only_source()).await.ok()?;
        reach(place, None, Patience::End, token).await.ok()?
    };
    tokio::time::timeout(SEARCH_LIMIT, found).await.ok()?
}
