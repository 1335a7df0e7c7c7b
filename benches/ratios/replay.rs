//! P5: what an hour without the broker left in the spool goes into the stream, against a bare loop of batches.

use std::time::Duration;

use super::Size;
use super::batches::{Ready, send};
use super::body::Change;
use super::children::memory;
use super::commit::BATCH;
use super::figure::{Figure, Goal, Unit};
use super::measure::{Spread, medians};
use super::outlet::{Looks, Outlet, block_on};
use super::server::Server;

/// Events that wait: ten a second for an hour.
const EVENTS: usize = 36_000;
const PROCESSES: usize = 100;

/// P5.
pub fn figures(size: Size) -> Vec<Figure> {
    let measured: Vec<_> = (0..size.rounds()).map(|_| block_on(pair())).collect();
    let times: Vec<_> = measured
        .iter()
        .map(|(ours, bare, _)| (*ours, *bare))
        .collect();
    let rates: Vec<_> = times.iter().map(|(ours, bare)| (*bare, *ours)).collect();
    let grown = Spread::of(measured.iter().map(|(_, _, grown)| *grown)).median;
    let (took, bare) = medians(&times);
    vec![Figure {
        name: "P5",
        subject: format!("{EVENTS} events out of the spool into the stream, rate"),
        reference: format!("a bare loop of atomic batches of {BATCH}, prebuilt"),
        unit: Unit::Times,
        found: Ok(Spread::of_ratios(&rates)),
        goal: Goal::AtLeast(0.80),
        absolute: format!(
            "{:.0} against {:.0} events/s; {grown:.1} MB more resident",
            EVENTS as f64 / took,
            EVENTS as f64 / bare
        ),
    }]
}

/// How long the replay took, how long the bare loop took, and by how many megabytes the replay left us larger.
async fn pair() -> (f64, f64, f64) {
    let mut server = Server::start();
    let mut outlet = Outlet::begin(&server, "shop").await;
    let mut looks = Looks::at(PROCESSES);
    outlet.tell(&looks.next(Change::FiveAtATime)).await;
    server.kill();
    while outlet.bus.is_connected() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Five processes crash and run again at each look.
    let mut messages: Vec<Ready> = Vec::new();
    let mut last = None;
    while messages.len() < EVENTS {
        let look = looks.next(Change::FiveAtATime);
        outlet.tell(&look).await;
        messages.extend(look.messages());
        last = Some(look);
    }
    let before = resident();
    server.again();
    outlet.bus.connected().await;
    let took = outlet.tell_nothing(&last.expect("a look")).await;
    let grown = resident() - before;
    let spool = server.folder().join("spool-shop");
    let left = std::fs::metadata(spool).map_or(0, |file| file.len());
    assert_eq!(left, 0, "nothing waits any more");
    let client = async_nats::connect(server.url()).await.expect("a broker");
    let batches: Vec<_> = messages.chunks(BATCH).map(<[_]>::to_vec).collect();
    (took, send(&client, &batches).await, grown)
}

/// Resident megabytes of this process.
fn resident() -> f64 {
    memory(std::process::id(), "VmRSS:") as f64 / 1e6
}
