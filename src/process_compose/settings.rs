//! Where a process-compose is, how to be let in, and how long to wait for it.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;

use super::error::clean;

/// The header that carries the token.
pub const TOKEN_HEADER: &str = "x-pc-token-key";

/// The largest body that is read, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// The largest token file that is read, in bytes.
const TOKEN_FILE_LIMIT: u64 = 64 * 1024;

/// The address of one process-compose.
///
/// Its text is safe to show: it holds no user, no password and no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A host name or IP address (without brackets) and a port.
    Tcp {
        /// Host name or IP address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A unix socket.
    Unix(PathBuf),
    /// A server behind a base URL.
    Url(BaseUrl),
}

impl Endpoint {
    /// What is watched where nobody says otherwise: `localhost:8080`.
    pub fn standard() -> Self {
        Self::Tcp {
            host: "localhost".into(),
            port: 8080,
        }
    }

    /// Reads the text by which an endpoint is shown, as a head keeps it. A socket counts only with its whole path.
    pub fn read(shown: &str) -> Option<Self> {
        if shown.contains("://") {
            return BaseUrl::parse(shown).ok().map(Self::Url);
        }
        if shown.starts_with('/') {
            return Some(Self::Unix(shown.into()));
        }
        let (host, port) = shown.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse().ok().filter(|port| *port > 0)?;
        (!host.is_empty()).then(|| Self::Tcp {
            host: host.to_owned(),
            port,
        })
    }

    /// Whether it can only be reached from this machine: a socket, a loopback address, or `localhost`.
    pub fn is_local(&self) -> bool {
        let host = match self {
            Self::Unix(_) => return true,
            Self::Tcp { host, .. } => host,
            Self::Url(url) => url.host(),
        };
        let address = host.parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|it| it.is_loopback())
    }

    /// The value of the `Host` header.
    pub(super) fn authority(&self) -> String {
        match self {
            Self::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".into(),
            Self::Url(url) => url.authority.clone(),
        }
    }

    /// What stands before every path; empty but for a base URL with a path.
    pub(super) fn prefix(&self) -> &str {
        match self {
            Self::Url(url) => &url.path,
            Self::Tcp { .. } | Self::Unix(_) => "",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { .. } => f.write_str(&clean(&self.authority(), 300)),
            Self::Unix(path) => f.write_str(&clean(&path.to_string_lossy(), 300)),
            Self::Url(url) => write!(f, "{url}"),
        }
    }
}

/// An `http` or `https` URL under which the API's paths lie.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    tls: bool,
    host: String,
    port: u16,
    authority: String,
    path: String,
}

impl BaseUrl {
    /// Reads a URL; a trailing slash makes no difference.
    ///
    /// # Errors
    /// [`SettingsError`] where the text is no `http` or `https` URL, or holds a user, a query or no host.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let uri: Uri = text.trim().parse().map_err(|_| SettingsError::Url)?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(SettingsError::Url),
        };
        let authority = uri.authority().ok_or(SettingsError::Url)?;
        if authority.as_str().contains('@') {
            return Err(SettingsError::UrlUser);
        }
        if uri.query().is_some() {
            return Err(SettingsError::UrlQuery);
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        if host.is_empty() {
            return Err(SettingsError::Url);
        }
        Ok(Self {
            tls,
            host: host.into(),
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            authority: authority.as_str().into(),
            path: uri.path().trim_end_matches('/').into(),
        })
    }

    /// Whether it is spoken to over TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Host name or IP address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, the scheme's own where the URL has none.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

/// A text that never appears in a log line or in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a text; white space around it is dropped.
    pub fn new(text: &str) -> Self {
        Self(text.trim().into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where the token comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// Given as it is.
    Value(Secret),
    /// The trimmed content of a file, read again for every question, so that a token may be exchanged while we watch.
    File(PathBuf),
}

/// How long is waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// From the question to the last byte of its answer.
    pub read: Duration,
    /// The largest body, in bytes.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            read: Duration::from_secs(5),
            body: BODY_LIMIT,
        }
    }
}

/// Whether the state stream is listened to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Evidence {
    /// Where the server has it.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// All there is to say about one process-compose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it is.
    pub endpoint: Endpoint,
    /// The token, where it wants one.
    pub token: Option<TokenSource>,
    /// How long is waited for it.
    pub limits: Limits,
    /// Whether its state stream is listened to.
    pub evidence: Evidence,
}

impl Settings {
    /// Settings for an endpoint, everything else as it usually is.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            token: None,
            limits: Limits::default(),
            evidence: Evidence::default(),
        }
    }
}

/// What can be wrong with settings; trying again does not help, but for a token file that is still to be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Not a URL we can speak to.
    #[error(
        "not an http:// or https:// URL of a process-compose, for example http://build-box:8080"
    )]
    Url,
    /// A user name or password in the URL.
    #[error(
        "a URL with a user or password in it is not taken; give the API's token with --token-file"
    )]
    UrlUser,
    /// A query in the URL.
    #[error("the URL of a process-compose ends with its path: drop everything from the '?' on")]
    UrlQuery,
    /// The port in `PC_PORT_NUM` is none.
    #[error("PC_PORT_NUM is not a port: {0:?}")]
    Port(String),
    /// The token file cannot be read.
    #[error("the token file {path} cannot be read")]
    TokenFile {
        /// Its path, safe to show.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The token file holds nothing.
    #[error("the token file {0} is empty")]
    TokenEmpty(String),
    /// The token holds characters that a header cannot carry.
    #[error(
        "the token holds characters that an HTTP header cannot carry; it must be one line of plain ASCII"
    )]
    TokenCharacters,
}

/// Gives the token for each question.
#[derive(Debug)]
pub(super) struct TokenReader {
    source: Option<TokenSource>,
    last: Mutex<Option<HeaderValue>>,
}

impl TokenReader {
    /// Reads the token once, so that a wrong file is found at the start.
    pub(super) fn new(source: Option<TokenSource>) -> Result<Self, SettingsError> {
        let first = source.as_ref().map(read_token).transpose()?;
        Ok(Self {
            source,
            last: Mutex::new(first),
        })
    }

    /// The header's value; a file that is being rewritten just now counts as what it held before.
    pub(super) fn current(&self) -> Option<HeaderValue> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source @ TokenSource::File(_)) = &self.source
            && let Ok(value) = read_token(source)
        {
            *last = Some(value);
        }
        last.clone()
    }
}

fn read_token(source: &TokenSource) -> Result<HeaderValue, SettingsError> {
    let secret = match source {
        TokenSource::Value(secret) => secret.clone(),
        TokenSource::File(path) => {
            let shown = || clean(&path.to_string_lossy(), 300);
            let secret = read_limited(path).map_err(|source| SettingsError::TokenFile {
                path: shown(),
                source,
            })?;
            if secret.0.is_empty() {
                return Err(SettingsError::TokenEmpty(shown()));
            }
            secret
        }
    };
    let mut value = HeaderValue::from_str(&secret.0).map_err(|_| SettingsError::TokenCharacters)?;
    value.set_sensitive(true);
    Ok(value)
}

fn read_limited(path: &std::path::Path) -> std::io::Result<Secret> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(TOKEN_FILE_LIMIT)
        .read_to_string(&mut text)?;
    Ok(Secret::new(&text))
}

#[cfg(test)]
mod tests;
