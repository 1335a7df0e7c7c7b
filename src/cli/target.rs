//! Which stack is meant by somebody who wants something done, and which adapter is to know of it.
//!
//! Flags, the environment, the file of settings and the usual places come first, as everywhere; where they lead nowhere, or
//! `--source` names what is told into a broker and not in the file, the address stands in the head. A head is believed only
//! where the server that answers is the very run it speaks of. Tokens never come from a head, and one of the environment
//! goes to no other machine because a head names it.

use std::time::Duration;

use chrono::Utc;
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::broker::Lease;
use crate::bus::connect::Bus;
use crate::bus::control::ask;
use crate::bus::error::BusError;
use crate::bus::head::{RootAt, heads, read_head_at};
use crate::bus::settings::{BusSettings, FirstConnect};
use crate::event::filter::Pattern;
use crate::event::store::Root;
use crate::event::subject::Prefix;
use crate::process::control::{Answer, Ask};
use crate::process_compose::discovery::Discovery;
use crate::process_compose::settings::Endpoint;
use crate::render::time::since;
use crate::render::words::age;

use super::broker_args::{BrokerArgs, Choice};
use super::contact::{Contact, Patience, reach};
use super::exit::{Exit, Failure, OrExit as _};
use super::heads::rows_of;
use super::open::{broker_failure, connect_or_wait};
use super::source_args::{Place, SourceArgs, configured_names};
use super::terminal::words;

/// How long an adapter may take to answer; it may be ending a look first.
const ANSWER: Duration = Duration::from_secs(3);

/// Which stack is meant.
#[derive(Debug, Clone, Args)]
pub(super) struct TargetArgs {
    /// Source, by name or glob; observe.yaml knows its address, or its head in the broker
    ///
    /// A token of the environment is sent to an address that only a head names where that is on this machine, and nowhere else.
    #[arg(long, value_name = "SOURCE", help_heading = "Source")]
    source: Option<String>,
    /// Ask the stack alone, whatever a broker knows
    #[arg(long, help_heading = "Source")]
    direct: bool,
    #[command(flatten)]
    pub(super) place: SourceArgs,
    #[command(flatten)]
    broker: BrokerArgs,
}

/// What a command cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// The stack: a broker is asked only for an address.
    Stack,
    /// The adapter too, where there is one.
    Adapter,
}

/// The stack, and who tells of it.
pub(super) struct Target {
    pub(super) contact: Contact,
    /// The name it goes by.
    pub(super) source: String,
    pub(super) adapter: Option<Counterpart>,
}

/// The adapter of a source, as its head and its desk know it.
pub(super) struct Counterpart {
    bus: Bus,
    subject: String,
    root: Root,
    /// Whether the person chose by what the adapter tells, so that it must not be old.
    relied_on: bool,
    /// What keeps the broker while it is used.
    _lease: Option<Lease>,
}

/// A broker, and the sources that tell into it.
struct Line {
    bus: Bus,
    settings: BusSettings,
    roots: Vec<RootAt>,
    configured: bool,
    lease: Option<Lease>,
}

impl TargetArgs {
    /// Finds the stack that has processes of these names.
    pub(super) async fn find(
        &self,
        names: &[Pattern],
        need: Need,
        token: &CancellationToken,
    ) -> Result<Option<Target>, Failure> {
        let wanted = self.source.as_deref().map(Pattern::parse);
        let wanted = wanted.transpose().or_exit(Exit::Usage)?;
        let (place, line) = self.place(wanted.as_ref(), need).await?;
        let (contact, told) = match (place, &line) {
            (Some(place), _) => {
                let contact = reach(place, None, Patience::End, token).await?;
                (contact, None)
            }
            (None, Some(line)) => {
                let at = line.choose(wanted.as_ref(), names).await?;
                let contact = self.by_head(at, token).await?;
                (contact, Some(at.subject.clone()))
            }
            (None, None) => (None, None),
        };
        let Some(contact) = contact else {
            return Ok(None);
        };
        let adapter = line.and_then(|line| line.counterpart(&contact, told.as_deref()));
        let source = adapter.as_ref().map_or_else(
            || contact.source.as_str().to_owned(),
            |adapter| adapter.root.source.clone(),
        );
        let is_meant = |wanted: &Pattern| {
            let own = contact.place.name.as_deref();
            wanted.matches(&source) || own.is_some_and(|own| wanted.matches(own))
        };
        if wanted.is_some_and(|wanted| !is_meant(&wanted)) {
            let place = contact.client.place();
            return Err(Failure::say(
                Exit::Refused,
                format!("the stack at {place} is called {source}, which --source does not want"),
            ));
        }
        Ok(Some(Target {
            contact,
            source,
            adapter,
        }))
    }

