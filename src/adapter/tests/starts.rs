//! Beginning from whatever stands in the stream, who may begin, and the view that keeps nothing.

use std::sync::Arc;
use tokio::sync::mpsc;

use crate::adapter::error::{AdapterError, AdapterErrorKind};
use crate::adapter::gap::{Owed, is_rolled_back, owe};
use crate::adapter::identity::{Age, Us, Verdict, judge};
use crate::adapter::live::{Live, LiveError};
use crate::adapter::settings::{Acknowledged, Claim};
use crate::adapter::start::Beginning;
use crate::event::store::{Identity, Root};
use crate::event::subject::Prefix;
use crate::observation::delta::{Delta, Epoch, Origin, Seq};
use crate::observation::outlet::{Answer, Outlet, Report};

use super::house::{House, seconds};
use super::store::Fault;
use super::toy::{Counters, EPOCH, Grown, LATER, Refused, Source, Toy};

type Toys<'a> = Report<'a, Counters, Grown>;

fn source() -> Source {
    Source::new(&[("api", 1), ("web", 1)])
}

async fn told_once(house: &House) -> Root {
    house.watcher("a").await.tell(&source()).await;
    house.store.root()
}

#[tokio::test(start_paused = true)]
async fn a_quick_restart_goes_on_as_if_nothing_had_been() {
    let house = House::new();
    told_once(&house).await;
    seconds(5).await;
    let mut a = house.watcher("a").await;
    let mut source = source();
    source.grow("api");
    assert!(!a.state.as_ref().unwrap().resync);
    a.tell(&source).await;
    assert_eq!(house.store.words()[3..], ["4 restarted api change"]);
    house.store.stream.lock().unwrap().check();
}

