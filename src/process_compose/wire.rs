//! Decodes the table of processes, of every version from v0.50 on.
//!
//! The whole body is read into rows that borrow from it. Only where that fails it is read element by element, so that
//! one odd process hides none of the others. Unknown keys are passed over, unknown words kept.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use self::lenient::{list, real, stamp, text, whole};
use super::error::clean;

mod lenient;
mod rows;
mod stamp;
mod table;

pub use stamp::Stamp;
pub use table::{decode, decode_as, decode_into};

/// An age beyond this, in nanoseconds, is not an age but a reading taken while a process was being started: ten years.
const OLDEST: i64 = 10 * 366 * 86_400 * 1_000_000_000;

/// The most bytes that the words of one process may have. What is told of it goes in one message, some words several
/// times, and a broker takes 1 MB by default: one monstrous name must not end the telling of all the others.
const LONGEST: usize = 32 * 1024;

/// One process as the server says it, keys renamed, words untouched.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct WireRow<'a> {
    /// Name of the replica.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Its namespaces; `default` where the server says none.
    #[serde(borrow, default, rename = "namespace")]
    pub namespaces: Namespaces<'a>,
    /// The status word, verbatim.
    #[serde(borrow)]
    pub status: Cow<'a, str>,
    /// The readiness word, verbatim; empty where the server says none.
    #[serde(borrow, default, deserialize_with = "text")]
    pub is_ready: Cow<'a, str>,
    /// Whether it has a readiness or a liveness probe; nothing before v1.63.
    #[serde(default)]
    pub has_ready_probe: Option<bool>,
    /// Restarts decided by its restart policy.
    #[serde(default, deserialize_with = "whole")]
    pub restarts: i64,
    /// Exit code of the last run; −1 where a signal ended it.
    #[serde(default, deserialize_with = "whole")]
    pub exit_code: i64,
    /// Further exit codes that count as a success.
    #[serde(default, deserialize_with = "list")]
    pub success_exit_codes: Vec<i64>,
    /// Process id of the last run, also after its end; 0 where there was none.
    #[serde(default, deserialize_with = "whole")]
    pub pid: i64,
    /// Resident memory in bytes; 0 and −1 are unknown.
    #[serde(default, deserialize_with = "whole")]
    pub mem: i64,
    /// Percent of one core; −1 is unknown.
    #[serde(default, deserialize_with = "real")]
    pub cpu: f64,
    /// Nanoseconds as the server says them; [`WireRow::age_ns`] knows which to believe.
    #[serde(default, deserialize_with = "whole")]
    pub age: i64,
    /// Whether it counts as running, where the server says so. The spelling from before v1.63 is passed over: up to
    /// v0.81.4 it stayed true for ever, and afterwards it says no more than the status.
    #[serde(default)]
    pub is_running: Option<bool>,
    /// Next run of a schedule, RFC 3339.
    #[serde(borrow, default, deserialize_with = "stamp")]
    pub next_run_time: Stamp<'a>,
    /// First start of this incarnation as far as the server tells runs apart, RFC 3339.
    #[serde(borrow, default, deserialize_with = "stamp")]
    pub process_start_time: Stamp<'a>,
    /// First readiness, RFC 3339.
    #[serde(borrow, default, deserialize_with = "stamp")]
    pub process_ready_time: Stamp<'a>,
    /// End, RFC 3339; up to v1.120 also of a former run.
    #[serde(borrow, default, deserialize_with = "stamp")]
    pub process_end_time: Stamp<'a>,
    /// Whether a file watch is armed.
    #[serde(default)]
    pub is_watched: Option<bool>,
    /// The last file change that restarted it, RFC 3339.
    #[serde(borrow, default, deserialize_with = "stamp")]
    pub watch_trigger_time: Stamp<'a>,
    /// The file that changed then, relative to the watched folder.
    #[serde(borrow, default, deserialize_with = "text")]
    pub watch_trigger_path: Cow<'a, str>,
}

impl WireRow<'_> {
    /// Nanoseconds since this incarnation began, where the server knows it.
    pub fn age_ns(&self) -> Option<i64> {
        (0..=OLDEST).contains(&self.age).then_some(self.age)
    }

    /// Whether the status word says that it is up.
    pub fn is_up(&self) -> bool {
        matches!(&*self.status, "Running" | "Launching" | "Launched")
    }

    /// What the server says about running, else what the status says.
    pub fn running(&self) -> bool {
        self.is_running.unwrap_or_else(|| self.is_up())
    }

    /// Whether the parts of this row were read at different moments: up without a pid or with an age of centuries, or
    /// running against its status. Such a row is to be asked for again.
    pub fn is_torn(&self) -> bool {
        let up = self.is_up();
        (up && (self.pid <= 0 || self.age_ns().is_none()))
            || self.is_running.is_some_and(|running| running != up)
    }

    /// Why it is too much to be told.
    fn excess(&self) -> Option<String> {
        let namespaces: usize = self.namespaces.iter().map(|name| name.len() + 3).sum();
        let words = [
            &self.name,
            &self.status,
            &self.is_ready,
            &self.watch_trigger_path,
        ];
        let words: usize = words.iter().map(|word| word.len()).sum();
        let bytes = words + namespaces + 20 * self.success_exit_codes.len();
        (bytes > LONGEST).then(|| {
            let name = clean(&self.name, 40);
            format!("what is said of {name} has {bytes} bytes, {LONGEST} can be told")
        })
    }

    /// The row without its loan.
    pub fn into_owned(self) -> WireRow<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let namespaces = match self.namespaces {
            Namespaces::One(name) => Namespaces::One(own(name)),
            Namespaces::Many(names) => Namespaces::Many(names.into_iter().map(own).collect()),
        };
        WireRow {
            name: own(self.name),
            namespaces,
            status: own(self.status),
            is_ready: own(self.is_ready),
            has_ready_probe: self.has_ready_probe,
            restarts: self.restarts,
            exit_code: self.exit_code,
            success_exit_codes: self.success_exit_codes,
            pid: self.pid,
            mem: self.mem,
            cpu: self.cpu,
            age: self.age,
            is_running: self.is_running,
            next_run_time: self.next_run_time.into_owned(),
            process_start_time: self.process_start_time.into_owned(),
            process_ready_time: self.process_ready_time.into_owned(),
            process_end_time: self.process_end_time.into_owned(),
            is_watched: self.is_watched,
            watch_trigger_time: self.watch_trigger_time.into_owned(),
            watch_trigger_path: own(self.watch_trigger_path),
        }
    }
}

