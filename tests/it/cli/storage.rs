//! A broker without room: what it cannot take waits, and what it drops is noticed or kept.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use observe::event::store::Root;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::house::{House, brief, client};
use super::outages::{Trial, added_nobody, api, codes};
use super::run::LIMIT;
use super::stack::Stack;
use crate::support::nats::NatsServer;
use crate::support::wait::until;

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
        fill(&trial.house.nats, subject, bytes).await;
    }
    trial.exits(4).await;
    trial.notices(1).await;
    trial.exits(5).await;
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

/// The broker's disk takes no new file: messages of a batch vanish without a word, and the batch is called incomplete.
#[tokio::test]
async fn a_broker_whose_disk_takes_nothing_is_waited_for() {
    let trial = Trial::new().await;
    let staging = trial
        .house
        .nats
        .store()
        .join("jetstream/$G/streams/PROCESS_EVENTS/batches");
    std::fs::remove_dir_all(&staging).unwrap();
    std::fs::write(&staging, "no folder").unwrap();
    trial.exits(4).await;
    trial.notices(1).await;
    // More than the three that were once too many.
    trial.exits(5).await;
    trial.exits(6).await;
    std::fs::remove_file(&staging).unwrap();
    let mut trial = trial;
    trial.reader.tells("\"code\":6").await;
    let told = trial.ends_well(&[]).await;
    assert_eq!(codes(&told), [3, 4, 5, 6, 99], "{:#?}", brief(&told));
    let line = trial.adapter.says("is away").await;
    assert!(line.contains("room on its disk"), "{line}");
}

/// A hundred processes with long names, in several shards, none of which does anything.
fn many() -> String {
    let mut yaml =
        "name: shop\nkeep: true\nprocesses:\n  worker: {restart: always, backoff: 1s}\n".to_owned();
    let long = "x".repeat(900);
    for number in 0..100 {
        writeln!(yaml, "  \"{long}{number}\": {{}}").unwrap();
    }
    yaml
}

/// Others store so many bytes.
async fn noise(nats: &NatsServer, bytes: usize) {
    let context = async_nats::jetstream::new(client(nats).await);
    for _ in 0..bytes.div_ceil(10_000) {
        let stored = context.publish("core.head.noise.0", vec![b'x'; 9_900].into());
        stored.await.unwrap().await.unwrap();
    }
}

/// The root of `shop`, and where its shards stand.
async fn root(nats: &NatsServer) -> (Root, Vec<u64>) {
    let which = json!({ "last_by_subj": "core.head.shop" });
    let found = api(nats, "STREAM.MSG.GET.PROCESS_EVENTS", which).await;
    let payload = found["message"]["data"].as_str().unwrap();
    let payload = BASE64_STANDARD.decode(payload).unwrap();
    let root: Root = serde_json::from_slice(&payload).unwrap();
    let sequence = found["message"]["seq"].as_u64().unwrap();
    let places = root.shards.iter().map(|place| place.resolve(sequence));
    let places = places.collect();
    (root, places)
}

#[tokio::test]
async fn a_quiet_source_keeps_its_head_where_others_overrun_the_stream() {
    let house = House {
        stack: Stack::play(&many()).await,
        ..House::new().await
    };
    let args = ["--max-bytes", "3145728", "--interval", "1s"];
    let mut adapter = house.home.run(
        &[
            &[
                "-v",
                "adapter",
                "-p",
                &house.stack.port,
                "-s",
                &house.nats.url(),
            ],
            &args[..],
        ]
        .concat(),
    );
    house.told(101).await;
    let began = root(&house.nats).await.0;
    until(
        LIMIT,
        "a refresh, with all that was learnt meanwhile",
        async || root(&house.nats).await.0.looked_at > began.looked_at,
    )
    .await;
    let (first, places) = root(&house.nats).await;
    assert!(places.len() > 1, "{first:?}");
    // Nearly full: what was told first, and the head with it, is the next to go.
    noise(&house.nats, 2_000_000).await;
    until(LIMIT, "all shards stand elsewhere", async || {
        let now = root(&house.nats).await.1;
        now.iter().all(|place| !places.contains(place))
    })
    .await;
    let kept = root(&house.nats).await.0;
    assert_eq!((&kept.journal, kept.seq), (&first.journal, first.seq));
    noise(&house.nats, 1_500_000).await;
    assert_eq!(adapter.end_by(Signal::TERM).await, 143);
    let again = house.adapter(&[]);
    again.says("shop: process-compose").await;
    house.stack.exit("worker", 3).await;
    house.tells("crashed", "worker", 1).await;
    let told = house.told(1).await;
    let last = told.last().unwrap();
    assert_eq!(
        last.journal,
        first.journal,
        "{:#?}",
        brief(&told[told.len() - 3..])
    );
    assert!(told.iter().all(|event| event.gap.is_none()));
    assert_eq!(again.err.count("shop"), 1, "{:#?}", again.err.all());
}

/// Removes the first shard of the head by hand.
async fn delete_shard(trial: &Trial) -> Vec<u64> {
    let (_, places) = root(&trial.house.nats).await;
    let which = json!({ "seq": places[0] });
    trial.api("STREAM.MSG.DELETE.PROCESS_EVENTS", which).await;
    places
}

#[tokio::test]
async fn a_shard_deleted_under_a_running_adapter_is_written_again_from_its_memory() {
    let mut trial = Trial::new().await;
    let places = delete_shard(&trial).await;
    // What changes there writes it again in any case; a quiet one does so at its next refresh.
    until(LIMIT, "another place", async || {
        root(&trial.house.nats).await.1 != places
    })
    .await;
    assert_eq!(trial.adapter.end_by(Signal::TERM).await, 143);
    trial.adapter = trial.house.working(&[]).await;
    trial.ends_well(&[]).await;
}

#[tokio::test]
async fn a_shard_deleted_while_the_adapter_is_down_begins_a_new_journal_and_adds_nobody() {
    let mut trial = Trial::new().await;
    assert_eq!(trial.adapter.end_by(Signal::TERM).await, 143);
    delete_shard(&trial).await;
    trial.adapter = trial.house.working(&[]).await;
    trial.reader.tells("\"stream_lost\"").await;
    let told = trial.ends_well(&["stream_lost"]).await;
    added_nobody(&told);
}

#[tokio::test]
async fn a_stream_too_small_for_its_stack_is_said() {
    let house = House {
        stack: Stack::play(&many()).await,
        ..House::new().await
    };
    let adapter = house.adapter(&["--max-bytes", "1048576"]);
    house.told(101).await;
    noise(&house.nats, 700_000).await;
    adapter.says("give it more room by --max-bytes").await;
}
