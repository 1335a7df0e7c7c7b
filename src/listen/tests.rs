//! The answers of a board with one source, as they are written.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use hyper::header::{HOST, HeaderMap, HeaderValue, IF_NONE_MATCH};
use hyper::{Method, Uri};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::event::store::Outgoing;
use crate::observation::delta::Origin;
use crate::observation::observer::{Observer, Step};
use crate::observation::outlet::NoOutlet;
use crate::observation::runtime::{Clock, ObservationRuntime};
use crate::observation::schedule::Schedule;
use crate::observation::source::{FixedSources, ObservedSource, SourceId};
use crate::process::diff::{Circumstances, Unread, compare};
use crate::process::event::ProcessEvent;
use crate::process::evidence::NoEvidence;
use crate::process::phase::{Health, Phase};
use crate::process::reading::{Reading, Vitals};
use crate::process::table::Table;

use super::board::{Board, Listed, Seat};
use super::host::Reach;
use super::looks::Counted;
use super::route::{Answer, Question, Router};

const EPOCH: &str = "2026-08-20T07:15:02.707Z";
const SECOND: Duration = Duration::from_secs(1);

fn clock() -> Clock {
    let (begun, start): (_, DateTime<Utc>) =
        (Instant::now(), "2026-08-20T09:00:00Z".parse().unwrap());
    Arc::new(move || start + begun.elapsed())
}

