//! What waits on the disk when there is too much of it, or the disk takes nothing.

use std::fs;

use crate::adapter::settings::{Notice, RebaseCause};
use crate::adapter::start::Beginning;
use crate::observation::outlet::Outlet as _;

use super::house::{House, Told, seconds};
use super::race::{at_most, paused, replace};
use super::store::Fault;
use super::toy::Source;

fn source() -> Source {
    Source::new(&[("api", 1), ("web", 1)])
}

#[tokio::test(start_paused = true)]
async fn a_full_spool_collapses_to_the_net_difference_and_is_small_again() {
    let (mut house, mut source) = (House::with_spool(), source());
    house.spool_max = 6_000;
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    let from = house.now();
    house.store.set_online(false);
    let (mut rebased, mut longest) = (0, 0);
    for round in 0..100 {
        seconds(2).await;
        source.grow("api");
        while a.look(&source).await.unwrap() == Told::Rebased {
            rebased += 1;
        }
        longest = longest.max(fs::metadata(house.spool_file("a")).unwrap().len());
        if round == 70 {
            a = house.start_late("a", None);
        }
    }
    assert!(rebased > 3, "{rebased}");
    assert!(longest < 9_000, "{longest}");
    house.store.set_online(true);
    a.tell(&source).await;
    let stream = house.store.stream.lock().unwrap();
    stream.check();
    let gaps: Vec<_> = stream
        .events
        .iter()
        .filter_map(|e| e.gap.as_ref())
        .collect();
    assert_eq!(gaps.len(), 1, "{:?}", stream.words());
    assert_eq!((&*gaps[0].why, gaps[0].from), ("spool_full", Some(from)));
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
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_unknown_outcome_survives_a_collapse() {
    for on_disk in [false, true] {
        for stored in [
            Fault::UnknownStored,
            Fault::UnknownLost,
            Fault::UnknownLate(1),
        ] {
            for dies in [false, true] {
                let mut house = if on_disk {
                    House::with_spool()
                } else {
                    House::new()
                };
                (house.pending_bytes, house.spool_max) = (6_000, 6_000);
                let (mut a, mut source) = (house.watcher("a").await, source());
                a.tell(&source).await;
                house.store.faults([stored.clone()]);
                source.grow("web");
                a.tell(&source).await;
                house.store.set_online(false);
                for _ in 0..60 {
                    source.grow("api");
                    a.tell(&source).await;
                }
                if dies && on_disk {
                    a = house.start_late("a", None);
                }
                house.store.set_online(true);
                a.tell(&source).await;
                a.tell(&source).await;
                let stream = house.store.stream.lock().unwrap();
                stream.check();
                let words = stream.words();
                assert_eq!(words[3], "4 restarted web change", "{words:?}");
                assert_eq!(words[4], "5 gap spool_full resync", "{words:?}");
                assert!(!words.iter().any(|word| word.contains("superseded")));
            }
        }
    }
}

#[test]
fn after_a_collapse_the_old_file_takes_no_commit_for_its_own() {
    for polls in 1..8 {
        paused().block_on(async {
            let (mut house, mut source) = (House::with_spool(), source());
            house.spool_max = 6_000;
            let mut a = house.watcher("a").await;
            a.tell(&source).await;
            house.store.set_online(false);
            for key in ["web", "api"].iter().cycle() {
                source.grow(key);
                if a.look(&source).await.unwrap() == Told::Rebased {
                    break;
                }
            }
            house.store.set_online(true);
            if at_most(polls, a.look(&source)).await.is_none() {
                replace(&house, &mut a, "a").await;
            }
            source.grow("new");
            a.tell(&source).await;
            let stream = house.store.stream.lock().unwrap();
            stream.check();
            for (key, value) in &source.values {
                let mut events = stream.events.iter().rev();
                let last = events.find(|e| e.process.as_ref() == Some(key)).unwrap();
                assert_eq!(
                    last.state.as_ref().unwrap().restarts,
                    *value,
                    "{polls} {key}"
                );
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn the_older_of_two_attempts_that_is_stored_after_the_head_was_read_is_recognised() {
    for dies in [false, true] {
        let (house, mut source) = (House::with_spool(), source());
        let mut a = house.watcher("a").await;
        a.tell(&source).await;
        // Stored at the second call from here: after the head was read, just before the second attempt arrives.
        house.store.faults([Fault::UnknownLate(2)]);
        source.grow("api");
        a.tell(&source).await;
        let first = house.store.root().commit;
        if dies {
            // The next start reads the head, and its first commit is the second attempt.
            drop(a);
            a = house.watcher("a").await;
        }
        source.grow("web");
        a.tell(&source).await;
        assert_ne!(house.store.root().commit, first);
        let words = house.store.words();
        assert_eq!(
            words[3..],
            ["4 restarted api change", "5 restarted web change"]
        );
        house.store.stream.lock().unwrap().check();
        assert!(!house.spool_file("a").exists());
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_takes_nothing_is_said_once_and_memory_keeps_what_it_can() {
    let (mut house, mut source) = (House::with_spool(), source());
    house.pending_bytes = 6_000;
    let folder = house.spool.as_ref().unwrap().path().to_owned();
    fs::write(&folder, "a file where a folder should be").unwrap();
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    house.store.set_online(false);
    for _ in 0..40 {
        source.grow("api");
        a.tell(&source).await;
    }
    let notices = a.notices();
    let said = |wanted: fn(&Notice) -> bool| notices.iter().filter(|n| wanted(n)).count();
    assert_eq!(said(|n| matches!(n, Notice::SpoolFails { .. })), 1);
    assert!(said(|n| *n == Notice::Rebased(RebaseCause::PendingFull)) > 0);
    // It mends, and what waits in memory is on the disk at once.
    fs::remove_file(&folder).unwrap();
    source.grow("web");
    a.tell(&source).await;
    let mut a = house.start_late("a", None);
    assert!(matches!(a.beginning, Beginning::Spool { .. }));
    a.tell(&source).await;
    house.store.set_online(true);
    a.tell(&source).await;
    let stream = house.store.stream.lock().unwrap();
    stream.check();
    assert_eq!(
        stream.events.last().unwrap().process.as_deref(),
        Some("web")
    );
    drop(fs::remove_dir_all(folder));
}

#[tokio::test(start_paused = true)]
async fn an_orderly_end_says_where_what_waits_lies() {
    let (house, mut source) = (House::with_spool(), source());
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    house.store.set_online(false);
    source.grow("api");
    a.tell(&source).await;
    a.committer.close().await.unwrap();
    let (events, path) = (1, house.spool_file("a"));
    assert!(a.notices().contains(&Notice::Spooled { events, path }));
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_ten_events_a_second_goes_in_few_batches_and_little_memory() {
    let mut house = House::with_spool();
    house.spool_max = 64 << 20;
    let names: Vec<_> = (0..20).map(|number| format!("k{number:02}")).collect();
    let mut source = Source::new(&[]);
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    house.store.set_online(false);
    for _ in 0..1800 {
        seconds(2).await;
        for name in &names {
            source.grow(name);
        }
        a.tell(&source).await;
        assert!(a.committer.pending.in_memory() <= 21, "one frame at most");
    }
    assert_eq!(a.committer.pending.waiting(), 36_000);
    let before = house.store.commits();
    house.store.set_online(true);
    a.tell(&source).await;
    let batches = house.store.commits() - before;
    assert!(batches <= 40, "{batches}");
    assert!(a.committer.pending.most_in_memory() < 3 * 990);
    let stream = house.store.stream.lock().unwrap();
    stream.check();
    assert_eq!(stream.events.len(), 36_001);
    assert!(!house.spool_file("a").exists());
}
