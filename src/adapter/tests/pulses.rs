//! What an adapter shows of itself, and who hears of what the broker has.

use std::sync::Arc;
use std::time::Duration;

use crate::adapter::pulse::{Doing, Pulse, Rejection};

use super::house::{House, Told, Watcher, seconds};
use super::store::Fault;
use super::toy::Source;

fn source() -> Source {
    Source::new(&[("api", 1), ("web", 1)])
}

fn pulse(watcher: &Watcher) -> Arc<Pulse> {
    Arc::clone(&watcher.seen.lock().unwrap().pulse)
}

fn heard(watcher: &Watcher) -> Vec<String> {
    let seen = watcher.seen.lock().unwrap();
    let last = |id: &String| id.rsplit('.').next().unwrap().to_owned();
    seen.told.iter().map(last).collect()
}

#[tokio::test(start_paused = true)]
async fn what_the_broker_has_is_heard_of_once_and_nothing_else_is() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    assert_eq!(heard(&a), ["1", "2", "3"]);
    house.store.faults([Fault::UnknownStored]);
    source.grow("api");
    assert_eq!(a.look(&source).await.unwrap(), Told::Taken);
    assert_eq!(heard(&a).len(), 3, "nobody knows yet that it is stored");
    source.grow("web");
    assert_eq!(a.look(&source).await.unwrap(), Told::Taken);
    house.store.set_online(false);
    seconds(2).await;
    source.grow("api");
    assert_eq!(a.look(&source).await.unwrap(), Told::Taken);
    assert_eq!(heard(&a), ["1", "2", "3", "4", "5"]);
    house.store.set_online(true);
    seconds(2).await;
    a.tell(&source).await;
    assert_eq!(heard(&a), ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(house.store.words().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn commits_and_those_that_came_to_nothing_are_counted_apart() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    let pulse = pulse(&a);
    assert_eq!(
        (pulse.doing(), pulse.since_beat()),
        (Doing::Beginning, None)
    );
    a.tell(&source).await;
    assert_eq!((pulse.commits(), pulse.refreshes()), (1, 0));
    house.store.refresh(|_| ());
    source.grow("api");
    a.tell(&source).await;
    assert_eq!((pulse.commits(), pulse.rejected(Rejection::Fenced)), (2, 1));
    house.store.faults([Fault::UnknownStored]);
    source.grow("api");
    a.tell(&source).await;
    assert_eq!(pulse.rejected(Rejection::Unanswered), 1);
    for _ in 0..2 {
        seconds(11).await;
        a.tell(&source).await;
    }
    assert_eq!((pulse.doing(), pulse.has_broker()), (Doing::Telling, true));
    assert_eq!(pulse.refreshes(), 1);
    assert_eq!(pulse.head_at(), Some(house.now()));
    seconds(3).await;
    assert_eq!(pulse.since_beat(), Some(Duration::from_secs(3)));
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_shown_with_what_it_takes_up_on_the_disk() {
    let house = House::with_spool();
    let (mut a, mut source) = (house.watcher("a").await, source());
    let pulse = pulse(&a);
    a.tell(&source).await;
    house.store.set_online(false);
    seconds(2).await;
    source.grow("api");
    a.tell(&source).await;
    assert_eq!((pulse.doing(), pulse.has_broker()), (Doing::Waiting, false));
    assert_eq!(pulse.waiting(), 1);
    let on_disk = std::fs::metadata(house.spool_file("a")).unwrap().len();
    assert_eq!(pulse.spool_bytes(), on_disk);
    house.store.set_online(true);
    seconds(2).await;
    a.tell(&source).await;
    assert_eq!((pulse.waiting(), pulse.spool_bytes()), (0, 0));
    assert_eq!(pulse.doing(), Doing::Telling);
}

#[tokio::test(start_paused = true)]
async fn one_that_stands_by_or_is_blind_says_so() {
    let (house, mut source) = (House::new(), source());
    let mut both = [house.watcher("a").await, house.watcher("b").await];
    for _ in 0..4 {
        for watcher in &mut both {
            watcher.tell(&source).await;
        }
        seconds(2).await;
        source.grow("api");
    }
    let shown = both.each_ref().map(|watcher| pulse(watcher).doing());
    assert_eq!(shown, [Doing::Telling, Doing::StandingBy]);
    seconds(11).await;
    both[0].tell(&source).await;
    both[1].ask().await.unwrap();
    assert_eq!(
        pulse(&both[1]).head_at(),
        Some(house.now()),
        "that of the other one"
    );
    house.store.set_online(false);
    both[1].ask().await.unwrap();
    let late = pulse(&both[1]);
    assert_eq!(
        (late.doing(), late.has_broker()),
        (Doing::StandingBy, false)
    );
    let mut blind = house.start_late("c", None);
    blind.look(&source).await.unwrap();
    assert_eq!(pulse(&blind).doing(), Doing::Blind);
}
