//! The one integration binary: real servers, the real library, the real program.

mod bus;
mod support;
