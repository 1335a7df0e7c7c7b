//! The outlet of direct mode: events become records for one reader in this process. There is no head, so nothing is
//! resumed and nobody else is heard of; the journal is called `live-…`, so that nobody takes it for one that is kept.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc::Sender;

use crate::event::envelope::{Envelope, SourceNotice};
use crate::event::payload::Origin;
use crate::event::record::{Position, Record};
use crate::event::subject::Prefix;
use crate::event::tell::Tell;
use crate::observation::outlet::{Answer, Outlet, Report};

use super::block::Block;
use super::commit::Sight;
use super::dress::{Pen, disconnected, is_out_of_sight, own_words, wire_origin};
use super::gap::{Owed, SOURCE_UNREACHABLE};
use super::pending::Standing;
use super::settings::{Hooks, Notice};

/// Why a live view ends.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// Its reader left; that is success where the reader was a pipe.
    #[error("the reader of the live view left")]
    ReaderLeft,
    /// An event could not be written as JSON.
    #[error("an event cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// Hands each event, as a record, to a bounded channel, and waits where the reader is slow: nothing is kept here, so what
/// it did not take would be lost.
pub struct Live<T> {
    tell: T,
    source: String,
    prefix: Prefix,
    journal: String,
    hooks: Hooks,
    records: Sender<Record>,
    stream: Arc<str>,
    seq: u64,
    /// None before the first look.
    standing: Option<Standing>,
    sight: Sight,
}

impl<T> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("source", &self.source)
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}

impl<T: Tell> Live<T> {
    /// A live view of a source under this name, in a journal of its own.
    pub fn new(
        tell: T,
        source: String,
        prefix: Prefix,
        hooks: Hooks,
        records: Sender<Record>,
    ) -> Self {
        Self {
            tell,
            source,
            prefix,
            journal: format!("live-{}", (hooks.names)()),
            hooks,
            records,
            stream: Arc::from(""),
            seq: 0,
            standing: None,
            sight: Sight::There,
        }
    }

    /// The journal of this view.
    pub fn journal(&self) -> &str {
        &self.journal
    }

    /// A look succeeded; no epoch where it brought no news.
    async fn look(
        &mut self,
        at: DateTime<Utc>,
        news: Option<(&str, Origin, &[T::Event])>,
    ) -> Result<(), LiveError> {
        let is_first = self.standing.is_none();
        let before = self.standing.take().unwrap_or_else(|| Standing {
            epoch: "".into(),
            connected: false,
            looked_at: at,
            left_out: None,
        });
        let default = if is_first {
            Origin::Initial
        } else {
            Origin::Change
        };
        let (epoch, origin, events) = news.unwrap_or((&before.epoch, default, &[]));
        let unseen = !is_first && !before.connected;
        let gaps: Vec<_> = unseen
            .then(|| Owed::since(Some(before.looked_at), SOURCE_UNREACHABLE))
            .into_iter()
            .collect();
        let origin = match origin {
            Origin::Change if unseen => Origin::Resync,
            origin => origin,
        };
        self.standing = Some(Standing {
            epoch: epoch.into(),
            connected: true,
            looked_at: at,
            left_out: None,
        });
        for notice in own_words(&before, is_first, &gaps, (epoch, at)) {
            self.send((epoch, origin, at), |pen| pen.notice(notice))
                .await?;
        }
        self.events((epoch, origin, at), events).await
    }

    async fn events(
        &mut self,
        stamp: (&str, Origin, DateTime<Utc>),
        events: &[T::Event],
    ) -> Result<(), LiveError> {
        for event in events {
            let payload = self.tell.tell(event).into_owned();
            self.send(stamp, |pen| pen.envelope(payload)).await?;
        }
        Ok(())
    }

    async fn failing(
        &mut self,
        (count, since): (u32, DateTime<Utc>),
        error: &(dyn Error + Send + Sync + 'static),
    ) -> Result<(), LiveError> {
        if std::mem::replace(&mut self.sight, Sight::Away) == Sight::There {
            let why = (self.hooks.word)(error);
            (self.hooks.notice)(Notice::SourceAway { why, since });
        }
        let now = (self.hooks.now)();
        let Some(standing) = &mut self.standing else {
            return Ok(());
        };
        if !standing.connected || !is_out_of_sight(count, since, now) {
            return Ok(());
        }
        standing.connected = false;
        let epoch = Arc::clone(&standing.epoch);
        let why = (self.hooks.word)(error);
        let notice: SourceNotice = disconnected(why, Some(standing.looked_at), since);
        self.send((&epoch, Origin::Change, now), |pen| pen.notice(notice))
            .await
    }

    async fn send(
        &mut self,
        (epoch, origin, at): (&str, Origin, DateTime<Utc>),
        dress: impl FnOnce(&mut Pen<'_>) -> Envelope,
    ) -> Result<(), LiveError> {
        let mut pen = Pen {
            prefix: &self.prefix,
            source: &self.source,
            journal: &self.journal,
            epoch,
            origin,
            at,
            seq: self.seq,
            block: Block::default(),
        };
        let envelope = dress(&mut pen);
        self.seq = pen.seq;
        let mut raw = Vec::with_capacity(1024);
        envelope.write_json(&mut raw)?;
        let record = Record {
            envelope,
            raw: raw.into(),
            position: Position {
                stream: Arc::clone(&self.stream),
                sequence: 0,
                stored_at: at,
            },
        };
        let sent = self.records.send(record).await;
        sent.map_err(|_| LiveError::ReaderLeft)
    }
}

impl<S: Send + Sync + 'static, T: Tell> Outlet<S, T::Event> for Live<T> {
    type Error = LiveError;

    async fn report(&mut self, report: Report<'_, S, T::Event>) -> Result<Answer<S>, LiveError> {
        match report {
            Report::Delta { delta, .. } => {
                let origin = wire_origin(delta.origin);
                let epoch = delta.epoch.as_str();
                match self.sight {
                    Sight::There => {
                        let news = (epoch, origin, delta.events.as_slice());
                        self.look(delta.at, Some(news)).await?;
                    }
                    // What had been heard before the source left.
                    Sight::Away => {
                        self.events((epoch, origin, delta.at), &delta.events)
                            .await?;
                    }
                }
            }
            Report::Unchanged { at, .. } => self.look(at, None).await?,
            Report::Failing {
                count,
                since,
                error,
            } => self.failing((count, since), error).await?,
            Report::SeenAgain { .. } => {
                self.sight = Sight::There;
                (self.hooks.notice)(Notice::SourceBack);
            }
            // Nobody else looks for a live view, so it never holds.
            Report::Held { .. } => {}
        }
        if self.records.is_closed() {
            return Err(LiveError::ReaderLeft);
        }
        Ok(Answer::Taken)
    }

    async fn close(&mut self) -> Result<(), LiveError> {
        Ok(())
    }
}