/// The namespaces of a process, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespaces<'a> {
    /// The usual one.
    One(Cow<'a, str>),
    /// Two or more, in the server's order.
    Many(Vec<Cow<'a, str>>),
}

impl Namespaces<'_> {
    /// The first one.
    pub fn first(&self) -> &str {
        match self {
            Self::One(name) => name,
            Self::Many(names) => names.first().map_or("default", |name| name),
        }
    }

    /// All of them, in the server's order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names.as_slice(),
        }
        .iter()
        .map(|name| &**name)
    }
}

impl Default for Namespaces<'_> {
    fn default() -> Self {
        Self::One(Cow::Borrowed("default"))
    }
}

/// What one body says.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading<R> {
    /// The processes, in the server's order.
    pub rows: Vec<R>,
    /// The elements that are no process we can read; they hide nobody.
    pub odd: Vec<Odd>,
}

/// An element of the table that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    /// Its name, where that much could be read; as it came, not safe to show.
    pub name: Option<String>,
    /// Why, safe to show.
    pub why: String,
}

/// Why a body is no reading; whether another look helps is the client's to say.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Nothing at all.
    #[error("its answer is empty")]
    Empty,
    /// A web page.
    #[error("a web page answers there, not a process-compose")]
    Html,
    /// JSON that ends too early.
    #[error("its answer ends in the middle of the JSON")]
    Truncated(#[source] serde_json::Error),
    /// No JSON.
    #[error("its answer is no JSON")]
    NotJson(#[source] serde_json::Error),
    /// JSON without a table of processes.
    #[error("what answers there speaks JSON, but not process-compose's")]
    OtherJson,
    /// An error told with status 200; the text is safe to show.
    #[error("it answers with an error: {0}")]
    ServerError(String),
    /// A table of which not one element is a process.
    #[error("none of the {count} elements of its table is a process ({first})")]
    NoRow {
        /// How many there are.
        count: usize,
        /// What is wrong with the first one, safe to show.
        first: String,
    },
}

impl DecodeError {
    /// The error of a body that serde could not read.
    pub(super) fn of(bytes: &[u8], error: serde_json::Error) -> Self {
        let text = bytes.trim_ascii();
        if text.is_empty() {
            Self::Empty
        } else if text.starts_with(b"<") || text.starts_with(b"\xef\xbb\xbf<") {
            Self::Html
        } else if error.is_eof() {
            Self::Truncated(error)
        } else if error.is_data() {
            Self::OtherJson
        } else {
            Self::NotJson(error)
        }
    }
}

/// A frame of the state stream.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct WireFrame<'a> {
    /// Whether it tells how things stood at the beginning of the connection; else something changed.
    #[serde(default)]
    pub snapshot: bool,
    /// The process. Of a live frame only name, status, readiness, restarts, exit code and end are to be believed.
    #[serde(borrow)]
    pub state: WireRow<'a>,
}

impl<'a> WireFrame<'a> {
    /// Reads one frame.
    ///
    /// # Errors
    /// [`Odd`] with the name where that could be read.
    pub fn decode(text: &'a str) -> Result<Self, Odd> {
        #[derive(Deserialize)]
        struct Outer<'a> {
            #[serde(borrow)]
            state: &'a RawValue,
        }
        let frame: Self = serde_json::from_str(text).map_err(|error| {
            let name = serde_json::from_str::<Outer<'_>>(text)
                .ok()
                .and_then(|outer| name_of(outer.state));
            Odd {
                name,
                why: why(&error),
            }
        })?;
        match frame.state.excess() {
            None => Ok(frame),
            Some(why) => Err(Odd {
                name: Some(frame.state.name.into_owned()),
                why,
            }),
        }
    }
}

fn name_of(element: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    serde_json::from_str::<Named>(element.get())
        .ok()
        .map(|named| named.name)
}

fn why(error: &serde_json::Error) -> String {
    clean(&error.to_string(), 120)
}

#[cfg(test)]
mod tests;
