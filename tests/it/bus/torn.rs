//! Commits that a full broker stores in part: a server that stands alone takes the messages of a batch one by one, and
//! stops without a word where the account has no room for the next.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use observe::event::store::{Commit, EventStore as _, ShardPlace, StoreError};
use tokio::time::Instant;

use super::*;

const ROOM: u64 = 4 * 1024 * 1024;
const ACCOUNT: &str = "
jetstream { store_dir: \"STORE\" }
accounts { A { jetstream { max_file: 4MB }, users: [ { user: u, password: u } ] } }
no_auth_user: u
";
/// So many events are in the commits of these tests, and so large are their rows.
const EVENTS: u64 = 10;
const ROWS: usize = 2000;

/// A server with a neighbour's stream beside ours, and one commit in ours.
async fn shared() -> (NatsServer, Bus, JetStreamStore) {
    let server = NatsServer::with(ACCOUNT);
    let settings = BusSettings {
        max_bytes: Some(1_000_000),
        ..settings(&server)
    };
    let bus = connect(&settings).await.unwrap();
    ensure(&bus, &settings).await.unwrap();
    let store = JetStreamStore::new(bus.clone(), DEFAULT_STREAM, Prefix::default());
    let neighbour = json!({ "name": "FILL", "subjects": ["fill"] });
    ask(&bus, "STREAM.CREATE.FILL", neighbour).await;
    (server, bus, store)
}

/// The neighbour takes all but so many bytes, or a few less, of what the account allows.
async fn leave(bus: &Bus, room: u64) {
    let context = async_nats::jetstream::new(bus.client().clone());
    for _ in 0..200 {
        let info = ask(bus, "INFO", json!({})).await;
        let free = ROOM - info["storage"].as_u64().unwrap();
        if free <= room {
            return;
        }
        // What the store adds to a message counts too.
        let size = (free - room).saturating_sub(60).clamp(1, 500_000);
        let filler = vec![b'x'; usize::try_from(size).unwrap()];
        let sent = context.publish("fill", filler.into()).await.unwrap();
        drop(sent.await);
    }
    panic!("the account does not fill");
}

async fn make_room(bus: &Bus) {
    ask(bus, "STREAM.PURGE.FILL", json!({})).await;
}

/// A commit of events from `first` on, with rows.
async fn tell(store: &JetStreamStore, expected: u64, first: u64) -> Result<u64, StoreError> {
    let mut root = root(first + EVENTS - 1);
    root.shards = vec![ShardPlace::Behind(1)];
    let rows = format!("{{\"from\":{first},\"rows\":\"{}\"}}", "r".repeat(ROWS));
    let shards = BTreeMap::from([(0, rows.into())]);
    let events = events(first, EVENTS);
    let commit = Commit {
        source: "shop",
        root: &root,
        expected,
        shards: &shards,
        events: &events,
    };
    timeout(LIMIT, store.commit(commit)).await.unwrap()
}

/// The numbers of the events in the stream, in its order.
async fn numbers(bus: &Bus) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut from = 1;
    loop {
        let which = json!({ "seq": from, "next_by_subj": "core.process.>" });
        let request = bus.client().request(
            format!("$JS.API.STREAM.MSG.GET.{DEFAULT_STREAM}"),
            which.to_string().into(),
        );
        let answer: Value = serde_json::from_slice(&request.await.unwrap().payload).unwrap();
        let Some(message) = answer.get("message") else {
            return numbers;
        };
        let data = BASE64_STANDARD.decode(message["data"].as_str().unwrap());
        let event: Value = serde_json::from_slice(&data.unwrap()).unwrap();
        numbers.push(event["seq"].as_u64().unwrap());
        from = message["seq"].as_u64().unwrap() + 1;
    }
}

