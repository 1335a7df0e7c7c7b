//! Hearing the runtime: which report tells something at once, which may wait, which only tries what waits.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::event::payload::{Origin, Word};
use crate::event::store::{EventStore, refresh_every};
use crate::event::tell::{Rows, Tell};
use crate::observation::outlet::{Answer, Outlet, Report};

use super::commit::{Committer, Progress, Sight};
use super::dress::{is_out_of_sight, wire_origin};
use super::error::AdapterError;
use super::frame::{Basis, Look, Tail};
use super::gap::{Owed, owe};
use super::identity::is_earlier;
use super::pulse::{Doing, Stand};
use super::settings::{Notice, RebaseCause};

impl<St: EventStore, T: Tell, R: Rows> Committer<St, T, R> {
    /// What waited is brought to the broker before anything new is said.
    async fn catch_up(&mut self) -> Result<Progress<R::State>, AdapterError> {
        self.note_return();
        if !self.store.is_connected() {
            self.away("not connected");
        }
        if self.pending.is_empty() && !self.doubt {
            return Ok(Progress::Done);
        }
        self.advance().await
    }

    /// A look succeeded, or something was salvaged.
    async fn look(
        &mut self,
        look: Look<'_, R::State, T::Event>,
    ) -> Result<Progress<R::State>, AdapterError> {
        let before = self.catch_up().await?;
        if matches!(before, Progress::Rebase(_)) || self.rivalry.is_standing_by() {
            return Ok(before);
        }
        if let Some(rebase) = self.check_epoch(look.epoch)? {
            return Ok(rebase);
        }
        self.note_break(&look);
        let waits = matches!(before, Progress::Waiting);
        let in_danger = !waits && self.is_in_danger().await;
        if !(look.is_news || self.owes() || in_danger) {
            self.looked_at = Some(self.seen_until(&look));
            if waits || self.moved_at.elapsed() < self.refresh_every() {
                return Ok(before);
            }
        }
        if self.pending.is_full(self.staying()) {
            return self.collapse();
        }
        if look.basis == Basis::Look {
            self.looked_at = Some(self.seen_until(&look));
        }
        let frame = self.frame(&look)?;
        self.pending.push(frame);
        let progress = if waits {
            self.pending.complete()?;
            before
        } else {
            self.advance().await?
        };
        if matches!(progress, Progress::Waiting) && !look.is_news {
            self.forget_silent();
        }
        Ok(progress)
    }

    /// A stretch in which nobody looked, though nobody was told to end and nothing failed for long enough to be told: the
    /// machine slept, or we stood still. Who looked meanwhile wrote a root.
    fn note_break(&mut self, look: &Look<'_, R::State, T::Event>) {
        if look.basis != Basis::Look {
            return;
        }
        let limit = self.stale_after();
        let (since, why) = self.vigil.looked(look.at, limit);
        let Tail { seq, standing } = self.tail();
        let own = self.looked_at.unwrap_or(standing.looked_at);
        let before = standing.looked_at.max(own);
        let is_long = (since - before).to_std().is_ok_and(|pause| pause >= limit);
        let is_owed = self.owed.iter().any(|gap| {
            gap.from.is_none_or(|from| from <= before) && gap.to.is_none_or(|to| to >= since)
        });
        if is_long && !is_owed && seq > 0 && standing.connected {
            owe(&mut self.owed, Owed::since(Some(before), why));
        }
    }

    /// Refreshes that did not get through are no deltas: nothing of them waits, the next look makes another.
    pub(super) fn forget_silent(&mut self) {
        let mut is_any = false;
        while let Some(frame) = self.pending.drop_silent() {
            is_any = true;
            // Whatever the next look finds there, it is to be told again.
            let rows = frame.pieces.into_iter().flat_map(|piece| piece.rows);
            self.told.extend(rows.map(|(key, _)| (key, u64::MAX)));
        }
        if is_any && self.pending.is_empty() {
            // Should the broker have one of them after all, it is a mere refresh to us.
            self.attempts.clear();
        }
    }

    /// Two servers of one name would take turns; the one with the older epoch ends, once it has said so twice.
    fn check_epoch(&mut self, epoch: &str) -> Result<Option<Progress<R::State>>, AdapterError> {
        let tail = self.tail();
        let foreign = self.base.owner != self.settings.adapter;
        if !foreign || !self.pending.is_empty() || !is_earlier(epoch, &tail.standing.epoch) {
            self.older_epoch = false;
            return Ok(None);
        }
        if self.older_epoch {
            return Err(self.other_server(epoch));
        }
        self.older_epoch = true;
        self.restore(RebaseCause::OlderEpoch, false).map(Some)
    }

