//! The names there are at this moment, for somebody who is typing one: asked of the broker and of the stack itself, both at
//! once, and in no time.
//!
//! Nothing here says anything, waits for anybody, or changes anything: what does not answer has no names.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use clap::{Arg, Command, CommandFactory as _, FromArgMatches as _, Parser};
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::broker;
use crate::bus::connect::connect;
use crate::bus::context::Server;
use crate::bus::settings::{BusSettings, FirstConnect};
use crate::event::filter::Filter;
use crate::process_compose::client::Client;
use crate::process_compose::discovery::Discovery;
use crate::process_compose::server::identify;
use crate::process_compose::wire::decode;

use super::broker_args::{BrokerArgs, with_managed};
use super::conf;
use super::context;
use super::opening::stands;
use super::source_args::{SourceArgs, configured_names, only};

/// How long each of them may take to answer.
const ANSWER: Duration = Duration::from_millis(250);
/// How long all of it may take, whatever hangs.
const LIMIT: Duration = Duration::from_millis(280);

/// Names, each once and in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    processes: BTreeSet<String>,
    namespaces: BTreeSet<String>,
    sources: BTreeSet<String>,
}

impl Names {
    /// Processes and groups.
    pub(super) fn processes(&self) -> Vec<String> {
        self.processes.iter().cloned().collect()
    }

    pub(super) fn namespaces(&self) -> Vec<String> {
        self.namespaces.iter().cloned().collect()
    }

    pub(super) fn sources(&self) -> Vec<String> {
        self.sources.iter().cloned().collect()
    }

    fn add(&mut self, other: Self) {
        self.processes.extend(other.processes);
        self.namespaces.extend(other.namespaces);
        self.sources.extend(other.sources);
    }
}

/// The flags that say who is asked.
#[derive(Debug, Default, Parser)]
#[command(disable_help_flag = true, disable_version_flag = true)]
struct Whom {
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    source: SourceArgs,
    #[arg(long = "source")]
    named: Vec<String>,
    #[arg(long, env = "OBSERVE_CONFIG")]
    config: Option<PathBuf>,
}

impl Whom {
    /// Reads them out of words of which most are others, and the last may be half a word.
    fn of(words: &[OsString]) -> Self {
        let command = Self::command().ignore_errors(true).no_binary_name(true);
        let known = known(&command, words);
        let read = |words: Vec<OsString>| {
            let matches = command.clone().try_get_matches_from(&words).ok()?;
            let named = matches.get_one::<PathBuf>("config");
            let laid = conf::in_force_quietly(named.map(PathBuf::as_path))
                .and_then(|file| conf::lay(&command, file, &[], &matches).ok())
                .and_then(|command| command.try_get_matches_from(words).ok());
            Self::from_arg_matches(&laid.unwrap_or(matches)).ok()
        };
        read(known).or_else(|| read(Vec::new())).unwrap_or_default()
    }
}

/// The words that belong to flags of a command.
fn known(command: &Command, words: &[OsString]) -> Vec<OsString> {
    let (mut out, mut rest) = (Vec::new(), words.iter());
    while let Some(word) = rest.next() {
        let Some((flag, has_value)) = flag(command, &word.to_string_lossy()) else {
            continue;
        };
        out.push(word.clone());
        if flag.get_action().takes_values() && !has_value {
            out.extend(rest.next().cloned());
        }
    }
    out
}

/// The flag that a word is, and whether its value stands in the same word.
fn flag<'a>(command: &'a Command, word: &str) -> Option<(&'a Arg, bool)> {
    if let Some(long) = word.strip_prefix("--") {
        let name = long.split_once('=').map_or(long, |(name, _)| name);
        let flag = find(command, |arg| arg.get_long() == Some(name))?;
        return Some((flag, name != long));
    }
    let mut letters = word.strip_prefix('-')?.chars();
    let letter = letters.next()?;
    let flag = find(command, |arg| arg.get_short() == Some(letter))?;
    Some((flag, letters.next().is_some()))
}

fn find(command: &Command, is_it: impl Fn(&Arg) -> bool) -> Option<&Arg> {
    command.get_arguments().find(|arg| is_it(arg))
}

/// Asks those whom the words typed so far mean.
pub(super) fn ask(typed: &[OsString]) -> Names {
    let whom = Whom::of(typed);
    let (answer, answered) = mpsc::sync_channel(1);
    // Never joined: what hangs in it ends with the program, which is about to end.
    drop(std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        if let Ok(runtime) = runtime {
            let names = runtime.block_on(both(&whom));
            // Nobody listens where it took too long.
            drop(answer.send(names));
            runtime.shutdown_background();
        }
    }));
    answered.recv_timeout(LIMIT).unwrap_or_default()
}

