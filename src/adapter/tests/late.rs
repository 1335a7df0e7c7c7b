//! Beginning while the broker is away and nothing waits on the disk.

use crate::adapter::error::AdapterError;
use crate::adapter::settings::Notice;
use crate::adapter::start::Beginning;

use super::house::{House, Told, seconds};
use super::toy::{EPOCH, LATER, Source};

fn source() -> Source {
    Source::new(&[("api", 1), ("web", 1)])
}

#[tokio::test(start_paused = true)]
async fn the_first_look_ever_is_told_as_such_when_the_broker_comes() {
    let (house, mut source) = (House::new(), source());
    house.store.set_online(false);
    let mut a = house.start_late("a", None);
    assert_eq!((&a.beginning, &a.state), (&Beginning::Blind, &None));
    for _ in 0..5 {
        assert_eq!(a.look(&source).await.unwrap(), Told::Taken);
        source.grow("api");
        seconds(2).await;
    }
    house.store.set_online(true);
    assert_eq!(a.look(&source).await.unwrap(), Told::Rebased);
    a.tell(&source).await;
    let wanted = [
        "1 connected initial",
        "2 restarted api initial",
        "3 restarted web initial",
    ];
    assert_eq!(house.store.words(), wanted);
    assert!(a.notices().contains(&Notice::BrokerBack { replayed: 0 }));
}

#[tokio::test(start_paused = true)]
async fn what_differs_from_the_head_is_told_when_it_can_be_read() {
    let (house, mut source) = (House::new(), source());
    house.watcher("a").await.tell(&source).await;
    house.store.set_online(false);
    seconds(60).await;
    let mut a = house.start_late("a", None);
    for _ in 0..3 {
        source.grow("api");
        a.tell(&source).await;
    }
    house.store.set_online(true);
    a.tell(&source).await;
    let words = house.store.words();
    assert_eq!(
        words[3..],
        ["4 gap adapter_down resync", "5 restarted api resync"]
    );
    house.store.stream.lock().unwrap().check();
}

#[tokio::test(start_paused = true)]
async fn another_server_of_the_name_is_refused_once_it_has_lasted() {
    let house = House::new();
    let mut b = house.watcher("b").await;
    b.tell(&source()).await;
    house.store.set_online(false);
    let mut a = house.start_late("a", None);
    let mut other = source();
    other.epoch = LATER;
    a.tell(&other).await;
    house.store.set_online(true);
    other.grow("api");
    let mut waited = 0;
    let error = loop {
        b.tell(&source()).await;
        match a.look(&other).await {
            Ok(told) => assert_eq!(told, Told::Taken, "looked again first"),
            Err(error) => break error,
        }
        seconds(2).await;
        waited += 2;
        assert!(waited < 60, "never refused");
    };
    assert!(matches!(error, AdapterError::OtherServer { .. }), "{error}");
    assert!(waited >= 14, "a server begun again would be told by now");
    // One that had only begun a new run, and then is the same as the head says, is none.
    let mut c = house.start_late("c", None);
    assert_eq!(c.look(&other).await.unwrap(), Told::Taken);
    other.epoch = EPOCH;
    assert_eq!(c.look(&other).await.unwrap(), Told::Rebased);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_leaves_meanwhile_is_said_and_not_told() {
    let (house, source) = (House::new(), source());
    house.store.set_online(false);
    let mut a = house.start_late("a", None);
    a.tell(&source).await;
    for _ in 0..9 {
        seconds(2).await;
        a.fail().await.unwrap();
    }
    let said = |n: &Notice| matches!(n, Notice::SourceAway { .. });
    assert_eq!(a.notices().iter().filter(|n| said(n)).count(), 1);
    house.store.set_online(true);
    a.tell(&source).await;
    assert_eq!(house.store.words().len(), 3);
}
