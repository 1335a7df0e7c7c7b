//! `observe state`: how everything stands, once and while it is watched.

use rustix::process::Signal;
use serde_json::Value;

use super::house::House;
use super::run::{Home, LIMIT, Run};
use super::stack::Stack;
use super::terminal::Terminal;
use super::wait::grow_old;
use crate::support::wait::until;

/// A probe, a job, a group and a server in a namespace of its own.
const MIXED: &str = "
name: shop
keep: true
processes:
  api: {ready: {after: 100ms, period: 200ms, threshold: 100}}
  migrate: {life: [{run: 100ms, exit: 0}]}
  web: {replicas: 2, namespace: front}
  worker: {restart: always, backoff: 1s}
";

/// Runs to the end, and gives the exit code, what was told and what was said.
pub(super) async fn ends(mut run: Run) -> (i32, Vec<String>, Vec<String>) {
    let code = run.ends().await;
    (code, run.out.all(), run.err.all())
}

pub(super) async fn object(home: &Home, args: &[&str]) -> Value {
    let (code, told, said) = ends(home.run(&[args, &["-o", "json"]].concat())).await;
    assert_eq!((code, told.len()), (0, 1), "{args:?}: {said:?}");
    serde_json::from_str(&told[0]).unwrap()
}

/// A command by the broker, with no stack in reach.
pub(super) fn by_broker<'a>(command: &'a str, url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[command, "-s", url][..], more].concat()
}

/// Each process in words: source, name, how well it is known, status.
pub(super) fn known(object: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for source in object["sources"].as_array().unwrap() {
        for process in source["processes"].as_array().unwrap() {
            let state = [&process["state"], &process["last_known"]];
            let status = state.iter().find_map(|state| state["status"].as_str());
            all.push(format!(
                "{} {} {} {}",
                source["source"].as_str().unwrap(),
                process["process"].as_str().unwrap(),
                process["known"].as_str().unwrap(),
                status.unwrap_or("-")
            ));
        }
    }
    all
}

#[tokio::test]
async fn without_a_broker_it_looks_at_the_stack_and_the_numbers_are_of_that_look() {
    let (home, stack) = (Home::new(), Stack::play(MIXED).await);
    let place = ["-p", &stack.port, "--interval", "250ms"];
    let ready = [&["wait"], &place[..]].concat();
    assert_eq!(ends(home.run(&ready)).await.0, 0);
    let (code, told, said) = ends(home.run(&[&["state"], &place[..]].concat())).await;
    assert_eq!((code, &said), (0, &Vec::new()));
    assert!(
        told[0].starts_with("shop: 5 processes, 4 up; looked 0 s ago"),
        "{told:?}"
    );
    assert!(
        told[1].ends_with("EXIT    CPU      MEM"),
        "numbers without an age: {told:?}"
    );
    let firsts: Vec<_> = told[2..]
        .iter()
        .map(|line| &line[..line.find(' ').unwrap()])
        .collect();
    assert_eq!(firsts, ["●", "■", "●", "●", "●"], "{told:?}");
    assert!(
        told[2].contains("api") && told[2].contains("ready"),
        "{told:?}"
    );

    chooses(&home, &place).await;
    let object = object(&home, &[&["state"], &place[..]].concat()).await;
    assert_eq!(
        (&object["type"], &object["schema"]),
        (&"state".into(), &1.into())
    );
    let api = &object["sources"][0]["processes"][0];
    assert_eq!(api["usage_at"], object["sources"][0]["since"]);
    assert!(
        api["state"]["mem_bytes"].is_i64() && api["uptime_ms"].is_u64(),
        "{api}"
    );

    stack.control.stop_listening();
    let (code, _, said) = ends(home.run(&[&["state"], &place[..]].concat())).await;
    assert_eq!((code, said.len()), (3, 1), "{said:?}");
}

/// What is chosen, and what choosing badly comes to.
async fn chooses(home: &Home, place: &[&str]) {
    for (args, names, wanted) in [
        (&["web"][..], &["web-0", "web-1"][..], 0),
        (&["w*", "api"], &["api", "web-0", "web-1", "worker"], 0),
        (&["-N", "front"], &["web-0", "web-1"], 0),
        (&["nobody"], &[], 1),
        (&["nobody", "api"], &["api"], 1),
        (&["no*"], &[], 0),
        (&["--source", "other"], &[], 1),
        (&["we[b"], &[], 2),
        (&["--watch"], &[], 2),
        (&["--at", "soon"], &[], 2),
        (&["--at", "2126-01-01"], &[], 2),
    ] {
        let all = [&["state", "--no-headers"], place, args].concat();
        let (code, told, said) = ends(home.run(&all)).await;
        assert_eq!(code, wanted, "{args:?}: {said:?}");
        let found: Vec<_> = told
            .iter()
            .map(|line| line.split(' ').nth(1).unwrap())
            .collect();
        assert_eq!(found, names, "{args:?}: {told:?}");
        assert_eq!(
            said.len(),
            usize::from(names.is_empty() || wanted != 0),
            "{args:?}: {said:?}"
        );
    }
}