async fn both(whom: &Whom) -> Names {
    let configured = configured_names();
    // Where nobody says which of several, all of them are asked.
    let meant: Vec<_> = match only(&whom.named) {
        None if configured.len() > 1 => configured.iter().map(|name| Some(&**name)).collect(),
        one => vec![one],
    };
    let seen = meant
        .into_iter()
        .map(|name| timeout(ANSWER, seen(&whom.source, name)));
    let (told, seen) = tokio::join!(timeout(ANSWER, told(&whom.broker)), join_all(seen));
    let mut names = told.ok().flatten().unwrap_or_default();
    for seen in seen {
        names.add(seen.ok().flatten().unwrap_or_default());
    }
    names.sources.extend(configured);
    names
}

/// What stands in the heads of a broker.
async fn told(args: &BrokerArgs) -> Option<Names> {
    let prefix = args.reading_prefix().ok()?;
    let settings = args.settings("observe completions", prefix, FirstConnect::MustSucceed);
    if args.is_configured() {
        return heard(&args.in_context(settings).ok()?).await;
    }
    if !args.no_context
        && let Some(Ok(found)) = context::selected()
        && let Ok(selected) = found.under(settings.clone(), Server::OfContext)
        && let Some(names) = heard(&selected).await
    {
        return Some(names);
    }
    match broker::find(&args.managed()).await {
        Ok(Some(running)) => {
            let token = running.token.reveal();
            heard(&with_managed(settings, &running.url, token)).await
        }
        _ => heard(&settings).await,
    }
}

async fn heard(settings: &BusSettings) -> Option<Names> {
    let bus = connect(settings).await.ok()?;
    let mut names = Names::default();
    for (root, table) in stands(&bus, settings, &Filter::all(), |_| {}).await.ok()? {
        names.sources.insert(root.source);
        for row in table.rows() {
            names.processes.insert(row.name.to_string());
            let group = row
                .configuration
                .as_ref()
                .and_then(|known| known.group.as_deref());
            names.processes.extend(group.map(str::to_owned));
            let namespaces = row.namespaces.iter().map(ToString::to_string);
            names.namespaces.extend(namespaces);
        }
    }
    Some(names)
}

/// What the stack itself shows.
async fn seen(args: &SourceArgs, name: Option<&str>) -> Option<Names> {
    let (Discovery::One(found), token) = args.discover_as(name).await.ok()? else {
        return None;
    };
    let client = Client::new(&args.place(found, token).settings).ok()?;
    let body = client.processes().await.ok()?;
    let mut names = Names::default();
    for row in &decode(&body.bytes).ok()?.rows {
        names.processes.insert(row.name.to_string());
        let namespaces = row.namespaces.iter().map(str::to_owned);
        names.namespaces.extend(namespaces);
    }
    // What the file calls it counts, and not its project.
    if configured_names().is_empty()
        && let Ok(server) = identify(&client).await
    {
        names.sources.insert(server.source_name());
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whom(words: &[&str]) -> Whom {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        Whom::of(&words)
    }

    #[test]
    fn who_is_asked_is_read_out_of_whatever_was_typed() {
        for words in [
            &[
                "watch", "--type", "crashed", "-s", "nats://b", "-p", "9", "ap",
            ][..],
            &[
                "-v",
                "wait",
                "--server=nats://b",
                "--for",
                "exited=3",
                "-p9",
                "--process",
                "",
            ],
            &["run", "--port", "9", "-snats://b", "--", "make", "-j", "4"],
            &[
                "history",
                "-S",
                "yesterday",
                "-s",
                "nats://b",
                "--nonsense",
                "-p",
                "9",
                "-o",
            ],
        ] {
            let whom = whom(words);
            assert_eq!(whom.broker.server.as_deref(), Some("nats://b"), "{words:?}");
            assert_eq!(whom.source.port, Some(9), "{words:?}");
            assert_eq!(whom.broker.stream, "PROCESS_EVENTS");
        }
    }

    #[test]
    fn what_cannot_be_read_leaves_the_usual_ones() {
        for words in [&["watch", "-p", "many"][..], &["watch", "-s"], &["-"], &[]] {
            let whom = whom(words);
            assert_eq!(whom.source.port, None, "{words:?}");
            assert_eq!(whom.broker.stream, "PROCESS_EVENTS", "{words:?}");
        }
    }
}
