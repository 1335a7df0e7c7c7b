//! Where events come from: a broker, where one is configured or found, else the stack itself.

use crate::broker::Lease;
use crate::bus::connect::Bus;
use crate::bus::error::BusError;
use crate::bus::head::heads;
use crate::bus::settings::{BusSettings, FirstConnect};

use super::broker_args::{BrokerArgs, Choice};
use super::exit::Failure;
use super::open::{broker_failure, connect_or_wait};
use super::source_args::SourceArgs;
use super::terminal::say;

/// Where events come from.
pub(super) enum Way {
    /// The stack itself.
    Direct,
    /// A broker, and what keeps it while it is used.
    Bus(Bus, Box<BusSettings>, Option<Lease>),
}

/// Chooses. A broker that somebody configured is waited for, one that may be at the usual address is not.
pub(super) async fn way(
    name: &str,
    direct: bool,
    source: &SourceArgs,
    broker: &BrokerArgs,
) -> Result<Way, Failure> {
    if direct || (source.is_given() && !broker.is_configured()) {
        return Ok(Way::Direct);
    }
    let prefix = broker.reading_prefix()?;
    let choice = broker
        .choose(name, prefix, FirstConnect::MustSucceed)
        .await?;
    let is_usual = matches!(choice, Choice::Usual(_));
    let (mut settings, lease) = choice.into_parts();
    if !is_usual {
        settings.first_connect = FirstConnect::MayWait;
    }
    let bus = match connect_or_wait(&settings).await {
        Ok(bus) => bus,
        Err(BusError::Unreachable { .. }) if is_usual => {
            say("no broker is configured or found: looking at the stack itself");
            return Ok(Way::Direct);
        }
        Err(error) => return Err(broker_failure(error)),
    };
    let told = heads(&bus, &settings.stream, &settings.prefix).await;
    if is_usual && matches!(told, Err(BusError::NoStream(_))) {
        say(&format!(
            "the broker at {} has no stream {}: looking at the stack itself",
            settings.display_url(),
            settings.stream
        ));
        return Ok(Way::Direct);
    }
    Ok(Way::Bus(bus, Box::new(settings), lease))
}
