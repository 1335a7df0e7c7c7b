//! Figures about processes, out of what was told of them: how often they crashed, how long they were up.
//!
//! [`Stats`](fold::Stats) is given the events of a stretch of the stream in their order, how each process stands in the head,
//! and until when each source was looked at; it gives a [`Report`](report::Report). What each figure means, and whose
//! definition it is, stands in `docs/decisions/0014-stats.md` and at [`Figures`](figures::Figures).
//!
//! A moment is known where its source was looked at, nothing that was told about it is missing, and the process was
//! listed; what was not known counts neither as up nor as down, and the three always add up to the whole. Everything is
//! counted in whole milliseconds, so that they add up exactly, also over groups.
//!
//! What must not happen here: reading a clock or a broker, judging what an event was (that was done when it was told),
//! and words for people (`render` has those).

pub mod figures;
mod flap;
pub mod fold;
mod life;
pub mod report;
mod span;
mod watched;

#[cfg(test)]
mod tests;
