//! How the sources stand at every moment, and what happens to them: from a broker, or from looks of our own.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::event::record::Record;
use crate::event::sieve::Sieve;
use crate::observation::freshness::Freshness;
use crate::process::moment::{Moment, Sighted};
use crate::process::table::Table;
use crate::process::waiting::{Seen, Sight};
use crate::render::time::since;
use crate::render::words::age;

use super::contact::{Contact, Patience};
use super::direct::{self, Direct};
use super::exit::{Exit, Failure};
use super::heads::Heads;
use super::source_args::SourceArgs;

/// How often a table of our own looks is looked at again; the looks come at their own pace.
const TICK: Duration = Duration::from_millis(100);

/// Something to think about.
pub(super) enum Step {
    /// An event that no table handed in so far contains.
    Record(Box<Record>),
    /// Time to look at the sources again.
    Look,
}

/// The sources that are followed.
pub(super) enum Sources {
    /// One, by looks of our own.
    Own(Own),
    /// Those that tell into a broker.
    Told(Box<Heads>),
}

impl Sources {
    /// Waits for something to think about.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(super) async fn next(&mut self) -> Result<Step, Failure> {
        match self {
            Self::Own(own) => own.next().await,
            Self::Told(heads) => heads.next().await,
        }
    }

    /// How the sources stand; what happened by then comes first, from [`Sources::next`].
    pub(super) fn sights(&mut self, began: Instant) -> Option<Sights> {
        match self {
            Self::Own(own) => own.view(began).map(|view| Sights(vec![view])),
            Self::Told(heads) => heads.views(began).map(Sights),
        }
    }

    /// Waits until what happened by now has been told; what was told has to be taken meanwhile.
    pub(super) fn settled(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        match self {
            Self::Own(own) => Box::pin(own.settled()),
            Self::Told(heads) => Box::pin(tokio::time::sleep(heads.lag() + TICK)),
        }
    }

    /// Whether what is known comes from a broker that is away.
    pub(super) fn is_away(&self) -> bool {
        matches!(self, Self::Told(heads) if heads.is_away())
    }

    /// Ends what runs.
    pub(super) async fn end(self) -> Result<(), Failure> {
        match self {
            Self::Own(own) => own.end().await,
            Self::Told(_) => Ok(()),
        }
    }
}

/// One source as it stands.
pub(super) struct View {
    pub(super) source: String,
    pub(super) stands: Result<Stand, String>,
    /// What is not told of it.
    pub(super) sieve: Option<Sieve>,
}

/// A table that may be judged by.
pub(super) struct Stand {
    pub(super) table: Arc<Table>,
    pub(super) at: Duration,
    pub(super) lag: Duration,
}

/// All of them.
pub(super) struct Sights(pub(super) Vec<View>);

impl Sights {
    pub(super) fn seen(&self) -> Vec<Sight<'_>> {
        self.0.iter().map(View::sight).collect()
    }
}

impl View {
    fn sight(&self) -> Sight<'_> {
        let seen = match &self.stands {
            Ok(stand) => Seen::Table {
                table: &stand.table,
                at: stand.at,
                lag: stand.lag,
            },
            Err(why) => Seen::Blind(why),
        };
        Sight {
            source: &self.source,
            seen,
            sieve: self.sieve.as_ref(),
        }
    }
}

/// One source, by looks of our own.
pub(super) struct Own {
    source: String,
    direct: Option<Direct>,
    ending: CancellationToken,
    due: Instant,
    /// The look that told the last event.
    told_at: DateTime<Utc>,
}

impl Own {
    /// Begins to look.
    pub(super) fn begin(
        contact: &Contact,
        args: &SourceArgs,
        token: &CancellationToken,
    ) -> Result<Self, Failure> {
        let ending = token.child_token();
        Ok(Self {
            source: contact.source.as_str().to_owned(),
            direct: Some(direct::begin(contact, args, Patience::Wait, &ending)?),
            ending,
            due: Instant::now(),
            told_at: DateTime::UNIX_EPOCH,
        })
    }

    /// Waits for something to think about.
    pub(super) async fn next(&mut self) -> Result<Step, Failure> {
        let Some(direct) = &mut self.direct else {
            return Err(Failure::say(Exit::Source, "the looks have ended"));
        };
        let record = tokio::select! {
            biased;
            record = direct.records.recv() => record,
            () = sleep_until(self.due) => {
                self.due = Instant::now() + TICK;
                return Ok(Step::Look);
            }
        };
        if let Some(record) = record {
            self.told_at = self.told_at.max(record.envelope.timestamp);
            return Ok(Step::Record(Box::new(record)));
        }
        // Why it ended is known to who joins it.
        self.ending.cancel();
        if let Some(direct) = self.direct.take() {
            direct.join().await?;
        }
        Err(Failure::say(Exit::Source, "the looks have ended"))
    }

    fn view(&mut self, began: Instant) -> Option<View> {
        let direct = self.direct.as_ref()?;
        let observed = direct.handle.latest();
        // Events are handed over before the table that contains them: what waits there may belong to the table that was
        // just taken, and the table to come contains what was read last.
        if !direct.records.is_empty() {
            self.due = Instant::now();
            return None;
        }
        let is_behind = observed.seen_at().is_some_and(|at| at < self.told_at);
        if is_behind && observed.freshness().is_fresh() {
            return None;
        }
        let ago = observed.seen_at().map(|at| since(at, Utc::now()));
        let (table, freshness) = observed.into_parts();
        let stands = match (table, ago) {
            (Some(table), Some(ago)) if freshness.is_fresh() => Ok(Stand {
                table,
                at: began.elapsed().saturating_sub(ago),
                lag: Duration::ZERO,
            }),
            (_, Some(ago)) => Err(format!("out of sight, last seen {} ago", age(ago))),
            (_, None) => Err("not seen yet".to_owned()),
        };
        Some(View {
            source: self.source.clone(),
            stands,
            sieve: None,
        })
    }

    /// How it stands by the last look, fresh or not; nothing before the first one.
    pub(super) fn moment(&self) -> Option<Moment> {
        let observed = self.direct.as_ref()?.handle.latest();
        let seen_at = observed.seen_at()?;
        let (table, freshness) = observed.into_parts();
        let sighted = match freshness {
            Freshness::Failing { .. } => Sighted::Lost(seen_at),
            fresh if fresh.is_fresh() => Sighted::Seen(Some(seen_at)),
            _ => Sighted::Unwatched(seen_at),
        };
        Some(Moment::of_table(
            &self.source,
            sighted,
            &*table?,
            Some(seen_at),
        ))
    }

    /// Looks once more, at once.
    fn settled(&self) -> impl Future<Output = ()> + use<> {
        let handle = self.direct.as_ref().map(|direct| direct.handle.clone());
        async move {
            if let Some(handle) = handle {
                handle.refresh();
                if handle.looked().await.is_ok() {
                    // What the look told may still be on its way.
                    tokio::time::sleep(TICK).await;
                }
            }
        }
    }

    /// Ends what runs.
    pub(super) async fn end(self) -> Result<(), Failure> {
        self.ending.cancel();
        match self.direct {
            Some(direct) => direct.join().await,
            None => Ok(()),
        }
    }
}
