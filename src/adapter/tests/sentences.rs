//! What a running adapter does with each answer of the broker and each report of the runtime.

use std::sync::atomic::Ordering;

use crate::adapter::error::{AdapterError, AdapterErrorKind};
use crate::adapter::settings::{Notice, RebaseCause};
use crate::event::payload::Kind;
use crate::observation::outlet::Outlet;

use super::toy::{EPOCH, Fault, House, LATER, Source, Told, seconds};

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
async fn after_a_mere_refresh_by_somebody_else_the_same_delta_goes_again() {
    let house = House::new();
    let mut a = house.watcher("a").await;
    let mut source = source();
    a.tell(&source).await;
    house.store.refresh(|_| ());
    source.grow("api");
    assert_eq!(a.look(&source).await.unwrap(), Told::Taken);
    assert_eq!(house.store.words()[3], "4 restarted api change");
    house.store.stream.lock().unwrap().check();
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
async fn when_somebody_else_told_more_the_delta_is_dropped_and_their_state_taken() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let mut b = house.watcher("b").await;
    b.tell(&source).await;
    source.grow("api");
    a.tell(&source).await;
    assert_eq!(b.look(&source).await.unwrap(), Told::Rebased);
    assert_eq!(b.state.as_ref().unwrap().rows["api"].value, 2);
    assert_eq!(b.look(&source).await.unwrap(), Told::Taken);
    assert_eq!(house.store.words().len(), 4);
    assert!(
        b.notices()
            .contains(&Notice::Rebased(RebaseCause::Overtaken))
    );
}

#[tokio::test(start_paused = true)]
async fn an_unknown_commit_that_was_stored_is_not_told_again() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    house.store.faults([Fault::UnknownStored]);
    source.grow("api");
    assert_eq!(a.look(&source).await.unwrap(), Told::Taken);
    source.grow("web");
    assert_eq!(a.look(&source).await.unwrap(), Told::Taken);
    let words = house.store.words();
    assert_eq!(
        words[3..],
        ["4 restarted api change", "5 restarted web change"]
    );
    house.store.stream.lock().unwrap().check();
}

