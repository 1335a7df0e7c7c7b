//! Two sites with brokers of their own and a hub that gathers what they hold: the configuration is that of
//! `examples/leaf`.

use std::process::{Command, Stdio};
use std::time::Duration;

use observe::event::envelope::Envelope;
use serde_json::Value;

use super::house::{events, messages_in, without_holes};
use super::leaf::{Wire, leaf_port};
use super::run::{Home, LIMIT, OBSERVE, Run};
use super::stack::{SHOP, Stack};
use crate::support::nats::{NatsServer, binary};
use crate::support::wait::until;

const ALL: &str = "PROCESS_EVENTS_ALL";
const HUB: &str = include_str!("../../../examples/leaf/hub.conf");
const SITE: &str = include_str!("../../../examples/leaf/site.conf");
const STREAM: &str = include_str!("../../../examples/leaf/stream.json");

/// A server sees to a lost source once in ten seconds or so.
const LONG: Duration = Duration::from_secs(60);

/// The example's configuration, but for what every test's server has of its own.
fn config(text: &str, values: &[(&str, &str)]) -> String {
    let own = ["host:", "port:", "ports_file_dir:", "log_file:"];
    let lines = text
        .lines()
        .filter(|line| !own.iter().any(|key| line.starts_with(key)));
    let text = lines.collect::<Vec<_>>().join("\n");
    let text = text.replace("$STORE", "\"STORE\"");
    values.iter().fold(text, |text, (name, value)| {
        text.replace(&format!("${name}"), value)
    })
}

struct Site {
    name: &'static str,
    stack: Stack,
    nats: NatsServer,
    wire: Wire,
    _adapter: Run,
}

impl Site {
    async fn new(name: &'static str, home: &Home, leaf_port: u16) -> Self {
        let wire = Wire::to(leaf_port).await;
        let hub = format!("\"nats-leaf://127.0.0.1:{}\"", wire.port());
        let nats = NatsServer::with(&config(SITE, &[("SITE", name), ("HUB", &hub)]));
        let stack = Stack::play(&SHOP.replace("name: shop", &format!("name: {name}"))).await;
        let (port, url) = (&stack.port, &nats.url());
        let adapter = home.run(&["adapter", "-p", port, "-s", url, "--interval", "250ms"]);
        adapter.says(port).await;
        Self {
            name,
            nats,
            wire,
            _adapter: adapter,
            stack,
        }
    }

    async fn tells_exit(&self, code: i32) {
        self.stack.exit("worker", code).await;
        let is_it = |event: &Envelope| {
            let exit = event.exit.as_ref();
            exit.is_some_and(|exit| exit.code == Some(code.into()))
        };
        until(LIMIT, "an end that is told", async || {
            events(&self.nats).await.iter().any(is_it)
        })
        .await;
    }
}

struct Region {
    home: Home,
    hub: NatsServer,
    north: Site,
    south: Site,
}

impl Region {
    async fn new() -> Self {
        let home = Home::new();
        let hub_config = |port: &str| config(HUB, &[("LEAF_PORT", port)]);
        let mut hub = NatsServer::with(&hub_config("-1"));
        let port = leaf_port(&hub);
        hub.reconfigure(&hub_config(&port.to_string()));
        let region = Self {
            north: Site::new("north", &home, port).await,
            south: Site::new("south", &home, port).await,
            hub,
            home,
        };
        let client = async_nats::connect(region.hub.url()).await.unwrap();
        let subject = format!("$JS.API.STREAM.CREATE.{ALL}");
        let answer = client.request(subject, STREAM.into()).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
        assert!(answer["error"].is_null(), "{answer}");
        region
    }

    /// A command that reads at the hub.
    fn at_hub(&self, command: &str, more: &[&str]) -> Run {
        let url = self.hub.url();
        let usual = [command, "-s", &url, "--js-domain", "hub", "--stream", ALL];
        self.home.run(&[&usual, more].concat())
    }

    /// Every event of a site that the hub has, in its order.
    async fn gathered(&self, site: &Site) -> Vec<Envelope> {
        let all = messages_in(&self.hub, ALL, &["core.process.>", "core.source.>"]).await;
        let events = all
            .iter()
            .map(|message| serde_json::from_slice::<Envelope>(&message.payload).unwrap());
        events.filter(|event| event.source == site.name).collect()
    }

