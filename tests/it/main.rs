//! What runs against real parts, in one binary.

#[cfg(test)]
mod bus;
#[cfg(test)]
mod support;
