//! Beginning while the broker is away.
//!
//! With a spool the queue goes on, and whose head it is is judged when the head can be read. Without one nobody knows
//! what was told, so nothing is told: every report is taken and forgotten until the head has been read, and then the
//! runtime's state is replaced by what the head says and the source is looked at again. So the comparison that is told is
//! one of the head with a later look, as at any other start. Viewers in the same program see the source meanwhile; the
//! order of look, outlet and viewers holds, only that the outlet is responsible for nothing yet.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::event::store::{EventStore, Head};
use crate::event::tell::{Rows, Tell};
use crate::observation::outlet::{Answer, Report};

use super::commit::{Committer, Sight};
use super::error::{AdapterError, AdapterErrorKind};
use super::identity::Us;
use super::settings::Notice;
use super::start::{Beginning, decide};

/// How much of the beginning is still to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing.
    Done,
    /// We go on from a spool, and whose head it builds on was not judged yet.
    Unjudged,
    /// We know nothing of what was told.
    Blind,
}

/// What is still to be found out since the broker was away at the start.
#[derive(Debug)]
pub(super) struct Late {
    pub(super) stage: Stage,
    /// The epoch of the last look.
    pub(super) epoch: Arc<str>,
    /// Since when another server's head was found, which is not believed yet.
    doubted: Option<Instant>,
}

impl Late {
    pub(super) fn new(stage: Stage, epoch: Arc<str>) -> Self {
        Self {
            stage,
            epoch,
            doubted: None,
        }
    }

    pub(super) fn is_blind(&self) -> bool {
        self.stage == Stage::Blind
    }

    /// A refusal that later looks may settle is believed once it has lasted: where our server began again, the adapter
    /// that tells of it tells the new run, or its head grows stale.
    fn believe(
        &mut self,
        line: String,
        ask_again: bool,
        lasting: Duration,
    ) -> Result<(), AdapterError> {
        let since = *self.doubted.get_or_insert_with(Instant::now);
        if ask_again && since.elapsed() < lasting {
            return Ok(());
        }
        Err(AdapterError::OtherServer {
            line,
            ask_again: false,
        })
    }
}

impl<St: EventStore, T: Tell, R: Rows> Committer<St, T, R> {
    /// Judges the first head that is read after a start without one; false where later looks are needed for that.
    pub(super) fn is_ours_to_tell(&mut self, head: Option<&Head>) -> Result<bool, AdapterError> {
        if self.late.stage != Stage::Unjudged {
            return Ok(true);
        }
        let us = Us {
            adapter: &self.settings.adapter,
            identity: &self.settings.identity,
            epoch: Some(&self.late.epoch),
            claim: self.settings.claim,
        };
        let now = (self.hooks.now)();
        match decide(head, us, self.acknowledged.as_ref(), now) {
            Beginning::Refuse { line, ask_again } => {
                let lasting = self.stale_after();
                self.late.believe(line, ask_again, lasting)?;
                return Ok(false);
            }
            beginning => self.say_taken_over(&beginning),
        }
        self.late.stage = Stage::Done;
        Ok(true)
    }

    fn say_taken_over(&mut self, beginning: &Beginning) {
        if let Beginning::Resume {
            takes_over: Some(line),
            ..
        } = beginning
        {
            let line = line.clone();
            self.say(Notice::TakenOver { line });
        }
    }

    /// A report while nothing is known of what was told.
    pub(super) async fn look_blindly(
        &mut self,
        report: Report<'_, R::State, T::Event>,
    ) -> Result<Answer<R::State>, AdapterError> {
        match report {
            Report::Failing { since, error, .. } => {
                self.source_away(since, error);
            }
            Report::SeenAgain { .. } => self.source_seen(),
            Report::Delta { delta, .. } if self.source == Sight::There => {
                self.late.epoch = delta.epoch.as_str().into();
                return self.open_eyes().await;
            }
            Report::Unchanged { .. } => return self.open_eyes().await,
            Report::Delta { .. } | Report::Held { .. } => {}
        }
        Ok(Answer::Taken)
    }

    /// Reads the head, if the broker is there, and begins.
    async fn open_eyes(&mut self) -> Result<Answer<R::State>, AdapterError> {
        if !self.store.is_connected() {
            self.away("not connected");
            return Ok(Answer::Taken);
        }
        let epoch = Arc::clone(&self.late.epoch);
        let found = match self.read(Some(&epoch)).await {
            Ok(found) => found,
            Err(AdapterError::OtherServer { line, ask_again }) => {
                let lasting = self.stale_after();
                self.late.believe(line, ask_again, lasting)?;
                return Ok(Answer::Taken);
            }
            Err(error) if error.kind() == AdapterErrorKind::Transient => {
                self.away(&error.to_string());
                return Ok(Answer::Taken);
            }
            Err(error) => return Err(error),
        };
        self.say_taken_over(found.beginning());
        let (state, _) = self.open(found);
        self.late.stage = Stage::Done;
        self.doubt = false;
        self.back();
        Ok(state.map_or(Answer::Anew, Answer::Rebase))
    }
}
