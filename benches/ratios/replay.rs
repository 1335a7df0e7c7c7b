//! P5: what an hour without the broker left in the spool goes into the stream, against a bare loop of batches.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use async_nats::HeaderMap;
use chrono::{DateTime, TimeDelta, Utc};
use observe::adapter::settings::{Claim, Hooks, PENDING_BYTES, SPOOL_BYTES, Settings, SpoolPlace};
use observe::adapter::start::{Begun, Parts};
use observe::bus::connect::{Bus, connect};
use observe::bus::publish::JetStreamStore;
use observe::bus::settings::{BusSettings, FirstConnect};
use observe::event::store::Identity;
use observe::event::subject::Prefix;
use observe::observation::delta::{Delta, Epoch, Origin, Seq};
use observe::observation::outlet::{Answer, Outlet as _, Report};
use observe::process::diff::Comparison;
use observe::process::event::TellProcess;
use observe::process::rows::ProcessRows;
use observe::process::table::Table;

use super::Size;
use super::body::{Change, NOW, body};
use super::look::compared;
use super::measure::{Figure, summary};
use super::server::Server;

/// Events that wait: ten a second for an hour.
const EVENTS: usize = 36_000;
/// Messages of one batch of the bare loop.
const BATCH: usize = 1_000;
const PROCESSES: usize = 100;
const EPOCH: &str = "2026-08-20T07:15:02.707Z";

type Adapter = Begun<JetStreamStore, TellProcess, ProcessRows>;

/// P5.
pub fn figures(size: Size) -> Vec<Figure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let pairs = if size == Size::Quick { 3 } else { 5 };
    let measured: Vec<_> = (0..pairs).map(|_| runtime.block_on(pair())).collect();
    let ratios = measured
        .iter()
        .map(|(ours, bare, _)| bare.as_secs_f64() / ours.as_secs_f64());
    let (ratio, spread) = summary(ratios.collect());
    let (took, _) = summary(
        measured
            .iter()
            .map(|(ours, _, _)| ours.as_secs_f64())
            .collect(),
    );
    let (grown, _) = summary(measured.iter().map(|(_, _, grown)| *grown as f64).collect());
    vec![Figure {
        name: "P5".to_owned(),
        subject: format!("{EVENTS} events out of the spool into the stream, rate"),
        reference: format!("a bare loop of atomic batches of {BATCH}, prebuilt"),
        ratio,
        spread,
        goal: None,
        absolute: format!("{took:.2} s, {:.1} MB more resident", grown / 1e6),
    }]
}

/// How long the replay took, how long the bare loop took, and by how many bytes the replay left us larger.
async fn pair() -> (Duration, Duration, i64) {
    let mut server = Server::start();
    let settings = BusSettings {
        first_connect: FirstConnect::MayWait,
        ..BusSettings::default().at(&server.url())
    };
    let bus = connect(&settings).await.expect("a broker");
    bus.connected().await;
    observe::bus::stream::ensure(&bus, &settings)
        .await
        .expect("a stream");
    let (mut adapter, mut table) = begin(&bus, &settings, &server).await;
    table = tell(&mut adapter, &table, 0).await;
    server.kill();
    while bus.is_connected() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Five processes crash and run again at each look.
    let looks = EVENTS / 10;
    for look in 1..=looks {
        table = tell(&mut adapter, &table, look).await;
    }
    let before = resident();
    server.again();
    bus.connected().await;
    let began = Instant::now();
    let report = Report::Unchanged {
        at: at(looks + 1),
        state: &table,
    };
    let answer = adapter
        .committer
        .report(report)
        .await
        .expect("an adapter that goes on");
    let took = began.elapsed();
    assert!(matches!(answer, Answer::Taken), "nobody else tells");
    let grown = resident() - before;
    assert_eq!(left_in(&server), 0, "nothing waits any more");
    (took, bare(&bus, &settings).await, grown)
}

async fn begin(bus: &Bus, settings: &BusSettings, server: &Server) -> (Adapter, Table) {
    let spool = SpoolPlace {
        path: server.folder().join("spool"),
        limit: SPOOL_BYTES,
    };
    let parts = Parts {
        store: Arc::new(JetStreamStore::new(
            bus.clone(),
            &settings.stream,
            Prefix::default(),
        )),
        tell: TellProcess,
        rows: ProcessRows,
        settings: Settings {
            source: "shop".into(),
            adapter: "bench".into(),
            interval: Duration::from_secs(1),
            identity: Identity::default(),
            prefix: Prefix::default(),
            claim: Claim::Derived,
            pending_bytes: PENDING_BYTES,
            spool: Some(spool),
        },
        hooks: Hooks::quiet(),
        remembered: None,
    };
    let outset = parts.outlet();
    let found = outset
        .read(Some(EPOCH))
        .await
        .expect("a stream without a head");
    (outset.begin(found), Table::default())
}

fn at(look: usize) -> DateTime<Utc> {
    let now: DateTime<Utc> = NOW.parse().expect("a time");
    now + TimeDelta::seconds(i64::try_from(look).unwrap_or(0))
}

/// One look and its report.
async fn tell(adapter: &mut Adapter, before: &Table, look: usize) -> Table {
    let body = body(PROCESSES, look as u64, Change::FiveAtATime);
    let Comparison { table, events, .. } = compared(before, &body, at(look));
    let delta = Delta {
        epoch: Epoch::from(EPOCH),
        seq: Seq::new(look as u64 + 1),
        origin: if look == 0 {
            Origin::Initial
        } else {
            Origin::Change
        },
        at: at(look),
        after: None,
        events: events.into(),
    };
    let report = Report::Delta {
        delta: &delta,
        state: &table,
    };
    let answer = adapter
        .committer
        .report(report)
        .await
        .expect("an adapter that goes on");
    assert!(matches!(answer, Answer::Taken), "nobody else tells");
    table
}

/// The same number of messages of the same size, by hand.
async fn bare(bus: &Bus, settings: &BusSettings) -> Duration {
    let client = async_nats::connect(settings.display_url())
        .await
        .expect("a broker");
    drop(bus.clone());
    let payload = bytes_of(900);
    let began = Instant::now();
    for batch in 0..EVENTS / BATCH {
        for number in 1..=BATCH {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Batch-Id", format!("bare-{batch}"));
            headers.insert("Nats-Batch-Sequence", number.to_string());
            let subject = "core.process.bare.bare.crashed";
            if number < BATCH {
                client
                    .publish_with_headers(subject, headers, payload.clone().into())
                    .await
                    .expect("a connection");
            } else {
                headers.insert("Nats-Batch-Commit", "1");
                let answer = client
                    .request_with_headers(subject, headers, payload.clone().into())
                    .await
                    .expect("an answer");
                let text = String::from_utf8_lossy(&answer.payload);
                assert!(text.contains("\"seq\""), "{text}");
            }
        }
    }
    began.elapsed()
}

fn bytes_of(length: usize) -> Vec<u8> {
    vec![b'x'; length]
}

/// Bytes that still wait on the disk.
fn left_in(server: &Server) -> u64 {
    std::fs::metadata(server.folder().join("spool")).map_or(0, |file| file.len())
}

/// Resident bytes of this process.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<i64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
