//! `observe process logs`: what processes write, kept or to come.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::event::filter::Pattern;
use crate::process_compose::client::Client;
use crate::process_compose::error::ClientError;
use crate::process_compose::logs::{ALL, first_since};
use crate::render::log::{self, LogFace};
use crate::render::moment::moment;
use crate::render::notice::{Away, Side};
use crate::render::style::ColorChoice;
use crate::render::time::Zone;

use super::exit::{Exit, Failure, OrExit as _, Outcome};
use super::named::{Stack, group, is_replica, look, meant, patterns};
use super::process::{As, unseen};
use super::tail::{SharedSeam, Tail, Told};
use super::target::{Need, Target, TargetArgs};
use super::terminal::{self, Output, say, words};

pub(super) const EXAMPLES: &str = "\
Examples:
  observe process logs api                   the last 100 lines
  observe process logs api worker --tail 5   of each
  observe process logs -o json | jq -r .message
and, until Ctrl-C: observe process logs -f 'web*'

The server keeps the last lines of each process (log_length) without their times; --since works where the lines begin with
a time of their own (RFC 3339). Of a process that wrote the same line again and again one may be missing, or shown
twice, where its log had to be opened anew.";

/// How many lines may wait for a slow reader.
const WAITING: usize = 256;
/// Lines shown of each process where nobody says how many.
const TAIL: usize = 100;

#[derive(Debug, Args)]
pub(super) struct Logs {
    /// Processes or groups, by name or glob; without one all of them
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Go on with what is written from now on, across restarts and scaling
    #[arg(short = 'f', long)]
    follow: bool,
    /// How many of the last lines of each process are shown first: a number, or all
    #[arg(short = 'n', long, value_name = "N", default_value = "100", value_parser = tail)]
    tail: Lines,
    /// Only lines that say themselves that they were written since then
    #[arg(short = 'S', long, value_name = "TIME")]
    since: Option<String>,
    /// text, or json: one object for each line
    #[arg(short = 'o', long, value_name = "FORMAT", value_enum, default_value_t)]
    output: As,
    /// The same as -o json
    #[arg(long, conflicts_with = "output")]
    json: bool,
    /// Lines as they are, without the names before them
    #[arg(long)]
    no_prefix: bool,
    /// When colours are used, ours and those of the lines: auto, always, never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
    #[command(flatten)]
    target: TargetArgs,
}

/// How many lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    Last(usize),
    All,
}

fn tail(text: &str) -> Result<Lines, String> {
    match text {
        "all" => Ok(Lines::All),
        _ => text
            .parse()
            .map(Lines::Last)
            .map_err(|_| format!("write a number of lines, for example {TAIL}, or all")),
    }
}

impl Lines {
    fn number(self) -> Option<usize> {
        match self {
            Self::Last(number) => Some(number),
            Self::All => None,
        }
    }
}

/// Shows them.
pub(super) async fn run(args: Logs, token: &CancellationToken) -> Outcome {
    let since = args.since()?;
    let patterns = if args.names.is_empty() {
        vec![Pattern::parse("*").or_exit(Exit::Usage)?]
    } else {
        patterns(&args.names)?
    };
    let found = token.run_until_cancelled(args.target.find(&patterns, Need::Stack, token));
    let Some(target) = found.await.transpose()?.flatten() else {
        return Ok(Exit::Done);
    };
    let client = &target.contact.client;
    let stack = look(client).await.map_err(|error| unseen(&error))?;
    let meant = meant(client, &target.source, &stack, &patterns).await?;
    let is_one = meant.names.len() == 1 && patterns.iter().all(|p| p.literal().is_some());
    let page = Page {
        output: Output::open(),
        source: &target.source,
        face: LogFace {
            style: terminal::style(args.color, std::io::stdout().is_terminal()),
            columns: (!args.no_prefix && !is_one).then_some(0),
        },
        json: args.json || args.output == As::Json,
    };
    let page = page.wide_enough_for(meant.names.iter());
    if args.follow {
        return follow(&args, page, &target, (stack, patterns), token).await;
    }
    let from_end = target.contact.server.pages_logs_from_end();
    let wanted = match since {
        None => args.tail.number(),
        Some(_) => None,
    };
    for name in &meant.names {
        let lines = client.kept_lines(name, wanted, from_end).await;
        let mut lines = lines.map_err(|error| unseen(&error))?.unwrap_or_default();
        if let Some(since) = since {
            let first = first_since(&lines, since).map_err(|error| {
                let name = words().clean(name, 60).into_owned();
                Failure::say(
                    Exit::Refused,
                    format!("--since cannot be told for {name}: {error}; use --tail"),
                )
            })?;
            let most = args.tail_within_since();
            lines.drain(..first.max(lines.len().saturating_sub(most)));
        }
        for line in lines {
            if page.show(name, &line).await?.is_break() {
                return page.finish().await;
            }
        }
    }
    page.finish().await
}

