use super::*;

fn heard(frames: &Frames, name: &str, status: &str, snapshot: bool, hears_all: bool) -> bool {
    let text = format!(
        r#"{{"snapshot":{snapshot},"state":{{"name":"{name}","status":"{status}","pid":7}}}}"#
    );
    frames.push(
        &WireFrame::decode(&text).unwrap(),
        DateTime::UNIX_EPOCH,
        hears_all,
    )
}

#[test]
fn a_name_is_covered_from_its_own_snapshot_on() {
    let frames = Frames::new();
    let before = frames.mark();
    assert!(!heard(&frames, "a", "Running", true, false));
    let after = frames.mark();
    assert!(heard(&frames, "a", "Completed", false, false));
    assert!(frames.covers("a", after));
    assert!(
        !frames.covers("a", before),
        "what happened before the snapshot came, nobody heard"
    );
    assert!(!frames.covers("b", after));
    let seen: Vec<_> = frames
        .view("a")
        .iter()
        .map(|frame| (frame.index, frame.pid))
        .collect();
    assert_eq!(seen, [(0, Some(7)), (1, None)]);
    assert_eq!(frames.names_since(1), ["a"]);
    assert!(frames.names_since(2).is_empty());
}

#[test]
fn a_stream_of_everybody_covers_who_came_later() {
    let frames = Frames::new();
    heard(&frames, "a", "Running", true, true);
    assert!(!frames.covers("new", frames.mark()));
    frames.hears_all();
    let mark = frames.mark();
    assert!(frames.covers("new", mark));
    heard(&frames, "new", "Running", false, true);
    assert!(frames.covers("new", mark));
}

#[test]
fn a_break_ends_all_coverage_and_keeps_the_frames() {
    let frames = Frames::new();
    heard(&frames, "a", "Terminating", false, true);
    let mark = frames.mark();
    frames.broke(StreamStatus::Away("gone".into()));
    assert!(!frames.covers("a", mark));
    assert_eq!(frames.covered_since("a"), None);
    assert!(
        !frames.covers("a", frames.mark()),
        "a look after the break is not covered"
    );
    assert_eq!(frames.view("a").len(), 1);
    heard(&frames, "a", "Running", true, true);
    assert!(
        !frames.covers("a", mark),
        "an older look must not count as covered again"
    );
    assert!(frames.covers("a", frames.mark()));
}

#[test]
fn what_was_heard_before_a_break_is_not_hidden_by_the_next_snapshot() {
    let frames = Frames::new();
    heard(&frames, "a", "Restarting", false, true);
    frames.broke(StreamStatus::Away("gone".into()));
    heard(&frames, "a", "Running", true, true);
    heard(&frames, "b", "Running", true, true);
    let told = frames.heard("one");
    assert_eq!(told.len(), 1, "who only stands in a snapshot costs nothing");
    assert_eq!(told[0].1.len(), 1, "the live frame");
}

#[test]
fn frames_of_a_former_server_read_after_a_thaw_are_no_evidence_of_the_next() {
    let frames = Frames::new();
    frames.begin(Some("one".into()));
    heard(&frames, "a", "Running", true, true);
    heard(&frames, "a", "Completed", false, true);
    assert_eq!(frames.heard("two"), [], "the connection has not broken yet");
    frames.broke(StreamStatus::Away("gone".into()));
    frames.begin(Some("two".into()));
    heard(&frames, "a", "Running", true, true);
    heard(&frames, "a", "Restarting", false, true);
    heard(&frames, "b", "Running", false, true);
    let told = |epoch| {
        let all = frames.heard(epoch).into_iter();
        let words = |heard: Vec<Frame>| heard.iter().map(|f| f.status.to_string()).collect();
        all.map(|(name, heard, since)| (name, words(heard), since.is_some()))
            .collect::<Vec<(_, Vec<_>, _)>>()
    };
    let a = |word: &str, covered| ("a".to_owned(), vec![word.to_owned()], covered);
    assert_eq!(told("one"), [a("Completed", false)]);
    let b = ("b".to_owned(), vec!["Running".to_owned()], true);
    assert_eq!(told("two"), [a("Restarting", true), b]);
}

#[test]
fn an_unreadable_frame_uncovers_its_own_name_only() {
    let frames = Frames::new();
    heard(&frames, "a", "Running", true, true);
    heard(&frames, "b", "Running", true, true);
    frames.hears_all();
    let mark = frames.mark();
    frames.lost(Some("a"));
    assert!(!frames.covers("a", mark) && frames.covers("b", mark));
    assert!(frames.covers("a", frames.mark()));
    frames.lost(Some("never heard of"));
    assert!(!frames.covers("never heard of", mark));
    frames.lost(None);
    assert!(!frames.covers("b", mark) && frames.covers("b", frames.mark()));
}

#[test]
fn an_overflow_is_counted_and_ends_the_coverage_so_far() {
    let frames = Frames::new();
    heard(&frames, "a", "Running", true, true);
    let mark = frames.mark();
    for _ in 0..MAX_FRAMES {
        heard(&frames, "a", "Restarting", false, true);
    }
    assert_eq!(frames.overflows(), 0);
    heard(&frames, "a", "Running", false, true);
    assert_eq!((frames.overflows(), frames.view("a").len()), (1, 1));
    assert!(!frames.covers("a", mark) && frames.covers("a", frames.mark()));
}

#[test]
fn pruned_frames_make_room_and_leave_the_coverage() {
    let frames = Frames::new();
    for _ in 0..3 * MAX_FRAMES {
        heard(&frames, "a", "Restarting", false, true);
        let mark = frames.mark();
        frames.prune_upto("a", mark.index - 1);
    }
    assert!(frames.view("a").is_empty() && frames.overflows() == 0);
    assert!(frames.covers("a", frames.mark()));
    assert_eq!(frames.lock().bytes, 0);
    frames.forget_strangers(u64::MAX, |_| false);
    assert!(frames.lock().lanes.is_empty());
}

#[test]
fn names_that_are_gone_are_forgotten_unless_they_were_heard_lately() {
    let frames = Frames::new();
    for name in ["gone", "known"] {
        heard(&frames, name, "Running", false, true);
    }
    let lately = frames.mark().index;
    heard(&frames, "new", "Running", false, true);
    frames.forget_strangers(lately, |name| name == "known");
    let store = frames.lock();
    assert_eq!(
        store.lanes.keys().map(|name| &**name).collect::<Vec<_>>(),
        ["known", "new"]
    );
    assert_eq!(
        (store.live, store.name_bytes),
        (2, "known".len() + "new".len())
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_the_frame_or_with_the_limit() {
    let frames = Frames::new();
    let limit = Duration::from_millis(250);
    assert!(
        !frames
            .wait_until(limit, |frames| !frames.view("a").is_empty())
            .await
    );
    let (held, ()) = tokio::join!(
        frames.wait_until(limit, |frames| !frames.view("a").is_empty()),
        async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            heard(&frames, "a", "Completed", false, true);
        }
    );
    assert!(held);
}
