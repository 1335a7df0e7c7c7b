//! Many sources over one connection.

use std::collections::BTreeMap;

use observe::event::store::Commit;
use tokio::task::JoinSet;

use super::*;
use crate::support::nats::NatsServer;

#[tokio::test]
async fn more_sources_than_the_server_takes_open_batches_commit_at_the_same_moment() {
    let server = NatsServer::start();
    let (_, store) = open(&server).await;
    let mut commits = JoinSet::new();
    for number in 0..200 {
        let store = store.clone();
        commits.spawn(async move {
            let source = format!("s{number}");
            let mut root = root(100);
            root.source.clone_from(&source);
            let events = events(1, 100);
            let commit = Commit {
                source: &source,
                root: &root,
                expected: 0,
                shards: &BTreeMap::new(),
                events: &events,
            };
            store.commit(commit).await
        });
    }
    let mut stored = 0;
    while let Some(outcome) = commits.join_next().await {
        let outcome = outcome.unwrap();
        assert!(outcome.is_ok(), "{outcome:?} after {stored}");
        stored += 1;
    }
    assert_eq!(stored, 200);
}
