//! A broker, a stack and the commands between them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures_util::StreamExt as _;
use observe::event::envelope::Envelope;
use serde_json::Value;

use super::run::{Home, Run};
use super::stack::Stack;
use crate::support::nats::NatsServer;
use crate::support::wait::until;

/// Everything a durable test needs.
pub(super) struct House {
    pub(super) home: Home,
    pub(super) stack: Stack,
    pub(super) nats: NatsServer,
}

impl House {
    pub(super) async fn new() -> Self {
        Self {
            home: Home::new(),
            stack: Stack::shop().await,
            nats: NatsServer::start(),
        }
    }

    /// The same on a broker of another configuration.
    pub(super) async fn on(nats: NatsServer) -> Self {
        Self {
            home: Home::new(),
            stack: Stack::shop().await,
            nats,
        }
    }

    /// An adapter with looks that come often, not yet at work.
    pub(super) fn adapter(&self, more: &[&str]) -> Run {
        let url = self.nats.url();
        let usual = [
            "adapter",
            "-p",
            &self.stack.port,
            "-s",
            &url,
            "--interval",
            "250ms",
        ];
        self.home.run(&[&usual, more].concat())
    }

    /// An adapter that has begun.
    pub(super) async fn working(&self, more: &[&str]) -> Run {
        let run = self.adapter(more);
        run.says(&self.stack.port).await;
        self.told(1).await;
        run
    }

    /// A watch that sees what comes from now on.
    pub(super) async fn watch(&self, more: &[&str]) -> Run {
        let url = self.nats.url();
        let run = self.home.run(&[&["watch", "-s", &url], more].concat());
        run.says("shop: ").await;
        run
    }

    /// All events in the stream, as soon as there are so many.
    pub(super) async fn told(&self, at_least: usize) -> Vec<Envelope> {
        let end = tokio::time::Instant::now() + super::run::LIMIT;
        loop {
            let told = events(&self.nats).await;
            if told.len() >= at_least {
                return told;
            }
            assert!(tokio::time::Instant::now() < end, "only {told:#?}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// All events in the stream, as soon as so many of them tell this of a process.
    pub(super) async fn tells(&self, kind: &str, process: &str, wanted: usize) -> Vec<Envelope> {
        let end = tokio::time::Instant::now() + super::run::LIMIT;
        loop {
            let told = events(&self.nats).await;
            if count(&told, kind, process) >= wanted {
                return told;
            }
            assert!(
                tokio::time::Instant::now() < end,
                "{wanted} {kind} {process}: {:#?}",
                brief(&told)
            );
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Waits until something is told of the source itself.
    pub(super) async fn told_of(&self, kind: &str) {
        until(super::run::LIMIT, kind, async || {
            let told = events(&self.nats).await;
            told.iter().any(|event| event.kind.as_str() == kind)
        })
        .await;
    }

    /// The files in which something waits for a broker.
    pub(super) fn spools(&self) -> Vec<PathBuf> {
        let (mut found, mut folders) = (Vec::new(), vec![self.home.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.file_name().is_some_and(|name| name == "spool") {
                    found.push(path);
                }
            }
        }
        found
    }

    /// Waits until something that holds this waits for a broker.
    pub(super) async fn spooled(&self, needle: &str) {
        until(super::run::LIMIT, needle, async || {
            self.spools().iter().any(|path| {
                // It may have been told and removed just now.
                let held = std::fs::read(path).unwrap_or_default();
                String::from_utf8_lossy(&held).contains(needle)
            })
        })
        .await;
    }

    /// When the root says that it was looked last.
    pub(super) async fn looked_at(&self) -> String {
        root(&self.nats).await["looked_at"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

pub(super) async fn client(nats: &NatsServer) -> async_nats::Client {
    async_nats::connect(nats.url()).await.unwrap()
}

const EVENTS: [&str; 2] = ["core.process.>", "core.source.>"];

/// Every message of the stream under these subjects, oldest first.
pub(super) async fn messages(
    nats: &NatsServer,
    subjects: &[&str],
) -> Vec<async_nats::jetstream::Message> {
    messages_in(nats, "PROCESS_EVENTS", subjects).await
}

/// The same of another stream.
pub(super) async fn messages_in(
    nats: &NatsServer,
    stream: &str,
    subjects: &[&str],
) -> Vec<async_nats::jetstream::Message> {
    let context = async_nats::jetstream::new(client(nats).await);
    let Ok(stream) = context.get_stream(stream).await else {
        return Vec::new();
    };
    let consumer = stream
        .create_consumer(async_nats::jetstream::consumer::pull::Config {
            filter_subjects: subjects.iter().map(|&subject| subject.to_owned()).collect(),
            ..Default::default()
        })
        .await
        .unwrap();
    let pending = consumer.cached_info().num_pending;
    let limit = usize::try_from(pending).unwrap();
    if limit == 0 {
        return Vec::new();
    }
    let batch = consumer
        .fetch()
        .max_messages(limit)
        .messages()
        .await
        .unwrap();
    batch.map(|message| message.unwrap()).collect().await
}

/// Every event in the stream, in its order.
pub(super) async fn events(nats: &NatsServer) -> Vec<Envelope> {
    let all = messages(nats, &EVENTS).await;
    all.iter()
        .map(|message| serde_json::from_slice(&message.payload).unwrap())
        .collect()
}

/// The subjects of every event in the stream.
pub(super) async fn subjects(nats: &NatsServer) -> Vec<String> {
    let all = messages(nats, &EVENTS).await;
    all.iter()
        .map(|message| message.subject.to_string())
        .collect()
}

/// The newest root of the head of `shop`.
pub(super) async fn root(nats: &NatsServer) -> Value {
    let all = messages(nats, &["core.head.*"]).await;
    let roots = all.iter().filter_map(|message| {
        let value: Value = serde_json::from_slice(&message.payload).ok()?;
        value["looked_at"].is_string().then_some(value)
    });
    roots.last().expect("a root")
}

/// Fails unless each number of each journal stands exactly once, without holes and in order.
pub(super) fn without_holes(told: &[Envelope]) {
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for event in told {
        let before = last.insert(&event.journal, event.seq).unwrap_or(0);
        assert_eq!(event.seq, before + 1, "{:#?}", brief(told));
    }
}

/// Numbers, types and names: enough to see what went wrong.
pub(super) fn brief(told: &[Envelope]) -> Vec<String> {
    told.iter()
        .map(|event| {
            let name = event.process.as_deref().unwrap_or("-");
            format!("{} {} {name}", event.seq, event.kind.as_str())
        })
        .collect()
}

/// How many events of this type are told of a process.
pub(super) fn count(told: &[Envelope], kind: &str, process: &str) -> usize {
    told.iter()
        .filter(|event| event.kind.as_str() == kind && event.process.as_deref() == Some(process))
        .count()
}
