//! What stands in the head after each look.

use crate::adapter::settings::Notice;
use crate::observation::outlet::Outlet;

use super::house::{House, Told, seconds};
use super::store::Fault;
use super::toy::{EPOCH, Source};

fn source() -> Source {
    Source::new(&[("api", 1), ("web", 1)])
}

#[tokio::test(start_paused = true)]
async fn the_first_look_ever_tells_connected_and_then_what_is_there() {
    let house = House::new();
    let mut a = house.watcher("a").await;
    a.tell(&source()).await;
    assert_eq!(
        house.store.words(),
        [
            "1 connected initial",
            "2 restarted api initial",
            "3 restarted web initial"
        ]
    );
    let root = house.store.root();
    assert_eq!((root.seq, root.connected, &*root.epoch), (3, true, EPOCH));
    assert_eq!(root.looked_at, house.now());
}

#[tokio::test(start_paused = true)]
async fn a_first_look_that_finds_nothing_makes_a_head() {
    let house = House::new();
    let mut a = house.watcher("a").await;
    a.tell(&Source::new(&[])).await;
    assert_eq!(house.store.words(), ["1 connected initial"]);
    let b = house.watcher("b").await;
    assert_eq!(b.state.unwrap().rows.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_changes_nothing_commits_nothing_until_the_refresh_is_due() {
    let house = House::new();
    let mut a = house.watcher("a").await;
    let source = source();
    a.tell(&source).await;
    let began = house.store.root().looked_at;
    for _ in 0..4 {
        seconds(2).await;
        a.tell(&source).await;
    }
    assert_eq!(
        (house.store.commits(), house.store.root().looked_at),
        (1, began)
    );
    seconds(2).await;
    a.tell(&source).await;
    assert_eq!(
        (house.store.commits(), house.store.root().looked_at),
        (2, house.now())
    );
    assert!(a.notices().contains(&Notice::Refreshed));
    assert_eq!(house.store.root().seq, 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_event_but_must_survive_goes_with_the_refresh() {
    let house = House::new();
    let mut a = house.watcher("a").await;
    let source = source();
    a.tell(&source).await;
    a.state
        .as_mut()
        .unwrap()
        .rows
        .get_mut("api")
        .unwrap()
        .memory = 7;
    seconds(10).await;
    a.tell(&source).await;
    let b = house.watcher("b").await;
    assert_eq!(b.state.unwrap().rows["api"].memory, 7);
}

#[tokio::test(start_paused = true)]
async fn an_orderly_end_refreshes_the_root() {
    let house = House::new();
    let mut a = house.watcher("a").await;
    let source = source();
    a.tell(&source).await;
    seconds(4).await;
    a.tell(&source).await;
    a.committer.close().await.unwrap();
    assert_eq!(house.store.root().looked_at, house.now());
    assert_eq!(house.store.commits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_somebody_else_wrote_again_is_not_named_by_its_old_place() {
    let house = House::new();
    let (mut a, source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let mut b = house.watcher("b").await;
    b.tell(&source).await;
    b.state
        .as_mut()
        .unwrap()
        .rows
        .get_mut("api")
        .unwrap()
        .memory = 9;
    seconds(10).await;
    b.tell(&source).await;
    seconds(10).await;
    a.tell(&source).await;
    assert!(
        house
            .store
            .stream
            .lock()
            .unwrap()
            .head()
            .unwrap()
            .shards
            .is_some()
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_shard_is_written_again_from_memory_while_the_root_is_ours() {
    let house = House::new();
    let (mut a, source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    house.store.stream.lock().unwrap().shards.clear();
    house.store.refresh(|_| ());
    seconds(10).await;
    assert_eq!(a.look(&source).await.unwrap(), Told::Taken);
    let b = house.watcher("b").await;
    assert_eq!(b.state.unwrap().rows.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_large_delta_goes_in_parts_and_each_part_leaves_a_true_head() {
    let house = House::new();
    let names: Vec<_> = (0..2500).map(|i| format!("p{i:04}")).collect();
    let values: Vec<_> = names.iter().map(|name| (&**name, 1)).collect();
    let mut source = Source::new(&values);
    source.padding = 300;
    let mut a = house.watcher("a").await;
    // The second part is lost with the adapter.
    house.store.faults([Fault::Ok, Fault::UnknownLost]);
    a.look(&source).await.unwrap();
    drop(a);
    let mut b = house.watcher("a").await;
    let rows = b.state.as_ref().unwrap().rows.len();
    assert!(rows > 900 && rows < 990, "{rows}");
    b.tell(&source).await;
    let stream = house.store.stream.lock().unwrap();
    stream.check();
    assert_eq!(stream.events.len(), 2501);
    assert!(stream.most_messages > 900);
    assert!(stream.shards.len() > 4 && stream.shards.len().is_power_of_two());
    assert!(
        stream
            .shards
            .values()
            .all(|(_, text)| text.len() <= 128_000)
    );
}

#[tokio::test(start_paused = true)]
async fn only_the_shards_that_changed_are_written() {
    let house = House::new();
    let names: Vec<_> = (0..800).map(|i| format!("p{i:04}")).collect();
    let values: Vec<_> = names.iter().map(|name| (&**name, 1)).collect();
    let mut source = Source::new(&values);
    source.padding = 1000;
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    a.notices();
    source.grow("p0007");
    a.tell(&source).await;
    let notices = a.notices();
    assert!(
        matches!(
            notices[..],
            [Notice::Committed {
                messages: 3,
                events: 1,
                ..
            }]
        ),
        "{notices:?}"
    );
    seconds(6 * 3600).await;
    source.grow("p0007");
    a.tell(&source).await;
    assert!(
        house
            .store
            .stream
            .lock()
            .unwrap()
            .head()
            .unwrap()
            .shards
            .is_some()
    );
    let notices = a.notices();
    assert!(
        matches!(
            notices[..],
            [
                Notice::GapTold { .. },
                Notice::Committed { messages: 5.., .. }
            ]
        ),
        "{notices:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_gone_leaves_the_head() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    source.values.remove("web");
    source.grow("api");
    a.tell(&source).await;
    let b = house.watcher("b").await;
    assert_eq!(
        b.state.unwrap().rows.into_keys().collect::<Vec<_>>(),
        ["api"]
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_part_the_head_does_not_claim_the_look_of_the_whole() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let last_look = house.now();
    seconds(5).await;
    for number in 0..1500 {
        source.grow(&format!("p{number}"));
    }
    house.store.faults([Fault::Ok, Fault::UnknownLost]);
    a.look(&source).await.unwrap();
    assert_eq!(house.store.commits(), 2);
    assert_eq!(house.store.root().looked_at, last_look);
    a.tell(&source).await;
    assert_eq!(house.store.root().looked_at, house.now());
}

#[tokio::test(start_paused = true)]
async fn shards_of_unknown_age_are_written_with_the_first_commit() {
    let house = House::new();
    let names: Vec<_> = (0..300).map(|i| format!("p{i:04}")).collect();
    let values: Vec<_> = names.iter().map(|name| (&**name, 1)).collect();
    let mut source = Source::new(&values);
    source.padding = 1000;
    house.watcher("a").await.tell(&source).await;
    let shards = house.store.root().shards.len();
    let mut a = house.watcher("a").await;
    for messages in [shards + 2, 3] {
        source.grow("p0007");
        a.tell(&source).await;
        let notices = a.notices();
        let Some(Notice::Committed {
            messages: found, ..
        }) = notices.last()
        else {
            panic!("{notices:?}")
        };
        assert_eq!(*found, messages);
    }
    assert!(shards > 2);
}

#[tokio::test(start_paused = true)]
async fn one_odd_row_does_not_multiply_the_shards() {
    let house = House::new();
    let mut source = Source::new(&[("odd", 1)]);
    source.padding = 300_000;
    house.watcher("a").await.tell(&source).await;
    assert_eq!(house.store.root().shards.len(), 1);
}