    /// Where flags, environment and the usual places lead; nowhere where a head is to say it.
    async fn place(
        &self,
        wanted: Option<&Pattern>,
        need: Need,
    ) -> Result<(Option<Place>, Option<Line>), Failure> {
        let by_head = wanted.is_some() && !self.place.is_given();
        let mut line = None;
        if !self.direct && (by_head || need == Need::Adapter) {
            line = self.line().await?;
        }
        if let Some(name) = self.source.as_deref()
            && configured_names().iter().any(|own| own == name)
            && let Some(place) = self.place.configured(Some(name))?
        {
            return Ok((Some(place), line));
        }
        // A broker that only happens to be there need not know the stack beside us.
        let knows = |line: &Line| line.configured || line.has(wanted);
        if by_head && line.as_ref().is_some_and(knows) {
            return Ok((None, line));
        }
        if let Some(place) = self.place.configured(None)? {
            return Ok((Some(place), line));
        }
        let (discovered, secret) = self.place.discover().await?;
        if matches!(discovered, Discovery::None(_)) && line.is_none() && !self.direct {
            line = self.line().await?;
        }
        match discovered {
            Discovery::One(found) => Ok((Some(self.place.place(found, secret)), line)),
            Discovery::None(_) if line.as_ref().is_some_and(Line::has_fresh) => Ok((None, line)),
            none @ Discovery::None(_) => Err(Failure::say(Exit::Source, none)),
            several @ Discovery::Several(_) => Err(Failure::say(Exit::Usage, several)),
        }
    }

    /// The broker, where there is one. One that nobody configured may be missing.
    async fn line(&self) -> Result<Option<Line>, Failure> {
        let prefix = self.broker.reading_prefix()?;
        let first = FirstConnect::MustSucceed;
        let choice = self.broker.choose("observe process", prefix, first).await?;
        let configured = matches!(choice, Choice::Configured(_));
        let (settings, lease) = choice.into_parts();
        let found = async {
            let bus = connect_or_wait(&settings).await?;
            let roots = match heads(&bus, &settings.stream, &settings.prefix).await {
                Err(BusError::NoStream(_)) => Vec::new(),
                found => found?,
            };
            Ok::<_, BusError>((bus, roots))
        };
        match Box::pin(found).await {
            Ok((bus, roots)) => Ok(Some(Line {
                bus,
                settings,
                roots,
                configured,
                lease,
            })),
            Err(error) if configured => {
                let failure = broker_failure(error);
                let words = "whoever looks at the stack cannot be asked (--direct goes without)";
                Err(Failure {
                    exit: failure.exit,
                    error: failure.error.context(words),
                })
            }
            Err(error) => {
                tracing::debug!(%error, "no broker is asked");
                Ok(None)
            }
        }
    }

    /// Reaches the server that a head speaks of, and makes sure that it is that one.
    async fn by_head(
        &self,
        at: &RootAt,
        token: &CancellationToken,
    ) -> Result<Option<Contact>, Failure> {
        let Ok(root) = &at.root else { return Ok(None) };
        let shown = words().clean(&root.identity.endpoint, 200).into_owned();
        let mut fix =
            "name its address as seen from here with --address, --port, --unix-socket or --url";
        let Some(endpoint) = Endpoint::read(&root.identity.endpoint) else {
            return Err(Failure::say(
                Exit::Source,
                format!(
                    "the adapter of {} looks at it at {shown}, which says nothing here; {fix}",
                    root.source
                ),
            ));
        };
        let why = format!("the head of {}", root.source);
        let (place, is_token_kept_back) = self.place.at(endpoint, why);
        if is_token_kept_back {
            fix = "the token of the environment is sent to no other machine because a head names it: \
                   give --token-file, or the address with --address, --port or --url";
        }
        let contact = reach(place, Some(&root.source), Patience::End, token)
            .await
            .map_err(|failure| Failure {
                exit: failure.exit,
                error: failure.error.context(format!(
                    "the adapter of {} looks at it at {shown}; {fix}",
                    root.source
                )),
            })?;
        match contact {
            Some(contact) if !is_it(root, &contact) => Err(Failure::say(
                Exit::Refused,
                format!(
                    "what answers at {shown} is not the {} that its adapter looks at; {fix}",
                    root.source
                ),
            )),
            contact => Ok(contact),
        }
    }
}

/// Whether the server that answers is the very run that a head speaks of.
fn is_it(root: &Root, contact: &Contact) -> bool {
    let same_run = match contact.server.epoch() {
        Some(epoch) => epoch == root.epoch,
        None => root.identity.endpoint == contact.client.place(),
    };
    same_run && root.identity.project == contact.server.project
}

fn is_fresh(root: &Root) -> bool {
    since(root.looked_at, Utc::now()) < root.stale_after()
}

impl Line {
    fn roots(&self) -> impl Iterator<Item = (&RootAt, &Root)> {
        let known = |at: &'_ RootAt| at.root.is_ok();
        let known = self.roots.iter().filter(move |at| known(at));
        known.filter_map(|at| Some((at, at.root.as_ref().ok()?)))
    }

    fn has(&self, wanted: Option<&Pattern>) -> bool {
        self.roots()
            .any(|(_, root)| wanted.is_some_and(|wanted| wanted.matches(&root.source)))
    }