impl Logs {
    fn since(&self) -> Result<Option<DateTime<Utc>>, Failure> {
        if self.since.is_some() && self.follow {
            return Err(Failure::say(
                Exit::Usage,
                "--since and --follow do not go together: begin with --tail, what comes is new anyway",
            ));
        }
        let found = self.since.as_deref();
        let found = found.map(|text| moment(text, Utc::now(), Zone::Local));
        found.transpose().or_exit(Exit::Usage)
    }

    /// With --since the usual number of lines is no limit, one that a person gave is.
    fn tail_within_since(&self) -> usize {
        match self.tail {
            Lines::Last(TAIL) | Lines::All => usize::MAX,
            Lines::Last(number) => number,
        }
    }
}

/// Where lines go.
struct Page<'a> {
    output: Output,
    source: &'a str,
    face: LogFace,
    json: bool,
}

type Flow = std::ops::ControlFlow<()>;

impl Page<'_> {
    fn wide_enough_for<'n>(mut self, names: impl Iterator<Item = &'n String>) -> Self {
        self.widen(names);
        self
    }

    fn widen<'n>(&mut self, names: impl Iterator<Item = &'n String>) {
        if let Some(columns) = &mut self.face.columns {
            let wanted = LogFace::columns_for(self.face.style, names.map(String::as_str));
            *columns = wanted.max(*columns);
        }
    }

    /// Shows a line; breaks where the reader has left.
    async fn show(&self, name: &str, line: &str) -> Result<Flow, Failure> {
        let bytes = if self.json {
            log::json(self.source, name, line).or_exit(Exit::Refused)?
        } else {
            self.face.line(name, line)
        };
        Ok(match self.output.line(bytes).await {
            Ok(()) => Flow::Continue(()),
            Err(_) => Flow::Break(()),
        })
    }

    async fn finish(self) -> Outcome {
        self.output.finish().await?;
        Ok(Exit::Done)
    }
}

/// Follows until the reader leaves, or we are asked to end.
async fn follow(
    args: &Logs,
    mut page: Page<'_>,
    target: &Target,
    (stack, patterns): (Stack, Vec<Pattern>),
    token: &CancellationToken,
) -> Outcome {
    let reader = page.output.reader();
    let (told, mut lines) = mpsc::channel(WAITING);
    let (looks, mut seen) = mpsc::channel(1);
    let mut tails = Tails {
        client: Arc::clone(&target.contact.client),
        patterns,
        from_end: target.contact.server.pages_logs_from_end(),
        told,
        followed: BTreeMap::new(),
        tasks: JoinSet::new(),
    };
    let first = args.tail.number().unwrap_or(ALL);
    tails.take(&stack, Some(first)).await;
    let client = Arc::clone(&target.contact.client);
    let looking = tails
        .tasks
        .spawn(look_again(client, args.target.place.interval, looks));
    let mut sight = Sight::new(&target.contact.client);
    let ended = loop {
        tokio::select! {
            biased;
            () = token.cancelled() => break Ok(()),
            () = reader.left() => break Ok(()),
            Some(told) = lines.recv() => match told {
                Told::Line(name, line) => match page.show(&name, &line).await {
                    Ok(Flow::Continue(())) => {}
                    Ok(Flow::Break(())) => break Ok(()),
                    Err(failure) => break Err(failure),
                },
                Told::Hole(name) => say(&format!("some lines of {} may be missing here", words().clean(&name, 60))),
                Told::Failed(error) => break Err(unseen(&error)),
            },
            Some(stack) = seen.recv() => match sight.note(stack) {
                Ok(Some(stack)) => {
                    tails.take(&stack, None).await;
                    page.widen(tails.followed.keys());
                }
                Ok(None) => {}
                Err(error) => break Err(unseen(&error)),
            },
        }
    };
    looking.abort();
    drop(lines);
    tails.tasks.shutdown().await;
    ended?;
    page.finish().await
}

