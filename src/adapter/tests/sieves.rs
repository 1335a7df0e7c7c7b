//! What is left out: no event and no number, but a row in the head, and a word for everybody who reads.

use std::sync::Arc;

use super::house::{House, Told, seconds};
use super::store::Fault;
use super::toy::{Counter, Source};
use crate::adapter::spool::entry::{self, Entry};
use crate::event::envelope::Envelope;
use crate::event::payload::Gap;
use crate::event::sieve::{Sieve, Wording};
use crate::observation::outlet::Outlet as _;

fn without(name: &str) -> Arc<Sieve> {
    let exclude = Wording {
        names: vec![name.to_owned()],
        ..Wording::default()
    };
    Arc::new(Sieve::new(None, Some(exclude)).unwrap())
}

fn leaving_out(name: &str) -> House {
    let mut house = House::new();
    house.sieve = Some(without(name));
    house
}

fn with_spool(name: &str) -> House {
    let mut house = House::with_spool();
    house.sieve = Some(without(name));
    house
}

/// What is told, in short: `connected`, `a:3`, and what is said of what is left out.
fn told(house: &House) -> Vec<String> {
    let short = |event: &Envelope| match (&event.process, &event.gap) {
        (Some(name), _) => format!("{name}:{}", event.process_seq.unwrap()),
        (None, Some(gap)) if gap.is_left_out() => turn(gap),
        (None, Some(gap)) => format!("gap: {}", gap.why),
        (None, None) => event.kind.to_string(),
    };
    let stream = house.store.stream.lock().unwrap();
    let numbers: Vec<u64> = stream.events.iter().map(|event| event.seq).collect();
    let wanted: Vec<u64> = (1..).take(numbers.len()).collect();
    assert_eq!(numbers, wanted, "no number is missing and none comes twice");
    stream.events.iter().map(short).collect()
}

fn turn(gap: &Gap) -> String {
    let word = |sieve: &Option<Sieve>| {
        let word = sieve.as_ref().map(ToString::to_string);
        word.unwrap_or_else(|| "nothing".to_owned())
    };
    format!("{} -> {}", word(&gap.sieve), word(&gap.next_sieve))
}

