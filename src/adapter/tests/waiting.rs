//! What waits for the broker, what is given up, and what is lost with the broker.

use std::sync::atomic::Ordering;

use crate::adapter::gap::{self, Owed};
use crate::adapter::settings::Notice;
use crate::event::payload::Kind;
use crate::observation::outlet::Outlet as _;

use super::house::{House, Told, seconds};
use super::toy::Source;

fn source() -> Source {
    Source::new(&[("api", 1), ("web", 1)])
}

#[tokio::test(start_paused = true)]
async fn deltas_that_wait_go_in_order_and_in_one_batch_when_the_broker_is_back() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    house.store.set_online(false);
    for key in ["api", "web", "api", "new"] {
        seconds(2).await;
        source.grow(key);
        assert_eq!(a.look(&source).await.unwrap(), Told::Taken);
    }
    assert_eq!(house.store.commit_calls.load(Ordering::SeqCst), 1);
    house.store.set_online(true);
    seconds(2).await;
    a.tell(&source).await;
    let words = house.store.words();
    let wanted = [
        "4 restarted api",
        "5 restarted web",
        "6 restarted api",
        "7 restarted new",
    ];
    assert_eq!(words[3..], wanted.map(|word| format!("{word} change")));
    assert_eq!(house.store.commits(), 2);
    let notices = a.notices();
    assert!(
        notices.contains(&Notice::BrokerBack { replayed: 4 }),
        "{notices:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_dropped_with_a_gap_when_somebody_else_told_meanwhile() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let mut b = house.watcher("b").await;
    b.tell(&source).await;
    house.store.set_online(false);
    source.grow("web");
    a.tell(&source).await;
    let from = house.now();
    let mut to = from;
    for _ in 0..2 {
        seconds(2).await;
        source.grow("api");
        a.tell(&source).await;
        to = house.now();
    }
    // All of it is one difference to the other one.
    b.tell(&source).await;
    house.store.set_online(true);
    b.tell(&source).await;
    assert_eq!(a.look(&source).await.unwrap(), Told::Rebased);
    a.tell(&source).await;
    let words = house.store.words();
    assert_eq!(
        words[3..5],
        ["4 restarted api change", "5 restarted web change"]
    );
    assert_eq!(words[5..], ["6 gap superseded change"]);
    let stream = house.store.stream.lock().unwrap();
    let gap = stream.events.last().unwrap().gap.clone().unwrap();
    // `web` was told by the other one as fully as by us.
    assert_eq!((gap.from, gap.to, gap.events), (Some(from), to, Some(2)));
    stream.check();
}

#[tokio::test(start_paused = true)]
async fn what_another_adapter_told_as_fully_is_no_gap_when_ours_is_dropped() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let mut b = house.watcher("b").await;
    b.tell(&source).await;
    house.store.set_online(false);
    for key in ["api", "web", "api"] {
        seconds(2).await;
        source.grow(key);
        a.tell(&source).await;
        b.tell(&source).await;
    }
    house.store.set_online(true);
    b.tell(&source).await;
    assert_eq!(a.look(&source).await.unwrap(), Told::Rebased);
    a.tell(&source).await;
    let words = house.store.words();
    assert_eq!(words.len(), 6, "{words:?}");
    assert!(!words.concat().contains("gap"), "{words:?}");
    house.store.stream.lock().unwrap().check();
}

#[tokio::test(start_paused = true)]
async fn a_row_that_another_adapter_never_saw_is_covered_by_nothing() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let mut b = house.watcher("b").await;
    b.tell(&source).await;
    house.store.set_online(false);
    for key in ["web", "new"] {
        source.grow(key);
        a.tell(&source).await;
    }
    source.values.remove("new");
    b.tell(&source).await;
    house.store.set_online(true);
    b.tell(&source).await;
    a.tell(&source).await;
    let stream = house.store.stream.lock().unwrap();
    let gap = stream.events.last().unwrap().gap.clone().unwrap();
    assert_eq!((&*gap.why, gap.events), ("superseded", Some(1)));
    stream.check();
}

#[tokio::test(start_paused = true)]
async fn a_full_memory_collapses_to_the_net_difference_and_a_gap() {
    let mut house = House::new();
    house.pending_bytes = 6_000;
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    house.store.set_online(false);
    let mut rebased = 0;
    for _ in 0..100 {
        source.grow("api");
        rebased += u32::from(a.look(&source).await.unwrap() == Told::Rebased);
    }
    assert!(rebased > 2, "{rebased}");
    house.store.set_online(true);
    a.tell(&source).await;
    let words = house.store.words();
    assert_eq!(words[3], "4 gap spool_full resync");
    assert_eq!(words[4], "5 restarted api resync");
    assert!(words.len() < 20, "{words:?}");
    let stream = house.store.stream.lock().unwrap();
    let gaps: Vec<_> = stream
        .events
        .iter()
        .filter_map(|e| e.gap.as_ref())
        .collect();
    assert_eq!(gaps.len(), 1);
    assert!(gaps[0].events > Some(50), "{gaps:?}");
    assert_eq!(
        stream
            .events
            .last()
            .unwrap()
            .state
            .as_ref()
            .unwrap()
            .restarts,
        101
    );
    stream.check();
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_gone_is_made_again_with_a_new_journal_and_nothing_is_added() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let journal = house.store.root().journal;
    house.store.stream.lock().unwrap().gone = true;
    source.grow("api");
    assert_eq!(a.look(&source).await.unwrap(), Told::Rebased);
    let state = a.state.as_ref().unwrap();
    assert!(state.first && state.resync && state.rows.is_empty());
    a.tell(&source).await;
    assert_eq!(house.store.words(), ["1 gap stream_lost resync"]);
    assert_ne!(house.store.root().journal, journal);
    source.grow("api");
    a.tell(&source).await;
    assert_eq!(house.store.words()[1], "2 restarted api change");
}

