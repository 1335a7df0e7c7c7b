//! Waiting for a condition of the outside world.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Asks again and again until the answer is yes; fails the test after `limit`.
pub(crate) async fn until(limit: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + limit;
    while !holds().await {
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