#[tokio::test(start_paused = true)]
async fn a_stretch_in_which_nobody_looked_is_told_before_what_differs() {
    let house = House::new();
    let root = told_once(&house).await;
    seconds(14).await;
    let mut a = house.watcher("a").await;
    let mut source = source();
    source.grow("api");
    assert!(a.state.as_ref().unwrap().resync);
    a.tell(&source).await;
    let words = house.store.words();
    assert_eq!(
        words[3..],
        ["4 gap adapter_down resync", "5 restarted api resync"]
    );
    let stream = house.store.stream.lock().unwrap();
    let gap = stream.events[3].gap.clone().unwrap();
    assert_eq!(
        (gap.from, gap.to, gap.events),
        (Some(root.looked_at), house.now(), None)
    );
    assert_eq!(&*stream.events[3].reason, "adapter_down");
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_told_even_if_nothing_differs_and_only_by_one_of_two() {
    let house = House::new();
    told_once(&house).await;
    seconds(60).await;
    let (mut a, mut b) = (house.watcher("a").await, house.watcher("b").await);
    a.tell(&source()).await;
    b.tell(&source()).await;
    assert_eq!(house.store.words()[3..], ["4 gap adapter_down resync"]);
}

#[tokio::test(start_paused = true)]
async fn a_head_with_a_missing_shard_begins_anew_and_nothing_is_added() {
    let house = House::new();
    let root = told_once(&house).await;
    house.store.stream.lock().unwrap().shards.clear();
    let mut a = house.watcher("a").await;
    assert_eq!(a.beginning, Beginning::Invalid { why: "stream_lost" });
    let state = a.state.clone().unwrap();
    assert!(state.first && state.resync && state.rows.is_empty() && state.epoch == EPOCH);
    a.tell(&source()).await;
    assert_eq!(house.store.words()[3..], ["1 gap stream_lost resync"]);
    assert_ne!(house.store.root().journal, root.journal);
    let mut b = house.watcher("b").await;
    let mut source = source();
    source.grow("api");
    b.tell(&source).await;
    assert_eq!(house.store.words()[4..], ["2 restarted api change"]);
}

#[tokio::test(start_paused = true)]
async fn rows_that_cannot_be_read_count_as_missing() {
    let house = House::new();
    told_once(&house).await;
    for (_, text) in house.store.stream.lock().unwrap().shards.values_mut() {
        text.splice(..1, *b"?");
    }
    let a = house.watcher("a").await;
    assert_eq!(a.beginning, Beginning::Invalid { why: "stream_lost" });
}

#[tokio::test(start_paused = true)]
async fn a_head_older_than_what_is_remembered_begins_a_new_journal_with_a_gap() {
    let house = House::new();
    let root = told_once(&house).await;
    let known = |seq| Acknowledged {
        journal: root.journal.clone(),
        seq,
        looked_at: root.looked_at,
    };
    let same = house.start("a", Some(known(3)), EPOCH).await.unwrap();
    assert!(matches!(
        same.beginning,
        Beginning::Resume {
            rolled_back: false,
            ..
        }
    ));
    let mut a = house.start("a", Some(known(4)), EPOCH).await.unwrap();
    a.tell(&source()).await;
    assert_eq!(house.store.words()[3..], ["1 gap rolled_back resync"]);
    assert_ne!(house.store.root().journal, root.journal);
}

#[tokio::test(start_paused = true)]
async fn no_head_where_one_is_remembered_is_a_lost_stream() {
    let house = House::new();
    let known = Acknowledged {
        journal: "old".into(),
        seq: 4,
        looked_at: house.now(),
    };
    let mut a = house.start("a", Some(known), EPOCH).await.unwrap();
    a.tell(&source()).await;
    assert_eq!(house.store.words(), ["1 gap stream_lost resync"]);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_cannot_be_asked_is_transient_and_one_that_refuses_is_not() {
    let house = House::new();
    for (fault, kind) in [
        (Fault::Busy("503"), AdapterErrorKind::Transient),
        (Fault::Away, AdapterErrorKind::Transient),
        (Fault::UnknownLost, AdapterErrorKind::Transient),
        (Fault::Refused, AdapterErrorKind::Refused),
    ] {
        house.store.reads.lock().unwrap().push_back(fault);
        let error = house.start("a", None, EPOCH).await.unwrap_err();
        assert_eq!(error.kind(), kind);
    }
}

#[tokio::test(start_paused = true)]
async fn another_server_under_a_fresh_root_is_refused_naming_both() {
    let house = House::new();
    told_once(&house).await;
    let error = house.start("b", None, LATER).await.unwrap_err();
    let AdapterError::OtherServer { line, ask_again } = &error else {
        panic!("{error}")
    };
    assert!(ask_again);
    for part in [
        "two process-composes call themselves shop",
        EPOCH,
        LATER,
        "watched by a",
        "give one --source NAME",
    ] {
        assert!(line.contains(part), "{line}");
    }
    assert!(
        house.start("a", None, LATER).await.is_ok(),
        "our own root: it restarted"
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_over_goes_on_as_a_new_epoch() {
    let mut house = House::new();
    told_once(&house).await;
    (house.project, house.claim) = ("mall", Claim::Adopt);
    assert!(house.start("b", None, EPOCH).await.is_err(), "fresh");
    seconds(60).await;
    house.claim = Claim::Derived;
    let error = house.start("b", None, EPOCH).await.unwrap_err();
    assert!(error.to_string().contains("--adopt"), "{error}");
    house.claim = Claim::Given;
    let mut other = source();
    other.epoch = "2026-08-20T06:00:00.000Z";
    let mut b = house.start("b", None, other.epoch).await.unwrap();
    let Beginning::Resume {
        takes_over: Some(line),
        ..
    } = &b.beginning
    else {
        panic!("{:?}", b.beginning)
    };
    assert!(line.contains("shop") && line.contains("mall"), "{line}");
    b.tell(&other).await;
    assert_eq!(
        house.store.words()[3..],
        ["4 gap adapter_down resync", "5 restarted resync"]
    );
    assert_eq!(house.store.root().identity.project, "mall");
}

fn verdict(age: Age, claim: Claim, epoch: Option<&str>, adapter: &str) -> &'static str {
    let identity = Identity {
        project: "shop".into(),
        ..Identity::default()
    };
    let root = Root {
        format: 1,
        source: "shop".into(),
        journal: "j".into(),
        seq: 1,
        epoch: "2026-08-20T07:00:00Z".into(),
        connected: true,
        adapter: "a".into(),
        commit: "c".into(),
        looked_at: "2026-08-20T09:00:00Z".parse().unwrap(),
        since: None,
        interval_ms: 2000,
        shards: Vec::new(),
        identity: identity.clone(),
        left_out: None,
    };
    let us = Us {
        adapter,
        identity: &identity,
        epoch,
        claim,
    };
    match judge(&root, age, us) {
        Verdict::Same => "same",
        Verdict::TakeOver(_) => "take over",
        Verdict::Refuse { .. } => "refuse",
    }
}

#[test]
fn a_server_is_the_same_unless_epoch_and_age_speak_against_it() {
    use Age::{Fresh, Stale};
    use Claim::{Adopt, Derived, Given};
    let (same, later, earlier) = (
        Some("2026-08-20T07:00:00Z"),
        Some("2026-08-20T08:00:00Z"),
        Some("2026-08-20T06:00:00Z"),
    );
    for (age, claim, epoch, adapter, wanted) in [
        (Fresh, Derived, same, "b", "same"),
        (Fresh, Derived, None, "b", "same"),
        (Fresh, Derived, Some(""), "b", "same"),
        (Fresh, Derived, later, "a", "same"),
        (Fresh, Derived, later, "b", "refuse"),
        (Fresh, Adopt, later, "b", "refuse"),
        (Fresh, Given, earlier, "b", "refuse"),
        (Fresh, Derived, earlier, "a", "refuse"),
        (Stale, Derived, later, "b", "same"),
        (Stale, Derived, earlier, "b", "refuse"),
        (Stale, Derived, earlier, "a", "refuse"),
        (Stale, Given, earlier, "b", "take over"),
        (Stale, Adopt, earlier, "a", "take over"),
    ] {
        let found = verdict(age, claim, epoch, adapter);
        assert_eq!(found, wanted, "{age:?} {claim:?} {epoch:?} {adapter}");
    }
}

#[test]
fn foreign_names_are_escaped_in_the_line() {
    let us = Identity {
        project: "a\u{1b}[31m\u{202e}b\n".into(),
        ..Identity::default()
    };
    let line = crate::adapter::identity::two_servers("shop", ("a", "1"), (&us, "2"));
    assert!(
        !line.chars().any(char::is_control) && !line.contains('\u{202e}'),
        "{line}"
    );
}

#[test]
fn two_gaps_of_one_cause_become_one() {
    let at = |text: &str| Some(text.parse().unwrap());
    let gap = |from, events| Owed {
        events,
        ..Owed::since(from, "spool_full")
    };
    let mut owed = Vec::new();
    owe(&mut owed, gap(at("2026-08-20T09:00:00Z"), Some(3)));
    owe(&mut owed, gap(at("2026-08-20T08:00:00Z"), Some(4)));
    owe(&mut owed, Owed::since(None, "superseded"));
    assert_eq!(owed[0], gap(at("2026-08-20T08:00:00Z"), Some(7)));
    assert_eq!(owed.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_two_journals_the_one_whose_looks_are_older_is_a_backup() {
    let house = House::new();
    let root = told_once(&house).await;
    let known = |seconds| Acknowledged {
        journal: "another".into(),
        seq: 1,
        looked_at: root.looked_at + chrono::TimeDelta::seconds(seconds),
    };
    assert!(!is_rolled_back(&root, None));
    assert!(!is_rolled_back(&root, Some(&known(-60))));
    assert!(!is_rolled_back(&root, Some(&known(5))), "clocks differ");
    assert!(is_rolled_back(&root, Some(&known(60))));
}

fn delta(house: &House, epoch: &str, keys: &[&str]) -> Delta<Grown> {
    let at = house.now();
    let grown = |key: &&str| Grown {
        key: (*key).to_owned(),
        from: 0,
        to: 1,
        number: 1,
        at,
    };
    Delta {
        epoch: Epoch::from(epoch),
        seq: Seq::FIRST,
        origin: Origin::Change,
        at,
        after: None,
        events: Arc::new(keys.iter().map(grown).collect()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_live_view_tells_the_same_and_keeps_nothing() {
    let house = House::new();
    let (sender, mut records) = mpsc::channel(16);
    let (parts, _) = house.parts("a", None);
    let mut live = Live::new(Toy, "shop".into(), Prefix::default(), parts.hooks, sender);
    let state = Counters::default();
    for epoch in [EPOCH, LATER] {
        let delta = delta(&house, epoch, &["api"]);
        let (delta, state) = (&delta, &state);
        let answer = live.report(Report::Delta { delta, state }).await.unwrap();
        assert_eq!(answer, Answer::Taken);
    }
    let since = house.now();
    for count in 1..9 {
        seconds(2).await;
        let error = &Refused;
        let report = Toys::Failing {
            count,
            since,
            error,
        };
        live.report(report).await.unwrap();
    }
    let at = house.now();
    live.report(Toys::SeenAgain { at }).await.unwrap();
    live.report(Report::Unchanged { at, state: &state })
        .await
        .unwrap();
    let journal = live.journal().to_owned();
    assert!(journal.starts_with("live-"));
    Outlet::<Counters, Grown>::close(&mut live).await.unwrap();
    drop(live);
    let mut words = Vec::new();
    while let Some(record) = records.recv().await {
        let event = &record.envelope;
        assert_eq!(event.journal, journal);
        assert_eq!(record.position.sequence, 0);
        let read = crate::event::envelope::Envelope::parse(&record.raw).unwrap();
        assert_eq!(read, *event);
        words.push(format!("{} {}", event.seq, event.kind));
    }
    let wanted = [
        "1 connected",
        "2 restarted",
        "3 restarted",
        "4 restarted",
        "5 disconnected",
        "6 gap",
        "7 connected",
    ];
    assert_eq!(words, wanted);
}

#[tokio::test(start_paused = true)]
async fn a_live_view_ends_when_its_reader_leaves_even_while_nothing_happens() {
    let house = House::new();
    let (sender, records) = mpsc::channel(1);
    let (parts, _) = house.parts("a", None);
    let mut live = Live::new(Toy, "shop".into(), Prefix::default(), parts.hooks, sender);
    let (at, state) = (house.now(), Counters::default());
    live.report(Toys::Unchanged { at, state: &state })
        .await
        .unwrap();
    drop(records);
    let error = live
        .report(Toys::Unchanged { at, state: &state })
        .await
        .unwrap_err();
    assert!(matches!(error, LiveError::ReaderLeft));
}
