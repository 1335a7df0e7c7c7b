//! What may stand in `observe.yaml`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::parse::VERSION;
use super::text::{Glob, Interval, Span, Text};

/// The settings of a file. All but `version` may be left out, and each has a flag that goes before it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The number of this contract: 1. A file of this name without it is somebody else's.
    pub version: u32,
    /// The stacks that an adapter looks at.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// Folders in which each socket that ends in `.sock` and speaks process-compose is a stack to look at.
    #[serde(default)]
    pub directories: Vec<Directory>,
    /// Time between two looks, for whatever has none of its own.
    #[serde(default)]
    pub interval: Option<Interval>,
    /// Whether the state stream is listened to, for whatever says nothing of its own.
    #[serde(default)]
    pub evidence: Option<Evidence>,
    /// The broker.
    #[serde(default)]
    pub broker: Broker,
    /// The stream in the broker.
    #[serde(default)]
    pub stream: Stream,
    /// What waits while the broker is away.
    #[serde(default)]
    pub spool: Spool,
    /// How `watch`, `history` and `up` write events.
    #[serde(default)]
    pub output: Output,
}

impl Config {
    /// A file in which nothing stands but its version.
    pub fn usual() -> Self {
        Self {
            version: VERSION,
            sources: Vec::new(),
            directories: Vec::new(),
            interval: None,
            evidence: None,
            broker: Broker::default(),
            stream: Stream::default(),
            spool: Spool::default(),
            output: Output::default(),
        }
    }
}

/// One stack, with a name and exactly one of address, url and socket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What it is called: up to 100 of A-Z a-z 0-9 _ . - and no dot or hyphen in front.
    pub name: Name,
    /// Where it listens: `HOST:PORT`, or the port alone. Variables are replaced.
    #[serde(default)]
    pub address: Option<Text>,
    /// The whole address where it stands behind a proxy. Variables are replaced.
    #[serde(default)]
    pub url: Option<Text>,
    /// The unix socket it listens on. Variables are replaced.
    #[serde(default)]
    pub socket: Option<Text>,
    /// The file that holds its API token. Variables are replaced.
    #[serde(default)]
    pub token_file: Option<Text>,
    /// Time between two looks.
    #[serde(default)]
    pub interval: Option<Interval>,
    /// Whether its state stream is listened to.
    #[serde(default)]
    pub evidence: Option<Evidence>,
    /// Only events about processes that fit this are told. Everything else is looked at all the same, and `state` shows it.
    #[serde(default, deserialize_with = "something")]
    pub include: Option<Rule>,
    /// Events about processes that fit this are not told, whatever is included.
    #[serde(default, deserialize_with = "something")]
    pub exclude: Option<Rule>,
}

/// Which events about processes are meant: values of one key are alternatives, different keys must all hold. Events about
/// the source itself are always told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(extend("minProperties" = 1)))]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Processes or groups, by name or glob.
    pub names: Vec<Glob>,
    /// Namespaces, by name or glob; any of a process counts.
    pub namespaces: Vec<Glob>,
    /// Types of events.
    pub types: Vec<Type>,
    /// In an include this severity or a higher one, in an exclude this one or a lower one.
    pub severity: Option<Severity>,
}

/// A rule without a word in it is a mistake: an exclude would mean everything, and an include nothing at all.
fn something<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Rule>, D::Error> {
    let rule = Option::<Rule>::deserialize(deserializer)?;
    if rule.as_ref().is_some_and(|rule| *rule == Rule::default()) {
        return Err(D::Error::custom(
            "nothing is named here; give at least one of names, namespaces, types, severity",
        ));
    }
    Ok(rule)
}

/// A type of events about processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// A run began.
    Started,
    /// A run ended in order.
    Stopped,
    /// A run ended badly, or could not begin.
    Crashed,
    /// A run began again.
    Restarted,
    /// The newest run became ready.
    Healthy,
    /// The newest run is not ready.
    Unhealthy,
    /// The status differs and no other type tells it.
    StatusChanged,
}

/// How much attention an event deserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing to do.
    Info,
    /// Worth a look when there is time.
    Warning,
    /// Something broke.
    Error,
    /// Something keeps breaking.
    Critical,
}

/// The name of a source, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Name(pub(super) Text);