#[tokio::test(start_paused = true)]
async fn a_purged_stream_is_noticed_at_the_next_refresh() {
    let house = House::new();
    let (mut a, source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    {
        let mut stream = house.store.stream.lock().unwrap();
        (stream.root, stream.shards, stream.events) = Default::default();
    }
    seconds(10).await;
    assert_eq!(a.look(&source).await.unwrap(), Told::Rebased);
    a.tell(&source).await;
    assert_eq!(house.store.words(), ["1 gap stream_lost resync"]);
}

#[tokio::test(start_paused = true)]
async fn a_restored_backup_does_not_give_a_number_twice() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let backup = house.store.stream.lock().unwrap().backup();
    source.grow("api");
    a.tell(&source).await;
    house.store.stream.lock().unwrap().restore(backup);
    source.grow("web");
    assert_eq!(a.look(&source).await.unwrap(), Told::Rebased);
    a.tell(&source).await;
    let words = house.store.words();
    assert_eq!(
        words[3..],
        [
            "1 gap rolled_back resync",
            "2 restarted api resync",
            "3 restarted web resync"
        ]
    );
    house.store.stream.lock().unwrap().check();
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_noticed_by_one_who_told_nothing_in_its_journal() {
    for journal in [None, Some("older")] {
        let house = House::new();
        let (mut a, mut source) = (house.watcher("a").await, source());
        a.tell(&source).await;
        let mut b = house.watcher("b").await;
        if journal.is_some() {
            source.grow("web");
        }
        b.tell(&source).await;
        house.store.refresh(|root| match journal {
            None => (root.seq, root.connected) = (1, false),
            Some(older) => {
                root.journal = older.into();
                root.looked_at -= chrono::TimeDelta::hours(1);
            }
        });
        source.grow("api");
        assert_eq!(b.look(&source).await.unwrap(), Told::Rebased);
        b.tell(&source).await;
        let words = house.store.words();
        assert!(
            words.contains(&"1 gap rolled_back resync".to_owned()),
            "{words:?}"
        );
        let stream = house.store.stream.lock().unwrap();
        let mut events = stream.events.iter().rev();
        let again = events.find(|e| e.kind == Kind::Connected).unwrap();
        let wanted = journal.map_or("returned", |_| "first_contact");
        assert_eq!(&*again.reason, wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_description_stays_in_memory_however_full_it_is() {
    let mut house = House::new();
    house.pending_bytes = 1_000;
    let (mut a, mut source) = (house.watcher("a").await, source());
    house.store.set_online(false);
    for _ in 0..9 {
        a.tell(&source).await;
        source.grow("api");
    }
    source.values.remove("web");
    a.tell(&source).await;
    house.store.set_online(true);
    a.tell(&source).await;
    let words = house.store.words();
    let first = [
        "1 connected initial",
        "2 restarted api initial",
        "3 restarted web initial",
    ];
    assert_eq!(words[..3], first);
    assert_eq!(
        words[3..],
        ["4 gap spool_full resync", "5 restarted api resync"]
    );
    house.store.stream.lock().unwrap().check();
    let b = house.watcher("b").await;
    assert_eq!(
        b.state.unwrap().rows.into_keys().collect::<Vec<_>>(),
        ["api"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_return_whose_telling_was_given_up_is_told_once() {
    let mut house = House::new();
    house.pending_bytes = 6_000;
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    for _ in 0..10 {
        seconds(2).await;
        a.fail().await.unwrap();
    }
    house.store.set_online(false);
    for _ in 0..40 {
        source.grow("api");
        a.tell(&source).await;
    }
    house.store.set_online(true);
    a.tell(&source).await;
    let words = house.store.words();
    let count = |part: &str| words.iter().filter(|word| word.contains(part)).count();
    assert_eq!(count("source_unreachable"), 1, "{words:?}");
    assert_eq!(
        (count("spool_full"), count(" connected ")),
        (1, 2),
        "{words:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_orderly_end_right_after_a_backup_was_found_hides_nothing() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let backup = house.store.stream.lock().unwrap().backup();
    source.grow("api");
    a.tell(&source).await;
    house.store.set_online(false);
    seconds(2).await;
    a.tell(&source).await;
    house.store.stream.lock().unwrap().restore(backup);
    house.store.set_online(true);
    assert_eq!(a.look(&source).await.unwrap(), Told::Rebased);
    let found = house.store.root();
    a.committer.close().await.unwrap();
    assert_eq!(house.store.root(), found, "whoever comes next finds it too");
}

#[tokio::test(start_paused = true)]
async fn what_a_damaged_spool_held_is_named_also_by_one_that_was_overtaken() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let mut b = house.watcher("b").await;
    a.committer
        .owed
        .push(Owed::since(Some(house.now()), gap::SPOOL_CORRUPT));
    source.grow("web");
    b.tell(&source).await;
    a.tell(&source).await;
    let words = house.store.words();
    assert_eq!(
        words[3..],
        ["4 restarted web change", "5 gap spool_corrupt resync"]
    );
}
