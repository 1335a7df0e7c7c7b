//! What really happened: one record per fact, with the moment, the process and the reason.
//!
//! A consumer only ever sees answers; a test of a consumer needs this. The words never depend on the profile that is played.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// The kinds of fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A program began to run.
    Spawned,
    /// The launcher of a daemon ended and left the daemon behind.
    Launched,
    /// A program ended.
    Exited,
    /// The program became ready.
    BecameReady,
    /// The program is not ready, or no longer.
    BecameUnready,
    /// A process joined the configuration.
    Added,
    /// A process left the configuration.
    Removed,
    /// A process goes by another name from now on.
    Renamed,
    /// A program could not be started.
    SpawnFailed,
    /// A process was not started because of a dependency.
    Skipped,
    /// A stop met nothing that ran.
    Cancelled,
    /// The server began a run of its own.
    ServerStarted,
    /// The server is no longer there.
    ServerGone,
}

/// Why it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// The server started with it.
    Boot,
    /// What it waited for came true, or never will.
    Dependency,
    /// The restart policy.
    Policy,
    /// The schedule.
    Schedule,
    /// A watched file changed.
    Watch,
    /// A start was asked for.
    UserStart,
    /// A restart was asked for.
    UserRestart,
    /// A stop was asked for.
    UserStop,
    /// A signal was asked for through the API.
    UserSignal,
    /// The number of replicas changed.
    Scale,
    /// The configuration was read again.
    Reload,
    /// The program ended by itself.
    OwnExit,
    /// A signal from outside.
    OutsideSignal,
    /// The readiness probe gave up and the server ended the program.
    ReadinessKill,
    /// The server was asked to leave.
    ServerStop,
    /// The last process ended, so the server left.
    LastProcess,
    /// A probe that had succeeded before in this life, or now did.
    Probe,
    /// A probe that has not succeeded yet in this life.
    ProbeStarting,
    /// A line in the log.
    LogLine,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// With this code, 0 to 255.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// The number the API shows: the code, or −1 for any signal.
    pub const fn shown(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(_) => -1,
        }
    }
}

/// One fact. Times in milliseconds since the simulation began; keys that say nothing are left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// Milliseconds since the simulation began.
    pub t_ms: u64,
    /// The wall clock, RFC 3339.
    pub at: String,
    /// The process by the name it had at that moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Its first namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The kind of fact.
    pub what: What,
    /// The process id of the program concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// Why it happened.
    pub because: Because,
    /// The launcher of a daemon, as the API goes on showing it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launcher: Option<u32>,
    /// The name it had before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The dependency that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dependency: Option<String>,
    /// Why a program could not be started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
}

/// Why the truth can no longer be written; the simulation ends, since a truth with holes is worse than none.
#[derive(Debug, thiserror::Error)]
#[error("the truth file {path:?} cannot be written")]
pub struct TruthError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// A file of records, one JSON object per line, each line on its way before the next thing happens.
#[derive(Debug)]
pub struct TruthFile {
    path: PathBuf,
    file: File,
}

impl TruthFile {
    /// Begins a new file, replacing an old one.
    ///
    /// # Errors
    ///
    /// The file cannot be created.
    pub fn create(path: &Path) -> Result<Self, TruthError> {
        match File::create(path) {
            Ok(file) => Ok(Self {
                path: path.to_owned(),
                file,
            }),
            Err(source) => Err(TruthError {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Writes one record as one line.
    ///
    /// # Errors
    ///
    /// The file cannot be written, for instance because the disk is full.
    pub fn write(&mut self, record: &Record) -> Result<(), TruthError> {
        let written = serde_json::to_vec(record)
            .map_err(io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                self.file.write_all(&line)
            });
        written.map_err(|source| TruthError {
            path: self.path.clone(),
            source,
        })
    }
}
