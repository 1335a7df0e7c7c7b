//! Phases and health: the closed vocabulary that comparison works with, whatever words a supervisor uses.

/// Where a process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Waits for something before its first run.
    Waiting,
    /// Runs.
    Up,
    /// Was told to end and still has a pid: belongs to the run that ends.
    Stopping,
    /// Ended, and the supervisor's policy will begin it again.
    BackingOff,
    /// At rest by design: between scheduled runs, waiting for a file, disabled.
    Idle,
    /// Ended, and nothing begins it again by itself.
    Ended,
    /// Could not be begun.
    Failed,
    /// A word this build does not know; says nothing about the run.
    Unknown,
}

impl Phase {
    /// True while a run goes on.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Up | Self::Stopping)
    }

    /// True where a run that went on has come to its end.
    pub fn is_over(self) -> bool {
        !self.is_alive() && self != Self::Unknown
    }

    /// One byte for the head.
    pub(super) fn code(self) -> char {
        match self {
            Self::Waiting => 'w',
            Self::Up => 'u',
            Self::Stopping => 's',
            Self::BackingOff => 'b',
            Self::Idle => 'i',
            Self::Ended => 'e',
            Self::Failed => 'f',
            Self::Unknown => '?',
        }
    }

    /// The phase for a byte of the head.
    pub(super) fn from_code(code: char) -> Self {
        [
            Self::Waiting,
            Self::Up,
            Self::Stopping,
            Self::BackingOff,
            Self::Idle,
            Self::Ended,
            Self::Failed,
        ]
        .into_iter()
        .find(|phase| phase.code() == code)
        .unwrap_or(Self::Unknown)
    }
}

/// What a readiness probe says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Health {
    /// Nothing yet, or there is no probe.
    #[default]
    Unknown,
    /// Ready.
    Ready,
    /// Not ready.
    NotReady,
}

impl Health {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "-",
            Self::Ready => "Ready",
            Self::NotReady => "Not Ready",
        }
    }

    /// The health a word stands for; whatever is neither `Ready` nor `Not Ready` says nothing.
    pub fn parse(word: &str) -> Self {
        match word {
            "Ready" => Self::Ready,
            "Not Ready" => Self::NotReady,
            _ => Self::Unknown,
        }
    }
}
