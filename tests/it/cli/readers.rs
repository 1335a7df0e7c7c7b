//! Readers that end, stand still or are joined by others, and go on where the broker remembers.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use observe::bus::connect::Bus;
use observe::bus::publish::JetStreamStore;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::run::{Home, LIMIT, Run};
use crate::bus::{ask, commit, open, second, settings};
use crate::support::nats::NatsServer;
use crate::support::wait::until;
use observe::bus::stream::ensure;

/// A broker with a stream, somebody who tells into it, and a home for readers.
struct Desk {
    nats: NatsServer,
    home: Home,
    bus: Bus,
    store: JetStreamStore,
    base: u64,
    seq: u64,
}

impl Desk {
    async fn new() -> Self {
        let nats = NatsServer::start();
        let (bus, store) = open(&nats).await;
        Self {
            nats,
            home: Home::new(),
            bus,
            store,
            base: 0,
            seq: 0,
        }
    }

    async fn tell(&mut self, count: u64) {
        self.base = commit(&self.store, self.base, self.seq + 1, count)
            .await
            .unwrap();
        self.seq += count;
    }

    fn watch(&self, more: &[&str]) -> Run {
        let url = self.nats.url();
        self.home.run(&args(&url, more))
    }

    /// A watch that reads under a name and has begun.
    async fn durable(&self, more: &[&str]) -> Run {
        let run = self.watch(&[&["--durable", "mailer"], more].concat());
        run.says("durable mailer").await;
        run
    }

    fn unread(&self, more: &[&str]) -> Run {
        let url = self.nats.url();
        Run::unread(&mut self.home.command(&args(&url, more)))
    }

    async fn consumer(&self) -> Value {
        ask(&self.bus, "CONSUMER.INFO.PROCESS_EVENTS.mailer", json!({})).await
    }
}

fn args<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["watch", "-s", url, "--json"], more].concat()
}

fn numbers(run: &Run) -> Vec<u64> {
    run.out.all().iter().map(|line| number(line)).collect()
}

fn number(line: &str) -> u64 {
    let event: Value = serde_json::from_str(line).unwrap();
    event["seq"].as_u64().unwrap()
}

/// Waits until so many lines are told, and gives their numbers.
async fn told(run: &Run, count: usize) -> Vec<u64> {
    until(LIMIT, "so many lines", async || numbers(run).len() >= count).await;
    numbers(run)
}

#[tokio::test]
async fn a_durable_watch_goes_on_where_the_last_one_of_its_name_ended() {
    let mut desk = Desk::new().await;
    desk.tell(2).await;
    let mut first = desk.durable(&[]).await;
    first.says("is new and begins behind seq 3").await;
    let last = desk.watch(&["--durable", "last", "-n", "1"]);
    assert_eq!(told(&last, 1).await, [2]);
    desk.tell(3).await;
    assert_eq!(told(&first, 3).await, [3, 4, 5]);
    assert_eq!(first.end_by(Signal::TERM).await, 143);
    desk.tell(4).await;
    let second = desk.durable(&[]).await;
    second.says("goes on behind seq").await;
    assert_eq!(
        second.err.count("4 events wait"),
        1,
        "{:?}",
        second.err.all()
    );
    assert_eq!(told(&second, 4).await, [6, 7, 8, 9]);
    desk.tell(1).await;
    assert_eq!(told(&second, 5).await, [6, 7, 8, 9, 10]);
}

