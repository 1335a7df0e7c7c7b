//! Readers whose place the broker remembers.

use std::time::Duration;

use observe::bus::durable_reader::DurableReader;
use observe::bus::read::Told;
use tokio::time::timeout;

use super::read::durable;
use super::*;
use crate::support::nats::NatsServer;

#[tokio::test]
async fn what_went_to_another_reader_that_died_is_told_and_in_its_order() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let other = second(&server).await;
    // Neither asks yet, so neither notices the other.
    let (mut one, mut two) = (durable(&bus).await, durable(other.bus()).await);
    commit(&store, 0, 1, 3).await.unwrap();
    let Told::Record(record) = told_by(&mut one).await else {
        panic!("no event");
    };
    assert_eq!(record.envelope.seq, 1);
    drop(one);
    let mut seen = Vec::new();
    while seen.len() < 3 {
        if let Told::Record(record) = told_by(&mut two).await {
            seen.push(record.envelope.seq);
            two.done().await;
        }
    }
    assert_eq!(seen, [1, 2, 3]);
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
