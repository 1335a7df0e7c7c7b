//! Where events come from: a broker, where one is configured or found, else the stack itself.

use crate::broker::Lease;
use crate::bus::connect::Bus;
use crate::bus::error::BusError;
use crate::bus::head::heads;
use crate::bus::settings::{BusSettings, FirstConnect};

use super::broker_args::{BrokerArgs, Choice};
use super::contact::Patience;
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

/// Who asks, and for what.
pub(super) struct Question<'a> {
    /// The name under which the broker sees us.
    pub(super) name: &'a str,
    /// Whether a person wants the stack itself.
    pub(super) direct: bool,
    /// Whether only a broker will do, because only it has what was before or remembers a place.
    pub(super) kept: bool,
    /// Whether a configured broker that is away is waited for.
    pub(super) patience: Patience,
    /// What is said where the stack itself is looked at for want of a broker.
    pub(super) fallback: &'a str,
}

/// Chooses. A broker that somebody configured may be waited for, one that may be at the usual address is not.
pub(super) async fn way(
    question: Question<'_>,
    source: &SourceArgs,
    broker: &BrokerArgs,
) -> Result<Way, Failure> {
    let Question { kept, fallback, .. } = question;
    let told_so = source.is_given() && !broker.is_configured();
    if question.direct || (told_so && !kept) {
        return Ok(Way::Direct);
    }
    let prefix = broker.reading_prefix()?;
    let choice = broker
        .choose(question.name, prefix, FirstConnect::MustSucceed)
        .await?;
    let is_usual = matches!(choice, Choice::Usual(_)) && !kept;
    let (mut settings, lease) = choice.into_parts();
    if !is_usual && question.patience == Patience::Wait {
        settings.first_connect = FirstConnect::MayWait;
    }
    let bus = match connect_or_wait(&settings).await {
        Ok(bus) => bus,
        Err(BusError::Unreachable { .. }) if is_usual => {
            say(&format!("no broker is configured or found: {fallback}"));
            return Ok(Way::Direct);
        }
        Err(error) => return Err(broker_failure(error)),
    };
    if is_usual
        && matches!(
            heads(&bus, &settings.stream, &settings.prefix).await,
            Err(BusError::NoStream(_))
        )
    {
        say(&format!(
            "the broker at {} has no stream {}: {fallback}",
            settings.display_url(),
            settings.stream
        ));
        return Ok(Way::Direct);
    }
    Ok(Way::Bus(bus, Box::new(settings), lease))
}
