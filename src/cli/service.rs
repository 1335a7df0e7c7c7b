//! What a service manager is told, where one listens (`NOTIFY_SOCKET`): that we are ready, alive, ending, and how it is.
//!
//! Alive is not that the program runs but that it looks: each report that the looks make is a beat, and when the beats
//! stay away for longer than looks, pauses after failures and a commit can take, no sign of life is given any more, and
//! the manager starts us again. While something is waited for before the first look, waiting is all there is to do.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::observation::outlet::{Answer, Outlet, Report};

/// From then on waiting counts as being ready: what is waited for may take days to come.
const PATIENCE: Duration = Duration::from_secs(2);
/// Beside what is known of the looks, what a commit may take with a broker that does not answer.
const GRACE: Duration = Duration::from_secs(60);
/// How often the clock is looked at where nobody wants signs of life.
const SELDOM: Duration = Duration::from_secs(3600);

type Tell = dyn Fn(&[NotifyState<'_>]) + Send + Sync;
type Ready = dyn Fn(Option<&str>) + Send + Sync;

/// What we are, as seen by a service manager; clones are the same service.
#[derive(Clone)]
pub(super) struct Service(Option<Arc<Inner>>);

struct Inner {
    tell: Box<Tell>,
    /// Told when we are ready, and what is still waited for then.
    ready: Option<Box<Ready>>,
    /// How often the manager wants a sign of life, if it does.
    every: Option<Duration>,
    life: Mutex<Life>,
}

#[derive(Default)]
struct Life {
    is_ready: bool,
    /// For each who looks the last beat, and how long after it the next one must have come; nobody before the first look.
    looks: BTreeMap<u64, (Instant, Duration)>,
    /// Who looks next is known by this number.
    next: u64,
}

impl Service {
    /// Nobody listens.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// The one that started us, if it wants to be told.
    pub(super) fn of_environment() -> Self {
        if std::env::var_os("NOTIFY_SOCKET").is_none_or(|socket| socket.is_empty()) {
            return Self::none();
        }
        // Half of it, as the interface asks for, and a little less.
        let every = sd_notify::watchdog_enabled().map(|limit| limit / 3);
        Self::new(every, |states| {
            if let Err(error) = sd_notify::notify(states) {
                tracing::debug!(%error, "the service manager cannot be told");
            }
        })
    }

    /// Somebody else who wants to know when we are ready, and what is still waited for then.
    pub(super) fn told(ready: impl Fn(Option<&str>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(Inner {
            tell: Box::new(|_| {}),
            ready: Some(Box::new(ready)),
            every: None,
            life: Mutex::default(),
        })))
    }

    fn new(
        every: Option<Duration>,
        tell: impl Fn(&[NotifyState<'_>]) + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(Inner {
            tell: Box::new(tell),
            ready: None,
            every: every.filter(|every| !every.is_zero()),
            life: Mutex::default(),
        })))
    }

    /// How it is, in one line.
    pub(super) fn status(&self, line: &str) {
        if let Some(inner) = &self.0 {
            (inner.tell)(&[NotifyState::Status(&line.replace('\n', " "))]);
        }
    }

    /// Waits for what may be away for long: that is being ready, too.
    pub(super) async fn patiently<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        let Some(inner) = &self.0 else {
            return work.await;
        };
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = sleep(PATIENCE) => {}
        }
        inner.ready(Some(what));
        self.status(what);
        work.await
    }

    /// An outlet whose answers are our signs of life; from one to the next no more than `limit` passes, and a grace.
    pub(super) fn listen<L>(&self, outlet: L, limit: Duration) -> Heard<L> {
        Heard {
            outlet,
            pulse: Pulse {
                service: self.clone(),
                number: self.0.as_ref().map_or(0, |inner| inner.number()),
            },
            limit: limit + GRACE,
        }
    }

    /// Gives signs of life for as long as the work lasts, and says when it is asked to end.
    ///
    /// # Cancel safety
    ///
    /// That of the work.
    pub(super) async fn during<T>(
        &self,
        token: &CancellationToken,
        work: impl Future<Output = T>,
    ) -> T {
        let Some(inner) = &self.0 else {
            return work.await;
        };
        let mut work = std::pin::pin!(work);
        let mut signs = interval(inner.every.unwrap_or(SELDOM));
        signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                // Before the work, which may have heard of it first and be over.
                () = token.cancelled() => break,
                done = &mut work => return done,
                _ = signs.tick() => inner.sign(),
            }
        }
        (inner.tell)(&[NotifyState::Stopping, NotifyState::Status("ending")]);
        work.await
    }
}

impl Inner {
    fn ready(&self, waits_for: Option<&str>) {
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut life.is_ready, true) {
            (self.tell)(&[NotifyState::Ready]);
            if let Some(ready) = &self.ready {
                ready(waits_for);
            }
        }
    }

    fn number(&self) -> u64 {
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        life.next += 1;
        life.next
    }

    fn beat(&self, number: u64, limit: Duration) {
        self.ready(None);
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        life.looks.insert(number, (Instant::now(), limit));
    }

    fn sign(&self) {
        let life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        let mut looks = life.looks.values();
        let is_alive = looks.all(|(last, limit)| last.elapsed() <= *limit);
        if is_alive && self.every.is_some() {
            (self.tell)(&[NotifyState::Watchdog]);
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Service").field(&self.0.is_some()).finish()
    }
}

