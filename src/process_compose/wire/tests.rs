use proptest::prelude::*;

use super::*;

fn one(json: &str) -> WireRow<'static> {
    let body = format!(r#"{{"data":[{json}]}}"#);
    let mut reading = decode(body.as_bytes()).unwrap();
    assert!(reading.odd.is_empty(), "{:?}", reading.odd);
    reading.rows.pop().unwrap().into_owned()
}

#[test]
fn the_newest_shape_is_read_whole() {
    let row = one(
        r#"{"name":"assets","namespace":["billing","auth"],"status":"Watching","system_time":"-","age":165210576,
        "is_ready":"Ready","has_ready_probe":true,"restarts":7,"exit_code":2,"success_exit_codes":[2,3],"pid":29660,
        "is_elevated":false,"password_provided":false,"mem":20185088,"cpu":1.94,"is_running":false,
        "next_run_time":"2026-08-21T02:00:00+02:00","process_start_time":"2026-08-20T09:20:50.4+02:00",
        "process_ready_time":"2026-08-20T09:20:50.123456789Z","process_end_time":"2026-08-20T09:20:51+02:00",
        "is_watched":true,"watch_trigger_path":"app.scss","watch_trigger_time":"2026-08-20T07:20:50.4Z"}"#,
    );
    assert_eq!(
        row.namespaces.iter().collect::<Vec<_>>(),
        ["billing", "auth"]
    );
    assert_eq!(
        (&*row.name, &*row.status, &*row.is_ready),
        ("assets", "Watching", "Ready")
    );
    assert_eq!(
        (row.restarts, row.exit_code, row.pid, row.mem),
        (7, 2, 29660, 20_185_088)
    );
    assert_eq!(row.success_exit_codes, [2, 3]);
    assert_eq!(
        (row.has_ready_probe, row.is_running, row.is_watched),
        (Some(true), Some(false), Some(true))
    );
    assert_eq!(row.age_ns(), Some(165_210_576));
    let at = |stamp: &Stamp<'_>| stamp.utc().unwrap().format("%T%.f").to_string();
    assert_eq!(at(&row.next_run_time), "00:00:00");
    assert_eq!(at(&row.process_start_time), "07:20:50.400");
    assert_eq!(at(&row.process_ready_time), "09:20:50.123456789");
    assert_eq!(at(&row.process_end_time), "07:20:51");
    assert_eq!(at(&row.watch_trigger_time), "07:20:50.400");
    assert_eq!(&*row.watch_trigger_path, "app.scss");
    assert!((row.cpu - 1.94).abs() < 1e-9 && !row.is_torn());
}

#[test]
fn older_shapes_are_read_with_what_they_have() {
    let v1_46 = one(
        r#"{"name":"api","namespace":"default","status":"Running","age":2472566464,"is_ready":"Ready","restarts":0,
        "exit_code":0,"pid":28102,"mem":1839104,"cpu":0,"IsRunning":true}"#,
    );
    assert_eq!(
        (v1_46.is_running, v1_46.has_ready_probe, v1_46.running()),
        (None, None, true)
    );
    let sticky =
        one(r#"{"name":"api","status":"Completed","is_ready":"N/A","IsRunning":true,"pid":3}"#);
    assert!(!sticky.running() && !sticky.is_torn());
    let first = one(
        r#"{"name":"a","status":"Pending","system_time":"-","restarts":0,"exit_code":0,"pid":0}"#,
    );
    assert_eq!(
        (first.namespaces.first(), first.age_ns(), &*first.is_ready),
        ("default", Some(0), "")
    );
}

