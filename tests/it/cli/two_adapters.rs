//! Several adapters on one stack: one looks, the others stand by and take over.

use std::time::Duration;

use super::house::{House, brief, count, without_holes};
use super::run::{LIMIT, Run};
use super::stack::Stack;

/// Lets something happen again and again until one of two adapters says that it stands by; which one that is.
async fn one_stands_by(house: &House, both: [&Run; 2], rounds: &mut usize) -> usize {
    let before = both.map(|run| run.err.count("stands by"));
    let stands = || (0..2).find(|&who| both[who].err.count("stands by") > before[who]);
    let end = tokio::time::Instant::now() + LIMIT;
    loop {
        *rounds += 1;
        house.stack.control.kill("api", 9).unwrap();
        house.tells("crashed", "api", *rounds).await;
        house.stack.control.start("api").unwrap();
        house.tells("started", "api", *rounds + 1).await;
        if let Some(who) = stands() {
            return who;
        }
        assert!(tokio::time::Instant::now() < end, "after {rounds} rounds");
    }
}

#[tokio::test]
async fn of_two_adapters_one_stands_by_and_takes_over_when_the_other_is_killed() {
    let house = House::new().await;
    let mut rounds = 0;
    let mut both = vec![house.working(&[]).await, house.working(&[]).await];
    let standby = one_stands_by(&house, [&both[0], &both[1]], &mut rounds).await;
    let line = both[standby].says("stands by").await;
    assert!(
        line.starts_with("shop: ") && line.contains(" looks and tells"),
        "{line}"
    );
    let looking = both.remove(1 - standby);
    let standby = both.remove(0);
    assert_eq!(looking.err.all().len(), 1, "{:#?}", looking.err.all());

    // Dropped is killed, by SIGKILL.
    drop(looking);
    let killed = tokio::time::Instant::now();
    let before = house.told(1).await.len();
    house.stack.control.kill("web", 9).unwrap();
    let line = standby.says("this adapter looks and tells").await;
    assert!(line.contains(" stood still for 1"), "{line}");
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(14), "{took:?}");
    let told = house.tells("crashed", "web", 1).await;
    without_holes(&told);
    let news: Vec<_> = told[before..]
        .iter()
        .map(|event| event.kind.as_str())
        .collect();
    assert_eq!(news, ["gap", "crashed"], "{:#?}", brief(&told));
    assert_eq!(told[before].gap.as_ref().unwrap().why, "adapter_down");

    // The one that was killed is a peer again, until one of the two stands by.
    let again = house.adapter(&[]);
    again.says("shop: process-compose").await;
    one_stands_by(&house, [&standby, &again], &mut rounds).await;
    let told = house.told(1).await;
    without_holes(&told);
    assert_eq!(
        count(&told, "crashed", "api"),
        rounds,
        "{:#?}",
        brief(&told)
    );
    assert_eq!(count(&told, "crashed", "web"), 1, "{:#?}", brief(&told));
    let gaps = told.iter().filter(|event| event.gap.is_some()).count();
    assert_eq!(gaps, 1, "{:#?}", brief(&told));
}

#[tokio::test]
async fn two_servers_of_one_name_are_not_merged() {
    let house = House::new().await;
    let _first = house.working(&[]).await;
    let other = Stack::shop().await;
    let before = house.told(1).await.len();
    let url = house.nats.url();
    let mut second = house.home.run(&["adapter", "-p", &other.port, "-s", &url]);
    let (code, line) = second.refused().await;
    assert_eq!(code, 1, "{line}");
    for part in ["two process-composes call themselves shop", "--source NAME"] {
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(house.told(1).await.len(), before, "nothing of it is told");
}

#[tokio::test]
async fn a_head_of_a_newer_build_ends_every_adapter_of_this_one_and_is_not_overwritten() {
    let house = House::new().await;
    let mut rounds = 0;
    let mut both = [house.working(&[]).await, house.working(&[]).await];
    one_stands_by(&house, [&both[0], &both[1]], &mut rounds).await;
    let client = async_nats::connect(house.nats.url()).await.unwrap();
    let newer = r#"{"format":99,"source":"shop"}"#;
    client
        .publish("core.head.shop", newer.into())
        .await
        .unwrap();
    client.flush().await.unwrap();
    house.stack.control.kill("web", 9).unwrap();
    let mut late = house.adapter(&[]);
    for run in both.iter_mut().chain([&mut late]) {
        let code = run.ends().await;
        let said = run.err.all().join("\n");
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("the head of shop has format 99"), "{said}");
    }
    let answer = super::outages::api(
        &house.nats,
        "STREAM.MSG.GET.PROCESS_EVENTS",
        serde_json::json!({ "last_by_subj": "core.head.shop" }),
    )
    .await;
    let kept = answer["message"]["data"].as_str().unwrap();
    assert_eq!(kept, "eyJmb3JtYXQiOjk5LCJzb3VyY2UiOiJzaG9wIn0=", "{answer}");
}
