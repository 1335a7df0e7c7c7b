//! What the client library says about the connection and our rights, kept small and up to date.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{ClientError, Event, ServerError};
use tokio::sync::watch;
use tokio::time::Instant;

use super::error::{Refusal, clean};

/// How many violations of our rights are remembered.
const DENIALS: usize = 32;

/// How the connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// It stands.
    Connected,
    /// It does not; attempts go on for ever.
    Away {
        /// Since when.
        since: Instant,
        /// What the last attempt said, fit for one line.
        why: Arc<str>,
        /// True when the broker does not know us, so that waiting is not expected to help.
        unknown_to_broker: bool,
    },
}

impl Link {
    pub(super) fn away(why: &str) -> Self {
        Self::Away {
            since: Instant::now(),
            why: clean(why).into(),
            unknown_to_broker: false,
        }
    }

    /// True when the connection stands.
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected)
    }
}

/// A right we do not have, as the server said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Denial {
    pub(super) number: u64,
    pub(super) subscribing: bool,
    pub(super) subject: String,
}

impl Denial {
    fn parse(number: u64, text: &str) -> Option<Self> {
        let rest = strip_prefix_ignoring_case(text, "permissions violation for ")?;
        let subscribing = strip_prefix_ignoring_case(rest, "subscription").is_some();
        let mut quoted = rest.split('"');
        Some(Self {
            number,
            subscribing,
            subject: clean(quoted.nth(1)?),
        })
    }

    /// What to tell a person.
    pub(super) fn refusal(&self) -> Refusal {
        let verb = if self.subscribing {
            "subscribe to"
        } else {
            "publish to"
        };
        Refusal::new(
            format!("the broker forbids us to {verb} {}", self.subject),
            format!("the right to {verb} {}", self.subject),
            "give it to this user in the broker's permissions",
        )
    }
}

fn strip_prefix_ignoring_case<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    text.get(..prefix.len())
        .filter(|head| head.eq_ignore_ascii_case(prefix))
        .map(|_| &text[prefix.len()..])
}

/// The last violations of our rights, few and in order.
#[derive(Debug, Default)]
pub(super) struct Denials {
    pub(super) told: u64,
    pub(super) recent: VecDeque<Denial>,
}

impl Denials {
    fn note(&mut self, text: &str) {
        self.told += 1;
        if let Some(denial) = Denial::parse(self.told, text) {
            if self.recent.len() == DENIALS {
                self.recent.pop_front();
            }
            self.recent.push_back(denial);
        }
    }
}

/// Where the violations stood at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark(pub(super) u64);

/// Takes one event of the client library; must never wait, because the library drops what it cannot hand over.
pub(super) fn note(event: &Event, link: &watch::Sender<Link>, denials: &watch::Sender<Denials>) {
    match event {
        Event::Connected => {
            denials.send_modify(|denials| denials.recent.retain(|denial| !denial.subscribing));
            link.send_if_modified(|link| {
                let was_away = !link.is_connected();
                *link = Link::Connected;
                was_away
            });
        }
        Event::Disconnected | Event::Closed => {
            link.send_replace(Link::away("the connection broke"));
        }
        Event::ServerError(ServerError::Other(text)) => {
            denials.send_modify(|denials| denials.note(text));
        }
        Event::ServerError(error) => still_away(&error.to_string(), link),
        Event::ClientError(ClientError::Other(text)) => still_away(text, link),
        _ => {}
    }
}

/// A first connection that takes longer has been waited for, whatever the reason.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Remembers when the connection last came back.
#[derive(Debug, Clone)]
pub(super) struct Returns(Arc<Mutex<Past>>);

#[derive(Debug)]
struct Past {
    began: Instant,
    /// True once it stood.
    stood: bool,
    /// True where an attempt failed, or what stood broke, since it last stood.
    failed: bool,
    last: Option<Instant>,
}