#[test]
fn a_namespace_is_a_word_or_a_list_or_nothing() {
    for (json, names) in [
        (r#""pool""#, vec!["pool"]),
        (r#"["a","b"]"#, vec!["a", "b"]),
        (r#"["a"]"#, vec!["a"]),
        (r#"["",null,"b"]"#, vec!["b"]),
        ("[]", vec!["default"]),
        ("null", vec!["default"]),
        (r#""""#, vec!["default"]),
    ] {
        let row = one(&format!(
            r#"{{"name":"x","status":"Running","namespace":{json}}}"#
        ));
        assert_eq!(row.namespaces.iter().collect::<Vec<_>>(), names, "{json}");
        assert_eq!(row.namespaces.first(), names[0]);
    }
}

#[test]
fn unknown_words_are_kept_and_null_is_nothing() {
    let row = one(
        r#"{"name":"x","status":"Levitating","is_ready":"Almost","success_exit_codes":null,"is_running":null,
        "next_run_time":null,"process_end_time":"0001-01-01T00:00:00Z","cpu":-1,"restarts":null,"new":{"a":[1]}}"#,
    );
    assert_eq!((&*row.status, &*row.is_ready), ("Levitating", "Almost"));
    assert_eq!(
        (row.next_run_time.utc(), row.process_end_time.utc()),
        (None, None)
    );
    assert!((row.cpu + 1.0).abs() < f64::EPSILON && row.success_exit_codes.is_empty());
}

#[test]
fn an_age_of_centuries_is_unknown_and_tears_the_row() {
    let quick = one(
        r#"{"name":"quick","status":"Running","age":9223372036854775807,"pid":0,"mem":-1,"cpu":-1,"is_running":true}"#,
    );
    assert!(quick.age_ns().is_none() && quick.is_torn());
    let over = one(
        r#"{"name":"x","status":"Completed","age":18446744073709551615,"pid":4,"is_running":false}"#,
    );
    assert!(over.age_ns().is_none() && !over.is_torn());
    assert!(one(r#"{"name":"x","status":"Completed","pid":4,"is_running":true}"#).is_torn());
    assert!(one(r#"{"name":"x","status":"Running","pid":4,"is_running":false}"#).is_torn());
    assert!(!one(r#"{"name":"x","status":"Running","pid":4,"is_running":true}"#).is_torn());
}

#[test]
fn one_odd_process_hides_nobody() {
    let body = br#"{"data":[{"name":"a","status":"Running"},{"name":"odd","status":7},{"status":"Running"},5,
        {"name":"b","status":"Completed","exit_code":3}]}"#;
    let reading = decode(body).unwrap();
    assert_eq!(
        reading
            .rows
            .iter()
            .map(|row| &*row.name)
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
    let names: Vec<_> = reading.odd.iter().map(|odd| odd.name.as_deref()).collect();
    assert_eq!(names, [Some("odd"), None, None]);
    assert!(reading.odd.iter().all(|odd| !odd.why.is_empty()));
}

#[test]
fn broken_utf8_in_one_name_hides_nobody() {
    let mut body = br#"{"data":[{"name":"a","status":"Running"},{"name":"x"#.to_vec();
    body.extend(b"\xff\",\"status\":\"Running\"}]}");
    let reading = decode(&body).unwrap();
    assert_eq!(
        reading
            .rows
            .iter()
            .map(|row| &*row.name)
            .collect::<Vec<_>>(),
        ["a", "x\u{fffd}"]
    );
}

#[test]
fn names_keep_their_odd_characters() {
    let row = one(r#"{"name":"a.b *>\n\u00e9\/","status":"Running"}"#);
    assert_eq!(row.name, "a.b *>\né/");
}

#[test]
fn what_is_no_table_is_told_for_what_it_is() {
    let error = |body: &str| decode(body.as_bytes()).unwrap_err();
    assert!(matches!(error(""), DecodeError::Empty));
    assert!(matches!(error("  <!DOCTYPE html>"), DecodeError::Html));
    assert!(matches!(
        error(r#"{"data":[{"name":"a""#),
        DecodeError::Truncated(_)
    ));
    assert!(matches!(error("INFO {}"), DecodeError::NotJson(_)));
    assert!(matches!(
        error(r#"{"status":"ok"}"#),
        DecodeError::OtherJson
    ));
    assert!(matches!(error("[]"), DecodeError::OtherJson));
    assert!(matches!(
        error(r#"{"data":{"a":1}}"#),
        DecodeError::OtherJson
    ));
    assert!(matches!(
        error(r#"{"data":[{"id":1},{"id":2}]}"#),
        DecodeError::NoRow { count: 2, .. }
    ));
    match error(r#"{"error":"can't get state\n of process x"}"#) {
        DecodeError::ServerError(text) => assert_eq!(text, "can't get state of process x"),
        other => panic!("{other:?}"),
    }
    for body in [
        r#"{"data":[],"data":[]}"#,
        r#"{"data":[],"error":"a","error":"b"}"#,
    ] {
        assert!(matches!(error(body), DecodeError::OtherJson), "{body}");
    }
    for body in [r#"{"data":null}"#, r#"{"data":[]}"#] {
        let reading = decode(body.as_bytes()).unwrap();
        assert!(reading.rows.is_empty() && reading.odd.is_empty());
    }
}

#[test]
fn a_frame_tells_its_name_even_where_it_cannot_be_read() {
    let frame =
        WireFrame::decode(r#"{"snapshot":true,"state":{"name":"a","status":"Running"}}"#).unwrap();
    assert!(frame.snapshot && frame.state.name == "a");
    assert!(
        !WireFrame::decode(r#"{"state":{"name":"a","status":"Running"}}"#)
            .unwrap()
            .snapshot
    );
    let odd = WireFrame::decode(r#"{"state":{"name":"a","status":1}}"#).unwrap_err();
    assert_eq!(odd.name.as_deref(), Some("a"));
    assert_eq!(WireFrame::decode("nonsense").unwrap_err().name, None);
}

#[test]
fn a_process_with_more_words_than_can_be_told_hides_nobody() {
    let monster = "m".repeat(LONGEST + 1);
    let many = vec!["n"; LONGEST];
    for monstrous in [
        serde_json::json!({ "name": monster, "status": "Running" }),
        serde_json::json!({ "name": "a", "status": monster }),
        serde_json::json!({ "name": "a", "status": "Running", "namespace": many }),
        serde_json::json!({ "name": "a", "status": "Running", "success_exit_codes": vec![1; LONGEST] }),
        serde_json::json!({ "name": "a", "status": "Running", "watch_trigger_path": monster }),
    ] {
        let body =
            serde_json::json!({ "data": [monstrous, { "name": "api", "status": "Running" }] });
        let body = body.to_string();
        let reading = decode(body.as_bytes()).unwrap();
        assert_eq!(reading.rows.len(), 1);
        assert_eq!(reading.rows[0].name, "api");
        let odd = &reading.odd[0];
        assert_eq!(odd.name.as_deref(), monstrous["name"].as_str());
        assert!(
            odd.why.contains("can be told") && odd.why.len() < 200,
            "{}",
            odd.why
        );
        let frame = serde_json::json!({ "state": monstrous }).to_string();
        assert_eq!(WireFrame::decode(&frame).unwrap_err().name, odd.name);
    }
}

fn element() -> impl Strategy<Value = String> {
    let namespace = prop_oneof![
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        proptest::collection::vec(any::<String>(), 0..3)
            .prop_map(|list| serde_json::to_string(&list).unwrap()),
        Just("null".to_owned()),
    ];
    let number = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        Just("null".to_owned()),
        Just("3.0".to_owned())
    ];
    (any::<String>(), any::<String>(), namespace, number, any::<Option<bool>>(), any::<f32>()).prop_map(
        |(name, status, namespace, number, flag, cpu)| {
            let name = serde_json::to_string(&name).unwrap();
            let status = serde_json::to_string(&status).unwrap();
            let flag = serde_json::to_string(&flag).unwrap();
            let cpu = serde_json::to_string(&cpu).unwrap();
            format!(
                r#"{{"name":{name},"status":{status},"namespace":{namespace},"pid":{number},"age":{number},
                "is_running":{flag},"cpu":{cpu},"process_end_time":{name}}}"#
            )
        },
    )
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        _ = decode(&bytes);
        _ = WireFrame::decode(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_cut_body_is_taken_for_a_whole_one(elements in proptest::collection::vec(element(), 0..4), cut in any::<prop::sample::Index>()) {
        let body = format!(r#"{{"data":[{}]}}"#, elements.join(","));
        prop_assert!(decode(&body.as_bytes()[..cut.index(body.len())]).is_err());
    }

    #[test]
    fn both_ways_of_reading_give_the_same_rows(elements in proptest::collection::vec(element(), 1..6)) {
        let body = format!(r#"{{"data":[{}]}}"#, elements.join(","));
        let whole = decode(body.as_bytes()).unwrap().rows;
        let each = table::decode_each::<WireRow<'_>>(body.as_bytes()).unwrap();
        prop_assert!(each.odd.is_empty());
        // as text, for a torn number is not equal to itself
        prop_assert_eq!(format!("{whole:?}"), format!("{:?}", each.rows));
    }
}
