//! The parts: a played source, a real broker, two adapters, and a wire between each two.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use rustix::process::Signal;
use serde_json::Value;

use self::program::Program;
use super::plan::{Blow, Errand, Hit, Part};
use super::proxy::{Proxy, Wire};
use super::truth::{Restore, Time, Truth, time};
use crate::support::nats::NatsServer;
use crate::support::wait::until;

mod program;

/// The most that any one thing may take.
const LIMIT: Duration = Duration::from_secs(60);
/// What a reader was shown, and said.
const WATCH: &str = "watch.log";
/// The time between two looks.
pub(super) const INTERVAL: &str = "500ms";
/// An account with a quota, so that a neighbour can use it up.
const BROKER: &str = r#"
jetstream { store_dir: "STORE" }
accounts { A { jetstream { max_file: 48MB }, users: [{ user: a, password: a }] } }
no_auth_user: a
"#;

struct Adapter {
    program: Option<Program>,
    to_broker: Proxy,
    to_source: Proxy,
}

/// Everything that runs.
pub(super) struct Stage {
    folder: PathBuf,
    seed: u64,
    nats: NatsServer,
    source: Option<Program>,
    port: u16,
    /// The truth files so far, each with the time its server was ended at.
    truths: Vec<(PathBuf, Option<Time>)>,
    adapters: Vec<Adapter>,
    watch: Option<Program>,
    /// The copy of what the broker kept: when it was made, and what the reader had been shown.
    copy: Option<(Time, usize)>,
    restores: Vec<Restore>,
    /// Who told when the teller was hit.
    teller: usize,
}

impl Stage {
    pub(super) async fn new(folder: &Path, seed: u64) -> Self {
        let mut stage = Self {
            folder: folder.to_owned(),
            seed,
            nats: NatsServer::with(BROKER),
            source: None,
            port: 0,
            truths: Vec::new(),
            adapters: Vec::new(),
            watch: None,
            copy: None,
            restores: Vec::new(),
            teller: 0,
        };
        stage.start_source().await;
        let broker = stage
            .nats
            .url()
            .rsplit(':')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        for number in 0..2 {
            stage.adapters.push(Adapter {
                program: None,
                to_broker: Proxy::to(broker).await,
                to_source: Proxy::to(stage.port).await,
            });
            stage.start_adapter(number);
        }
        let url = stage.nats.url();
        let args = ["watch", "-s", &url, "--json", "--gaps"];
        stage.watch = Some(Program::start(&args, folder, &folder.join(WATCH)));
        stage
    }

