//! `observe run`: waits until the stack is ready, runs a command, and watches the stack meanwhile.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rustix::process::Signal;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::event::envelope::Envelope;
use crate::event::payload::{Kind, Origin};
use crate::event::record::Record;
use crate::process::condition::Verdict;
use crate::process::waiting::{Entry, Waiting};
use crate::render::json::raw;
use crate::render::junit::Report;

use super::child::{Caught, Running};
use super::exit::{Exit, Failure, Outcome};
use super::sources::Step;
use super::terminal::{say, words};
use super::wait::{Waited, Watch};
use super::wait_args::WaitArgs;

/// How long a command may take to end once it was asked to, before it is killed.
const LAST: Duration = Duration::from_secs(10);
/// The most that the news of the command's last moment may take.
const SETTLE: Duration = Duration::from_secs(5);
/// The most crashes that are remembered for a report.
const CRASHES: usize = 10_000;

const EXAMPLES: &str = "\
Examples:
  observe run -- make test                        once every process is ready
  observe run --fail-on crashed -- npm test       ended when a process crashes meanwhile
  observe run --record events.jsonl --junit stack.xml --timeout 2m -- pytest -q
  observe run --process api --process 'web-*' -- curl -f http://localhost:8000/

The command has our input and output, and signals are handed on to it. Exit codes: its own, or 1 where it was ended by
--fail-on or the stack cannot get ready, 124 where the stack did not get ready in time, 126 and 127 where it cannot be run.";

/// Waits until processes are ready, runs a command, and passes its exit code on.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Run {
    /// Write every event that is seen while the command runs to this file, one JSON object per line
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write a JUnit report to this file: a test case per process, which fails where it was not ready or crashed
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Processes or groups to wait for, by name or glob; without one every process that is not disabled
    #[arg(long, value_name = "NAME")]
    process: Vec<String>,
    #[command(flatten)]
    wait: WaitArgs,
    /// The command
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl Run {
    /// Whether anybody wants to know what happened in the command's last moment.
    fn wants_all(&self) -> bool {
        self.record.is_some() || self.junit.is_some() || self.wait.fails_on_something()
    }
}

/// Waits, runs, reports.
pub(super) async fn run(args: Run) -> Outcome {
    let mut waiting = Waiting::new(args.wait.wish(&args.process)?);
    let mut caught = Caught::listen()?;
    let mut tape = Tape::open(args.record.as_deref())?;
    // A file that cannot be written is said before the wait, not behind it.
    let junit = args.junit.as_deref().map(create).transpose()?;
    let mut watch = Watch::new("observe run", &args.wait)?;
    let (began, token) = (Instant::now(), CancellationToken::new());
    let waited = tokio::select! {
        waited = watch.until(&mut waiting, &token) => waited?,
        signal = caught.end() => return Ok(Exit::Signal(number(signal))),
    };
    let outcome = match waited.tell(&waiting) {
        Exit::Done => during(&args, &mut watch, &mut waiting, (&mut caught, &mut tape)).await,
        exit => Ok(exit),
    };
    watch.end().await?;
    let kept = tape.close();
    if let Some(file) = junit {
        report(file, &waited, &waiting, (&tape.crashes, began.elapsed()))?;
    }
    let exit = outcome?;
    kept.map(|()| exit)
}

fn number(signal: Signal) -> u8 {
    u8::try_from(signal.as_raw()).unwrap_or_default()
}

/// Runs the command and watches the stack until it ends.
async fn during(
    args: &Run,
    watch: &mut Watch<'_>,
    waiting: &mut Waiting,
    (caught, tape): (&mut Caught, &mut Tape),
) -> Outcome {
    let mut command = Running::start(&args.command)?;
    let (mut followed, mut fired, mut kill_at) = (true, false, None);
    let exit = loop {
        let step = tokio::select! {
            biased;
            exit = command.end() => break exit?,
            signal = caught.next() => {
                command.hand_on(signal);
                continue;
            }
            () = sleep_until(kill_at.unwrap_or_else(Instant::now)), if kill_at.is_some() => {
                kill_at = None;
                command.send(Signal::KILL);
                continue;
            }
            step = watch.step(), if followed => step,
        };
        let Some(step) = or_say(step) else {
            // That is no reason to end the command of somebody else.
            followed = false;
            continue;
        };
        if let Some(ill) = take(step, watch, waiting, tape)
            && !fired
        {
            fired = true;
            say(&format!("observe: {ill}; the command is ended"));
            command.send(Signal::TERM);
            kill_at = Some(Instant::now() + LAST);
        }
    };
    if !fired && followed && args.wants_all() {
        let ill = settle(watch, waiting, tape).await;
        if let Some(ill) = ill {
            fired = true;
            say(&format!("observe: {ill}"));
        }
    }
    Ok(if fired { Exit::Refused } else { exit })
}

