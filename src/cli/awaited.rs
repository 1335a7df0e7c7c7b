//! Waiting for what was asked for to come true, by looks of our own: what a head says may be older than the request.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::event::filter::Pattern;
use crate::process::condition::Condition;
use crate::process::control::Action;
use crate::process::waiting::{Decision, Outlook, Quantity, Waiting, Wish};
use crate::render::outcome::reason;

use super::contact::Contact;
use super::exit::{Exit, Failure};
use super::process::How;
use super::source_args::SourceArgs;
use super::sources::{Own, Sources, Step};

/// A server that has just been asked may still show how things stood before; so long nothing is impossible.
const SETTLING: Duration = Duration::from_secs(1);
/// The least that is waited, however long the request took.
const LEAST: Duration = Duration::from_secs(1);

/// One process for which it did not come true.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) name: String,
    pub(super) reason: String,
    /// Whether it is certain, and not only the time that is up.
    pub(super) in_time: bool,
}

/// What proves that something was done.
pub(super) struct Proof {
    condition: Condition,
    stable: Duration,
    limit: Duration,
}

impl Proof {
    /// For an action, within what is left of its time.
    pub(super) fn new(action: Action, how: &How, left: Duration) -> Self {
        Self {
            condition: action.proof(),
            stable: how.stable,
            limit: left,
        }
    }
}

/// Waits until it is proved of these processes; gives those of which it is not.
pub(super) async fn wait_for(
    proof: &Proof,
    names: &[String],
    contact: &Contact,
    place: &SourceArgs,
) -> Result<Vec<Awaited>, Failure> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let patterns = names.iter().map(|name| Pattern::literally(name)).collect();
    let mut waiting = Waiting::new(Wish {
        condition: proof.condition,
        names: patterns,
        namespaces: Vec::new(),
        quantity: Quantity::All,
        stable: proof.stable,
        grace: SETTLING,
        fail_on: std::collections::BTreeSet::default(),
    });
    let token = CancellationToken::new();
    let mut sources = Sources::Own(Own::begin(contact, place, &token)?);
    let mut last = None;
    let followed = follow(&mut sources, &mut waiting, &mut last);
    let ended = timeout(proof.limit.max(LEAST), followed).await;
    let in_time = ended.is_ok();
    ended.unwrap_or(Ok(()))?;
    sources.end().await?;
    let unmet = last.into_iter().flat_map(|outlook| outlook.entries);
    let unmet: Vec<_> = unmet
        .filter(|entry| !entry.is_met())
        .map(|entry| Awaited {
            reason: reason(&entry),
            // What is about no process in particular is about all of them.
            name: if entry.name.is_empty() {
                entry.source
            } else {
                entry.name
            },
            in_time,
        })
        .collect();
    if !in_time && unmet.is_empty() {
        return Err(Failure::say(
            Exit::Timeout,
            "it was done, but nothing could be seen of it in time",
        ));
    }
    Ok(unmet)
}

async fn follow(
    sources: &mut Sources,
    waiting: &mut Waiting,
    last: &mut Option<Outlook>,
) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        if let Step::Record(record) = sources.next().await? {
            waiting.see(&record.envelope);
        }
        let Some(sights) = sources.sights(began) else {
            continue;
        };
        let outlook = waiting.look(&sights.seen(), began.elapsed());
        let decision = outlook.decision;
        *last = Some(outlook);
        match decision {
            Decision::Met => return Ok(()),
            Decision::Failed if began.elapsed() >= SETTLING => return Ok(()),
            Decision::Failed | Decision::Wait => {}
        }
    }
}
