//! Readers of a store that came back as it was earlier, and that an adapter wrote into before they looked again.

use std::collections::BTreeMap;
use std::time::Duration;

use observe::bus::durable_reader::DurableReader;
use observe::bus::read::{Begin, Reader, Told};
use observe::bus::subscribe::{Deliveries, subscribe};
use observe::event::filter::Filter;
use tokio::time::timeout;

use super::read::durable;
use super::*;
use crate::support::nats::NatsServer;

const PATIENCE: Duration = Duration::from_secs(15);
/// What is told after the restore: fewer events than were told before it, and more.
const FEWER_AND_MORE: [u64; 2] = [5, 30];

/// A broker of which an older store is put back: five events are in it, ten more were told afterwards.
struct Restored {
    server: NatsServer,
    base: u64,
}

impl Restored {
    async fn new() -> (Self, Bus) {
        let mut server = NatsServer::start();
        let (bus, store) = open(&server).await;
        let base = commit(&store, 0, 1, 5).await.unwrap();
        keep(&mut server, &bus).await;
        (Self { server, base }, bus)
    }

    async fn tell_ten(&self) {
        let store = second(&self.server).await;
        commit(&store, self.base, 6, 10).await.unwrap();
    }

    async fn put_back(&mut self) -> JetStreamStore {
        restart_with(&mut self.server, |server| server.put_back(Some("older")));
        second(&self.server).await
    }

    /// Puts the older store back, and tells so many events into it before any reader looks.
    async fn put_back_and_tell(&mut self, count: u64) {
        let store = self.put_back().await;
        commit(&store, self.base, 6, count).await.unwrap();
    }
}

/// Keeps the store as it is now, and waits until the connection has been through that.
async fn keep(server: &mut NatsServer, bus: &Bus) {
    let end = |server: &mut NatsServer| {
        server.stop();
        server.copy_store("older");
    };
    restart(server, bus, end).await;
}

fn restart_with(server: &mut NatsServer, meanwhile: fn(&NatsServer)) {
    server.stop();
    meanwhile(server);
    server.again();
}

async fn tell_all(store: &JetStreamStore, expected: u64, events: &[Outgoing]) {
    let root = root(6);
    let commit = Commit {
        source: "shop",
        root: &root,
        expected,
        shards: &BTreeMap::new(),
        events,
    };
    store.commit(commit).await.unwrap();
}

fn live(bus: &Bus, from: Begin) -> Reader {
    let prefix = Prefix::default();
    Reader::live(bus, DEFAULT_STREAM, &prefix, Filter::all(), from)
}

/// Whoever tells something.
trait Tells {
    async fn tell(&mut self) -> Told;
}

impl Tells for Reader {
    async fn tell(&mut self) -> Told {
        self.next().await.unwrap()
    }
}

impl Tells for DurableReader {
    async fn tell(&mut self) -> Told {
        self.done().await;
        self.next().await.unwrap()
    }
}

/// The numbers told until the last one, and how often it was said that the stream is another.
async fn told(reader: &mut impl Tells, last: u64) -> (Vec<u64>, usize) {
    let (mut numbers, mut renewed) = (Vec::new(), 0);
    while numbers.last() != Some(&last) {
        let Ok(told) = timeout(PATIENCE, reader.tell()).await else {
            panic!("{numbers:?} and nothing more; renewed: {renewed}");
        };
        match told {
            Told::Record(record) => numbers.push(record.envelope.seq),
            Told::StreamRenewed => renewed += 1,
            _ => {}
        }
    }
    (numbers, renewed)
}

async fn caught_up(reader: &mut Reader) {
    while !matches!(
        timeout(PATIENCE, reader.tell()).await,
        Ok(Told::CaughtUp(_))
    ) {}
}

fn from_to(first: u64, last: u64) -> Vec<u64> {
    (first..=last).collect()
}

#[tokio::test]
async fn a_reader_goes_on_behind_the_last_event_it_handed_on() {
    for count in FEWER_AND_MORE {
        let (mut trial, bus) = Restored::new().await;
        let mut reader = live(&bus, Begin::Sequence(1));
        told(&mut reader, 5).await;
        trial.tell_ten().await;
        assert_eq!(told(&mut reader, 15).await, (from_to(6, 15), 0));
        trial.put_back_and_tell(count).await;
        let new = from_to(6, 5 + count);
        assert_eq!(told(&mut reader, 5 + count).await, (new, 1));
    }
}

