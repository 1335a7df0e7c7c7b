//! What a domain says about one event, before anybody numbers or stores it.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::sieve::Sieve;

/// A word of an open vocabulary (`reason`, `certainty`, `why`, `status`): readers keep the ones they do not know.
pub type Word = Cow<'static, str>;

/// The `type` of an event; the seven process types and the four about a source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A run began (or, with origin `initial`, was found going on).
    Started,
    /// A run ended in order: by itself with an allowed code, or because somebody asked.
    Stopped,
    /// A run ended badly, or could not begin.
    Crashed,
    /// A run began again; about a source: its supervisor did.
    Restarted,
    /// The newest run became ready.
    Healthy,
    /// The newest run is not ready.
    Unhealthy,
    /// The status differs and no other type tells it.
    StatusChanged,
    /// The source was reached for the first time, or again after `disconnected`.
    Connected,
    /// The source cannot be seen; says nothing about its processes.
    Disconnected,
    /// A stretch in which nobody looked.
    Gap,
    /// A type of a later schema, kept as it came.
    Other(Box<str>),
}

impl Kind {
    /// The seven types of process events, in the order in which they are documented.
    pub const PROCESS: [Self; 7] = [
        Self::Started,
        Self::Stopped,
        Self::Crashed,
        Self::Restarted,
        Self::Healthy,
        Self::Unhealthy,
        Self::StatusChanged,
    ];
    /// The four types of events about a source.
    pub const SOURCE: [Self; 4] = [
        Self::Connected,
        Self::Disconnected,
        Self::Restarted,
        Self::Gap,
    ];

    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Crashed => "crashed",
            Self::Restarted => "restarted",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::StatusChanged => "status_changed",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Gap => "gap",
            Self::Other(word) => word,
        }
    }

    /// The type a word stands for; unknown words are kept.
    pub fn parse(word: &str) -> Self {
        match word {
            "started" => Self::Started,
            "stopped" => Self::Stopped,
            "crashed" => Self::Crashed,
            "restarted" => Self::Restarted,
            "healthy" => Self::Healthy,
            "unhealthy" => Self::Unhealthy,
            "status_changed" => Self::StatusChanged,
            "connected" => Self::Connected,
            "disconnected" => Self::Disconnected,
            "gap" => Self::Gap,
            other => Self::Other(other.into()),
        }
    }

    /// True for the end of a run.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Stopped | Self::Crashed)
    }

    /// True for the beginning of a run.
    pub fn is_beginning(&self) -> bool {
        matches!(self, Self::Started | Self::Restarted)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KindVisitor)
    }
}

struct KindVisitor;

impl Visitor<'_> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Kind, E> {
        Ok(Kind::parse(word))
    }
}

/// How much attention an event deserves; ordered from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

impl Severity {
    /// All of them, from least to most.
    pub const ALL: [Self; 4] = [Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a difference comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The first look ever at this source: a description, not news.
    Initial,
    /// Seen between two looks.
    Change,
    /// Found after a gap or in a new epoch.
    Resync,
}

impl Origin {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Change => "change",
            Self::Resync => "resync",
        }
    }
}

/// `certain`: seen, or said by the source without room for doubt.
pub const CERTAIN: Word = Cow::Borrowed("certain");
/// `inferred`: it must have happened, nobody saw it.
pub const INFERRED: Word = Cow::Borrowed("inferred");
/// `ambiguous`: the source does not tell which of two things it was.
pub const AMBIGUOUS: Word = Cow::Borrowed("ambiguous");

/// The window in which something happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Occurred {
    /// Not before this time: the end of the look before. Absent at the first look ever.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "millis::option"
    )]
    #[cfg_attr(test, schemars(with = "Option<DateTime<Utc>>"))]
    pub after: Option<DateTime<Utc>>,
    /// Not after this time.
    #[serde(with = "millis")]
    #[cfg_attr(test, schemars(with = "DateTime<Utc>"))]
    pub before: DateTime<Utc>,
    /// The time the source itself gave, where it gave one.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "millis::option"
    )]
    #[cfg_attr(test, schemars(with = "Option<DateTime<Utc>>"))]
    pub at: Option<DateTime<Utc>>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Exit {
    /// The exit code as the source says it; −1 = by a signal; null where it is not known.
    pub code: Option<i64>,
    /// The number of the signal where the code tells it (128 + n); null otherwise.
    pub signal: Option<i64>,
    /// True where somebody asked for the end, or the code is an allowed one.
    pub expected: bool,
}