#[tokio::test(start_paused = true)]
async fn an_unknown_commit_that_was_not_stored_is_told_later() {
    for fault in [
        Fault::UnknownLost,
        Fault::UnknownLate(2),
        Fault::UnknownLate(3),
        Fault::Away,
    ] {
        let house = House::new();
        let (mut a, mut source) = (house.watcher("a").await, source());
        a.tell(&source).await;
        house.store.faults([fault]);
        source.grow("api");
        assert_eq!(a.look(&source).await.unwrap(), Told::Taken);
        assert_eq!(house.store.words().len(), 3);
        a.tell(&source).await;
        source.grow("web");
        a.tell(&source).await;
        let words = house.store.words();
        assert_eq!(
            words[3..],
            ["4 restarted api change", "5 restarted web change"]
        );
        house.store.stream.lock().unwrap().check();
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_broker_is_tried_again_within_the_same_report() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    house
        .store
        .faults([Fault::Busy("503"), Fault::Busy("10210"), Fault::Busy("429")]);
    source.grow("api");
    a.tell(&source).await;
    assert_eq!(
        house.store.read_calls.load(Ordering::SeqCst),
        1,
        "only at the start"
    );
    assert_eq!(house.store.words().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_broker_busy_for_longer_than_the_interval_does_not_hold_up_the_looks() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    house.store.faults((0..12).map(|_| Fault::Busy("503")));
    source.grow("api");
    let began = tokio::time::Instant::now();
    assert_eq!(a.look(&source).await.unwrap(), Told::Taken);
    assert!(began.elapsed().as_secs() <= 2);
    assert_eq!(house.store.words().len(), 3);
    house.store.faults((0..99).map(|_| Fault::Busy("503")));
    for _ in 0..4 {
        a.tell(&source).await;
    }
    house.store.commits.lock().unwrap().clear();
    a.tell(&source).await;
    assert_eq!(house.store.words().len(), 4);
    let notices = a.notices();
    let lines: Vec<_> = notices
        .iter()
        .filter(|n| matches!(n, Notice::BrokerAway { .. } | Notice::BrokerBack { .. }))
        .collect();
    let away = Notice::BrokerAway { why: "503".into() };
    assert_eq!(
        lines,
        [&away, &Notice::BrokerBack { replayed: 1 }],
        "once each"
    );
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_batch_between_others_is_none() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    for _ in 0..3 {
        house.store.faults([
            Fault::Busy("10176"),
            Fault::Busy("10176"),
            Fault::Busy("503"),
            Fault::Ok,
        ]);
        source.grow("api");
        a.tell(&source).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_waiting_does_not_help_ends_the_run_with_its_line() {
    for (fault, kind, line) in [
        (
            Fault::Refused,
            AdapterErrorKind::Refused,
            "no right to publish",
        ),
        (Fault::Invalid, AdapterErrorKind::Invalid, "too large"),
    ] {
        let house = House::new();
        let (mut a, mut source) = (house.watcher("a").await, source());
        a.tell(&source).await;
        house.store.faults([fault]);
        source.grow("api");
        let error = a.look(&source).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, line));
    }
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
    let from = house.now();
    house.store.set_online(false);
    seconds(2).await;
    source.grow("api");
    a.tell(&source).await;
    let to = house.now();
    house.store.set_online(true);
    source.grow("web");
    b.tell(&source).await;
    assert_eq!(a.look(&source).await.unwrap(), Told::Rebased);
    a.tell(&source).await;
    let words = house.store.words();
    assert_eq!(words.last().unwrap(), "6 gap superseded change");
    let stream = house.store.stream.lock().unwrap();
    let gap = stream.events.last().unwrap().gap.clone().unwrap();
    assert_eq!((gap.from, gap.to, gap.events), (Some(from), to, Some(1)));
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
async fn a_stream_that_is_not_ours_to_make_again_ends_the_run() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    house.store.stream.lock().unwrap().gone = true;
    house.store.foreign_stream.store(true, Ordering::SeqCst);
    source.grow("api");
    let error = a.look(&source).await.unwrap_err();
    assert_eq!(error.kind(), AdapterErrorKind::Refused);
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
    let backup = {
        let stream = house.store.stream.lock().unwrap();
        (
            stream.root.clone(),
            stream.shards.clone(),
            stream.events.clone(),
        )
    };
    source.grow("api");
    a.tell(&source).await;
    {
        let mut stream = house.store.stream.lock().unwrap();
        (stream.root, stream.shards, stream.events) = backup;
    }
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
async fn a_new_epoch_is_told_before_what_differs_in_it() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    source.epoch = LATER;
    source.grow("api");
    a.tell(&source).await;
    let words = house.store.words();
    assert_eq!(words[3..], ["4 restarted resync", "5 restarted api resync"]);
    let stream = house.store.stream.lock().unwrap();
    let told = &stream.events[3];
    assert_eq!((&*told.epoch, &*told.reason), (LATER, "source_restarted"));
    assert_eq!(told.subject, "core.source.shop.restarted");
}

#[tokio::test(start_paused = true)]
async fn an_epoch_that_was_not_known_before_is_no_restart() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    source.epoch = "";
    a.tell(&source).await;
    source.epoch = EPOCH;
    a.tell(&source).await;
    assert_eq!(house.store.words().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_source_out_of_sight_is_told_once_and_so_is_its_return() {
    let house = House::new();
    let (mut a, source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let last_look = house.now();
    for _ in 0..20 {
        seconds(2).await;
        a.fail().await.unwrap();
    }
    assert_eq!(house.store.words()[3..], ["4 disconnected change"]);
    assert!(!house.store.root().connected);
    assert_eq!(house.store.root().looked_at, last_look);
    a.tell(&source).await;
    let words = house.store.words();
    assert_eq!(
        words[4..],
        ["5 gap source_unreachable resync", "6 connected resync"]
    );
    assert!(house.store.root().connected);
    let stream = house.store.stream.lock().unwrap();
    assert_eq!(&*stream.events[3].reason, "refused");
    assert_eq!(stream.events[3].occurred.after, Some(last_look));
    let gap = stream.events[4].gap.clone().unwrap();
    assert_eq!((gap.from, gap.to), (Some(last_look), house.now()));
}

#[tokio::test(start_paused = true)]
async fn disconnected_needs_three_failed_looks_and_a_root_that_stands_still() {
    let house = House::new();
    let (mut a, source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    for _ in 0..6 {
        seconds(2).await;
        a.fail().await.unwrap();
    }
    assert_eq!(
        house.store.words().len(),
        3,
        "12 s: somebody else may still refresh"
    );
    let reads = house.store.read_calls.load(Ordering::SeqCst);
    assert_eq!(reads, 1, "nothing to ask before it can matter");
    let mut b = house.watcher("b").await;
    seconds(60).await;
    for _ in 0..2 {
        b.fail().await.unwrap();
        seconds(5).await;
    }
    assert_eq!(house.store.words().len(), 3, "two failed looks");
    b.fail().await.unwrap();
    assert_eq!(house.store.words().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_another_adapter_still_sees_is_not_disconnected() {
    let house = House::new();
    let (mut a, source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let mut b = house.watcher("b").await;
    for _ in 0..30 {
        seconds(2).await;
        a.fail().await.unwrap();
        b.tell(&source).await;
    }
    assert_eq!(house.store.words().len(), 3);
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
        matches!(notices[..], [Notice::Committed { messages: 4.., .. }]),
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
async fn the_acknowledged_number_is_handed_out_to_be_remembered() {
    let house = House::new();
    let (mut a, source) = (house.watcher("a").await, source());
    house.store.set_online(false);
    a.tell(&source).await;
    assert_eq!(a.seen.lock().unwrap().acknowledged, None);
    house.store.set_online(true);
    a.tell(&source).await;
    let known = a.seen.lock().unwrap().acknowledged.clone().unwrap();
    assert_eq!((known.seq, known.journal), (3, house.store.root().journal));
}

#[tokio::test(start_paused = true)]
async fn another_server_under_our_name_ends_the_one_whose_epoch_is_older() {
    let house = House::new();
    let (mut a, old) = (house.watcher("a").await, source());
    a.tell(&old).await;
    let mut b = house.watcher("b").await;
    let mut other = Source::new(&[("api", 5)]);
    other.epoch = LATER;
    b.tell(&other).await;
    seconds(10).await;
    assert_eq!(a.look(&old).await.unwrap(), Told::Rebased);
    assert_eq!(a.look(&old).await.unwrap(), Told::Rebased);
    let error = a.look(&old).await.unwrap_err();
    assert!(matches!(error, AdapterError::OtherServer { .. }));
    assert!(
        error.to_string().contains("give one --source NAME"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_heard_before_the_source_left_is_told_without_pretending_a_look() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let last_look = house.now();
    seconds(2).await;
    a.fail().await.unwrap();
    source.grow("api");
    a.salvage(&source).await.unwrap();
    assert_eq!(house.store.words()[3..], ["4 restarted api change"]);
    assert_eq!(house.store.root().looked_at, last_look);
    for _ in 0..10 {
        seconds(2).await;
        a.fail().await.unwrap();
    }
    source.grow("web");
    a.salvage(&source).await.unwrap();
    let words = house.store.words();
    assert_eq!(
        words[4..],
        ["5 disconnected change", "6 restarted web change"]
    );
    assert!(!house.store.root().connected);
    a.tell(&source).await;
    assert_eq!(house.store.words()[7..], ["8 connected resync"]);
    let back = Notice::SourceBack;
    assert_eq!(a.notices().into_iter().filter(|n| *n == back).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_arrives_late_takes_no_event_with_it() {
    for late in 1..6 {
        let house = House::new();
        let (mut a, mut source) = (house.watcher("a").await, source());
        a.tell(&source).await;
        house.store.faults([Fault::UnknownLate(late)]);
        seconds(10).await;
        a.tell(&source).await;
        source.grow("api");
        a.tell(&source).await;
        a.tell(&source).await;
        assert_eq!(
            house.store.words()[3..],
            ["4 restarted api change"],
            "{late}"
        );
    }
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
async fn a_delta_that_nobody_was_shown_is_no_gap_when_it_is_dropped() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    house
        .store
        .faults([Fault::UnknownLost, Fault::Ok, Fault::Overtaken]);
    source.grow("api");
    a.tell(&source).await;
    source.grow("web");
    assert_eq!(a.look(&source).await.unwrap(), Told::Rebased);
    a.tell(&source).await;
    let words = house.store.words();
    assert_eq!(
        words[3..],
        ["4 restarted api change", "6 restarted web change"]
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
async fn three_incomplete_batches_in_a_row_are_a_refusal_that_names_the_subjects() {
    let house = House::new();
    let (mut a, mut source) = (house.watcher("a").await, source());
    a.tell(&source).await;
    let incomplete = || Fault::Busy("batch incomplete (10176)");
    house.store.faults((0..3).map(|_| incomplete()));
    source.grow("api");
    let error = a.look(&source).await.unwrap_err();
    assert_eq!(error.kind(), AdapterErrorKind::Refused);
    assert!(error.to_string().contains("core.head.shop"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn one_odd_row_does_not_multiply_the_shards() {
    let house = House::new();
    let mut source = Source::new(&[("odd", 1)]);
    source.padding = 300_000;
    house.watcher("a").await.tell(&source).await;
    assert_eq!(house.store.root().shards.len(), 1);
}
