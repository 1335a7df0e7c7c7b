//! Where a dial, a ledger and a runtime play together.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::dial::{Blind, Dial, DialReader, Moved};
use super::ledger::{Entry, Full, Ledger};
use crate::observation::{
    Clock, Ended, FixedSources, ObservationHandle, ObservationRuntime, Origin, RuntimeBuilder,
    Schedule, SourceId, SourceProvider,
};

pub(in crate::observation::tests) const MS: fn(u64) -> Duration = Duration::from_millis;

/// A wall clock that follows paused time.
pub(in crate::observation::tests) fn clock() -> Clock {
    let start = Instant::now();
    Arc::new(move || DateTime::UNIX_EPOCH + TimeDelta::from_std(start.elapsed()).unwrap())
}

pub(in crate::observation::tests) fn id(name: &str) -> SourceId {
    name.parse().unwrap()
}

pub(in crate::observation::tests) type DialLedger = Ledger<(u64, Option<Dial>), Moved>;
pub(in crate::observation::tests) type DialBuilder =
    RuntimeBuilder<DialReader, DialLedger, FixedSources<Dial>>;
pub(in crate::observation::tests) type DialEnded = Ended<Blind, Full>;

/// A dial, a ledger and a running runtime that looks once a second.
pub(in crate::observation::tests) struct Stage {
    pub(in crate::observation::tests) dial: Dial,
    pub(in crate::observation::tests) ledger: DialLedger,
    pub(in crate::observation::tests) handle: ObservationHandle<u64, Moved>,
    pub(in crate::observation::tests) token: CancellationToken,
    pub(in crate::observation::tests) run: JoinHandle<DialEnded>,
}

pub(in crate::observation::tests) fn every_second() -> Schedule {
    Schedule::every(MS(1000)).build().unwrap()
}

impl Stage {
    pub(in crate::observation::tests) fn set(
        schedule: Schedule,
        more: impl FnOnce(DialBuilder) -> DialBuilder,
    ) -> Self {
        let (dial, ledger) = (Dial::new(7), Ledger::new());
        let sources = FixedSources::one(id("dial"), dial.clone());
        Self::on(
            dial,
            ledger.clone(),
            more(dial_builder(sources, ledger, schedule)),
        )
    }

    pub(in crate::observation::tests) fn on<P: SourceProvider<Source = Dial>>(
        dial: Dial,
        ledger: DialLedger,
        builder: RuntimeBuilder<DialReader, DialLedger, P>,
    ) -> Self {
        let (runtime, handle) = builder.build();
        let token = CancellationToken::new();
        let run = tokio::spawn(runtime.run(token.clone()));
        Self {
            dial,
            ledger,
            handle,
            token,
            run,
        }
    }

    pub(in crate::observation::tests) fn plain() -> Self {
        Self::set(every_second(), |builder| builder)
    }

    /// A stage on which the first look is over.
    pub(in crate::observation::tests) async fn opened() -> Self {
        let stage = Self::plain();
        stage.handle.ready().await.unwrap();
        stage
    }

    pub(in crate::observation::tests) fn latest(&self) -> Option<u64> {
        self.handle.latest().into_parts().0.map(|value| *value)
    }

    pub(in crate::observation::tests) fn worth(&self) -> &'static str {
        self.handle.latest().freshness().as_str()
    }

    pub(in crate::observation::tests) async fn end(self) -> DialEnded {
        self.token.cancel();
        self.run.await.unwrap()
    }
}

pub(in crate::observation::tests) fn dial_builder<P: SourceProvider<Source = Dial>>(
    sources: P,
    ledger: DialLedger,
    schedule: Schedule,
) -> RuntimeBuilder<DialReader, DialLedger, P> {
    ObservationRuntime::builder(DialReader, sources, ledger, schedule, clock())
}

/// Moves paused time on and lets everybody act on it.
pub(in crate::observation::tests) async fn pass(time: Duration) {
    sleep(time).await;
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

pub(in crate::observation::tests) fn first(events: &[Moved]) -> Entry<Moved> {
    Entry::Delta {
        seq: 1,
        origin: Origin::Initial,
        events: events.to_vec(),
    }
}

pub(in crate::observation::tests) fn change(seq: u64, events: &[Moved]) -> Entry<Moved> {
    Entry::Delta {
        seq,
        origin: Origin::Change,
        events: events.to_vec(),
    }
}