/// Why the stack cannot be followed any more is said, and ends nothing.
fn or_say(step: Result<Step, Failure>) -> Option<Step> {
    step.inspect_err(|failure| {
        let line = failure.line();
        say(&format!("observe: {}", words().clean(&line, 1000)));
    })
    .ok()
}

/// Takes what happened; says what it is that the command is to be ended for.
fn take(
    step: Step,
    watch: &mut Watch<'_>,
    waiting: &mut Waiting,
    tape: &mut Tape,
) -> Option<String> {
    if let Step::Record(record) = step {
        waiting.see(&record.envelope);
        tape.keep(&record);
    }
    let outlook = watch.outlook(waiting)?;
    outlook.entries.iter().find_map(ill)
}

fn ill(entry: &Entry) -> Option<String> {
    let name = words().clean(&entry.name, 60).into_owned();
    if let (true, Verdict::Impossible(why)) = (entry.is_deaf, &entry.verdict) {
        let why = words().clean(why, 400).into_owned();
        return Some(format!("{name}: {why}"));
    }
    entry.ill.map(|ill| match ill.as_str() {
        word @ "unhealthy" => format!("{name} is {word}"),
        word => format!("{name} {word}"),
    })
}

/// Waits for the news of the command's last moment.
async fn settle(watch: &mut Watch<'_>, waiting: &mut Waiting, tape: &mut Tape) -> Option<String> {
    let mut settled = std::pin::pin!(timeout(SETTLE, watch.settled()));
    loop {
        let step = tokio::select! {
            biased;
            step = watch.step() => step.ok()?,
            _ = &mut settled => return None,
        };
        if let Some(ill) = take(step, watch, waiting, tape) {
            return Some(ill);
        }
    }
}

fn report(
    mut file: File,
    waited: &Waited,
    waiting: &Waiting,
    (crashes, took): (&[Envelope], Duration),
) -> Result<(), Failure> {
    let report = Report {
        condition: &waiting.wish().condition.to_string(),
        waited: waited.took,
        took,
        entries: &waited.outlook.entries,
        crashes,
    };
    file.write_all(report.xml().as_bytes())
        .map_err(|error| unwritable("the report", error))
}

fn create(path: &Path) -> Result<File, Failure> {
    File::create(path).map_err(|error| unwritable(&path.display().to_string(), error))
}

fn unwritable(what: &str, error: std::io::Error) -> Failure {
    let error = anyhow::Error::from(error).context(format!("{what} cannot be written"));
    Failure::new(Exit::Refused, error)
}

/// What is kept of the events that are seen.
struct Tape {
    file: Option<BufWriter<File>>,
    broken: Option<std::io::Error>,
    crashes: Vec<Envelope>,
}

impl Tape {
    fn open(path: Option<&Path>) -> Result<Self, Failure> {
        Ok(Self {
            file: path.map(create).transpose()?.map(BufWriter::new),
            broken: None,
            crashes: Vec::new(),
        })
    }

    fn keep(&mut self, record: &Record) {
        let event = &record.envelope;
        let is_crash = event.kind == Kind::Crashed && event.origin != Origin::Initial;
        if is_crash && self.crashes.len() < CRASHES {
            self.crashes.push(event.clone());
        }
        let Some(file) = &mut self.file else { return };
        // Whoever reads along sees each event at once.
        let written = file
            .write_all(&raw(&record.raw))
            .and_then(|()| file.flush());
        if let Err(error) = written {
            self.file = None;
            self.broken = Some(error);
        }
    }

    fn close(&mut self) -> Result<(), Failure> {
        self.file = None;
        match self.broken.take() {
            Some(error) => Err(unwritable("the record", error)),
            None => Ok(()),
        }
    }
}
