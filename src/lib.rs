//! scaffold
pub mod observation;