/// A row as the head has it.
fn row(house: &House, key: &str) -> Counter {
    let head = house.store.stream.lock().unwrap().head().unwrap();
    let mut rows = head
        .rows()
        .map(|row| serde_json::from_slice::<Counter>(row).unwrap());
    rows.find(|row| row.key == key).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_left_out_takes_no_number_and_its_row_is_in_the_head_at_once() {
    let house = leaving_out("b");
    // What is told comes behind what is left out of the same look.
    let mut source = Source::new(&[("a", 1), ("b", 1), ("c", 1)]);
    let mut adapter = house.watcher("a").await;
    adapter.tell(&source).await;
    for key in ["a", "b", "b", "a"] {
        seconds(2).await;
        source.grow(key);
        adapter.tell(&source).await;
        assert_eq!(row(&house, key).value, source.values[key]);
    }
    let wanted = [
        "connected",
        "nothing -> exclude name=b",
        "a:1",
        "c:1",
        "a:2",
        "a:3",
    ];
    assert_eq!(told(&house), wanted);
    assert_eq!(row(&house, "b").told, 3);
    let seen = adapter.seen.lock().unwrap();
    assert_eq!(seen.told.len(), 6, "nobody hears of what is left out");
    assert_eq!(seen.pulse.left_out(), 3);
    let left_out = house.store.root().left_out.unwrap();
    assert_eq!(left_out.sieve.to_string(), "exclude name=b");
}

#[tokio::test(start_paused = true)]
async fn a_restart_tells_nothing_again_and_nothing_that_was_left_out() {
    let house = leaving_out("b");
    let mut source = Source::new(&[("a", 1), ("b", 1)]);
    let mut adapter = house.watcher("a").await;
    adapter.tell(&source).await;
    seconds(2).await;
    source.grow("b");
    adapter.tell(&source).await;
    let (before, since) = (told(&house), house.store.root().left_out);
    for is_orderly in [true, false] {
        if is_orderly {
            adapter.committer.close().await.unwrap();
        }
        seconds(1).await;
        adapter = house.watcher("a").await;
        adapter.tell(&source).await;
        assert_eq!(told(&house), before);
        assert_eq!(house.store.root().left_out, since);
    }
    source.grow("b");
    source.grow("a");
    adapter.tell(&source).await;
    assert_eq!(told(&house).last().unwrap(), "a:2");
}

#[tokio::test(start_paused = true)]
async fn a_sieve_that_begins_changes_or_ends_is_told_with_the_next_look() {
    let mut house = House::new();
    let mut source = Source::new(&[("a", 1), ("b", 1)]);
    let mut adapter = house.watcher("a").await;
    adapter.tell(&source).await;
    let mut wanted: Vec<String> = ["connected", "a:1", "b:1"].map(str::to_owned).into();
    for (sieve, turn) in [
        (Some(without("b")), "nothing -> exclude name=b"),
        (Some(without("a")), "exclude name=b -> exclude name=a"),
        (None, "exclude name=a -> nothing"),
    ] {
        adapter.committer.close().await.unwrap();
        seconds(1).await;
        house.sieve = sieve;
        adapter = house.watcher("a").await;
        let looked_at = house.store.root().looked_at;
        adapter.tell(&source).await;
        wanted.push(turn.to_owned());
        assert_eq!(told(&house), wanted, "nothing else changed");
        let root = house.store.root();
        let left_out = root
            .left_out
            .map(|left_out| (left_out.since, left_out.sieve));
        let ours = house.sieve.as_deref().cloned();
        assert_eq!(left_out, ours.map(|sieve| (looked_at, sieve)));
        for key in ["a", "b"] {
            seconds(2).await;
            source.grow(key);
            adapter.tell(&source).await;
        }
        match turn {
            "nothing -> exclude name=b" => wanted.push("a:2".into()),
            "exclude name=b -> exclude name=a" => wanted.push("b:3".into()),
            // Everything is told again, and the numbers say that something was not.
            _ => wanted.extend(["a:4".to_owned(), "b:4".to_owned()]),
        }
        assert_eq!(told(&house), wanted);
    }
    let stream = house.store.stream.lock().unwrap();
    let gaps: Vec<_> = stream
        .events
        .iter()
        .filter_map(|event| event.gap.clone())
        .collect();
    assert_eq!(
        gaps[0].from,
        Some(gaps[0].to),
        "nothing was left out before"
    );
    assert!(gaps[1].from < Some(gaps[1].to));
    assert!(gaps[1].to <= gaps[2].to);
    let origins = stream
        .events
        .iter()
        .skip(3)
        .map(|event| event.origin.as_str());
    assert!(origins.into_iter().all(|origin| origin == "change"));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_the_broker_is_sifted_too_and_comes_back_from_the_disk() {
    for restarts in [false, true] {
        let house = with_spool("b");
        let mut source = Source::new(&[("a", 1), ("b", 1)]);
        let mut adapter = house.watcher("a").await;
        adapter.tell(&source).await;
        house.store.set_online(false);
        for key in ["b", "a", "b"] {
            seconds(2).await;
            source.grow(key);
            adapter.tell(&source).await;
        }
        if restarts {
            drop(adapter);
            adapter = house.start_late("a", None);
            seconds(1).await;
            adapter.tell(&source).await;
        }
        house.store.set_online(true);
        seconds(2).await;
        adapter.tell(&source).await;
        let wanted = ["connected", "nothing -> exclude name=b", "a:1", "a:2"];
        assert_eq!(told(&house), wanted, "{restarts}");
        assert_eq!((row(&house, "b").value, row(&house, "b").told), (3, 3));
        assert_eq!(row(&house, "a").value, 2);
        assert!(house.store.root().left_out.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_sieve_that_ends_while_the_broker_is_away_is_told_in_its_place() {
    let mut house = with_spool("b");
    let mut source = Source::new(&[("a", 1), ("b", 1)]);
    let mut adapter = house.watcher("a").await;
    adapter.tell(&source).await;
    house.store.set_online(false);
    for key in ["b", "a"] {
        seconds(2).await;
        source.grow(key);
        adapter.tell(&source).await;
    }
    drop(adapter);
    house.sieve = None;
    adapter = house.start_late("a", None);
    for key in ["b", "a"] {
        seconds(2).await;
        source.grow(key);
        adapter.tell(&source).await;
    }
    house.store.set_online(true);
    adapter.tell(&source).await;
    let wanted = [
        "connected",
        "nothing -> exclude name=b",
        "a:1",
        "a:2",
        "exclude name=b -> nothing",
        "b:3",
        "a:3",
    ];
    assert_eq!(told(&house), wanted);
    assert_eq!(house.store.root().left_out, None);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_left_everything_out_and_got_no_answer_is_found_out_by_the_head() {
    for fault in [
        Fault::UnknownStored,
        Fault::UnknownLost,
        Fault::Busy("full"),
    ] {
        let house = leaving_out("b");
        let mut source = Source::new(&[("a", 1), ("b", 1)]);
        let mut adapter = house.watcher("a").await;
        adapter.tell(&source).await;
        house.store.faults([fault]);
        for key in ["b", "a"] {
            seconds(2).await;
            source.grow(key);
            adapter.tell(&source).await;
        }
        seconds(2).await;
        adapter.tell(&source).await;
        let wanted = ["connected", "nothing -> exclude name=b", "a:1", "a:2"];
        assert_eq!(told(&house), wanted);
        assert_eq!((row(&house, "b").value, row(&house, "b").told), (2, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn two_adapters_that_were_told_different_things_do_not_contradict_each_other_for_ever() {
    let mut house = leaving_out("b");
    let source = Source::new(&[("a", 1), ("b", 1)]);
    let mut one = house.watcher("a").await;
    one.tell(&source).await;
    house.sieve = Some(without("a"));
    let mut other = house.watcher("b").await;
    for _ in 0..120 {
        seconds(1).await;
        one.turn(&source).await.unwrap();
        seconds(1).await;
        other.turn(&source).await.unwrap();
    }
    // Each may win a refresh before one of them stands by; then that is all.
    let before = told(&house);
    assert!(before.len() <= 5, "{before:?}");
    for _ in 0..60 {
        seconds(2).await;
        one.turn(&source).await.unwrap();
        other.turn(&source).await.unwrap();
    }
    assert_eq!(told(&house), before);
    assert!(one.held.is_some() != other.held.is_some());
    let (left, names) = if one.held.is_some() {
        drop(other);
        (&mut one, ["a", "b"])
    } else {
        drop(one);
        (&mut other, ["b", "a"])
    };
    let in_force = || house.store.root().left_out.unwrap().sieve.to_string();
    assert_eq!(in_force(), format!("exclude name={}", names[0]));
    // The one that is left says what it leaves out.
    for _ in 0..30 {
        seconds(2).await;
        left.turn(&source).await.unwrap();
    }
    let turn = format!("exclude name={} -> exclude name={}", names[0], names[1]);
    assert_eq!(told(&house)[before.len()..], ["gap: adapter_down", &turn]);
    assert_eq!(in_force(), format!("exclude name={}", names[1]));
}

#[tokio::test(start_paused = true)]
async fn who_takes_a_head_over_says_what_it_leaves_out_as_soon_as_the_head_is_its_own() {
    let mut house = House::new();
    let source = Source::new(&[("a", 1), ("b", 1)]);
    let mut adapter = house.watcher("a").await;
    adapter.tell(&source).await;
    drop(adapter);
    seconds(60).await;
    house.sieve = Some(without("b"));
    let mut other = house.watcher("b").await;
    for _ in 0..2 {
        other.tell(&source).await;
        seconds(2).await;
    }
    let wanted = ["gap: adapter_down", "nothing -> exclude name=b"];
    assert_eq!(told(&house)[3..], wanted);
}

#[tokio::test(start_paused = true)]
async fn an_entry_of_the_spool_says_what_is_left_out_and_one_that_says_nothing_is_as_it_was() {
    let house = leaving_out("b");
    let mut adapter = house.watcher("a").await;
    adapter.tell(&Source::new(&[("a", 1)])).await;
    let with = adapter.committer.silent_frame();
    let written = entry::frame(&with);
    let Ok(Entry::Frame(read)) = entry::decode(&written) else {
        panic!("a frame");
    };
    assert_eq!(read.standing, with.standing);
    assert!(read.standing.left_out.is_some());
    let mut without = adapter.committer.silent_frame();
    without.standing.left_out = None;
    let plain = entry::frame(&without);
    assert!(written.starts_with(&plain) && plain.len() < written.len());
    assert!(entry::decode(&written[..written.len() - 1]).is_err());
}

#[tokio::test(start_paused = true)]

async fn what_another_adapter_did_without_a_number_is_not_written_back() {
    let house = leaving_out("quiet");
    let mut source = Source::new(&[("api", 1), ("quiet", 1)]);
    let (mut a, mut b) = (house.watcher("a").await, house.watcher("b").await);
    a.tell(&source).await;
    b.tell(&source).await;
    for _ in 0..3 {
        seconds(2).await;
        source.grow("quiet");
        b.tell(&source).await;
    }
    let theirs = row(&house, "quiet");
    let numbers = told(&house).len();
    seconds(2).await;
    source.grow("quiet");
    a.tell(&source).await;
    let ours = row(&house, "quiet");
    assert_eq!((ours.told, ours.value), (theirs.told + 1, theirs.value + 1));
    assert_eq!(told(&house).len(), numbers);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_by_another_adapter_is_no_reason_to_begin_again() {
    let house = leaving_out("quiet");
    let mut source = Source::new(&[("api", 1), ("quiet", 1)]);
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    house.store.refresh(|root| root.adapter = "b".to_owned());
    source.grow("quiet");
    assert_eq!(a.look(&source).await.unwrap(), Told::Taken);
}

#[tokio::test(start_paused = true)]
async fn a_new_journal_says_what_is_left_out() {
    let house = leaving_out("b");
    let mut source = Source::new(&[("a", 1), ("b", 1)]);
    let mut adapter = house.watcher("a").await;
    adapter.tell(&source).await;
    let former = house.store.root().left_out.unwrap();
    house.store.stream.lock().unwrap().gone = true;
    for key in ["a", "b", "a"] {
        seconds(2).await;
        source.grow(key);
        adapter.tell(&source).await;
    }
    let told = told(&house);
    let turn = "nothing -> exclude name=b".to_owned();
    assert_eq!(told.iter().filter(|it| **it == turn).count(), 1, "{told:?}");
    let left_out = house.store.root().left_out.unwrap();
    assert_eq!(left_out.sieve, former.sieve);
    assert!(left_out.since > former.since);
}
