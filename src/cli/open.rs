//! The way to a broker: connect, see to the stream, and wait for what is away where that was asked for.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::bus::connect::{Bus, connect};
use crate::bus::error::{BusError, Kind};
use crate::bus::settings::{BusSettings, FirstConnect};
use crate::bus::stream;
use crate::render::notice::{Away, Side};

use super::contact::Patience;
use super::exit::{Exit, Failure};
use super::terminal::{say, words};

/// How long a broker may take to answer before its absence is said.
const QUIET: Duration = Duration::from_secs(1);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Connects. Whoever may wait for a broker that is away still learns at once that one is there and does not let us in.
pub(super) async fn connect_or_wait(settings: &BusSettings) -> Result<Bus, BusError> {
    let now = BusSettings {
        first_connect: FirstConnect::MustSucceed,
        ..settings.clone()
    };
    match Box::pin(connect(&now)).await {
        Err(BusError::Unreachable { .. }) if settings.first_connect == FirstConnect::MayWait => {
            Box::pin(connect(settings)).await
        }
        connected => connected,
    }
}

/// Connects to the broker and sees to the stream; `None` where the wait was cancelled.
pub(super) async fn open(
    settings: &BusSettings,
    patience: Patience,
    token: &CancellationToken,
) -> Result<Option<Bus>, Failure> {
    let first_connect = match patience {
        Patience::Wait => FirstConnect::MayWait,
        Patience::End => FirstConnect::MustSucceed,
    };
    let wanted = BusSettings {
        first_connect,
        ..settings.clone()
    };
    let Some(bus) = token.run_until_cancelled(connect_or_wait(&wanted)).await else {
        return Ok(None);
    };
    let bus = bus.map_err(broker_failure)?;
    let shown = settings.display_url();
    let away = Away {
        side: Side::Broker,
        name: &shown,
    };
    let mut since = None;
    loop {
        let Some(ready) = token
            .run_until_cancelled(look_after(&bus, settings, patience))
            .await
        else {
            return Ok(None);
        };
        let Some(why) = ready? else { break };
        if since.is_none() {
            since = Some(tokio::time::Instant::now());
            say(&format!(
                "{}; waiting for it",
                away.left(words(), &why).trim_end()
            ));
        }
        if token
            .run_until_cancelled(tokio::time::sleep(PAUSE))
            .await
            .is_none()
        {
            return Ok(None);
        }
    }
    if let Some(since) = since {
        say(&away.back(words(), since.elapsed()));
    }
    Ok(Some(bus))
}

/// A way to a broker.
pub(super) enum Way {
    /// It is there, and the stream is looked after.
    Open(Bus),
    /// It is away; the stream was not seen yet.
    Away(Bus),
}

impl Way {
    /// The connection, whether it stands or not.
    pub(super) fn bus(&self) -> &Bus {
        match self {
            Self::Open(bus) | Self::Away(bus) => bus,
        }
    }
}

/// Connects to the broker and sees to the stream; whoever may wait does not wait for one that is away. `None` where it
/// was cancelled.
pub(super) async fn open_or_away(
    settings: &BusSettings,
    patience: Patience,
    token: &CancellationToken,
) -> Result<Option<Way>, Failure> {
    if patience == Patience::End {
        let bus = open(settings, patience, token).await?;
        return Ok(bus.map(Way::Open));
    }
    let Some(bus) = token.run_until_cancelled(connect_or_wait(settings)).await else {
        return Ok(None);
    };
    let bus = bus.map_err(broker_failure)?;
    let Some(found) = token
        .run_until_cancelled(way_on(&bus, settings, patience))
        .await
    else {
        return Ok(None);
    };
    let (way, why) = found?;
    if let Some(why) = why {
        let shown = settings.display_url();
        let away = Away {
            side: Side::Broker,
            name: &shown,
        };
        say(&format!(
            "{}; looking on, and waiting for it",
            away.left(words(), &why).trim_end()
        ));
    }
    Ok(Some(way))
}

/// How a connection stands, with the stream looked after, and why it is of no use yet where it is not.
pub(super) async fn way_on(
    bus: &Bus,
    settings: &BusSettings,
    patience: Patience,
) -> Result<(Way, Option<String>), Failure> {
    let why = look_after(bus, settings, patience).await?;
    let way = match why {
        None => Way::Open(bus.clone()),
        Some(_) => Way::Away(bus.clone()),
    };
    Ok((way, why))
}

/// Sees to the stream; the reason where that has to wait.
async fn look_after(
    bus: &Bus,
    settings: &BusSettings,
    patience: Patience,
) -> Result<Option<String>, Failure> {
    if tokio::time::timeout(QUIET, bus.connected()).await.is_err() {
        let why = "nobody answers there; start one, or let `observe up` bring its own";
        return Ok(Some(why.to_owned()));
    }
    match stream::ensure(bus, settings).await {
        Ok(ensured) => {
            for note in ensured.changed.iter().chain(&ensured.notes) {
                tracing::info!(%note, "the stream");
            }
            Ok(None)
        }
        Err(error) if error.retry_helps() && patience == Patience::Wait => {
            Ok(Some(error.to_string()))
        }
        Err(error) => Err(broker_failure(error)),
    }
}

/// How the program ends on a broker's error.
pub(super) fn broker_failure(error: BusError) -> Failure {
    let exit = match error.kind() {
        Kind::Invalid => Exit::Usage,
        Kind::Refused | Kind::Auth => Exit::Refused,
        Kind::Unreachable | Kind::Busy | Kind::Unknown => Exit::Broker,
    };
    Failure::new(exit, error)
}
