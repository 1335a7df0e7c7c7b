//! What an adapter shows of stacks and a broker that are away, come later, or are looked at no more.

use super::house::House;
use super::listen::{Answer, Shown, figure, port};
use super::run::LIMIT;
use super::stack::Stack;
use crate::support::wait::until;

fn reasons(answer: &Answer) -> String {
    answer.json()["reasons"].to_string()
}

#[tokio::test]
async fn while_the_broker_is_away_health_says_so_and_the_table_is_shown() {
    let mut shown = Shown::new(&[]).await;
    shown.until("/health", |answer| answer.status == 200).await;
    shown.house.nats.kill();
    let away = shown.until("/health", |answer| answer.status == 503).await;
    assert!(
        reasons(&away).contains("shop: the broker is away"),
        "{away:?}"
    );
    assert_eq!(away.json()["connected"], false);
    assert_eq!(shown.get("/health/ready").await.status, 503);
    assert_eq!(shown.get("/health/live").await.status, 200);
    shown.house.stack.exit("worker", 3).await;
    shown
        .until("/health", |answer| reasons(answer).contains("wait"))
        .await;
    let snapshot = shown.get("/snapshot").await.json();
    assert_eq!(
        snapshot["sources"][0]["processes"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(snapshot["sources"][0]["standing"]["freshness"], "fresh");
    assert_eq!(snapshot["sources"][0]["standing"]["doing"], "waiting");
    assert!(shown.figure("observe_spool_bytes{source=\"shop\"}").await > 0.0);
    let crashes =
        "observe_process_crashes_total{source=\"shop\",namespace=\"default\",process=\"worker\"}";
    assert!(
        shown.figure(crashes).await.abs() < 0.5,
        "it is not told yet"
    );
    shown.house.nats.again();
    shown.until("/health", |answer| answer.status == 200).await;
    until(LIMIT, "the crash", async || {
        shown.figure(crashes).await > 0.5
    })
    .await;
    assert!(shown.figure("observe_spool_bytes{source=\"shop\"}").await < 0.5);
}

#[tokio::test]
async fn of_several_stacks_each_is_shown_for_as_long_as_it_is_looked_at() {
    let (house, other) = (House::new().await, Stack::shop().await);
    let file = house.home.path().join("observe.yaml");
    let one = format!(
        "version: 1\nsources:\n  - {{name: east, address: '{}'}}\n",
        house.stack.port
    );
    let two = format!("{one}  - {{name: west, address: '{}'}}\n", other.port);
    std::fs::write(&file, two).unwrap();
    let url = house.nats.url();
    let args = ["adapter", "-s", &url, "--listen", "127.0.0.1:0"];
    let run = house.home.run(&args);
    let port = port(&run).await;
    let shown = Shown { house, run, port };
    let sources = |answer: &Answer| {
        let sources = answer.json()["sources"].as_array().cloned();
        let names = sources.into_iter().flatten();
        let mut names: Vec<_> = names.map(|one| one["source"].clone()).collect();
        names.sort_by_key(ToString::to_string);
        names
    };
    shown
        .until("/health", |answer| {
            answer.status == 200 && sources(answer) == ["east", "west"]
        })
        .await;
    assert!(shown.figure("observe_looks_total{source=\"west\"}").await > 0.0);
    let new = file.with_extension("new");
    std::fs::write(&new, one).unwrap();
    std::fs::rename(new, &file).unwrap();
    shown
        .until("/health", |answer| sources(answer) == ["east"])
        .await;
}

#[tokio::test]
async fn while_the_source_is_away_its_last_table_is_shown_as_what_was() {
    let shown = Shown::new(&[]).await;
    shown.until("/health", |answer| answer.status == 200).await;
    shown.house.stack.control.stop_listening();
    let away = shown.until("/health", |answer| answer.status == 503).await;
    assert!(reasons(&away).contains("failed"), "{away:?}");
    assert_eq!(away.json()["connected"], false);
    let one = |answer: &Answer| answer.json()["sources"][0].clone();
    let age = |answer: &Answer| one(answer)["standing"]["age_ms"].as_u64().unwrap();
    let snapshot = shown
        .until("/snapshot", |answer| {
            one(answer)["standing"]["freshness"] == "failing"
        })
        .await;
    assert_eq!(one(&snapshot)["processes"][0]["known"], "was");
    assert!(one(&snapshot)["processes"][0]["state"].is_null());
    let before = age(&snapshot);
    shown
        .until("/snapshot", |answer| age(answer) > before + 500)
        .await;
    let text = shown.get("/metrics").await.body;
    assert!(figure(&text, "observe_looks_failed_total{source=\"shop\"}") > 0.0);
    assert!(!text.contains("observe_processes_up{"), "{text}");
    shown.house.stack.control.listen_again();
    shown.until("/health", |answer| answer.status == 200).await;
}

#[tokio::test]
async fn an_adapter_that_waits_for_its_stack_is_alive_and_not_ready() {
    let house = House::new().await;
    house.stack.control.stop_listening();
    let run = house.adapter(&["--listen", "127.0.0.1:0"]);
    let port = port(&run).await;
    let shown = Shown { house, run, port };
    let health = shown.get("/health").await;
    assert_eq!((health.status, &health.json()["live"]), (503, &true.into()));
    assert!(
        reasons(&health).contains("nothing is watched yet"),
        "{health:?}"
    );
    assert_eq!(shown.get("/health/live").await.status, 200);
    shown.house.stack.control.listen_again();
    shown.until("/health", |answer| answer.status == 200).await;
}
