//! Readers whose place the broker remembers.

use std::time::Duration;

use observe::bus::durable_reader::DurableReader;
use observe::bus::read::Told;
use tokio::time::timeout;

use super::read::durable;
use super::*;
use crate::support::nats::NatsServer;

#[tokio::test]
async fn two_durable_readers_of_one_name_that_begin_together_lose_nothing() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let other = second(&server).await;
    // Neither asks yet, so neither notices the other.
    let mut readers = [durable(&bus).await, durable(other.bus()).await];
    let mut base = 0;
    for seq in 1..=10 {
        base = commit(&store, base, seq, 1).await.unwrap();
    }
    let [one, two] = &mut readers;
    let (mut first, mut last) = (Vec::new(), Vec::new());
    let all = async {
        while (1..=10).any(|seq| !first.contains(&seq) && !last.contains(&seq)) {
            let (told, by, seen) = tokio::select! {
                told = one.next() => (told, 1, &mut first),
                told = two.next() => (told, 2, &mut last),
            };
            if let Told::Record(record) = told.unwrap() {
                seen.push(record.envelope.seq);
                if by == 1 {
                    one.done().await;
                } else {
                    two.done().await;
                }
            }
        }
    };
    timeout(Duration::from_secs(40), all)
        .await
        .expect("something is lost");
    for seen in [first, last] {
        assert!(seen.is_sorted(), "{seen:?}");
    }
}

#[tokio::test]
async fn what_was_told_and_could_not_be_acknowledged_is_not_told_again() {
    let mut server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let mut durable = durable(&bus).await;
    let base = commit(&store, 0, 1, 2).await.unwrap();
    for seq in 1..=2 {
        let Told::Record(record) = told_by(&mut durable).await else {
            panic!("no event");
        };
        assert_eq!(record.envelope.seq, seq);
        if seq == 2 {
            restart(&mut server, &bus, NatsServer::kill).await;
        }
        durable.done().await;
    }
    commit(&second(&server).await, base, 3, 1).await.unwrap();
    loop {
        if let Told::Record(record) = told_by(&mut durable).await {
            assert_eq!(record.envelope.seq, 3);
            return;
        }
    }
}

async fn told_by(durable: &mut DurableReader) -> Told {
    timeout(Duration::from_secs(40), durable.next())
        .await
        .expect("nothing was told")
        .unwrap()
}

#[tokio::test]
async fn a_durable_reader_without_the_right_to_ask_is_refused() {
    let server = restricted("\"$JS.API.CONSUMER.MSG.NEXT.>\"");
    let admin = connect(&user(&server, "admin")).await.unwrap();
    ensure(&admin, &user(&server, "admin")).await.unwrap();
    let bus = connect(&user(&server, "u")).await.unwrap();
    let mut durable = durable(&bus).await;
    let refused = timeout(LIMIT, async {
        loop {
            if let Err(error) = durable.next().await {
                return error;
            }
        }
    });
    says(
        &refused.await.unwrap().to_string(),
        &["forbids us to publish to $JS.API.CONSUMER.MSG.NEXT.PROCESS_EVENTS.worker"],
    );
}
