//! Stretches of time in which nobody looked, and what is known of them.

use super::*;

#[test]
fn inside_a_gap_everything_is_as_it_was_known_last() {
    let rows = table(&["api", "quiet"]);
    let gap = json!({
        "gap": {"from": at("10:10:00"), "to": at("10:20:00"), "why": "adapter_down"},
        "origin": "resync",
    });
    let events = [
        first(),
        event(
            2,
            "10:00:00",
            "started",
            "api",
            &json!({"origin": "initial"}),
        ),
        event(3, "10:20:00", "gap", "", &gap),
        event(4, "10:20:00", "crashed", "api", &previous("Running", 0)),
    ];
    let case = Case {
        events: &events,
        head: Some(("a", FRESH, &rows)),
        kept_since: None,
        left_out: None,
    };
    let within = case.at("10:15:00");
    assert_eq!(within.sighted, Sighted::Unwatched(at("10:10:00")));
    assert_eq!(
        case.told("10:15:00"),
        ["api was Running", "quiet was Running"]
    );
    assert_eq!(within.processes[0].begun_at, None);
    assert_eq!(
        case.told("10:09:59"),
        ["api is Running", "quiet is Running"]
    );
    assert_eq!(
        case.told("10:20:00"),
        ["api is Completed 3 crashed", "quiet is Running"]
    );
    // One whose beginning nobody knows begins with the last event before it.
    let endless = json!({"gap": {"from": null, "to": at("10:20:00"), "why": "rolled_back"}});
    let events = [
        events[0].clone(),
        events[1].clone(),
        event(3, "10:20:00", "gap", "", &endless),
    ];
    let case = Case {
        events: &events,
        head: None,
        kept_since: None,
        left_out: None,
    };
    assert_eq!(
        case.at("10:05:00").sighted,
        Sighted::Unwatched(at("10:00:00"))
    );
}

#[test]
fn out_of_sight_is_not_down_and_not_up() {
    let rows = table(&["api"]);
    let after = |time: &str| json!({"occurred": {"after": at(time), "before": at(time)}});
    let events = [
        first(),
        event(
            2,
            "10:00:00",
            "started",
            "api",
            &json!({"origin": "initial"}),
        ),
        event(3, "10:10:06", "disconnected", "", &after("10:10:00")),
        event(4, "10:20:00", "connected", "", &after("10:10:00")),
    ];
    let case = |events, sighted| Case {
        events,
        head: Some(("a", sighted, &rows)),
        kept_since: None,
        left_out: None,
    };
    let back = case(&events[..], FRESH);
    for time in ["10:10:03", "10:10:06", "10:19:59"] {
        assert_eq!(
            back.at(time).sighted,
            Sighted::Lost(at("10:10:00")),
            "{time}"
        );
        assert_eq!(back.told(time), ["api was Running"]);
    }
    assert_eq!(back.told("10:10:00"), ["api is Running"]);
    assert_eq!(back.told("10:20:00"), ["api is Running"]);
    // A source that comes back may say so by a gap as well.
    let gap =
        json!({"gap": {"from": at("10:10:00"), "to": at("10:20:00"), "why": "source_unreachable"}});
    let by_gap = [
        events[0].clone(),
        events[1].clone(),
        event(3, "10:20:00", "gap", "", &gap),
    ];
    assert_eq!(
        case(&by_gap, FRESH).at("10:15:00").sighted,
        Sighted::Lost(at("10:10:00"))
    );
    // Still away, and told so or not yet.
    let lost = Sighted::Lost(at("10:10:00"));
    assert_eq!(case(&events[..3], lost).at("10:30:00").sighted, lost);
    assert_eq!(
        case(&events[..2], lost).told("10:30:00"),
        ["api was Running"]
    );
    assert_eq!(
        case(&events[..2], lost).told("10:05:00"),
        ["api is Running"]
    );
    // What is told only after its beginning was forgotten.
    let late = case(&events[3..], FRESH);
    assert_eq!(late.told("10:15:00"), ["api ? ?"]);
}

#[test]
fn a_stale_head_says_nothing_of_what_came_after_its_last_look() {
    let rows = table(&["api"]);
    let events = [
        first(),
        event(
            2,
            "10:00:00",
            "started",
            "api",
            &json!({"origin": "initial"}),
        ),
    ];
    let stale = Sighted::Unwatched(at("12:00:00"));
    let case = Case {
        events: &events,
        head: Some(("a", stale, &rows)),
        kept_since: None,
        left_out: None,
    };
    assert_eq!(case.told("12:00:00"), ["api is Running"]);
    assert_eq!(case.told("12:00:01"), ["api was Running"]);
    assert_eq!(case.at("12:00:01").sighted, stale);
    // Without a head nobody says that anybody looked after the last event.
    let bare = Case {
        events: &events,
        head: None,
        kept_since: None,
        left_out: None,
    };
    assert_eq!(
        bare.at("10:30:00").sighted,
        Sighted::Unwatched(at("10:00:00"))
    );
}

#[test]
fn a_new_journal_says_nothing_of_the_time_before_it() {
    let rows = table(&["api", "quiet"]);
    let gap = json!({
        "journal": "b", "gap": {"from": at("10:10:00"), "to": at("10:20:00"), "why": "stream_lost"},
    });
    let events = [
        first(),
        event(
            2,
            "10:00:00",
            "started",
            "api",
            &json!({"origin": "initial"}),
        ),
        event(3, "10:01:00", "stopped", "job", &json!({})),
        event(1, "10:20:00", "gap", "", &gap),
        event(
            2,
            "10:20:00",
            "started",
            "api",
            &json!({"journal": "b", "origin": "resync"}),
        ),
    ];
    let case = Case {
        events: &events,
        head: Some(("b", FRESH, &rows)),
        kept_since: None,
        left_out: None,
    };
    assert_eq!(
        case.told("10:05:00"),
        ["api is Running", "job is Completed 3", "quiet ? ?"]
    );
    // The job was not told again: that it is gone, or anything else of it, nobody says.
    assert_eq!(
        case.told("10:30:00"),
        ["api is Running", "job was Completed 3", "quiet is Running"]
    );
}
