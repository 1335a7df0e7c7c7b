//! The adapter's desk: where our own commands ask how it stands, leave what they are about to do, and have its looks
//! held back meanwhile.
//!
//! Anybody whom the broker lets send to the subject may ask. So what is asked is bounded: an intent accounts only for
//! the runs it names and is over by itself, and no hold lasts longer than [`LONGEST_HOLD`], which is less than a root may
//! stand still.

use std::time::Duration;

use chrono::Utc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::bus::connect::Bus;
use crate::bus::control::Requests;
use crate::observation::freshness::Freshness;
use crate::observation::handle::{Hold, ObservationHandle};
use crate::process::control::{Answer, Ask};
use crate::process::event::ProcessEvent;
use crate::process::table::Table;
use crate::process_compose::control::IntentBook;
use crate::render::time::since;

/// No hold lasts longer, whoever forgets to release it.
const LONGEST_HOLD: Duration = Duration::from_secs(10);
/// How long a look under way may keep a hold waiting.
const QUIET: Duration = Duration::from_secs(2);
/// So many holds stand at most.
const HOLDS: usize = 16;

/// What the desk speaks for.
pub(super) struct Desk {
    pub(super) bus: Bus,
    pub(super) subject: String,
    pub(super) adapter: String,
    pub(super) interval: Duration,
    pub(super) handle: ObservationHandle<Table, ProcessEvent>,
    pub(super) book: IntentBook,
}

struct Held {
    id: String,
    until: Instant,
    _hold: Hold,
}

impl Desk {
    /// Answers until the token is cancelled.
    pub(super) async fn run(self, token: CancellationToken) {
        let mut requests = match Requests::listen(&self.bus, self.subject.clone()).await {
            Ok(requests) => requests,
            Err(error) => {
                tracing::warn!(%error, "commands cannot leave their intents here");
                return token.cancelled().await;
            }
        };
        let mut holds: Vec<Held> = Vec::new();
        loop {
            let due = holds.iter().map(|held| held.until).min();
            let over = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let request = tokio::select! {
                biased;
                () = token.cancelled() => return,
                () = over => {
                    let now = Instant::now();
                    holds.retain(|held| held.until > now);
                    continue;
                }
                request = requests.next() => request,
            };
            let Some(request) = request else {
                return token.cancelled().await;
            };
            let Ok(ask) = serde_json::from_slice::<Ask>(&request.payload) else {
                tracing::debug!("a request that cannot be read");
                continue;
            };
            let answer = self.answer(ask, &mut holds).await;
            match serde_json::to_vec(&answer) {
                Ok(bytes) => requests.answer(&request, bytes).await,
                Err(error) => tracing::debug!(%error, "an answer that cannot be written"),
            }
        }
    }

    async fn answer(&self, ask: Ask, holds: &mut Vec<Held>) -> Answer {
        let stands_by = holds.is_empty() && self.is_held();
        match ask {
            Ask::State => {}
            Ask::Intent { intent, hold } => {
                tracing::info!(id = %intent.id, action = %intent.action, runs = intent.runs.len(), hold, "an intent");
                self.book.leave(&intent);
                if hold && holds.len() < HOLDS {
                    holds.push(self.hold(intent.id, intent.limit_ms).await);
                }
            }
            Ask::Over { id, refused } => {
                self.book.refuse(&id, &refused);
                holds.retain(|held| held.id != id);
                // Whatever was done is worth a look.
                self.handle.refresh();
            }
        }
        let seen = self.handle.latest().seen_at();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Answer {
            adapter: self.adapter.clone(),
            looked_ms: seen.map(|at| millis(since(at, Utc::now()))),
            interval_ms: millis(self.interval),
            held: !holds.is_empty(),
            stands_by,
        }
    }

    async fn hold(&self, id: String, limit_ms: u64) -> Held {
        let hold = self.handle.hold();
        if timeout(QUIET, hold.quiet()).await.is_err() {
            tracing::debug!("a look goes on longer than a hold waits for it");
        }
        Held {
            id,
            until: Instant::now() + LONGEST_HOLD.min(Duration::from_millis(limit_ms)),
            _hold: hold,
        }
    }

    fn is_held(&self) -> bool {
        matches!(self.handle.latest().freshness(), Freshness::Held(_))
    }
}
