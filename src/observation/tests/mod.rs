//! The loop under paused time, with two observers that have nothing in common.

mod fleets;
mod looks;
mod outlets;
mod shutdowns;
mod sources;
mod support;
mod viewers;