/// A stretch in which nobody looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Gap {
    /// Where the stretch begins; null where that is not known.
    #[serde(default, with = "millis::option")]
    #[cfg_attr(test, schemars(with = "Option<DateTime<Utc>>"))]
    pub from: Option<DateTime<Utc>>,
    /// Where the stretch ends.
    #[serde(with = "millis")]
    #[cfg_attr(test, schemars(with = "DateTime<Utc>"))]
    pub to: DateTime<Utc>,
    /// One of `adapter_down`, `source_unreachable`, `spool_full`, `spool_corrupt`, `superseded`, `rolled_back`, `stream_lost`, `fell_behind`;
    /// `left_out` where everything was seen, and the adapter was told to leave a part of it out from then on, not any more, or
    /// another part.
    pub why: Word,
    /// How many events were dropped with the stretch, where somebody counted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// What was left out in the stretch, in a `left_out`; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sieve: Option<Sieve>,
    /// What is left out from the end of the stretch on, in a `left_out`; absent where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_sieve: Option<Sieve>,
}

/// Why a gap is told that is none of sight: an adapter was told to leave events out, or not to.
pub const LEFT_OUT: Word = Cow::Borrowed("left_out");

impl Gap {
    /// Whether everything was seen in the stretch, and only a part of it told.
    pub fn is_left_out(&self) -> bool {
        self.why == LEFT_OUT
    }
}

/// The full state of a process after the change; the nine original keys first, unknown ones of the rest absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct State {
    /// The name the supervisor gives this process (the replica's, where there are several).
    pub name: String,
    /// The first namespace.
    pub namespace: String,
    /// The supervisor's own word.
    pub status: Word,
    /// `Ready`, `Not Ready` or `-`.
    pub is_ready: Word,
    /// Whether the supervisor probes this process.
    pub has_ready_probe: bool,
    /// Restarts made by the supervisor's policy.
    pub restarts: i64,
    /// The exit code as the source says it; means something only when the process is not running.
    pub exit_code: i64,
    /// Whether the process is up.
    pub is_running: bool,
    /// How many replicas the group has; 1 until the group is known.
    pub replicas: i64,
    /// The configured name (`api` of `api-0`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The number of this replica within its group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<i64>,
    /// Every namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// The process id of the newest run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i64>,
    /// How long the newest run has lasted, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<i64>,
    /// Resident memory, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mem_bytes: Option<i64>,
    /// Percent of one core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// When the newest run began, as far as the source tells it truly.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "millis::option"
    )]
    #[cfg_attr(test, schemars(with = "Option<DateTime<Utc>>"))]
    pub started_at: Option<DateTime<Utc>>,
    /// When it became ready.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "millis::option"
    )]
    #[cfg_attr(test, schemars(with = "Option<DateTime<Utc>>"))]
    pub ready_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "millis::option"
    )]
    #[cfg_attr(test, schemars(with = "Option<DateTime<Utc>>"))]
    pub ended_at: Option<DateTime<Utc>>,
}

impl State {
    /// The exit code of the run that ended last, where one did; −1 = by a signal.
    pub fn last_exit(&self) -> Option<i64> {
        let ended = !self.is_running && self.pid.is_some();
        (ended || self.restarts > 0).then_some(self.exit_code)
    }
}

/// What is worth knowing of the state before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Previous {
    /// The name it had, where it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The supervisor's own word.
    pub status: Word,
    /// `Ready`, `Not Ready` or `-`.
    pub is_ready: Word,
    /// Restarts made by the supervisor's policy.
    pub restarts: i64,
    /// The process id, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i64>,
}

/// One event about one process as its domain describes it: everything but numbers, source and subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload {
    /// What happened.
    pub kind: Kind,
    /// How much attention it deserves.
    pub severity: Severity,
    /// The full state after the change.
    pub state: State,
    /// Why, in one word.
    pub reason: Word,
    /// How sure that is.
    pub certainty: Word,
    /// When.
    pub occurred: Occurred,
    /// How the run ended, for an end.
    pub exit: Option<Exit>,
    /// How many such events this one stands for.
    pub count: u32,
    /// The state before, where there was one.
    pub previous: Option<Previous>,
    /// Counts the events of this process: 1, 2, 3 … without holes, whether they are told or left out on purpose.
    pub process_seq: u64,
}

/// Times on the wire: RFC 3339, UTC, exactly three fractional digits.
pub mod millis;
