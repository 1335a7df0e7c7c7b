//! A broker without room: what it cannot take waits, and what it drops is noticed or kept.

use serde_json::{Value, json};

use super::house::{brief, client};
use super::outages::{Trial, api, codes};
use crate::support::nats::NatsServer;

/// Fills whatever may be filled with messages of this size, until the broker refuses one; gives its words.
async fn fill(nats: &NatsServer, subject: &str, bytes: usize) -> String {
    let client = client(nats).await;
    for _ in 0..10_000 {
        let answer = client
            .request(subject.to_owned(), vec![b'x'; bytes].into())
            .await
            .unwrap();
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
        if answer.get("error").is_some() {
            return answer.to_string();
        }
    }
    panic!("it takes everything")
}

/// Nothing fits; then there is room again, and everything is told.
async fn waits_for_room(mut trial: Trial, subject: &str, purged: &str) {
    for bytes in [100_000, 1000, 1] {
        eprintln!("{}", fill(&trial.house.nats, subject, bytes).await);
    }
    trial.exits(4).await;
    trial.notices(1).await;
    trial.exits(5).await;
    eprintln!("{:#?}", trial.adapter.err.all());
    trial
        .api(
            &format!("STREAM.PURGE.{purged}"),
            json!({ "filter": subject }),
        )
        .await;
    trial.reader.tells("\"code\":5").await;
    let told = trial.ends_well(&[]).await;
    assert_eq!(codes(&told), [3, 4, 5, 99], "{:#?}", brief(&told));
    assert_eq!(trial.adapter.err.count("is away"), 1);
    assert_eq!(trial.adapter.err.count("is back"), 1);
}

const ACCOUNT: &str = "
jetstream { store_dir: \"STORE\" }
accounts { A { jetstream { max_file: 4MB }, users: [ { user: u, password: u } ] } }
no_auth_user: u
";

#[tokio::test]
async fn a_broker_or_an_account_without_room_is_waited_for() {
    let server = "jetstream { store_dir: \"STORE\", max_file_store: 4MB }";
    for config in [server, ACCOUNT] {
        let nats = NatsServer::with(config);
        let fill = json!({ "name": "FILL", "subjects": ["fill"] });
        api(&nats, "STREAM.CREATE.FILL", fill).await;
        let trial = Trial::on(nats, &["--max-bytes", "1048576"]).await;
        waits_for_room(trial, "fill", "FILL").await;
    }
}

#[tokio::test]
async fn a_stream_that_refuses_what_is_new_is_waited_for() {
    let nats = NatsServer::start();
    let stream = json!({
        "name": "PROCESS_EVENTS", "subjects": ["core.>"], "discard": "new", "max_bytes": 200_000,
        "allow_atomic": true, "allow_rollup_hdrs": true, "allow_msg_ttl": true,
    });
    api(&nats, "STREAM.CREATE.PROCESS_EVENTS", stream).await;
    let trial = Trial::on(nats, &[]).await;
    waits_for_room(trial, "core.noise", "PROCESS_EVENTS").await;
}

#[tokio::test]
#[ignore = "by hand"]
async fn disk_full_by_hand() {
    let nats = NatsServer::with("jetstream { store_dir: \"/tmp/tfs/store\" }");
    let mut trial = Trial::on(nats, &["--max-bytes", "1048576"]).await;
    let mut n = 0;
    let mut size = 1 << 20;
    while size > 0 {
        n += 1;
        if std::fs::write(format!("/tmp/tfs/fill{n}"), vec![b'x'; size]).is_err() {
            size /= 2;
        }
        if size < 512 {
            break;
        }
    }
    trial.exits(4).await;
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    trial.exits(5).await;
    tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    eprintln!("{:#?}", trial.adapter.err.all());
    for i in 1..=n {
        drop(std::fs::remove_file(format!("/tmp/tfs/fill{i}")));
    }
    eprintln!("freed");
    tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    eprintln!(
        "{:#?} {}",
        trial.adapter.err.all(),
        trial.adapter.is_running()
    );
    eprintln!("{}", trial.house.nats.log());
    let told = trial.ends_well(&[]).await;
    eprintln!("{:?}", codes(&told));
}