#[tokio::test]
async fn a_killed_reader_gets_again_what_was_not_written_and_nothing_else() {
    let mut desk = Desk::new().await;
    // Nobody reads its stdout: the pipe and the way to it fill up, and the rest waits at the broker.
    let mut stuck = desk.unread(&["--durable", "mailer"]);
    stuck.says("durable mailer").await;
    desk.tell(300).await;
    until(LIMIT, "a pipe that is full", async || {
        let before = desk.consumer().await["ack_floor"]["stream_seq"].clone();
        tokio::time::sleep(Duration::from_millis(300)).await;
        before != 0 && before == desk.consumer().await["ack_floor"]["stream_seq"]
    })
    .await;
    stuck.send(Signal::KILL);
    let read = tokio::task::spawn_blocking({
        let out = stuck.stdout();
        move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            let whole = lines.filter(|line| line.ends_with('}'));
            whole.map(|line| number(&line)).collect::<Vec<_>>()
        }
    })
    .await
    .unwrap();
    assert!(read.len() < 300, "the pipe was never full");
    let last = *read.last().unwrap();
    let second = desk.durable(&[]).await;
    let again = told(&second, usize::try_from(300 - last).unwrap()).await;
    // The line that was being written when it was killed may be whole and yet not acknowledged.
    assert!(
        [last, last + 1].contains(&again[0]),
        "{last} then {again:?}"
    );
    assert_eq!(again, (again[0]..=300).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_name_is_refused_for_another_filter_and_for_a_second_reader() {
    let desk = Desk::new().await;
    let mut first = desk.durable(&["--type", "crashed,stopped", "api"]).await;
    until(LIMIT, "a reader that waits", async || {
        desk.consumer().await["num_waiting"] == 1
    })
    .await;
    let same = ["--durable", "mailer", "--type", "stopped,crashed", "api"];
    let (code, line) = desk.watch(&same).refused().await;
    assert_eq!(code, 1, "{line}");
    assert!(
        line.contains("another program reads as durable mailer"),
        "{line}"
    );
    assert_eq!(first.end_by(Signal::TERM).await, 143);
    let (code, line) = desk.watch(&["--durable", "mailer", "web"]).refused().await;
    assert_eq!(code, 1, "{line}");
    for word in [
        "process=api type=crashed,stopped",
        "wanted: process=web",
        "nats consumer rm PROCESS_EVENTS mailer",
    ] {
        assert!(line.contains(word), "{word} is not in {line}");
    }
    let (code, line) = desk.watch(&["--durable", "a.b"]).refused().await;
    assert_eq!(code, 2, "{line}");
    // Without a broker nobody would remember the place.
    let alone = [
        "watch",
        "--durable",
        "mailer",
        "-s",
        "nats://127.0.0.1:1",
        "--no-retry",
    ];
    let (code, line) = desk.home.run(&alone).refused().await;
    assert_eq!(code, 4, "{line}");
    desk.durable(&same[2..]).await;
}

#[tokio::test]
async fn ctrl_c_ends_a_watch_whose_reader_stands_still_and_what_was_not_written_is_not_lost() {
    let mut desk = Desk::new().await;
    let mut stuck = desk.unread(&["--durable", "mailer"]);
    stuck.says("durable mailer").await;
    let mut plain = desk.unread(&[]);
    plain.says("no source tells").await;
    desk.tell(900).await;
    until(LIMIT, "a pipe that is full", async || {
        let before = desk.consumer().await["ack_floor"]["stream_seq"].clone();
        tokio::time::sleep(Duration::from_millis(300)).await;
        before != 0 && before == desk.consumer().await["ack_floor"]["stream_seq"]
    })
    .await;
    for run in [&mut stuck, &mut plain] {
        run.send(Signal::INT);
        let code = run.ends_within(Duration::from_secs(2)).await;
        assert_eq!(code, 130, "{:?}", run.err.all());
    }
    let second = desk.durable(&["--count", "1"]).await;
    let next = told(&second, 1).await[0];
    assert!((2..900).contains(&next), "{next}");
}

#[tokio::test]
async fn what_expired_before_a_durable_watch_read_it_is_told() {
    let mut desk = Desk::new().await;
    let mut first = desk.durable(&[]).await;
    desk.tell(5).await;
    assert_eq!(told(&first, 5).await, [1, 2, 3, 4, 5]);
    assert_eq!(first.end_by(Signal::TERM).await, 143);
    desk.tell(4).await;
    let purge = json!({ "filter": "core.process.>" });
    ask(&desk.bus, "STREAM.PURGE.PROCESS_EVENTS", purge).await;
    desk.tell(1).await;
    let second = desk.durable(&[]).await;
    assert_eq!(told(&second, 1).await, [10]);
    second.says("shop: 4 events (6 to 9) are missing").await;
    let all = json!({});
    let mut other = desk.watch(&["--durable", "crashes", "--type", "crashed"]);
    other.says("durable crashes").await;
    other.send(Signal::KILL);
    other.ends().await;
    desk.tell(1).await;
    ask(&desk.bus, "STREAM.PURGE.PROCESS_EVENTS", all).await;
    desk.base = 0;
    desk.tell(1).await;
    let other = desk.watch(&["--durable", "crashes", "--type", "crashed"]);
    other
        .says("whether events were among it is not known")
        .await;
}

#[tokio::test]
async fn a_durable_watch_goes_on_across_everything_that_happens_to_the_broker() {
    let mut desk = Desk::new().await;
    let watch = desk.durable(&[]).await;
    desk.tell(3).await;
    told(&watch, 3).await;
    // An operator deletes the consumer.
    watch.send(Signal::STOP);
    ask(
        &desk.bus,
        "CONSUMER.DELETE.PROCESS_EVENTS.mailer",
        json!({}),
    )
    .await;
    desk.tell(2).await;
    watch.send(Signal::CONT);
    told(&watch, 5).await;
    // The broker is killed.
    desk.nats.kill();
    watch.says("is away").await;
    desk.nats.again();
    desk.store = second(&desk.nats).await;
    desk.bus = desk.store.bus().clone();
    desk.tell(2).await;
    told(&watch, 7).await;
    // The stream is made anew.
    ask(&desk.bus, "STREAM.DELETE.PROCESS_EVENTS", json!({})).await;
    ensure(&desk.bus, &settings(&desk.nats)).await.unwrap();
    desk.base = 0;
    desk.tell(2).await;
    assert_eq!(told(&watch, 9).await, (1..=9).collect::<Vec<_>>());
    assert_eq!(
        watch.err.count("the stream is another"),
        1,
        "{:?}",
        watch.err.all()
    );
}

#[tokio::test]
async fn a_slow_reader_of_our_pipe_gets_everything_once_across_a_restart_of_the_broker() {
    let mut desk = Desk::new().await;
    let mut slow = desk.unread(&[]);
    slow.says("no source tells").await;
    for _ in 0..3 {
        desk.tell(900).await;
    }
    desk.nats.kill();
    desk.nats.again();
    desk.store = second(&desk.nats).await;
    desk.tell(300).await;
    let out = slow.stdout();
    let read = tokio::task::spawn_blocking(move || {
        let lines = BufReader::new(out).lines().map_while(Result::ok);
        lines
            .take(3000)
            .map(|line| number(&line))
            .collect::<Vec<_>>()
    });
    let read = tokio::time::timeout(LIMIT, read).await.unwrap().unwrap();
    assert_eq!(read, (1..=3000).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_expired_while_a_watch_was_away_is_told_as_a_hole() {
    let mut desk = Desk::new().await;
    desk.tell(2).await;
    let watch = desk.watch(&["api"]);
    watch.says("shop: ").await;
    until(LIMIT, "a consumer", async || {
        ask(&desk.bus, "CONSUMER.NAMES.PROCESS_EVENTS", json!({})).await["total"] == 1
    })
    .await;
    watch.send(Signal::STOP);
    desk.nats.kill();
    desk.nats.again();
    desk.store = second(&desk.nats).await;
    desk.bus = desk.store.bus().clone();
    desk.tell(3).await;
    let purge = json!({ "filter": "core.process.>" });
    ask(&desk.bus, "STREAM.PURGE.PROCESS_EVENTS", purge).await;
    desk.tell(1).await;
    watch.send(Signal::CONT);
    assert_eq!(told(&watch, 1).await, [6]);
    watch.says("shop: 3 events (3 to 5) are missing").await;
}
