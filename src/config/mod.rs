//! `observe.yaml`: what a person wrote down instead of giving it as flags each time.
//!
//! [`parse`] makes settings of a text, or says in which line and column the first mistake stands and what was probably
//! meant; nothing is passed over. [`search`] finds the file. What a setting is worth beside a flag or a variable is not
//! decided here, and nothing here connects to anything.
//!
//! No secret stands in such a file: there are only paths of files that hold one. `${NAME}` is replaced in addresses and
//! paths, each marked as such at its key, and nowhere else; what stood in the variable is kept apart from what the
//! person wrote, so that it need not be shown.
//!
//! What must not be here: flags, the wire, a reading of the environment of our own.

mod error;
pub mod file;
pub mod parse;
pub mod schema;
pub mod search;
mod suggest;
pub mod text;

#[cfg(test)]
mod tests;

pub use error::ConfigError;
pub use file::Config;
