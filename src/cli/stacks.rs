//! Which stacks an adapter looks at: those of the flags, of the file of settings, and of folders of sockets.
//!
//! The whole set is given each time it is asked for, about once a second. Each time the file is looked at too, so that
//! nobody has to say that it changed; one that is wrong changes nothing and is said once. A socket is a stack from when
//! something behind it speaks process-compose until a while after it is gone, so that its going can be told.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::adapter::settings::Claim;
use crate::event::sieve::Sieve;
use crate::observation::source::{ObservedSource, SourceId, SourceProvider};
use crate::process_compose::client::Client;
use crate::process_compose::discovery::PROBE_LIMIT;
use crate::process_compose::error::Kind;
use crate::process_compose::server::identify;
use crate::process_compose::settings::{Endpoint, Evidence, Limits, Settings, TokenSource};

use super::folders::Folders;
use super::settings_file::SettingsFile;
use super::terminal::{say, words};

/// So long something that is no process-compose, or does not let us in, is left alone.
pub(super) const LEFT_ALONE: Duration = Duration::from_secs(30);

/// One stack to look at. One that is unequal to what it was is looked at anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stack {
    pub(super) settings: Settings,
    pub(super) interval: Duration,
    /// Whether a person gave its name.
    pub(super) claim: Claim,
    /// Which of its events are not told.
    pub(super) sieve: Option<Arc<Sieve>>,
}

/// How a stack is looked at, where nothing else is said of it.
#[derive(Debug, Clone)]
pub(super) struct Usual {
    pub(super) interval: Duration,
    pub(super) evidence: Evidence,
    pub(super) token: Option<TokenSource>,
    /// How firmly a name is ours that a person gave, and one that nobody gave.
    pub(super) claims: (Claim, Claim),
}

impl Usual {
    /// A stack at this place.
    pub(super) fn stack(&self, endpoint: Endpoint, is_named: bool) -> Stack {
        let mut settings = Settings::new(endpoint);
        settings.token.clone_from(&self.token);
        settings.evidence = self.evidence;
        // A look must end before the next one is due, but a slow server gets its five seconds.
        settings.limits.read = self.interval.max(Duration::from_secs(5));
        let (given, derived) = self.claims;
        Stack {
            settings,
            interval: self.interval,
            claim: if is_named { given } else { derived },
            sieve: None,
        }
    }
}

/// A stack, and its name where somebody gave one.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) name: Option<SourceId>,
    pub(super) stack: Stack,
}

/// The set of stacks.
pub(super) struct Stacks {
    /// What the flags name.
    fixed: Vec<Wanted>,
    state: Mutex<State>,
    asked: AtomicBool,
}

/// What is known of the name of a place.
#[derive(Debug, Clone)]
enum Asked {
    Never,
    /// From then on it is asked again.
    Again(Instant),
    Is(SourceId),
}

type Names = BTreeMap<String, Asked>;

struct State {
    file: Option<SettingsFile>,
    folders: Folders,
    /// The names of the places that were asked for one, where they have answered.
    names: Names,
    /// The places that have not told a name yet, and that nobody gave one.
    nameless: Vec<String>,
    chosen: Chosen,
}

/// Which of several stacks of one name counts.
#[derive(Debug, Default)]
struct Chosen {
    /// The place that counted last time, by name.
    places: BTreeMap<SourceId, String>,
    /// What was said of stacks that do not count.
    said: BTreeMap<String, String>,
}

/// A stack of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) source: ObservedSource<Stack>,
    /// Its socket is no longer there; it stays until its going was told.
    pub(super) is_gone: bool,
}

impl Member {
    fn place(&self) -> String {
        self.source.source.settings.endpoint.to_string()
    }
}

impl Stacks {
    pub(super) fn new(fixed: Vec<Wanted>, folders: Folders, file: Option<SettingsFile>) -> Self {
        Self {
            fixed,
            state: Mutex::new(State {
                file,
                folders,
                names: Names::new(),
                nameless: Vec::new(),
                chosen: Chosen::default(),
            }),
            asked: AtomicBool::new(false),
        }
    }

    /// The places of the set that was given last that nobody gave a name, and that have not told one yet.
    pub(super) async fn nameless(&self) -> Vec<String> {
        self.state.lock().await.nameless.clone()
    }

    /// Lets the file be read again the next time, whether it changed or not.
    pub(super) fn read_again(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }
}

/// Shared, because whoever hears a signal asks for the file to be read again.
impl SourceProvider for std::sync::Arc<Stacks> {
    type Source = Stack;
    type Error = Infallible;

