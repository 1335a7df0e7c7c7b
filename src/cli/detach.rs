//! `observe up -d`: the adapter goes on without us, and we end when it tells.
//!
//! We run once more, with the same arguments and a hidden one in front. That run leaves our session, writes its words
//! into a log, and says one word into our pipe: that it tells, or that another one does already.

use std::convert::Infallible;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use chrono::Utc;
use rustix::process::setsid;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncBufReadExt as _;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::adapter::settings::random_name;
use crate::render::time::since;
use crate::render::words::age;

use super::background::{Card, Taken, ask_to_end, folder, keep_small, take};
use super::exit::{Exit, Failure, OrExit as _, Outcome};
use super::service::Service;
use super::terminal::{say, words};
use super::up::whose;

/// The hidden argument.
pub(super) const FLAG: &str = "__background";
/// How long until somebody tells: a stack that was just started may need a moment.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long one that did not come to tell may take to end.
const ENDING: Duration = Duration::from_secs(5);
/// How often the log is looked at.
const TIDY: Duration = Duration::from_secs(60);
const SHOW: Duration = Duration::from_millis(50);

/// What is said into the pipe, once.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// It tells.
    Telling(Card),
    /// It runs, and waits for what this line names.
    Waiting(Card, String),
    /// Another one does already.
    Already(Card),
}

/// Begins an adapter in the background with our own arguments, and waits until it tells. What it says meanwhile is shown.
pub(super) async fn detach(token: &CancellationToken) -> Outcome {
    let log = folder()?.join(format!("starting-{}.log", random_name()));
    let mut child = spawn(&log)?;
    let mut said = Said(BufReader::new(File::open(&log).or_exit(Exit::Refused)?));
    let first = async {
        tokio::select! {
            biased;
            word = timeout(PATIENCE, word(&mut child)) => word,
            never = said.show() => match never {},
        }
    };
    let first = token.run_until_cancelled(first).await;
    said.show_new();
    if let Some(Ok(Some(word))) = &first {
        tell(word);
        if matches!(word, Word::Already(_)) {
            drop(fs::remove_file(&log));
        }
        return Ok(Exit::Done);
    }
    if !matches!(first, Some(Ok(None))) {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        pid.into_iter().for_each(ask_to_end);
    }
    let status = timeout(ENDING, child.wait()).await;
    if status.is_err() {
        child.kill().await.or_exit(Exit::Refused)?;
    }
    said.show_new();
    drop(fs::remove_file(&log));
    match first {
        None => Ok(Exit::Done),
        Some(Err(_)) => Err(Failure::say(
            Exit::Source,
            format!(
                "nothing was told within {} s, and nothing runs in the background",
                PATIENCE.as_secs()
            ),
        )),
        // It said why.
        Some(Ok(_)) => Ok(code(status.ok().and_then(Result::ok))),
    }
}

/// What one that ended without a word comes to; it cannot have succeeded.
fn code(status: Option<ExitStatus>) -> Exit {
    let code = status.and_then(|status| status.code());
    match code.and_then(|code| u8::try_from(code).ok()) {
        Some(code) if code != 0 => Exit::Of(code),
        _ => Exit::Refused,
    }
}

/// What the other run says, as it comes.
struct Said(BufReader<File>);

impl Said {
    async fn show(&mut self) -> Infallible {
        loop {
            self.show_new();
            sleep(SHOW).await;
        }
    }

    fn show_new(&mut self) {
        let mut line = Vec::new();
        while self
            .0
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            say(&words().clean(String::from_utf8_lossy(&line).trim_end(), 4000));
            line.clear();
        }
    }
}

fn spawn(log: &Path) -> Result<Child, Failure> {
    let errors = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(log)
        .or_exit(Exit::Refused)?;
    let program = std::env::current_exe().or_exit(Exit::Refused)?;
    Command::new(program)
        .arg(format!("--{FLAG}"))
        .arg(log)
        .args(std::env::args_os().skip(1))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .or_exit(Exit::Refused)
}

/// The word, or nothing where it ended without one.
async fn word(child: &mut Child) -> Option<Word> {
    let out = child.stdout.take()?;
    let line = tokio::io::BufReader::new(out)
        .lines()
        .next_line()
        .await
        .ok()??;
    serde_json::from_str(&line).ok()
}

fn tell(word: &Word) {
    let (Word::Telling(card) | Word::Waiting(card, _) | Word::Already(card)) = word;
    let what = format!(
        "{} into {} at {} ({})",
        card.what,
        card.stream,
        card.broker,
        whose(card.managed)
    );
    let line = match word {
        Word::Telling(_) => format!("telling {what} from the background"),
        Word::Waiting(_, why) => format!("in the background, {why}: {what}"),
        Word::Already(_) => {
            let told = age(since(card.since, Utc::now()));
            format!("telling {what} from the background already, for {told}")
        }
    };
    let words = words();
    say(&words.clean(&line, 4000));
    let source = words.clean(&card.source, 200);
    let log = card.log.display().to_string();
    say(&format!(
        "observe watch shows it, observe down {source} ends it; its words are in {}",
        words.clean(&log, 1000)
    ));
}

/// What runs in the background: its place there, and its log.
#[derive(Debug)]
pub(super) struct Background {
    _taken: Taken,
    card: Card,
}

impl Background {
    /// Leaves the session we were started in.
    pub(super) fn leave_session() {
        if let Err(error) = setsid() {
            // One that leads a session already has nothing to leave.
            tracing::debug!(%error, "the session");
        }
    }

    /// Takes the place of this source; `None` where another one has it, which is said then.
    pub(super) async fn take(
        log: PathBuf,
        card: impl FnOnce(PathBuf) -> Card,
    ) -> Result<Option<Self>, Failure> {
        match take(&folder()?, card(log)).await.or_exit(Exit::Refused)? {
            Ok((taken, card)) => Ok(Some(Self {
                _taken: taken,
                card,
            })),
            Err(other) => {
                put(&Word::Already(other));
                Ok(None)
            }
        }
    }

    /// Who is told that we are ready: the one who began us.
    pub(super) fn service(&self) -> Service {
        let card = self.card.clone();
        Service::told(move |waits_for| match waits_for {
            None => put(&Word::Telling(card.clone())),
            Some(why) => put(&Word::Waiting(card.clone(), why.to_owned())),
        })
    }

    /// Keeps our place while the work lasts, and the log small.
    pub(super) async fn stay_during<T>(self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            done = work => done,
            never = tidy(&self.card.log) => match never {},
        }
    }
}

async fn tidy(log: &Path) -> Infallible {
    loop {
        sleep(TIDY).await;
        if let Err(error) = keep_small(log) {
            tracing::debug!(%error, "the log");
        }
    }
}

/// Says the word. Who began us may have left, and wants none then.
fn put(word: &Word) {
    if let Ok(mut line) = serde_json::to_vec(word) {
        line.push(b'\n');
        drop(std::io::stdout().write_all(&line));
        drop(std::io::stdout().flush());
    }
}