    fn has_fresh(&self) -> bool {
        self.roots().any(|(_, root)| is_fresh(root))
    }

    /// The one source that is wanted, or that has processes of these names.
    async fn choose(
        &self,
        wanted: Option<&Pattern>,
        names: &[Pattern],
    ) -> Result<&RootAt, Failure> {
        let is_wanted = |root: &Root| match wanted {
            Some(pattern) => pattern.matches(&root.source),
            None => is_fresh(root),
        };
        let mut found: Vec<_> = self.roots().filter(|(_, root)| is_wanted(root)).collect();
        if found.len() > 1 {
            let mut having = Vec::new();
            for (at, root) in found {
                if self.has_names(at, root, names).await? {
                    having.push((at, root));
                }
            }
            found = having;
        }
        match found[..] {
            [(at, _)] => Ok(at),
            [] => {
                let all: Vec<_> = self.roots().map(|(_, root)| root.source.as_str()).collect();
                let all = if all.is_empty() {
                    "nobody tells into it".to_owned()
                } else {
                    format!("there are {}", all.join(", "))
                };
                let address = self.settings.display_url();
                Err(Failure::say(
                    Exit::Refused,
                    format!("no source that is meant tells into the broker at {address}; {all}"),
                ))
            }
            _ => {
                let all: Vec<_> = found.iter().map(|(_, root)| root.source.as_str()).collect();
                Err(Failure::say(
                    Exit::Usage,
                    format!(
                        "several sources are meant: {}; choose one with --source",
                        all.join(", ")
                    ),
                ))
            }
        }
    }

    async fn has_names(
        &self,
        at: &RootAt,
        root: &Root,
        names: &[Pattern],
    ) -> Result<bool, Failure> {
        let head = read_head_at(&self.bus, &self.settings.stream, &at.subject)
            .await
            .map_err(broker_failure)?;
        let table = head.and_then(|head| rows_of(&head, root));
        Ok(table.is_some_and(|table| {
            table.rows().any(|row| {
                let group = row
                    .configuration
                    .as_deref()
                    .and_then(|it| it.group.as_deref());
                names.iter().any(|pattern| {
                    pattern.matches(&row.name) || group.is_some_and(|group| pattern.matches(group))
                })
            })
        }))
    }

    /// The adapter that looks at this server: the one whose head led here, else the one that looks at the same place, for
    /// two stacks of one project may have begun in one moment.
    fn counterpart(self, contact: &Contact, told: Option<&str>) -> Option<Counterpart> {
        let fits = |at: &RootAt, root: &Root| {
            is_it(root, contact) && told.is_none_or(|told| at.subject == told)
        };
        let place = contact.client.place();
        let all = self.roots().filter(|(at, root)| fits(at, root));
        let (at, root) = all.max_by_key(|(_, root)| {
            let is_namesake = root.source == contact.source.as_str();
            (root.identity.endpoint == place, is_namesake)
        })?;
        let prefix = Prefix::of_head(&at.subject).ok()?;
        Some(Counterpart {
            subject: prefix.control(&root.source),
            root: root.clone(),
            relied_on: told.is_some() || self.configured,
            bus: self.bus,
            _lease: self.lease,
        })
    }
}

impl Counterpart {
    /// Asks the adapter that looks. Where only those answer that stand by, one of them has answered.
    pub(super) async fn ask(&self, asked: &Ask) -> Option<Answer> {
        let payload = serde_json::to_vec(asked).ok()?;
        let read = |bytes: &[u8]| serde_json::from_slice::<Answer>(bytes).ok();
        let looks = |bytes: &[u8]| read(bytes).is_some_and(|answer| !answer.stands_by);
        match ask(&self.bus, &self.subject, payload, ANSWER, looks).await {
            Ok(answers) => answers.iter().rev().find_map(|bytes| read(bytes)),
            Err(error) => {
                tracing::info!(%error, "the adapter cannot be asked");
                None
            }
        }
    }

    /// Refuses where what the adapter saw last is older than three of its intervals, and the person may have chosen by it.
    pub(super) async fn is_recent(&self) -> Result<(), Failure> {
        if !self.relied_on {
            return Ok(());
        }
        let ago = since(self.root.looked_at, Utc::now());
        let (old, ago) = match self.ask(&Ask::State).await {
            Some(answer) if !answer.stands_by => {
                let ago = answer.looked_ms.map_or(ago, Duration::from_millis);
                (answer.is_old(), ago)
            }
            // One that cannot be asked writes its root less often than it looks.
            _ => (ago > self.root.stale_after(), ago),
        };
        if !old {
            return Ok(());
        }
        let (name, ago) = (words().clean(&self.root.source, 60).into_owned(), age(ago));
        let interval = humantime::format_duration(Duration::from_millis(self.root.interval_ms));
        Err(Failure::say(
            Exit::Refused,
            format!(
                "the adapter of {name} looked last {ago} ago, and it looks every {interval}: what you saw may be old; \
                 --force acts all the same"
            ),
        ))
    }
}