#[tokio::test]
async fn a_reader_that_was_handed_nothing_yet_goes_on_behind_its_beginning() {
    let (mut trial, bus) = Restored::new().await;
    trial.tell_ten().await;
    let mut placed = live(&bus, Begin::Now);
    placed.take_place("").await.unwrap();
    let mut now = live(&bus, Begin::Now);
    caught_up(&mut now).await;
    let crashed = Filter::all().kind("crashed").unwrap();
    let prefix = Prefix::default();
    let mut last = Reader::live(&bus, DEFAULT_STREAM, &prefix, crashed, Begin::Last(5));
    caught_up(&mut last).await;
    let store = trial.put_back();
    let all = [
        event("api", EventKind::Crashed, 6),
        event("api", EventKind::Started, 7),
    ];
    tell_all(&store.await, trial.base, &all).await;
    for reader in [&mut placed, &mut now] {
        assert_eq!(told(reader, 7).await, (vec![6, 7], 1));
    }
    assert_eq!(told(&mut last, 6).await, (vec![6], 1));
}

#[tokio::test]
async fn a_reader_whose_broker_leaves_again_before_anything_is_told_repeats_nothing() {
    let (mut trial, bus) = Restored::new().await;
    let mut reader = live(&bus, Begin::Sequence(1));
    told(&mut reader, 5).await;
    trial.tell_ten().await;
    told(&mut reader, 15).await;
    drop(trial.put_back().await);
    let renewed = async { while !matches!(reader.tell().await, Told::StreamRenewed) {} };
    timeout(PATIENCE, renewed).await.unwrap();
    restart_with(&mut trial.server, |_| {});
    let store = second(&trial.server).await;
    commit(&store, trial.base, 6, 3).await.unwrap();
    assert_eq!(told(&mut reader, 8).await, (from_to(6, 8), 0));
}

#[tokio::test]
async fn a_number_that_is_missing_behind_the_restore_is_told() {
    let (mut trial, bus) = Restored::new().await;
    let mut reader = live(&bus, Begin::Sequence(1));
    told(&mut reader, 5).await;
    trial.tell_ten().await;
    told(&mut reader, 15).await;
    let store = trial.put_back().await;
    // An adapter that remembers more than the head begins a new journal.
    let anew = |seq| {
        let mut envelope =
            Envelope::parse(event("api", EventKind::Started, seq).payload()).unwrap();
        envelope.journal = "k".into();
        outgoing(&envelope)
    };
    tell_all(&store, trial.base, &[anew(1), anew(2), anew(3)]).await;
    for lost in [7, 8] {
        let lost = json!({ "seq": trial.base + lost });
        ask(store.bus(), "STREAM.MSG.DELETE.PROCESS_EVENTS", lost).await;
    }
    let hole = async {
        loop {
            if let Told::Hole {
                journal,
                after,
                before,
                ..
            } = reader.tell().await
            {
                return (journal, after, before);
            }
        }
    };
    assert_eq!(
        timeout(PATIENCE, hole).await.unwrap(),
        ("k".to_owned(), 0, 3)
    );
}

#[tokio::test]
async fn a_durable_reader_whose_place_is_not_in_the_older_store_goes_on_behind_the_last_event() {
    for count in FEWER_AND_MORE {
        let (mut trial, bus) = Restored::new().await;
        let mut reader = durable(&bus).await;
        trial.tell_ten().await;
        assert_eq!(told(&mut reader, 15).await, (from_to(6, 15), 0));
        trial.put_back_and_tell(count).await;
        let new = from_to(6, 5 + count);
        assert_eq!(told(&mut reader, 5 + count).await, (new, 1));
    }
}

#[tokio::test]
async fn a_durable_reader_that_was_handed_nothing_yet_goes_on_behind_its_beginning() {
    let (mut trial, bus) = Restored::new().await;
    trial.tell_ten().await;
    let mut reader = durable(&bus).await;
    trial.put_back_and_tell(5).await;
    assert_eq!(told(&mut reader, 10).await, (from_to(6, 10), 1));
}