impl Returns {
    /// Nothing was tried yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Past {
            began: Instant::now(),
            stood: false,
            failed: false,
            last: None,
        })))
    }

    pub(super) fn note(&self, event: &Event) {
        let past = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Connected => {
                let waited = !past.stood && past.began.elapsed() >= AT_ONCE;
                if std::mem::take(&mut past.failed) || waited {
                    past.last = Some(Instant::now());
                }
                past.stood = true;
            }
            Event::Disconnected | Event::Closed => past.failed = true,
            // An error while it stands is no failure to connect.
            Event::ClientError(_) | Event::ServerError(_) if !past.stood => past.failed = true,
            _ => {}
        }
    }

    pub(super) fn last(&self) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last
    }
}

fn still_away(text: &str, link: &watch::Sender<Link>) {
    link.send_if_modified(|link| {
        let Link::Away {
            why,
            unknown_to_broker,
            ..
        } = link
        else {
            return false;
        };
        let (new, unknown) = (clean(text), means_unknown(text));
        let moved = **why != *new || *unknown_to_broker != unknown;
        *why = new.into();
        *unknown_to_broker = unknown;
        moved
    });
}

/// Whether the broker knows us not. That it did not hear in time who we are says nothing of that: a wire stood still.
pub(super) fn means_unknown(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let speaks_of_it = text.contains("authorization") || text.contains("authentication");
    speaks_of_it && !text.contains("timeout")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_are_read_and_few_are_kept() {
        let mut denials = Denials::default();
        denials.note("Permissions Violation for Publish to \"core.head.shop\"");
        denials.note("permissions violation for subscription to \"_INBOX.x.*\" using queue \"q\"");
        denials.note("something else");
        assert_eq!(denials.recent.len(), 2);
        assert_eq!(denials.recent[0].subject, "core.head.shop");
        assert!(!denials.recent[0].subscribing && denials.recent[1].subscribing);
        assert_eq!(denials.recent[1].subject, "_INBOX.x.*");
        for _ in 0..1000 {
            denials.note("Permissions Violation for Publish to \"x\"");
        }
        assert_eq!(denials.recent.len(), DENIALS);
        assert_eq!(denials.told, 1003);
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_connection_is_a_return_only_where_it_had_to_be_waited_for() {
        let failed = || Event::ClientError(ClientError::Other("refused".into()));
        let at_once = Returns::new();
        at_once.note(&Event::Connected);
        assert_eq!(at_once.last(), None);
        // While it stands, an error is about something else.
        at_once.note(&failed());
        at_once.note(&Event::Connected);
        assert_eq!(at_once.last(), None);
        at_once.note(&Event::Disconnected);
        at_once.note(&Event::Connected);
        assert_eq!(at_once.last(), Some(Instant::now()));

        let after_a_failure = Returns::new();
        after_a_failure.note(&failed());
        after_a_failure.note(&Event::Connected);
        assert_eq!(after_a_failure.last(), Some(Instant::now()));

        let slow = Returns::new();
        tokio::time::advance(AT_ONCE).await;
        slow.note(&Event::Connected);
        assert_eq!(slow.last(), Some(Instant::now()));
    }

    #[test]
    fn a_broker_that_did_not_hear_in_time_who_we_are_does_not_refuse_us() {
        for (text, wanted) in [
            ("nats: Authorization Violation", true),
            ("nats: authentication expired", true),
            ("IO error: nats: Authentication Timeout", false),
            ("nats: Authorization Timeout", false),
            ("connection refused", false),
        ] {
            assert_eq!(means_unknown(text), wanted, "{text}");
        }
    }

    #[tokio::test]
    async fn an_attempt_that_fails_changes_the_word_but_not_the_beginning() {
        let (link_in, link) = watch::channel(Link::away("not reached yet"));
        let (denials, _) = watch::channel(Denials::default());
        let Link::Away { since, .. } = link.borrow().clone() else {
            panic!()
        };
        note(
            &Event::ClientError(ClientError::Other("authorization violation".into())),
            &link_in,
            &denials,
        );
        assert_eq!(
            *link.borrow(),
            Link::Away {
                since,
                why: "authorization violation".into(),
                unknown_to_broker: true
            }
        );
        note(&Event::Connected, &link_in, &denials);
        assert!(link.borrow().is_connected());
        note(
            &Event::ClientError(ClientError::Other("late word".into())),
            &link_in,
            &denials,
        );
        assert!(link.borrow().is_connected());
    }
}
