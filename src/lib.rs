//! scaffold
pub mod simulate;
