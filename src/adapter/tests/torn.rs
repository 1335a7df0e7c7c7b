//! A head whose commit the broker stored in part: whose business it is, and from when on nothing is certain.

use chrono::{DateTime, Utc};

use crate::adapter::error::AdapterErrorKind;
use crate::adapter::start::Beginning;

use super::house::{House, Told, seconds};
use super::toy::{EPOCH, Source};

fn source() -> Source {
    Source::new(&[("api", 1), ("web", 1)])
}

/// What a tells with a look between, and then dies of, while the broker keeps the root and the rows but not the last
/// event. Gives the source and the time of the last look that is whole.
async fn torn(house: &House) -> (Source, DateTime<Utc>) {
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let whole = house.store.root().looked_at;
    seconds(3).await;
    source.grow("api");
    source.grow("web");
    a.tell(&source).await;
    let mut stream = house.store.stream.lock().unwrap();
    stream.events.pop();
    stream.is_torn = true;
    (source, whole)
}

fn gap(house: &House, at: usize) -> (Option<DateTime<Utc>>, DateTime<Utc>) {
    let stream = house.store.stream.lock().unwrap();
    let gap = stream.events[at].gap.clone().unwrap();
    (gap.from, gap.to)
}

#[tokio::test(start_paused = true)]
async fn a_successor_tells_from_when_on_something_is_missing_and_gives_no_number_again() {
    let house = House::new();
    let (mut source, whole) = torn(&house).await;
    let journal = house.store.root().journal;
    let mut a = house.watcher("a").await;
    let Beginning::Resume { rolled_back, .. } = a.beginning else {
        panic!("{:?}", a.beginning)
    };
    assert!(rolled_back && a.state.as_ref().unwrap().resync);
    source.grow("web");
    a.tell(&source).await;
    assert_eq!(
        house.store.words()[4..],
        ["1 gap rolled_back resync", "2 restarted web resync"]
    );
    assert_eq!(gap(&house, 4), (Some(whole), house.now()));
    assert_ne!(house.store.root().journal, journal);
}

#[tokio::test(start_paused = true)]
async fn a_successor_whose_rows_are_missing_too_begins_anew_from_before_the_commit() {
    let house = House::new();
    let (source, whole) = torn(&house).await;
    house.store.stream.lock().unwrap().shards.clear();
    let mut a = house.watcher("a").await;
    assert_eq!(a.beginning, Beginning::Invalid { why: "stream_lost" });
    a.tell(&source).await;
    assert_eq!(house.store.words()[4..], ["1 gap stream_lost resync"]);
    assert_eq!(gap(&house, 4).0, Some(whole));
}

#[tokio::test(start_paused = true)]
async fn another_adapter_waits_while_whoever_sent_it_may_bring_the_rest() {
    let house = House::new();
    torn(&house).await;
    let waits = house.start("b", None, EPOCH).await.unwrap_err();
    assert_eq!(waits.kind(), AdapterErrorKind::Transient);
    seconds(14).await;
    let b = house.start("b", None, EPOCH).await.unwrap();
    assert!(matches!(
        b.beginning,
        Beginning::Resume {
            rolled_back: true,
            ..
        }
    ));
}

#[tokio::test(start_paused = true)]
async fn a_rival_waits_too_and_goes_on_once_the_rest_is_there() {
    let house = House::new();
    let mut b = house.watcher("b").await;
    b.tell(&source()).await;
    let (mut source, _) = torn(&house).await;
    assert_eq!(b.look(&source).await.unwrap(), Told::Taken);
    let told = house.store.words().len();
    seconds(1).await;
    b.look(&source).await.unwrap();
    assert_eq!(house.store.words().len(), told);
    house.store.stream.lock().unwrap().is_torn = false;
    b.tell(&source).await;
    source.grow("api");
    b.tell(&source).await;
    assert_eq!(
        house.store.words()[told..],
        ["6 restarted api change"],
        "in the same journal"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rival_goes_on_from_a_torn_head_whose_adapter_is_gone() {
    let house = House::new();
    let mut b = house.watcher("b").await;
    b.tell(&source()).await;
    let whole = house.store.root().looked_at;
    let (source, _) = torn(&house).await;
    b.look(&source).await.unwrap();
    let told = house.store.words().len();
    seconds(14).await;
    b.tell(&source).await;
    assert_eq!(house.store.words()[told..], ["1 gap rolled_back resync"]);
    assert_eq!(gap(&house, told).0, Some(whole));
}
