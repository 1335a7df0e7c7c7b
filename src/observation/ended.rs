//! Why a run ended.

use std::sync::Arc;

/// Why a run ended. `O` is the observer's error, `L` the outlet's.
#[derive(Debug, thiserror::Error)]
pub enum Ended<O: std::error::Error + 'static, L: std::error::Error + 'static> {
    /// It was asked to end, and everything was finished in order.
    #[error("the run was asked to end")]
    Cancelled,
    /// It was asked to end, and the time was over before a report, a hook or the outlet's close was
    /// done; whether the outlet took the last report is not known.
    #[error("the run was asked to end and could not finish in time")]
    CutOff,
    /// The outlet can take nothing more.
    #[error("the outlet refused")]
    Refused(#[source] L),
    /// The observer can never see again.
    #[error("the source can never be seen again")]
    Fatal(#[source] Arc<O>),
}

/// Why a run ended, without the errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndKind {
    /// See [`Ended::Cancelled`].
    Cancelled,
    /// See [`Ended::CutOff`].
    CutOff,
    /// See [`Ended::Refused`].
    Refused,
    /// See [`Ended::Fatal`].
    Fatal,
}

impl<O: std::error::Error + 'static, L: std::error::Error + 'static> Ended<O, L> {
    /// Which of them it was.
    pub fn kind(&self) -> EndKind {
        match self {
            Self::Cancelled => EndKind::Cancelled,
            Self::CutOff => EndKind::CutOff,
            Self::Refused(_) => EndKind::Refused,
            Self::Fatal(_) => EndKind::Fatal,
        }
    }
}
