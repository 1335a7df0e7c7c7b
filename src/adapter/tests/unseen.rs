//! What only one of several adapters knows, and what none of them saw.

use super::house::{House, Told, seconds};
use super::standbys::{settled, wait};
use super::toy::{EPOCH, Source};

fn source() -> Source {
    Source::new(&[("api", 1), ("web", 1)])
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_sees_the_stream_go_back_gives_no_number_again_and_tells_the_gap() {
    let (house, mut source) = (House::new(), source());
    let [mut a, mut b] = settled(&house, &mut source).await;
    let backup = house.store.stream.lock().unwrap().backup();
    let journal = house.store.root().journal;
    for _ in 0..3 {
        source.grow("web");
        a.tell(&source).await;
        assert_eq!(wait(&mut b, 1).await, None);
    }
    assert_eq!(house.store.root().seq, 9);
    drop(a);
    house.store.stream.lock().unwrap().restore(backup);
    assert_eq!(wait(&mut b, 1).await, Some(Told::Rebased));
    b.tell(&source).await;
    let words = house.store.words();
    assert_eq!(
        words[6..],
        ["1 gap rolled_back resync", "2 restarted web resync"]
    );
    assert_ne!(house.store.root().journal, journal);
}

/// An adapter that has found out, running or at its start, that the stream went back; and before it looks again another one
/// goes on, who was never told of the numbers that are gone.
async fn behind_one_who_cannot_know(starts_again: bool) {
    let (house, mut source) = (House::new(), source());
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    let backup = house.store.stream.lock().unwrap().backup();
    let journal = house.store.root().journal;
    for _ in 0..3 {
        source.grow("web");
        a.tell(&source).await;
    }
    house.store.stream.lock().unwrap().restore(backup);
    if starts_again {
        let remembered = a.seen.lock().unwrap().acknowledged.clone();
        a = house.start("a", remembered, EPOCH).await.unwrap();
    } else {
        a.committer.doubt = true;
        assert_eq!(a.look(&source).await.unwrap(), Told::Rebased);
    }
    let mut c = house.watcher("c").await;
    c.tell(&source).await;
    assert_eq!(house.store.root().journal, journal, "it cannot know");
    source.grow("api");
    a.tell(&source).await;
    assert_ne!(house.store.root().journal, journal);
    let words = house.store.words();
    assert_eq!(
        words[words.len() - 2..],
        ["1 gap rolled_back resync", "2 restarted api resync"]
    );
}

#[tokio::test(start_paused = true)]
async fn who_knows_that_the_stream_went_back_says_so_also_behind_one_who_does_not() {
    for starts_again in [false, true] {
        behind_one_who_cannot_know(starts_again).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_away_makes_no_adapter_down_of_the_one_that_cannot_see_it() {
    let (house, mut source) = (House::new(), source());
    let [mut a, mut b] = settled(&house, &mut source).await;
    for _ in 0..8 {
        seconds(2).await;
        a.fail().await.unwrap();
        assert_eq!(b.ask().await.unwrap(), Told::Held);
    }
    assert!(!house.store.root().connected);
    while wait(&mut b, 1).await.is_none() {
        a.fail().await.unwrap();
    }
    for _ in 0..3 {
        seconds(2).await;
        a.fail().await.unwrap();
        b.fail().await.unwrap();
    }
    source.grow("web");
    b.tell(&source).await;
    let words = house.store.words();
    assert!(
        words
            .iter()
            .any(|word| word.contains("gap source_unreachable")),
        "{words:?}"
    );
    assert!(!words.iter().any(|word| word.contains("adapter_down")));
}

#[tokio::test(start_paused = true)]
async fn an_adapter_that_stood_still_names_the_stretch_in_which_nobody_looked() {
    let (house, mut source) = (House::new(), source());
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    let from = house.now();
    seconds(100).await;
    source.grow("web");
    a.tell(&source).await;
    let words = house.store.words();
    assert_eq!(
        words[words.len() - 2..],
        ["4 gap adapter_down resync", "5 restarted web resync"]
    );
    let stream = house.store.stream.lock().unwrap();
    let gap = stream.events[3].gap.clone().unwrap();
    assert_eq!((gap.from, gap.to), (Some(from), house.now()));
}

#[tokio::test(start_paused = true)]
async fn one_that_stood_still_behind_another_that_died_meanwhile_names_what_neither_saw() {
    let (house, mut source) = (House::new(), source());
    let [mut a, mut b] = settled(&house, &mut source).await;
    assert_eq!(wait(&mut b, 7).await, Some(Told::Rebased));
    b.tell(&source).await;
    drop(b);
    let from = house.store.root().looked_at;
    seconds(100).await;
    source.grow("web");
    a.tell(&source).await;
    let words = house.store.words();
    assert_eq!(
        words[words.len() - 2..],
        ["8 gap adapter_down resync", "9 restarted web resync"]
    );
    let stream = house.store.stream.lock().unwrap();
    let gap = stream.events.last().unwrap();
    assert_eq!(
        stream.events[stream.events.len() - 2]
            .gap
            .clone()
            .unwrap()
            .from,
        Some(from),
        "{gap:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_that_was_out_of_sight_while_the_broker_was_away_is_no_adapter_that_was_down() {
    let (house, mut source) = (House::new(), source());
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    let from = house.now();
    house.store.set_online(false);
    for _ in 0..10 {
        seconds(2).await;
        a.fail().await.unwrap();
    }
    house.store.set_online(true);
    source.grow("web");
    a.tell(&source).await;
    let words = house.store.words();
    assert_eq!(
        words[3..],
        ["4 gap source_unreachable resync", "5 restarted web resync"]
    );
    let stream = house.store.stream.lock().unwrap();
    assert_eq!(stream.events[3].gap.clone().unwrap().from, Some(from));
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_sees_an_older_head_without_a_part_begins_anew() {
    let (house, mut source) = (House::new(), source());
    let [mut a, mut b] = settled(&house, &mut source).await;
    let (root, _, events) = house.store.stream.lock().unwrap().backup();
    source.grow("web");
    a.tell(&source).await;
    assert_eq!(wait(&mut b, 1).await, None);
    drop(a);
    let journal = house.store.root().journal;
    house
        .store
        .stream
        .lock()
        .unwrap()
        .restore((root, std::collections::BTreeMap::new(), events));
    assert_eq!(wait(&mut b, 1).await, Some(Told::Rebased));
    b.tell(&source).await;
    assert_ne!(house.store.root().journal, journal);
    let words = house.store.words();
    assert_eq!(words[6], "1 gap stream_lost resync", "{words:?}");
}
