use super::*;

#[test]
fn the_refusal_of_the_first_message_is_the_cause_of_an_incomplete_batch() {
    let fault = |err_code| {
        Verdict::Fault(Fault {
            err_code,
            ..Fault::default()
        })
    };
    let mut cause = None;
    assert_eq!(weigh(&mut cause, None, true), None);
    assert_eq!(weigh(&mut cause, Some(fault(10071)), true), None);
    assert_eq!(
        weigh(&mut cause, Some(fault(10176)), false),
        Some(fault(10071))
    );
    assert_eq!(
        weigh(&mut None, Some(fault(10176)), false),
        Some(fault(10176))
    );
    assert_eq!(weigh(&mut None, Some(Verdict::NobodyListens), true), None);
    assert_eq!(
        weigh(&mut None, Some(Verdict::Stored(7)), false),
        Some(Verdict::Stored(7))
    );
}

#[test]
fn every_code_of_the_failure_table_has_its_way_out() {
    let judged = |code, err_code| {
        judge(
            &Fault {
                code,
                err_code,
                description: "why".into(),
            },
            "S",
        )
    };
    for fenced in [10071, 10164] {
        assert!(
            matches!(judged(400, fenced), StoreError::Fenced),
            "{fenced}"
        );
    }
    for (code, busy) in [
        (400, 10176),
        (429, 10210),
        (503, 10008),
        (500, 10077),
        (503, 10077),
        (503, 10023),
        (500, 10047),
        (400, 10002),
        (429, 10167),
        (503, 10009),
        (429, 1),
    ] {
        assert!(matches!(judged(code, busy), StoreError::Busy(_)), "{busy}");
    }
    for (refused, key) in [
        (10174, "allow_atomic"),
        (10111, "allow_rollup_hdrs"),
        (10166, "allow_msg_ttl"),
    ] {
        let StoreError::Refused(line) = judged(400, refused) else {
            panic!("{refused}")
        };
        assert!(
            line.contains(key) && line.contains("stream S") && line.contains("--stream"),
            "{line}"
        );
    }
    assert!(matches!(judged(400, 10060), StoreError::Refused(_)));
    assert!(matches!(judged(404, 10059), StoreError::NoStream));
    assert!(matches!(judged(400, 10054), StoreError::Invalid(_)));
    assert!(matches!(judged(400, 10999), StoreError::Refused(line) if line.contains("why")));
}
