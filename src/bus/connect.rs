//! The connection: made once, cloned freely, kept up for ever, and never trusted without a time limit.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, ReconnectToServer};
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::error::{BusError, Refusal, clean};
use super::link::{Denial, Denials, Link, Mark, Returns, means_unknown, note};
use super::settings::{BusSettings, DEFAULT_API, FirstConnect, Login, Pass};

/// A dead peer is noticed after three of these: a broker that is frozen, whose connection stays open, within ten seconds.
const PING: Duration = Duration::from_secs(3);
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
/// How long the two words on the connection are given to agree.
const AGREE: Duration = Duration::from_millis(5);
/// The oldest server that has atomic batches.
pub const OLDEST_SERVER: (u32, u32) = (2, 12);

struct Inner {
    client: Client,
    api: String,
    inbox: String,
    shown: String,
    link: watch::Receiver<Link>,
    returned: Returns,
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
    settings.check_stream()?;
    let shown = settings.display_url();
    let (link_in, link) = watch::channel(Link::away("not reached yet"));
    let (denials_in, denials) = watch::channel(Denials::default());
    let (link_in, denials_in) = (Arc::new(link_in), Arc::new(denials_in));
    let told = (Arc::clone(&link_in), denials_in);
    let returned = Returns::new();
    let returns = returned.clone();
    // Each by itself, because what making them takes on the stack would stay there for good.
    let options: BoxFuture<'_, _> = Box::pin(options(settings, login));
    let options = options.await?.event_callback(move |event| {
        note(&event, &told.0, &told.1);
        returns.note(&event);
        std::future::ready(())
    });
    let client: BoxFuture<'_, _> = Box::pin(options.connect(servers));
    let client = client.await.map_err(|error| {
        let why = clean(&error.to_string());
        let at = shown.clone();
        match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation
                if !why.to_ascii_lowercase().contains("timeout") =>
            {
                BusError::Auth { at, why }
            }
            ConnectErrorKind::ServerParse => {
                BusError::Invalid(format!("{at} is no broker address: {why}"))
            }
            _ if speaks_of_tls(&why) => Refusal::new(
                format!("the broker at {at} and we do not agree on TLS: {why}"),
                "certificates that both sides trust",
                "see --tlsca, --tlscert, --tlskey and --tlsfirst",
            )
            .into(),
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
            inbox: settings.inbox().to_owned(),
            shown,
            link,
            returned,
            denials,
        }),
    })
}

/// The library tells a failed handshake as an error of the socket.
fn speaks_of_tls(why: &str) -> bool {
    why.contains("ertificate") || why.contains("InvalidContentType") || why.contains("TLS")
}

async fn options(settings: &BusSettings, login: Option<Login>) -> Result<ConnectOptions, BusError> {
    log_in(at_once(plain(settings)?), settings, login).await
}

/// What is wished of a connection, but for who we are.
fn plain(settings: &BusSettings) -> Result<ConnectOptions, BusError> {
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
    Ok(options)
}

/// The library sleeps before each attempt, also for no time at all, and its timers make a millisecond of that. Where there is
/// only one server, the first attempt of all goes without.
fn at_once(options: ConnectOptions) -> ConnectOptions {
    let is_first = AtomicBool::new(true);
    options.reconnect_to_server_callback(move |servers, _| {
        let target = match servers.as_slice() {
            [only] if is_first.swap(false, Ordering::Relaxed) => Some(ReconnectToServer {
                addr: only.addr.clone(),
                delay: Some(Duration::ZERO),
            }),
            _ => None,
        };
        std::future::ready(target)
    })
}

/// Flags and files outrank what an address says. A token goes beside whatever else there is.
async fn log_in(
    mut options: ConnectOptions,
    settings: &BusSettings,
    login: Option<Login>,
) -> Result<ConnectOptions, BusError> {
    if let Some(token) = &settings.token {
        options = options.token(token.reveal().to_owned());
    }
    if let Some(path) = &settings.creds {
        let text = read(path, "credentials file").await?;
        return options
            .credentials(text.trim())
            .map_err(|_| BusError::Invalid(format!("{} is no credentials file", path.display())));
    }
    if let Some(path) = &settings.nkey {
        return Ok(options.nkey(seed(&read(path, "nkey file").await?)));
    }
    if let Some(pass) = &settings.pass {
        return show(options, pass);
    }
    if let Some(user) = &settings.user {
        let password = settings
            .password
            .as_ref()
            .map_or("", |password| password.reveal());
        return Ok(options.user_and_password(user.clone(), password.to_owned()));
    }
    if settings.token.is_some() {
        return Ok(options);
    }
    Ok(match login {
        Some(Login::User(user, password)) => {
            options.user_and_password(user, password.reveal().to_owned())
        }
        Some(Login::Token(token)) => options.token(token.reveal().to_owned()),
        None => options,
    })
}

fn show(options: ConnectOptions, pass: &Pass) -> Result<ConnectOptions, BusError> {
    let unusable = |_| BusError::Invalid("the credentials cannot be used".to_owned());
    match pass {
        Pass::Credentials(text) => options.credentials(text.reveal().trim()).map_err(unusable),
        Pass::Seed(text) => Ok(options.nkey(seed(text.reveal()))),
        Pass::Jwt {
            jwt,
            seed: Some(text),
        } => {
            // The library takes the two only as the file that they make together.
            let (jwt, seed) = (jwt.reveal().trim(), seed(text.reveal()));
            let text = format!(
                "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
                 -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
            );
            options.credentials(&text).map_err(unusable)
        }
        Pass::Jwt { jwt, seed: None } => Ok(options.jwt(jwt.reveal().trim().to_owned(), |_| {
            std::future::ready(Ok(Vec::new()))
        })),
    }
}

/// The seed in a text that may have lines around it.
fn seed(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let found = lines.clone().find(|line| line.starts_with('S'));
    found.unwrap_or(text.trim()).to_owned()
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

    /// When the connection last stood again after it had broken, or first stood after it had to be waited for.
    pub fn returned_at(&self) -> Option<Instant> {
        self.inner.returned.last()
    }

    /// Waits until the connection stands.
    ///
    /// # Cancel safety
    ///
    /// Waits only.
    pub async fn connected(&self) {
        let mut link = self.link();
        while !self.is_connected() {
            // The word of a change and the change itself come by different ways, either first.
            if link.borrow_and_update().is_connected() {
                sleep(AGREE).await;
            } else if link.changed().await.is_err() {
                // The sender lives as long as the client, which we hold.
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

    /// Whether a forbidden subject is this question: a server of the domain we name takes the domain out first.
    pub(super) fn is_question(&self, denied: &str, suffix: &str) -> bool {
        let rest = |api: &str| denied.strip_prefix(api)?.strip_prefix('.');
        rest(&self.inner.api) == Some(suffix) || rest(DEFAULT_API) == Some(suffix)
    }

    /// Whether the server we are connected to is the one that would have JetStream, and has none.
    pub(super) fn lacks_jetstream(&self) -> bool {
        let info = self.inner.client.try_server_info();
        self.inner.api == DEFAULT_API && !info.is_some_and(|info| info.jetstream)
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
mod tests;
