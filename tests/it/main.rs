//! What runs against real parts, in one binary.

#[cfg(test)]
mod broker;
#[cfg(test)]
mod process_compose;
#[cfg(test)]
mod support;