impl Name {
    /// The name.
    pub fn as_str(&self) -> &str {
        // No variable is replaced in it.
        self.0.written()
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Name {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$" })
    }
}

/// A folder of sockets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// The folder. Variables are replaced.
    pub path: Text,
    /// The file that holds the API token of every stack in it. Variables are replaced.
    #[serde(default)]
    pub token_file: Option<Text>,
    /// Time between two looks.
    #[serde(default)]
    pub interval: Option<Interval>,
    /// Whether their state streams are listened to.
    #[serde(default)]
    pub evidence: Option<Evidence>,
}

/// Whether a state stream is listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// Where the stack has one.
    Auto,
    /// Never.
    Off,
}

/// How to reach the broker, and as whom. Passwords and tokens stand in files of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Broker {
    /// Addresses of NATS servers, with commas between them. Variables are replaced.
    pub server: Option<Text>,
    /// User name. Variables are replaced.
    pub user: Option<Text>,
    /// The file that holds the password. Variables are replaced.
    pub password_file: Option<Text>,
    /// The file that holds the token. Variables are replaced.
    pub token_file: Option<Text>,
    /// Credentials file. Variables are replaced.
    pub creds: Option<Text>,
    /// File with an NKEY seed. Variables are replaced.
    pub nkey: Option<Text>,
    /// Certificates.
    pub tls: Tls,
    /// `JetStream` domain.
    pub js_domain: Option<String>,
    /// Prefix of the `JetStream` API, instead of a domain.
    pub js_api_prefix: Option<String>,
    /// Prefix of reply subjects.
    pub inbox_prefix: Option<String>,
}

/// Certificates towards the broker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Certificate authority to trust. Variables are replaced.
    pub ca: Option<Text>,
    /// Certificate of this client. Variables are replaced.
    pub cert: Option<Text>,
    /// Key of this client. Variables are replaced.
    pub key: Option<Text>,
    /// Speak TLS before the server's greeting.
    pub first: bool,
}

/// The stream that events are told into and read from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Stream {
    /// Its name.
    pub name: Option<String>,
    /// First tokens of every subject; {source} and {host} are replaced.
    pub subject_prefix: Option<String>,
    /// Whether the adapter may create and change it, only compare it, or not even that.
    pub setup: Option<Setup>,
    /// How long events are kept.
    pub retention: Option<Span>,
    /// How many bytes it may take; at least 1048576.
    #[serde(deserialize_with = "a_mebibyte")]
    pub max_bytes: Option<u64>,
}

/// Nothing less is a stream.
fn a_mebibyte<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let bytes = Option::<u64>::deserialize(deserializer)?;
    if bytes.is_some_and(|bytes| bytes < 1 << 20) {
        return Err(D::Error::custom("a stream takes at least 1048576 bytes"));
    }
    Ok(bytes)
}

/// What may be done about a stream's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Setup {
    /// Create it, and keep it as it must be; never change one that somebody else created.
    Ensure,
    /// Compare it and refuse what cannot do.
    Check,
    /// Take it as it is.
    Never,
}

/// What waits on the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// How many bytes of it wait on the disk before the net difference is told instead; 0 keeps a little in memory only.
    pub max: Option<u64>,
    /// Folder for it. Variables are replaced.
    pub dir: Option<Text>,
}

/// How events look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Output {
    /// text, json, wide, raw, cloudevents or template=….
    pub format: Option<Text>,
    /// How times are written.
    pub time: Option<Time>,
    /// When colour is used.
    pub color: Option<Color>,
}

/// How times are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Time {
    /// In the time zone of this machine.
    Local,
    /// In UTC.
    Utc,
    /// How long ago.
    Relative,
    /// Not at all.
    None,
}

/// When colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Color {
    /// On a terminal that can.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

macro_rules! words {
    ($($kind:ty { $($value:ident => $word:literal),+ })+) => {
        $(impl $kind {
            /// The word for it, in a file and behind a flag.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$value => $word),+
                }
            }
        })+
    };
}

words! {
    Evidence { Auto => "auto", Off => "off" }
    Type {
        Started => "started", Stopped => "stopped", Crashed => "crashed", Restarted => "restarted",
        Healthy => "healthy", Unhealthy => "unhealthy", StatusChanged => "status_changed"
    }
    Severity { Info => "info", Warning => "warning", Error => "error", Critical => "critical" }
    Setup { Ensure => "ensure", Check => "check", Never => "never" }
    Time { Local => "local", Utc => "utc", Relative => "relative", None => "none" }
    Color { Auto => "auto", Always => "always", Never => "never" }
}