    async fn sources(&self) -> Result<Vec<ObservedSource<Stack>>, Infallible> {
        let mut state = self.state.lock().await;
        let asked = self.asked.swap(false, Ordering::Relaxed);
        let mut wanted = self.fixed.clone();
        if let Some(file) = &mut state.file {
            wanted.extend(file.refresh(asked));
            let directories = file.directories();
            state.folders.replace(directories);
        }
        let (mut all, nameless) = named(&mut state.names, wanted).await;
        state.nameless = nameless;
        all.extend(state.folders.look().await);
        Ok(state.chosen.distinct(all))
    }
}

/// Gives each stack its name; those that nobody named are asked for the name of their project until they answer.
async fn named(names: &mut Names, wanted: Vec<Wanted>) -> (Vec<Member>, Vec<String>) {
    let now = Instant::now();
    let questions = wanted.into_iter().map(|Wanted { name, stack }| {
        let place = stack.settings.endpoint.to_string();
        let asked = names.get(&place).cloned().unwrap_or(Asked::Never);
        async move {
            let answer = match (name, asked) {
                (Some(name), _) | (None, Asked::Is(name)) => Ok(name),
                (None, Asked::Again(at)) if at > now => Err(None),
                (None, _) => name_of(&stack.settings).await.map_err(Some),
            };
            (place, answer, stack)
        }
    });
    let (mut all, mut nameless) = (Vec::new(), Vec::new());
    for (place, answer, stack) in join_all(questions).await {
        match answer {
            Ok(name) => {
                names.insert(place, Asked::Is(name.clone()));
                all.push(Member {
                    source: ObservedSource::new(name, stack),
                    is_gone: false,
                });
            }
            Err(None) => nameless.push(place),
            Err(Some(why)) => {
                nameless.push(place.clone());
                wait_for(names, place, why, now);
            }
        }
    }
    (all, nameless)
}

/// Asks later again, and says so once.
fn wait_for(names: &mut Names, place: String, why: Nameless, now: Instant) {
    let (what, at) = match why {
        Nameless::Away => ("does not answer yet", now),
        Nameless::Foreign => (
            "is no process-compose that lets us in (--token-file gives a token)",
            now + LEFT_ALONE,
        ),
    };
    let line = format!("the stack at {place} {what}; waiting for it");
    if names.insert(place, Asked::Again(at)).is_none() {
        say(&words().clean(&line, 1000));
    }
}

/// Why a place has no name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Nameless {
    /// Nobody answers, or what answers may do so later.
    Away,
    /// Something else answers than a process-compose, or one that does not let us in.
    Foreign,
}

impl Nameless {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Refused
            | Kind::Unreachable
            | Kind::Timeout
            | Kind::Truncated
            | Kind::ServerError => Self::Away,
            _ => Self::Foreign,
        }
    }
}

/// What a stack is called: its project's name, made fit for an id.
pub(super) async fn name_of(settings: &Settings) -> Result<SourceId, Nameless> {
    let settings = Settings {
        limits: Limits {
            connect: PROBE_LIMIT,
            read: PROBE_LIMIT,
            body: 1024 * 1024,
        },
        ..settings.clone()
    };
    let client = Client::new(&settings).map_err(|_| Nameless::Foreign)?;
    let asked = async {
        client.live().await?;
        identify(&client).await
    };
    match asked.await {
        Ok(server) => server.source_name().parse().map_err(|_| Nameless::Foreign),
        Err(error) => Err(Nameless::of(error.kind())),
    }
}

impl Chosen {
    /// Of several stacks with one name keeps the one that counted last time, else the first; one that is there goes before
    /// one that is gone. Says once of the others that they do not count.
    fn distinct(&mut self, all: Vec<Member>) -> Vec<ObservedSource<Stack>> {
        let mut kept: BTreeMap<SourceId, Member> = BTreeMap::new();
        let mut others = Vec::new();
        for member in all {
            let id = member.source.id.clone();
            match kept.get_mut(&id) {
                None => {
                    kept.insert(id, member);
                }
                Some(first) if first.place() == member.place() => {}
                Some(first) if self.rank(&member) < self.rank(first) => {
                    others.push(std::mem::replace(first, member));
                }
                Some(_) => others.push(member),
            }
        }
        self.places = kept
            .iter()
            .map(|(id, member)| (id.clone(), member.place()))
            .collect();
        self.say(others.into_iter().filter(|member| !member.is_gone));
        kept.into_values().map(|member| member.source).collect()
    }

    /// The lower one counts.
    fn rank(&self, member: &Member) -> (bool, bool) {
        let was_chosen = self.places.get(&member.source.id) == Some(&member.place());
        (member.is_gone, !was_chosen)
    }

