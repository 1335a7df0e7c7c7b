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