/// Reads the head until it can be read.
async fn settled(store: &JetStreamStore) -> Head {
    timeout(LIMIT, async {
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        loop {
            pace.tick().await;
            match store.read_head("shop").await {
                Ok(head) => return head.unwrap(),
                Err(StoreError::Busy(_) | StoreError::Unknown(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await
    .unwrap()
}

fn is_whole(head: &Head, seq: u64) {
    assert!(!head.is_torn);
    assert_eq!(head.root.as_ref().unwrap().seq, seq);
    let rows: Vec<_> = head.rows().collect();
    let from = format!("{{\"from\":{},", seq + 1 - EVENTS);
    assert!(rows[0].starts_with(from.as_bytes()), "{head:?}");
}

/// One commit to an account with so much room; says how many of its events the broker took by itself.
async fn told_in_the_end(room: u64) -> u64 {
    let (_server, bus, store) = shared().await;
    let first = tell(&store, 0, 1).await.unwrap();
    leave(&bus, room).await;
    let outcome = tell(&store, first, 11).await;
    let taken = stored(&bus, "core.process.>").await - EVENTS;
    if matches!(outcome, Err(StoreError::Busy(_))) {
        assert_eq!(head(&store).await.unwrap().root_sequence, first, "{room}");
        return taken;
    }
    assert!(
        matches!(outcome, Err(StoreError::Unknown(_))),
        "{room}: {outcome:?}"
    );
    // As long as there is no room nobody is told that all is well.
    for _ in 0..3 {
        let read = store.read_head("shop").await;
        assert!(matches!(read, Err(StoreError::Busy(_))), "{room}: {read:?}");
    }
    make_room(&bus).await;
    is_whole(&settled(&store).await, 20);
    assert_eq!(numbers(&bus).await, (1..=20).collect::<Vec<_>>(), "{room}");
    let next = head(&store).await.unwrap().root_sequence;
    tell(&store, next, 21).await.unwrap();
    assert_eq!(numbers(&bus).await, (1..=30).collect::<Vec<_>>(), "{room}");
    taken
}

#[tokio::test]
async fn what_a_full_account_cut_off_a_commit_is_told_once_there_is_room() {
    let rooms = [300, 1400, 3000, 4500, 6000];
    let taken = futures_util::future::join_all(rooms.map(told_in_the_end)).await;
    let parts: BTreeSet<_> = taken.iter().collect();
    assert!(parts.len() > 2, "not torn in different places: {taken:?}");
    assert!(taken.iter().all(|taken| *taken < EVENTS), "{taken:?}");
}

#[tokio::test]
async fn a_torn_commit_is_seen_by_those_who_did_not_send_it() {
    let (server, bus, store) = shared().await;
    let first = tell(&store, 0, 1).await.unwrap();
    leave(&bus, 5500).await;
    assert!(tell(&store, first, 11).await.is_err());
    let other = second(&server).await;
    let found = head(&other).await.unwrap();
    assert!(found.is_torn, "{found:?}");
    make_room(&bus).await;
    assert!(head(&other).await.unwrap().is_torn);
    is_whole(&settled(&store).await, 20);
    is_whole(&head(&other).await.unwrap(), 20);
}

#[tokio::test]
async fn a_torn_commit_that_somebody_went_on_from_is_left_alone() {
    let (server, bus, store) = shared().await;
    let first = tell(&store, 0, 1).await.unwrap();
    leave(&bus, 5500).await;
    assert!(tell(&store, first, 11).await.is_err());
    make_room(&bus).await;
    let other = second(&server).await;
    let torn = head(&other).await.unwrap().root_sequence;
    tell(&other, torn, 21).await.unwrap();
    let told = numbers(&bus).await;
    is_whole(&settled(&store).await, 30);
    assert_eq!(numbers(&bus).await, told);
}

#[tokio::test]
async fn a_server_that_completes_a_torn_commit_when_it_starts_again_is_not_told_twice() {
    let (mut server, bus, store) = shared().await;
    let first = tell(&store, 0, 1).await.unwrap();
    leave(&bus, 5500).await;
    assert!(tell(&store, first, 11).await.is_err());
    make_room(&bus).await;
    restart(&mut server, &bus, NatsServer::kill).await;
    is_whole(&settled(&store).await, 20);
    assert_eq!(numbers(&bus).await, (1..=20).collect::<Vec<_>>());
}

/// Events that are gone because nobody keeps them any longer, or because only so many are kept of each subject, are no
/// sign of anything.
#[tokio::test]
async fn a_commit_whose_events_were_not_kept_is_not_torn() {
    for kept in [
        json!({ "max_age": 200_000_000 }),
        json!({ "max_msgs_per_subject": 1 }),
    ] {
        let server = NatsServer::start();
        let bus = connect(&settings(&server)).await.unwrap();
        let mut stream = json!({
            "name": DEFAULT_STREAM, "subjects": ["core.>"],
            "allow_atomic": true, "allow_rollup_hdrs": true, "allow_msg_ttl": true,
        });
        let settings = kept.as_object().unwrap().clone();
        stream.as_object_mut().unwrap().extend(settings);
        ask(&bus, &format!("STREAM.CREATE.{DEFAULT_STREAM}"), stream).await;
        let store = JetStreamStore::new(bus.clone(), DEFAULT_STREAM, Prefix::default());
        tell(&store, 0, 1).await.unwrap();
        let limit = Instant::now() + LIMIT;
        while stored(&bus, "core.process.>").await > 1 && Instant::now() < limit {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if kept.get("max_msgs_per_subject").is_some() {
            let sent = bus
                .client()
                .publish("core.process.default.api.started", "{}".into());
            sent.await.unwrap();
            bus.client().flush().await.unwrap();
        }
        let found = head(&store).await.unwrap();
        assert!(!found.is_torn, "{kept}: {found:?}");
    }
}
