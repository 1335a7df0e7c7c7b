//! scaffold
pub mod broker;
