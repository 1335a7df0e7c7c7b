//! What waits on the disk: it outlives the adapter, is replayed once, and is given up where it must be.

use crate::adapter::start::Beginning;
use crate::event::store::{EventStore as _, ShardPlace};
use crate::observation::outlet::Outlet as _;

use super::house::{House, Told, seconds};
use super::race::{at_most, paused, replace};
use super::store::Fault;
use super::toy::{EPOCH, Source};

fn source() -> Source {
    Source::new(&[("api", 1), ("web", 1)])
}

/// An adapter that had something wait on the disk when it died.
async fn died_with_a_spool(house: &House, source: &mut Source) {
    let mut a = house.watcher("a").await;
    a.tell(source).await;
    house.store.set_online(false);
    for key in ["api", "web", "api"] {
        seconds(2).await;
        source.grow(key);
        a.tell(source).await;
    }
    assert!(house.spool_file("a").exists());
}

/// Another adapter tells the difference, once it has waited for those who may have more to tell.
async fn somebody_else_tells(house: &House, source: &Source) {
    let mut b = house.watcher("b").await;
    b.tell(source).await;
    seconds(20).await;
    b.tell(source).await;
}

#[tokio::test(start_paused = true)]
async fn as_long_as_the_broker_answers_no_disk_is_touched() {
    let house = House::with_spool();
    let (mut a, mut source) = (house.watcher("a").await, source());
    for _ in 0..9 {
        a.tell(&source).await;
        source.grow("api");
        seconds(11).await;
    }
    assert!(!house.spool.as_ref().unwrap().path().exists());
}

