//! A head in a stream that others fill: kept while it is ours to keep.

use std::sync::atomic::Ordering;

use super::house::{House, Told, Watcher, seconds};
use super::toy::Source;

fn large(rows: usize) -> Source {
    let names: Vec<_> = (0..rows).map(|i| format!("p{i:04}")).collect();
    let values: Vec<_> = names.iter().map(|name| (&**name, 1)).collect();
    let mut source = Source::new(&values);
    source.padding = 1000;
    source
}

/// Others tell so much that only what comes from now on is safe.
fn overrun(house: &House) {
    let mut stream = house.store.stream.lock().unwrap();
    stream.last += 1000;
    stream.safe_from = stream.last;
}

fn is_safe(house: &House) -> bool {
    let stream = house.store.stream.lock().unwrap();
    let (root, _) = stream.root.as_ref().unwrap();
    let oldest = stream.shards.values().map(|(place, _)| *place).min();
    stream.safe_from <= oldest.unwrap().min(*root) && stream.head().unwrap().shards.is_some()
}

/// One that has told everything and whose shards are all young.
async fn settled(house: &House, source: &Source) -> Watcher {
    let mut a = house.watcher("a").await;
    a.tell(source).await;
    seconds(10).await;
    a.tell(source).await;
    a
}

#[tokio::test(start_paused = true)]
async fn a_quiet_source_writes_its_head_again_before_others_push_it_out() {
    let house = House::new();
    let source = large(2500);
    let mut a = settled(&house, &source).await;
    assert!(house.store.root().shards.len() > 16);
    overrun(&house);
    assert!(!is_safe(&house));
    // Within a refresh it is noticed; then each look writes a part.
    for _ in 0..8 {
        seconds(2).await;
        assert_eq!(a.look(&source).await.unwrap(), Told::Taken);
    }
    assert!(is_safe(&house));
    let most = house.store.stream.lock().unwrap().most_messages;
    let before = house.store.commits();
    for _ in 0..4 {
        seconds(2).await;
        a.look(&source).await.unwrap();
    }
    assert!(house.store.commits() <= before + 1, "once is enough");
    assert!(most <= 990);
    assert_eq!(
        house
            .store
            .words()
            .iter()
            .filter(|w| w.contains("gap"))
            .count(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn the_head_of_a_source_out_of_sight_is_kept_too() {
    let house = House::new();
    let source = large(300);
    let mut a = settled(&house, &source).await;
    for _ in 0..9 {
        seconds(2).await;
        a.fail().await.unwrap();
    }
    let root = house.store.root();
    assert!(!root.connected);
    overrun(&house);
    for _ in 0..6 {
        seconds(2).await;
        a.fail().await.unwrap();
    }
    assert!(is_safe(&house));
    let kept = house.store.root();
    assert_eq!(
        (kept.connected, kept.looked_at),
        (false, root.looked_at),
        "nobody claims a look"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_somebody_deleted_is_written_again_from_memory() {
    let house = House::new();
    let source = large(300);
    let mut a = settled(&house, &source).await;
    house.store.stream.lock().unwrap().shards.remove(&1);
    seconds(10).await;
    a.look(&source).await.unwrap();
    assert!(is_safe(&house));
    assert_eq!(house.watcher("b").await.state.unwrap().rows.len(), 300);
}

#[tokio::test(start_paused = true)]
async fn the_broker_is_asked_rarely_and_not_again_where_it_must_not_say() {
    let house = House::new();
    let source = large(10);
    let mut a = settled(&house, &source).await;
    let asked = || house.store.ground_calls.load(Ordering::SeqCst);
    let before = asked();
    for _ in 0..50 {
        seconds(2).await;
        a.look(&source).await.unwrap();
    }
    assert_eq!(asked() - before, 10);
    house.store.mute_ground.store(true, Ordering::SeqCst);
    for _ in 0..50 {
        seconds(2).await;
        a.look(&source).await.unwrap();
    }
    assert_eq!(asked() - before, 11);
}
