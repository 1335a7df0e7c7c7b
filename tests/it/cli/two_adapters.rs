//! Several adapters on one stack: one looks, the others stand by and take over.

use std::time::Duration;

use super::house::{House, brief, count, without_holes};
use super::run::{LIMIT, Run};
use super::stack::Stack;
use crate::support::wait::until;

/// Lets something happen again and again until one of two adapters says that it stands by; which one that is.
async fn one_stands_by(house: &House, both: [&Run; 2], code: &mut i32) -> usize {
    let before = both.map(|run| run.err.count("stands by"));
    let stands = || (0..2).find(|&who| both[who].err.count("stands by") > before[who]);
    until(LIMIT, "one that stands by", async || {
        if stands().is_some() {
            return true;
        }
        *code += 1;
        let wanted = usize::try_from(*code).unwrap();
        house.stack.exit("worker", 1).await;
        house.tells("restarted", "worker", wanted).await;
        false
    })
    .await;
    stands().unwrap()
}

#[tokio::test]
async fn of_two_adapters_one_stands_by_and_takes_over_when_the_other_is_killed() {
    let house = House::new().await;
    let (mut crashes, began) = (0, tokio::time::Instant::now());
    let mut both = vec![house.working(&[]).await, house.working(&[]).await];
    let standby = one_stands_by(&house, [&both[0], &both[1]], &mut crashes).await;
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
    house.stack.control.kill("api", 9).unwrap();
    let line = standby.says("this adapter looks and tells").await;
    assert!(line.contains(" stood still for 1"), "{line}");
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(13), "{took:?}");
    let told = house.tells("crashed", "api", 1).await;
    without_holes(&told);
    let news: Vec<_> = told[before..]
        .iter()
        .map(|event| event.kind.as_str())
        .collect();
    assert_eq!(news, ["gap", "crashed"], "{:#?}", brief(&told));
    assert_eq!(told[before].gap.as_ref().unwrap().why, "adapter_down");

    let again = house.adapter(&[]);
    again.says("shop: process-compose").await;
    one_stands_by(&house, [&standby, &again], &mut crashes).await;
    let told = house.told(1).await;
    without_holes(&told);
    let worker = usize::try_from(crashes).unwrap();
    assert_eq!(
        count(&told, "crashed", "worker"),
        worker,
        "{:#?}",
        brief(&told)
    );
    assert_eq!(count(&told, "crashed", "api"), 1, "{:#?}", brief(&told));
    assert_eq!(count(&told, "gap", "-"), 0);
    let gaps = told.iter().filter(|event| event.gap.is_some()).count();
    assert_eq!(gaps, 1, "{:#?}", brief(&told));
    assert!(
        began.elapsed() < Duration::from_secs(40),
        "{:?}",
        began.elapsed()
    );
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
