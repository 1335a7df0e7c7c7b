//! Bad usage: said at once, before anything is looked at or told, with exit code 2.

use super::run::Home;

/// Runs it and gives what it said first.
async fn refused(args: &[&str]) -> String {
    let home = Home::new();
    let mut run = home.run(args);
    assert_eq!(run.ends().await, 2, "{args:?}: {:?}", run.err.all());
    assert!(run.out.all().is_empty(), "{args:?}: {:?}", run.out.all());
    let said = run.err.all();
    assert!(
        said[0].starts_with("observe: ") && said.len() == 1 || said[0].starts_with("error: "),
        "{args:?}: {said:#?}"
    );
    said[0].clone()
}

#[tokio::test]
async fn an_interval_that_cannot_be_is_refused_with_one_that_can() {
    for command in ["watch", "adapter", "up"] {
        for (given, wanted) in [
            ("0", "at most every 250ms"),
            ("2", "without a unit"),
            ("-1s", "no duration"),
            ("10ms", "at most every 250ms"),
            ("soon", "no duration"),
        ] {
            let said = refused(&[command, "-p", "1", "--interval", given]).await;
            assert!(
                said.contains(wanted) && said.contains(given),
                "{given}: {said}"
            );
            assert!(said.contains("2s"), "an example: {said}");
        }
    }
}

#[tokio::test]
async fn a_filter_with_bad_syntax_names_itself_and_what_there_is() {
    for (args, wanted) in [
        (["-f", "bad"], "key=value"),
        (["-f", "color=red"], "namespace"),
        (["-f", "type=exploded"], "crashed"),
        (["--type", "exploded"], "crashed"),
        (["--type", ""], "crashed"),
        (["--severity", "loud"], "critical"),
        (["--process", "we[b"], "we[b"),
        (["-N", "{a"], "{a"),
        (["-o", "yaml"], "json"),
        (["--count", "0"], "--count"),
        (["--count", "-1"], "-1"),
        (["--time", "noon"], "relative"),
        (["--color", "red"], "never"),
        (["--last", "many"], "--last"),
    ] {
        let said = refused(&["watch", "--direct", "-p", "1", args[0], args[1]]).await;
        assert!(said.contains(wanted), "{args:?}: {said}");
    }
}

#[tokio::test]
async fn addresses_and_names_that_cannot_be_are_refused() {
    for (args, wanted) in [
        (vec!["watch", "-p", "70000"], "70000"),
        (vec!["watch", "--url", "htp://x"], "http://"),
        (vec!["adapter", "-p", "1", "--evidence", "some"], "off"),
        (
            vec!["adapter", "-p", "1", "--retention", "1"],
            "without a unit",
        ),
        (
            vec!["adapter", "-p", "1", "--retention", "-1h"],
            "no duration",
        ),
        (vec!["adapter", "-p", "1", "--max-bytes", "12"], "1048576"),
        (vec!["watch", "--json", "-o", "text"], "cannot be used with"),
        (vec!["wtach"], "wtach"),
    ] {
        let said = refused(&args).await;
        assert!(said.contains(wanted), "{args:?}: {said}");
    }
}