#[tokio::test]
async fn by_a_broker_it_shows_what_was_told_last_and_never_a_dead_adapter_s_word_as_the_present() {
    let house = House::new().await;
    let url = house.nats.url();
    let none = ends(house.home.run(&by_broker("state", &url, &[]))).await;
    assert_eq!(none.0, 4, "no stream yet: {:?}", none.2);
    let mut adapter = house.working(&[]).await;
    house.tells("started", "worker", 1).await;
    let args = by_broker("state", &url, &[]);
    let (code, told, said) = ends(house.home.run(&args)).await;
    assert_eq!((code, &said), (0, &Vec::new()));
    assert!(
        told[0].starts_with("shop: 3 processes, 3 up; looked "),
        "{told:?}"
    );
    assert!(told[1].ends_with("EXIT  AS OF    CPU      MEM"), "{told:?}");
    let now = object(&house.home, &args).await;
    assert_eq!(
        known(&now),
        [
            "shop api now Running",
            "shop web now Running",
            "shop worker now Running"
        ]
    );

    adapter.end_by(Signal::KILL).await;
    grow_old(&house).await;
    // Nobody has seen it for a day.
    let (code, told, _) = ends(house.home.run(&args)).await;
    assert_eq!(
        (code, told),
        (
            0,
            vec!["1 source unseen for a day not shown; --all shows every one".to_owned()]
        )
    );
    assert_eq!(object(&house.home, &args).await["hidden"], 1);
    for more in [&["--all"][..], &["--source", "shop"]] {
        let args = [&args[..], more].concat();
        let (code, told, _) = ends(house.home.run(&args)).await;
        assert_eq!(code, 0);
        assert!(
            told[0].starts_with("shop: nobody has looked for "),
            "{told:?}"
        );
        assert!(
            told[2..]
                .iter()
                .all(|line| line.starts_with('?') && line.contains("was Running")),
            "{told:?}"
        );
        let stale = object(&house.home, &args).await;
        assert_eq!(stale["sources"][0]["sight"], "unwatched");
        assert_eq!(known(&stale)[0], "shop api was Running");
        assert_eq!(stale["sources"][0]["processes"][0]["state"], Value::Null);
    }
}

#[tokio::test]
async fn a_watch_in_a_pipe_has_an_object_for_each_change() {
    let house = House::new().await;
    let url = house.nats.url();
    let _adapter = house.working(&[]).await;
    house.tells("started", "worker", 1).await;
    let args = by_broker("state", &url, &["--watch", "-o", "json", "api"]);
    let mut run = house.home.run(&args);
    run.tells("\"Running\"").await;
    house.stack.exit("api", 3).await;
    run.tells("\"Completed\"").await;
    // What happens to others is no change of this one, and neither is time.
    house.stack.exit("web", 3).await;
    house.tells("crashed", "web", 1).await;
    house.stack.control.start("api").unwrap();
    until(LIMIT, "a third object", async || run.out.all().len() >= 3).await;
    let told = run.out.all();
    assert!(
        told.len() == 3 && told[2].contains("\"Running\""),
        "{told:#?}"
    );
    assert_eq!(run.end_by(Signal::INT).await, 130);
}

#[tokio::test]
async fn a_watch_on_a_terminal_is_redrawn_in_place() {
    let (home, stack) = (Home::new(), Stack::play(MIXED).await);
    let args = ["state", "--watch", "-p", &stack.port, "--interval", "250ms"];
    let mut terminal = Terminal::run(&home, &args, &[]);
    terminal.shows("● worker").await;
    let count = terminal.rows().len();
    assert_eq!(count, 7, "{:#?}", terminal.rows());
    stack.exit("worker", 9).await;
    terminal.shows("✗ worker   Restarting").await;
    terminal.shows("● worker").await;
    assert_eq!(terminal.rows().len(), count, "{:#?}", terminal.rows());
    // Nothing green is left of a stack that is away.
    stack.control.stop_listening();
    terminal.shows("out of sight for").await;
    let rows = terminal.rows();
    assert!(
        rows[2..]
            .iter()
            .all(|row| row.starts_with("? ") && row.contains("was ")),
        "{rows:#?}"
    );
    drop(stack);
    terminal.press(&[3]);
    assert_eq!(terminal.ends().await, 130);
    // One that cannot be redrawn gets a table for each change.
    let stack = Stack::play(MIXED).await;
    let args = ["state", "--watch", "-p", &stack.port, "--interval", "250ms"];
    let terminal = Terminal::run(&home, &args, &[("TERM", "dumb"), ("LC_ALL", "C")]);
    terminal.shows("> worker").await;
    stack.exit("worker", 9).await;
    terminal.shows("X worker").await;
    assert!(terminal.bytes().is_ascii() && !terminal.bytes().contains(&0x1b));
}
