//! The words of processes: phases, readings, rows, and the comparison that turns two of them into events.
//!
//! This floor is pure: it opens nothing, waits for nothing and reads no clock. It speaks of no particular supervisor;
//! a tongue (`process_compose`) translates a look into [`reading::Reading`]s and hands in what else it knows as
//! [`evidence::Evidence`].
//!
//! The heart is [`diff::compare`]. It goes through both sides in name order and asks three questions of each process:
//! how many runs lie between the looks ([`plan`]), which of them ended how ([`judge`]), and what is left to say of the
//! newest one ([`tale`]). What must be remembered to answer them next time stands in [`table::Memory`], and
//! [`rows`] carries it through a restart.
//!
//! Whoever waits for something asks [`condition`] what one row says about it, and [`waiting`] for all of them together,
//! over time. How everything stood at a moment that has passed, [`fold`] finds in the events around it; what it finds is a
//! [`moment::Moment`], and so is what a table says of the present.
//!
//! Whoever does something about a process finds the words, and what is left behind first, in [`control`].

pub mod condition;
pub mod control;
pub mod diff;
pub mod difference;
mod epoch;
pub mod event;
pub mod evidence;
mod first;
pub mod fold;
mod judge;
pub mod moment;
mod names;
pub mod phase;
mod plan;
pub mod reading;
mod removed;
mod renamed;
pub mod rows;
mod runs;
pub mod table;
mod tale;
mod told;
pub mod waiting;

#[cfg(test)]
mod tests;