    fn say(&mut self, others: impl Iterator<Item = Member>) {
        let mut said = BTreeMap::new();
        for other in others {
            let (name, place) = (&other.source.id, other.place());
            let first = self.places.get(name).cloned().unwrap_or_default();
            if self.said.get(&place) != Some(&first) {
                let line = format!(
                    "{name}: the stacks at {first} and at {place} have this name; the first counts, give the other a name of its own"
                );
                say(&words().clean(&line, 1000));
            }
            said.insert(place, first);
        }
        self.said = said;
    }
}

/// A stack as `--stack` names it: `[NAME=]PLACE`, where the place is a port, `HOST:PORT`, a URL or the path of a socket.
pub(super) fn given(text: &str) -> Result<(Option<SourceId>, Endpoint), String> {
    let (name, place) = match text.split_once('=') {
        Some((name, place)) if !name.contains(['/', ':']) => (Some(name), place),
        _ => (None, text),
    };
    let name = name.map(SourceId::try_from).transpose();
    let name = name.map_err(|error| error.to_string())?;
    let wrong =
        || "write [NAME=]PLACE, for example shop=9090, box:8080 or lab=/run/lab.sock".to_owned();
    let endpoint = if place.contains("://") || place.starts_with('/') {
        Endpoint::read(place)
    } else if let Some((host, port)) = crate::config::parse::host_and_port(place) {
        Some(Endpoint::Tcp { host, port })
    } else if place.contains('/')
        || Path::new(place)
            .extension()
            .is_some_and(|end| end == "sock")
    {
        std::path::absolute(place).ok().map(Endpoint::Unix)
    } else {
        None
    };
    endpoint.map(|endpoint| (name, endpoint)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> Usual {
        Usual {
            interval: Duration::from_secs(2),
            evidence: Evidence::Auto,
            token: None,
            claims: (Claim::Given, Claim::Derived),
        }
    }

    #[test]
    fn a_stack_is_named_by_a_place_and_maybe_a_name() {
        for (text, name, place) in [
            ("9090", None, "localhost:9090"),
            ("shop=9090", Some("shop"), "localhost:9090"),
            ("shop=box:1", Some("shop"), "box:1"),
            ("/run/a=b.sock", None, "/run/a=b.sock"),
            ("lab=/run/lab.sock", Some("lab"), "/run/lab.sock"),
            ("http://box:80/x?", None, ""),
            ("https://box/pc", None, "https://box/pc"),
            ("a b=1", None, ""),
            ("nowhere", None, ""),
            ("", None, ""),
        ] {
            let found = given(text).ok();
            let found =
                found.map(|(name, place)| (name.map(|it| it.to_string()), place.to_string()));
            let wanted = (!place.is_empty()).then(|| (name.map(str::to_owned), place.to_owned()));
            assert_eq!(found, wanted, "{text}");
        }
        let (_, relative) = given("pc.sock").unwrap();
        assert!(relative.to_string().starts_with('/'), "{relative}");
    }

    fn member(port: u16) -> Member {
        let host = "h".to_owned();
        let stack = usual().stack(Endpoint::Tcp { host, port }, true);
        Member {
            source: ObservedSource::new("shop".parse().unwrap(), stack),
            is_gone: false,
        }
    }

    #[test]
    fn of_two_stacks_with_one_name_the_first_counts() {
        let mut chosen = Chosen::default();
        let all = chosen.distinct(vec![member(1), member(2), member(1)]);
        assert_eq!(all, [member(1).source]);
        let said = BTreeMap::from([("h:2".to_owned(), "h:1".to_owned())]);
        assert_eq!(chosen.said, said);
        assert_eq!(chosen.distinct(vec![member(2)]), [member(2).source]);
        assert!(chosen.said.is_empty(), "said again when it happens again");
    }

    #[test]
    fn a_stack_that_appears_ends_no_other_of_its_name_unless_that_one_is_gone() {
        let mut chosen = Chosen::default();
        assert_eq!(chosen.distinct(vec![member(2)]), [member(2).source]);
        for _ in 0..2 {
            let all = chosen.distinct(vec![member(1), member(2), member(3)]);
            assert_eq!(all, [member(2).source]);
        }
        let gone = Member {
            is_gone: true,
            ..member(2)
        };
        let all = chosen.distinct(vec![gone.clone(), member(3)]);
        assert_eq!(all, [member(3).source]);
        assert!(
            chosen.said.is_empty(),
            "one that is gone is in nobody's way"
        );
        let all = chosen.distinct(vec![member(2), member(3)]);
        assert_eq!(all, [member(3).source], "it comes back too late");
        assert_eq!(chosen.distinct(vec![gone.clone()]), [gone.source]);
    }
}
