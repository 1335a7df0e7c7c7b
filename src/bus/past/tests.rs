use super::*;

#[test]
fn what_leaves_a_stream_is_said_by_its_limits() {
    let now: DateTime<Utc> = "2026-08-20T12:00:00Z".parse().unwrap();
    let hour = json!({ "max_age": 3_600_000_000_000_u64 });
    assert_eq!(aged(&hour, now), Some(now - TimeDelta::hours(1)));
    assert_eq!(aged(&json!({ "max_age": 0 }), now), None);
    let limits = json!({ "max_bytes": 1000, "max_msgs": -1 });
    assert!(is_full(&limits, 950, 1) && !is_full(&limits, 800, 1_000_000));
    let limits = json!({ "max_bytes": -1, "max_msgs": 100 });
    assert!(is_full(&limits, 950, 100) && !is_full(&limits, 950, 10));
}