    /// A look failed.
    async fn failing(
        &mut self,
        (count, since): (u32, DateTime<Utc>),
        error: &(dyn Error + Send + Sync + 'static),
    ) -> Result<Progress<R::State>, AdapterError> {
        let why = self.source_away(since, error);
        self.vigil.failed();
        let progress = self.catch_up().await?;
        if !matches!(progress, Progress::Done) {
            return Ok(progress);
        }
        if self.stands_still() && self.is_in_danger().await {
            let frame = self.silent_frame();
            self.pending.push(frame);
            let progress = self.advance().await?;
            if !matches!(progress, Progress::Done) {
                return Ok(progress);
            }
        }
        let now = (self.hooks.now)();
        // A head that describes nothing yet cannot say that its source is gone.
        let can_tell = self.base.standing.connected && self.base.seq > 0;
        if !can_tell || !is_out_of_sight(count, since, now) || !self.stands_still() {
            return Ok(Progress::Done);
        }
        let progress = self.settle().await?;
        if !matches!(progress, Progress::Done) || !self.stands_still() {
            return Ok(progress);
        }
        let frame = self.farewell(why, since, now)?;
        self.pending.push(frame);
        self.advance().await
    }

    /// Says once that the source cannot be seen; gives the word for it.
    pub(super) fn source_away(
        &mut self,
        since: DateTime<Utc>,
        error: &(dyn Error + Send + Sync + 'static),
    ) -> Word {
        let why = (self.hooks.word)(error);
        if std::mem::replace(&mut self.source, Sight::Away) == Sight::There {
            let why = why.clone();
            self.say(Notice::SourceAway { why, since });
        }
        why
    }

    /// True where nobody else looks: the last one who moved the root was us, or it has not moved for so long.
    pub(super) fn stands_still(&self) -> bool {
        self.base.owner == self.settings.adapter || self.moved_at.elapsed() >= self.stale_after()
    }

    /// After how long our own root would count as stale.
    pub(super) fn stale_after(&self) -> Duration {
        self.refresh_every() + 2 * self.settings.interval
    }

    fn refresh_every(&self) -> Duration {
        refresh_every(self.settings.interval)
    }

    pub(super) fn source_seen(&mut self) {
        if std::mem::replace(&mut self.source, Sight::There) == Sight::Away {
            self.say(Notice::SourceBack);
        }
    }

    async fn hear(
        &mut self,
        report: Report<'_, R::State, T::Event>,
    ) -> Result<Progress<R::State>, AdapterError> {
        match report {
            Report::Delta { delta, state } => {
                let look = Look {
                    at: delta.at,
                    epoch: delta.epoch.as_str(),
                    origin: wire_origin(delta.origin),
                    events: &delta.events,
                    state,
                    is_news: true,
                    // Before the delta of a look after failures comes `SeenAgain`.
                    basis: match self.source {
                        Sight::There => Basis::Look,
                        Sight::Away => Basis::Salvage,
                    },
                };
                self.look(look).await
            }
            Report::Unchanged { at, state } => {
                let epoch = Arc::clone(&self.tail().standing.epoch);
                let look = Look {
                    at,
                    epoch: &epoch,
                    origin: Origin::Change,
                    events: &Arc::default(),
                    state,
                    is_news: false,
                    basis: Basis::Look,
                };
                self.look(look).await
            }
            Report::Failing {
                count,
                since,
                error,
            } => self.failing((count, since), error).await,
            Report::SeenAgain { .. } => {
                self.source_seen();
                self.catch_up().await
            }
            Report::Held { .. } => self.held().await,
        }
    }

    /// Shows how we stand to whoever wants to know.
    fn show(&self) {
        let has_broker = self.broker == Sight::There && self.store.is_connected();
        let doing = match has_broker {
            _ if self.late.is_blind() => Doing::Blind,
            _ if self.rivalry.is_standing_by() => Doing::StandingBy,
            true => Doing::Telling,
            false => Doing::Waiting,
        };
        let base = &self.base;
        let own = (base.root_sequence > 0).then_some(base.standing.looked_at);
        self.hooks.pulse.stands(Stand {
            doing,
            has_broker,
            waiting: self.pending.waiting(),
            spool_bytes: self.pending.spool_bytes(),
            head_at: self.rivalry.looked_at().or(own),
        });
    }

    fn answer(&mut self, progress: Progress<R::State>) -> Answer<R::State> {
        match progress {
            _ if self.rivalry.is_standing_by() => Answer::Hold,
            Progress::Done => {
                self.pending.take_all();
                Answer::Taken
            }
            Progress::Waiting => {
                self.keep();
                self.pending.take_all();
                Answer::Taken
            }
            Progress::Rebase(state) => Answer::Rebase(state),
        }
    }
}

impl<St: EventStore, T: Tell, R: Rows> Outlet<R::State, T::Event> for Committer<St, T, R> {
    type Error = AdapterError;

    async fn report(
        &mut self,
        report: Report<'_, R::State, T::Event>,
    ) -> Result<Answer<R::State>, AdapterError> {
        // A report that was dropped in the middle of its commits may have left something unwritten.
        self.pending.complete()?;
        if self.late.is_blind() {
            let answer = self.look_blindly(report).await;
            self.show();
            return answer;
        }
        if let Report::Delta { delta, .. } = &report {
            self.late.epoch = delta.epoch.as_str().into();
        }
        match self.hear(report).await {
            Ok(progress) => {
                let answer = self.answer(progress);
                self.show();
                Ok(answer)
            }
            Err(error) => {
                // Whoever gives us the missing right finds all of it told at the next start.
                if matches!(error, AdapterError::Refused(_)) && self.base.root_sequence > 0 {
                    self.keep();
                }
                Err(error)
            }
        }
    }

    /// Tells what waits, if the broker takes it, and refreshes the root, so that a successor sees how lately we looked.
    async fn close(&mut self) -> Result<(), AdapterError> {
        if self.late.is_blind() || self.rivalry.is_standing_by() {
            return Ok(());
        }
        self.rest = None;
        self.pending.complete()?;
        let progress = self.catch_up().await?;
        let is_done = matches!(progress, Progress::Done) && self.base.root_sequence > 0;
        if is_done
            && self.source == Sight::There
            && self.looked_at > Some(self.base.standing.looked_at)
        {
            let frame = self.silent_frame();
            self.pending.push(frame);
            self.advance().await?;
            self.forget_silent();
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        // Also what a report was about when it was cut off.
        self.keep();
        self.pending.take_all();
        let events = self.pending.waiting();
        let kept_at = self.pending.kept_at().map(Path::to_owned);
        if events > 0 {
            self.say(match kept_at {
                Some(path) => Notice::Spooled { events, path },
                None => Notice::GivenUp { events },
            });
        }
        Ok(())
    }
}
