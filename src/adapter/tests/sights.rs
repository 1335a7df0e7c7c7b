//! What is told about the source itself.

use std::sync::atomic::Ordering;

use crate::adapter::error::AdapterError;
use crate::adapter::settings::Notice;

use super::house::{House, Told, seconds};
use super::toy::{EPOCH, LATER, Source};

fn source() -> Source {
    Source::new(&[("api", 1), ("web", 1)])
}

#[tokio::test(start_paused = true)]
async fn a_new_epoch_is_told_before_what_differs_in_it() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    source.epoch = LATER;
    source.grow("api");
    a.tell(&source).await;
    let words = house.store.words();
    assert_eq!(words[3..], ["4 restarted resync", "5 restarted api resync"]);
    let stream = house.store.stream.lock().unwrap();
    let told = &stream.events[3];
    assert_eq!((&*told.epoch, &*told.reason), (LATER, "source_restarted"));
    assert_eq!(told.subject, "core.source.shop.restarted");
}

#[tokio::test(start_paused = true)]
async fn an_epoch_that_was_not_known_before_is_no_restart() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    source.epoch = "";
    a.tell(&source).await;
    source.epoch = EPOCH;
    a.tell(&source).await;
    assert_eq!(house.store.words().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_source_out_of_sight_is_told_once_and_so_is_its_return() {
    let house = House::new();
    let (mut a, source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let last_look = house.now();
    for _ in 0..20 {
        seconds(2).await;
        a.fail().await.unwrap();
    }
    assert_eq!(house.store.words()[3..], ["4 disconnected change"]);
    assert!(!house.store.root().connected);
    assert_eq!(house.store.root().looked_at, last_look);
    a.tell(&source).await;
    let words = house.store.words();
    assert_eq!(
        words[4..],
        ["5 gap source_unreachable resync", "6 connected resync"]
    );
    assert!(house.store.root().connected);
    let stream = house.store.stream.lock().unwrap();
    assert_eq!(&*stream.events[3].reason, "refused");
    assert_eq!(stream.events[3].occurred.after, Some(last_look));
    let gap = stream.events[4].gap.clone().unwrap();
    assert_eq!((gap.from, gap.to), (Some(last_look), house.now()));
}

#[tokio::test(start_paused = true)]
async fn disconnected_needs_three_failed_looks_and_five_seconds() {
    let house = House::new();
    let (mut a, source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    for _ in 0..3 {
        seconds(2).await;
        a.fail().await.unwrap();
    }
    assert_eq!(house.store.words().len(), 3, "three looks, four seconds");
    seconds(2).await;
    a.fail().await.unwrap();
    assert_eq!(house.store.words()[3..], ["4 disconnected change"]);
    let mut c = house.watcher("c").await;
    seconds(60).await;
    c.fail().await.unwrap();
    assert_eq!(house.store.words().len(), 4, "told once");
}

#[tokio::test(start_paused = true)]
async fn where_another_adapter_moved_the_root_it_must_stand_still_before_disconnected() {
    let house = House::new();
    let (mut a, source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let mut b = house.watcher("b").await;
    let reads = house.store.read_calls.load(Ordering::SeqCst);
    for _ in 0..6 {
        seconds(2).await;
        b.fail().await.unwrap();
    }
    assert_eq!(
        house.store.words().len(),
        3,
        "12 s: somebody else may still refresh"
    );
    let asked = house.store.read_calls.load(Ordering::SeqCst) - reads;
    assert_eq!(asked, 0, "nothing to ask before it can matter");
    seconds(2).await;
    b.fail().await.unwrap();
    assert_eq!(house.store.words().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_another_adapter_still_sees_is_not_disconnected() {
    let house = House::new();
    let (mut a, source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let mut b = house.watcher("b").await;
    for _ in 0..30 {
        seconds(2).await;
        a.fail().await.unwrap();
        b.tell(&source).await;
    }
    assert_eq!(house.store.words().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn another_server_under_our_name_ends_the_one_whose_epoch_is_older() {
    let house = House::new();
    let (mut a, old) = (house.watcher("a").await, source());
    a.tell(&old).await;
    let mut b = house.watcher("b").await;
    let mut other = Source::new(&[("api", 5)]);
    other.epoch = LATER;
    b.tell(&other).await;
    seconds(10).await;
    assert_eq!(a.look(&old).await.unwrap(), Told::Rebased);
    assert_eq!(a.look(&old).await.unwrap(), Told::Rebased);
    let error = a.look(&old).await.unwrap_err();
    assert!(matches!(error, AdapterError::OtherServer { .. }));
    assert!(
        error.to_string().contains("give one --source NAME"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_heard_before_the_source_left_is_told_without_pretending_a_look() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let last_look = house.now();
    seconds(2).await;
    a.fail().await.unwrap();
    source.grow("api");
    a.salvage(&source).await.unwrap();
    assert_eq!(house.store.words()[3..], ["4 restarted api change"]);
    assert_eq!(house.store.root().looked_at, last_look);
    for _ in 0..10 {
        seconds(2).await;
        a.fail().await.unwrap();
    }
    source.grow("web");
    a.salvage(&source).await.unwrap();
    let words = house.store.words();
    assert_eq!(
        words[4..],
        ["5 disconnected change", "6 restarted web change"]
    );
    assert!(!house.store.root().connected);
    a.tell(&source).await;
    assert_eq!(house.store.words()[7..], ["8 connected resync"]);
    let back = Notice::SourceBack;
    assert_eq!(a.notices().into_iter().filter(|n| *n == back).count(), 1);
}