    /// The events that a reader was shown live, all the time.
    pub(super) fn watched(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join(WATCH)).unwrap();
        let values = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        values.filter(|value| value["id"].is_string()).collect()
    }

    /// Runs an errand, and does not wait for it; a source that is away or frozen is no reason to stop.
    pub(super) fn run_errand(&self, errand: &Errand) {
        let Errand { method, path, .. } = errand;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        let address = ("127.0.0.1", self.port);
        std::thread::spawn(move || {
            let mut stream = std::net::TcpStream::connect(address).ok()?;
            stream.set_read_timeout(Some(LIMIT)).ok()?;
            stream.write_all(head.as_bytes()).ok()?;
            stream.read_to_end(&mut Vec::new()).ok()
        });
    }

    async fn start_source(&mut self) {
        let number = self.truths.len();
        let truth = self.folder.join(format!("truth-{number}.jsonl"));
        let log = self.folder.join(format!("source-{number}.log"));
        let seed = self.seed.to_string();
        let truth_name = truth.display().to_string();
        let args = [
            "simulate",
            "--random",
            "20",
            "--rate",
            "3",
            "--seed",
            &seed,
            "-p",
            "0",
            "--name",
            "chaos",
            "--truth",
            &truth_name,
        ];
        self.source = Some(Program::start(&args, &self.folder, &log));
        self.truths.push((truth, None));
        let mut port = None;
        until(LIMIT, "the source's address", async || {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let address = said.lines().next().filter(|_| said.contains('\n'));
            port = address.and_then(|address| address.rsplit(':').next()?.parse().ok());
            port.is_some()
        })
        .await;
        self.port = port.unwrap();
        for adapter in &self.adapters {
            adapter.to_source.lead(self.port);
        }
    }

    fn source_is_over(&mut self) {
        self.truths.last_mut().unwrap().1 = Some(Utc::now().timestamp_millis());
    }

    fn start_adapter(&mut self, number: usize) {
        let adapter = &mut self.adapters[number];
        let state = self.folder.join(format!("state-{number}"));
        let log = self.folder.join(format!("adapter-{number}.log"));
        let source = adapter.to_source.port.to_string();
        let broker = format!("nats://127.0.0.1:{}", adapter.to_broker.port);
        let args = [
            "-v",
            "adapter",
            "-p",
            &source,
            "-s",
            &broker,
            "--interval",
            INTERVAL,
        ];
        adapter.program = Some(Program::start(&args, &state, &log));
    }

    /// A program that ends by itself has failed, whatever was done to its surroundings.
    pub(super) fn check(&mut self) {
        for (number, adapter) in self.adapters.iter_mut().enumerate() {
            if let Some(program) = &mut adapter.program {
                assert!(
                    program.may_end || program.is_running(),
                    "adapter {number} ended by itself"
                );
            }
        }
        for (name, program) in [("source", &mut self.source), ("watch", &mut self.watch)] {
            if let Some(program) = program {
                assert!(program.is_running(), "the {name} ended by itself");
            }
        }
    }

    /// A hit begins.
    pub(super) async fn strike(&mut self, hit: Hit) {
        if hit.part == Part::Teller {
            self.teller = self.tells();
        }
        match (self.meant(hit), hit.blow) {
            (Part::Adapter(n), Blow::Kill) => self.adapters[n].program.take().unwrap().kill(),
            (Part::Adapter(n), Blow::End) => self.adapter(n).signal(Signal::TERM),
            (Part::Adapter(n), _) => self.adapter(n).signal(Signal::STOP),
            (Part::Broker, Blow::Kill) => self.nats.kill(),
            (Part::Broker, Blow::End | Blow::Restore) => self.nats.stop(),
            (Part::Broker, Blow::Copy) => {
                let shown = self.watched().len();
                self.nats.stop();
                self.nats.copy_store(&self.copy_name());
                self.copy = Some((Utc::now().timestamp_millis(), shown));
            }
            (Part::Broker, Blow::Fill) => self.fill().await,
            (Part::Broker | Part::Teller, _) => self.nats.freeze(),
            (Part::Source, Blow::Kill) => {
                self.source.take().unwrap().kill();
                self.source_is_over();
            }
            (Part::Source, Blow::End) => {
                self.source.as_mut().unwrap().signal(Signal::TERM);
                self.source.take().unwrap().ended().await;
                self.source_is_over();
            }
            (Part::Source, _) => self.source.as_mut().unwrap().signal(Signal::STOP),
            (Part::BrokerWire(n), blow) => hurt(&self.adapters[n].to_broker, blow),
            (Part::SourceWire(n), blow) => hurt(&self.adapters[n].to_source, blow),
        }
    }

    /// A hit is over.
    pub(super) async fn mend(&mut self, hit: Hit) {
        match (self.meant(hit), hit.blow) {
            (Part::Adapter(n), Blow::Kill) => self.start_adapter(n),
            (Part::Adapter(n), Blow::End) => {
                self.adapters[n].program.take().unwrap().ended().await;
                self.start_adapter(n);
            }
            (Part::Adapter(n), _) => self.adapter(n).signal(Signal::CONT),
            (Part::Broker, Blow::Fill) => self.release().await,
            (Part::Broker, Blow::Freeze) => self.nats.thaw(),
            (Part::Broker, Blow::Restore) => {
                self.nats.put_back(Some(&self.copy_name()));
                let (copied, shown) = self.copy.take().unwrap();
                self.restores.push(Restore {
                    copied,
                    restored: Utc::now().timestamp_millis(),
                    shown,
                });
                self.nats.again();
            }
            (Part::Broker | Part::Teller, _) => self.nats.again(),
            (Part::Source, Blow::Freeze) => self.source.as_mut().unwrap().signal(Signal::CONT),
            (Part::Source, _) => self.start_source().await,
            (Part::BrokerWire(n), _) => self.adapters[n].to_broker.set(Wire::Whole),
            (Part::SourceWire(n), _) => self.adapters[n].to_source.set(Wire::Whole),
        }
    }

    /// Whom a hit is meant for.
    fn meant(&self, hit: Hit) -> Part {
        match hit.part {
            Part::Teller => Part::Adapter(self.teller),
            part => part,
        }
    }

    /// The adapter that was the last to have something acknowledged; the other one where `CHAOS_STANDBY` wants it.
    fn tells(&self) -> usize {
        let acknowledged = |number: usize| {
            let memories = self.folder.join(format!("state-{number}/observe/adapters"));
            let mut all = fs::read_dir(memories).into_iter().flatten().flatten();
            all.find_map(|memory| {
                let text = fs::read(memory.path().join("0/acknowledged.json")).ok()?;
                let known: Value = serde_json::from_slice(&text).ok()?;
                known["looked_at"].as_str().map(time)
            })
        };
        let teller = usize::from(acknowledged(1) > acknowledged(0));
        teller ^ usize::from(super::number("CHAOS_STANDBY").is_some())
    }

    /// The name of the copy that comes back next.
    fn copy_name(&self) -> String {
        format!("older-{}", self.restores.len())
    }

    fn adapter(&mut self, number: usize) -> &mut Program {
        self.adapters[number].program.as_mut().unwrap()
    }

    /// A neighbour's stream takes all that the quota leaves.
    async fn fill(&self) {
        let client = async_nats::connect(self.nats.url()).await.unwrap();
        let context = async_nats::jetstream::new(client);
        let settings = async_nats::jetstream::stream::Config {
            name: "NEIGHBOUR".to_owned(),
            subjects: vec!["neighbour".to_owned()],
            ..Default::default()
        };
        context.get_or_create_stream(settings).await.unwrap();
        for size in [900_000, 60_000, 1_000, 1] {
            let mut full = false;
            while !full {
                let sent = context
                    .publish("neighbour", vec![0; size].into())
                    .await
                    .unwrap();
                full = sent.await.is_err();
            }
        }
    }

    async fn release(&self) {
        let client = async_nats::connect(self.nats.url()).await.unwrap();
        let context = async_nats::jetstream::new(client);
        context.delete_stream("NEIGHBOUR").await.unwrap();
    }

    /// Asks the source itself, past all wires.
    fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let json = answer.split_once("\r\n\r\n").unwrap().1;
        // Chunked or not, the object is what stands between the outermost braces.
        let (from, to) = (json.find('{').unwrap(), json.rfind('}').unwrap());
        serde_json::from_str(&json[from..=to]).unwrap()
    }

    /// How every process stands, by the source itself.
    pub(super) fn shown(&self) -> Vec<Value> {
        self.ask("GET", "/processes", "")["data"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// Nothing changes any more: every process is stopped.
    pub(super) async fn calm(&self) {
        let names: Vec<Value> = self
            .shown()
            .iter()
            .map(|state| state["name"].clone())
            .collect();
        let names = Value::Array(names).to_string();
        until(LIMIT, "a source in which nothing runs", async || {
            // One that waits to be restarted is only called off when nothing of it runs.
            self.ask("PATCH", "/processes/stop", &names);
            let over = |state: &Value| {
                let word = state["status"].as_str().unwrap_or_default();
                state["is_running"] == false && !["Restarting", "Terminating"].contains(&word)
            };
            self.shown().iter().all(over)
        })
        .await;
    }

    /// Whether every adapter has the broker, so that nothing waits in one of them.
    pub(super) fn has_broker(&self) -> bool {
        (0..self.adapters.len()).all(|number| {
            let log = self.folder.join(format!("adapter-{number}.log"));
            let said = fs::read_to_string(log).unwrap_or_default();
            let last = said.lines().rfind(|line| {
                let broker = line.starts_with("broker ");
                broker && (line.contains(" is away") || line.contains(" is back"))
                    || line.contains("process-compose v")
            });
            last.is_some_and(|line| !line.contains(" is away"))
        })
    }

    /// Ends the adapters in order, so that nothing is told any more.
    pub(super) async fn end_adapters(&mut self) {
        for adapter in &mut self.adapters {
            adapter.program.as_mut().unwrap().signal(Signal::TERM);
        }
        for adapter in &mut self.adapters {
            adapter.program.take().unwrap().ended().await;
        }
    }

    pub(super) fn broker(&self) -> String {
        self.nats.url()
    }

    pub(super) fn broker_log(&self) -> String {
        self.nats.log()
    }

    pub(super) fn truth(&self) -> Truth {
        let mut truth = Truth {
            restores: self.restores.clone(),
            ..Truth::default()
        };
        for (path, over) in &self.truths {
            truth.add(&fs::read_to_string(path).unwrap(), *over);
        }
        truth
    }
}

fn hurt(wire: &Proxy, blow: Blow) {
    match blow {
        Blow::Stall => wire.set(Wire::Stalled),
        Blow::Refuse => wire.set(Wire::Gone),
        _ => wire.cut(),
    }
}
