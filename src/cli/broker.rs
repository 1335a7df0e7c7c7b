//! `observe broker`: the managed broker, which belongs to no command and is shared by all.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use clap::{Args, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::broker::warden::{self, Orders};
use crate::broker::{self, Settings, Stopped, WardenCommand};
use crate::render::words::count;

use super::broker_args::BrokerArgs;
use super::exit::{Exit, Failure, OrExit as _, Outcome};
use super::terminal::say;

/// How often the keeper looks whether its broker still runs.
const LOOK: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
Examples:
  observe broker start     start it, and keep it until it is stopped
  observe broker status    where it listens, where its store is, how many use it
  observe broker stop      end it; what was told stays in its store";

/// Starts, stops and shows the managed broker.
///
/// Commands that need a broker and find none configured start it themselves and share it; it ends half a minute after
/// its last user. Its store lies in the state folder and outlives it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Broker {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start it, and keep it until it is stopped
    #[command(after_help = "Example:\n  observe broker start")]
    Start(Binary),
    /// End it, whoever uses it
    #[command(after_help = "Example:\n  observe broker stop")]
    Stop,
    /// Show where it listens, where its store is and how many use it
    #[command(after_help = "Example:\n  observe broker status")]
    Status,
    #[command(name = "__warden", hide = true)]
    Warden {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        orders: Vec<OsString>,
    },
    #[command(name = "__keep", hide = true)]
    Keep(Binary),
}

#[derive(Debug, Clone, Default, Args)]
struct Binary {
    /// The nats-server to run
    #[arg(long, value_name = "PATH")]
    nats_server: Option<std::path::PathBuf>,
}

impl Binary {
    fn settings(&self) -> Settings {
        BrokerArgs {
            nats_server: self.nats_server.clone(),
            ..BrokerArgs::default()
        }
        .managed()
    }
}

/// How a warden is started: this program, with a hidden subcommand.
pub(super) fn warden_command() -> Result<WardenCommand, Failure> {
    let program = std::env::current_exe().or_exit(Exit::Refused)?;
    Ok(WardenCommand {
        program,
        args: vec!["broker".into(), "__warden".into()],
    })
}

impl Broker {
    /// The orders, where this is how observe calls its warden.
    pub(super) fn warden(&mut self) -> Option<Vec<OsString>> {
        match &mut self.action {
            Action::Warden { orders } => Some(std::mem::take(orders)),
            _ => None,
        }
    }
}

/// Is the warden of a server, until it ends it.
pub(super) async fn warden(orders: Vec<OsString>) -> Outcome {
    let orders = Orders::from_args(orders).ok_or_else(|| {
        Failure::say(
            Exit::Usage,
            "this is how observe calls itself; use observe broker start",
        )
    })?;
    warden::run(orders).await.or_exit(Exit::Broker)?;
    Ok(Exit::Done)
}

/// Does what was asked.
pub(super) async fn run(args: Broker, token: CancellationToken) -> Outcome {
    match args.action {
        Action::Start(binary) => start(&binary).await,
        Action::Stop => stop().await,
        Action::Status => status().await,
        Action::Warden { orders } => warden(orders).await,
        Action::Keep(binary) => keep(&binary, &token).await,
    }
}

async fn start(binary: &Binary) -> Outcome {
    let settings = binary.settings();
    // Started here once, so that whatever is wrong with it is said here.
    let lease = broker::ensure(&settings, &warden_command()?)
        .await
        .or_exit(Exit::Broker)?;
    let program = std::env::current_exe().or_exit(Exit::Refused)?;
    let mut keeper = tokio::process::Command::new(program);
    keeper
        .args(["broker", "__keep"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    keeper.process_group(0).kill_on_drop(false);
    if let Some(path) = &binary.nats_server {
        keeper.arg("--nats-server").arg(path);
    }
    let before = broker::find(&settings)
        .await
        .or_exit(Exit::Broker)?
        .map_or(0, |running| running.users);
    let _keeper = keeper.spawn().or_exit(Exit::Refused)?;
    let kept = tokio::time::timeout(Duration::from_secs(5), async {
        loop {
            match broker::find(&settings).await {
                Ok(Some(running)) if running.users > before => return,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    });
    if kept.await.is_err() {
        return Err(Failure::say(
            Exit::Broker,
            "the broker runs, but nobody keeps it: it ends in half a minute",
        ));
    }
    say(&format!(
        "the broker runs at {} until it is stopped (observe broker stop)",
        lease.url
    ));
    Ok(Exit::Done)
}

/// Holds a lease until the broker is gone.
async fn keep(binary: &Binary, token: &CancellationToken) -> Outcome {
    let settings = binary.settings();
    let _lease = broker::ensure(&settings, &warden_command()?)
        .await
        .or_exit(Exit::Broker)?;
    while token
        .run_until_cancelled(tokio::time::sleep(LOOK))
        .await
        .is_some()
    {
        if matches!(broker::find(&settings).await, Ok(None)) {
            break;
        }
    }
    Ok(Exit::Done)
}

async fn stop() -> Outcome {
    let settings = Binary::default().settings();
    match broker::stop(&settings).await.or_exit(Exit::Broker)? {
        Stopped::NotRunning => say("the broker does not run"),
        Stopped::Ended { users } => {
            let used = u64::try_from(users).unwrap_or(u64::MAX);
            say(&format!(
                "the broker is ended; {} had it in use",
                count(used, "command", "commands")
            ));
        }
    }
    Ok(Exit::Done)
}

async fn status() -> Outcome {
    let settings = Binary::default().settings();
    let Some(running) = broker::find(&settings).await.or_exit(Exit::Broker)? else {
        say("the broker does not run");
        return Ok(Exit::Refused);
    };
    let output = super::terminal::Output::open();
    let used = u64::try_from(running.users).unwrap_or(u64::MAX);
    let text = format!(
        "address  {}\nversion  {}\npid      {}\nstarted  {}\nstore    {}\nin use   by {}\n",
        running.url,
        running.version,
        running.pid,
        running
            .started
            .to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        running.store.display(),
        count(used, "command", "commands")
    );
    drop(output.line(text.into_bytes()).await);
    output.finish().await?;
    Ok(Exit::Done)
}
