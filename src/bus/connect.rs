//! The connection: made once, cloned freely, kept up for ever, and never trusted without a time limit.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ClientError, ConnectErrorKind, ConnectOptions, Event, ServerError};
use tokio::sync::watch;
use tokio::time::Instant;

use super::error::{BusError, Refusal, clean};
use super::settings::{BusSettings, FirstConnect, Login};

/// A dead peer is noticed after three of these.
const PING: Duration = Duration::from_secs(5);
/// One attempt to connect, handshake included.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take.
pub(super) const ANSWER: Duration = Duration::from_secs(5);
/// The limit around every call of the client library, whose own limits do not cover the queueing.
pub(super) const CALL: Duration = Duration::from_secs(6);
/// Commands that may wait in the client: what it holds when the connection breaks is sent after the reconnect, so few.
const QUEUED_COMMANDS: usize = 256;
/// Messages that may wait in one subscription.
const QUEUED_MESSAGES: usize = 8192;
/// Longest pause between two attempts to connect again.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// How many violations of our rights are remembered.
const DENIALS: usize = 32;
/// The oldest server that has atomic batches.
pub const OLDEST_SERVER: (u32, u32) = (2, 12);

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
    fn away(why: &str) -> Self {
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
    number: u64,
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
struct Denials {
    told: u64,
    recent: VecDeque<Denial>,
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

struct Inner {
    client: Client,
    api: String,
    inbox: String,
    shown: String,
    link: watch::Receiver<Link>,
    denials: watch::Receiver<Denials>,
}

/// A connection to a broker; cloning it is cheap and gives the same connection.
#[derive(Clone)]
pub struct Bus {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus")
            .field("at", &self.inner.shown)
            .finish_non_exhaustive()
    }
}

/// Where the violations stood at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark(u64);

/// Connects.
///
/// # Errors
///
/// [`BusError::Invalid`] for settings that cannot be used; [`BusError::Unreachable`] and [`BusError::Auth`] only where
/// the first connection must succeed.
///
/// # Cancel safety
///
/// Dropped, it leaves no connection behind.
pub async fn connect(settings: &BusSettings) -> Result<Bus, BusError> {
    let (servers, login) = settings.servers()?;
    let shown = settings.display_url();
    let (link_in, link) = watch::channel(Link::away("not reached yet"));
    let (denials_in, denials) = watch::channel(Denials::default());
    let (link_in, denials_in) = (Arc::new(link_in), Arc::new(denials_in));
    let told = (Arc::clone(&link_in), denials_in);
    let options = options(settings, login)
        .await?
        .event_callback(move |event| {
            note(&event, &told.0, &told.1);
            std::future::ready(())
        });
    let client = options.connect(servers).await.map_err(|error| {
        let why = clean(&error.to_string());
        let at = shown.clone();
        match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                BusError::Auth { at, why }
            }
            ConnectErrorKind::ServerParse => {
                BusError::Invalid(format!("{at} is no broker address: {why}"))
            }
            _ if means_unknown(&why) => BusError::Auth { at, why },
            _ => BusError::Unreachable { at, why },
        }
    })?;
    if settings.first_connect == FirstConnect::MustSucceed {
        link_in.send_replace(Link::Connected);
    }
    Ok(Bus {
        inner: Arc::new(Inner {
            client,
            api: settings.api(),
            inbox: settings
                .inbox_prefix
                .clone()
                .unwrap_or_else(|| "_INBOX".to_owned()),
            shown,
            link,
            denials,
        }),
    })
}

async fn options(settings: &BusSettings, login: Option<Login>) -> Result<ConnectOptions, BusError> {
    let mut options = ConnectOptions::new()
        .name(&settings.connection_name)
        .ping_interval(PING)
        .connection_timeout(CONNECT)
        .request_timeout(Some(ANSWER))
        .client_capacity(QUEUED_COMMANDS)
        .subscription_capacity(QUEUED_MESSAGES)
        .max_reconnects(None)
        .reconnect_delay_callback(pause)
        .ignore_discovered_servers();
    if let Some(prefix) = &settings.inbox_prefix {
        options = options.custom_inbox_prefix(prefix);
    }
    if settings.first_connect == FirstConnect::MayWait {
        options = options.retry_on_initial_connect();
    }
    if settings.wants_tls() {
        options = options.require_tls(true);
    }
    if settings.tls.first {
        options = options.tls_first();
    }
    if let Some(ca) = &settings.tls.ca {
        options = options.add_root_certificates(ca.clone());
    }
    match (&settings.tls.cert, &settings.tls.key) {
        (Some(cert), Some(key)) => {
            options = options.add_client_certificate(cert.clone(), key.clone());
        }
        (None, None) => {}
        _ => {
            return Err(BusError::Invalid(
                "a TLS certificate needs its key and a key its certificate".to_owned(),
            ));
        }
    }
    log_in(options, settings, login).await
}

/// Flags and files outrank what an address says.
async fn log_in(
    options: ConnectOptions,
    settings: &BusSettings,
    login: Option<Login>,
) -> Result<ConnectOptions, BusError> {
    if let Some(path) = &settings.creds {
        let text = read(path, "credentials file").await?;
        return options
            .credentials(text.trim())
            .map_err(|_| BusError::Invalid(format!("{} is no credentials file", path.display())));
    }
    if let Some(path) = &settings.nkey {
        return Ok(options.nkey(read(path, "nkey file").await?.trim().to_owned()));
    }
    if let Some(user) = &settings.user {
        let password = settings
            .password
            .as_ref()
            .map_or("", |password| password.reveal());
        return Ok(options.user_and_password(user.clone(), password.to_owned()));
    }
    if let Some(token) = &settings.token {
        return Ok(options.token(token.reveal().to_owned()));
    }
    Ok(match login {
        Some(Login::User(user, password)) => {
            options.user_and_password(user, password.reveal().to_owned())
        }
        Some(Login::Token(token)) => options.token(token.reveal().to_owned()),
        None => options,
    })
}