fn reading(name: &'static str, phase: Phase, code: i64) -> Reading<'static> {
    Reading {
        name: name.into(),
        namespace: "default".into(),
        more_namespaces: Vec::new(),
        status: if phase == Phase::Up {
            "Running"
        } else {
            "Completed"
        }
        .into(),
        phase,
        daemon: false,
        health: Health::Unknown,
        has_probe: false,
        restarts: 0,
        exit_code: code,
        allowed_codes: Vec::new(),
        pid: Some(7),
        vitals: Vitals {
            age_ms: Some(90_000),
            mem_bytes: Some(20_000_000),
            cpu_percent: Some(2.5),
        },
        started_at: None,
        ready_at: None,
        ended_at: None,
        schedule_at: None,
        watch_at: None,
        unmet: false,
        torn: false,
    }
}

/// Sees the same two processes again and again, unless it is blind.
struct Eyes {
    blind: Arc<AtomicBool>,
    clock: Clock,
}

impl Eyes {
    async fn look(&self, before: &Table) -> Result<Step<Table, ProcessEvent>, io::Error> {
        sleep(Duration::from_millis(20)).await;
        if self.blind.load(Ordering::Relaxed) {
            return Err(io::Error::other("no answer from \u{1b}[31mshop"));
        }
        let readings = [
            reading("api", Phase::Up, 0),
            reading("odd \"one\"\n", Phase::Ended, 3),
        ];
        let now = (self.clock)();
        let circumstances = Circumstances {
            epoch: EPOCH,
            started: now,
            ended: now,
            interval: 2 * SECOND,
            sticky_health: false,
            unread: Unread::default(),
        };
        let found = compare(before, &readings, &NoEvidence, &circumstances);
        Ok(Step {
            state: found.table,
            events: found.events,
            origin: Origin::Initial,
            epoch: EPOCH.into(),
        })
    }
}

impl Observer for Eyes {
    type Source = ();
    type State = Table;
    type Snapshot = Table;
    type Event = ProcessEvent;
    type Error = io::Error;

    async fn init(&self, _: &[ObservedSource<()>]) -> Result<Step<Table, ProcessEvent>, io::Error> {
        self.look(&Table::default()).await
    }

    async fn poll(
        &self,
        _: &[ObservedSource<()>],
        state: &Table,
    ) -> Result<Step<Table, ProcessEvent>, io::Error> {
        self.look(state).await
    }

    fn snapshot(&self, state: &Table) -> Table {
        state.clone()
    }
}

/// A board with one source that is looked at.
struct House {
    board: Board,
    router: Router,
    blind: Arc<AtomicBool>,
    hears: crate::adapter::settings::Told,
    seat: Option<Seat>,
    _ends: DropGuard,
}

impl House {
    fn new() -> Self {
        let clock = clock();
        let board = Board::new("3f9a1c22".into(), Arc::clone(&clock));
        let account = board.account("shop".parse().unwrap());
        let blind = Arc::<AtomicBool>::default();
        let eyes = Eyes {
            blind: Arc::clone(&blind),
            clock: Arc::clone(&clock),
        };
        let eyes = Counted::new(eyes, Some(Arc::clone(&account.looks)));
        let sources = FixedSources::one("shop".parse().unwrap(), ());
        let schedule = Schedule::every(2 * SECOND).build().unwrap();
        let (runtime, handle) =
            ObservationRuntime::builder(eyes, sources, NoOutlet, schedule, clock).build();
        let token = CancellationToken::new();
        tokio::spawn(runtime.run(token.clone()));
        let hears = account.hears();
        Self {
            seat: Some(board.put(account, handle, 15 * SECOND)),
            router: Router::new(board.clone()),
            board,
            blind,
            hears,
            _ends: token.drop_guard(),
        }
    }

    fn told(&mut self, kind: &str, process: &str) {
        let payload = format!(
            r#"{{"type":"{kind}","process":{process:?},"namespace":"default","origin":"change","count":1}}"#
        );
        (self.hears)(&Outgoing::new("", "", "change", payload.as_bytes()));
    }

    fn ask(&self, target: &str, more: &[(hyper::header::HeaderName, &str)]) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        for (name, value) in more {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        self.router.answer(Question {
            method: &Method::GET,
            uri: &target.parse::<Uri>().unwrap(),
            headers: &headers,
            reach: Reach::Loopback,
        })
    }

    fn text(&self, target: &str) -> String {
        String::from_utf8(self.ask(target, &[]).body.to_vec()).unwrap()
    }

    fn json(&self, target: &str) -> Value {
        let text = self.text(target);
        assert_eq!(text.lines().count(), 1, "one line: {text}");
        serde_json::from_str(&text).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn health_says_why_it_is_not_ready() {
    let house = House::new();
    sleep(SECOND).await;
    house.blind.store(true, Ordering::Relaxed);
    sleep(6 * SECOND).await;
    insta::assert_json_snapshot!("health", house.json("/health"));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_of_now_while_it_is_fresh_and_of_then_afterwards() {
    let house = House::new();
    sleep(SECOND).await;
    insta::assert_json_snapshot!("snapshot_fresh", house.json("/snapshot"));
    house.blind.store(true, Ordering::Relaxed);
    sleep(6 * SECOND).await;
    insta::assert_json_snapshot!("snapshot_failing", house.json("/snapshot"));
}

#[tokio::test(start_paused = true)]
async fn figures_are_written_as_prometheus_reads_them() {
    let mut house = House::new();
    house.told("crashed", "odd \"one\"\n");
    house.told("restarted", "worker");
    sleep(SECOND).await;
    let figures = of_any_build(&house.text("/metrics"));
    insta::assert_snapshot!("metrics", figures);
}

/// Without the line that differs from build to build.
fn of_any_build(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    lines
        .filter(|line| !line.starts_with("observe_build_info{"))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_much_to_write_is_written_four_times_a_second() {
    let house = House::new();
    sleep(SECOND).await;
    let first = house.text("/snapshot");
    sleep(Duration::from_millis(200)).await;
    assert_eq!(house.text("/snapshot"), first);
    assert_eq!(house.ask("/snapshot?source=lab", &[]).status, 404);
    sleep(Duration::from_millis(100)).await;
    assert_ne!(house.text("/snapshot"), first);
}

#[tokio::test(start_paused = true)]
async fn events_and_problems_are_objects() {
    let mut house = House::new();
    house.told("crashed", "api");
    house.told("restarted", "api");
    insta::assert_json_snapshot!("events", house.json("/events?limit=1"));
    insta::assert_json_snapshot!("problem", house.json("/events?after=00000000-1"));
    let tag = house.ask("/events", &[]).tag.unwrap();
    for known in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let same = house.ask("/events", &[(IF_NONE_MATCH, &known)]);
        assert_eq!((same.status.as_u16(), same.body.len()), (304, 0), "{known}");
    }
    assert_eq!(
        house
            .ask("/events?limit=1", &[(IF_NONE_MATCH, &tag)])
            .status,
        200
    );
    house.told("crashed", "api");
    assert_eq!(house.ask("/events", &[(IF_NONE_MATCH, &tag)]).status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_ended_is_taken_off_the_board() {
    let mut house = House::new();
    sleep(SECOND).await;
    assert_eq!(
        house.json("/health")["sources"].as_array().unwrap().len(),
        1
    );
    house.seat = None;
    let health = house.json("/health");
    assert_eq!(health["sources"], Value::Array(Vec::new()));
    assert_eq!(
        (&health["live"], &health["ready"]),
        (&true.into(), &false.into())
    );
    sleep(SECOND).await;
    assert!(!house.text("/metrics").contains("source=\"shop\""));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_wanted_and_not_watched_is_missed_with_its_reason_until_it_is() {
    let mut house = House::new();
    sleep(SECOND).await;
    let names = ["lab", "shop"].map(|name| name.parse::<SourceId>().unwrap());
    let lab = &names[0];
    house.board.wants(names.clone());
    let of = |house: &House, source: &str| {
        let one = house.json(&format!("/health?source={source}"));
        assert_eq!(one["ready"], false);
        assert_eq!(
            (&one["live"], &one["connected"]),
            (&true.into(), &false.into())
        );
        one["reasons"][0].as_str().unwrap().to_owned()
    };
    let unheard = "lab: not looked at yet: it or the broker has not answered";
    house.board.tries(lab);
    assert_eq!(of(&house, "lab"), unheard);
    house.board.lacks(lab, Some("401 of \u{1b}[2J"));
    let refused = r"lab: not looked at: 401 of \x1b[2J";
    assert_eq!(of(&house, "lab"), refused);
    // The set is asked for every second, and says nothing new.
    house.board.wants(names.clone());
    assert_eq!(of(&house, "lab"), refused);
    house.board.tries(lab);
    let again = format!(r"{unheard}; the last time: 401 of \x1b[2J");
    assert_eq!(of(&house, "lab"), again);
    // One that begins is itself, once; one that ends is missed again, and what it was refused for once is no reason.
    let all = |house: &House| house.json("/health")["sources"].as_array().unwrap().len();
    let account = house.board.account(lab.clone());
    let entries = house.board.listed(Some("shop"));
    let [Listed::Watched(shop)] = &entries[..] else {
        panic!("{entries:?}");
    };
    let seat = house.board.put(account, shop.handle.clone(), SECOND);
    assert_eq!(all(&house), 2);
    assert!(!of(&house, "lab").contains("not looked at"));
    drop(seat);
    assert_eq!((of(&house, "lab"), all(&house)), (unheard.to_owned(), 2));
    house.seat = None;
    assert!(of(&house, "shop").starts_with("shop: not looked at yet"));
    house.board.wants([]);
    assert_eq!(house.ask("/health?source=lab", &[]).status, 404);
}

#[tokio::test(start_paused = true)]
async fn figures_count_a_source_that_is_missing_as_one_that_is_not_ready() {
    let house = House::new();
    sleep(SECOND).await;
    let names = ["lab", "shop"].map(|name| name.parse::<SourceId>().unwrap());
    house.board.wants(names);
    let figures = house.text("/metrics");
    let mut of_lab = figures.lines().filter(|line| line.contains("\"lab\""));
    assert!(figures.contains("\nobserve_sources 2\n"), "{figures}");
    for (name, value) in [("live", 1), ("ready", 0), ("fresh", 0)] {
        let wanted = format!("observe_source_{name}{{source=\"lab\"}} {value}");
        assert_eq!(of_lab.next(), Some(&*wanted));
    }
    let known = |line: &str| line.starts_with("observe_broker") || line.contains("doing=");
    assert!(of_lab.all(known), "nothing is counted of it: {figures}");
}
