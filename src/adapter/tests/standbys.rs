//! Several adapters on one source: who looks, who stands by, and who takes over.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::adapter::error::AdapterError;
use crate::adapter::settings::Notice;
use crate::observation::outlet::Outlet as _;

use super::house::{House, Told, Watcher, seconds};
use super::store::Fault;
use super::toy::{LATER, Source};

fn source() -> Source {
    Source::new(&[("api", 1), ("web", 1)])
}

/// The second of two adapters has lost so often that it stands by.
pub(super) async fn settled(house: &House, source: &mut Source) -> [Watcher; 2] {
    let mut both = [house.watcher("a").await, house.watcher("b").await];
    for watcher in &mut both {
        watcher.tell(source).await;
    }
    for _ in 0..3 {
        assert_eq!(both[1].held, None);
        seconds(2).await;
        source.grow("api");
        for watcher in &mut both {
            watcher.tell(source).await;
        }
    }
    assert!(both[1].held.is_some() && both[0].held.is_none());
    both
}

/// Asks so many times, an interval between them.
pub(super) async fn wait(watcher: &mut Watcher, times: u32) -> Option<Told> {
    for _ in 0..times {
        seconds(2).await;
        let told = watcher.ask().await.unwrap();
        if told != Told::Held {
            return Some(told);
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn whoever_is_too_late_three_times_stands_by_and_says_so_once() {
    let (house, mut source) = (House::new(), source());
    let [mut a, mut b] = settled(&house, &mut source).await;
    let stands_by = Notice::StandingBy { owner: "a".into() };
    let said = b.notices();
    assert_eq!(said.iter().filter(|n| **n == stands_by).count(), 1);
    assert_eq!(house.store.words().len(), 6);
    let reads = house.store.read_calls.load(Ordering::SeqCst);
    for _ in 0..30 {
        seconds(2).await;
        a.tell(&source).await;
        assert_eq!(b.ask().await.unwrap(), Told::Held);
    }
    assert_eq!(b.notices(), [], "silence while all is well");
    assert_eq!(house.store.read_calls.load(Ordering::SeqCst), reads);
    assert_eq!(house.store.root_calls.load(Ordering::SeqCst), 30);
    assert_eq!(house.store.words().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_changes_the_one_that_refreshes_looks_alone_in_the_end() {
    let (house, source) = (House::new(), source());
    let mut both = [house.watcher("a").await, house.watcher("b").await];
    for _ in 0..20 {
        for watcher in &mut both {
            if watcher.held.is_none() {
                watcher.tell(&source).await;
            }
        }
        seconds(2).await;
    }
    // The first look of the second one wrote the root last.
    assert_eq!(both.each_ref().map(|w| w.held.is_some()), [true, false]);
    assert_eq!(house.store.root().adapter, "b");
    assert_eq!(house.store.commits(), 5, "no refresh was made twice");
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_our_own_between_the_losses_counts_them_anew() {
    let (house, mut source) = (House::new(), source());
    let mut both = [house.watcher("a").await, house.watcher("b").await];
    for first in [0, 0, 1, 0, 0, 1, 1, 0, 0] {
        source.grow("api");
        both[first].tell(&source).await;
        both[1 - first].tell(&source).await;
        assert!(both.iter().all(|watcher| watcher.held.is_none()));
    }
    source.grow("api");
    both[0].tell(&source).await;
    both[1].tell(&source).await;
    assert!(both[1].held.is_some());
    house.store.stream.lock().unwrap().check();
}

#[tokio::test(start_paused = true)]
async fn a_root_that_stands_still_is_taken_over_with_a_gap() {
    let (house, mut source) = (House::new(), source());
    let [a, mut b] = settled(&house, &mut source).await;
    b.notices();
    drop(a);
    let looked_at = house.store.root().looked_at;
    source.grow("web");
    assert_eq!(wait(&mut b, 6).await, None);
    assert_eq!(wait(&mut b, 1).await, Some(Told::Rebased), "after 14 s");
    b.tell(&source).await;
    let words = house.store.words();
    assert_eq!(
        words[6..],
        ["7 gap adapter_down resync", "8 restarted web resync"]
    );
    let stream = house.store.stream.lock().unwrap();
    let gap = stream.events[6].gap.clone().unwrap();
    assert_eq!((gap.from, gap.to), (Some(looked_at), house.now()));
    stream.check();
    let still = Duration::from_secs(14);
    let from = "a".to_owned();
    assert!(b.notices().contains(&Notice::TookOver { from, still }));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_was_away_gives_the_one_that_looked_time_to_tell() {
    let (house, mut source) = (House::new(), source());
    let [mut a, mut b] = settled(&house, &mut source).await;
    house.store.set_online(false);
    source.grow("web");
    a.tell(&source).await;
    for _ in 0..20 {
        assert_eq!(wait(&mut b, 1).await, None);
        a.tell(&source).await;
    }
    house.store.set_online(true);
    assert_eq!(wait(&mut b, 6).await, None, "the clock began anew");
    a.tell(&source).await;
    assert_eq!(wait(&mut b, 7).await, None);
    let words = house.store.words();
    assert_eq!(words[6..], ["7 restarted web change"]);
    let lines: Vec<_> = b.notices();
    let away = |n: &&Notice| matches!(n, Notice::BrokerAway { .. } | Notice::BrokerBack { .. });
    assert_eq!(lines.iter().filter(away).count(), 2, "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_broke_between_two_questions_starts_the_clock_anew() {
    let (house, mut source) = (House::new(), source());
    let [_a, mut b] = settled(&house, &mut source).await;
    assert_eq!(wait(&mut b, 6).await, None);
    house.store.set_online(false);
    house.store.set_online(true);
    assert_eq!(wait(&mut b, 6).await, None);
    assert_eq!(wait(&mut b, 2).await, Some(Told::Rebased));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_gone_ends_the_standby_of_everybody() {
    let (house, mut source) = (House::new(), source());
    let [mut a, mut b] = settled(&house, &mut source).await;
    b.notices();
    house.store.stream.lock().unwrap().gone = true;
    seconds(2).await;
    assert_eq!(b.ask().await.unwrap(), Told::Rebased);
    assert!(b.notices().contains(&Notice::LooksAgain));
    source.grow("api");
    for watcher in [&mut a, &mut b] {
        watcher.tell(&source).await;
        watcher.tell(&source).await;
    }
    let words = house.store.words();
    assert_eq!(words, ["1 gap stream_lost resync"], "by one of the two");
    source.grow("api");
    b.tell(&source).await;
    a.tell(&source).await;
    assert_eq!(house.store.words()[1..], ["2 restarted api change"]);
}

#[tokio::test(start_paused = true)]
async fn another_project_under_our_name_is_refused_while_standing_by() {
    let (house, mut source) = (House::new(), source());
    let [_a, mut b] = settled(&house, &mut source).await;
    house
        .store
        .refresh(|root| root.identity.project = "mall".into());
    let error = b.ask().await.unwrap_err();
    let AdapterError::OtherServer { line, .. } = error else {
        panic!("{error}")
    };
    assert!(line.contains("mall") && line.contains("shop"), "{line}");
}

#[tokio::test(start_paused = true)]
async fn an_epoch_we_have_not_seen_makes_us_look_for_ourselves() {
    let (house, mut source) = (House::new(), source());
    let [_a, mut b] = settled(&house, &mut source).await;
    house.store.refresh(|root| {
        root.epoch = LATER.into();
        root.seq += 1;
    });
    assert_eq!(b.ask().await.unwrap(), Told::Rebased);
    // Our own server has the older one, twice: it is another server.
    assert_eq!(b.look(&source).await.unwrap(), Told::Rebased);
    assert!(matches!(
        b.look(&source).await,
        Err(AdapterError::OtherServer { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_root_that_bears_our_own_name_makes_us_look_again_from_the_head() {
    let (house, mut source) = (House::new(), source());
    let [_a, mut b] = settled(&house, &mut source).await;
    house.store.refresh(|root| root.adapter = "b".into());
    assert_eq!(b.ask().await.unwrap(), Told::Rebased);
    assert_eq!(b.state.as_ref().unwrap().rows["api"].value, 4);
    b.tell(&source).await;
    assert_eq!(house.store.words().len(), 6);
    house.store.stream.lock().unwrap().check();
}

#[tokio::test(start_paused = true)]
async fn what_only_we_can_tell_is_told_before_we_stand_by() {
    let (house, mut source) = (House::new(), source());
    let mut both = [house.watcher("a").await, house.watcher("b").await];
    // The first look of the second one writes the root.
    for round in 0..4 {
        if round == 3 {
            house.store.set_online(false);
            for _ in 0..2 {
                source.grow("api");
                both[1].tell(&source).await;
            }
            both[0].tell(&source).await;
            house.store.set_online(true);
        }
        source.grow("web");
        both[0].tell(&source).await;
        both[1].tell(&source).await;
    }
    assert!(both[1].held.is_none());
    let words = house.store.words();
    assert!(
        words.last().unwrap().contains("gap superseded"),
        "{words:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_of_one_that_stands_by_writes_nothing() {
    let (house, mut source) = (House::new(), source());
    let [_a, mut b] = settled(&house, &mut source).await;
    seconds(60).await;
    let commits = house.store.commits();
    b.committer.close().await.unwrap();
    assert_eq!(house.store.commits(), commits);
}

#[tokio::test(start_paused = true)]
async fn after_a_return_of_the_broker_net_differences_wait_for_what_others_observed() {
    let (house, mut source) = (House::new(), source());
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    house.store.set_online(false);
    for _ in 0..20 {
        seconds(2).await;
        source.grow("api");
        a.tell(&source).await;
    }
    house.store.set_online(true);
    // Begun after the return: it has seen nothing of it.
    let mut b = house.watcher("b").await;
    for _ in 0..3 {
        b.tell(&source).await;
        seconds(2).await;
    }
    assert_eq!(house.store.words().len(), 3);
    a.tell(&source).await;
    assert_eq!(b.look(&source).await.unwrap(), Told::Rebased);
    b.tell(&source).await;
    let words = house.store.words();
    assert_eq!(words.len(), 23, "{words:?}");
    assert!(words.iter().all(|word| !word.contains("gap")), "{words:?}");
    source.grow("api");
    b.tell(&source).await;
    assert_eq!(house.store.words().len(), 24, "nothing waits any more");
    house.store.stream.lock().unwrap().check();
}

#[tokio::test(start_paused = true)]
async fn after_a_return_of_the_broker_one_waits_no_longer_than_a_root_takes_to_be_stale() {
    let (house, mut source) = (House::new(), source());
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    house.store.set_online(false);
    drop(a);
    seconds(60).await;
    house.store.set_online(true);
    let mut b = house.watcher("b").await;
    source.grow("api");
    for _ in 0..7 {
        b.tell(&source).await;
        assert_eq!(house.store.words().len(), 3);
        seconds(2).await;
    }
    b.tell(&source).await;
    let words = house.store.words();
    assert_eq!(
        words[3..],
        ["4 gap adapter_down resync", "5 restarted api resync"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_head_of_our_own_is_moved_at_once_after_a_return_of_the_broker() {
    let (house, mut source) = (House::new(), source());
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    house.store.set_online(false);
    a.tell(&source).await;
    house.store.set_online(true);
    source.grow("api");
    a.tell(&source).await;
    assert_eq!(house.store.words().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_while_standing_by_is_no_reason_to_take_over() {
    let (house, mut source) = (House::new(), source());
    let [_a, mut b] = settled(&house, &mut source).await;
    for _ in 0..10 {
        assert_eq!(wait(&mut b, 5).await, None);
        house
            .store
            .reads
            .lock()
            .unwrap()
            .push_back(Fault::UnknownLost);
        assert_eq!(wait(&mut b, 1).await, None);
    }
    assert_eq!(wait(&mut b, 9).await, Some(Told::Rebased));
}