#[tokio::test(start_paused = true)]
async fn what_waited_when_the_adapter_died_is_told_by_its_next_start() {
    for late in [false, true] {
        let (house, mut source) = (House::with_spool(), source());
        died_with_a_spool(&house, &mut source).await;
        let mut a = if late {
            let mut a = house.start_late("a", None);
            seconds(2).await;
            source.grow("new");
            a.tell(&source).await;
            house.store.set_online(true);
            a
        } else {
            house.store.set_online(true);
            let a = house.watcher("a").await;
            source.grow("new");
            a
        };
        a.tell(&source).await;
        let words = house.store.words();
        let wanted = [
            "4 restarted api change",
            "5 restarted web change",
            "6 restarted api change",
            "7 restarted new change",
        ];
        assert_eq!(words[3..], wanted, "{late}");
        let stream = house.store.stream.lock().unwrap();
        stream.check();
        assert!(!house.spool_file("a").exists(), "nothing waits any more");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stretch_between_the_spools_last_look_and_the_next_is_a_gap() {
    let (house, mut source) = (House::with_spool(), source());
    died_with_a_spool(&house, &mut source).await;
    let last_look = house.now();
    seconds(60).await;
    source.grow("api");
    let mut a = house.start_late("a", None);
    assert!(matches!(a.beginning, Beginning::Spool { .. }));
    assert!(a.state.as_ref().unwrap().resync);
    a.tell(&source).await;
    house.store.set_online(true);
    a.tell(&source).await;
    let words = house.store.words();
    assert_eq!(
        words[6..],
        ["7 gap adapter_down resync", "8 restarted api resync"]
    );
    let stream = house.store.stream.lock().unwrap();
    let gap = stream.events[6].gap.clone().unwrap();
    assert_eq!((gap.from, gap.to), (Some(last_look), house.now()));
}

#[test]
fn an_adapter_that_dies_at_any_wait_of_a_replay_loses_nothing_and_repeats_nothing() {
    let faults = [
        Fault::Ok,
        Fault::UnknownStored,
        Fault::UnknownLost,
        Fault::UnknownLate(2),
    ];
    for polls in 1..11 {
        for fault in &faults {
            paused().block_on(async {
                let (mut house, mut source) = (House::with_spool(), Source::new(&[]));
                house.spool_max = 8 << 20;
                let mut a = house.watcher("a").await;
                a.tell(&source).await;
                house.store.set_online(false);
                // Two batches, and the first ends in the middle of a look.
                for round in 0..3 {
                    for number in 0..450 {
                        source.grow(&format!("k{number:03}"));
                    }
                    a.tell(&source).await;
                    if round == 1 {
                        replace(&house, &mut a, "a").await;
                    }
                }
                house.store.set_online(true);
                house.store.faults([Fault::Ok, fault.clone()]);
                if at_most(polls, a.look(&source)).await.is_none() {
                    replace(&house, &mut a, "a").await;
                }
                source.grow("k000");
                a.tell(&source).await;
                a.tell(&source).await;
                let stream = house.store.stream.lock().unwrap();
                stream.check();
                let changes = stream
                    .words()
                    .iter()
                    .filter(|w| w.contains("change"))
                    .count();
                assert_eq!(changes, 1351, "{polls} {fault:?}: every single change");
                assert!(!house.spool_file("a").exists());
            });
        }
    }
}

#[test]
fn an_adapter_that_dies_at_any_wait_while_the_broker_comes_and_goes_tells_all_or_the_difference() {
    for polls in 1..25 {
        for fault in [
            Fault::UnknownStored,
            Fault::UnknownLost,
            Fault::UnknownLate(2),
        ] {
            paused().block_on(async {
                let house = House::with_spool();
                let mut source = Source::new(&[("k0", 1), ("k1", 1)]);
                let mut a = house.watcher("a").await;
                a.tell(&source).await;
                for key in ["k0", "k1", "k0", "k2", "k1"] {
                    house.store.faults([fault.clone(), fault.clone()]);
                    source.grow(key);
                    if at_most(polls, a.look(&source)).await.is_none() {
                        replace(&house, &mut a, "a").await;
                    }
                    house.store.set_online(!house.store.is_connected());
                }
                house.store.set_online(true);
                house.store.commits.lock().unwrap().clear();
                a.tell(&source).await;
                a.tell(&source).await;
                let stream = house.store.stream.lock().unwrap();
                stream.check();
                for (key, value) in &source.values {
                    let mut events = stream.events.iter().rev();
                    let last = events.find(|e| e.process.as_ref() == Some(key)).unwrap();
                    assert_eq!(last.state.as_ref().unwrap().restarts, *value);
                }
                let words = stream.words();
                let mut gaps = words.iter().filter(|word| word.contains(" gap "));
                // What a run without a spool sent and did not live to hear of is somebody else's to the next one.
                let late = matches!(fault, Fault::UnknownLate(_));
                let known = |gap: &String| {
                    gap.contains("adapter_down") || late && gap.contains("superseded")
                };
                assert!(gaps.all(known), "{polls} {words:?}");
            });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_spool_whose_head_somebody_else_moved_is_dropped_with_a_gap() {
    let (house, mut source) = (House::with_spool(), source());
    let from = house.now();
    died_with_a_spool(&house, &mut source).await;
    let to = house.now();
    house.store.set_online(true);
    somebody_else_tells(&house, &source).await;
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    let words = house.store.words();
    assert!(
        words.last().unwrap().contains(" gap superseded "),
        "{words:?}"
    );
    let stream = house.store.stream.lock().unwrap();
    let gap = stream.events.last().unwrap().gap.clone().unwrap();
    assert_eq!((gap.from, gap.to, gap.events), (Some(from), to, Some(3)));
    stream.check();
    assert!(!house.spool_file("a").exists());
}

#[tokio::test(start_paused = true)]
async fn a_spool_stays_until_its_gap_is_told() {
    let (house, mut source) = (House::with_spool(), source());
    died_with_a_spool(&house, &mut source).await;
    house.store.set_online(true);
    somebody_else_tells(&house, &source).await;
    for _ in 0..3 {
        drop(house.watcher("a").await);
    }
    house.watcher("a").await.tell(&source).await;
    house.watcher("a").await.tell(&source).await;
    let words = house.store.words();
    let gaps = words.iter().filter(|word| word.contains("superseded"));
    assert_eq!(gaps.count(), 1, "{words:?}");
}

#[tokio::test(start_paused = true)]
async fn a_mere_refresh_by_somebody_else_leaves_the_spool_as_it_is() {
    let (house, mut source) = (House::with_spool(), source());
    died_with_a_spool(&house, &mut source).await;
    house.store.set_online(true);
    house.store.refresh(|_| ());
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    assert_eq!(house.store.words().len(), 6);
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
    house.store.stream.lock().unwrap().check();
}

#[tokio::test(start_paused = true)]
async fn a_restored_backup_and_a_lost_stream_take_the_spool_with_them_and_say_how_much() {
    for lost in [false, true] {
        let (house, mut source) = (House::with_spool(), source());
        let mut a = house.watcher("a").await;
        a.tell(&source).await;
        let backup = house.store.stream.lock().unwrap().root.clone();
        let shards = house.store.stream.lock().unwrap().shards.clone();
        source.grow("web");
        a.tell(&source).await;
        house.store.set_online(false);
        source.grow("api");
        a.tell(&source).await;
        let remembered = a.seen.lock().unwrap().acknowledged.clone();
        drop(a);
        house.store.set_online(true);
        {
            let mut stream = house.store.stream.lock().unwrap();
            (stream.root, stream.shards) = if lost {
                (None, std::collections::BTreeMap::new())
            } else {
                (backup, shards)
            };
            stream.events.clear();
        }
        let mut a = house.start("a", remembered, EPOCH).await.unwrap();
        a.tell(&source).await;
        let words = house.store.words();
        let why = if lost { "stream_lost" } else { "rolled_back" };
        assert_eq!(words[0], format!("1 gap {why} resync"));
        let stream = house.store.stream.lock().unwrap();
        let gap = stream.events[0].gap.clone().unwrap();
        assert_eq!(gap.events, Some(1), "what was dropped is counted");
        assert!(!house.spool_file("a").exists());
    }
}

#[tokio::test(start_paused = true)]
async fn shards_that_others_wrote_while_we_were_away_are_not_trusted() {
    let (house, mut source) = (House::with_spool(), source());
    died_with_a_spool(&house, &mut source).await;
    house.store.set_online(true);
    house
        .store
        .refresh(|root| root.shards = vec![ShardPlace::At(1)]);
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    let head = house.store.stream.lock().unwrap().head().unwrap();
    assert!(head.shards.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_the_broker_refuses_is_told_by_the_start_that_may() {
    let (house, mut source) = (House::with_spool(), source());
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    house.store.faults([Fault::Refused]);
    source.grow("api");
    a.look(&source).await.unwrap_err();
    drop(a);
    let before = house.store.words().len();
    source.grow("api");
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    let words = house.store.words();
    assert_eq!(
        words[before..],
        ["4 restarted api change", "5 restarted api change"],
        "both steps"
    );
    house.store.stream.lock().unwrap().check();
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_another_adapter_covers_leaves_no_file_to_be_mourned() {
    let (house, mut source) = (House::with_spool(), source());
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    let mut b = house.watcher("b").await;
    house.store.set_online(false);
    source.grow("api");
    a.tell(&source).await;
    assert!(house.spool_file("a").exists());
    house.store.set_online(true);
    seconds(60).await;
    b.tell(&source).await;
    assert_eq!(a.look(&source).await.unwrap(), Told::Rebased);
    assert!(!house.spool_file("a").exists());
    drop(a);
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    let words = house.store.words();
    assert!(
        !words.iter().any(|word| word.contains("superseded")),
        "{words:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refresh_at_the_end_that_fails_leaves_nothing_waiting() {
    let (house, source) = (House::with_spool(), source());
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    seconds(2).await;
    a.tell(&source).await;
    house.store.faults([Fault::UnknownLost]);
    a.committer.close().await.unwrap();
    assert!(!house.spool_file("a").exists());
}
