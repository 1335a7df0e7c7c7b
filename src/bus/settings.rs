//! What is needed to reach a broker and its stream, filled by the command line or by a program of others.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::ServerAddr;

use super::error::{BusError, clean};
use crate::event::subject::Prefix;

/// The address that is tried when none is given.
pub const DEFAULT_URL: &str = "nats://127.0.0.1:4222";
/// The subject prefix of the JetStream API where no domain is named.
pub(super) const DEFAULT_API: &str = "$JS.API";
/// The stream's name unless another is given.
pub const DEFAULT_STREAM: &str = "PROCESS_EVENTS";
/// How long events are kept unless something else is asked for.
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// A text that no log line and no debug output ever shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for handing it over.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What proves who we are, at hand instead of in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pass {
    /// The content of a credentials file.
    Credentials(Secret),
    /// An nkey seed.
    Seed(Secret),
    /// A JWT, and the seed of its user; without one it must be of the kind that whoever bears it may use.
    Jwt {
        /// The JWT.
        jwt: Secret,
        /// The seed.
        seed: Option<Secret>,
    },
}

/// Transport security.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// A file of certificate authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// Our own certificate.
    pub cert: Option<PathBuf>,
    /// The key of our own certificate.
    pub key: Option<PathBuf>,
    /// Whether the handshake comes before the server's greeting.
    pub first: bool,
}

impl Tls {
    fn is_asked_for(&self) -> bool {
        self.ca.is_some() || self.cert.is_some() || self.first
    }
}

/// What may be done to the stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StreamSetup {
    /// Create it if it is missing; bring it up to date if we created it; else as [`Self::Check`].
    #[default]
    Ensure,
    /// Read and compare, change nothing.
    Check,
    /// Do not even look.
    Never,
}

/// Whether the first connection may fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FirstConnect {
    /// Fail at once: for commands that do one thing and end.
    #[default]
    MustSucceed,
    /// Go on trying in the background: for what runs for long.
    MayWait,
}

/// Everything about one broker and its stream.
#[derive(Debug, Clone)]
pub struct BusSettings {
    /// Addresses; each may carry `user:password@` or `token@`, which is never shown.
    pub urls: Vec<Secret>,
    /// User name.
    pub user: Option<String>,
    /// Password of the user.
    pub password: Option<Secret>,
    /// Token.
    pub token: Option<Secret>,
    /// A credentials file (JWT and seed).
    pub creds: Option<PathBuf>,
    /// A file that holds an nkey seed.
    pub nkey: Option<PathBuf>,
    /// What such a file would hold, where it does not lie in one.
    pub pass: Option<Pass>,
    /// Transport security.
    pub tls: Tls,
    /// JetStream domain.
    pub js_domain: Option<String>,
    /// Subject prefix of the JetStream API, instead of a domain.
    pub js_api_prefix: Option<String>,
    /// First tokens of the subjects on which answers arrive.
    pub inbox_prefix: Option<String>,
    /// The context that some of this was taken from, for a line of text.
    pub context: Option<String>,
    /// The name in the server's list of connections.
    pub connection_name: String,
    /// Whether the first connection may fail.
    pub first_connect: FirstConnect,
    /// Name of the stream.
    pub stream: String,
    /// First tokens of the subjects.
    pub prefix: Prefix,
    /// What may be done to the stream.
    pub setup: StreamSetup,
    /// Upper limit of the stream's size in bytes; absent = 1 GiB or half of what the account still allows.
    pub max_bytes: Option<i64>,
    /// How long events are kept; absent = 24 h for a stream that is created now, else as it stands.
    pub retention: Option<Duration>,
    /// How long heads live that nobody refreshes.
    pub head_life: HeadLife,
}

/// How long a head lives that nobody refreshes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeadLife {
    /// For ever: a source that comes back goes on where it was.
    #[default]
    Forever,
    /// A day: for sources that come once and never again.
    Day,
}

impl HeadLife {
    /// The value of the header that says so.
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::Forever => "never",
            Self::Day => "24h",
        }
    }
}

impl Default for BusSettings {
    fn default() -> Self {
        Self {
            urls: vec![Secret::new(DEFAULT_URL)],
            user: None,
            password: None,
            token: None,
            creds: None,
            nkey: None,
            pass: None,
            tls: Tls::default(),
            js_domain: None,
            js_api_prefix: None,
            inbox_prefix: None,
            context: None,
            connection_name: "observe".to_owned(),
            first_connect: FirstConnect::default(),
            stream: DEFAULT_STREAM.to_owned(),
            prefix: Prefix::default(),
            setup: StreamSetup::default(),
            max_bytes: None,
            retention: None,
            head_life: HeadLife::default(),
        }
    }
}

impl BusSettings {
    /// Replaces the addresses by a list with commas, as `NATS_URL` has it.
    pub fn at(mut self, urls: &str) -> Self {
        self.urls = urls
            .split(',')
            .map(str::trim)
            .filter(|url| !url.is_empty())
            .map(Secret::new)
            .collect();
        self
    }

    /// The addresses without anything secret, for a line of text.
    pub fn display_url(&self) -> String {
        let shown: Vec<_> = self
            .urls
            .iter()
            .map(|url| {
                url.reveal()
                    .parse::<ServerAddr>()
                    .map_or_else(|_| "(not an address)".to_owned(), |addr| shown(&addr))
            })
            .collect();
        shown.join(",")
    }

    /// The same, and the context they were taken from.
    pub fn display_place(&self) -> String {
        let url = self.display_url();
        match &self.context {
            Some(name) => format!("{url} (context {name})"),
            None => url,
        }
    }

