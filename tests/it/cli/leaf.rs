//! A broker at the edge and one in the middle: told at the edge, read through the middle, whatever becomes of the way
//! between them.

use std::net::SocketAddr;
use std::sync::Arc;

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::house::{events, without_holes};
use super::run::{Home, LIMIT, Run};
use super::stack::Stack;
use crate::support::nats::NatsServer;
use crate::support::wait::until;

/// The wire between two servers, which can be cut and mended.
pub(super) struct Wire {
    port: u16,
    cut: Arc<Notify>,
    task: Option<JoinHandle<()>>,
    to: SocketAddr,
}

impl Wire {
    pub(super) async fn to(port: u16) -> Self {
        let mut wire = Self {
            port: 0,
            cut: Arc::default(),
            task: None,
            to: ([127, 0, 0, 1], port).into(),
        };
        wire.mend().await;
        wire
    }

    /// Where it begins.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) async fn mend(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.port = listener.local_addr().unwrap().port();
        let (to, cut) = (self.to, Arc::clone(&self.cut));
        self.task = Some(tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let cut = Arc::clone(&cut);
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(to).await else {
                        return;
                    };
                    tokio::select! {
                        // Either side may end it; the other one notices.
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        () = cut.notified() => {}
                    }
                });
            }
        }));
    }

    pub(super) async fn cut(&mut self) {
        let task = self.task.take().unwrap();
        task.abort();
        // It was told to end.
        drop(task.await);
        self.cut.notify_waiters();
    }
}

/// The port that leaf nodes come to, as the server's log has it.
pub(super) fn leaf_port(hub: &NatsServer) -> u16 {
    let log = hub.log();
    let line = log
        .lines()
        .find(|line| line.contains("Listening for leafnode connections"));
    line.unwrap().rsplit(':').next().unwrap().parse().unwrap()
}

struct Edge {
    home: Home,
    stack: Stack,
    hub: NatsServer,
    leaf: NatsServer,
    wire: Wire,
}

impl Edge {
    async fn new() -> Self {
        let config = |port: &str| {
            format!(
                "server_name: hub
                 jetstream {{ store_dir: \"STORE\", domain: hub }}
                 leafnodes {{ host: 127.0.0.1, port: {port}, no_advertise: true }}"
            )
        };
        let mut hub = NatsServer::with(&config("-1"));
        let port = leaf_port(&hub);
        hub.reconfigure(&config(&port.to_string()));
        let wire = Wire::to(port).await;
        let leaf = NatsServer::with(&format!(
            "server_name: leaf
             jetstream {{ store_dir: \"STORE\", domain: leaf }}
             leafnodes {{ reconnect: \"100ms\", remotes: [{{ url: \"nats-leaf://127.0.0.1:{}\" }}] }}",
            wire.port
        ));
        let edge = Self {
            home: Home::new(),
            stack: Stack::shop().await,
            hub,
            leaf,
            wire,
        };
        edge.linked().await;
        edge
    }

    async fn linked(&self) {
        let client = async_nats::connect(self.hub.url()).await.unwrap();
        until(LIMIT, "a link between the servers", async || {
            let asked = client.request("$JS.leaf.API.INFO", "".into()).await;
            asked.is_ok()
        })
        .await;
    }

    fn adapter(&self, url: &str, more: &[&str]) -> Run {
        let usual = [
            "adapter",
            "-p",
            &self.stack.port,
            "-s",
            url,
            "--interval",
            "250ms",
        ];
        self.home.run(&[&usual, more].concat())
    }

    /// A watch at the hub of what is told at the leaf.
    fn watch(&self, more: &[&str]) -> Run {
        let url = self.hub.url();
        let usual = ["watch", "-s", &url, "--js-domain", "leaf", "--json"];
        self.home.run(&[&usual, more].concat())
    }
}

fn ids(run: &Run) -> Vec<String> {
    let lines = run.out.all();
    let events = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    events
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Fails unless the watch shows exactly what the leaf's stream has behind `seq`.
async fn shows_all(edge: &Edge, run: &Run, seq: u64) {
    let told = events(&edge.leaf).await;
    without_holes(&told);
    let wanted: Vec<_> = told
        .iter()
        .filter(|event| event.seq > seq && event.process.is_some())
        .map(|event| event.id.clone())
        .collect();
    until(LIMIT, "everything", async || ids(run).len() >= wanted.len()).await;
    assert_eq!(ids(run), wanted, "no hole, no repeat");
}

#[tokio::test]
async fn what_is_told_at_the_edge_is_read_through_the_middle_across_a_cut() {
    let mut edge = Edge::new().await;
    let adapter = edge.adapter(&edge.leaf.url(), &[]);
    adapter.says(&edge.stack.port).await;
    until(LIMIT, "the first events", async || {
        events(&edge.leaf).await.len() > 3
    })
    .await;
    let before = events(&edge.leaf).await.last().unwrap().seq;
    let plain = edge.watch(&[]);
    plain.says("shop: ").await;
    let mut durable = edge.watch(&["--durable", "middle"]);
    durable.says("shop: ").await;
    edge.stack.exit("worker", 3).await;
    for watch in [&plain, &durable] {
        watch.tells("\"code\":3").await;
    }
    edge.wire.cut().await;
    edge.stack.exit("worker", 4).await;
    until(LIMIT, "a crash that is told", async || {
        let told = events(&edge.leaf).await;
        told.iter()
            .any(|event| event.exit.as_ref().is_some_and(|exit| exit.code == Some(4)))
    })
    .await;
    plain.says("the stream cannot be read").await;
    edge.wire.mend().await;
    edge.linked().await;
    for watch in [&plain, &durable] {
        watch.tells("\"code\":4").await;
    }
    assert_eq!(durable.end_by(Signal::TERM).await, 143);
    edge.stack.exit("worker", 5).await;
    plain.tells("\"code\":5").await;
    shows_all(&edge, &plain, before).await;
    let rest = edge.watch(&["--durable", "middle"]);
    rest.tells("\"code\":5").await;
    let both = [ids(&durable), ids(&rest)].concat();
    assert_eq!(both, ids(&plain)[..both.len()], "no hole, no repeat");
}

#[tokio::test]
async fn an_adapter_in_the_middle_tells_into_the_edge() {
    let mut edge = Edge::new().await;
    let adapter = edge.adapter(&edge.hub.url(), &["--js-domain", "leaf"]);
    adapter.says(&edge.stack.port).await;
    until(LIMIT, "the first events", async || {
        events(&edge.leaf).await.len() > 3
    })
    .await;
    let watch = edge.watch(&[]);
    watch.says("shop: ").await;
    let before = events(&edge.leaf).await.last().unwrap().seq;
    edge.hub.kill();
    edge.stack.exit("worker", 3).await;
    for run in [&adapter, &watch] {
        run.says("is away").await;
    }
    edge.hub.again();
    watch.tells("\"code\":3").await;
    shows_all(&edge, &watch, before).await;
}
