//! Whose events `observe up` brings: one stack, or several that come and go.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::broker::Lease;
use crate::bus::settings::BusSettings;
use crate::event::filter::Filter;

use super::conf::in_force;
use super::contact::{Contact, Patience, reach};
use super::durable::{Plan, claim, run as run_adapter};
use super::exit::{Exit, Failure, OrExit as _};
use super::fleet::{Base, common_prefix, run as run_fleet};
use super::lines::Common;
use super::open::Way;
use super::service::Service;
use super::signals::Hangups;
use super::stacks::Stacks;
use super::up::{Up, broker};

/// What several stacks together are called that are in no file.
const SEVERAL: &str = "stacks";

/// What is looked at.
pub(super) enum Whom {
    One(Box<Contact>, Box<Plan>),
    Several(Arc<Stacks>, Box<Base>, Hangups),
}

/// What is looked at, and where it is told.
pub(super) struct Found {
    pub(super) whom: Whom,
    /// The name of the source; a word of ours for several.
    pub(super) source: String,
    /// What is looked at, in words that are the same for each start.
    pub(super) key: String,
    /// What is looked at, and where that came from.
    pub(super) shown: String,
    pub(super) settings: BusSettings,
    pub(super) lease: Option<Lease>,
}

/// Finds it; `None` where the wait for it was cancelled.
pub(super) async fn find(
    args: &Up,
    verbose: bool,
    hangups: Hangups,
    token: &CancellationToken,
) -> Result<Option<Found>, Failure> {
    let stacks = args
        .many
        .stacks(&args.source, args.name.as_deref(), args.adopt)?;
    let Some((stacks, whence)) = stacks else {
        return Box::pin(one(args, verbose, token)).await;
    };
    let prefix = common_prefix(&args.broker)?;
    let (settings, lease) = broker(args, prefix).await?;
    let base = Base {
        broker: settings.clone(),
        args: args.broker.clone(),
        managed: lease.is_some(),
        verbose,
        spool: args.spool.clone(),
        service: Service::none(),
        listening: None,
    };
    Ok(Some(Found {
        whom: Whom::Several(Arc::new(stacks), Box::new(base), hangups),
        source: together(args.name.as_deref()),
        key: format!("{whence} {:?}", args.many),
        shown: whence,
        settings,
        lease,
    }))
}

/// Reaches the one stack that is meant; `None` where the wait was cancelled.
async fn one(
    args: &Up,
    verbose: bool,
    token: &CancellationToken,
) -> Result<Option<Found>, Failure> {
    let patience = Patience::Wait;
    let Some(place) = args.source.find_patiently(patience, token).await? else {
        return Ok(None);
    };
    let Some(contact) = reach(place, args.name.as_deref(), patience, token).await? else {
        return Ok(None);
    };
    let source = contact.source.as_str().to_owned();
    let (settings, lease) = broker(args, args.broker.writing_prefix(&source)?).await?;
    let place = contact.client.place();
    let shown = format!("{source} at {place} ({})", contact.place.why);
    let plan = Plan {
        args: args.source.clone(),
        broker: settings.clone(),
        claim: claim(args.adopt, args.name.is_some()),
        sieve: None,
        managed: lease.is_some(),
        patience,
        verbose,
        announce: false,
        spool: args.spool.clone(),
        service: Service::none(),
        common: Common::default(),
        listening: None,
    };
    Ok(Some(Found {
        whom: Whom::One(Box::new(contact), Box::new(plan)),
        source,
        key: place,
        shown,
        settings,
        lease,
    }))
}

/// What several stacks are called together: as the folder is called in which their file lies.
fn together(only: Option<&str>) -> String {
    let folder = in_force().and_then(|file| file.folder().file_name());
    let folder = folder.map(|name| name.to_string_lossy().into_owned());
    only.map(str::to_owned)
        .or(folder)
        .unwrap_or_else(|| SEVERAL.to_owned())
}

impl Whom {
    /// The events it tells.
    pub(super) fn events(&self, filter: Filter) -> Result<Filter, Failure> {
        match self {
            Self::One(contact, _) => filter.source(contact.source.as_str()).or_exit(Exit::Usage),
            // They come and go; what others tell into the same broker is shown too.
            Self::Several(..) => Ok(filter),
        }
    }

    /// With somebody who is told how it goes.
    pub(super) fn attended(mut self, by: Service) -> Self {
        match &mut self {
            Self::One(_, plan) => plan.service = by,
            Self::Several(_, base, _) => base.service = by,
        }
        self
    }

    /// Tells what it does, until the token is cancelled.
    pub(super) async fn told(self, way: Way, token: &CancellationToken) -> Result<(), Failure> {
        match self {
            Self::One(contact, plan) => Box::pin(run_adapter(*contact, way, *plan, token)).await,
            Self::Several(stacks, base, hangups) => {
                Box::pin(run_fleet(stacks, way, *base, &hangups, token)).await
            }
        }
    }
}
