//! Processes with names that nobody should choose.

use super::house::{House, subjects, without_holes};
use super::run::Home;
use super::stack::Stack;
use crate::support::nats::NatsServer;

/// A stack of three odd ones and one that is like others.
fn odd() -> String {
    let long = "x".repeat(10_000);
    format!(
        "name: shop\nkeep: true\nprocesses:\n  \"a.b *>\": {{}}\n  \"line\\nbreak \\u001b[31mred\\u202e\": {{}}\n  ? \"{long}\"\n  : {{}}\n  plain: {{}}\n"
    )
}

#[tokio::test]
async fn no_name_leaves_its_token_or_its_line() {
    let house = House {
        home: Home::new(),
        stack: Stack::play(&odd()).await,
        nats: NatsServer::start(),
    };
    let adapter = house.adapter(&[]);
    adapter.says("shop: process-compose").await;
    let told = house.told(5).await;
    without_holes(&told);
    for subject in subjects(&house.nats).await {
        let tokens: Vec<&str> = subject.split('.').collect();
        if tokens[1] == "process" {
            assert_eq!(tokens.len(), 5, "{subject}");
            assert!(
                !subject.contains(['*', '>', ' ', '\n', '\u{1b}']),
                "{subject:?}"
            );
        }
    }
    // What is told carries the name as it is, whole.
    let names: Vec<&str> = told
        .iter()
        .filter_map(|event| event.process.as_deref())
        .collect();
    assert!(names.contains(&"a.b *>"), "{names:?}");
    assert!(
        names.contains(&"line\nbreak \u{1b}[31mred\u{202e}"),
        "{names:?}"
    );
    assert!(names.iter().any(|name| name.len() == 10_000));
    assert_eq!(adapter.err.all().len(), 1, "{:#?}", adapter.err.all());

    let watch = house.watch(&["-n", "20"]).await;
    let wide = house.watch(&["-n", "20", "-o", "wide"]).await;
    let json = house.watch(&["-n", "20", "--json"]).await;
    for run in [&watch, &wide, &json] {
        run.tells("plain").await;
        run.tells("a.b *>").await;
        run.tells("xxxxxxx").await;
        let line = run.tells("break").await;
        assert!(line.contains("line"), "one line: {line:?}");
        for line in run.out.all() {
            assert!(
                !line.contains(['\u{1b}', '\r', '\u{202e}']) || line.starts_with('{'),
                "{line:?}"
            );
            assert!(!line.contains('\u{1b}'), "{line:?}");
        }
    }
    for line in watch.out.all() {
        assert!(
            line.chars().count() < 400,
            "{} characters: {line}",
            line.chars().count()
        );
    }

    // A filter finds it by its name.
    let one = house.watch(&["-n", "20", "--json", "a.b [*]>"]).await;
    one.tells("a.b *>").await;
    assert_eq!(one.out.count("plain"), 0);
}
