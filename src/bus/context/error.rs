//! Why a context cannot be used.

use std::io;

/// Why a context cannot be used; trying again does not help. No variant holds a value of the file.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// It is no JSON, or another value than an object.
    #[error("it is no JSON object (line {line}, column {column})")]
    NoObject {
        /// Where reading ended, from 1.
        line: usize,
        /// The same, in bytes.
        column: usize,
    },
    /// It is larger than [`super::LARGEST`].
    #[error("it is larger than a context can be")]
    TooLarge,
    /// A value has another type or form than its key wants.
    #[error("{key} must be {wanted}")]
    Wrong {
        /// The key.
        key: &'static str,
        /// What its value must be.
        wanted: &'static str,
    },
    /// Something that we do not do.
    #[error("{key} {what}; {fix}")]
    Unsupported {
        /// The key that asks for it.
        key: &'static str,
        /// What it asks for.
        what: &'static str,
        /// What to write instead.
        fix: &'static str,
    },
    /// A value refers to a variable that is not there.
    #[error("{key} refers to a variable of the environment that is not set, or empty")]
    Unset {
        /// The key.
        key: &'static str,
    },
    /// A value refers to a file that cannot be read.
    #[error("{key} refers to a file that cannot be read")]
    File {
        /// The key.
        key: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}
