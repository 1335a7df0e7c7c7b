//! Direct mode: look and compare in this process, without a broker; nothing is kept.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::adapter::live::Live;
use crate::adapter::settings::{Hooks, Notice};
use crate::event::record::Record;
use crate::event::subject::Prefix;
use crate::observation::ended::Ended;
use crate::observation::handle::{Nudge, ObservationHandle};
use crate::observation::runtime::ObservationRuntime;
use crate::observation::schedule::{Backoff, Schedule};
use crate::observation::source::FixedSources;
use crate::process::event::{ProcessEvent, TellProcess};
use crate::process::table::Table;
use crate::process_compose::error::ClientError;
use crate::process_compose::observer::ComposeObserver;

use super::contact::{Contact, Patience, clock};
use super::exit::{Exit, Failure, OrExit as _};
use super::lines::Lines;
use super::source_args::SourceArgs;
use super::terminal::say;

/// How many records may wait for a slow viewer before the looks wait for it.
const WAITING: usize = 1024;

/// A view of one source that runs until its token is cancelled.
pub(super) struct Direct {
    pub(super) records: mpsc::Receiver<Record>,
    pub(super) handle: ObservationHandle<Table, ProcessEvent>,
    tasks: JoinSet<Result<(), Failure>>,
}

/// How the wait grows while a source is away. It stays below the interval at first, so that `disconnected`, which needs
/// three failed looks and five seconds, is not late; a refused connection costs nobody anything.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
pub(super) const LAST_BACKOFF: Duration = Duration::from_secs(10);

/// The word on the wire for an error of this source.
///
/// A look that took too long or panicked is no error of the source's own, and has no word of its own.
pub(super) fn error_word(
    error: &(dyn std::error::Error + Send + Sync + 'static),
) -> crate::event::payload::Word {
    let own = (error as &(dyn std::error::Error + 'static)).downcast_ref::<ClientError>();
    own.map_or("timeout", |error| error.kind().word()).into()
}

/// The schedule the flags ask for.
pub(super) fn schedule(args: &SourceArgs) -> Result<Schedule, Failure> {
    Schedule::every(args.interval)
        .backoff(Backoff::new(FIRST_BACKOFF, LAST_BACKOFF))
        .build()
        .or_exit(Exit::Usage)
}

/// What the view says about itself: one line when the source leaves, one when it is back. Without patience its leaving
/// ends the view.
fn hooks(contact: &Contact, patience: Patience, lost: &CancellationToken) -> Hooks {
    let source = contact.source.as_str().to_owned();
    let mut lines = Lines::new([source, contact.client.place(), String::new()], false);
    let lost = lost.clone();
    Hooks {
        word: Box::new(error_word),
        notice: Box::new(move |notice| {
            if let Some(line) = lines.line(&notice) {
                say(&line);
            }
            if patience == Patience::End && matches!(notice, Notice::SourceAway { .. }) {
                lost.cancel();
            }
        }),
        ..Hooks::quiet()
    }
}

/// Begins to watch. The token is cancelled when the view is over for good.
pub(super) fn begin(
    contact: &Contact,
    args: &SourceArgs,
    patience: Patience,
    token: &CancellationToken,
) -> Result<Direct, Failure> {
    let nudge = Nudge::new();
    let (observer, companions) = ComposeObserver::new(
        Arc::clone(&contact.client),
        contact.server.clone(),
        &contact.place.settings,
        args.interval,
        clock(),
        &nudge,
    );
    let (sender, records) = mpsc::channel(WAITING);
    let lost = CancellationToken::new();
    let hooks = hooks(contact, patience, &lost);
    let outlet = Live::new(
        TellProcess,
        contact.source.as_str().to_owned(),
        Prefix::default(),
        hooks,
        sender,
    );
    let sources = FixedSources::one(
        contact.source.clone(),
        contact.place.settings.endpoint.clone(),
    );
    let (runtime, handle) =
        ObservationRuntime::builder(observer, sources, outlet, schedule(args)?, clock())
            .nudge(nudge)
            .build();
    let mut tasks = JoinSet::new();
    let runs = token.clone();
    tasks.spawn(async move {
        let _ends = runs.clone().drop_guard();
        let ended = tokio::select! {
            ended = runtime.run(runs) => match ended {
                Ended::Fatal(error) => Err(Failure::say(Exit::Source, error)),
                // The viewer left, or we were asked to end.
                _ => Ok(()),
            },
            () = lost.cancelled() => Err(Failure::say(Exit::Source, "the source is away (--no-retry)")),
        };
        ended
    });
    let beside = token.clone();
    tasks.spawn(async move {
        companions.run(beside).await;
        Ok(())
    });
    Ok(Direct {
        records,
        handle,
        tasks,
    })
}

impl Direct {
    /// Waits for everything that ran to end; a panic in it is a failure.
    pub(super) async fn join(mut self) -> Result<(), Failure> {
        drop(self.records);
        join(&mut self.tasks).await
    }
}

/// Joins tasks; the first failure is the outcome.
pub(super) async fn join(tasks: &mut JoinSet<Result<(), Failure>>) -> Result<(), Failure> {
    let mut outcome = Ok(());
    while let Some(joined) = tasks.join_next().await {
        let ended = joined.unwrap_or_else(|error| Err(Failure::new(Exit::Refused, error)));
        if outcome.is_ok() {
            outcome = ended;
        }
    }
    outcome
}
