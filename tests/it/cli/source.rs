//! `observe source`: the sources a broker knows, and how one is forgotten.

use rustix::process::Signal;
use serde_json::Value;

use super::house::{House, events, messages};
use super::run::Run;
use super::terminal::Terminal;
use super::wait::grow_old;

const HEADS: [&str; 2] = ["core.head.*", "core.head.*.*"];

/// Runs to the end, and gives the exit code, what was told and what was said.
async fn ends(mut run: Run) -> (i32, Vec<String>, Vec<String>) {
    let code = run.ends().await;
    (code, run.out.all(), run.err.all())
}

async fn sources(house: &House) -> Value {
    let url = house.nats.url();
    let run = house.home.run(&["source", "ls", "-s", &url, "-o", "json"]);
    let (code, told, said) = ends(run).await;
    assert_eq!((code, told.len()), (0, 1), "{said:?}");
    let object: Value = serde_json::from_str(&told[0]).unwrap();
    assert_eq!(object["type"], "sources");
    object["sources"].clone()
}

#[tokio::test]
async fn a_source_is_listed_and_forgotten_when_nobody_tells_it_any_more() {
    let house = House::new().await;
    let url = house.nats.url();
    let mut adapter = house.working(&[]).await;
    house.tells("started", "worker", 1).await;
    let known = sources(&house).await;
    assert_eq!(known.as_array().unwrap().len(), 1);
    assert_eq!(
        (&known[0]["source"], &known[0]["sight"]),
        (&"shop".into(), &"seen".into())
    );
    assert_eq!(
        (&known[0]["processes"], &known[0]["project"]),
        (&3.into(), &"shop".into())
    );
    let (code, told, _) = ends(house.home.run(&["source", "list", "-s", &url])).await;
    assert_eq!((code, told.len()), (0, 2), "{told:?}");
    assert!(told[1].starts_with("● shop    seen"), "{told:?}");

    let forget = |more: &[&'static str]| {
        let usual = ["source", "forget", "shop", "-s", &url];
        ends(house.home.run(&[&usual[..], more].concat()))
    };
    let (code, _, said) = forget(&["--yes"]).await;
    assert_eq!(code, 1);
    assert!(said[0].contains("still tells shop"), "{said:?}");
    adapter.end_by(Signal::KILL).await;
    grow_old(&house).await;
    assert_eq!(sources(&house).await[0]["sight"], "unwatched");
    let (code, _, said) = forget(&[]).await;
    assert_eq!(
        (code, said.len()),
        (2, 1),
        "nobody is asked in a pipe: {said:?}"
    );
    let (code, _, said) = ends(
        house
            .home
            .run(&["source", "forget", "lab", "-s", &url, "--yes"]),
    )
    .await;
    assert_eq!(code, 1, "{said:?}");
    assert!(!messages(&house.nats, &HEADS).await.is_empty());
    let before = events(&house.nats).await.len();

    let (code, told, said) = forget(&["--yes"]).await;
    assert_eq!((code, told.len(), said.len()), (0, 0, 1), "{said:?}");
    assert!(messages(&house.nats, &HEADS).await.is_empty());
    assert_eq!(events(&house.nats).await.len(), before, "events stay");
    assert_eq!(sources(&house).await, Value::Array(Vec::new()));
    // What comes back is told anew.
    let _adapter = house.working(&[]).await;
    house.tells("started", "worker", 2).await;
    assert_eq!(sources(&house).await[0]["sight"], "seen");
    let (code, _, said) = forget(&["--yes", "--force"]).await;
    assert_eq!(code, 0, "{said:?}");
}

#[tokio::test]
async fn on_a_terminal_it_asks_and_only_a_yes_is_one() {
    let house = House::new().await;
    let url = house.nats.url();
    let mut adapter = house.working(&[]).await;
    adapter.end_by(Signal::KILL).await;
    grow_old(&house).await;
    let args = ["source", "forget", "shop", "-s", &url];
    for (answer, code) in [("\n", 1), ("n\n", 1), ("y\n", 0)] {
        let mut terminal = Terminal::run(&house.home, &args, &[]);
        terminal
            .shows("Forget shop, 3 processes, last looked at")
            .await;
        terminal.press(answer.as_bytes());
        assert_eq!(terminal.ends().await, code, "{:#?}", terminal.rows());
        assert_eq!(messages(&house.nats, &HEADS).await.is_empty(), code == 0);
    }
}

#[tokio::test]
async fn the_head_of_an_ephemeral_source_lives_for_a_day_and_any_other_for_ever() {
    for (more, life) in [(&["--ephemeral"][..], "24h"), (&[][..], "never")] {
        let house = House::new().await;
        let _adapter = house.working(more).await;
        house.tells("started", "worker", 1).await;
        let heads = messages(&house.nats, &HEADS).await;
        assert!(heads.len() >= 2, "a root and a shard");
        for head in &heads {
            let headers = head.headers.as_ref().unwrap();
            assert_eq!(
                headers.get("Nats-TTL").unwrap().as_str(),
                life,
                "{}",
                head.subject
            );
        }
        let told = messages(&house.nats, &["core.process.>"]).await;
        assert!(
            told.iter()
                .all(|event| event.headers.as_ref().unwrap().get("Nats-TTL").is_none())
        );
    }
}