/// An outlet whose answers are signs of life: every turn of the looks reports something, also one that failed and one
/// that stood by.
#[derive(Debug)]
pub(super) struct Heard<L> {
    outlet: L,
    pulse: Pulse,
    limit: Duration,
}

/// The beats of one who looks; when it is over, nobody waits for the next one.
#[derive(Debug)]
struct Pulse {
    service: Service,
    number: u64,
}

impl Drop for Pulse {
    fn drop(&mut self) {
        if let Some(inner) = &self.service.0 {
            let mut life = inner.life.lock().unwrap_or_else(PoisonError::into_inner);
            life.looks.remove(&self.number);
        }
    }
}

impl<S: Sync, E: Send + Sync, L: Outlet<S, E>> Outlet<S, E> for Heard<L> {
    type Error = L::Error;

    async fn report(&mut self, report: Report<'_, S, E>) -> Result<Answer<S>, L::Error> {
        let answer = self.outlet.report(report).await?;
        if let Some(inner) = &self.pulse.service.0 {
            inner.beat(self.pulse.number, self.limit);
        }
        Ok(answer)
    }

    async fn close(&mut self) -> Result<(), L::Error> {
        self.outlet.close().await
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use crate::observation::outlet::NoOutlet;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<Vec<String>>>);

    impl Told {
        fn service(&self) -> Service {
            let told = self.clone();
            Service::new(Some(SECOND), move |states| {
                told.0
                    .lock()
                    .unwrap()
                    .extend(states.iter().map(ToString::to_string));
            })
        }

        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    async fn held(outlet: &mut Heard<NoOutlet>) {
        let (at, since) = (DateTime::<Utc>::UNIX_EPOCH, DateTime::<Utc>::UNIX_EPOCH);
        let report: Report<'_, (), ()> = Report::Held { at, since };
        assert_eq!(outlet.report(report).await, Ok(Answer::Taken));
    }

    #[tokio::test(start_paused = true)]
    async fn signs_of_life_are_given_while_looks_go_on_and_no_longer() {
        let (told, token) = (Told::default(), CancellationToken::new());
        let service = told.service();
        let mut outlet = service.listen(NoOutlet, 10 * SECOND);
        let work = async {
            for _ in 0..3 {
                sleep(50 * SECOND).await;
                held(&mut outlet).await;
            }
            let seen = told.take();
            assert_eq!(seen.iter().filter(|line| *line == "READY=1").count(), 1);
            assert!(
                seen.iter().filter(|line| *line == "WATCHDOG=1").count() > 140,
                "{seen:?}"
            );
            sleep(10 * SECOND + GRACE).await;
            assert!(told.take().len() > 60, "a long commit");
            sleep(5 * SECOND).await;
            let (_, then) = (told.take(), sleep(1000 * SECOND).await);
            (then, told.take())
        };
        let ((), then) = service.during(&token, work).await;
        assert_eq!(then, Vec::<String>::new(), "nobody looks");
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_that_look_each_must_and_one_that_is_over_need_not() {
        let (told, token) = (Told::default(), CancellationToken::new());
        let service = told.service();
        let mut quick = service.listen(NoOutlet, 10 * SECOND);
        let mut slow = service.listen(NoOutlet, 10 * SECOND);
        let work = async {
            held(&mut slow).await;
            for _ in 0..10 {
                sleep(50 * SECOND).await;
                held(&mut quick).await;
            }
            let stuck = told.take().len();
            drop(slow);
            sleep(50 * SECOND).await;
            (stuck, told.take().len())
        };
        let (stuck, then) = service.during(&token, work).await;
        assert!((60..90).contains(&stuck), "{stuck}");
        assert!(then > 40, "{then}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_ready_and_alive() {
        let (told, token) = (Told::default(), CancellationToken::new());
        let service = told.service();
        let quick = service.patiently("waiting for the stack", sleep(SECOND));
        service.during(&token, quick).await;
        assert!(!told.take().contains(&"READY=1".into()));
        let long = service.patiently("waiting for the stack", sleep(1000 * SECOND));
        service.during(&token, long).await;
        let seen = told.take();
        assert!(
            seen.contains(&"READY=1".into())
                && seen.contains(&"STATUS=waiting for the stack".into())
        );
        assert!(seen.iter().filter(|line| *line == "WATCHDOG=1").count() > 990);
    }

    #[tokio::test(start_paused = true)]
    async fn being_asked_to_end_is_said_once() {
        let (told, token) = (Told::default(), CancellationToken::new());
        let service = told.service();
        let work = async {
            sleep(SECOND / 2).await;
            token.cancel();
            sleep(100 * SECOND).await;
        };
        service.during(&token, work).await;
        assert_eq!(told.take(), ["WATCHDOG=1", "STOPPING=1", "STATUS=ending"]);
    }

    #[tokio::test(start_paused = true)]
    async fn being_asked_to_end_is_said_also_where_the_work_is_over_at_once() {
        let (told, token) = (Told::default(), CancellationToken::new());
        let service = told.service();
        let asks = async {
            sleep(SECOND / 2).await;
            token.cancel();
        };
        tokio::join!(asks, service.during(&token, token.cancelled()));
        assert_eq!(told.take(), ["WATCHDOG=1", "STOPPING=1", "STATUS=ending"]);
    }
}
