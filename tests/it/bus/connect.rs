//! Connections: nobody there, nobody let in, somebody later.

use observe::bus::connect::connect;
use observe::bus::error::Kind;
use observe::bus::link::Link;
use observe::bus::settings::{BusSettings, FirstConnect};
use observe::bus::stream::ensure;
use tokio::time::timeout;

use super::*;
use crate::support::nats::NatsServer;

#[tokio::test]
async fn a_wrong_password_and_a_wrong_address_are_told_apart() {
    let server = NatsServer::with("authorization { user: a, password: secret }");
    let settings = BusSettings::default().at(&server.url().replace("//", "//a:wrong@"));
    let error = connect(&settings).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Auth);
    says(&error.to_string(), &["does not let us in", "127.0.0.1"]);
    assert!(!error.to_string().contains("wrong"), "{error}");
    let nobody = connect(&BusSettings::default().at("nats://127.0.0.1:1"))
        .await
        .unwrap_err();
    assert_eq!(nobody.kind(), Kind::Unreachable);
    says(&nobody.to_string(), &["nats://127.0.0.1:1", "refused"]);
}

#[tokio::test]
async fn a_daemon_may_start_before_its_broker() {
    let mut server = NatsServer::start();
    server.stop();
    let settings = BusSettings {
        first_connect: FirstConnect::MayWait,
        ..settings(&server)
    };
    let bus = connect(&settings).await.unwrap();
    let mut link = bus.link();
    let refused =
        |link: &Link| matches!(link, Link::Away { why, .. } if &**why != "not reached yet");
    timeout(LIMIT, link.wait_for(refused))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        ensure(&bus, &settings).await.unwrap_err().kind(),
        Kind::Unreachable
    );
    server.again();
    timeout(LIMIT, bus.connected()).await.unwrap();
    assert!(ensure(&bus, &settings).await.unwrap().created);
    assert!(bus.server_version().is_some());
}

#[tokio::test]
async fn a_broker_that_no_longer_knows_us_is_told_as_such_and_forgiven() {
    let mut server = NatsServer::with("");
    let bus = connect(&settings(&server)).await.unwrap();
    server.stop();
    server.reconfigure("authorization { user: a, password: secret }");
    server.again();
    let mut link = bus.link();
    let unknown = |link: &Link| {
        matches!(
            link,
            Link::Away {
                unknown_to_broker: true,
                ..
            }
        )
    };
    timeout(LIMIT, link.wait_for(unknown))
        .await
        .unwrap()
        .unwrap();
    server.stop();
    server.reconfigure("");
    server.again();
    timeout(LIMIT, link.wait_for(Link::is_connected))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_frozen_broker_is_noticed_within_ten_seconds_and_its_thaw_too() {
    let server = NatsServer::start();
    let bus = connect(&settings(&server)).await.unwrap();
    server.freeze();
    let mut link = bus.link();
    timeout(
        Duration::from_secs(11),
        link.wait_for(|link| !link.is_connected()),
    )
    .await
    .expect("it is not noticed")
    .unwrap();
    server.thaw();
    timeout(LIMIT, bus.connected()).await.unwrap();
}
