//! `observe state --at` and `observe diff`: how everything stood, and what is another since.

use chrono::{DateTime, Utc};
use rustix::process::Signal;
use serde_json::Value;

use super::house::House;
use super::run::{Home, Run};
use super::stack::Stack;
use super::state::{by_broker, ends, known, object};
use super::wait::grow_old;
use crate::support::nats;

/// A moment between two events, whose times have milliseconds.
async fn moment() -> String {
    let pause = std::time::Duration::from_millis(5);
    tokio::time::sleep(pause).await;
    let now = Utc::now();
    tokio::time::sleep(pause).await;
    now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// A stack with a past, and moments of it.
struct Past {
    house: House,
    adapter: Run,
    before: String,
    up: String,
    crash: DateTime<Utc>,
    down: String,
    unseen: String,
}

impl Past {
    async fn new() -> Self {
        let house = House::new().await;
        let before = moment().await;
        let adapter = house.working(&[]).await;
        house.tells("started", "worker", 1).await;
        let up = moment().await;
        house.stack.exit("api", 3).await;
        let told = house.tells("crashed", "api", 1).await;
        let crash = told.last().unwrap().timestamp;
        let down = moment().await;
        // A look that saw something is behind that moment, and before what nobody sees.
        house.stack.control.start("api").unwrap();
        house.tells("started", "api", 2).await;
        house.stack.control.stop_listening();
        house.stack.exit("web", 4).await;
        house.told_of("disconnected").await;
        let unseen = moment().await;
        house.stack.control.listen_again();
        house.tells("crashed", "web", 1).await;
        Self {
            house,
            adapter,
            before,
            up,
            crash,
            down,
            unseen,
        }
    }

    async fn at(&self, time: &str) -> Value {
        let url = self.house.nats.url();
        let args = by_broker("state", &url, &["--all", "--at", time]);
        object(&self.house.home, &args).await
    }

    async fn diff(&self, args: &[&str]) -> Value {
        let url = self.house.nats.url();
        object(&self.house.home, &by_broker("diff", &url, args)).await
    }

    /// The same for people.
    async fn shown(&self, args: &[&str]) -> (i32, Vec<String>, Vec<String>) {
        let url = self.house.nats.url();
        ends(self.house.home.run(&by_broker("diff", &url, args))).await
    }
}

/// All of `shop`, in one state each.
fn shop(api: &str, web: &str, worker: &str) -> [String; 3] {
    [("api", api), ("web", web), ("worker", worker)].map(|(name, how)| format!("shop {name} {how}"))
}

#[tokio::test]
async fn the_stream_is_folded_back_to_any_moment_and_what_nobody_saw_is_unknown() {
    let mut past = Past::new().await;
    let (running, completed, was) = ("now Running", "now Completed", "was Running");
    let first = past.at(&past.before).await;
    assert_eq!(first["sources"][0]["sight"], "not_yet", "{first}");
    let millis = |at: DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let just_before = millis(past.crash - chrono::TimeDelta::milliseconds(1));
    for (time, wanted) in [
        (&past.up, shop(running, running, running)),
        (&just_before, shop(running, running, running)),
        (&millis(past.crash), shop(completed, running, running)),
        (&past.down, shop(completed, running, running)),
        (&past.unseen, shop(was, was, was)),
        (&"now".to_owned(), shop(running, completed, running)),
    ] {
        assert_eq!(known(&past.at(time).await), wanted, "{time}");
    }
    let away = past.at(&past.unseen).await;
    assert_eq!(away["sources"][0]["sight"], "lost", "{away}");
    differs(&past).await;

    // As if nobody had looked all the time.
    past.adapter.end_by(Signal::KILL).await;
    grow_old(&past.house).await;
    let _adapter = past.house.working(&[]).await;
    past.house.told_of("gap").await;
    let gap = past.at(&past.up).await;
    assert_eq!(gap["sources"][0]["sight"], "unwatched", "{gap}");
    assert_eq!(known(&gap), shop(was, was, was));
    assert_eq!(past.at("now").await["sources"][0]["sight"], "seen");
}

async fn differs(past: &Past) {
    let (up, down, unseen) = (&*past.up, &*past.down, &*past.unseen);
    let names = |diff: &Value| -> Vec<String> {
        let all = diff["differences"].as_array().unwrap();
        let name = |one: &Value| one["process"].as_str().unwrap().to_owned();
        all.iter().map(name).collect()
    };
    let both = past.diff(&[up]).await;
    assert_eq!(names(&both), ["api", "web"]);
    assert_eq!(both["differences"][0]["another_run"], true);
    assert_eq!(both["differences"][1]["after"]["exit_code"], 4);
    assert_eq!(names(&past.diff(&[up, down]).await), ["api"]);
    assert_eq!(names(&past.diff(&[up, "--process", "web"]).await), ["web"]);
    let within = past.diff(&[up, unseen]).await;
    assert_eq!(within["differences"][1]["after"]["known"], "was");

    let (code, told, said) = past.shown(&[up, down]).await;
    assert_eq!(
        (code, told.len(), said.len()),
        (0, 2, 0),
        "{told:?} {said:?}"
    );
    let line = &told[1];
    assert!(
        line.starts_with("~ api") && line.contains("→ Completed, exit 3"),
        "{line}"
    );
    let nothing = (0, vec![], vec!["nothing differs".to_owned()]);
    assert_eq!(past.shown(&[up, up]).await, nothing);
    assert_eq!(past.shown(&[down, up]).await.0, 2);
}

#[tokio::test]
async fn two_stacks_with_equal_names_are_two_tables_and_nothing_is_mixed() {
    let house = House::new().await;
    let url = house.nats.url();
    let _one = house.working(&[]).await;
    let other = Stack::shop().await;
    let args = [
        "adapter",
        "-p",
        &other.port,
        "-s",
        &url,
        "--source",
        "lab",
        "--interval",
        "250ms",
    ];
    let _other = house.home.run(&args);
    house.tells("started", "worker", 2).await;
    let up = moment().await;
    other.exit("api", 5).await;
    house.tells("crashed", "api", 1).await;
    let state =
        async |more: &[&str]| known(&object(&house.home, &by_broker("state", &url, more)).await);
    let crashed = [
        "lab api now Completed",
        "lab web now Running",
        "lab worker now Running",
        "shop api now Running",
        "shop web now Running",
        "shop worker now Running",
    ];
    assert_eq!(state(&[]).await, crashed);
    // The last event of a worker is of one of them, and its numbers are not the other's.
    let now = object(&house.home, &by_broker("state", &url, &["worker"])).await;
    let used = |at: usize| now["sources"][at]["processes"][0]["usage_at"].is_string();
    assert_eq!((used(0), used(1)), (true, false), "{now}");
    assert_eq!(state(&["--at", "now"]).await, crashed);
    assert!(
        state(&["--at", &up])
            .await
            .iter()
            .all(|line| line.ends_with("Running"))
    );
    assert_eq!(state(&["--source", "s*", "api"]).await, crashed[3..4]);
    let (_, told, _) = ends(house.home.run(&by_broker("diff", &url, &[&up]))).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].contains("api"), "{told:?}");
}

#[tokio::test]
async fn yesterday_is_folded_back_after_up_and_its_broker_have_ended() {
    let (home, stack) = (Home::new(), Stack::shop().await);
    let server = nats::binary().display().to_string();
    let place = [
        "-p",
        &stack.port,
        "--nats-server",
        &server,
        "--interval",
        "250ms",
    ];
    let mut up = home.run(&[&["up"], &place[..]].concat());
    up.tells("started    worker").await;
    let then = moment().await;
    assert_eq!(up.end_by(Signal::TERM).await, 143);
    let stop = || home.command(&["broker", "stop"]).output();
    stop().unwrap();
    let args = ["state", "--at", &then, "--nats-server", &server];
    let (code, told, said) = ends(home.run(&args)).await;
    let args = ["diff", &then, "--nats-server", &server];
    let diff = ends(home.run(&args)).await;
    stop().unwrap();
    assert_eq!((code, said.len()), (0, 1), "{said:?}");
    assert!(
        said[0].contains("the managed broker is started for this"),
        "{said:?}"
    );
    assert!(told[0].contains(": 3 processes, 3 up"), "{told:?}");
    assert_eq!(diff.0, 0, "{diff:?}");
}
