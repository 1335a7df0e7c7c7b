use std::collections::BTreeMap;

use super::*;
use crate::event::store::{HEAD_FORMAT, Identity, Outgoing, Root};

fn root() -> Root {
    Root {
        format: HEAD_FORMAT,
        source: "shop".into(),
        journal: "j".into(),
        seq: 1,
        epoch: "e".into(),
        connected: true,
        adapter: "a".into(),
        commit: "c".into(),
        looked_at: "2026-08-20T07:18:04Z".parse().unwrap(),
        since: None,
        interval_ms: 2000,
        shards: Vec::new(),
        identity: Identity::default(),
        left_out: None,
    }
}

const PLACE: (&str, HeadLife) = ("S", HeadLife::Forever);

fn dressed(commit: &Commit<'_>, place: (&str, HeadLife)) -> Vec<Outbound> {
    let dressed = Dressed::new(commit, &Prefix::default(), place, "id").unwrap();
    let all = dressed.all();
    let subjects = (0..all.len()).map(|index| dressed.subject(index));
    assert!(subjects.eq(all.iter().map(|message| message.subject.as_str())));
    all
}

fn header<'m>(message: &'m Outbound, name: &str) -> Option<&'m str> {
    message
        .headers
        .get(name)
        .map(async_nats::HeaderValue::as_str)
}

#[test]
fn a_commit_is_root_then_shards_then_events_in_one_batch() {
    let event = Outgoing::new("core.process.n.p.started", "shop.j.1", "change", b"{}");
    let shards = BTreeMap::from([(0, Bytes::from_static(b"r")), (3, Bytes::from_static(b"s"))]);
    let (root, events) = (root(), [event.clone(), event]);
    let commit = Commit {
        source: "shop",
        root: &root,
        expected: 7,
        shards: &shards,
        events: &events,
    };
    let messages = dressed(&commit, PLACE);
    let subjects: Vec<_> = messages.iter().map(|m| m.subject.as_str()).collect();
    assert_eq!(
        subjects,
        [
            "core.head.shop",
            "core.head.shop.0",
            "core.head.shop.3",
            "core.process.n.p.started",
            "core.process.n.p.started"
        ]
    );
    for (number, message) in (1..).zip(&messages) {
        assert_eq!(header(message, "Nats-Batch-Id"), Some("id"));
        assert_eq!(
            header(message, "Nats-Batch-Sequence"),
            Some(number.to_string().as_str())
        );
        assert_eq!(
            header(message, "Nats-Batch-Commit"),
            (number == 5).then_some("1")
        );
        assert_eq!(header(message, "Nats-Expected-Stream"), Some("S"));
        assert_eq!(
            header(message, "Nats-Rollup"),
            (number <= 3).then_some("sub")
        );
        assert_eq!(
            header(message, "Nats-TTL"),
            (number <= 3).then_some("never")
        );
        let expected = (number == 1).then_some("7");
        assert_eq!(
            header(message, "Nats-Expected-Last-Subject-Sequence"),
            expected
        );
        assert_eq!(header(message, "Nats-Msg-Id"), None);
    }
    assert_eq!(header(&messages[3], "Observe-Id"), Some("shop.j.1"));
    assert_eq!(header(&messages[3], "Observe-Schema"), Some("1"));
    assert_eq!(header(&messages[3], "Observe-Source"), Some("shop"));
    assert_eq!(header(&messages[3], "Observe-Origin"), Some("change"));
}

#[test]
fn a_root_alone_is_no_batch_but_still_fenced() {
    let (root, shards) = (root(), BTreeMap::new());
    let commit = Commit {
        source: "shop",
        root: &root,
        expected: 0,
        shards: &shards,
        events: &[],
    };
    let messages = dressed(&commit, PLACE);
    assert_eq!(messages.len(), 1);
    assert_eq!(header(&messages[0], "Nats-Batch-Id"), None);
    assert_eq!(
        header(&messages[0], "Nats-Expected-Last-Subject-Sequence"),
        Some("0")
    );
    assert_eq!(header(&messages[0], "Nats-Rollup"), Some("sub"));
}

#[test]
fn what_follows_a_root_lies_in_its_batch_and_what_is_left_of_it_in_another() {
    let event = Outgoing::new("core.process.n.p.started", "shop.j.1", "change", b"{}");
    let shard = BTreeMap::from([(0, Bytes::from_static(b"r"))]);
    let root = root();
    let commit = |shards, events| Commit {
        source: "shop",
        root: &root,
        expected: 7,
        shards,
        events,
    };
    let said = |messages: &[Outbound]| -> Vec<_> {
        let one = |message: &Outbound| {
            let said = |name| header(message, name).unwrap_or("-").to_owned();
            [
                HEADER_BATCH,
                "Nats-Batch-Sequence",
                "Nats-Batch-Commit",
                HEADER_MESSAGES,
            ]
            .map(said)
            .join(" ")
        };
        messages.iter().map(one).collect()
    };
    let (none, no_event) = (BTreeMap::new(), []);
    let events = [event.clone(), event.clone(), event];
    for commit in [commit(&shard, &no_event), commit(&none, &events[..1])] {
        assert_eq!(said(&dressed(&commit, PLACE)), ["id 1 - 2", "id 2 1 -"]);
    }
    let sent = dressed(&commit(&shard, &events), PLACE);
    let left = rest(&sent, 2, 40, "other");
    assert_eq!(
        said(&left),
        ["other 1 - 4", "other 2 - -", "other 3 - -", "other 4 1 -"]
    );
    assert_eq!(
        header(&left[0], "Nats-Expected-Last-Subject-Sequence"),
        Some("40")
    );
}

#[test]
fn a_head_of_a_day_s_life_says_so_and_events_do_not() {
    let event = Outgoing::new("core.process.n.p.started", "shop.j.1", "change", b"{}");
    let commit = Commit {
        source: "shop",
        root: &root(),
        expected: 7,
        shards: &BTreeMap::from([(0, Bytes::from_static(b"r"))]),
        events: &[event],
    };
    let place = ("S", HeadLife::Day);
    let messages = dressed(&commit, place);
    let lives: Vec<_> = messages.iter().map(|m| header(m, "Nats-TTL")).collect();
    assert_eq!(lives, [Some("24h"), Some("24h"), None]);
}

#[test]
fn what_would_cost_the_connection_is_not_sent() {
    let message = |subject: &str, bytes| Outbound {
        subject: subject.into(),
        headers: head_headers("S", HeadLife::Forever),
        payload: vec![0; bytes].into(),
    };
    assert!(message("a", 10).check(1000).is_ok());
    let line = message("a", 1000).check(1000).unwrap_err().to_string();
    assert!(line.contains("max_payload"), "{line}");
    assert!(message(&"a".repeat(4000), 0).check(1000).is_err());
    assert_eq!(one_line("a\r\nNats-TTL: 1s"), "a__Nats-TTL: 1s");
}