    /// Waits until the hub has what the site told, and fails unless it has exactly that.
    async fn has_all_of(&self, site: &Site) {
        let ids = |events: &[Envelope]| -> Vec<String> {
            events.iter().map(|event| event.id.clone()).collect()
        };
        let told = events(&site.nats).await;
        until(LONG, "everything at the hub", async || {
            self.gathered(site).await.len() >= told.len()
        })
        .await;
        let gathered = self.gathered(site).await;
        without_holes(&gathered);
        assert_eq!(ids(&gathered)[..told.len()], ids(&told), "{}", site.name);
    }

    async fn heads(&self) -> Vec<(String, Value)> {
        let all = messages_in(&self.hub, ALL, &["core.head.>"]).await;
        let of = |message: &async_nats::jetstream::Message| {
            let root = serde_json::from_slice(&message.payload).unwrap_or_default();
            (message.subject.to_string(), root)
        };
        all.iter().map(of).collect()
    }
}

async fn tells_within(run: &Run, needles: &[&str], limit: Duration) {
    until(limit, &needles.join(" "), async || {
        let lines = run.out.all();
        let has = |line: &String| needles.iter().all(|needle| line.contains(needle));
        lines.iter().any(has)
    })
    .await;
}

#[tokio::test]
async fn a_hub_gathers_what_two_sites_tell_across_a_cut() {
    let mut region = Region::new().await;
    for site in [&region.north, &region.south] {
        region.has_all_of(site).await;
    }
    let watch = region.at_hub("watch", &["--json"]);
    for site in ["north", "south"] {
        watch.says(&format!("{site}: 3 processes")).await;
    }
    for site in [&region.north, &region.south] {
        site.tells_exit(3).await;
        let source = format!("\"source\":\"{}\"", site.name);
        tells_within(&watch, &["\"code\":3", &source], LIMIT).await;
    }
    region.south.wire.cut().await;
    for site in [&region.north, &region.south] {
        site.tells_exit(4).await;
    }
    let from = |name: &str| format!("\"source\":\"{name}\"");
    tells_within(&watch, &["\"code\":4", &from("north")], LIMIT).await;
    // The root alone moves now, and its shard stands where it stood.
    let refreshed = async || {
        let heads = region.heads().await;
        let root = heads
            .into_iter()
            .find(|(name, _)| name == "core.head.north");
        root.is_some_and(|(_, root)| root["shards"][0]["at"].is_u64())
    };
    until(LONG, "a head that was refreshed", refreshed).await;
    assert_eq!(
        watch.out.count("\"code\":4"),
        1,
        "nothing comes over a wire that is cut"
    );
    region.south.wire.mend().await;
    tells_within(&watch, &["\"code\":4", &from("south")], LONG).await;
    for site in [&region.north, &region.south] {
        region.has_all_of(site).await;
    }
    let heads = region.heads().await;
    let mut subjects: Vec<_> = heads.iter().map(|(subject, _)| subject.as_str()).collect();
    subjects.sort_unstable();
    let wanted = [
        "core.head.north",
        "core.head.north.0",
        "core.head.south",
        "core.head.south.0",
    ];
    assert_eq!(subjects, wanted, "one head of each source");
    let snapshot = region.at_hub("watch", &["--snapshot"]);
    for site in ["north", "south"] {
        snapshot.says(&format!("{site}: 3 processes, 3 up")).await;
    }
    let mut wait = region.at_hub("wait", &["--source", "north", "--timeout", "20s"]);
    assert_eq!(wait.ends().await, 0, "{:?}", wait.err.all());
}

#[tokio::test]
async fn the_example_of_a_hub_runs() {
    let home = Home::new();
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/leaf/run.sh"));
    command
        .env_clear()
        .envs(home.environment())
        .envs([
            ("OBSERVE", OBSERVE.into()),
            ("OBSERVE_TEST_NATS_SERVER", binary().into_os_string()),
            ("LEAF_CUT", "2".into()),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut run = Run::of(&mut command);
    let code = run.ends_within(LONG).await;
    assert_eq!(code, 0, "{:#?}\n{:#?}", run.out.all(), run.err.all());
    run.says("nothing is lost, nothing is there twice").await;
}
