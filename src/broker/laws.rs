//! What must hold for whatever lies in the folder of a managed broker, and whoever greets; held by the property tests and
//! by the fuzz targets.

use super::{folder, ready};

/// A card, a ports file, a greeting.
pub(crate) fn texts(bytes: &[u8]) {
    if let Some(card) = folder::card(bytes) {
        assert_eq!(format!("{:?}", card.token), "Token(hidden)");
    }
    if let Some(address) = ready::address(bytes) {
        assert!(address.starts_with("nats://127.0.0.1:"));
    }
    let _greeting = ready::greeting(bytes);
}
