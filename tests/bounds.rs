//! What an adapter keeps does not grow: not over looks, not with a broker that is away, not where everything flaps at once.
//!
//! The comparison, the runtime and the committer are the real ones; the time is simulated, and so is the broker.
//! `BOUNDS_LOOKS=1000000 cargo test --release --test bounds` is the whole of it.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

#[path = "bounds/flapping.rs"]
mod flapping;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flapping::{Taker, now_and_then, resident, status, watch};

/// Memory is measured for the whole process, so one at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Processes that flap at once.
const COUNT: usize = 10_000;
/// What an adapter may need for a process that flaps, in bytes: its row, its events, and what waits of them.
const MOST: usize = 24 * 1024;

#[test]
fn a_million_looks_leave_memory_where_it_was() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let said = std::env::var("BOUNDS_LOOKS").ok();
    let looks: u64 = said.and_then(|text| text.parse().ok()).unwrap_or(30_000);
    let store = Arc::new(Taker::default());
    let after = Arc::new(AtomicU64::new(0));
    let first = Arc::clone(&after);
    let note = move |look| {
        if look == 1_000 {
            first.store(u64::try_from(resident()).unwrap(), Ordering::Relaxed);
        }
    };
    watch(&store, 10, looks, now_and_then, Box::new(note));
    let (before, now) = (
        usize::try_from(after.load(Ordering::Relaxed)).unwrap(),
        resident(),
    );
    let events = store.events.load(Ordering::Relaxed);
    println!(
        "{looks} looks at 10 processes, {events} events: {before} bytes after the first thousand, {now} at the end"
    );
    assert!(events > looks, "{events} events");
    assert!(
        now * 100 <= before * 105,
        "{before} bytes after the first thousand, {now} at the end"
    );
}

#[test]
fn ten_thousand_processes_that_flap_at_every_look_stay_within_a_bound() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = resident();
    for away in [false, true] {
        let store = Arc::new(Taker::default());
        let broker = Arc::clone(&store);
        let leave = move |look| {
            if look == 2 {
                broker.away.store(away, Ordering::Relaxed);
            }
        };
        watch(&store, COUNT, 6, |look| look, Box::new(leave));
        let peak = status("VmHWM:").saturating_sub(before);
        let each = peak / COUNT;
        let most = store.most.load(Ordering::Relaxed);
        println!(
            "{COUNT} processes, broker away: {away}: {each} bytes a process at the peak, {most} messages in the largest batch"
        );
        assert!(most <= 990, "{most} messages");
        assert!(each <= MOST, "{each} bytes for each process");
    }
}
