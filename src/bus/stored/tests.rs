use super::*;

#[test]
fn a_root_says_how_many_came_with_it_and_nonsense_says_nothing() {
    for (count, wanted) in [
        ("2", Some(2)),
        ("1000", Some(1000)),
        ("0", None),
        ("1", None),
        ("1001", None),
        ("18446744073709551615", None),
        ("-1", None),
        ("many", None),
    ] {
        let stored = Stored {
            subject: "core.head.shop".into(),
            sequence: u64::MAX,
            payload: Vec::new(),
            time: None,
            headers: format!("NATS/1.0\r\nNats-Batch-Id: b\r\nObserve-Messages: {count}\r\n\r\n"),
        };
        let found = stored.batch().map(|batch| batch.messages);
        assert_eq!(found, wanted, "{count}");
    }
}
