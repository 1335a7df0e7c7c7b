//! The way to what was kept: the broker that everybody uses, else our own, started for as long as it is read.

use crate::broker::{self, Lease};
use crate::bus::connect::{Bus, connect};
use crate::bus::error::BusError;
use crate::bus::head::heads;
use crate::bus::settings::{BusSettings, FirstConnect};

use super::broker::warden_command;
use super::broker_args::{BrokerArgs, Choice, with_managed};
use super::exit::{Exit, Failure, OrExit as _};
use super::open::broker_failure;
use super::terminal::say;

/// Connects, or says at once why not: who asks for the past does not wait for a broker to come.
pub(super) async fn kept(
    name: &str,
    args: &BrokerArgs,
) -> Result<(Bus, BusSettings, Option<Lease>), Failure> {
    let prefix = args.reading_prefix()?;
    let choice = args.choose(name, prefix, FirstConnect::MustSucceed).await?;
    let Choice::Usual(settings) = choice else {
        let (settings, lease) = choice.into_parts();
        let bus = Box::pin(connect(&settings)).await.map_err(broker_failure)?;
        return Ok((bus, settings, lease));
    };
    match Box::pin(holding(&settings)).await {
        Ok(bus) => Ok((bus, settings, None)),
        Err(error @ (BusError::Unreachable { .. } | BusError::NoStream(_))) => {
            let at = settings.display_url();
            let managed = args.managed();
            if !broker::has_store(&managed) {
                return Err(Failure::say(Exit::Broker, nothing_kept(&at, &error)));
            }
            let lease = broker::ensure(&managed, &warden_command()?)
                .await
                .or_exit(Exit::Broker)?;
            if lease.started_by_us {
                say("the managed broker is started for this; nobody tells anything into it now");
            }
            let settings = with_managed(settings, &lease.url, lease.token.reveal());
            let bus = Box::pin(connect(&settings)).await.map_err(broker_failure)?;
            Ok((bus, settings, Some(lease)))
        }
        Err(error) => Err(broker_failure(error)),
    }
}

/// What is said where nobody named a broker and none of ours has anything, each way out once.
fn nothing_kept(at: &str, error: &BusError) -> String {
    let found = match error {
        BusError::Unreachable { why, .. } => format!("no broker answers at {at} ({why})"),
        BusError::NoStream(stream) => format!("the broker at {at} has no stream {stream}"),
        other => other.to_string(),
    };
    format!(
        "nothing was kept here, and {found}; observe up keeps events from now on, --server names another broker"
    )
}

/// A broker that nobody named, where it holds the stream.
pub(super) async fn holding(settings: &BusSettings) -> Result<Bus, BusError> {
    let bus = connect(settings).await?;
    heads(&bus, &settings.stream, &settings.prefix).await?;
    Ok(bus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_out_is_said_once() {
        let unreachable = BusError::Unreachable {
            at: "nats://b:1".to_owned(),
            why: "refused".to_owned(),
        };
        for error in [unreachable, BusError::NoStream("S".to_owned())] {
            let line = nothing_kept("nats://b:1", &error);
            for once in [
                "nothing was kept here",
                "nats://b:1",
                "observe up",
                "--server",
            ] {
                assert_eq!(line.matches(once).count(), 1, "{line}");
            }
        }
    }
}