#[tokio::test]
async fn a_durable_reader_whose_place_is_in_the_older_store_passes_over_nothing() {
    for count in FEWER_AND_MORE {
        let mut server = NatsServer::start();
        let (bus, store) = open(&server).await;
        let mut reader = durable(&bus).await;
        let base = commit(&store, 0, 1, 5).await.unwrap();
        assert_eq!(told(&mut reader, 5).await, (from_to(1, 5), 0));
        reader.done().await;
        keep(&mut server, &bus).await;
        let mut trial = Restored { server, base };
        trial.tell_ten().await;
        assert_eq!(told(&mut reader, 15).await, (from_to(6, 15), 0));
        trial.put_back_and_tell(count).await;
        let (numbers, renewed) = told(&mut reader, 5 + count).await;
        // What was acknowledged just before the copy was made may come once more.
        let first = numbers[0];
        assert!((1..=6).contains(&first), "{numbers:?}");
        assert_eq!((numbers, renewed), (from_to(first, 5 + count), 1));
    }
}

async fn given(deliveries: &mut Deliveries, last: u64) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        let Ok(delivery) = timeout(PATIENCE, deliveries.next()).await else {
            panic!("{numbers:?} and nothing more");
        };
        let delivery = delivery.unwrap();
        numbers.push(delivery.record.envelope.seq);
        delivery.ack().await.unwrap();
    }
    numbers
}

async fn subscribed(bus: &Bus, from: Begin) -> Deliveries {
    let subscription = subscribe(bus, Filter::all()).durable("worker").from(from);
    subscription.open().await.unwrap()
}

#[tokio::test]
async fn a_durable_subscription_that_is_not_in_the_older_store_goes_on_behind_the_last_event() {
    for count in FEWER_AND_MORE {
        let (mut trial, bus) = Restored::new().await;
        let mut deliveries = subscribed(&bus, Begin::Now).await;
        trial.tell_ten().await;
        assert_eq!(given(&mut deliveries, 15).await, from_to(6, 15));
        trial.put_back_and_tell(count).await;
        assert_eq!(
            given(&mut deliveries, 5 + count).await,
            from_to(6, 5 + count)
        );
    }
}

#[tokio::test]
async fn a_durable_subscription_gives_what_is_not_acknowledged_again_after_a_restore() {
    let (mut trial, bus) = Restored::new().await;
    let mut deliveries = subscribed(&bus, Begin::Sequence(1)).await;
    assert_eq!(given(&mut deliveries, 4).await, from_to(1, 4));
    let unacknowledged = timeout(PATIENCE, deliveries.next()).await.unwrap().unwrap();
    assert_eq!(unacknowledged.record.envelope.seq, 5);
    trial.tell_ten().await;
    assert_eq!(given(&mut deliveries, 15).await, from_to(6, 15));
    trial.put_back_and_tell(5).await;
    assert_eq!(given(&mut deliveries, 10).await, from_to(5, 10));
}

#[tokio::test]
async fn a_durable_subscription_that_was_given_nothing_yet_goes_on_behind_its_beginning() {
    let (mut trial, bus) = Restored::new().await;
    trial.tell_ten().await;
    let mut deliveries = subscribed(&bus, Begin::Now).await;
    trial.put_back_and_tell(5).await;
    assert_eq!(given(&mut deliveries, 10).await, from_to(6, 10));
}

#[tokio::test]
async fn a_new_durable_subscription_begins_at_the_last_events() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let mut base = commit(&store, 0, 1, 5).await.unwrap();
    let mut deliveries = subscribed(&bus, Begin::Last(2)).await;
    // Lost before it gave anything: its beginning does not move.
    ask(&bus, "CONSUMER.DELETE.PROCESS_EVENTS.worker", json!({})).await;
    base = commit(&store, base, 6, 3).await.unwrap();
    assert_eq!(given(&mut deliveries, 8).await, from_to(4, 8));
    commit(&store, base, 9, 1).await.unwrap();
    assert_eq!(given(&mut deliveries, 9).await, [9]);
}