async fn read(path: &PathBuf, what: &str) -> Result<String, BusError> {
    let shown = Path::display(path);
    tokio::fs::read_to_string(path)
        .await
        .map_err(|error| BusError::Invalid(format!("the {what} {shown} cannot be read: {error}")))
}

/// The pause before an attempt to connect: none at first, then growing, never in step with other clients.
fn pause(attempt: usize) -> Duration {
    if attempt <= 1 {
        return Duration::ZERO;
    }
    let doubled = u32::try_from(attempt).unwrap_or(u32::MAX).min(12);
    let full = (Duration::from_millis(5) * 2_u32.pow(doubled)).min(LONGEST_PAUSE);
    full.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Takes one event of the client library; must never wait, because the library drops what it cannot hand over.
fn note(event: &Event, link: &watch::Sender<Link>, denials: &watch::Sender<Denials>) {
    match event {
        Event::Connected => {
            denials.send_modify(|denials| denials.recent.retain(|denial| !denial.subscribing));
            link.send_replace(Link::Connected);
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

fn means_unknown(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("authorization") || text.contains("authentication")
}

impl Bus {
    /// The client of the library, for what this module does not do.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// Where we are connected, without secrets.
    pub fn at(&self) -> &str {
        &self.inner.shown
    }

    /// How the connection stands, and a word whenever that changes.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.inner.link.clone()
    }

    /// Whether the connection stands right now.
    pub fn is_connected(&self) -> bool {
        self.inner.client.connection_state() == State::Connected
    }

    /// Waits until the connection stands.
    ///
    /// # Cancel safety
    ///
    /// Waits only.
    pub async fn connected(&self) {
        let mut link = self.link();
        while !self.is_connected() {
            // The sender lives as long as the client, which we hold.
            if link.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The server's version, once connected.
    pub fn server_version(&self) -> Option<String> {
        self.inner
            .client
            .try_server_info()
            .map(|info| clean(&info.version))
    }

    /// Checks that the server is new enough; whether JetStream is on is checked by [`super::stream::ensure`].
    ///
    /// # Errors
    ///
    /// [`BusError::Refused`] for a server older than [`OLDEST_SERVER`], [`BusError::Unreachable`] when not connected.
    pub fn check_version(&self) -> Result<(), BusError> {
        let Some(version) = self.server_version() else {
            return Err(self.away());
        };
        judge_version(&version, self.at()).map_err(BusError::Refused)
    }

    pub(super) fn api_subject(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.inner.api)
    }

    pub(super) fn away(&self) -> BusError {
        let why = match &*self.inner.link.borrow() {
            Link::Away { why, .. } => why.to_string(),
            Link::Connected => "the connection broke".to_owned(),
        };
        BusError::Unreachable {
            at: self.at().to_owned(),
            why,
        }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark(self.inner.denials.borrow().told)
    }

    /// A violation since the mark for one of these subjects, or any for our inbox, without which no answer arrives.
    pub(super) fn denial(&self, mark: Mark, concerns: impl Fn(&str) -> bool) -> Option<Denial> {
        let denials = self.inner.denials.borrow();
        let ours = |denial: &&Denial| {
            if denial.subscribing {
                denial.subject.starts_with(&self.inner.inbox) || concerns(&denial.subject)
            } else {
                denial.number > mark.0 && concerns(&denial.subject)
            }
        };
        denials.recent.iter().find(ours).cloned()
    }

    /// Waits for such a violation.
    pub(super) async fn denied(&self, mark: Mark, concerns: impl Fn(&str) -> bool) -> Denial {
        let mut changes = self.inner.denials.clone();
        loop {
            changes.mark_unchanged();
            if let Some(denial) = self.denial(mark, &concerns) {
                return denial;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until the connection breaks.
    pub(super) async fn lost(&self) {
        let mut link = self.link();
        link.mark_unchanged();
        loop {
            if !self.is_connected() {
                return;
            }
            if link.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if !link.borrow_and_update().is_connected() {
                return;
            }
        }
    }
}

fn judge_version(version: &str, at: &str) -> Result<(), Refusal> {
    let mut numbers = version
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= OLDEST_SERVER {
        return Ok(());
    }
    let (major, minor) = OLDEST_SERVER;
    Err(Refusal::new(
        format!("the broker at {at} is nats-server {version}"),
        format!("{major}.{minor} or newer, for atomic batches"),
        "update the broker, or use another by --server",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_without_atomic_batches_are_refused_with_the_way_out() {
        for old in ["2.9.10", "2.11.14", "1.4.1", "", "x.y"] {
            let line = judge_version(old, "nats://h:1").unwrap_err().to_string();
            assert!(
                line.contains("nats-server")
                    && line.contains("2.12 or newer")
                    && line.contains("--server"),
                "{line}"
            );
        }
        for new in ["2.12.0", "2.12.0-RC.1", "2.15.1", "3.0.0"] {
            assert_eq!(judge_version(new, "nats://h:1"), Ok(()), "{new}");
        }
    }

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

    #[test]
    fn pauses_grow_to_their_limit_and_begin_at_once() {
        assert_eq!(pause(1), Duration::ZERO);
        assert!(pause(2) <= Duration::from_millis(20));
        assert!((Duration::from_secs(2)..=LONGEST_PAUSE).contains(&pause(1_000_000)));
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
