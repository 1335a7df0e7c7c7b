//! Who takes responsibility for what was seen.

use std::convert::Infallible;
use std::future::Future;

use chrono::{DateTime, Utc};

use super::delta::Delta;

/// What the runtime tells its outlet, in order, one at a time.
#[derive(Debug)]
pub enum Report<'a, S, E> {
    /// Something changed. Told for a step with events, for a new epoch and for the first look.
    Delta {
        /// What changed; nobody has seen it yet.
        delta: &'a Delta<E>,
        /// The proposed next state.
        state: &'a S,
    },
    /// The source was seen and nothing changed.
    Unchanged {
        /// When the look ended.
        at: DateTime<Utc>,
        /// The proposed next state, which may differ in what is no event.
        state: &'a S,
    },
    /// The source could not be seen; told after each failed look.
    Failing {
        /// How many looks in a row have failed.
        count: u32,
        /// When the first of them ended.
        since: DateTime<Utc>,
        /// Why the last of them failed.
        error: &'a (dyn std::error::Error + Send + Sync + 'static),
    },
    /// The source was seen again after failures; the delta or `Unchanged` of that look follows.
    SeenAgain {
        /// When the look ended.
        at: DateTime<Utc>,
    },
    /// The looks are held, as the outlet wished; told after each interval until it wishes otherwise.
    Held {
        /// Now.
        at: DateTime<Utc>,
        /// When the hold began.
        since: DateTime<Utc>,
    },
}

/// What the outlet answers to a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<S> {
    /// It has taken responsibility; now others may see it.
    Taken,
    /// Somebody else told more than we knew: the step is dropped, this state replaces ours, and the
    /// source is looked at again.
    Rebase(S),
    /// Nobody has told anything of this source yet: the step is dropped, and with it what was known; the next look is
    /// the first one.
    Anew,
    /// Do not look: somebody else does. What was reported is dropped, the state stays where it was,
    /// and after one interval, whatever nudges, [`Report::Held`] asks again; `Taken` or `Rebase`
    /// then let the looks go on. A row of failures ends with a hold, so what is reported after it
    /// begins anew, without `SeenAgain`.
    Hold,
}

/// The one durable listener of a runtime.
///
/// It may be slow: the looks wait for it. Whatever is transient it waits out itself. It may also
/// stop the looks for as long as it likes, by answering [`Answer::Hold`] to any report; readers then
/// find their value held, and an orderly end is as quick as ever.
pub trait Outlet<S, E>: Send + 'static {
    /// Why it can take nothing more; the run ends with it.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Takes one report, or says that our state was not the last one.
    ///
    /// # Errors
    ///
    /// An error is final.
    ///
    /// # Cancel safety
    ///
    /// The future is run to its end, except when it outlasts the limit of an orderly end: then it
    /// is dropped, whether it was taken remains unknown, and [`close`](Self::close) follows.
    fn report(
        &mut self,
        report: Report<'_, S, E>,
    ) -> impl Future<Output = Result<Answer<S>, Self::Error>> + Send;

    /// Ends in order; awaited once, within what is left of the schedule's shutdown limit. It is not
    /// called after an error.
    ///
    /// # Errors
    ///
    /// The run then ended as refused.
    fn close(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// The outlet of a run that nobody needs to remember: it takes everything and keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoOutlet;

impl<S: Sync, E: Sync + Send> Outlet<S, E> for NoOutlet {
    type Error = Infallible;

    async fn report(&mut self, _: Report<'_, S, E>) -> Result<Answer<S>, Infallible> {
        Ok(Answer::Taken)
    }

    async fn close(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
