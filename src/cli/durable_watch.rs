//! The beginning of a watch whose place the broker remembers.

use std::time::Duration;

use crate::bus::connect::Bus;
use crate::bus::durable_reader::{DurableReader, Standing, Wanted};
use crate::bus::error::BusError;
use crate::bus::read::Begin;

use super::contact::Patience;
use super::exit::Failure;
use super::open::broker_failure;
use super::terminal::{say, words};

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Takes the place that is remembered, or a new one, and says in one line which.
pub(super) async fn begin(
    bus: &Bus,
    mut wanted: Wanted,
    patience: Patience,
) -> Result<DurableReader, Failure> {
    let mut said = false;
    loop {
        match DurableReader::open(bus, wanted.clone()).await {
            Ok((reader, standing)) => {
                say(&line(&wanted.name, &standing));
                return Ok(reader);
            }
            Err(error) if error.retry_helps() && patience == Patience::Wait => {
                if matches!(error, BusError::NoStream(_)) && wanted.from == Begin::Now {
                    // Nothing is stored now: whatever the stream holds when it is there came later.
                    wanted.from = Begin::Sequence(1);
                }
                if !std::mem::replace(&mut said, true) {
                    let why = error.to_string();
                    say(&format!("{}; waiting", words().clean(&why, 400)));
                }
            }
            Err(error) => return Err(broker_failure(error)),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn line(name: &str, standing: &Standing) -> String {
    match standing {
        Standing::New {
            behind: Some(behind),
        } => {
            format!("durable {name} is new and begins behind seq {behind} of the stream")
        }
        Standing::New { behind: None } => format!("durable {name} is new and begins where asked"),
        Standing::GoesOn { behind, waiting } => {
            format!(
                "durable {name} goes on behind seq {behind} of the stream, {waiting} events wait"
            )
        }
    }
}
