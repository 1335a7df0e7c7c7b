//! What must hold for whatever a person wrote into a stack file; held by the property tests and by the fuzz targets.

use super::script::Stack;
use super::span::{self, Span};

/// A stack file: played or refused with a line, never more than it may have.
pub(crate) fn stack(text: &str) {
    match Stack::parse(text) {
        Ok(stack) => {
            let count: u64 = stack
                .processes
                .values()
                .map(|spec| u64::from(spec.count()))
                .sum();
            assert!(count <= Stack::MOST, "{count} processes");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A length of time.
pub(crate) fn length(text: &str) {
    let _one = span::parse(text);
    if let Ok(span) = text.parse::<Span>() {
        let _drawn = span.draw(&mut fastrand::Rng::with_seed(7));
    }
}