/// Looks at the stack again and again.
async fn look_again(
    client: Arc<Client>,
    interval: Duration,
    looks: mpsc::Sender<Result<Stack, ClientError>>,
) {
    loop {
        sleep(interval).await;
        if looks.send(look(&client).await).await.is_err() {
            return;
        }
    }
}

/// Whether the stack is in sight, and a line whenever that changes.
struct Sight {
    place: String,
    since: Option<tokio::time::Instant>,
}

impl Sight {
    fn new(client: &Client) -> Self {
        Self {
            place: client.place(),
            since: None,
        }
    }

    fn note(&mut self, look: Result<Stack, ClientError>) -> Result<Option<Stack>, ClientError> {
        let away = Away {
            side: Side::Source,
            name: &self.place,
        };
        match look {
            Ok(stack) => {
                if let Some(since) = self.since.take() {
                    say(&away.back(words(), since.elapsed()));
                }
                Ok(Some(stack))
            }
            Err(error) if error.is_fatal() => Err(error),
            Err(error) => {
                if self.since.is_none() {
                    self.since = Some(tokio::time::Instant::now());
                    let left = away.left(words(), error.found());
                    say(&format!("{}; waiting for it", left.trim_end()));
                }
                Ok(None)
            }
        }
    }
}

struct Followed {
    pid: Option<i64>,
    renewed: Arc<Notify>,
    seam: SharedSeam,
    task: AbortHandle,
}

/// Everything that is followed.
struct Tails {
    client: Arc<Client>,
    patterns: Vec<Pattern>,
    from_end: bool,
    told: mpsc::Sender<Told>,
    followed: BTreeMap<String, Followed>,
    tasks: JoinSet<()>,
}

impl Tails {
    /// Begins with what is new, ends with what is gone. `kept` lines of what is there at the beginning are shown; of what
    /// comes later everything.
    async fn take(&mut self, stack: &Stack, kept: Option<usize>) {
        let is_first = kept.is_some();
        let mut gone = BTreeMap::new();
        let left: Vec<_> = self
            .followed
            .keys()
            .filter(|name| !stack.contains_key(*name))
            .cloned()
            .collect();
        for name in left {
            if let Some(followed) = self.followed.remove(&name) {
                followed.task.abort();
                say(&format!("- {}", words().clean(&name, 60)));
                gone.insert(name, followed);
            }
        }
        for (name, standing) in stack {
            if let Some(followed) = self.followed.get_mut(name) {
                if followed.pid != standing.pid && standing.pid.is_some() {
                    followed.renewed.notify_one();
                }
                followed.pid = standing.pid;
                continue;
            }
            if !self.is_meant(name, stack).await {
                continue;
            }
            let before = gone
                .values()
                .find(|old| old.pid.is_some() && old.pid == standing.pid);
            let seam = before.map(|old| Arc::clone(&old.seam));
            if !is_first {
                say(&format!("+ {}", words().clean(name, 60)));
            }
            let kept = match seam {
                Some(_) => None,
                None => kept.or(Some(ALL)),
            };
            self.begin(name, (standing.pid, seam.unwrap_or_default()), kept);
        }
        while self.tasks.try_join_next().is_some() {}
    }

    fn begin(&mut self, name: &str, (pid, seam): (Option<i64>, SharedSeam), kept: Option<usize>) {
        let renewed = Arc::new(Notify::new());
        let tail = Tail {
            client: Arc::clone(&self.client),
            name: name.to_owned(),
            seam: Arc::clone(&seam),
            told: self.told.clone(),
            renewed: Arc::clone(&renewed),
        };
        let task = self.tasks.spawn(tail.run(kept, self.from_end));
        let followed = Followed {
            pid,
            renewed,
            seam,
            task,
        };
        self.followed.insert(name.to_owned(), followed);
    }

    async fn is_meant(&self, name: &str, stack: &Stack) -> bool {
        if self.patterns.iter().any(|pattern| pattern.matches(name)) {
            return true;
        }
        for literal in self.patterns.iter().filter_map(Pattern::literal) {
            if is_replica(name, literal) && !stack.contains_key(literal) {
                let members = group(&self.client, stack, literal).await;
                return members.is_ok_and(|members| members.values().any(|member| member == name));
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_a_number_or_all() {
        assert_eq!(tail("0"), Ok(Lines::Last(0)));
        assert_eq!(tail("all"), Ok(Lines::All));
        assert!(tail("-1").unwrap_err().contains("or all"));
    }
}
