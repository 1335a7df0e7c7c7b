//! A broker of our own, kept alive for as long as an adapter tells into it.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::broker::{self, Lease};
use crate::bus::connect::Bus;

use super::broker::warden_command;
use super::exit::{Exit, Failure, OrExit as _};
use super::terminal::say;

/// How long a broker of our own may be away before somebody looks whether it still runs.
const OWN_BROKER: Duration = Duration::from_secs(1);
/// So many deaths, with less than this between two of them, are enough.
const DEATHS: u32 = 5;
const QUIET: Duration = Duration::from_secs(60);

/// Keeps a broker of our own: one that died is started again, in its old place, with what it kept. Ends where a person
/// ended it, or where it cannot be had again.
pub(super) async fn keep_own_broker(
    bus: &Bus,
    own: Option<&Own>,
    token: &CancellationToken,
) -> Option<Failure> {
    let Some(own) = own else {
        token.cancelled().await;
        return None;
    };
    let (mut link, mut deaths, mut last) = (bus.link(), 0, Instant::now());
    // Held until we end, beside the first.
    let mut _lease = None;
    loop {
        // The sender lives as long as the bus.
        let away = token
            .run_until_cancelled(link.wait_for(|link| !link.is_connected()))
            .await?;
        drop(away);
        token
            .run_until_cancelled(tokio::time::sleep(OWN_BROKER))
            .await?;
        if bus.is_connected() || !matches!(broker::find(&own.settings).await, Ok(None)) {
            continue;
        }
        if !matches!(broker::has_died(&own.settings), Ok(true)) {
            return Some(Failure::say(
                Exit::Broker,
                "our own broker was ended; run observe up again, what was told is kept",
            ));
        }
        if last.elapsed() > QUIET {
            deaths = 0;
        }
        (deaths, last) = (deaths + 1, Instant::now());
        let again = token.run_until_cancelled(start_again(own)).await?;
        match again {
            Ok(Some(lease)) => _lease = Some(lease),
            Ok(None) => {
                return Some(Failure::say(
                    Exit::Broker,
                    "our own broker died and its port is taken; run observe up again, what was told is kept",
                ));
            }
            Err(failure) if deaths >= DEATHS => return Some(failure),
            Err(failure) => tracing::warn!(error = %failure.line(), "our own broker"),
        }
        if deaths >= DEATHS {
            return Some(Failure::say(
                Exit::Broker,
                "our own broker dies again and again; see observe broker status and its log",
            ));
        }
    }
}

/// Starts a broker of our own again; nothing where it has another address, to which no connection comes back.
async fn start_again(own: &Own) -> Result<Option<Lease>, Failure> {
    let lease = broker::ensure(&own.settings, &warden_command()?)
        .await
        .or_exit(Exit::Broker)?;
    if lease.url != own.url {
        return Ok(None);
    }
    say("our own broker had died and was started again");
    Ok(Some(lease))
}

/// A broker of our own, and where the connection looks for it.
pub(super) struct Own {
    pub(super) settings: broker::Settings,
    pub(super) url: String,
}
