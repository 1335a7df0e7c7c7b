use super::census::Census;
use super::*;

fn row(epoch: u32, pid: i64, restarts: i64, told: u64) -> Vec<u8> {
    let text = format!(
        r#"{{"n":"api","ns":["default"],"s":"Running","p":"u","e":{epoch},"r":{restarts},"pid":{pid},"m":{{"q":{told}}}}}"#
    );
    text.into_bytes()
}

#[test]
fn a_row_covers_another_one_of_the_same_run_that_tells_no_more() {
    let ours = row(1, 40, 2, 7);
    for (theirs, covers) in [
        (row(1, 40, 2, 7), true),
        (row(1, 40, 2, 9), true),
        (row(1, 40, 2, 6), false),
        (row(2, 40, 2, 7), false),
        (row(1, 41, 2, 9), false),
        (row(1, 40, 3, 9), false),
        (b"?".to_vec(), false),
    ] {
        let text = String::from_utf8_lossy(&theirs).into_owned();
        assert_eq!(ProcessRows.covers(&theirs, &ours), covers, "{text}");
    }
}

#[test]
fn whoever_counts_rows_takes_none_twice_and_none_that_is_none() {
    let (api, web) = (row(1, 40, 2, 7), row(1, 41, 2, 7));
    let count = |rows: &[&[u8]]| Census::read(rows.iter().copied()).map(|it| (it.processes, it.up));
    assert_eq!(count(&[&api, &web]).unwrap(), (1, 1), "one name");
    let text = String::from_utf8(api).unwrap();
    let web = text.replace("api", "web");
    assert_eq!(count(&[text.as_bytes(), web.as_bytes()]).unwrap(), (2, 2));
    for key in ["n", "ns", "s", "p", "e", "m", "q"] {
        let odd = text.replace(&format!("\"{key}\":"), "\"odd\":");
        assert!(count(&[odd.as_bytes()]).is_err(), "{odd}");
        let line = serde_json::from_str::<Line<'_>>(&odd);
        assert!(line.is_err(), "{odd}");
    }
}