    /// The subject prefix of the JetStream API.
    pub(super) fn api(&self) -> String {
        match (&self.js_api_prefix, &self.js_domain) {
            (Some(prefix), _) => prefix.trim_end_matches('.').to_owned(),
            (None, Some(domain)) => format!("$JS.{domain}.API"),
            (None, None) => DEFAULT_API.to_owned(),
        }
    }

    /// First tokens of the subjects on which answers arrive.
    pub(super) fn inbox(&self) -> &str {
        self.inbox_prefix.as_deref().unwrap_or("_INBOX")
    }

    /// A stream's name becomes part of subjects, so it must not be able to break out of them.
    ///
    /// # Errors
    ///
    /// [`BusError::Invalid`] for a name that could.
    pub fn check_stream(&self) -> Result<(), BusError> {
        let name = &self.stream;
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '=');
        if !name.is_empty() && name.len() <= 200 && name.chars().all(allowed) {
            return Ok(());
        }
        Err(BusError::Invalid(format!(
            "{:?} is no name for a stream; use letters, digits, '-' and '_'",
            clean(name)
        )))
    }

    /// Whether an address says who we are.
    pub(super) fn names_user(&self) -> bool {
        matches!(self.servers(), Ok((_, Some(_))))
    }

    /// Whether our side insists on TLS.
    pub fn wants_tls(&self) -> bool {
        self.tls.is_asked_for()
    }

    /// The addresses without what is secret in them, and what was.
    pub(super) fn servers(&self) -> Result<(Vec<ServerAddr>, Option<Login>), BusError> {
        if self.urls.is_empty() {
            return Err(BusError::Invalid(
                "no broker address is given; write one like nats://127.0.0.1:4222".to_owned(),
            ));
        }
        let mut servers = Vec::with_capacity(self.urls.len());
        let mut login: Option<Login> = None;
        for url in &self.urls {
            let addr = url.reveal().parse::<ServerAddr>().map_err(|_| {
                // The text itself may hold a password, so it is not repeated.
                BusError::Invalid(
                    "a broker address cannot be read; write it like nats://host:4222".to_owned(),
                )
            })?;
            if let Some(found) = Login::of(&addr) {
                if login.as_ref().is_some_and(|known| *known != found) {
                    return Err(BusError::Invalid(
                        "the broker addresses name different users; give one by --user".to_owned(),
                    ));
                }
                login = Some(found);
            }
            servers.push(bare(addr)?);
        }
        Ok((servers, login))
    }
}

/// Who we are, as an address said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Login {
    User(String, Secret),
    Token(Secret),
}

impl Login {
    fn of(addr: &ServerAddr) -> Option<Self> {
        let user = addr.username().filter(|user| !user.is_empty())?;
        Some(match addr.password() {
            Some(password) => Self::User(unescape(user), Secret::new(unescape(password))),
            None => Self::Token(Secret::new(unescape(user))),
        })
    }
}

/// Undoes `%XX`, which a password in an address needs for `@`, `:` and `/`.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = tail
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn shown(addr: &ServerAddr) -> String {
    let host = addr.host();
    let host = if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    format!("{}://{host}:{}", addr.scheme(), addr.port())
}

/// The same address without user and password, so that no log of the client library can hold them.
fn bare(addr: ServerAddr) -> Result<ServerAddr, BusError> {
    let mut url = addr.into_inner();
    let cleaned = url.set_username("").and_then(|()| url.set_password(None));
    cleaned
        .ok()
        .and_then(|()| ServerAddr::from_url(url).ok())
        .ok_or_else(|| {
            BusError::Invalid(
                "a broker address cannot be read; write it like nats://host:4222".to_owned(),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_ever_shown() {
        let settings = BusSettings {
            password: Some(Secret::new("hunter2")),
            token: Some(Secret::new("hunter2")),
            ..BusSettings::default()
        }
        .at("nats://joe:hunter2@web:4223, tls://hunter2@[::1]");
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert_eq!(settings.display_url(), "nats://web:4223,tls://[::1]:4222");
        let error = settings.servers().unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        let broken = BusSettings::default().at("nats://joe:hunter2@web:99999999");
        let error = broken.servers().unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        assert_eq!(broken.display_url(), "(not an address)");
    }

    #[test]
    fn a_login_in_an_address_is_taken_out_of_it() {
        let (servers, login) = BusSettings::default()
            .at("nats://joe:p%40ss@web:4223,nats://other")
            .servers()
            .unwrap();
        assert_eq!(login, Some(Login::User("joe".into(), Secret::new("p@ss"))));
        assert!(
            servers
                .iter()
                .all(|s| s.username().is_none() && s.password().is_none())
        );
        let (_, token) = BusSettings::default().at("t0ken@web").servers().unwrap();
        assert_eq!(token, Some(Login::Token(Secret::new("t0ken"))));
    }

    #[test]
    fn a_stream_name_cannot_break_out_of_a_subject() {
        for (name, good) in [
            ("PROCESS_EVENTS", true),
            ("a.b", false),
            ("a b", false),
            ("*", false),
            ("", false),
        ] {
            let settings = BusSettings {
                stream: name.into(),
                ..BusSettings::default()
            };
            assert_eq!(settings.check_stream().is_ok(), good, "{name}");
        }
    }

    #[test]
    fn a_domain_or_a_prefix_moves_the_api() {
        let mut settings = BusSettings::default();
        assert_eq!(settings.api(), "$JS.API");
        settings.js_domain = Some("hub".into());
        assert_eq!(settings.api(), "$JS.hub.API");
        settings.js_api_prefix = Some("from.hub.".into());
        assert_eq!(settings.api(), "from.hub");
    }
}
