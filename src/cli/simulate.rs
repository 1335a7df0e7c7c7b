//! `observe simulate`: a process-compose to play with.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;

use crate::simulate::fleet::PlayedFleet;
use crate::simulate::profile::Profile;
use crate::simulate::random::Dice;
use crate::simulate::server::{SimulateError, SimulateErrorKind, Simulation};
use crate::simulate::settings::{Origin, Place, Settings, Token};
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, Failure, OrExit as _, Outcome};

const EXAMPLES: &str = "\
Examples:
  observe simulate examples/stacks/shop.yaml           a small shop on http://127.0.0.1:8080
  observe simulate shop.yaml -p 0 --truth truth.jsonl  any free port; what really happened
  observe simulate --random 200 --rate 5 --seed 7      200 processes, five end every second
  observe simulate shop.yaml --profile v1.87           an old server
  observe simulate shop.yaml --torn 0.05               answers that contradict themselves
  observe simulate --random 100 --fleet 50 -u sockets  fifty servers, on sockets/0000.sock and so on
  curl -s http://127.0.0.1:8080/processes              what a consumer sees

The first line on stdout is the address; of a fleet, one line for each server. Ctrl-C ends it; it also ends when the server it plays is stopped for good.";

/// Plays a process-compose: its REST API and WebSockets, with simulated processes behind them.
///
/// No real process is ever started. Lives are scripted by a small YAML file or drawn by seed and rate, and what really
/// happened can be written to a file, so that what a consumer said can be compared with what was true.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Simulate {
    /// The stack to play (see docs/simulate.md)
    #[arg(
        value_name = "STACK.yaml",
        required_unless_present = "random",
        conflicts_with = "random"
    )]
    stack: Option<PathBuf>,

    /// Play N random processes instead of a stack file
    #[arg(long, value_name = "N")]
    random: Option<u32>,

    /// With --random: how many lives end per second, over the whole stack
    #[arg(
        long,
        value_name = "PER_SECOND",
        default_value_t = 1.0,
        requires = "random"
    )]
    rate: f64,

    /// The same seed tells the same story
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Address to listen on
    #[arg(short, long, default_value = "127.0.0.1")]
    address: IpAddr,

    /// Port to listen on; 0 takes a free one
    #[arg(short, long, default_value_t = 8080)]
    port: u16,

    /// Listen on this unix socket instead of a port
    #[arg(short, long, value_name = "PATH", conflicts_with_all = ["address", "port"])]
    unix_socket: Option<PathBuf>,

    /// Want the token in this file (20 characters or more) in the header X-PC-Token-Key of every request
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// The release to play: v1.46, v1.75, v1.87, v1.110, v1.120 or v1.122
    #[arg(long, value_name = "VERSION", default_value = "v1.122")]
    profile: Profile,

    /// Write what really happens to this file, one JSON object per line
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,

    /// The project's name, as in devbox/NAME
    #[arg(long, value_name = "PROJECT")]
    name: Option<String>,

    /// Play so many servers in this one process: on consecutive ports from --port on (0: each on a free one), or as
    /// sockets in the folder --unix-socket; the projects are NAME-0000 and so on
    #[arg(long, value_name = "SERVERS", conflicts_with = "truth")]
    fleet: Option<u32>,

    /// So many times faster than the stack says
    #[arg(long, default_value_t = 1.0)]
    speed: f64,

    /// Chance, 0 to 1, that a look at a process contradicts itself, as it sometimes does with the real server
    #[arg(long, value_name = "CHANCE", default_value_t = 0.0)]
    torn: f64,
}

impl Simulate {
    fn settings(self) -> anyhow::Result<Settings> {
        let origin = match (self.stack, self.random) {
            (Some(path), _) => Origin::File(path),
            (None, processes) => Origin::Random(Dice {
                processes: processes.unwrap_or_default(),
                rate: self.rate,
                seed: self.seed,
            }),
        };
        let token = match &self.token_file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|e| {
                    anyhow::Error::new(e)
                        .context(format!("the token file {} cannot be read", path.display()))
                })?;
                Some(Token(text.trim().to_owned()))
            }
            None => None,
        };
        Ok(Settings {
            origin,
            place: self
                .unix_socket
                .map_or(Place::Tcp(self.address, self.port), Place::Unix),
            profile: self.profile,
            seed: self.seed,
            speed: self.speed,
            torn: self.torn,
            project: self.name,
            token,
            truth: self.truth,
        })
    }
}

/// Plays until it is asked to end, or the played server leaves for good.
pub(super) async fn run(args: Simulate, token: CancellationToken) -> Outcome {
    let fleet = args.fleet;
    let settings = args.settings().or_exit(Exit::Usage)?;
    if let Some(count) = fleet {
        let fleet = PlayedFleet::bind(&settings, count).await.map_err(failed)?;
        tell(fleet.addresses());
        fleet.run(token).await.or_exit(Exit::Refused)?;
    } else {
        let simulation = Simulation::bind(settings).await.map_err(failed)?;
        tell([simulation.address()]);
        simulation.run(token).await.or_exit(Exit::Refused)?;
    }
    Ok(Exit::Done)
}

fn failed(error: SimulateError) -> Failure {
    let exit = match error.kind() {
        SimulateErrorKind::Usage => Exit::Usage,
        SimulateErrorKind::System => Exit::Refused,
    };
    Failure::new(exit, error)
}

/// Prints where it listens.
fn tell(addresses: impl IntoIterator<Item = String>) {
    let text: String = addresses
        .into_iter()
        .flat_map(|address| [address, "\n".to_owned()])
        .collect();
    let mut stdout = io::stdout().lock();
    let told = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    // A reader that only wanted the address and left is no reason to end.
    if told.is_err() {
        tracing::debug!("nobody reads the address");
    }
}
