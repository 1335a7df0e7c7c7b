//! A played process-compose, and adapters that look at it, as whole processes.

use std::path::Path;
use std::time::Duration;

use observe::event::store::Root;
use observe::event::subject::Prefix;
use tokio::time::Instant;

use super::children::{PATIENCE, Program, observe};
use super::outlet::block_on;
use super::server::Server;

/// A played process-compose.
pub struct Stack {
    _program: Program,
    /// Its whole address.
    pub url: String,
}

impl Stack {
    /// Plays so many random processes, of which so many end each second.
    pub fn play(folder: &Path, processes: u32, rate: f64, more: &[&str]) -> Self {
        let (processes, rate) = (processes.to_string(), rate.to_string());
        let mut args = vec!["--random", &processes, "--rate", &rate];
        args.extend(more);
        Self::simulate(folder, &args)
    }

    /// Plays so many processes that run for ever.
    pub fn still(folder: &Path, processes: u32) -> Self {
        let file = folder.join("still.yaml");
        let text = format!("name: still\nprocesses:\n  worker:\n    replicas: {processes}\n");
        std::fs::write(&file, text).expect("a folder that takes a file");
        Self::simulate(folder, &[&file.to_string_lossy()])
    }

    fn simulate(folder: &Path, args: &[&str]) -> Self {
        let args: Vec<_> = ["simulate", "-p", "0"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        let mut program = Program::start(&mut observe(folder, &args));
        let url = program.first_line();
        Self {
            _program: program,
            url,
        }
    }

    /// Its host and port.
    pub fn place(&self) -> &str {
        self.url.trim_start_matches("http://").trim_end_matches('/')
    }

    /// Starts an adapter of that name on it.
    pub fn adapter(&self, server: &Server, name: &str, more: &[&str]) -> Program {
        let (spool, broker) = (server.folder().join(name), server.url());
        let spool = spool.to_string_lossy();
        let mut args = vec![
            "adapter",
            "--url",
            &self.url,
            "--source",
            name,
            "-s",
            &broker,
            "--spool-dir",
            &spool,
        ];
        args.extend(more);
        Program::start(&mut observe(server.folder(), &args))
    }
}

/// How long a head that goes on moving is waited for.
const STILL: Duration = Duration::from_secs(3);

/// Waits until these adapters have told their first look: their heads stand still, or move because something changes.
pub fn told(server: &Server, names: &[String], events: u64) {
    block_on(async {
        let client = async_nats::connect(server.url()).await.expect("a broker");
        let context = async_nats::jetstream::new(client);
        let prefix = Prefix::default();
        for name in names {
            let (mut last, mut seen, subject) = (None, None, prefix.head_root(name));
            let until = Instant::now() + 3 * PATIENCE;
            loop {
                assert!(Instant::now() < until, "{name} tells nothing");
                tokio::time::sleep(Duration::from_secs(1)).await;
                let Ok(stream) = context.get_stream("PROCESS_EVENTS").await else {
                    continue;
                };
                let found = stream.get_last_raw_message_by_subject(&subject).await;
                let Some(found) = found.ok() else {
                    continue;
                };
                let since = *seen.get_or_insert_with(Instant::now);
                let root: Root = serde_json::from_slice(&found.payload).expect("a root");
                let whole = root.seq >= events && since.elapsed() >= STILL;
                if whole || last == Some(found.sequence) {
                    break;
                }
                last = Some(found.sequence);
            }
        }
    });
}
