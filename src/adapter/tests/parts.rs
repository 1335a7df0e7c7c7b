//! A look that is told in several parts, and what may happen between them.

use crate::observation::outlet::Outlet as _;

use super::crashes::until_wait;
use super::house::{House, seconds};
use super::store::Fault;
use super::toy::Source;

/// Processes, each with an event: three parts.
const MANY: usize = 2500;

fn source() -> Source {
    let names: Vec<_> = (0..MANY).map(|number| format!("p{number:04}")).collect();
    let values: Vec<_> = names.iter().map(|name| (&**name, 1)).collect();
    Source::new(&values)
}

fn houses() -> [House; 2] {
    [House::new(), House::with_spool()]
}

/// All events of the first look, and that the source was met.
fn is_told_whole(house: &House) {
    let stream = house.store.stream.lock().unwrap();
    stream.check();
    assert_eq!(stream.events.len(), MANY + 1);
}

#[tokio::test(start_paused = true)]
async fn a_large_look_needs_the_memory_of_two_commits() {
    for house in houses() {
        let mut a = house.watcher("a").await;
        a.tell(&source()).await;
        is_told_whole(&house);
        assert_eq!(house.store.commits(), 3);
        let most = a.committer.pending.most_in_memory();
        // More than one commit's worth: some of the next was written while the broker was at the last.
        assert!((1_020..3 * 990).contains(&most), "{most}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_look_is_told_whole_whatever_happens_to_one_of_its_parts() {
    let faults = [
        Fault::Busy("503"),
        Fault::UnknownStored,
        Fault::UnknownLost,
        Fault::UnknownLate(1),
        Fault::Away,
    ];
    for fault in faults {
        for part in 0..3 {
            for house in houses() {
                let (mut a, source) = (house.watcher("a").await, source());
                let before = std::iter::repeat_n(Fault::Ok, part);
                house.store.faults(before.chain([fault.clone()]));
                for _ in 0..3 {
                    a.tell(&source).await;
                    seconds(2).await;
                }
                is_told_whole(&house);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_look_that_is_cut_off_between_its_parts_is_kept_whole() {
    let mut cut = 0;
    for point in 0..20 {
        let (house, source) = (House::with_spool(), source());
        let mut a = house.watcher("a").await;
        if until_wait(point, a.look(&source)).await.is_some() {
            break;
        }
        cut += 1;
        house.store.set_online(false);
        a.committer.close().await.unwrap();
        drop(a);
        house.store.set_online(true);
        let mut b = house.watcher("a").await;
        b.tell(&source).await;
        is_told_whole(&house);
        let waited = house.store.commits() > 1;
        assert!(waited, "cut off at wait {point}");
    }
    assert!(cut >= 3, "{cut} waits");
}

#[tokio::test(start_paused = true)]
async fn a_large_look_that_cannot_go_on_waits_whole_beside_the_next() {
    for house in houses() {
        let (mut a, mut source) = (house.watcher("a").await, source());
        house.store.faults([Fault::Ok, Fault::Away]);
        a.tell(&source).await;
        house.store.set_online(false);
        let told = house.store.stream.lock().unwrap().events.len();
        let waiting = a.committer.pending.waiting();
        assert_eq!(told as u64 + waiting, MANY as u64 + 1);
        for name in ["p0000", "p2499"] {
            source.grow(name);
        }
        seconds(2).await;
        a.tell(&source).await;
        house.store.set_online(true);
        seconds(2).await;
        a.tell(&source).await;
        let stream = house.store.stream.lock().unwrap();
        stream.check();
        assert_eq!(stream.events.len(), MANY + 3);
    }
}
